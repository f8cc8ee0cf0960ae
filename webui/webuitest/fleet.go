// Package webuitest has a scripted fleet in memory, to look at the pages of package webui before there is a real one, and
// for tests of what is built around them. Its past is no recording: every build in it was decided by the functions of
// package lifecycle, over three weeks of people who come and go, so that what the pages show of it fits together.
package webuitest

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/webui"
)

// Capacity is how many workspaces the hosts of the fleet can run at once; tell webui.Config of it.
const Capacity = 108

// past is how far back the script goes.
const past = 21 * 24 * time.Hour

// Fleet is a source for the pages with all abilities. It is safe for concurrent use.
type Fleet struct {
	mu      sync.Mutex
	now     time.Time
	members []*member
	byID    map[uuid.UUID]*member
	outlook *forecast.Outlook
}

// member is a workspace with its past.
type member struct {
	lifecycle.Snapshot
	builds   []lifecycle.Build // oldest first
	marks    []webui.Mark
	sessions []forecast.Session
	// build says how its builds go; nil for success after a minute.
	build func(lifecycle.Snapshot) forecast.Outcome
	// missing is the tag that no worker has, zero if one has all.
	missing queue.Tag
	err     error
}

// New returns the fleet as it is at an instant. The same instant gives the same fleet.
func New(now time.Time) *Fleet {
	s := &script{now: now.UTC().Truncate(time.Microsecond), random: rand.New(rand.NewPCG(1, 2))}
	s.people()
	f := &Fleet{now: s.now, members: s.members, byID: make(map[uuid.UUID]*member)}
	for _, m := range f.members {
		f.byID[m.Workspace.ID] = m
	}
	f.foretell()
	return f
}

// foretell says what the fleet will do with its people, as far as they are known.
func (f *Fleet) foretell() {
	people := func(yield func(forecast.Past) bool) {
		for _, m := range f.members {
			if !yield(forecast.Past{Who: m.Workspace.ID, Location: berlin, Sessions: m.sessions}) {
				return
			}
		}
	}
	fleet := func(yield func(lifecycle.Snapshot) bool) {
		for _, m := range f.members {
			if !yield(m.Snapshot) {
				return
			}
		}
	}
	from := f.now.Truncate(time.Hour)
	learned := forecast.Learn(f.now, people, func(func(lifecycle.Build) bool) {})
	outlook, err := forecast.Forecast(fleet, learned, from, from.Add(7*24*time.Hour), forecast.ForecastConfig{
		Draws: 8, NoNewcomers: true, Assumptions: forecast.Assumptions{Beat: 30 * time.Minute},
	})
	if err == nil {
		f.outlook = &outlook
	}
}

// Owner returns the id of the owner with a name, [uuid.Nil] if there is none.
func (f *Fleet) Owner(name string) uuid.UUID {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		if m.Owner.Name == name {
			return m.Owner.ID
		}
	}
	return uuid.Nil
}

// Advance brings the fleet to a later instant: what the rules decide until then happens, and builds end.
func (f *Fleet) Advance(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now = now.UTC().Truncate(time.Microsecond); !now.After(f.now) {
		return
	}
	for _, m := range f.members {
		m.run(f.now, now)
	}
	f.now = now
}

// Edit changes every workspace, for a test that wants other names or notes.
func (f *Fleet) Edit(change func(*lifecycle.Snapshot)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		change(&m.Snapshot)
	}
}

// run lets a workspace live from one instant to another.
func (m *member) run(from, until time.Time) {
	a := forecast.Assumptions{Build: m.build, Work: forecast.Recorded(m.sessions)}
	if m.Workspace.WakeAt.IsZero() && !m.Build.Status.Active() && len(m.sessions) == 0 {
		return
	}
	for step := range forecast.Upcoming(m.Snapshot, from, until, a) {
		switch b := step.After.Build; step.Kind {
		case forecast.KindBuild, forecast.KindEnded:
			m.record(b)
		case forecast.KindMissed:
			m.marks = append(m.marks, webui.Mark{At: step.At, Kind: webui.MarkSkipped, Text: "start skipped: too late"})
		}
	}
	before := m.Snapshot
	if m.Snapshot, m.err = forecast.Project(m.Snapshot, from, until, a); m.Build != before.Build || m.Workspace.WakeAt != before.Workspace.WakeAt {
		m.Workspace.Revision = before.Workspace.Revision + 1
	}
}

// record keeps a build as it is now.
func (m *member) record(b lifecycle.Build) {
	if n := len(m.builds); n > 0 && m.builds[n-1].Number == b.Number {
		m.builds[n-1] = b
		return
	}
	m.builds = append(m.builds, b)
}

