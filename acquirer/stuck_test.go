package acquirer_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// hang lets the next call of a verb ignore its context until the returned function is called.
func (f *fleet) hang(verb acquirertest.Verb, answer bool) (release func()) {
	stuck := make(chan struct{})
	wait := func(context.Context) { <-stuck }
	fault := acquirertest.Fault{Before: wait}
	if answer {
		fault = acquirertest.Fault{After: wait}
	}
	f.store.Once(verb, fault)
	return sync.OnceFunc(func() { close(stuck) })
}

// runUntil runs a process and returns what ends it and waits for what Run returns.
func (f *fleet) runUntil(a *acquirer.Acquirer) (stop func() error) {
	ctx, cancel := context.WithCancel(f.ctx)
	result := make(chan error, 1)
	go func() { result <- a.Run(ctx) }()
	f.pass(0)
	stop = sync.OnceValue(func() error { cancel(); return <-result })
	f.stoppers = append(f.stoppers, func() { _ = stop() })
	return stop
}

// A call of the store that ignores its context, before it does anything or when it has done it, costs its time limit and the patience
// with it: jobs are handed out and ended, others' leases are kept, Stats counts it, and Run ends, with an error that names it.
func TestCallsThatDoNotReturn(t *testing.T) {
	t.Parallel()
	for verb, named := range map[acquirertest.Verb]string{
		acquirertest.Claim: "claim", acquirertest.Ready: "ready", acquirertest.End: "end", acquirertest.Heartbeat: "heartbeat", acquirertest.Renew: "renew",
	} {
		for when, answer := range map[string]bool{"before": false, "after": true} {
			t.Run(named+" "+when, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(f *fleet) {
					a := f.make(f.bus, func(c *acquirer.Config) { c.Heartbeat, c.Lease, c.Poll = 4*time.Second, time.Minute, time.Second })
					stop := f.runUntil(a)
					held := f.hand(a)
					release := f.hang(verb, answer)
					f.t.Cleanup(release)
					w := f.joinPlain(a)
					f.slip(f.posting(nil))
					go func() {
						_, _ = a.Renew(f.ctx, queue.Report{Handout: held.Handout(), Progress: &queue.Progress{Percent: 10}})
					}()
					f.pass(0) // a report after the end would not be passed on
					go func() { _, _ = a.End(f.ctx, queue.End{Handout: held.Handout(), Outcome: queue.OutcomeSucceeded}) }()
					f.pass(40 * time.Second)
					job := f.mustGet(w, "behind a call that hangs")
					if n := a.Stats().Stuck; n != 1 {
						f.t.Errorf("%d calls are stuck, want 1", n)
					}
					if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
						f.t.Errorf("its end: %v", err)
					}
					begun := time.Now()
					err := stop()
					if err == nil || !strings.Contains(err.Error(), named) || !errors.Is(err, context.DeadlineExceeded) {
						f.t.Errorf("Run returned %v, want what names %q", err, named)
					}
					if took := time.Since(begun); took > 10*time.Second {
						f.t.Errorf("Run returned after %v", took)
					}
					release()
					f.pass(0)
					if n := a.Stats().Stuck; n != 0 {
						f.t.Errorf("%d calls are stuck though they have returned", n)
					}
				})
			})
		}
	}
}

// The host's policy about lost jobs, and its pubsub, may ignore their contexts as well.
func TestHostThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		release := make(chan struct{})
		bus := &deafBus{Pubsub: f.bus, release: release}
		a := f.make(bus, func(c *acquirer.Config) {
			c.Lost = map[string]acquirer.LostPolicy{"": func(context.Context, acquirer.Job) (acquirer.Verdict, error) {
				<-release
				return acquirer.Verdict{}, errors.New("too late")
			}}
		})
		stop := f.runUntil(a)
		if err := a.Lost(f.ctx, "the host says so", f.hand(a).Lease()); err != nil {
			f.t.Fatal(err)
		}
		f.pass(time.Minute)
		err := stop()
		if err == nil || !strings.Contains(err.Error(), "Config.Lost") || !strings.Contains(err.Error(), "listen") {
			f.t.Errorf("Run returned %v, want what names the policy and the pubsub", err)
		}
		close(release)
		f.pass(0)
	})
}

