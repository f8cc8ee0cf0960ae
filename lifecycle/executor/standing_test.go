package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// Nothing stands still: what blocks, hangs or is refused costs what it concerns, and nothing else.

// refusing refuses changes, as a constraint of the host would: without naming the row.
func refusing(bad func(c *lifecycle.Change) bool) func([]lifecycle.Change) error {
	return func(changes []lifecycle.Change) error {
		for i := range changes {
			if bad(&changes[i]) {
				return errBroken
			}
		}
		return nil
	}
}

// However many rows a store refuses, the others are done in the same tick, and the refused ones are postponed by it.
func TestManyRefusedRows(t *testing.T) {
	for _, refused := range []int{20, 99, 299} {
		t.Run(fmt.Sprint(refused), func(t *testing.T) {
			f := newFleet(t)
			f.add(dueStops(refused + 1)...)
			store := &hooked{Store: f.store, commit: refusing(func(c *lifecycle.Change) bool {
				return c.NewBuild && c.Workspace.ID != id(refused+1)
			})}
			s := f.executor(executor.Config{CommitsInFlight: 1}, store).Tick(f.ctx, monday)
			wantStats(t, s, 1, refused, refused)
			if s.Err != nil || s.Left != 0 {
				t.Errorf("left %d, error %v", s.Left, s.Err)
			}
			for n := 1; n <= refused; n++ {
				if w := f.load(n).Workspace; w.Backoff.Cause != lifecycle.SkipStore || !w.WakeAt.After(monday) {
					t.Fatalf("workspace %d is not postponed: %+v", n, w.Backoff)
				}
			}
		})
	}
}

// What follows from commits may be more than one batch, and is written all the same.
func TestPostponementsOfManyBatches(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(60)...)
	largest := 0
	store := &hooked{Store: f.store, commit: func(changes []lifecycle.Change) error {
		largest = max(largest, len(changes))
		return refusing(func(c *lifecycle.Change) bool { return c.NewBuild && c.Workspace.ID[15]%5 != 0 })(changes)
	}}
	wantStats(t, f.executor(executor.Config{CommitsInFlight: 1, BatchSize: 4, Builder: rejectedOne(0, nil)}, store).Tick(f.ctx, monday), 12, 48, 48)
	for n := 1; n <= 60; n++ {
		if w := f.load(n).Workspace; (w.Backoff.Attempts == 1) != (n%5 != 0) {
			t.Errorf("workspace %d backs off %+v", n, w.Backoff)
		}
	}
	if largest > 4 {
		t.Errorf("a batch of %d", largest)
	}
}

// A store that refuses each of many changes costs one commit for each, not two.
func TestManyRefusedRowsAreTriedOneByOne(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(400)...)
	commits := 0
	store := &hooked{Store: f.store, commit: func(changes []lifecycle.Change) error {
		commits++
		return refusing(func(c *lifecycle.Change) bool { return c.NewBuild })(changes)
	}}
	wantStats(t, f.executor(executor.Config{CommitsInFlight: 1, BatchSize: 400}, store).Tick(f.ctx, monday), 0, 400, 400)
	if commits > 400+60 {
		t.Errorf("%d commits for 400 refused changes", commits)
	}
}

