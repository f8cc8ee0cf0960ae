package forecast_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/store/memory"
)

// What is foretold for four weeks is what the real executor then does, over random fleets and policies, with builds that
// fail and people who come and go.
func TestUpcomingIsWhatTheExecutorDoes(t *testing.T) {
	fleets := 12
	switch {
	case raced:
		fleets = 2
	case testing.Short():
		fleets = 6
	}
	steps := 0
	for seed := range fleets {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { steps += compare(t, uint64(seed)) })
	}
	t.Logf("%d fleets, %d steps", fleets, steps)
	if steps < 1000*fleets {
		t.Errorf("only %d steps were compared", steps)
	}
}

const weeks = 4

func compare(t *testing.T, seed uint64) int {
	r := seeded(seed)
	w := &world{
		t: t, ctx: t.Context(), store: memory.New(), clock: quartz.NewMock(t).WithLogger(quartz.NoOpLogger),
		builds: r.Builds(pick(r, 0, 10, 30)), people: map[uuid.UUID]*person{}, done: map[uuid.UUID][]string{},
		ends: map[uuid.UUID]end{},
	}
	w.clock.Set(monday)
	for n := range 25 {
		s := r.Snapshot(n + 1)
		w.add(s)
		if r.Yes(70) {
			w.people[s.Workspace.ID] = &person{sessions: r.Sessions(weeks)}
		}
	}
	told := w.foretell()
	w.run()
	compared := 0
	for id, want := range w.done {
		if got := told[id]; !slices.Equal(got, want) {
			t.Errorf("workspace %s: %s", id, difference(got, want))
		}
		compared += len(want)
	}
	for id, got := range told {
		if len(w.done[id]) == 0 && len(got) > 0 {
			t.Errorf("workspace %s: foretold %v, nothing happened", id, got)
		}
	}
	return compared
}

func difference(got, want []string) string {
	for i := range max(len(got), len(want)) {
		var a, b string
		if i < len(got) {
			a = got[i]
		}
		if i < len(want) {
			b = want[i]
		}
		if a != b {
			return fmt.Sprintf("step %d: foretold %q, happened %q", i, a, b)
		}
	}
	return "none"
}

// world is the real executor on the store in memory, with simulated people and workers on one clock.
type world struct {
	t      *testing.T
	ctx    context.Context
	store  *memory.Store
	clock  *quartz.Mock
	exec   *executor.Executor
	builds func(lifecycle.Snapshot) (time.Duration, lifecycle.JobStatus)
	people map[uuid.UUID]*person
	ends   map[uuid.UUID]end
	// done is what happened to each workspace, told by the events of its commits.
	done map[uuid.UUID][]string
}

type person struct {
	sessions [][2]time.Time
	beat     time.Time
}

