package main

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store"
)

// column ties a column of the host to a value of the engine, for reading and for writing.
type column struct {
	name string
	// value is a pointer that database/sql reads from and scans into.
	value any
}

// fixed are the columns of a desk that never change.
func fixed(w *lifecycle.Workspace) []column {
	return []column{
		{"id", &w.ID},
		{"company", &w.OrganizationID},
		{"person", &w.OwnerID},
		{"blueprint", &w.TemplateID},
		{"label", &w.Name},
		{"made", instant{&w.CreatedAt}},
		{"edition", &w.Revision},
	}
}

// living are those that a change writes.
func (d *Desks) living(w *lifecycle.Workspace) []column {
	return []column{
		{"look_at", instant{&w.WakeAt}},
		{"mornings", cron{&w.Autostart, d.crons.Weekly}},
		{"mornings_from", instant{&w.AutostartAfter}},
		{"evenings", cron{&w.Autostop, d.crons.Weekly}},
		{"life", number[time.Duration]{&w.TTL}},
		{"seen", instant{&w.LastUsedAt}},
		{"asleep", instant{&w.DormantAt}},
		{"gone_after", instant{&w.DeletingAt}},
		{"held_until", instant{&w.Hold.Until}},
		{"held", number[lifecycle.HoldRules]{&w.Hold.Rules}},
		{"held_why", &w.Hold.Note},
		{"held_by", &w.Hold.By},
		{"stop_floor", instant{&w.Floors.Stop}},
		{"sleep_floor", instant{&w.Floors.Dormancy}},
		{"delete_floor", instant{&w.Floors.Delete}},
		{"rules_seen", &w.Seen.Template},
		{"nights_seen", &w.Seen.Owner},
		{"warned_for", instant{&w.RemindedFor}},
		{"follows", &w.AutomaticUpdates},
		{"pooled", &w.Managed},
		{"gone", &w.Deleted},
		{"failures", &w.Failures},
		{"false_starts", &w.StartFailures},
		{"helpless_at", instant{&w.AttentionAt}},
		{"again_at", instant{&w.Backoff.Until}},
		{"again_tries", &w.Backoff.Attempts},
		{"again_cause", text[lifecycle.SkipReason]{&w.Backoff.Cause}},
		{"again_words", &w.Backoff.Message},
	}
}

// running are those of the latest build, which most changes write, too.
func running(b *lifecycle.Build) []column {
	return []column{
		{"run", &b.ID},
		{"run_no", &b.Number},
		{"run_version", &b.TemplateVersionID},
		{"run_kind", number[lifecycle.Transition]{&b.Transition}},
		{"run_why", text[lifecycle.Reason]{&b.Reason}},
		{"run_state", number[lifecycle.JobStatus]{&b.Status}},
		{"run_asked", instant{&b.CreatedAt}},
		{"run_over", instant{&b.CompletedAt}},
		{"run_due", instant{&b.DueAt}},
		{"run_life", number[time.Duration]{&b.TTL}},
		{"up_since", instant{&b.RunSince}},
		{"stop_by", instant{&b.Deadline}},
		{"stop_latest", instant{&b.MaxDeadline}},
		{"run_by", &b.Initiator},
		{"run_fault", &b.Error},
		{"run_made", &b.Result},
	}
}

// around are the columns of the person and the blueprint of a desk.
func (d *Desks) around(s *lifecycle.Snapshot) []column {
	return prefixed("p.", d.person(&s.Owner), prefixed("b.", blueprint(&s.Template), nil))
}

func (d *Desks) person(o *lifecycle.Owner) []column {
	return []column{
		{"id", &o.ID},
		{"handle", &o.Name},
		{"standing", number[lifecycle.OwnerStatus]{&o.Status}},
		{"nights", cron{&o.QuietHours, d.crons.Daily}},
		{"nights_no", &o.Rules},
		{"back_since", instant{&o.AutostartAfter}},
	}
}

func blueprint(t *lifecycle.Template) []column {
	return []column{
		{"id", &t.ID},
		{"company", &t.OrganizationID},
		{"title", &t.Name},
		{"revision", &t.ActiveVersionID},
		{"rules", rules{&t.Policy}},
		{"edition", &t.Revision},
		{"rules_no", &t.Rules},
		{"state", state{t}},
	}
}

func prefixed(prefix string, columns, rest []column) []column {
	for _, c := range columns {
		rest = append(rest, column{prefix + c.name, c.value})
	}
	return rest
}

func namesOf(columns []column, format, separator string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = fmt.Sprintf(format, c.name)
	}
	return strings.Join(list, separator)
}

func valuesOf(columns []column) []any {
	list := make([]any, len(columns))
	for i, c := range columns {
		list[i] = c.value
	}
	return list
}

// instant keeps a time as microseconds within the years that the engine knows, and the zero time as NULL: 1970 is an instant
// like others.
type instant struct{ t *time.Time }

// Value implements driver.Valuer.
func (i instant) Value() (driver.Value, error) {
	if i.t.IsZero() {
		return nil, nil
	}
	return store.Instant(*i.t).UnixMicro(), nil
}

// Scan implements sql.Scanner.
func (i instant) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*i.t = time.Time{}
	case int64:
		*i.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("instant: got %T", v)
	}
	return nil
}

// number keeps the numbers of the engine's enumerations and durations.
type number[T ~uint8 | ~int64] struct{ n *T }

// Value implements driver.Valuer.
func (n number[T]) Value() (driver.Value, error) { return int64(*n.n), nil }

// Scan implements sql.Scanner.
func (n number[T]) Scan(v any) error {
	i, ok := v.(int64)
	if *n.n = T(i); !ok {
		return fmt.Errorf("number: got %T", v)
	}
	return nil
}

// text keeps the words of the engine.
type text[T ~string] struct{ s *T }

// Value implements driver.Valuer.
func (t text[T]) Value() (driver.Value, error) { return string(*t.s), nil }

// Scan implements sql.Scanner.
func (t text[T]) Scan(v any) error {
	s, ok := v.(string)
	if *t.s = T(s); !ok {
		return fmt.Errorf("text: got %T", v)
	}
	return nil
}

// cron keeps a schedule as it was entered. One that cannot be used stays what it is: an error of its own desk alone.
type cron struct {
	c     **schedule.Cron
	parse func(string) *schedule.Cron
}

// Value implements driver.Valuer.
func (c cron) Value() (driver.Value, error) {
	if *c.c == nil {
		return "", nil
	}
	return (*c.c).Text(), nil
}

// Scan implements sql.Scanner.
func (c cron) Scan(v any) error {
	s, ok := v.(string)
	if *c.c = c.parse(s); !ok {
		return fmt.Errorf("schedule: got %T", v)
	}
	return nil
}

// rules keep a policy as JSON. One that cannot be read holds back whatever its desks would do by themselves.
type rules struct{ p *lifecycle.Policy }

// Value implements driver.Valuer.
func (r rules) Value() (driver.Value, error) {
	b, err := json.Marshal(r.p)
	return string(b), err
}

// Scan implements sql.Scanner.
func (r rules) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("rules: got %T", v)
	}
	*r.p = lifecycle.ReadPolicy([]byte(s))
	return nil
}

// state keeps what else there is to a template as JSON.
type state struct{ t *lifecycle.Template }

// Value implements driver.Valuer.
func (s state) Value() (driver.Value, error) {
	b, err := s.t.MarshalState()
	return string(b), err
}

// Scan implements sql.Scanner.
func (s state) Scan(v any) error {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("state: got %T", v)
	}
	s.t.ReadState([]byte(text))
	return nil
}