// What a store refuses altogether, its postponement too, is not tried at every tick, stays visible, and is tried again when
// it has changed or its time has come.
func TestWhatCannotBeStoredIsNotTriedAllTheTime(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(3)...)
	tries := 0
	refuse := true
	store := &hooked{Store: f.store, commit: refusing(func(c *lifecycle.Change) bool {
		if c.Workspace.ID != id(2) {
			return false
		}
		tries++
		return refuse
	})}
	e := f.executor(executor.Config{}, store)
	wantStats(t, e.Tick(f.ctx, monday), 2, 1, 1)
	first := tries
	for range 5 {
		s := e.Tick(f.ctx, monday.Add(30*time.Second).Truncate(time.Minute))
		wantStats(t, s, 0, 1, 1)
		if !errors.Is(s.Errors[id(2)], errBroken) || s.Left != 1 {
			t.Errorf("errors %v, left %d", s.Errors, s.Left)
		}
	}
	if tries != first {
		t.Errorf("tried %d times more within a minute", tries-first)
	}
	x, err := e.Explain(f.ctx, id(2))
	f.must(err)
	if r := x.Rules[lifecycle.RuleAutostop-1]; r.Verdict != lifecycle.VerdictHeld || !strings.Contains(r.Because, "broken") {
		t.Errorf("explained: %s because %s", r.Verdict, r.Because)
	}
	e.Tick(f.ctx, monday.Add(2*time.Minute))
	if tries == first {
		t.Error("not tried again after its pause")
	}
	second := tries
	e.Tick(f.ctx, monday.Add(3*time.Minute))
	if tries != second {
		t.Error("the pause does not grow")
	}
	f.commit(lifecycle.Rearm(f.load(2), monday))
	refuse = false
	wantStats(t, e.Tick(f.ctx, monday.Add(3*time.Minute)), 1, 0, 0)
}

// A store that refuses everything is not many workspaces at fault: the tick says so, and all are tried again at once.
func TestAStoreThatRefusesEverything(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(60)...)
	store := &hooked{Store: f.store, commit: refusing(func(*lifecycle.Change) bool { return true })}
	e := f.executor(executor.Config{}, store)
	if s := e.Tick(f.ctx, monday); !errors.Is(s.Err, errBroken) || len(s.Transitions) != 0 || len(s.Errors) != 60 {
		t.Errorf("error %v, %d errors", s.Err, len(s.Errors))
	}
	store.commit = nil
	wantStats(t, e.Tick(f.ctx, monday), 60, 0, 0)
}

// So many changes that are refused, with none that is taken, are the store's fault; one less is that of the workspaces.
func TestHowManyRefusalsAreTheStores(t *testing.T) {
	for n, fails := range map[int]bool{19: false, 20: true} { // each has a build and a postponement
		f := newFleet(t)
		f.add(dueStops(n)...)
		s := f.executor(executor.Config{}, &hooked{Store: f.store, commit: refusing(func(*lifecycle.Change) bool { return true })}).Tick(f.ctx, monday)
		if (s.Err != nil) != fails || len(s.Errors) != n || fails && !strings.Contains(s.Err.Error(), "refused all of 40 changes") {
			t.Errorf("%d workspaces: error %v, %d errors", n, s.Err, len(s.Errors))
		}
	}
}

// A row that somebody holds costs its workspace, which Stats, Explain and the log name; it is done when it is free.
func TestALockedRow(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(300)...)
	store := &lockedRow{Store: f.store, id: id(7)}
	logs := &logs{}
	e := f.executor(executor.Config{Logger: logs.logger()}, store)
	wantStats(t, e.Tick(f.ctx, monday), 299, 0, 0) // once it may be a commit of somebody else
	f.clock.Advance(time.Second)
	s := e.Tick(f.ctx, monday)
	wantStats(t, s, 0, 1, 1)
	if err := s.Errors[id(7)]; err == nil || !strings.Contains(err.Error(), "locked") || s.Skipped[id(7)] != lifecycle.SkipStore {
		t.Errorf("error %v, skipped %v", err, s.Skipped)
	}
	e.Tick(f.ctx, monday)
	if n := logs.count("executor: workspace is locked", id(7).String()); n != 1 {
		t.Errorf("%d lines of the log name the workspace, want 1", n)
	}
	x, err := e.Explain(f.ctx, id(7))
	f.must(err)
	if r := x.Rules[lifecycle.RuleAutostop-1]; r.Verdict != lifecycle.VerdictHeld || !strings.Contains(r.Because, "locked by another transaction") {
		t.Errorf("explained: %s because %s", r.Verdict, r.Because)
	}
	store.free.Store(true)
	wantStats(t, e.Tick(f.ctx, monday), 1, 0, 0)
	if x, err = e.Explain(f.ctx, id(7)); err != nil || strings.Contains(fmt.Sprint(x), "locked") {
		t.Errorf("still explained as locked: %v, %v", x, err)
	}
}

