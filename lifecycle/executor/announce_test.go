package executor_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// deafRun is a Run that looks for nothing by itself for an hour: it notices what is announced to it.
func (f *fleet) deafRun(received chan lifecycle.Event) (*executor.Executor, func() error) {
	f.Helper()
	silent := watching{f.store, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
	return f.run(executor.Config{
		Precise: true, Interval: time.Hour, RelayInterval: time.Hour,
		Auditor: func(_ context.Context, e lifecycle.Event) error { received <- e; return nil },
	}, silent)
}

// Whatever writes through an executor has its relays and its ticks notice it at once: a commit of the host's own, one within a
// transaction, a record beside a write, and a plan.
func TestWhatIsWrittenIsAnnounced(t *testing.T) {
	earlier := func(f *fleet, at time.Time) lifecycle.Change {
		c, err := lifecycle.SetDeadline(at)(f.load(1), time.Now().UTC().Truncate(us))
		f.must(err)
		return c
	}
	for name, c := range map[string]struct {
		write func(f *fleet, e *executor.Executor, at time.Time)
		stops bool
	}{
		"CommitWith": {func(f *fleet, e *executor.Executor, at time.Time) {
			changes := []lifecycle.Change{earlier(f, at)}
			changes[0].Events = append(changes[0].Events, lifecycle.Event{Topic: lifecycle.TopicNotice, Kind: "nobody receives it", WorkspaceID: id(1), At: at})
			given := slices.Clone(changes[0].Events)
			outcomes, err := e.CommitWith(f.ctx, time.Now().UTC().Truncate(us), changes, f.store.Commit)
			f.must(err)
			if outcomes[0] != lifecycle.Applied || len(changes[0].Events) != len(given) {
				f.Errorf("outcome %v, %d events are left of %d", outcomes[0], len(changes[0].Events), len(given))
			}
		}, true},
		"Over": {func(f *fleet, e *executor.Executor, at time.Time) {
			over, committed := e.Over(f.store)
			_, err := over.Update(f.ctx, id(1), lifecycle.SetDeadline(at))
			f.must(err)
			synctest.Wait()
			if f.undelivered() != 1 {
				f.Errorf("%d events wait before the commit", f.undelivered())
			}
			if err := over.Run(f.ctx); !errors.Is(err, executor.ErrAlreadyRun) {
				f.Errorf("Run of a client within a transaction: %v", err)
			}
			committed()
		}, true},
		"Record": {func(f *fleet, e *executor.Executor, at time.Time) {
			tm := f.load(1).Template
			tm.Name = "renamed"
			f.must(e.Record(f.ctx, func(w lifecycle.Writer) error { return w.PutTemplate(f.ctx, time.Now().UTC().Truncate(us), tm) },
				lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: "test", At: at, TemplateID: tm.ID}))
		}, false},
		"Apply": {func(f *fleet, e *executor.Executor, at time.Time) {
			plan, err := e.Plan(f.ctx, f.load(1).Template.ID, lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilDormant: 90 * day}})
			f.must(err)
			_, err = e.Apply(f.ctx, plan, nil)
			f.must(err)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(f *fleet, start time.Time) {
				f.addDue(1, start.Add(10*time.Hour))
				received := make(chan lifecycle.Event, 100)
				e, stop := f.deafRun(received)
				time.Sleep(time.Second)
				began, at := time.Now(), time.Now().Add(29*time.Minute).UTC().Truncate(us)
				c.write(f, e, at)
				<-received
				if late := time.Since(began); late > time.Second {
					t.Errorf("its event is received after %v", late)
				}
				time.Sleep(time.Second)
				if n := f.undelivered(); n != 0 {
					t.Errorf("%d events are written that nobody receives", n)
				}
				if c.stops {
					time.Sleep(time.Until(at) - 100*time.Millisecond)
					if late := f.stoppedAt(1, time.Minute).Sub(at); late < 0 || late > 50*time.Millisecond {
						t.Errorf("stopped %v after the deadline", late)
					}
				}
				f.must(stop())
			})
		})
	}
}

// Without a hook for queued jobs there is nobody to tell, and nothing to complain of.
func TestNobodyIsToldOfJobs(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	f.add(numbered(2, stopped()))
	log := &logs{}
	e := f.executor(executor.Config{Logger: log.logger()}, nil)
	wantStats(t, e.Tick(f.ctx, monday), 1, 0, 0)
	_, err := e.Update(f.ctx, id(2), lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	f.must(err)
	if n := log.count("level=ERROR") + log.count("level=WARN"); n != 0 {
		t.Errorf("%d complaints", n)
	}
}

// A start that fell between two ticks is no missed one, however rarely the host ticks and however late the policy lets it be.
func TestAStartBetweenTwoTicks(t *testing.T) {
	for interval, made := range map[time.Duration]int{time.Hour: 1, time.Minute: 0} {
		f := newFleet(t)
		late := policy(func(p *lifecycle.Policy) { p.MaxLateness = time.Minute })
		f.add(numbered(1, stopped(tilDormant(0), late, autostart("0 9 * * *"), build(func(b *lifecycle.Build) { b.CreatedAt = monday.Add(-us) }))))
		s := f.executor(executor.Config{Interval: interval, Granularity: time.Minute}, nil).Tick(f.ctx, monday.Add(40*time.Minute))
		if len(s.Transitions) != made {
			t.Errorf("ticks every %v: %d starts, skipped %v", interval, len(s.Transitions), s.Skipped)
		}
	}
}

// pruned is a store that says what it has pruned.
type pruned struct {
	*memory.Store
	builds, events []int // what its calls return
	fails          error
	hangs          bool // until the context ends, behind what it has pruned

	mu     sync.Mutex
	calls  []string
	before map[string]time.Time
}

func (p *pruned) next(what string, left *[]int, before time.Time) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, what)
	p.before[what] = before
	if len(*left) > 0 {
		n, *left = (*left)[0], (*left)[1:]
	}
	return n, p.fails
}