// Policies that hang for jobs of one organization hold up no verdict about others' jobs, nor one of another policy, however many they are;
// and they are asked no more once a bound of them hangs.
func TestPoliciesThatDoNotReturn(t *testing.T) {
	t.Parallel()
	for name, heeds := range map[string]bool{"and ignore their contexts": false, "until their contexts end": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				release := make(chan struct{})
				var asked atomic.Int64
				hangs := f.org
				a := f.make(f.bus, func(c *acquirer.Config) {
					c.Lost = map[string]acquirer.LostPolicy{
						"": func(ctx context.Context, job acquirer.Job) (acquirer.Verdict, error) {
							if job.Organization != hangs {
								return acquirer.Verdict{Outcome: queue.OutcomeFailed}, nil
							}
							asked.Add(1)
							var over <-chan struct{}
							if heeds {
								over = ctx.Done()
							}
							select {
							case <-release:
							case <-over:
								return acquirer.Verdict{}, ctx.Err()
							}
							return acquirer.Verdict{Outcome: queue.OutcomeFailed}, nil
						},
						"scan": acquirer.FailLost(),
					}
				})
				stop := f.runUntil(a)
				lose := func(n int, kind string) (leases []queue.Lease) {
					for range n {
						w := f.join(a, f.request(nil, kind))
						p := f.posting(nil)
						p.Type = kind
						f.enqueue(a, p)
						leases = append(leases, f.mustGet(w, "to be lost").Lease())
					}
					if err := a.Lost(f.ctx, "the rack is dark", leases...); err != nil {
						t.Fatal(err)
					}
					f.pass(0)
					return leases
				}
				judged := func(leases []queue.Lease) (n int) {
					for _, l := range leases {
						if f.stored(l.Job).State.Final() {
							n++
						}
					}
					return n
				}
				hanging := lose(60, "build")
				others := func(when string) {
					if n := judged(lose(20, "scan")); n != 20 {
						t.Errorf("%s: %d of 20 verdicts of another policy", when, n)
					}
					f.org = uuid.New()
					defer func() { f.org = hangs }()
					if n := judged(lose(20, "build")); n != 20 {
						t.Errorf("%s: %d of 20 verdicts about another organization", when, n)
					}
				}
				others("at once")
				f.pass(time.Hour)
				others("an hour later")
				switch stuck, n := a.Stats().Stuck, asked.Load(); {
				case heeds && (stuck != 0 || n < 120):
					t.Errorf("%d calls are stuck of %d", stuck, n)
				case !heeds && (stuck < 25 || stuck > 25+15 || n != int64(stuck)): // when the bound is reached others are under way
					t.Errorf("%d calls are stuck of %d, want 25 or few more", stuck, n)
				}
				close(release)
				f.pass(time.Minute)
				if n := judged(hanging); n != len(hanging) {
					t.Errorf("%d of %d verdicts once the policies return", n, len(hanging))
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// loseJobs hands jobs of an organization to workers that are lost at once.
func (f *fleet) loseJobs(a *acquirer.Acquirer, organization uuid.UUID, n int) (leases []queue.Lease) {
	f.t.Helper()
	before := f.org
	f.org = organization
	defer func() { f.org = before }()
	for range n {
		leases = append(leases, f.hand(a).Lease())
	}
	if err := a.Lost(f.ctx, "the rack is dark", leases...); err != nil {
		f.t.Fatal(err)
	}
	f.pass(0)
	return leases
}

// hangsFor is a policy that hangs for the jobs of all organizations but one, until its context ends.
func hangsFor(others uuid.UUID) func(*acquirer.Config) {
	return policy(func(ctx context.Context, job acquirer.Job) (acquirer.Verdict, error) {
		if job.Organization != others {
			<-ctx.Done()
			return acquirer.Verdict{}, ctx.Err()
		}
		return acquirer.Verdict{Outcome: queue.OutcomeFailed}, nil
	})
}

// Policies that hang for jobs of many organizations hold up verdicts about others' for some seconds, and not as long as they may hang.
func TestPoliciesThatHangForManyOrganizations(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start(hangsFor(f.org))
		for range 10 {
			f.loseJobs(a, uuid.New(), 20)
		}
		lost := f.loseJobs(a, f.org, 40)
		f.pass(time.Minute / 2)
		for _, l := range lost {
			if job := f.stored(l.Job); job.State != queue.Failed {
				t.Fatalf("a job of another organization is %v", job.State)
			}
		}
	})
}

// However many policies hang, and for however long, as many are asked at once as may be.
func TestPoliciesAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		const most = 16 + 48 + 192
		var calls underWay
		a := f.start(policy(func(ctx context.Context, _ acquirer.Job) (acquirer.Verdict, error) {
			return acquirer.Verdict{}, calls.hang(ctx)
		}))
		for range 20 {
			f.loseJobs(a, uuid.New(), 20)
		}
		if f.pass(9 * time.Second); calls.reset() != 16+48 {
			t.Error("some have left their places before they took long")
		}
		for range 10 {
			f.pass(10 * time.Minute) // each ends after five, and is asked again
			if n := calls.reset(); n != most {
				t.Fatalf("at most %d are asked at once, want %d", n, most)
			}
		}
	})
}

