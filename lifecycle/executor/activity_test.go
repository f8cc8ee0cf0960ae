package executor_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

func bumped(p *lifecycle.Policy) { p.ActivityBump = time.Hour }

// Activity is only remembered; a flush writes the latest of each workspace, in one commit a batch.
func TestActivityIsCoalesced(t *testing.T) {
	f := newFleet(t)
	for n := 1; n <= 3; n++ {
		f.add(numbered(n, running(policy(bumped), deadline(monday.Add(30*time.Minute)))))
	}
	calls := &counter{}
	e := f.executor(executor.Config{}, &hooked{Store: f.store, commit: func(changes []lifecycle.Change) error {
		calls.add("commit")
		return nil
	}})
	used := monday.Add(10 * time.Minute)
	f.clock.Set(used)
	var wg sync.WaitGroup
	for n := 1; n <= 3; n++ {
		wg.Go(func() {
			for i := range 1000 {
				e.Activity(id(n), used.Add(-time.Duration(i)*time.Second))
			}
		})
	}
	e.Activity(uuid.New(), used) // unknown: ignored
	wg.Wait()
	if !f.load(1).Workspace.LastUsedAt.Equal(monday) {
		t.Error("activity is written before its flush")
	}
	f.must(e.FlushActivity(f.ctx))
	f.must(e.FlushActivity(f.ctx))
	if n := calls.get("commit"); n != 1 {
		t.Errorf("%d commits for 3,000 activities", n)
	}
	for n := 1; n <= 3; n++ {
		s := f.load(n)
		if !s.Workspace.LastUsedAt.Equal(used) || !s.Build.Deadline.Equal(used.Add(time.Hour)) {
			t.Errorf("workspace %d: last used %v, deadline %v", n, s.Workspace.LastUsedAt, s.Build.Deadline)
		}
	}
}

// Activity that this process knows of counts in a tick, written or not, so that it does not lose against the stop it
// postpones; the tick writes it along.
func TestActivityGoesBeforeTheTick(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running(policy(bumped), deadline(monday.Add(30*time.Minute)))))
	loads := 0
	e := f.executor(executor.Config{}, &hooked{Store: f.store, load: func() error { loads++; return nil }})
	f.clock.Set(monday.Add(30 * time.Minute))
	e.Activity(id(1), monday.Add(29*time.Minute))
	wantStats(t, e.Tick(f.ctx, monday.Add(30*time.Minute)), 0, 0, 0)
	if got := f.load(1).Build; got.Number != 1 || !got.Deadline.Equal(monday.Add(89*time.Minute)) {
		t.Errorf("build %d, deadline %v", got.Number, got.Deadline)
	}
	revision := f.load(1).Workspace.Revision
	f.must(e.FlushActivity(f.ctx))
	if w := f.load(1).Workspace; loads != 0 || w.Revision != revision || !w.LastUsedAt.Equal(monday.Add(29*time.Minute)) {
		t.Errorf("last used %v; revision %d after %d, %d reads: written a second time", w.LastUsedAt, w.Revision, revision, loads)
	}
}

// What cannot be written is kept, and what comes meanwhile is not overwritten by it.
func TestActivityOutlivesAnOutage(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running()))
	down := true
	e := f.executor(executor.Config{}, &hooked{Store: f.store, load: func() error {
		if down {
			return lifecycle.ErrUnavailable
		}
		return nil
	}})
	f.clock.Set(monday.Add(time.Hour))
	e.Activity(id(1), monday.Add(10*time.Minute))
	if err := e.FlushActivity(f.ctx); !errors.Is(err, lifecycle.ErrUnavailable) {
		t.Fatalf("flush into an outage: %v", err)
	}
	f.must(e.Tick(f.ctx, monday).Err) // finds nothing to do, and needs no flush
	down = false
	f.must(e.FlushActivity(f.ctx))
	if at := f.load(1).Workspace.LastUsedAt; !at.Equal(monday.Add(10 * time.Minute)) {
		t.Errorf("last used %v", at)
	}
}