type end struct {
	at     time.Time
	number int64
	status lifecycle.JobStatus
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// add stores a workspace as its snapshot says.
func (w *world) add(s lifecycle.Snapshot) {
	w.must(w.store.PutTemplate(w.ctx, monday, s.Template))
	w.must(w.store.PutOwner(w.ctx, monday, s.Owner))
	w.must(w.store.CreateWorkspaces(w.ctx, monday, s.Workspace))
	s.Workspace.WakeAt = lifecycle.NextWake(s, monday)
	_, err := w.store.Commit(w.ctx, monday, []lifecycle.Change{{Revision: 1, Workspace: s.Workspace, Build: s.Build, NewBuild: true}})
	w.must(err)
}

func (w *world) all() []lifecycle.Snapshot {
	all, err := w.store.List(w.ctx, lifecycle.ListQuery{Limit: 1000})
	w.must(err)
	return all
}

// foretell asks Upcoming about every workspace of the store.
func (w *world) foretell() map[uuid.UUID][]string {
	told := map[uuid.UUID][]string{}
	for _, s := range w.all() {
		a := forecast.Assumptions{Build: func(s lifecycle.Snapshot) forecast.Outcome {
			took, status := w.builds(s)
			return forecast.Outcome{Took: took, Status: status}
		}}
		if p := w.people[s.Workspace.ID]; p != nil {
			var sessions []forecast.Session
			for _, s := range p.sessions {
				sessions = append(sessions, forecast.Session{Begin: s[0], End: s[1]})
			}
			a.Work = forecast.Recorded(sessions)
		}
		for step := range forecast.Upcoming(s, monday, monday.Add(weeks*7*day), a) {
			if step.Kind != forecast.KindExtended { // told only where the deadline really moved
				told[s.Workspace.ID] = append(told[s.Workspace.ID], line(step))
			}
		}
	}
	return told
}

// line tells a step as the events of the executor tell it.
func line(s forecast.Step) string {
	at := s.At.Format(stamp)
	switch s.Kind {
	case forecast.KindBuild:
		dormant := ""
		if s.Rule == lifecycle.RuleDormancy {
			dormant = " dormant"
		}
		return fmt.Sprint(at, " build ", s.BuildNumber, " ", s.Transition, " ", s.Reason, dormant)
	case forecast.KindEnded:
		return fmt.Sprint(at, " ended ", s.BuildNumber, " ", s.Status)
	case forecast.KindReminder, forecast.KindDormant:
		return fmt.Sprint(at, " ", s.Kind, " ", s.Until.Format(stamp))
	}
	return fmt.Sprint(at, " ", s.Kind)
}

// run lets four weeks pass, a tick every minute.
func (w *world) run() {
	var err error
	ignore := func(context.Context, lifecycle.Event) error { return nil } // the diary reads the events from the commit
	w.exec, err = executor.New(&diary{Store: w.store, w: w}, executor.Config{
		Clock: w.clock, Rand: rand.NewChaCha8([32]byte{}), Auditor: ignore, Notifier: ignore, Logger: slog.New(slog.DiscardHandler),
	})
	w.must(err)
	for _, s := range w.all() {
		if s.Build.Status.Active() {
			w.queue(s)
		}
	}
	for _, p := range w.people {
		p.beat = p.sessions[0][0]
	}
	for now := monday; now.Before(monday.Add(weeks * 7 * day)); now = now.Add(time.Minute) {
		w.happen(now)
		w.clock.Set(now)
		if s := w.exec.Tick(w.ctx, now); s.Err != nil {
			w.t.Fatal(s.Err)
		}
	}
	w.happen(monday.Add(weeks*7*day - 1))
}

// happen lets happen what happens up to an instant: ends of jobs before people, in order of time.
func (w *world) happen(until time.Time) {
	for {
		var at time.Time
		var who uuid.UUID
		var job bool
		for id, e := range w.ends {
			if !e.at.After(until) && (at.IsZero() || e.at.Before(at)) {
				at, who, job = e.at, id, true
			}
		}
		for id, p := range w.people {
			if !p.beat.IsZero() && !p.beat.After(until) && (at.IsZero() || p.beat.Before(at)) {
				at, who, job = p.beat, id, false
			}
		}
		if at.IsZero() {
			return
		}
		w.clock.Set(at)
		if job {
			w.end(who)
		} else {
			w.beat(who, at)
		}
	}
}

func (w *world) end(id uuid.UUID) {
	e := w.ends[id]
	delete(w.ends, id)
	s, err := w.exec.Update(w.ctx, id, func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		if s.Build.Number != e.number {
			return lifecycle.Change{}, lifecycle.ErrStaleBuild
		}
		return lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: e.status})(s, now)
	})
	w.must(err)
	p := w.people[id]
	if p == nil || e.status != lifecycle.JobSucceeded || s.Workspace.Deleted || !p.present(w.clock.Now()) {
		return
	}
	if !runs(s) {
		w.open(id)
	}
}

func (p *person) present(now time.Time) bool {
	for _, s := range p.sessions {
		if !now.Before(s[0]) && now.Before(s[1]) {
			return true
		}
	}
	return false
}

