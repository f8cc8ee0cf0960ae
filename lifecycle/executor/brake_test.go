package executor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// dueDeletions are n dormant workspaces whose deletion is due, with ids from 1.
func dueDeletions(n int) (all []lifecycle.Snapshot) {
	del := policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = day })
	for i := range n {
		all = append(all, numbered(i+1, stopped(del, asleep(monday.Add(-time.Hour)))))
	}
	return all
}

// braked is a store that answers by itself what may be deleted.
type braked struct {
	*memory.Store
	err   error
	asked int
}

func (b *braked) AdmitDeletions(_ context.Context, _ time.Time, _ lifecycle.Brake, due []lifecycle.DueDeletion) ([]uuid.UUID, error) {
	b.asked += len(due)
	return nil, b.err
}

// What the brake holds is counted, by workspace and in the metrics, and takes no other transition's place.
func TestBrakeIsCounted(t *testing.T) {
	f := newFleet(t)
	f.add(append(dueDeletions(15), numbered(16, running(deadline(monday), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = day }))))...)
	registry := prometheus.NewRegistry()
	e := f.executor(executor.Config{MaxDeletions: 4, Registerer: registry, PageSize: 6}, nil)
	s := e.Tick(f.ctx, monday)
	wantStats(t, s, 5, 11, 0)
	if s.Transitions[id(16)] != lifecycle.TransitionStop {
		t.Errorf("transitions %v: the stop is not among them", s.Transitions)
	}
	for n := 1; n <= 15; n++ {
		if _, made := s.Transitions[id(n)]; !made && s.Skipped[id(n)] != lifecycle.SkipBrake {
			t.Errorf("workspace %d: skipped because of %q", n, s.Skipped[id(n)])
		}
	}
	if n := gathered(t, registry)[`dormouse_transitions_skipped_total{skip_reason="brake"}`]; n != 11 {
		t.Errorf("the metric counts %v", n)
	}
	if s = e.Tick(f.ctx, monday.Add(time.Minute)); s.Evaluated != 0 {
		t.Errorf("a minute later %d are looked at again", s.Evaluated)
	}
}

// If it cannot be known what may be deleted, nothing is; the rest goes on, unless the store is out of reach.
func TestBrakeThatCannotBeAsked(t *testing.T) {
	broken := errors.New("no such table")
	for name, c := range map[string]struct {
		err                 error
		made, skipped, errs int
		fails               bool
	}{
		"an error":      {err: broken, made: 1, skipped: 3, errs: 3},
		"out of reach":  {err: lifecycle.ErrUnavailable, fails: true},
		"none admitted": {made: 1, skipped: 3},
	} {
		f := newFleet(t)
		f.add(append(dueDeletions(3), numbered(4, running(deadline(monday), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = day }))))...)
		store := &braked{Store: f.store, err: c.err}
		s := f.executor(executor.Config{}, store).Tick(f.ctx, monday)
		if store.asked != 3 {
			t.Errorf("%s: asked for %d deletions", name, store.asked)
		}
		wantStats(t, s, c.made, c.skipped, c.errs)
		if (s.Err != nil) != c.fails {
			t.Errorf("%s: the tick ends with %v", name, s.Err)
		}
		for n := 1; n <= 3; n++ {
			if b := f.load(n).Build; b.Transition == lifecycle.TransitionDelete {
				t.Errorf("%s: workspace %d is deleted", name, n)
			}
		}
	}
}

// One deletion alone is braked like many.
func TestBrakeOfOneDeletion(t *testing.T) {
	f := newFleet(t)
	f.add(dueDeletions(1)...)
	wantStats(t, f.executor(executor.Config{}, &braked{Store: f.store}).Tick(f.ctx, monday), 0, 1, 0)
}

// A store that cannot count deletions has no brake, unless somebody asks for one.
func TestBrakeNeedsAStoreThatCounts(t *testing.T) {
	f := newFleet(t)
	f.add(dueDeletions(15)...)
	wantStats(t, f.executor(executor.Config{}, bare{f.store}).Tick(f.ctx, monday), 15, 0, 0)
}

// ticked counts what the store is told of ticks.
type ticked struct {
	*memory.Store
	at  []time.Time
	err error
}

func (s *ticked) Ticked(ctx context.Context, now time.Time, interval, settle time.Duration) (time.Time, error) {
	s.at = append(s.at, now)
	if s.err != nil {
		return time.Time{}, s.err
	}
	return s.Store.Ticked(ctx, now, interval, settle)
}

// The store is told of ticks once an interval, however many there are, and of the end of one that took long: that it did is
// no gap.
func TestTicksAreRecorded(t *testing.T) {
	f := newFleet(t)
	store := &ticked{Store: f.store}
	slow := time.Duration(0)
	e := f.executor(executor.Config{
		Settle: time.Hour, Interval: time.Minute, Granularity: time.Second, BuildTimeout: time.Hour,
		Builder: executor.BuilderFunc(func(context.Context, executor.BuildRequest) (executor.BuildSpec, error) {
			f.clock.Advance(slow)
			return executor.BuildSpec{}, nil
		}),
	}, store)
	for second := range 180 {
		e.Tick(f.ctx, monday.Add(time.Duration(second)*time.Second))
	}
	if len(store.at) != 3 {
		t.Errorf("in three minutes the store was told %d times", len(store.at))
	}
	f.add(numbered(1, running(deadline(monday))), numbered(2, running(deadline(monday.Add(20*time.Minute)))))
	slow = 10 * time.Minute
	wantStats(t, e.Tick(f.ctx, monday.Add(4*time.Minute)), 1, 0, 0)
	slow = 0
	wantStats(t, e.Tick(f.ctx, monday.Add(15*time.Minute)), 0, 0, 0)
	if s := f.load(2); !s.Engine.SettleUntil.IsZero() {
		t.Errorf("a tick that took ten minutes settles until %v", s.Engine.SettleUntil)
	}
	e.Tick(f.ctx, monday.Add(20*time.Minute))
	if s := f.load(2); !s.Engine.SettleUntil.Equal(monday.Add(80*time.Minute)) || s.Build.Transition != lifecycle.TransitionStart {
		t.Errorf("after a gap of four minutes it settles until %v, and the workspace has a %s", s.Engine.SettleUntil, s.Build.Transition)
	}
	store.err = errors.New("full disk")
	if s := e.Tick(f.ctx, monday.Add(30*time.Minute)); !errors.Is(s.Err, store.err) || s.Evaluated != 0 {
		t.Errorf("a tick that cannot be recorded does something all the same: %v, %d evaluated", s.Err, s.Evaluated)
	}
}

// Without settling nobody is told.
func TestTicksAreNotRecordedWithoutSettle(t *testing.T) {
	f := newFleet(t)
	store := &ticked{Store: f.store}
	f.executor(executor.Config{}, store).Tick(f.ctx, monday)
	if len(store.at) != 0 {
		t.Errorf("told of %v", store.at)
	}
}