// lockedRow reports a conflict for a workspace whose row somebody holds.
type lockedRow struct {
	lifecycle.Store
	id   uuid.UUID
	free atomic.Bool
}

func (l *lockedRow) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	at := slices.IndexFunc(changes, func(c lifecycle.Change) bool { return c.Workspace.ID == l.id })
	if at < 0 || l.free.Load() {
		return l.Store.Commit(ctx, now, changes)
	}
	outcomes, err := l.Store.Commit(ctx, now, slices.Delete(slices.Clone(changes), at, at+1))
	return slices.Insert(outcomes, at, lifecycle.Conflict), err
}

// An update waits about a second for a row that somebody holds, then says so.
func TestUpdateOfALockedRow(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(time.Hour))
		store := &lockedRow{Store: f.store, id: id(1)}
		e := f.executor(executor.Config{}, store)
		_, err := e.Update(f.ctx, id(1), lifecycle.SetAutomaticUpdates(true))
		if waited := time.Since(start); !errors.Is(err, executor.ErrConflict) || !strings.Contains(err.Error(), "locked") ||
			waited < 500*time.Millisecond || waited > 3*time.Second {
			t.Errorf("%v after %v", err, waited)
		}
		time.AfterFunc(300*time.Millisecond, func() { store.free.Store(true) })
		_, err = e.Update(f.ctx, id(1), lifecycle.SetAutomaticUpdates(true))
		f.must(err)
	})
}

// versioned gives a snapshot a template version of its own.
func versioned(n int, s lifecycle.Snapshot) lifecycle.Snapshot {
	s.Build.TemplateVersionID = id(0xf000 + n)
	return s
}

// A template version that hangs costs one timeout: the rest of its group is postponed, and others, on whatever page, are
// built meanwhile.
func TestAHangingVersion(t *testing.T) {
	for _, where := range []string{"prepare", "build"} {
		t.Run(where, func(t *testing.T) {
			bubble(t, func(f *fleet, start time.Time) {
				due := workspace(func(w *lifecycle.Workspace) { w.WakeAt = start })
				for n := 1; n <= 200; n++ {
					f.add(versioned(1, numbered(n, running(deadline(start), due))))
				}
				f.add(versioned(2, numbered(900, running(deadline(start), due))))
				hang := func(ctx context.Context, version uuid.UUID, at string) error {
					if at != where || version != id(0xf001) {
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				}
				e := f.executor(executor.Config{PageSize: 20, Builder: hanging(hang), MaxTransitions: 0}, nil)
				s := e.Tick(f.ctx, start.Add(time.Minute))
				wantStats(t, s, 1, 200, 200)
				if b := f.load(900).Build; b.Number != 2 {
					t.Error("the healthy version is not built")
				}
				if took := time.Since(start); took > 65*time.Second {
					t.Errorf("the tick took %v, at a build timeout of 30s", took)
				}
				late := 0
				for _, err := range s.Errors {
					if strings.Contains(err.Error(), "took longer than 30s") {
						late++
					}
				}
				if late != 200 || f.load(150).Workspace.Backoff.Attempts != 1 {
					t.Errorf("%d errors name the timeout; backs off %+v", late, f.load(150).Workspace.Backoff)
				}
			})
		})
	}
}

// hanging is a builder that a function may hold up.
type hanging func(ctx context.Context, version uuid.UUID, at string) error

func (h hanging) Prepare(ctx context.Context, g executor.Group) (executor.Preparation, error) {
	return held{h, g}, h(ctx, g.TemplateVersionID, "prepare")
}

type held struct {
	hanging
	g executor.Group
}

func (p held) Build(ctx context.Context, _ executor.BuildRequest) (executor.BuildSpec, error) {
	return executor.BuildSpec{}, p.hanging(ctx, p.g.TemplateVersionID, "build")
}

func (p held) Close() error { return p.hanging(context.Background(), p.g.TemplateVersionID, "close") }

// One workspace whose build hangs postpones nobody but itself.
func TestOneHangingBuildOfAVersion(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		for n := 1; n <= 300; n++ {
			f.addDue(n, start)
		}
		e := f.executor(executor.Config{Builder: rejectedOne(3, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })}, nil)
		wantStats(t, e.Tick(f.ctx, start.Add(time.Minute)), 299, 1, 1)
	})
}

