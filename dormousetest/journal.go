package dormousetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// journal keeps what happened, as the plane tells it to those who listen.
type journal struct {
	mu      sync.Mutex
	entries []entry
}

// entry is an event; text is what its owner was told, if it was a notice.
type entry struct {
	event dormouse.Event
	text  string
}

func newJournal() *journal { return &journal{} }

// listen hears the notices and the audit of a plane before the host does.
func (j *journal) listen(c dormouse.Config) dormouse.Config {
	notify, audit := c.Notify, c.Audit
	c.Notify = func(ctx context.Context, n dormouse.Notice) error {
		if notify != nil {
			if err := notify(ctx, n); err != nil {
				return err
			}
		}
		j.add(entry{n.Event, n.Text})
		return nil
	}
	c.Audit = func(ctx context.Context, e dormouse.Event) error {
		if audit != nil {
			if err := audit(ctx, e); err != nil {
				return err
			}
		}
		j.add(entry{event: e})
		return nil
	}
	return c
}

func (j *journal) add(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

// sorted returns the entries in the order in which what they tell was decided.
func (j *journal) sorted() []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := slices.Clone(j.entries)
	slices.SortStableFunc(all, func(a, b entry) int {
		return cmp.Or(a.event.At.Compare(b.event.At), cmp.Compare(a.event.Seq, b.event.Seq))
	})
	return all
}

// Log returns what happened so far, a line for each event, in the order of their instants: when, to which workspace, what,
// why, and who asked for it.
//
//	Mon 2026-03-02 08:00:00  api  build.queued     start 1 (manual) by ann
//	Mon 2026-03-02 08:00:30  api  build.succeeded  start 1 (manual)
func (k *Kit) Log() string {
	k.t.Helper()
	names := map[uuid.UUID]string{}
	entries := k.log.sorted()
	width := 0
	for _, e := range entries {
		id := e.event.Subject()
		if _, ok := names[id]; !ok {
			names[id] = k.subject(e.event)
			width = max(width, len(names[id]))
		}
	}
	var b strings.Builder
	for _, e := range entries {
		line := fmt.Sprintf("%s  %-*s  %-25s  %s", stamp(e.event.At), width, names[e.event.Subject()], e.event.Kind, e.what())
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// subject names what an event is about.
func (k *Kit) subject(e dormouse.Event) string {
	k.t.Helper()
	switch {
	case e.WorkspaceID != uuid.Nil:
		return k.get(e.WorkspaceID).Name
	case e.TemplateID != uuid.Nil:
		return "(template)"
	case e.OwnerID != uuid.Nil:
		return "(owner)"
	}
	return "(all)"
}

// Events returns what was written to the audit so far, in the order of their instants.
func (k *Kit) Events() []dormouse.Event {
	var events []dormouse.Event
	for _, e := range k.log.sorted() {
		if e.event.Topic == lifecycle.TopicAudit {
			events = append(events, e.event)
		}
	}
	return events
}

// Notices returns what owners were told so far.
func (k *Kit) Notices() []string {
	var texts []string
	for _, e := range k.log.sorted() {
		if e.event.Topic == lifecycle.TopicNotice {
			texts = append(texts, e.text)
		}
	}
	return texts
}

// what says what an event is about.
func (e entry) what() string {
	ev := e.event
	if ev.Topic == lifecycle.TopicNotice {
		return fmt.Sprintf("told: %s", e.text)
	}
	var parts []string
	if ev.BuildNumber > 0 {
		parts = append(parts, fmt.Sprintf("%s %d (%s)", ev.Transition, ev.BuildNumber, ev.Reason))
	}
	if !ev.Until.IsZero() {
		parts = append(parts, "until "+stamp(ev.Until))
	}
	if ev.Message != "" {
		parts = append(parts, ev.Message)
	}
	if ev.Actor != "" {
		parts = append(parts, "by "+ev.Actor)
	}
	if ev.Note != "" {
		parts = append(parts, "("+ev.Note+")")
	}
	return strings.Join(parts, " ")
}

func stamp(t time.Time) string { return t.UTC().Format("Mon 2006-01-02 15:04:05") }