// Activity that lost against another change is tried again within the flush.
func TestActivityAfterAConflict(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running()))
	raced := false
	store := &hooked{Store: f.store}
	store.commit = func(changes []lifecycle.Change) error {
		if !raced {
			raced = true
			f.commit(lifecycle.Rearm(f.load(1), monday))
		}
		return nil
	}
	e := f.executor(executor.Config{}, store)
	f.clock.Set(monday.Add(time.Hour))
	e.Activity(id(1), monday.Add(time.Hour))
	f.must(e.FlushActivity(f.ctx))
	if at := f.load(1).Workspace.LastUsedAt; !at.Equal(monday.Add(time.Hour)) {
		t.Errorf("last used %v", at)
	}
}

// Run flushes by time, and what it holds when it ends.
func TestRunFlushesActivity(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(10*time.Hour))
		e, stop := f.run(executor.Config{ActivityFlush: 10 * time.Second, Interval: time.Hour}, nil)
		time.Sleep(time.Second)
		first := time.Now().UTC()
		e.Activity(id(1), first)
		time.Sleep(10 * time.Second)
		if at := f.load(1).Workspace.LastUsedAt; !at.Equal(first.Truncate(us)) {
			t.Errorf("after the interval: last used %v, want %v", at, first)
		}
		last := time.Now().UTC()
		e.Activity(id(1), last)
		f.must(stop())
		if at := f.load(1).Workspace.LastUsedAt; !at.Equal(last.Truncate(us)) {
			t.Errorf("after the end: last used %v, want %v", at, last)
		}
	})
}

func TestUpdate(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running(deadline(monday.Add(time.Hour)))))
	conflicts := 3
	store := &hooked{Store: f.store}
	store.commit = func([]lifecycle.Change) error {
		if conflicts--; conflicts >= 0 {
			f.commit(lifecycle.Rearm(f.load(1), monday))
		}
		return nil
	}
	e := f.executor(executor.Config{}, store)
	calls := 0
	hold := func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		calls++
		return lifecycle.SetHold(lifecycle.Hold{Until: monday.Add(day)})(s, now)
	}
	got, err := e.Update(f.ctx, id(1), hold)
	f.must(err)
	if calls != 4 || got.Workspace.Revision != f.load(1).Workspace.Revision || !f.load(1).Workspace.Hold.Until.Equal(monday.Add(day)) {
		t.Errorf("%d calls of the verb after 3 conflicts; returned revision %d, stored %d", calls, got.Workspace.Revision, f.load(1).Workspace.Revision)
	}
	before := f.load(1).Workspace.Revision
	if _, err := e.Update(f.ctx, id(1), lifecycle.SetHold(lifecycle.Hold{Until: monday.Add(day)})); err != nil || f.load(1).Workspace.Revision != before {
		t.Errorf("a verb that finds nothing to change: %v, revision %d after %d", err, f.load(1).Workspace.Revision, before)
	}
	conflicts = 1 << 30
	if _, err := e.Update(f.ctx, id(1), lifecycle.SetHold(lifecycle.Hold{Until: time.Time{}})); !errors.Is(err, executor.ErrConflict) {
		t.Errorf("a workspace that changes without end: %v", err)
	}
	if _, err := e.Update(f.ctx, id(9), lifecycle.EndDormancy()); !errors.Is(err, lifecycle.ErrNotFound) {
		t.Errorf("an unknown workspace: %v", err)
	}
}

// A build by hand is prepared like any other, and its refusal is the caller's error.
func TestUpdateWithABuilder(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	refuse := true
	var queued []lifecycle.Job
	e := f.executor(executor.Config{
		Queued: func(jobs []lifecycle.Job) { queued = append(queued, jobs...) },
		Builder: executor.BuilderFunc(func(context.Context, executor.BuildRequest) (executor.BuildSpec, error) {
			if refuse {
				return executor.BuildSpec{}, executor.Refuse("quota: 3 of 3")
			}
			return executor.BuildSpec{Payload: []byte("spec")}, nil
		}),
	}, nil)
	start := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)
	var refusal *executor.RefusalError
	if _, err := e.Update(f.ctx, id(1), start); !errors.As(err, &refusal) || f.load(1).Build.Number != 1 {
		t.Errorf("refused: %v, build %d", err, f.load(1).Build.Number)
	}
	refuse = false
	s, err := e.Update(f.ctx, id(1), start)
	f.must(err)
	if s.Build.Number != 2 || len(f.jobs()) != 1 || len(queued) != 1 || queued[0].ID != s.Build.ID || string(queued[0].Payload) != "spec" {
		t.Errorf("build %+v, %d jobs, announced %v", s.Build, len(f.jobs()), queued)
	}
}