// called are the calls since it was asked last, and before when they prune. Its next ones do not fail.
func (p *pruned) called() (calls []string, before map[string]time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls = p.calls
	p.calls, p.fails, p.hangs = nil, nil, false
	return calls, maps.Clone(p.before)
}

func (p *pruned) PruneBuilds(_ context.Context, before time.Time, _ int) (int, error) {
	return p.next("builds", &p.builds, before)
}

func (p *pruned) hang(ctx context.Context) error {
	p.mu.Lock()
	hangs := p.hangs
	p.mu.Unlock()
	if !hangs {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (p *pruned) PruneEvents(ctx context.Context, before time.Time, topics []lifecycle.Topic, _ int) ([]lifecycle.Event, error) {
	n, err := p.next("events", &p.events, before)
	err = errors.Join(err, p.hang(ctx))
	if slices.Contains(topics, lifecycle.TopicPost) {
		return nil, errors.New("a job is pruned")
	}
	return make([]lifecycle.Event, n), err
}

// Run prunes what it is asked to, page by page, once an hour. What fails is logged and tried again, and each for itself.
func TestPruning(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   executor.Config
		store *pruned
		calls []string // of the first round
		logs  int
	}{
		"both": {
			executor.Config{Retention: 24 * time.Hour, EventRetention: 48 * time.Hour},
			&pruned{builds: []int{500, 500, 3}, events: []int{500, 499}},
			[]string{"builds", "builds", "builds", "events", "events"},
			0,
		},
		"builds alone":  {executor.Config{Retention: 24 * time.Hour}, &pruned{builds: []int{499}}, []string{"builds"}, 0},
		"events alone":  {executor.Config{EventRetention: 48 * time.Hour}, &pruned{}, []string{"events"}, 0},
		"neither":       {executor.Config{}, &pruned{}, nil, 0},
		"both fail":     {executor.Config{Retention: 24 * time.Hour, EventRetention: 48 * time.Hour}, &pruned{fails: errBroken}, []string{"builds", "events"}, 1},
		"events, fail":  {executor.Config{EventRetention: 48 * time.Hour}, &pruned{events: []int{500}, fails: errBroken}, []string{"events"}, 1},
		"events, late":  {executor.Config{EventRetention: 48 * time.Hour}, &pruned{events: []int{500}, hangs: true}, []string{"events"}, 1},
		"a page, fails": {executor.Config{Retention: 24 * time.Hour}, &pruned{builds: []int{500}, fails: errBroken}, []string{"builds"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(f *fleet, start time.Time) {
				store, log, events := c.store, &logs{}, 0
				for _, n := range store.events {
					events += n
				}
				store.Store, store.before = f.store, map[string]time.Time{}
				c.cfg.Logger = log.logger()
				_, stop := f.run(c.cfg, store)
				time.Sleep(59 * time.Minute)
				synctest.Wait()
				calls, before := store.called()
				if !slices.Equal(calls, c.calls) || log.count("level=WARN", "doing=prune") != c.logs {
					t.Errorf("calls %v, %d lines of the log", calls, log.count("level=WARN", "doing=prune"))
				}
				if told := log.count("event pruned undelivered"); told != events {
					t.Errorf("%d events are told of, want %d: also those before a failure", told, events)
				}
				for what, at := range before {
					if kept := map[string]time.Duration{"builds": 24 * time.Hour, "events": 48 * time.Hour}[what]; !at.Equal(start.Add(-kept)) {
						t.Errorf("%s before %v are pruned", what, at.Sub(start))
					}
				}
				time.Sleep(2 * time.Minute)
				if calls, _ = store.called(); !slices.Equal(calls, slices.Compact(c.calls)) {
					t.Errorf("an hour later: calls %v", calls)
				}
				f.must(stop())
			})
		})
	}
}

// Activity of a workspace without a deadline moves none, so it is not written at once; whether it has one by then is looked at once
// an hour.
func TestActivityWithoutADeadlineIsNotUrgent(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.add(numbered(1, running(workspace(func(w *lifecycle.Workspace) { w.CreatedAt, w.LastUsedAt = start, start }))))
		store := newCounting(f)
		c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet, ActivityFlush: 100 * time.Hour})
		f.must(err)
		ctx, cancel := context.WithCancel(f.ctx)
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		for range 130 {
			time.Sleep(time.Minute)
			c.Activity(id(1), time.Now())
		}
		synctest.Wait()
		if n := store.calls.Load(); n != 6 {
			t.Errorf("%d calls of the store in two hours, want those of three writes, 6", n)
		}
		cancel()
		f.must(<-done)
	})
}
