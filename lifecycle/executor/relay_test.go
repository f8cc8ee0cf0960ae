package executor_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// inbox is a sink that remembers, and fails as long as a test says.
type inbox struct {
	mu   sync.Mutex
	got  []lifecycle.Event
	fail func(e lifecycle.Event) error
}

func (i *inbox) receive(_ context.Context, e lifecycle.Event) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = append(i.got, e)
	if i.fail != nil {
		return i.fail(e)
	}
	return nil
}

func (i *inbox) take() []lifecycle.Event {
	i.mu.Lock()
	defer i.mu.Unlock()
	got := i.got
	i.got = nil
	return got
}

func (f *fleet) relay(e *executor.Executor, want int) {
	f.Helper()
	n, err := e.Relay(f.ctx)
	if err != nil || n != want {
		f.Errorf("%d events delivered, error %v; want %d", n, err, want)
	}
}

// An event leaves after the commit of its change, to the receiver of its topic; a change that is not committed has
// no events.
func TestRelayAfterTheCommit(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(2)...)
	audit, notices, posts := &inbox{}, &inbox{}, &inbox{}
	store := &hooked{Store: f.store, commit: func([]lifecycle.Change) error { return lifecycle.ErrUnavailable }}
	e := f.executor(executor.Config{Auditor: audit.receive, Notifier: notices.receive, Poster: posts.receive}, store)
	e.Tick(f.ctx, monday)
	f.relay(e, 0)
	store.commit = func(changes []lifecycle.Change) error { f.relay(e, 0); return nil } // still none before the commit
	wantStats(t, e.Tick(f.ctx, monday), 2, 0, 0)
	f.relay(e, 4)
	for name, in := range map[string]*inbox{"audit": audit, "post": posts} {
		for _, ev := range in.take() {
			if ev.Topic.String() != name || ev.Kind != lifecycle.EventBuildQueued || ev.Attempt != 1 || ev.BuildNumber != 2 {
				t.Errorf("%s received %+v", name, ev)
			}
			if (ev.Job != nil) != (name == "post") {
				t.Errorf("%s received job %+v", name, ev.Job)
			}
		}
	}
	if n := len(notices.take()); n != 0 || len(f.jobs()) != 0 {
		t.Errorf("%d notices; %d jobs in the queue of the store, though the host posts them itself", n, len(f.jobs()))
	}
	f.relay(e, 0)
}

// Only what somebody receives is written.
func TestEventsNobodyReceives(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	f.executor(executor.Config{}, nil).Tick(f.ctx, monday)
	b, err := f.store.Backlog(f.ctx, monday)
	f.must(err)
	if b.Events != 0 {
		t.Errorf("%d events wait for nobody", b.Events)
	}
}

// A receiver that fails, panics, or takes too long gets the event again, later and later, with the same key, and the
// events behind it wait; other workspaces do not.
func TestRelayRetries(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errBroken }, "panic": func() error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.add(dueStops(2)...)
			in := &inbox{fail: func(e lifecycle.Event) error {
				if e.WorkspaceID == id(1) {
					return fail()
				}
				return nil
			}}
			e := f.executor(executor.Config{Auditor: in.receive}, nil)
			e.Tick(f.ctx, monday)
			_, err := e.Update(f.ctx, id(1), lifecycle.SetAutomaticUpdates(true))
			f.must(err)
			f.relay(e, 1)
			key := ""
			for attempt, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
				for _, ev := range in.take() {
					if ev.WorkspaceID != id(1) {
						continue
					}
					if key == "" {
						key = ev.Key()
					}
					if ev.Key() != key || ev.Attempt != attempt+1 {
						t.Errorf("attempt %d: %s, want %s", ev.Attempt, ev.Key(), key)
					}
				}
				f.clock.Advance(pause - time.Millisecond)
				f.relay(e, 0)
				if len(in.take()) != 0 {
					t.Errorf("delivered again before %v had passed", pause)
				}
				f.clock.Advance(pause/4 + 2*time.Millisecond)
				f.relay(e, 0)
			}
			in.fail = nil
			in.take()
			f.clock.Advance(time.Minute)
			f.relay(e, 2) // the one behind it is only seen by the next claim, which the same call makes
			got := in.take()
			if len(got) != 2 || got[0].Key() != key || got[1].Kind != lifecycle.EventChanged || got[0].Seq >= got[1].Seq {
				t.Errorf("delivered in the end: %+v", got)
			}
		})
	}
}

func TestRelayTimesOut(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	e := f.executor(executor.Config{DeliveryTimeout: 5 * time.Second, Auditor: func(ctx context.Context, _ lifecycle.Event) error {
		f.clock.Advance(5 * time.Second)
		<-ctx.Done()
		if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.Errorf("ended because of %v", context.Cause(ctx))
		}
		return ctx.Err()
	}}, nil)
	e.Tick(f.ctx, monday)
	f.relay(e, 0)
}