// apply does what a verb says.
func (m *member) apply(v lifecycle.Verb, now time.Time) error {
	c, err := v(m.Snapshot, now)
	if err != nil {
		return err
	}
	m.take(c)
	return nil
}

func (m *member) take(c lifecycle.Change) {
	m.Workspace = c.Workspace
	m.Workspace.Revision = c.Revision + 1
	if c.Build.Number > 0 {
		if m.Build = c.Build; c.NewBuild {
			m.Build.ID = idOf("build", fmt.Sprint(m.Workspace.ID, c.Build.Number))
		}
		m.record(m.Build)
	}
}

// Workspaces implements [webui.Source].
func (f *Fleet) Workspaces(context.Context) iter.Seq2[lifecycle.Snapshot, error] {
	return func(yield func(lifecycle.Snapshot, error) bool) {
		f.mu.Lock()
		list := make([]lifecycle.Snapshot, 0, len(f.members))
		for _, m := range f.members {
			list = append(list, m.Snapshot)
		}
		f.mu.Unlock()
		for _, s := range list {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Workspace implements [webui.Source].
func (f *Fleet) Workspace(_ context.Context, id uuid.UUID) (lifecycle.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, ok := f.byID[id]; ok {
		return m.Snapshot, nil
	}
	return lifecycle.Snapshot{}, lifecycle.ErrNotFound
}

// Builds implements [webui.Source].
func (f *Fleet) Builds(_ context.Context, id uuid.UUID, since time.Time, limit int) ([]lifecycle.Build, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.byID[id]
	if !ok {
		return nil, lifecycle.ErrNotFound
	}
	var list []lifecycle.Build
	for _, b := range slices.Backward(m.builds) {
		if len(list) == limit {
			break
		}
		if list = append(list, b); b.CreatedAt.Before(since) {
			break
		}
	}
	return list, nil
}

// Marks implements [webui.Recorder].
func (f *Fleet) Marks(_ context.Context, id uuid.UUID, since time.Time) ([]webui.Mark, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.byID[id]
	if !ok {
		return nil, lifecycle.ErrNotFound
	}
	var list []webui.Mark
	for _, k := range m.marks {
		if !k.At.Before(since) {
			list = append(list, k)
		}
	}
	for _, s := range m.sessions {
		if !s.Begin.Before(since) && s.Begin.Before(f.now) {
			list = append(list, webui.Mark{At: s.Begin, Kind: webui.MarkActivity, Text: "somebody came to work"})
		}
	}
	slices.SortFunc(list, func(a, b webui.Mark) int { return a.At.Compare(b.At) })
	return list, nil
}

// Sessions implements [webui.Usage].
func (f *Fleet) Sessions(_ context.Context, id uuid.UUID) ([]forecast.Session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.byID[id]
	if !ok {
		return nil, lifecycle.ErrNotFound
	}
	return slices.DeleteFunc(slices.Clone(m.sessions), func(s forecast.Session) bool { return s.Begin.After(f.now) }), nil
}

// Outlook implements [webui.Oracle].
func (f *Fleet) Outlook(context.Context) (*forecast.Outlook, error) { return f.outlook, nil }

// Ran implements [webui.Oracle]. It counts from the builds.
func (f *Fleet) Ran(_ context.Context, from time.Time, hours int) ([]int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes := make([]int, hours*60+1) // by minute
	minute := func(t time.Time) int {
		return min(max(int(t.Sub(from)/time.Minute), 0), len(changes)-1)
	}
	for _, m := range f.members {
		for up, down := range m.runs(f.now) {
			changes[minute(up)]++
			changes[minute(down)]--
		}
	}
	most, running := make([]int, hours), 0
	for i := range most {
		for _, d := range changes[i*60 : i*60+60] {
			running += d
			most[i] = max(most[i], running)
		}
	}
	return most, nil
}

// runs yields the stretches in which a workspace ran.
func (m *member) runs(now time.Time) iter.Seq2[time.Time, time.Time] {
	return func(yield func(time.Time, time.Time) bool) {
		var up time.Time
		for _, b := range m.builds {
			switch {
			case b.Status != lifecycle.JobSucceeded:
			case b.Transition == lifecycle.TransitionStart && up.IsZero():
				up = b.CompletedAt
			case b.Transition != lifecycle.TransitionStart && !up.IsZero():
				if !yield(up, b.CompletedAt) {
					return
				}
				up = time.Time{}
			}
		}
		if !up.IsZero() {
			yield(up, now)
		}
	}
}
