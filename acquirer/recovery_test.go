package acquirer_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/worker"
)

// underWay counts calls of the store that hang.
type underWay struct {
	mu        sync.Mutex
	now, most int
}

func (u *underWay) hang(ctx context.Context) error {
	u.add(1)
	defer u.add(-1)
	return hangUntilTheEnd(ctx)
}

func (u *underWay) add(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.now += n
	u.most = max(u.most, u.now)
}

// reset returns the most there were at once, and begins anew.
func (u *underWay) reset() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	most := u.most
	u.most = u.now
	return most
}

// hangs lets ten organizations hang for long, with some domains each, and with them the listings of all, while another has jobs all the
// time. It returns how many of the calls that hang are under way.
func (f *fleet) hangs(a *acquirer.Acquirer, store *partial, others func(ctx context.Context, organization uuid.UUID) error) *underWay {
	f.t.Helper()
	var calls underWay
	bad := make(map[uuid.UUID]bool)
	for range 10 {
		bad[uuid.New()] = true
	}
	store.set(func(ctx context.Context, organizations []uuid.UUID) error {
		if len(organizations) == 0 {
			return calls.hang(ctx)
		}
		for _, id := range organizations {
			if bad[id] {
				return calls.hang(ctx)
			}
			if err := others(ctx, id); err != nil {
				return err
			}
		}
		return nil
	})
	for id := range bad {
		for lane := range 2 {
			tags := map[string]string{"lane": fmt.Sprint(lane)}
			f.joinOf(a, id, tags)
			f.postTo(a, id, tags)
		}
	}
	f.goesOn(a)
	f.pass(5 * time.Minute)
	calls.reset()
	return &calls
}

// goesOn lets an organization have jobs all the time.
func (f *fleet) goesOn(a *acquirer.Acquirer) {
	id := uuid.New()
	f.work(a, func(context.Context, *worker.Task) ([]byte, error) { return nil, nil }, func(c *worker.Config) { c.Organization = id })
	ctx, cancel := context.WithCancel(f.ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			p := f.posting(nil)
			p.Organization = id
			_, _ = a.Enqueue(ctx, p)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second / 2): // in a bubble
			}
		}
	}()
	f.stoppers = append([]func(){func() { cancel(); <-over }}, f.stoppers...)
}

// Whoever the store fails for a moment, or for as long as one call may take, is tried again at once, however many others hang.
func TestRecoveryBesideOrganizationsThatHang(t *testing.T) {
	t.Parallel()
	const timeout = 10 * time.Second // the default
	for name, test := range map[string]struct {
		fail  func(context.Context) error
		times int
		soon  time.Duration
	}{
		"refused once":     {refuse, 1, time.Second},
		"refused for long": {refuse, 12, 65 * time.Second}, // the pauses
		"hung once":        {hangUntilTheEnd, 1, timeout + time.Second},
		"hung twice":       {hangUntilTheEnd, 2, 2*timeout + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a, store := f.partly()
				var mu sync.Mutex
				failures := 0
				calls := f.hangs(a, store, func(ctx context.Context, organization uuid.UUID) error {
					mu.Lock()
					defer mu.Unlock()
					if organization != f.org || failures == test.times {
						return nil
					}
					failures++
					mu.Unlock()
					defer mu.Lock()
					return test.fail(ctx)
				})
				w := f.joinPlain(a)
				f.enqueue(a, f.posting(nil))
				f.pass(test.soon)
				f.mustGet(w, fmt.Sprintf("after %d failures", failures))
				if n := calls.reset(); n > 3 {
					t.Errorf("%d calls for those that hang were under way at once", n)
				}
			})
		})
	}
}

// However many organizations hang, with all calls or with some alone, they keep few of the store's connections.
func TestConnectionsOfOrganizationsThatHang(t *testing.T) {
	t.Parallel()
	for _, sound := range []acquirertest.Verb{"", acquirertest.Claim, acquirertest.Ready} {
		t.Run("but for "+string(sound), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a, store := f.partly()
				store.sound = sound
				calls := f.hangs(a, store, func(context.Context, uuid.UUID) error { return nil })
				for id := range a.Stats().Failing {
					f.joinOf(a, id, map[string]string{"visitor": "yes"}).cancel()
				}
				f.pass(5 * time.Minute)
				if n := calls.reset(); n > 3 {
					t.Errorf("%d calls for those that hang were under way at once", n)
				}
			})
		})
	}
}

