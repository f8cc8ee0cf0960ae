package acquirer_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// partial is a store whose claims and listings fail for some organizations.
type partial struct {
	queue.Store
	calls atomic.Int64 // those that failed
	// sound are calls that do not fail: claims, listings or none.
	sound acquirertest.Verb

	mu   sync.Mutex
	fail func(ctx context.Context, organizations []uuid.UUID) error
}

func (p *partial) set(fail func(ctx context.Context, organizations []uuid.UUID) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = fail
}

func (p *partial) fault(ctx context.Context, verb acquirertest.Verb, organizations ...uuid.UUID) error {
	p.mu.Lock()
	fail := p.fail
	p.mu.Unlock()
	if fail == nil || verb == p.sound {
		return nil
	}
	err := fail(ctx, organizations)
	if err != nil {
		p.calls.Add(1)
	}
	return err
}

func (p *partial) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	if err := p.fault(ctx, acquirertest.Claim, c.Probes[0].Lane.Organization); err != nil {
		return queue.Claimed{}, err
	}
	return p.Store.Claim(ctx, c)
}

func (p *partial) Ready(ctx context.Context, now time.Time, q queue.ReadyQuery) (queue.Listing, error) {
	if err := p.fault(ctx, acquirertest.Ready, q.Organizations...); err != nil {
		return queue.Listing{}, err
	}
	return p.Store.Ready(ctx, now, q)
}

// partly runs a process on such a store.
func (f *fleet) partly(change ...func(*acquirer.Config)) (*acquirer.Acquirer, *partial) {
	f.t.Helper()
	store := &partial{Store: f.store}
	cfg := acquirer.Config{Events: f.event, StopTimeout: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	a, err := acquirer.New(store, f.bus, cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.runUntil(a)
	return a, store
}

// Calls fail at once, or hang until their time is over.
func refuse(context.Context) error { return acquirertest.ErrDown }

func hangUntilTheEnd(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// What the store refuses to some organizations, or does not finish for them, costs no other organization any time: be it all that is
// asked for them, or claims or listings alone.
func TestOrganizationsThatFail(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(context.Context) error{"refused": refuse, "hanging": hangUntilTheEnd} {
		for _, sound := range []acquirertest.Verb{"", acquirertest.Claim, acquirertest.Ready} {
			t.Run(name+" but for "+string(sound), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(f *fleet) { organizationsThatFail(f, fail, sound) })
			})
		}
	}
}

// fails lets calls for some organizations fail.
func (p *partial) fails(bad []uuid.UUID, fail func(context.Context) error) {
	p.set(func(ctx context.Context, organizations []uuid.UUID) error {
		if slices.ContainsFunc(organizations, func(id uuid.UUID) bool { return slices.Contains(bad, id) }) {
			return fail(ctx)
		}
		return nil
	})
}

// joinOf lets a worker of an organization wait, and postTo posts to it.
func (f *fleet) joinOf(a *acquirer.Acquirer, organization uuid.UUID, tags map[string]string) *wait {
	f.t.Helper()
	r := f.request(tags)
	r.Organization = organization
	return f.join(a, r)
}

func (f *fleet) postTo(a *acquirer.Acquirer, organization uuid.UUID, tags map[string]string) {
	f.t.Helper()
	p := f.posting(tags)
	p.Organization = organization
	f.enqueue(a, p)
}

func organizationsThatFail(f *fleet, fail func(context.Context) error, sound acquirertest.Verb) {
	a, store := f.partly()
	store.sound = sound
	bad := []uuid.UUID{uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()}
	store.fails(bad, fail)
	for _, id := range bad {
		for lane := range 2 {
			tags := map[string]string{"lane": fmt.Sprint(lane)}
			f.joinOf(a, id, tags)
			f.postTo(a, id, tags)
		}
		f.pass(15 * time.Second)
	}
	late, visitors := 0, 0
	for i := range 60 {
		for _, id := range bad { // somebody comes and goes there, too
			f.joinOf(a, id, map[string]string{"visitor": fmt.Sprint(visitors % 4)}).cancel()
			visitors++
		}
		w := f.joinOf(a, f.org, nil)
		f.pass(time.Second)
		if i%2 == 0 {
			f.postTo(a, f.org, nil)
		} else {
			p := f.posting(nil)
			f.slip(p)
			f.join(a, f.request(map[string]string{"other": "yes"})).cancel() // has it looked for
			f.pass(300 * time.Millisecond)
		}
		if !w.got() {
			late++
		}
		w.cancel()
		f.pass(time.Second)
	}
	if late > 0 {
		f.t.Errorf("%d of 60 jobs of another organization waited", late)
	}
	failing := a.Stats().Failing
	for _, id := range bad {
		if failing[id] < 3 {
			f.t.Errorf("%d failures in a row are counted for an organization, of %v", failing[id], failing)
		}
	}
	if len(failing) != len(bad) {
		f.t.Errorf("failing: %v", failing)
	}
}

// A listing that fails because of one of many organizations that share it is repeated for each of the others.
func TestListingThatFailsForOneOfMany(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(context.Context) error{"refused": refuse, "hanging": hangUntilTheEnd} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a, store := f.partly(func(c *acquirer.Config) { c.Timeout = time.Second })
				f.pass(time.Second)
				bad := uuid.New()
				store.set(func(ctx context.Context, organizations []uuid.UUID) error {
					if slices.Contains(organizations, bad) || len(organizations) == 0 {
						return fail(ctx)
					}
					return nil
				})
				at := time.Now().Add(time.Minute)
				var waits []*wait
				for i := range 20 {
					p, r := f.posting(nil), f.request(nil)
					if p.Organization = uuid.New(); i == 10 {
						p.Organization = bad
					}
					r.Organization = p.Organization
					p.NotBefore = at // all turn ready at once
					f.enqueue(a, p)
					waits = append(waits, f.join(a, r))
				}
				f.pass(time.Until(at) + 2*time.Second)
				if n := count(waits); n != len(waits)-1 {
					t.Errorf("%d of %d organizations have their jobs", n, len(waits)-1)
				}
			})
		})
	}
}

