package planesource

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/webui"
)

// JournalConfig bounds what a journal keeps. The zero value works.
type JournalConfig struct {
	// Keep is how long something is kept. Defaults to 8 weeks: what forecast.Learn looks at.
	Keep time.Duration
	// PerWorkspace is how many marks of a workspace are kept, the latest, and as many times of use. Defaults to 300.
	PerWorkspace int
	// Workspaces is of how many workspaces something is kept. Beyond it, those are forgotten of which nothing was heard for
	// longest. Defaults to 20,000.
	Workspaces int
}

func (c JournalConfig) withDefaults() JournalConfig {
	c.Keep = cmp.Or(c.Keep, 8*7*24*time.Hour)
	c.PerWorkspace = cmp.Or(c.PerWorkspace, 300)
	c.Workspaces = cmp.Or(c.Workspaces, 20_000)
	return c
}

func (c JournalConfig) validate() error {
	return cmp.Or(
		invalid.Duration("JournalConfig.Keep", c.Keep),
		invalid.Count("JournalConfig.PerWorkspace", c.PerWorkspace),
		invalid.Count("JournalConfig.Workspaces", c.Workspaces),
	)
}

// Journal keeps what a store does not: what happened to workspaces beside builds, and when they were used. A host makes it
// before its plane, gives the plane [Journal.Record] as dormouse.Config.Audit, or calls it from its own, tells
// [Journal.Used] of activity where it tells the plane, and gives the journal to [Config].
//
// It is in memory, so it begins with the process. Of several replicas each knows of the events that were delivered to it.
// It is safe for concurrent use.
type Journal struct {
	cfg JournalConfig

	mu    sync.Mutex
	pages map[uuid.UUID]*page
}

// page is what is known of one workspace, each list oldest first.
type page struct {
	heard time.Time
	marks []webui.Mark
	uses  []time.Time
}

// NewJournal returns an empty journal. The error names the field that cannot be used.
func NewJournal(cfg JournalConfig) (*Journal, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Journal{cfg: cfg.withDefaults(), pages: make(map[uuid.UUID]*page)}, nil
}

// Record takes an event of the audit topic. Events may come twice and late; it returns no error.
func (j *Journal) Record(_ context.Context, e dormouse.Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if e.Kind == lifecycle.EventDeleted {
		delete(j.pages, e.WorkspaceID)
		return nil
	}
	m, ok := markOf(e)
	if !ok {
		return nil
	}
	p := j.page(e.WorkspaceID, e.At)
	if slices.Contains(p.marks, m) {
		return nil
	}
	p.marks = append(p.marks, m)
	slices.SortStableFunc(p.marks, func(a, b webui.Mark) int { return a.At.Compare(b.At) })
	p.marks = keep(p.marks, j.cfg.PerWorkspace, func(m webui.Mark) time.Time { return m.At }, p.heard.Add(-j.cfg.Keep))
	return nil
}

// beat is how far apart two uses are at least that are kept.
const beat = 10 * time.Minute

// Used notes that somebody works in a workspace. It may be called as often as there is activity: what follows within ten
// minutes is the same use.
func (j *Journal) Used(id uuid.UUID, at time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.page(id, at)
	if n := len(p.uses); n > 0 && at.Sub(p.uses[n-1]) < beat {
		return
	}
	p.uses = keep(append(p.uses, at), j.cfg.PerWorkspace, func(t time.Time) time.Time { return t }, p.heard.Add(-j.cfg.Keep))
}

// Marks returns what happened to a workspace since an instant, oldest first.
func (j *Journal) Marks(id uuid.UUID, since time.Time) []webui.Mark {
	j.mu.Lock()
	defer j.mu.Unlock()
	p, ok := j.pages[id]
	if !ok {
		return nil
	}
	marks := slices.Clone(p.marks)
	for _, s := range p.sessions() {
		marks = append(marks, webui.Mark{At: s.Begin, Kind: webui.MarkActivity, Text: "somebody came to work"})
	}
	marks = slices.DeleteFunc(marks, func(m webui.Mark) bool { return m.At.Before(since) })
	slices.SortStableFunc(marks, func(a, b webui.Mark) int { return a.At.Compare(b.At) })
	return marks
}

// Sessions returns when somebody worked in a workspace, oldest first.
func (j *Journal) Sessions(id uuid.UUID) []forecast.Session {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p, ok := j.pages[id]; ok {
		return p.sessions()
	}
	return nil
}

// sessions are the uses that follow one another within an hour.
func (p *page) sessions() []forecast.Session {
	return forecast.Sessions(p.uses, 0, time.Hour)
}

// page is where something of a workspace is written.
func (j *Journal) page(id uuid.UUID, at time.Time) *page {
	p, ok := j.pages[id]
	if !ok {
		if len(j.pages) >= j.cfg.Workspaces {
			j.forget()
		}
		p = new(page)
		j.pages[id] = p
	}
	if at.After(p.heard) {
		p.heard = at
	}
	return p
}

// forget drops the eighth of the workspaces of which nothing was heard for longest, so that the sorting is shared by many
// calls.
func (j *Journal) forget() {
	ids := make([]uuid.UUID, 0, len(j.pages))
	for id := range j.pages {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return j.pages[a].heard.Compare(j.pages[b].heard) })
	for _, id := range ids[:len(ids)/8+1] {
		delete(j.pages, id)
	}
}

// keep cuts a list, oldest first, to its n latest, and to those that are not older than oldest.
func keep[T any](list []T, n int, at func(T) time.Time, oldest time.Time) []T {
	i := 0
	for i < len(list) && (len(list)-i > n || at(list[i]).Before(oldest)) {
		i++
	}
	return list[i:]
}

// markOf is an event as a mark in a lane. Builds are no marks: the page reads them from the store.
func markOf(e dormouse.Event) (webui.Mark, bool) {
	m := webui.Mark{At: e.At, Text: e.Message}
	switch e.Kind {
	case lifecycle.EventStartMissed:
		m.At, m.Kind, m.Text = e.DueAt, webui.MarkSkipped, "start skipped: too late"
	case lifecycle.EventDeletionHeld:
		m.Kind, m.Text = webui.MarkSkipped, cmp.Or(e.Message, "deletion held by the brake")
	case lifecycle.EventExtended:
		if !e.DueAt.IsZero() {
			return m, false // its schedule did
		}
		m.Kind, m.Text = webui.MarkManual, "deadline moved"
	case lifecycle.EventChanged, lifecycle.EventClaimed, lifecycle.EventAwake:
		m.Kind, m.Text = webui.MarkManual, cmp.Or(e.Message, "woken")
	default:
		return m, false
	}
	if e.Actor != "" {
		m.Text += ", by " + queue.Quoted(e.Actor)
	}
	if e.Note != "" {
		m.Text += ": " + queue.Quoted(e.Note)
	}
	return m, true
}