// A version is prepared once in a tick, on however many pages its workspaces are.
func TestAVersionIsPreparedOnceInATick(t *testing.T) {
	f := newFleet(t)
	for n := 1; n <= 30; n++ {
		f.add(versioned(n%3, numbered(n, running(deadline(monday)))))
	}
	prepared := &counter{}
	e := f.executor(executor.Config{PageSize: 2, Builder: hanging(func(_ context.Context, version uuid.UUID, at string) error {
		prepared.add(at + version.String())
		return nil
	})}, nil)
	wantStats(t, e.Tick(f.ctx, monday), 30, 0, 0)
	for v := range 3 {
		p, c := prepared.get("prepare"+id(0xf000+v).String()), prepared.get("close"+id(0xf000+v).String())
		if p != 1 || c != 1 {
			t.Errorf("version %d prepared %d times, closed %d times", v, p, c)
		}
	}
}

// A version that cannot be prepared is not prepared again in the tick, also if its group was closed before more of it came.
func TestAFailedVersionIsNotPreparedAgainInATick(t *testing.T) {
	f := newFleet(t)
	for n, version := range []int{1, 2, 1, 2} {
		wakes := workspace(func(w *lifecycle.Workspace) { w.WakeAt = monday.Add(time.Duration(n-9) * us) })
		f.add(versioned(version, numbered(n+1, running(deadline(monday), wakes))))
	}
	other := make(chan struct{})
	var pages atomic.Int64
	store := &hooked{Store: f.store, due: func() error {
		if pages.Add(1) == 3 { // the other version has the only place by then
			<-other
		}
		return nil
	}}
	prepared := &counter{}
	e := f.executor(executor.Config{PageSize: 1, Concurrency: 1, Builder: hanging(func(_ context.Context, version uuid.UUID, at string) error {
		prepared.add(at + version.String())
		switch {
		case at != "prepare":
		case version == id(0xf001):
			return errBroken
		case prepared.get(at+version.String()) == 1:
			close(other)
		}
		return nil
	})}, store)
	s := e.Tick(f.ctx, monday)
	wantStats(t, s, 2, 2, 2)
	if n := prepared.get("prepare" + id(0xf001).String()); n != 1 || !errors.Is(s.Errors[id(3)], errBroken) {
		t.Errorf("prepared %d times; the second fails with %v", n, s.Errors[id(3)])
	}
}

// More versions than places take turns, and none is left out.
func TestMoreVersionsThanPlaces(t *testing.T) {
	f := newFleet(t)
	for n := 1; n <= 60; n++ {
		f.add(versioned(n%20, numbered(n, running(deadline(monday)))))
	}
	var mu sync.Mutex
	open, most := 0, 0
	e := f.executor(executor.Config{PageSize: 1, Concurrency: 3, Builder: hanging(func(_ context.Context, _ uuid.UUID, at string) error {
		mu.Lock()
		defer mu.Unlock()
		switch at {
		case "prepare":
			open++
			most = max(most, open)
		case "close":
			open--
		}
		return nil
	})}, nil)
	wantStats(t, e.Tick(f.ctx, monday), 60, 0, 0)
	if open != 0 || most > 3 {
		t.Errorf("%d groups left open, %d at a time", open, most)
	}
}

