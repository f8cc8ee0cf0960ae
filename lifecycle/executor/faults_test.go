package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/migrate"
)

var errBroken = errors.New("broken")

// rejectedOne builds every workspace but one, for which it does something else.
func rejectedOne(n int, do func(ctx context.Context) error) executor.Builder {
	return executor.BuilderFunc(func(ctx context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
		if r.Snapshot.Workspace.ID == id(n) {
			return executor.BuildSpec{}, do(ctx)
		}
		return executor.BuildSpec{}, nil
	})
}

// One bad workspace stops no other; it backs off, and Stats and Explain show why.
func TestOneBadWorkspace(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(context.Context) error
		skip   lifecycle.SkipReason
		errs   int
		reason string
	}{
		"error":   {func(context.Context) error { return errBroken }, lifecycle.SkipError, 1, "broken"},
		"panic":   {func(context.Context) error { panic("boom") }, lifecycle.SkipError, 1, "panic: boom"},
		"refusal": {func(context.Context) error { return executor.Refuse("quota of %d used up", 3) }, lifecycle.SkipRefused, 0, "refused: quota of 3 used up"},
		"wrapped": {func(context.Context) error { return errors.Join(errBroken, executor.Refuse("busy")) }, lifecycle.SkipRefused, 0, "refused: busy"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.add(dueStops(10)...)
			e := f.executor(executor.Config{Builder: rejectedOne(4, c.do)}, nil)
			s := e.Tick(f.ctx, monday)
			wantStats(t, s, 9, 1, c.errs)
			if s.Skipped[id(4)] != c.skip || f.queued(10) != 9 {
				t.Errorf("skipped %v, %d queued", s.Skipped, f.queued(10))
			}
			var panicked *executor.PanicError
			if name == "panic" && (!errors.As(s.Errors[id(4)], &panicked) || len(panicked.Stack) == 0) {
				t.Errorf("error %v should be a panic with its stack", s.Errors[id(4)])
			}
			w := f.load(4).Workspace
			if w.Backoff.Cause != c.skip || w.Backoff.Attempts != 1 || !w.WakeAt.Equal(w.Backoff.Until) || w.Failures != 0 {
				t.Errorf("backs off %+v, wakes %v, %d failures", w.Backoff, w.WakeAt, w.Failures)
			}
			x, err := e.Explain(f.ctx, id(4))
			f.must(err)
			if r := x.Rules[lifecycle.RuleAutostop-1]; r.Verdict != lifecycle.VerdictHeld || !strings.Contains(r.Because, c.reason) {
				t.Errorf("explained: %s because %s", r.Verdict, r.Because)
			}
			wantStats(t, e.Tick(f.ctx, monday), 0, 0, 0)
			wantStats(t, e.Tick(f.ctx, monday.Add(3*time.Minute)), 0, 1, c.errs)
			if w = f.load(4).Workspace; w.Backoff.Attempts != 2 {
				t.Errorf("backs off %+v after the second attempt", w.Backoff)
			}
		})
	}
}

func TestOneUnparsableSchedule(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(3)...)
	f.add(numbered(9, stopped(unusable("every day"))))
	e := f.executor(executor.Config{}, nil)
	s := e.Tick(f.ctx, monday)
	wantStats(t, s, 3, 0, 1)
	if err := s.Errors[id(9)]; err == nil || !strings.Contains(err.Error(), "every day") {
		t.Errorf("error %v", err)
	}
	if wake := f.load(9).Workspace.WakeAt; !wake.Equal(monday.Add(time.Hour)) {
		t.Errorf("looked at again at %v, want in an hour", wake)
	}
	wantStats(t, e.Tick(f.ctx, monday.Add(59*time.Minute)), 0, 0, 0)
	wantStats(t, e.Tick(f.ctx, monday.Add(time.Hour)), 0, 0, 1)
	x, err := e.Explain(f.ctx, id(9))
	f.must(err)
	if !strings.Contains(x.Error, "every day") {
		t.Errorf("Explain says error %q", x.Error)
	}
}