// beat is somebody at work who reports activity, or asks for the workspace.
func (w *world) beat(id uuid.UUID, now time.Time) {
	p := w.people[id]
	p.beat = now.Add(5 * time.Minute)
	if !p.present(p.beat) || p.begins(now, p.beat) {
		p.beat = time.Time{}
		for _, s := range p.sessions {
			if s[0].After(now) {
				p.beat = s[0]
				break
			}
		}
	}
	s, err := w.exec.Load(w.ctx, id)
	if err != nil || s.Workspace.Deleted {
		p.beat = time.Time{}
		return
	}
	if runs(s) {
		_, err := w.exec.Update(w.ctx, id, lifecycle.Used(now))
		w.must(err)
		return
	}
	w.open(id)
}

// begins reports whether a session begins after one instant and not after another.
func (p *person) begins(after, until time.Time) bool {
	for _, s := range p.sessions {
		if s[0].After(after) && !s[0].After(until) {
			return true
		}
	}
	return false
}

// runs: who can work in it. A failed stop of a workspace that ran is seen as broken.
func runs(s lifecycle.Snapshot) bool {
	b := s.Build
	return b.Transition == lifecycle.TransitionStart && b.Status == lifecycle.JobSucceeded && s.Workspace.DormantAt.IsZero()
}

func (w *world) open(id uuid.UUID) {
	_, err := w.exec.Update(w.ctx, id, lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	if err != nil && !errors.Is(err, lifecycle.ErrBuildActive) && !errors.Is(err, lifecycle.ErrDeleted) {
		w.t.Fatal(err)
	}
}

func (w *world) queue(s lifecycle.Snapshot) {
	took, status := w.builds(s)
	at := s.Build.CreatedAt.Add(took)
	if at.Before(monday) {
		at = monday
	}
	w.ends[s.Workspace.ID] = end{at, s.Build.Number, status}
}

// diary is the store, which writes down what the executor commits and gives the jobs to the workers.
type diary struct {
	*memory.Store
	w  *world
	mu sync.Mutex
}

func (d *diary) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	outcomes, err := d.Store.Commit(ctx, now, changes)
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range outcomes {
		if outcomes[i] != lifecycle.Applied {
			d.w.t.Errorf("workspace %s: conflict", changes[i].Workspace.ID)
		}
		d.w.note(&changes[i])
	}
	return outcomes, err
}

// note tells a change by its events.
func (w *world) note(c *lifecycle.Change) {
	id := c.Workspace.ID
	if c.NewBuild {
		w.queue(lifecycle.Snapshot{Workspace: c.Workspace, Build: c.Build})
	}
	for _, e := range c.Events {
		if text := tell(c, e); text != "" {
			w.done[id] = append(w.done[id], e.At.Format(stamp)+" "+text)
		}
	}
}

const stamp = "01-02 15:04:05.999999"

func tell(c *lifecycle.Change, e lifecycle.Event) string {
	if e.Topic == lifecycle.TopicNotice {
		if e.Kind == lifecycle.EventReminder || e.Kind == lifecycle.EventDeleteReminder {
			return "reminder " + e.Until.Format(stamp)
		}
		return ""
	}
	switch e.Kind {
	case lifecycle.EventBuildQueued:
		text := fmt.Sprint("build ", e.BuildNumber, " ", e.Transition, " ", e.Reason)
		if e.Reason == lifecycle.ReasonDormancy {
			text += " dormant"
		}
		return text
	case lifecycle.EventBuildSucceeded, lifecycle.EventBuildFailed, lifecycle.EventBuildCanceled:
		return fmt.Sprint("ended ", e.BuildNumber, " ", string(e.Kind)[len("build."):])
	case lifecycle.EventDormant:
		if !c.NewBuild {
			return "dormant " + e.Until.Format(stamp)
		}
	case lifecycle.EventStartMissed:
		return "missed"
	}
	return ""
}