// What ignores its context is given up: its slot goes to others, the log names it, and Run ends and names it too.
func TestWhatIgnoresItsContext(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		for n := 1; n <= 3; n++ {
			f.addDue(n, start)
		}
		release := make(chan struct{})
		got := &counter{}
		logs := &logs{}
		_, stop := f.run(executor.Config{
			Precise: true, Concurrency: 1, DeliveryTimeout: 5 * time.Second, Logger: logs.logger(),
			Auditor: func(_ context.Context, e lifecycle.Event) error {
				if e.WorkspaceID == id(1) {
					<-release
				}
				got.add(e.WorkspaceID.String())
				return nil
			},
		}, nil)
		time.Sleep(10 * time.Second)
		if got.get(id(2).String()) != 1 || got.get(id(3).String()) != 1 {
			t.Error("the events of other workspaces wait")
		}
		if logs.count("executor: call given up: it does not return", "deliver event "+id(1).String()) == 0 {
			t.Error("the log does not name the call")
		}
		ended := time.Now()
		err := stop()
		var late *executor.TimeoutError
		if !errors.As(err, &late) || !late.Stuck || !strings.Contains(err.Error(), id(1).String()) {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(ended); took > 10*time.Second {
			t.Errorf("Run took %v to end", took)
		}
		close(release)
	})
}

// A store that does not return, whatever its context says, is an unavailable one; Run ends all the same.
func TestAStoreThatDoesNotReturn(t *testing.T) {
	for _, method := range []string{"due", "commit", "load"} {
		t.Run(method, func(t *testing.T) {
			bubble(t, func(f *fleet, start time.Time) {
				f.addDue(1, start)
				release := make(chan struct{})
				wait := func() error { <-release; return nil }
				store := &hooked{Store: f.store}
				switch method {
				case "due":
					store.due = wait
				case "commit":
					store.commit = func([]lifecycle.Change) error { return wait() }
				case "load":
					store.load = wait
				}
				stats := make(chan executor.Stats, 100)
				e, stop := f.run(executor.Config{Precise: true, StoreTimeout: 4 * time.Second, StatsC: stats}, store)
				e.Activity(id(1), start)
				time.Sleep(20 * time.Second)
				var late *executor.TimeoutError
				if method != "load" {
					if s := <-stats; !errors.Is(s.Err, lifecycle.ErrUnavailable) || !errors.As(s.Err, &late) || late.Limit != 4*time.Second {
						t.Errorf("the tick failed with %v", s.Err)
					}
				} else if _, err := e.Load(f.ctx, id(1)); !errors.Is(err, lifecycle.ErrUnavailable) {
					t.Errorf("load: %v", err)
				}
				ended := time.Now()
				if err := stop(); !errors.As(err, &late) || !late.Stuck {
					t.Errorf("Run returned %v", err)
				}
				if took := time.Since(ended); took > 20*time.Second {
					t.Errorf("Run took %v to end", took)
				}
				close(release)
			})
		})
	}
}

// A hook sees its deadline, and the error and the cause of its context say what happened.
func TestHooksSeeTheirDeadline(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start)
		e := f.executor(executor.Config{BuildTimeout: 7 * time.Second, Builder: rejectedOne(1, func(ctx context.Context) error {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) != 7*time.Second {
				t.Errorf("deadline %v, %v", at, ok)
			}
			<-ctx.Done()
			inner, cancel := context.WithCancel(ctx)
			defer cancel()
			var late *executor.TimeoutError
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) || !errors.Is(inner.Err(), context.DeadlineExceeded) || !errors.As(context.Cause(ctx), &late) {
				t.Errorf("error %v, cause %v", ctx.Err(), context.Cause(ctx))
			}
			return ctx.Err()
		})}, nil)
		s := e.Tick(f.ctx, start.Add(time.Minute))
		if err := s.Errors[id(1)]; err == nil || !strings.Contains(err.Error(), "build 2 of workspace "+id(1).String()+": took longer than 7s") ||
			strings.Contains(err.Error(), "canceled") {
			t.Errorf("error %v", err)
		}
	})
}