// What the store is asked about leases waits for no policy, be it for the organization of which the policy hangs, or for one of many.
func TestQuestionsWaitForNoPolicy(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string][]uuid.UUID{"the host has no organizations": {uuid.Nil}, "it has many": make([]uuid.UUID, 40)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a, b := f.start(hangsFor(uuid.New())), f.start()
				var held []queue.Job
				for i := range bad {
					if len(bad) > 1 {
						bad[i] = uuid.New()
					}
					f.org = bad[i]
					held = append(held, f.hand(a, silence(time.Hour)))
				}
				for _, id := range bad {
					f.loseJobs(a, id, 20)
				}
				f.pass(2 * time.Minute)
				canceled := held[0]
				live, stop := a.Watch(f.ctx, canceled.Lease())
				defer stop()
				if _, err := b.Cancel(f.ctx, "enough", canceled.ID); err != nil {
					t.Fatal(err)
				}
				f.pass(100 * time.Millisecond) // a heartbeat says it later
				if live.Err() == nil {
					t.Error("the worker has not heard that its job is to end")
				}
			})
		})
	}
}

// A policy that hangs for one job is asked about it three times, and about others of its organization as ever.
func TestPolicyThatHangsForOneJob(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		release := make(chan struct{})
		var hangs atomic.Pointer[uuid.UUID]
		var asked atomic.Int64
		a := f.make(f.bus, policy(func(_ context.Context, job acquirer.Job) (acquirer.Verdict, error) {
			if job.ID == *hangs.Load() {
				asked.Add(1)
				<-release
			}
			return acquirer.Verdict{Outcome: queue.OutcomeFailed}, nil
		}))
		stop := f.runUntil(a)
		first, second := f.hand(a), f.hand(a)
		hangs.Store(&first.ID)
		if err := a.Lost(f.ctx, "the rack is dark", first.Lease()); err != nil {
			t.Fatal(err)
		}
		f.pass(time.Hour)
		if n := asked.Load(); n != 3 {
			t.Errorf("asked %d times, want 3", n)
		}
		if err := a.Lost(f.ctx, "the rack is dark", second.Lease()); err != nil {
			t.Fatal(err)
		}
		f.pass(time.Second)
		if job := f.stored(second.ID); job.State != queue.Failed {
			t.Errorf("another job is %v", job.State)
		}
		if err := stop(); err == nil || !strings.Contains(err.Error(), `Config.Lost[""] for job `+first.ID.String()) {
			t.Errorf("Run returned %v", err)
		}
		close(release)
		f.pass(0)
	})
}

// deafBus does not stop listening when it is told.
type deafBus struct {
	*acquirertest.Pubsub
	release chan struct{}
}

func (b *deafBus) Listen(ctx context.Context, l queue.Listener) error {
	err := b.Pubsub.Listen(ctx, l)
	<-b.release
	return err
}

// A store that takes no heartbeat for most of a period takes no lease: who was refused asks again at once, with growing pauses, and
// not when the next one is due, which is when the process gives up its leases.
func TestHeartbeatIsTriedAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		const period = 10 * time.Second
		a := f.start(func(c *acquirer.Config) { c.Heartbeat, c.Lease = period, 3*period })
		job := f.hand(a)
		down := time.Now().Add(18 * time.Second)
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Down: v == acquirertest.Heartbeat && time.Now().Before(down)}
		})
		calls := f.store.Calls(acquirertest.Heartbeat)
		f.pass(18 * time.Second)
		if n := f.store.Calls(acquirertest.Heartbeat) - calls; n < 4 || n > 16 {
			f.t.Errorf("%d heartbeats in the 8 seconds in which they failed", n)
		}
		f.pass(6 * time.Second)
		if s := a.Stats(); s.Holding != 1 || s.Failures != 0 || !s.Registered {
			f.t.Errorf("after it: %+v", s)
		}
		if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			f.t.Errorf("the end of what ran meanwhile: %v", err)
		}
	})
}