// A backup that fails because of one organization leaves nobody else's jobs lying.
func TestBackupThatFailsForOneOfMany(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(context.Context) error{"refused": refuse, "hanging": hangUntilTheEnd} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a, store := f.partly()
				bad := f.request(nil)
				bad.Organization = uuid.New()
				f.join(a, bad)
				w := f.joinPlain(a)
				f.pass(time.Minute)
				store.set(func(ctx context.Context, organizations []uuid.UUID) error {
					if slices.Contains(organizations, bad.Organization) || len(organizations) == 0 {
						return fail(ctx)
					}
					return nil
				})
				f.slip(f.posting(nil))
				f.pass(2 * time.Minute)
				f.mustGet(w, "which nobody announced")
			})
		})
	}
}

// A backup that fails because of one organization holds up no look that others share.
func TestLooksBesideABackupThatFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(context.Context) error{"refused": refuse, "hanging": hangUntilTheEnd} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a, store := f.partly()
				bad, slow, gate := uuid.New(), []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}, make(chan struct{})
				store.set(func(ctx context.Context, organizations []uuid.UUID) error {
					switch {
					case slices.Contains(organizations, bad) || len(organizations) == 0:
						return fail(ctx)
					case slices.Contains(slow, organizations[0]):
						<-gate
					}
					return nil
				})
				f.joinOf(a, bad, nil)
				f.pass(10 * time.Minute)
				for _, id := range slow { // as many looks as there may be at once
					f.joinOf(a, id, nil)
				}
				var waits []*wait
				for range 10 {
					p := f.posting(nil)
					p.Organization = uuid.New()
					f.slip(p)
					waits = append(waits, f.joinOf(a, p.Organization, nil))
				}
				if n := count(waits); n != 0 {
					t.Fatalf("%d organizations have been looked at by themselves", n)
				}
				close(gate)
				f.pass(time.Second)
				if n := count(waits); n != len(waits) {
					t.Errorf("%d of %d organizations have their jobs", n, len(waits))
				}
			})
		})
	}
}

// Workers that come to wait while a look at their organization is under way cause one look more, and none beside it; where it fails, its
// repetition is that one.
func TestLooksThatTakeLong(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]bool{"answered": false, "failed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a, store := f.partly(func(c *acquirer.Config) { c.Backup = time.Hour })
				f.pass(time.Minute)
				var under, most, looks atomic.Int64
				store.set(func(_ context.Context, organizations []uuid.UUID) error {
					if !slices.Contains(organizations, f.org) {
						return nil
					}
					looks.Add(1)
					most.Store(max(most.Load(), under.Add(1)))
					defer under.Add(-1)
					time.Sleep(5 * time.Second) // in a bubble
					if fails {
						return acquirertest.ErrDown
					}
					return nil
				})
				for i := range 100 {
					f.join(a, f.request(map[string]string{"x": fmt.Sprint(i)}))
					f.pass(100 * time.Millisecond)
				}
				f.pass(5 * time.Second)
				if n := most.Load(); n != 1 {
					t.Errorf("%d looks were under way at once", n)
				}
				if n := looks.Load(); n < 2 || n > 4 {
					t.Errorf("%d looks in 15 seconds, each of which takes 5", n)
				}
				store.set(nil)
				f.pass(time.Minute)
				p := f.posting(map[string]string{"x": "7"})
				f.slip(p)
				w := f.join(a, f.request(map[string]string{"x": "7"}))
				f.pass(time.Second)
				if job := f.stored(p.ID); job.State != queue.Running {
					t.Errorf("over %v: what was posted since is %v", w.over(), job.State)
				}
			})
		})
	}
}

// A store that fails for all is left alone by all, and is used again soon after it is back.
func TestStoreThatFailsForAll(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		const organizations = 300
		a, store := f.partly()
		var waits []*wait
		store.set(func(context.Context, []uuid.UUID) error { return acquirertest.ErrDown })
		for range organizations {
			p, r := f.posting(nil), f.request(nil)
			p.Organization = uuid.New()
			r.Organization = p.Organization
			waits = append(waits, f.join(a, r))
			f.enqueue(a, p)
		}
		f.pass(time.Minute)
		before := store.calls.Load()
		f.pass(5 * time.Minute)
		if n := store.calls.Load() - before; n > 500 {
			t.Errorf("%d calls in five minutes in which all fail, of %d organizations", n, organizations)
		}
		if n := a.Stats().Failures; n < 10 {
			t.Errorf("%d failures are counted", n)
		}
		store.set(nil)
		f.pass(25 * time.Second)
		if n := count(waits); n != organizations {
			t.Errorf("%d of %d jobs are handed out", n, organizations)
		}
		if n := a.Stats().Failures; n != 0 {
			t.Errorf("%d failures are counted after it", n)
		}
	})
}
