package memory

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/form"
)

// dumpVersion is the version of the format. Restore reads this one.
const dumpVersion = 1

// entryRow is one line of a dump; exactly one field is set.
type entryRow struct {
	Version   int               `json:"dormouse,omitempty"`
	Engine    *lifecycle.Engine `json:"engine,omitempty"`
	Ticking   *ticking          `json:"ticking,omitempty"`
	Zones     map[string]int64  `json:"zones,omitempty"`
	Template  *templateRow      `json:"template,omitempty"`
	Owner     *ownerRow         `json:"owner,omitempty"`
	Workspace *workspaceRow     `json:"workspace,omitempty"`
	Events    *eventsRow        `json:"events,omitempty"`
	Seq       int64             `json:"seq,omitempty"`
	jobLines
	memberLines
	// End counts the lines before it, so that a dump that was cut off is noticed.
	End int `json:"end,omitempty"`
}

// templateRow is a template whose policy is read like that of every store: one that cannot be read is no reason to refuse
// the dump.
type templateRow struct {
	lifecycle.Template
	Policy storedPolicy `json:"policy"`
}

type storedPolicy struct{ lifecycle.Policy }

// UnmarshalJSON implements json.Unmarshaler.
func (p *storedPolicy) UnmarshalJSON(text []byte) error {
	p.Policy = lifecycle.ReadPolicy(text)
	return nil
}

// ownerRow is an owner with its schedule as text, which hides the embedded one.
type ownerRow struct {
	lifecycle.Owner
	QuietHours string
}

type workspaceRow struct {
	lifecycle.Workspace
	Autostart, Autostop string
	// Builds are oldest first.
	Builds []lifecycle.Build
}

type eventsRow struct {
	Events []lifecycle.Event
	// Until is when the first of them can be claimed again, in microseconds.
	Until   int64
	Waiting bool
}

// Dump writes everything as lines of JSON, for [Restore]. What it writes is one instant of the store; while it is
// collected, in memory, writers wait.
func (s *Store) Dump(w io.Writer) error {
	var buffer bytes.Buffer
	if err := s.collect(&buffer); err != nil {
		return fmt.Errorf("dump store: %w", err)
	}
	if _, err := buffer.WriteTo(w); err != nil {
		return fmt.Errorf("dump store: %w", err)
	}
	return nil
}

// dumper writes rows and counts them.
type dumper struct {
	enc  *json.Encoder
	rows int
	err  error
}

func (d *dumper) row(r entryRow) {
	if d.err == nil {
		d.err = d.enc.Encode(r)
		d.rows++
	}
}

func (s *Store) collect(w io.Writer) error {
	s.memberStore.mu.RLock()
	defer s.memberStore.mu.RUnlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	d := &dumper{enc: json.NewEncoder(w)}
	d.row(entryRow{Version: dumpVersion})
	if s.engine != (lifecycle.Engine{}) {
		d.row(entryRow{Engine: &s.engine})
	}
	if !s.ticking.At.IsZero() || len(s.ticking.Deletions) > 0 {
		d.row(entryRow{Ticking: &s.ticking})
	}
	if len(s.zones) > 0 {
		d.row(entryRow{Zones: s.zones})
	}
	for i := range s.templates.rows {
		t := s.templates.rows[i].Template
		if t.ID == uuid.Nil {
			continue // deleted
		}
		d.row(entryRow{Template: &templateRow{t, storedPolicy{t.Policy}}})
	}
	for i := range s.owners.rows {
		o := s.owners.rows[i].Owner
		if o.ID == uuid.Nil {
			continue
		}
		d.row(entryRow{Owner: &ownerRow{o, o.QuietHours.Text()}})
	}
	for _, slot := range s.fleet.slots {
		d.row(entryRow{Workspace: s.workspaceRow(slot)})
	}
	for _, l := range s.outbox.lines {
		d.row(entryRow{Events: &eventsRow{l.events, l.until, l.waits}})
	}
	d.row(entryRow{Seq: s.outbox.seq})
	s.jobQueue.dump(d)
	s.memberStore.dump(d)
	d.row(entryRow{End: d.rows})
	return d.err
}

func (s *Store) workspaceRow(slot uint32) *workspaceRow {
	var snapshot lifecycle.Snapshot
	s.read(slot, &snapshot)
	w := &snapshot.Workspace
	row := &workspaceRow{Workspace: *w, Autostart: w.Autostart.Text(), Autostop: w.Autostop.Text()}
	for b := s.fleet.rows.at(slot).build; b != none; b = s.fleet.builds.at(b).previous {
		var v lifecycle.Build
		s.fleet.builds.at(b).readInto(&v, &s.fleet.reasons)
		row.Builds = append([]lifecycle.Build{v}, row.Builds...)
	}
	return row
}