// A heartbeat that hangs for its whole time limit, which is all that is left of the lease, costs no lease: others are tried beside it.
// So it is where heartbeats have a connection of their own, which hangs or fails as a whole: those beside it go to the store.
func TestHeartbeatIsTriedBesideOneThatHangs(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context) { <-ctx.Done() }
	for name, route := range map[string]func(f *fleet) (queue.Pubsub, func()){
		"of the store": func(f *fleet) (queue.Pubsub, func()) {
			return f.bus, func() { f.store.Once(acquirertest.Heartbeat, acquirertest.Fault{Before: hang}) }
		},
		"of the pubsub": func(f *fleet) (queue.Pubsub, func()) {
			bus := &mortalBus{Pubsub: f.bus, beats: f.inner}
			return bus, func() { bus.fault.Store(&hang) }
		},
		"of a pubsub that fails": func(f *fleet) (queue.Pubsub, func()) {
			bus := &mortalBus{Pubsub: f.bus, beats: f.inner}
			return bus, func() { fail := func(context.Context) {}; bus.fault.Store(&fail) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				bus, fail := route(f)
				a := f.make(bus)
				stop := f.runUntil(a)
				job := f.hand(a)
				ctx, unwatch := a.Watch(f.ctx, job.Lease())
				defer unwatch()
				fail()
				f.pass(5 * time.Minute)
				if ctx.Err() != nil {
					t.Errorf("a connection that hangs cost the job: %v", context.Cause(ctx))
				}
				if s := a.Stats(); s.Failures != 0 || s.Stuck != 0 || !s.Registered {
					t.Errorf("after it: %+v", s)
				}
				if err := stop(); err != nil {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// However many heartbeats on the pubsub's own connection never return, the store's are made all the same.
func TestPubsubHeartbeatsThatNeverReturn(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		release := make(chan struct{})
		hang := func(context.Context) { <-release }
		bus := &mortalBus{Pubsub: f.bus, beats: f.inner}
		a := f.make(bus)
		stop := f.runUntil(a)
		job := f.hand(a)
		ctx, unwatch := a.Watch(f.ctx, job.Lease())
		defer unwatch()
		bus.fault.Store(&hang)
		f.pass(30 * time.Minute)
		if ctx.Err() != nil {
			f.t.Errorf("a pubsub that hangs cost the job: %v", context.Cause(ctx))
		}
		if s := a.Stats(); s.Failures != 0 || s.Stuck != 100 || !s.Registered {
			f.t.Errorf("after it: %+v", s)
		}
		if err := stop(); err == nil || !strings.Contains(err.Error(), "pubsub heartbeat") {
			f.t.Errorf("Run returned %v, want what names the pubsub", err)
		}
		close(release)
		f.pass(0)
	})
}

// Where all heartbeats hang, few are under way at once, and the process gives up its leases in time.
func TestHeartbeatsThatAllHang(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.hand(a)
		ctx, stop := a.Watch(f.ctx, job.Lease())
		defer stop()
		var under, most atomic.Int32
		f.store.Choose(func(v acquirertest.Verb) (fault acquirertest.Fault) {
			if v == acquirertest.Heartbeat {
				fault.Before = func(ctx context.Context) {
					most.Store(max(most.Load(), under.Add(1)))
					<-ctx.Done()
					under.Add(-1)
				}
			}
			return fault
		})
		f.pass(21 * time.Second)
		if !errors.Is(context.Cause(ctx), queue.ErrLeaseLost) {
			t.Errorf("silent for a lease less a heartbeat: %v", context.Cause(ctx))
		}
		f.pass(5 * time.Minute)
		if n := most.Load(); n != 3 {
			t.Errorf("%d heartbeats were under way at once, want 3", n)
		}
		f.store.Choose(nil)
		f.pass(time.Minute)
		if s := a.Stats(); !s.Registered || s.Failures != 0 {
			t.Errorf("afterwards: %+v", s)
		}
	})
}

// mortalBus carries heartbeats on its only connection, which may be dead.
type mortalBus struct {
	*acquirertest.Pubsub
	beats queue.Heartbeater
	fault atomic.Pointer[func(context.Context)]
}

func (b *mortalBus) Heartbeat(ctx context.Context, h queue.Heartbeat) (queue.Fleet, error) {
	if fault := b.fault.Load(); fault != nil {
		(*fault)(ctx)
		return queue.Fleet{}, acquirertest.ErrDown
	}
	return b.beats.Heartbeat(ctx, h)
}

// A question about one job that hangs takes no places of others' questions, however often it is asked.
func TestRetryThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		release := make(chan struct{})
		var stuck uuid.UUID
		a := f.make(f.bus, func(c *acquirer.Config) {
			c.Retry = func(_ context.Context, job acquirer.Job) error {
				if job.ID == stuck {
					<-release
				}
				return nil
			}
		})
		stop := f.runUntil(a)
		var over []acquirer.Job
		for range 2 {
			job := f.hand(a)
			if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeFailed}); err != nil {
				t.Fatal(err)
			}
			over = append(over, job)
		}
		stuck = over[0].ID
		for range 120 {
			ctx, cancel := context.WithTimeout(f.ctx, time.Second)
			if _, err := a.Retry(ctx, "ann", "again", stuck); err == nil {
				t.Error("retried though nobody has said that it may be")
			}
			cancel()
		}
		if changed, err := a.Retry(f.ctx, "ann", "again", over[1].ID); err != nil || len(changed) != 1 {
			t.Errorf("another job: %d retried, %v", len(changed), err)
		}
		if n := a.Stats().Stuck; n > 3 {
			t.Errorf("%d calls are stuck for one job", n)
		}
		if err := stop(); err == nil || !strings.Contains(err.Error(), "Config.Retry for job "+stuck.String()) {
			t.Errorf("Run returned %v", err)
		}
		close(release)
		f.pass(0)
	})
}
