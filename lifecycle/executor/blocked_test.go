package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// A locked row at the head of what is due takes the place of one that is free once, not at every tick.
func TestALockedRowTakesNoPlaceFromOthers(t *testing.T) {
	for name, cfg := range map[string]executor.Config{"of the tick": {MaxTransitions: 1}, "of the template": {MaxPerTemplate: 1}} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.add(dueStops(4)...)
			store := &lockedRow{Store: f.store, id: id(1)}
			e := f.executor(cfg, store)
			wantStats(t, e.Tick(f.ctx, monday), 0, 0, 0)
			f.clock.Advance(time.Minute)
			for n := 2; n <= 4; n++ {
				s := e.Tick(f.ctx, f.clock.Now())
				if _, ok := s.Transitions[id(n)]; !ok || len(s.Transitions) != 1 {
					t.Errorf("transitions %v, want that of workspace %d", s.Transitions, n)
				}
				if err := s.Errors[id(1)]; err == nil || !strings.Contains(err.Error(), "locked") || s.Left != 5-n {
					t.Errorf("the stats say %v of the locked one; left %d", err, s.Left)
				}
			}
			store.free.Store(true)
			wantStats(t, e.Tick(f.ctx, f.clock.Now()), 1, 0, 0)
		})
	}
}

// Among more than the places there are, one that was locked has its own again after a while.
func TestAFreedRowHasItsPlaceAgain(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(20)...)
	store := &lockedRow{Store: f.store, id: id(1)}
	e := f.executor(executor.Config{MaxTransitions: 1}, store)
	wantStats(t, e.Tick(f.ctx, monday), 0, 0, 0)
	store.free.Store(true)
	for range 5 {
		f.clock.Advance(time.Minute)
		if _, ok := e.Tick(f.ctx, f.clock.Now()).Transitions[id(1)]; ok {
			return
		}
	}
	t.Error("it waits for all others")
}

// What a flush is writing counts in a tick, however long the store takes for it.
func TestActivityThatIsBeingWrittenGoesBeforeTheTick(t *testing.T) {
	for _, fails := range []bool{false, true} {
		f := newFleet(t)
		f.add(numbered(1, running(policy(bumped), deadline(monday.Add(30*time.Minute)))))
		store := &hooked{Store: f.store}
		e := f.executor(executor.Config{}, store)
		f.clock.Set(monday.Add(30 * time.Minute))
		store.commit = func([]lifecycle.Change) error {
			store.commit = nil
			wantStats(t, e.Tick(f.ctx, monday.Add(30*time.Minute)), 0, 0, 0)
			if fails {
				return lifecycle.ErrUnavailable
			}
			return nil
		}
		e.Activity(id(1), monday.Add(29*time.Minute))
		if err := e.FlushActivity(f.ctx); (err != nil) != fails {
			t.Errorf("flush: %v", err)
		}
		if b := f.load(1).Build; b.Number != 1 || !b.Deadline.Equal(monday.Add(89*time.Minute)) {
			t.Errorf("fails %t: build %d, deadline %v", fails, b.Number, b.Deadline)
		}
	}
}

// Activity whose flush has failed is written by the next one, though the activity before it was written a moment ago.
func TestActivityThatWasNotWrittenNeedsNoFloor(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running(deadline(monday.Add(time.Hour)), workspace(func(w *lifecycle.Workspace) { w.WakeAt = monday.Add(time.Hour) }))))
	store := &hooked{Store: f.store}
	e := f.executor(executor.Config{}, store)
	at := func(d time.Duration) time.Time { f.clock.Set(monday.Add(d)); return f.clock.Now() }
	e.Activity(id(1), at(59*time.Minute))
	f.must(e.FlushActivity(f.ctx))
	last := at(59*time.Minute + 31*time.Second) // less than half of what was left
	e.Activity(id(1), last)
	store.load = func() error { return lifecycle.ErrUnavailable }
	f.must(e.Tick(f.ctx, at(59*time.Minute+41*time.Second)).Err)
	store.load = nil
	f.must(e.Tick(f.ctx, at(59*time.Minute+51*time.Second)).Err)
	if used := f.load(1).Workspace.LastUsedAt; !used.Equal(last) {
		t.Errorf("last used %v, want %v", used, last)
	}
}

// What is prepared after it was given up is closed all the same.
func TestAPreparationThatComesTooLateIsClosed(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start)
		p := &latePreparation{come: make(chan struct{})}
		e := f.executor(executor.Config{Builder: p}, nil)
		wantStats(t, e.Tick(f.ctx, start.Add(time.Minute)), 0, 1, 1)
		close(p.come)
		synctest.Wait()
		if n := p.closed.Load(); n != 1 {
			t.Errorf("closed %d times", n)
		}
	})
}

// latePreparation comes when it comes.
type latePreparation struct {
	come   chan struct{}
	closed atomic.Int64
}

func (p *latePreparation) Prepare(context.Context, executor.Group) (executor.Preparation, error) {
	<-p.come
	return p, nil
}

func (p *latePreparation) Build(context.Context, executor.BuildRequest) (executor.BuildSpec, error) {
	return executor.BuildSpec{}, nil
}

func (p *latePreparation) Close() error {
	p.closed.Add(1)
	return nil
}

