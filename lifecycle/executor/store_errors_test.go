package executor_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// Without randomness there are no ids: nothing is made, and nothing is written without one.
func TestWithoutRandomness(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	broken := iotest.ErrReader(errBroken)
	if e, err := executor.New(f.store, executor.Config{Rand: broken, Logger: quiet}); !errors.Is(err, errBroken) || e != nil {
		t.Errorf("an executor without an id of its own: %v, error %v", e, err)
	}
	c := f.client(executor.ClientConfig{Rand: broken})
	before := f.load(1)
	if _, err := c.Update(f.ctx, id(1), lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)); !errors.Is(err, errBroken) {
		t.Errorf("a build without an id: error %v", err)
	}
	if after := f.load(1); after.Build != before.Build || len(f.jobs()) != 0 {
		t.Errorf("a build without an id is stored: %+v", after.Build)
	}
}

// The limit of a call is what its error says, once, however the store words the end of its context.
func TestEndOfTheTime(t *testing.T) {
	for name, says := range map[string]error{
		"deadline exceeded": context.DeadlineExceeded, "canceled": context.Canceled, "something else": errBroken,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &slow{Store: memory.New(), says: says}
				c, err := executor.NewClient(store, executor.ClientConfig{Clock: quartz.NewReal(), Logger: quiet, StoreTimeout: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Load(t.Context(), id(1))
				var late *executor.TimeoutError
				if !errors.As(err, &late) || !errors.Is(err, lifecycle.ErrUnavailable) || late.Limit != time.Minute || late.Stuck {
					t.Fatalf("error %v", err)
				}
				if kept := strings.HasSuffix(err.Error(), says.Error()); kept != (name == "something else") {
					t.Errorf("error %q, want it to add only what the time does not say", err)
				}
			})
		})
	}
}

// slow is a store that answers when its context ends, in words of its own.
type slow struct {
	*memory.Store
	says error
}

func (s *slow) Load(ctx context.Context, _ ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	<-ctx.Done()
	return nil, s.says
}

// A store that fails in the middle of a change of a policy ends it with that error, and with what was done by then.
func TestApplyWhileTheStoreFails(t *testing.T) {
	for what, fail := range map[string]func(*fleet, *hooked){
		"load of what was in conflict": func(f *fleet, h *hooked) {
			// Somebody else changes one workspace of the first batch, and the store is gone when it is read again.
			changed := false
			h.commit = func([]lifecycle.Change) error {
				if !changed {
					changed = true
					f.touch(1)
				}
				return nil
			}
			h.load = func() error {
				if changed {
					return errBroken
				}
				return nil
			}
		},
		"commit": func(_ *fleet, h *hooked) {
			h.commit = func([]lifecycle.Change) error { return lifecycle.ErrUnavailable }
		},
	} {
		f := newFleet(t)
		for n := 1; n <= 6; n++ {
			f.add(numbered(n, stopped(asleep(monday.Add(20*day)), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 20 * day }))))
		}
		store := &hooked{Store: f.store}
		e := f.executor(executor.Config{BatchSize: 3}, store)
		plan, err := e.Plan(f.ctx, id(0xff), lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilAutodelete: 3 * day}})
		f.must(err)
		fail(f, store)
		done, err := e.Apply(f.ctx, plan, nil)
		if !errors.Is(err, errBroken) && !errors.Is(err, lifecycle.ErrUnavailable) || done.Done {
			t.Errorf("%s: done %v, error %v", what, done.Done, err)
		}
		if what != "commit" && done.Applied != 5 {
			t.Errorf("%s: applied %d, want those that were not in conflict", what, done.Applied)
		}
	}
}

// touch changes a workspace as somebody else would.
func (f *fleet) touch(n int) {
	f.Helper()
	c := lifecycle.Rearm(f.load(n), monday)
	c.Workspace.LastUsedAt = monday.Add(time.Minute)
	f.commit(c)
}

// What a sink has received and the store does not learn is an error of Relay, which says how much was delivered before.
func TestRelayWhileTheStoreFails(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(3)...)
	store := &unsettled{Store: f.store}
	audit := &inbox{}
	e, err := executor.New(store, executor.Config{Auditor: audit.receive, Logger: quiet})
	f.must(err)
	wantStats(t, e.Tick(f.ctx, monday), 3, 0, 0)
	delivered, err := e.Relay(f.ctx)
	if !errors.Is(err, errBroken) || delivered != 3 || len(audit.take()) != 3 {
		t.Errorf("delivered %d, error %v", delivered, err)
	}
}

type unsettled struct{ *memory.Store }

func (unsettled) SettleEvents(context.Context, time.Time, []lifecycle.Delivery) error {
	return errBroken
}

// What was committed beside something else is announced as far as it was applied, and the outcomes are whole.
func TestCommitWith(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()), numbered(2, stopped()))
	c := f.client(executor.ClientConfig{Topics: []lifecycle.Topic{lifecycle.TopicAudit}})
	changes := []lifecycle.Change{lifecycle.Rearm(f.load(1), monday), lifecycle.Rearm(f.load(2), monday)}
	changes[0].Revision-- // too late
	var beside atomic.Bool
	outcomes, err := c.CommitWith(f.ctx, monday, changes, func(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
		beside.Store(true)
		return f.store.Commit(ctx, now, changes)
	})
	f.must(err)
	if !beside.Load() || len(outcomes) != 2 || outcomes[0] != lifecycle.Conflict || outcomes[1] != lifecycle.Applied {
		t.Errorf("outcomes %v", outcomes)
	}
	if _, err := c.CommitWith(f.ctx, monday, changes, func(context.Context, time.Time, []lifecycle.Change) ([]lifecycle.Outcome, error) {
		return nil, nil
	}); err == nil {
		t.Error("a function that reports on nothing is believed")
	}
	if _, err := c.CommitWith(f.ctx, monday, changes, func(context.Context, time.Time, []lifecycle.Change) ([]lifecycle.Outcome, error) {
		return nil, errBroken
	}); !errors.Is(err, errBroken) {
		t.Errorf("error %v", err)
	}
}

// Urgent activity of one workspace is written once a second, whoever moves the mouse, and no more rarely: of one whose deadline
// has passed, and of one that nobody knows.
func TestUrgentActivityOnceASecond(t *testing.T) {
	for name, c := range map[string]struct {
		workspace int
		calls     int64 // calls of the store in each second
	}{"a deadline that has passed": {1, 2}, "unknown": {9, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fleet{T: t, store: memory.New(), ctx: t.Context()}
				long := time.Now().Add(-time.Hour)
				f.add(numbered(1, running(deadline(long), workspace(func(w *lifecycle.Workspace) { w.CreatedAt, w.LastUsedAt = long, long }))))
				store := newCounting(f)
				client, err := executor.NewClient(store, executor.ClientConfig{Clock: quartz.NewReal(), Logger: quiet, ActivityFlush: time.Hour})
				f.must(err)
				ctx, cancel := context.WithCancel(f.ctx)
				done := make(chan error, 1)
				go func() { done <- client.Run(ctx) }()
				synctest.Wait()
				for second := range 3 {
					before := store.calls.Load()
					for range 20 {
						client.Activity(id(c.workspace), time.Now())
						synctest.Wait()
						time.Sleep(50 * time.Millisecond)
					}
					if n := store.calls.Load() - before; n != c.calls {
						t.Errorf("second %d: %d calls of the store, want those of one write, %d", second, n, c.calls)
					}
				}
				cancel()
				f.must(<-done)
			})
		})
	}
}