// On a clock of the host's own, too, the end of the time is no cancellation.
func TestTimeoutOnAMockClock(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	e := f.executor(executor.Config{BuildTimeout: 7 * time.Second, Builder: rejectedOne(1, func(ctx context.Context) error {
		f.clock.Advance(7 * time.Second)
		<-ctx.Done()
		return fmt.Errorf("half way: %w", ctx.Err())
	})}, nil)
	s := e.Tick(f.ctx, monday)
	if err := s.Errors[id(1)]; !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// No panic of a hook passes, and no nil.
func TestHooksThatMisbehave(t *testing.T) {
	boom := func() { panic("boom") }
	for name, c := range map[string]struct {
		cfg       executor.Config
		made, bad int
		err       string
	}{
		"nothing prepared": {executor.Config{Builder: nothing{}}, 0, 1, ""},
		"queued":           {executor.Config{Queued: func([]lifecycle.Job) { boom() }}, 1, 0, ""},
		"shard":            {executor.Config{Shard: func() lifecycle.Shard { boom(); return lifecycle.Shard{} }}, 0, 0, "panic: boom"},
		"available":        {executor.Config{Available: func(context.Context, executor.Group) (bool, error) { boom(); return true, nil }}, 0, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.add(dueStops(1)...)
			s := f.executor(c.cfg, nil).Tick(f.ctx, monday)
			wantStats(t, s, c.made, c.bad, c.bad)
			if (s.Err != nil) != (c.err != "") || s.Err != nil && !strings.Contains(s.Err.Error(), c.err) {
				t.Errorf("error %v", s.Err)
			}
		})
	}
}

type nothing struct{}

func (nothing) Prepare(context.Context, executor.Group) (executor.Preparation, error) {
	return nil, nil
}

// What a caller leaves out is an error, not a panic.
func TestNilArguments(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	e := f.executor(executor.Config{}, nil)
	var none context.Context
	_, update := e.Update(f.ctx, id(1), nil)
	_, view := e.Within(id(0xd1)).Update(f.ctx, id(1), nil)
	_, updateCtx := e.Update(none, id(1), lifecycle.EndDormancy())
	_, load := e.Load(none, id(1))
	_, relay := e.Relay(none)
	client, err := executor.NewClient(f.store, executor.ClientConfig{})
	f.must(err)
	for name, err := range map[string]error{
		"Update without a verb": update, "View.Update without a verb": view, "Update": updateCtx, "Load": load, "Relay": relay, "Tick": e.Tick(none, monday).Err, "Run": e.Run(none),
		"FlushActivity": e.FlushActivity(none), "Client.Run": client.Run(none),
	} {
		if !errors.Is(err, invalid.Err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A granularity longer than the interval would have ticks that find nothing.
func TestGranularityLongerThanTheInterval(t *testing.T) {
	f := newFleet(t)
	_, err := executor.New(f.store, executor.Config{Interval: time.Minute, Granularity: time.Hour})
	if !errors.Is(err, invalid.Err) || !strings.Contains(err.Error(), "Config.Granularity") {
		t.Errorf("error %v", err)
	}
}

// wrapped is a host's store around another.
type wrapped struct{ lifecycle.Store }

func (w wrapped) Unwrap() lifecycle.Store { return w.Store }

// The abilities of a store survive a wrapper that says what it wraps.
func TestAbilitiesOfAWrappedStore(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(5*time.Second))
		in := &inbox{}
		e, stop := f.run(executor.Config{Precise: true, Auditor: in.receive, Retention: time.Hour, EventRetention: time.Hour}, wrapped{wrapped{f.store}})
		f.stoppedAt(1, 6*time.Second)
		time.Sleep(time.Second)
		if len(in.take()) != 1 {
			t.Error("nothing delivered")
		}
		if _, err := e.Plan(f.ctx, f.load(1).Template.ID, lifecycle.PolicyChange{}); errors.Is(err, invalid.Err) {
			t.Errorf("plan: %v", err)
		}
		f.must(stop())
	})
}