// Events of a workspace and topic arrive in their order, also with many of them and several relays.
func TestRelayOrder(t *testing.T) {
	f := newFleet(t)
	const fleetSize, steps = 10, 20
	var all []lifecycle.Snapshot
	for n := range fleetSize {
		all = append(all, numbered(n, stopped()))
	}
	f.add(all...)
	in := &inbox{}
	cfg := executor.Config{Auditor: in.receive}
	e, other := f.executor(cfg, nil), f.executor(cfg, nil)
	for i := range steps {
		for n := range fleetSize {
			_, err := e.Update(f.ctx, id(n), lifecycle.SetAutomaticUpdates(i%2 == 0))
			f.must(err)
		}
	}
	var g sync.WaitGroup
	for _, x := range []*executor.Executor{e, other} {
		g.Go(func() {
			if _, err := x.Relay(f.ctx); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	f.must(func() error { _, err := e.Relay(f.ctx); return err }())
	last, count := map[uuid.UUID]int64{}, 0
	for _, ev := range in.take() {
		if ev.Revision <= last[ev.WorkspaceID] {
			t.Errorf("workspace %v: revision %d after %d", ev.WorkspaceID, ev.Revision, last[ev.WorkspaceID])
		}
		last[ev.WorkspaceID] = ev.Revision
		count++
	}
	if count != fleetSize*steps {
		t.Errorf("%d events, want %d", count, fleetSize*steps)
	}
}

// At least once: an event whose delivery is not settled is delivered again when its lease ends.
func TestRelayAfterACrash(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	in := &inbox{}
	e := f.executor(executor.Config{Auditor: in.receive, DeliveryTimeout: 10 * time.Second}, nil)
	e.Tick(f.ctx, monday)
	claimed, err := f.store.ClaimEvents(f.ctx, monday, []lifecycle.Topic{lifecycle.TopicAudit}, 30*time.Second, 10)
	f.must(err)
	if len(claimed) != 1 {
		t.Fatalf("%d claimed", len(claimed))
	}
	f.relay(e, 0) // somebody has it, and dies
	f.clock.Advance(30 * time.Second)
	f.relay(e, 1)
	if got := in.take(); len(got) != 1 || got[0].Attempt != 2 || got[0].Key() != claimed[0].Key() {
		t.Errorf("delivered %+v", got)
	}
}

// Keys of different events differ, keys of one event do not.
func TestEventKey(t *testing.T) {
	a := lifecycle.Event{WorkspaceID: id(1), Revision: 3, Topic: lifecycle.TopicNotice, Kind: lifecycle.EventReminder, Seq: 1, Attempt: 1}
	b := a
	b.Seq, b.Attempt = 99, 7
	if a.Key() != b.Key() || a.Key() != fmt.Sprintf("%s/3/notice/workspace.stop_upcoming", id(1)) {
		t.Errorf("keys %s and %s", a.Key(), b.Key())
	}
}

// Run delivers by itself, soon after the commit.
func TestRunRelays(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(1, start.Add(3*time.Second))
		at := make(chan time.Time, 1)
		_, stop := f.run(executor.Config{Precise: true, RelayInterval: time.Hour, Auditor: func(context.Context, lifecycle.Event) error {
			at <- time.Now()
			return nil
		}}, nil)
		if delivered := <-at; delivered.Sub(start) != 3*time.Second {
			t.Errorf("delivered after %v", delivered.Sub(start))
		}
		f.must(stop())
	})
}

// A receiver that hangs delays its own topic alone: the events of the others arrive meanwhile, soon after their commits.
func TestRelayOfOneTopicHangs(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		for n := 1; n <= 5; n++ {
			f.addDue(n, start.Add(time.Duration(n)*time.Second))
		}
		audit := &inbox{}
		hanging := &counter{}
		_, stop := f.run(executor.Config{
			Precise: true, RelayInterval: time.Hour, DeliveryTimeout: time.Hour, Concurrency: 1,
			Poster: func(ctx context.Context, _ lifecycle.Event) error {
				hanging.add("call")
				<-ctx.Done()
				return ctx.Err()
			},
			Auditor: audit.receive,
		}, nil)
		for n := 1; n <= 5; n++ {
			f.stoppedAt(n, 2*time.Second)
			synctest.Wait()
			if got := audit.take(); len(got) != 1 || got[0].WorkspaceID != id(n) {
				t.Errorf("stop %d: the audit log received %+v", n, got)
			}
		}
		if n := hanging.get("call"); n != 1 {
			t.Errorf("the poster was called %d times, want once: it hangs", n)
		}
		f.must(stop())
	})
}

// Relay serves all topics side by side, too, and counts what was received.
func TestRelayServesTopicsSideBySide(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(3)...)
	audited := make(chan struct{})
	var once sync.Once
	e := f.executor(executor.Config{
		Auditor: func(context.Context, lifecycle.Event) error {
			once.Do(func() { close(audited) })
			return nil
		},
		Poster: func(ctx context.Context, _ lifecycle.Event) error {
			select {
			case <-audited: // would never come if the posts had to be delivered first
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}, nil)
	e.Tick(f.ctx, monday)
	f.relay(e, 6)
}