// The builds of others are committed while one is slow; when its time is over, it backs off.
func TestOneSlowWorkspace(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(10)...)
	others := make(chan struct{})
	done := 0
	store := &hooked{Store: f.store}
	e := f.executor(executor.Config{
		BatchSize: 100, Concurrency: 3, BuildTimeout: 7 * time.Second,
		Builder: rejectedOne(1, func(ctx context.Context) error {
			<-others // all the others are committed before this one ends
			f.clock.Advance(7 * time.Second)
			<-ctx.Done()
			return context.Cause(ctx)
		}),
		Queued: func(jobs []lifecycle.Job) {
			if done += len(jobs); done == 9 {
				close(others)
			}
		},
		CommitsInFlight: 1,
	}, store)
	s := e.Tick(f.ctx, monday)
	wantStats(t, s, 9, 1, 1)
	if !errors.Is(s.Errors[id(1)], context.DeadlineExceeded) || s.Err != nil {
		t.Errorf("errors %v, %v", s.Errors, s.Err)
	}
}

// A row that the store does not take is found, whether the store names it or not, and all the others are applied.
func TestBadRowsAreIsolated(t *testing.T) {
	for name, named := range map[string]bool{"named": true, "by halving": false} {
		for _, bad := range [][]int{{1}, {16}, {7, 8}, {1, 5, 11, 16}} {
			t.Run(name, func(t *testing.T) {
				f := newFleet(t)
				f.add(dueStops(16)...)
				commits := 0
				store := &hooked{Store: f.store, commit: func(changes []lifecycle.Change) error {
					commits++
					for _, c := range changes {
						n := slices.IndexFunc(bad, func(n int) bool { return c.Workspace.ID == id(n) })
						if n < 0 || !c.NewBuild {
							continue
						}
						if named {
							return &lifecycle.ChangeError{WorkspaceID: c.Workspace.ID, Err: errBroken}
						}
						return errBroken
					}
					return nil
				}}
				s := f.executor(executor.Config{CommitsInFlight: 1}, store).Tick(f.ctx, monday)
				wantStats(t, s, 16-len(bad), len(bad), len(bad))
				for _, n := range bad {
					if w := f.load(n).Workspace; !errors.Is(s.Errors[id(n)], errBroken) || s.Skipped[id(n)] != lifecycle.SkipStore || w.Backoff.Cause != lifecycle.SkipStore {
						t.Errorf("workspace %d: %v, skipped %v, backs off %+v", n, s.Errors[id(n)], s.Skipped[id(n)], w.Backoff)
					}
				}
				if limit := 2 + len(bad)*10; commits > limit || f.queued(16) != 16-len(bad) || s.Err != nil {
					t.Errorf("%d commits, want at most %d; %d queued; %v", commits, limit, f.queued(16), s.Err)
				}
			})
		}
	}
}

// A row whose back-off cannot be stored either stays due and visible, and still stops no other.
func TestARowThatCannotBeStoredAtAll(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(8)...)
	store := &hooked{Store: f.store, commit: func(changes []lifecycle.Change) error {
		for _, c := range changes {
			if c.Workspace.ID == id(5) {
				return errBroken
			}
		}
		return nil
	}}
	e := f.executor(executor.Config{}, store)
	s := e.Tick(f.ctx, monday)
	wantStats(t, s, 7, 1, 1)
	if s.Left != 1 || s.Err != nil {
		t.Errorf("left %d, error %v", s.Left, s.Err)
	}
	wantStats(t, e.Tick(f.ctx, monday), 0, 1, 1)
}