// A finished build is committed as soon as a commit is free, whatever was put behind it that could wait, and does not wait for a slow one.
func TestAFinishedBuildDoesNotWait(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		for n := 1; n <= 4; n++ {
			f.addDue(n, start)
		}
		slow := map[uuid.UUID]time.Duration{id(2): 100 * time.Millisecond, id(3): 200 * time.Millisecond, id(4): 20 * time.Second}
		store := &hooked{Store: f.store, commit: func([]lifecycle.Change) error { time.Sleep(time.Second); return nil }}
		e := f.executor(executor.Config{CommitsInFlight: 1, Builder: executor.BuilderFunc(
			func(_ context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
				time.Sleep(slow[r.Snapshot.Workspace.ID])
				if r.Snapshot.Workspace.ID == id(3) {
					return executor.BuildSpec{}, executor.Refuse("busy")
				}
				return executor.BuildSpec{}, nil
			})}, store)
		ticked := make(chan executor.Stats, 1)
		go func() { ticked <- e.Tick(f.ctx, start.Add(time.Minute)) }()
		time.Sleep(5 * time.Second)
		if n := f.queued(4); n != 2 {
			t.Errorf("%d builds are committed while one is slow", n)
		}
		wantStats(t, <-ticked, 3, 1, 0)
	})
}

// slowRows is a store that takes its time over some workspaces, as a trigger of the host does.
type slowRows struct {
	lifecycle.Store
	slow    func(id uuid.UUID) bool
	commits atomic.Int32
}

func (s *slowRows) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	s.commits.Add(1)
	if slices.ContainsFunc(changes, func(c lifecycle.Change) bool { return s.slow(c.Workspace.ID) }) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.Commit(ctx, now, changes)
}

// Workspaces whose rows take longer than a call may cost one tick some time, and no other workspace its place; they are named. Where all rows
// do, the store is slow: that costs a tick not even twice the time of one call.
func TestRowsThatTakeTooLong(t *testing.T) {
	for slow, want := range map[int]int{1: 149, 3: 147, 150: 0} {
		t.Run(fmt.Sprint(slow), func(t *testing.T) {
			bubble(t, func(f *fleet, start time.Time) {
				for n := range 150 {
					f.addDue(n+1, start)
				}
				guilty := map[uuid.UUID]bool{}
				for n := range slow {
					guilty[id(150-n*150/slow)] = true
				}
				store := &slowRows{Store: f.store, slow: func(id uuid.UUID) bool { return guilty[id] }}
				e := f.executor(executor.Config{StoreTimeout: 10 * time.Second}, store)
				s := e.Tick(f.ctx, start)
				if len(s.Transitions) != want || (s.Err != nil) != (want == 0) {
					t.Errorf("%d transitions, %v", len(s.Transitions), s.Err)
				}
				for id := range guilty {
					if err := s.Errors[id]; want > 0 && (err == nil || !strings.Contains(err.Error(), "took longer than")) {
						t.Errorf("the stats say %v of workspace %s", err, id)
					}
				}
				if took := time.Since(start); want == 0 && took > 20*time.Second || took > time.Minute {
					t.Errorf("the tick took %v and %d commits", took, store.commits.Load())
				}
				began := time.Now()
				if again := e.Tick(f.ctx, began); want > 0 && (time.Since(began) > time.Second || len(again.Errors) != slow) {
					t.Errorf("the next tick took %v: %+v", time.Since(began), again)
				}
			})
		})
	}
}

// rowByRow is a store that writes the rows of a commit one after the other: some take it long, and others are refused.
type rowByRow struct {
	lifecycle.Store
	slow, refused []uuid.UUID
}

func (s *rowByRow) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	for i := range changes {
		switch id := changes[i].Workspace.ID; {
		case slices.Contains(s.refused, id):
			return nil, errBroken
		case slices.Contains(s.slow, id):
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	return s.Store.Commit(ctx, now, changes)
}

// What of a part was committed before another row of it took too long is not committed again, and is no conflict.
func TestRowsThatTakeTooLongBehindARefusedOne(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		for n := range 8 {
			f.addDue(n+1, start)
		}
		store := &rowByRow{Store: f.store, slow: []uuid.UUID{id(1), id(7)}, refused: []uuid.UUID{id(6)}}
		s := f.executor(executor.Config{}, store).Tick(f.ctx, start)
		if wantStats(t, s, 5, 3, 3); s.Conflicts != 0 || s.Err != nil {
			t.Errorf("%d conflicts, %v", s.Conflicts, s.Err)
		}
	})
}