// Whoever knows of workers and hangs costs one tick one timeout, however many versions wait for workers.
func TestAvailabilityThatHangs(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		for n := 1; n <= 100; n++ {
			f.add(versioned(n, numbered(n, running(deadline(start), workspace(func(w *lifecycle.Workspace) { w.WakeAt = start })))))
		}
		var hangs atomic.Bool
		e := f.executor(executor.Config{Available: func(ctx context.Context, _ executor.Group) (bool, error) {
			if hangs.Load() {
				<-ctx.Done()
				return false, ctx.Err()
			}
			return false, nil
		}}, nil)
		wantStats(t, e.Tick(f.ctx, start.Add(time.Minute)), 0, 100, 0)
		hangs.Store(true)
		began := time.Now()
		for range 5 {
			wantStats(t, e.Tick(f.ctx, start.Add(time.Minute)), 0, 0, 0)
		}
		if took := time.Since(began); took > 40*time.Second {
			t.Errorf("five ticks with nothing to do took %v, at a build timeout of 30s", took)
		}
	})
}

// One locked row keeps a policy from no other workspace: it is listed, and the plan goes on behind it.
func TestApplyPassesOverALockedRow(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		asked := policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 20 * day })
		for n := 1; n <= 9; n++ {
			f.add(numbered(n, stopped(asleep(start.Add(20*day)), asked)))
		}
		row := &lockedRow{Store: f.store, id: id(3)}
		e := f.executor(executor.Config{PageSize: 4}, wrapping{row, f.store})
		plan, err := e.Plan(f.ctx, id(0xff), lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilAutodelete: 3 * day}})
		f.must(err)
		plan, err = e.Apply(f.ctx, plan, nil)
		f.must(err)
		if plan.Done || plan.Applied != 8 || !slices.Equal(plan.Rejected, []uuid.UUID{id(3)}) {
			t.Errorf("done %t, applied %d, rejected %v", plan.Done, plan.Applied, plan.Rejected)
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("it waited for %v", took)
		}
		time.AfterFunc(300*time.Millisecond, func() { row.free.Store(true) })
		plan, err = e.Apply(f.ctx, plan, nil)
		f.must(err)
		if !plan.Done || plan.Applied != 9 {
			t.Errorf("again: done %t, applied %d, rejected %v", plan.Done, plan.Applied, plan.Rejected)
		}
	})
}

// wrapping is a host's store around another, whose abilities are those of a third.
type wrapping struct {
	lifecycle.Store
	inner lifecycle.Store
}

func (w wrapping) Unwrap() lifecycle.Store { return w.inner }

// hangingRegistry does not return.
type hangingRegistry struct {
	lifecycle.Store
	lifecycle.Registry
	release chan struct{}
}

func (r hangingRegistry) Template(context.Context, uuid.UUID) (lifecycle.Template, bool, error) {
	<-r.release
	return lifecycle.Template{}, false, nil
}

// Plans are bounded like all that leaves the process.
func TestAPlanOverARegistryThatHangs(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		store := hangingRegistry{f.store, f.store, make(chan struct{})}
		e := f.executor(executor.Config{StoreTimeout: 4 * time.Second}, store)
		_, err := e.Plan(f.ctx, id(0xff), lifecycle.PolicyChange{})
		if !errors.Is(err, lifecycle.ErrUnavailable) || time.Since(start) > 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		close(store.release)
	})
}

// watching is a store whose watch misbehaves.
type watching struct {
	lifecycle.Store
	watch func(ctx context.Context) error
}

func (w watching) Unwrap() lifecycle.Store { return w.Store }

func (w watching) WatchWakes(ctx context.Context, _ func()) error { return w.watch(ctx) }

// A watch that does not end, or panics, keeps Run neither from its work nor from its end.
func TestAWatchThatMisbehaves(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(5*time.Second))
		release := make(chan struct{})
		_, stop := f.run(executor.Config{Precise: true}, watching{f.store, func(context.Context) error { <-release; return nil }})
		f.stoppedAt(1, 6*time.Second)
		ended := time.Now()
		var late *executor.TimeoutError
		if err := stop(); !errors.As(err, &late) || !late.Stuck || !strings.Contains(err.Error(), "watch wakes: did not return when its context ended") {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(ended); took > 10*time.Second {
			t.Errorf("Run took %v to end", took)
		}
		close(release)

		f.addDue(2, time.Now().Add(5*time.Second))
		_, stop = f.run(executor.Config{Precise: true}, watching{f.store, func(context.Context) error { panic("boom") }})
		f.stoppedAt(2, 6*time.Second)
		f.must(stop())

		watches := &counter{}
		log := &logs{}
		_, stop = f.run(executor.Config{Precise: true, Logger: log.logger()}, watching{f.store, func(context.Context) error { watches.add("n"); return nil }})
		time.Sleep(10 * time.Second)
		f.must(stop())
		if n, lines := watches.get("n"), log.count("level=WARN", "watch wakes", "ended by itself"); n > 12 || lines < n-1 { // once an interval
			t.Errorf("a watch that ends by itself is begun %d times in 10 seconds, with %d lines of the log", n, lines)
		}
	})
}

// A host's wrapper hides the topics of the store from nobody who records.
func TestRecordThroughAWrappedStore(t *testing.T) {
	f := newFleet(t)
	f.must(f.store.ChangeTopics(f.ctx, 1<<lifecycle.TopicAudit, 0))
	c, err := executor.NewClient(wrapped{f.store}, executor.ClientConfig{Logger: quiet})
	f.must(err)
	template := lifecycle.Template{ID: uuid.New(), Name: "go-dev", ActiveVersionID: uuid.New()}
	event := lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventTemplateChanged, TemplateID: template.ID, At: monday}
	f.must(c.Record(f.ctx, func(w lifecycle.Writer) error { return w.PutTemplate(f.ctx, monday, template) }, event))
	if b, err := f.store.Backlog(f.ctx, monday); err != nil || b.Events != 1 {
		t.Errorf("%d events, %v", b.Events, err)
	}
}