// A store that fails ends the tick; what was not done stays due, and the next tick does it.
func TestStoreErrors(t *testing.T) {
	for name, breaks := range map[string]func(h *hooked, err error){
		"due":    func(h *hooked, err error) { h.due = func() error { return err } },
		"commit": func(h *hooked, err error) { h.commit = func([]lifecycle.Change) error { return err } },
	} {
		for _, failure := range []error{errors.Join(lifecycle.ErrUnavailable, errBroken), errBroken} {
			t.Run(name, func(t *testing.T) {
				f := newFleet(t)
				f.add(dueStops(100)...)
				store := &hooked{Store: f.store}
				breaks(store, failure)
				e := f.executor(executor.Config{BatchSize: 30}, store)
				if s := e.Tick(f.ctx, monday); !errors.Is(s.Err, errBroken) || len(s.Transitions) != 0 {
					t.Errorf("stats %+v", s)
				}
				if f.queued(100) != 0 {
					t.Error("a store that fails took something")
				}
				store.due, store.commit = nil, nil
				if s := e.Tick(f.ctx, monday); len(s.Transitions) != 100 || s.Err != nil {
					t.Errorf("after recovery %d transitions, %v", len(s.Transitions), s.Err)
				}
			})
		}
	}
}

// An unavailable store is not searched for a bad row, and what is due is done once it is available. Tables that are missing, or of
// another version, are of that kind: another process may be about to make them. That a person has to look is told by their type.
func TestUnavailableFailsFast(t *testing.T) {
	for _, failure := range []error{lifecycle.ErrUnavailable, &migrate.VersionError{}, &migrate.VersionError{Have: migrate.Applied{Version: 9, MinReader: 9}}} {
		f := newFleet(t)
		f.add(dueStops(100)...)
		commits := &counter{}
		ill := failure
		store := &hooked{Store: f.store, commit: func([]lifecycle.Change) error {
			commits.add("n")
			return ill
		}}
		e := f.executor(executor.Config{CommitsInFlight: 1}, store)
		s := e.Tick(f.ctx, monday)
		if n := commits.get("n"); n != 1 || !errors.Is(s.Err, lifecycle.ErrUnavailable) || !errors.Is(s.Err, failure) || len(s.Errors) != 0 {
			t.Errorf("%v: %d commits, %v, errors %v", failure, n, s.Err, s.Errors)
		}
		ill = nil
		wantStats(t, e.Tick(f.ctx, monday.Add(time.Minute)), 100, 0, 0)
	}
}

// A store that answers with the wrong number of outcomes is not believed.
func TestWrongNumberOfOutcomes(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(4)...)
	s := f.executor(executor.Config{}, lying{f.store}).Tick(f.ctx, monday)
	if s.Err == nil || !strings.Contains(s.Err.Error(), "store reported 1 outcome") || len(s.Transitions) != 0 {
		t.Errorf("stats %+v", s)
	}
}

type lying struct{ lifecycle.Store }

func (l lying) Commit(context.Context, time.Time, []lifecycle.Change) ([]lifecycle.Outcome, error) {
	return []lifecycle.Outcome{lifecycle.Applied}, nil
}

// A change by somebody else in between is a conflict: neither a transition nor an error, and evaluated again.
func TestConflicts(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(5)...)
	once := true
	store := &hooked{Store: f.store}
	store.commit = func([]lifecycle.Change) error {
		if once {
			once = false
			f.commit(lifecycle.Rearm(f.load(2), monday))
			s := f.load(3)
			c, err := lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil)(s, monday)
			f.must(err)
			f.commit(c)
		}
		return nil
	}
	e := f.executor(executor.Config{}, store)
	s := e.Tick(f.ctx, monday)
	wantStats(t, s, 3, 0, 0)
	if s.Conflicts != 2 || s.Left != 2 {
		t.Errorf("%d conflicts, %d left", s.Conflicts, s.Left)
	}
	wantStats(t, e.Tick(f.ctx, monday), 1, 0, 0)
	if f.queued(5) != 5 {
		t.Errorf("%d stops", f.queued(5))
	}
}