// Restore returns the store that [Store.Dump] wrote. Schedules are parsed by the interner, whose options are those of all
// schedules of the store; nil stands for a new one with the library's defaults. The error names the line.
func Restore(r io.Reader, schedules *schedule.Interner) (*Store, error) {
	if schedules == nil {
		schedules = new(schedule.Interner)
	}
	if err := schedules.Options.Validate(); err != nil {
		return nil, fmt.Errorf("restore store: %w", err)
	}
	s := New()
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		limit := maxDumpLine
		if n == 1 {
			limit = maxDumpHead
		}
		line, err := readLine(lines, limit)
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("restore store: line %d: the dump ends early", n)
		}
		var row entryRow
		if err == nil {
			err = decodeRow(line, &row)
		}
		if err == nil {
			err = s.restore(&row, schedules, n)
		}
		if err != nil {
			return nil, fmt.Errorf("restore store: line %d: %w", n, err)
		}
		if row.End > 0 {
			return s, nil
		}
	}
}

func (s *Store) restore(row *entryRow, schedules *schedule.Interner, n int) error {
	switch {
	case n == 1 && row.Version != dumpVersion:
		return fmt.Errorf("version %d: this is no dump of version %d", row.Version, dumpVersion)
	case row.Engine != nil:
		s.engine = *row.Engine
		s.engine.Hold = cleanHold(s.engine.Hold)
		return invalid.Within("Engine", s.engine.Hold.Validate())
	case row.Ticking != nil:
		s.ticking = *row.Ticking
	case row.Zones != nil:
		s.zones = row.Zones
		return checkZones(s.zones)
	case row.Template != nil:
		t := row.Template.Template
		t.Policy = row.Template.Policy.Policy
		t.Name, t.Hold = form.Text(t.Name), cleanHold(t.Hold)
		if _, twice := s.templates.get(t.ID); twice {
			return invalid.New("Template.ID", t.ID, "must not occur twice")
		}
		s.templates.put(t.ID).Template = t
		return cmp.Or(t.Hold.Validate(), t.Terms.Validate())
	case row.Owner != nil:
		o := row.Owner.Owner
		o.QuietHours = schedules.Daily(row.Owner.QuietHours)
		o.Name = form.Text(o.Name)
		if _, twice := s.owners.get(o.ID); twice {
			return invalid.New("Owner.ID", o.ID, "must not occur twice")
		}
		s.owners.put(o.ID).Owner = o
	case row.Workspace != nil:
		return s.restoreWorkspace(row.Workspace, schedules)
	case row.Events != nil && len(row.Events.Events) > 0:
		if err := row.Events.check(&s.outbox); err != nil {
			return err
		}
		row.Events.clean()
		s.outbox.restore(row.Events)
	case row.Seq > 0:
		s.outbox.seq = row.Seq
	case row.End > 0 && row.End != n-1:
		return fmt.Errorf("the dump has %d lines before its end, and should have %d", n-1, row.End)
	}
	if err := s.memberStore.restore(&row.memberLines); err != nil {
		return err
	}
	return s.jobQueue.restore(&row.jobLines)
}

func (s *Store) restoreWorkspace(row *workspaceRow, schedules *schedule.Interner) error {
	w := row.Workspace
	w.Autostart, w.Autostop = schedules.Weekly(row.Autostart), schedules.Weekly(row.Autostop)
	if err := s.creatable([]lifecycle.Workspace{w}); err != nil {
		return err
	}
	s.create(w.WakeAt, &w)
	r := s.fleet.rows.at(s.fleet.slots[w.ID])
	r.revision, r.seen = w.Revision, w.Seen
	for i := range row.Builds {
		if err := s.restoreBuild(w.ID, r, &row.Builds[i]); err != nil {
			return fmt.Errorf("workspace %s: %w", w.ID, err)
		}
	}
	return s.whole(&w, row.Builds)
}

// restoreBuild adds a build to those before it, of which some may have been pruned.
func (s *Store) restoreBuild(workspace uuid.UUID, r *row, b *lifecycle.Build) error {
	latest := s.fleet.latest(s.fleet.slots[workspace])
	if b.Number <= latest.Number {
		return invalid.New("Change.Build.Number", b.Number, "must rise")
	}
	latest.Number = b.Number - 1
	c := lifecycle.Change{Build: *b, NewBuild: true}
	if err := c.Validate(latest); err != nil {
		return err
	}
	s.fleet.writeBuild(r, b, true)
	return nil
}

// whole sees that a workspace is kept as the dump has it: a number too large for where it is kept would become another one.
func (s *Store) whole(w *lifecycle.Workspace, builds []lifecycle.Build) error {
	var got lifecycle.Snapshot
	s.read(s.fleet.slots[w.ID], &got)
	var latest lifecycle.Build
	if len(builds) > 0 {
		latest = builds[len(builds)-1]
	}
	if got.Workspace != *w || got.Build != latest {
		return invalid.New("Workspace", w.ID, "must be as a store keeps it")
	}
	return nil
}

func (o *outbox) restore(row *eventsRow) {
	first := row.Events[0]
	l := &line{key: lineKey{first.Subject(), first.Topic}, events: row.Events, until: row.Until}
	o.lines[l.key] = l
	o.count += len(row.Events)
	if row.Waiting {
		o.wait(l, row.Until)
		return
	}
	o.pushReady(l)
}