// An organization with many domains that is back after it has hung for long is back with all of them at once, though others still hang.
func TestRecoveryOfManyDomains(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, store := f.partly()
		var mu sync.Mutex
		well := false
		const domains = 8
		var waits []*wait
		for i := range domains {
			tags := map[string]string{"lane": fmt.Sprint(i)}
			waits = append(waits, f.joinOf(a, f.org, tags))
		}
		f.hangs(a, store, func(ctx context.Context, organization uuid.UUID) error {
			mu.Lock()
			ok := well || organization != f.org
			mu.Unlock()
			if ok {
				return nil
			}
			return hangUntilTheEnd(ctx)
		})
		for i := range domains {
			f.postTo(a, f.org, map[string]string{"lane": fmt.Sprint(i)})
		}
		f.pass(20 * time.Minute)
		mu.Lock()
		well = true
		mu.Unlock()
		var first, last time.Duration
		for took := time.Duration(0); took < 10*time.Minute && count(waits) < domains; took += time.Second {
			f.pass(time.Second)
			if first == 0 && count(waits) > 0 {
				first = took
			}
			last = took
		}
		t.Logf("%d of %d domains are back, the first after %s and the last after %s", count(waits), domains, first, last)
		if count(waits) < domains || first > 75*time.Second || last > first+10*time.Second { // the longest pause
			t.Error("that is late")
		}
	})
}

// A failure of a claim that nobody makes again is forgotten, though the organization goes on.
func TestFailuresAreForgotten(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, store := f.partly()
		f.joinOf(a, f.org, map[string]string{"stays": "yes"})
		visitor := f.joinOf(a, f.org, nil)
		store.set(func(context.Context, []uuid.UUID) error { return acquirertest.ErrDown })
		f.postTo(a, f.org, nil)
		if n := a.Stats().Failing[f.org]; n != 1 {
			t.Fatalf("%d failures", n)
		}
		visitor.cancel()
		f.pass(0)
		store.set(nil)
		f.pass(9 * time.Minute)
		if n := a.Stats().Failing[f.org]; n == 0 {
			t.Error("it is forgotten too soon")
		}
		f.pass(2 * time.Minute)
		if n := a.Stats().Failing[f.org]; n != 0 {
			t.Errorf("%d failures are counted after eleven minutes", n)
		}
	})
}

// The log names the organization for which claims fail, or listings, and says why.
func TestFailuresAreNamed(t *testing.T) {
	t.Parallel()
	for sound, said := range map[acquirertest.Verb]string{acquirertest.Ready: "claim failed", acquirertest.Claim: "listing failed"} {
		t.Run(said, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				var log bytes.Buffer
				a, store := f.partly(func(c *acquirer.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				store.sound = sound
				store.fails([]uuid.UUID{f.org}, refuse)
				f.joinPlain(a)
				f.enqueue(a, f.posting(nil))
				f.pass(time.Second)
				text := log.String()
				for _, part := range []string{said, "organization=" + f.org.String(), "again_in=", acquirertest.ErrDown.Error()} {
					if !strings.Contains(text, part) {
						t.Errorf("no %q in\n%s", part, text)
					}
				}
			})
		})
	}
}

// Nor is it silent about a claim whose answer was lost, where the question what it has got fails.
func TestLostClaimIsNamed(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		var log bytes.Buffer
		a := f.start(func(c *acquirer.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		f.joinPlain(a)
		f.settle()
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Lost: v == acquirertest.Claim, Down: v == acquirertest.Jobs}
		})
		f.enqueue(a, f.posting(nil))
		f.pass(time.Second)
		f.store.Choose(nil)
		f.settle()
		for _, line := range strings.Split(log.String(), "\n") {
			if strings.Contains(line, "lost claim not looked up") && strings.Contains(line, "organization="+f.org.String()) {
				return
			}
		}
		t.Errorf("the log says\n%s", log.String())
	})
}
