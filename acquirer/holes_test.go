package acquirer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// The tests of this file are named after ways in which a job hand-off of this kind is known to fail: each sets
// up the situation in which a plainer design loses or delays a wake-up, hands out twice, or falls over.

// A wake-up is tested by a wider rule than the claim: a tagged worker eats the wake-up of an untagged job.
func TestUntaggedJobBesideTaggedDomains(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		var tagged []*wait
		for i := range 9 {
			tagged = append(tagged, f.join(a, f.request(map[string]string{"only": fmt.Sprint(i)})))
		}
		for i := range 30 {
			w := f.joinPlain(a)
			f.enqueue(a, f.posting(nil))
			f.mustGet(w, fmt.Sprintf("untagged job %d", i))
		}
		if n := count(tagged); n != 0 {
			t.Errorf("%d tagged workers got an untagged job", n)
		}
	})
}

// A posting wakes a worker of another organization.
func TestOtherOrganizationIsNotWoken(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		foreign := f.request(nil)
		foreign.Organization = uuid.New()
		other := f.join(a, foreign)
		for range 20 {
			w := f.joinPlain(a)
			before := len(f.store.Claims())
			f.enqueue(a, f.posting(nil))
			f.mustGet(w, "beside a worker of another organization")
			if n := len(f.store.Claims()) - before; n != 1 {
				t.Fatalf("%d claims for one posting, want 1", n)
			}
		}
		if other.over() {
			t.Error("the other organization's worker got a job")
		}
	})
}

// A posting arrives while a claim is under way, whose caller then leaves with another job and was the last of
// its domain: the wake-up vanishes with the domain although another could use it.
func TestPostingDuringTheLastCallersClaim(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		versatile := f.join(a, f.request(map[string]string{"x": "1", "y": "1"}))
		answered := make(chan struct{})
		f.store.Once(acquirertest.Claim, acquirertest.Fault{After: func(context.Context) { <-answered }})
		f.enqueue(a, f.posting(map[string]string{"x": "1"})) // its claim is carried out, the answer held back
		second := f.enqueue(a, f.posting(map[string]string{"x": "1"}))[0]
		specialist := f.join(a, f.request(map[string]string{"x": "1"}))
		close(answered)
		synctest.Wait()
		f.mustGet(versatile, "the first job")
		if got := f.mustGet(specialist, "the job posted during the claim"); got.ID != second.ID {
			t.Errorf("got %s, want %s", got.ID, second.ID)
		}
	})
}

// One domain is woken for each posting, also when its worker is busy asking and another domain is idle.
func TestIdleDomainIsPreferredToABusyOne(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		busy := f.join(a, f.request(map[string]string{"x": "1", "y": "1"}))
		answered := make(chan struct{})
		f.store.Once(acquirertest.Claim, acquirertest.Fault{Before: func(context.Context) { <-answered }})
		f.enqueue(a, f.posting(map[string]string{"y": "1"}))
		idle := f.join(a, f.request(map[string]string{"x": "1"}))
		f.enqueue(a, f.posting(map[string]string{"x": "1"}))
		f.mustGet(idle, "while the other domain's claim hangs")
		close(answered)
		synctest.Wait()
		f.mustGet(busy, "in the end")
	})
}

// The woken caller is canceled before or during the claim, and the wake-up is not passed to another domain.
func TestWokenCallerLeaves(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(hold func(context.Context)) acquirertest.Fault{
		"before the store is asked": func(hold func(context.Context)) acquirertest.Fault {
			return acquirertest.Fault{Before: hold}
		},
		"before the answer comes": func(hold func(context.Context)) acquirertest.Fault {
			return acquirertest.Fault{After: hold}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a := f.start()
				special := f.join(a, f.request(map[string]string{"x": "1"}))
				versatile := f.join(a, f.request(map[string]string{"x": "1", "y": "1"}))
				f.enqueue(a, f.posting(map[string]string{"y": "1"})) // so that the specialist is chosen below
				f.mustGet(versatile, "its own job")
				versatile = f.join(a, f.request(map[string]string{"x": "1", "y": "1"}))
				f.settle()
				goOn := make(chan struct{})
				f.store.Once(acquirertest.Claim, fault(func(context.Context) { <-goOn }))
				job := f.enqueue(a, f.posting(map[string]string{"x": "1"}))[0]
				special.cancel()
				synctest.Wait()
				if !errors.Is(special.err, context.Canceled) {
					t.Fatalf("the canceled caller got %v", special.err)
				}
				close(goOn)
				synctest.Wait()
				if got := f.mustGet(versatile, "after the woken caller left"); got.ID != job.ID || got.Attempt != 1 {
					t.Errorf("got %s in attempt %d", got.ID, got.Attempt)
				}
				if stored := f.stored(job.ID); stored.Attempt != 1 {
					t.Errorf("an attempt that nobody had is counted: %d", stored.Attempt)
				}
			})
		})
	}
}

// The next in line of the same domain takes over what was claimed for one who left, without a second claim.
func TestNextInLineTakesOver(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		first := f.joinPlain(a)
		goOn := make(chan struct{})
		f.store.Once(acquirertest.Claim, acquirertest.Fault{After: func(context.Context) { <-goOn }})
		job := f.enqueue(a, f.posting(nil))[0]
		r := f.request(nil)
		second := f.join(a, r)
		first.cancel()
		synctest.Wait()
		close(goOn)
		synctest.Wait()
		f.mustGet(second, "the next in line")
		if stored := f.stored(job.ID); stored.Worker != r.Worker {
			t.Errorf("the store names worker %s, want the one who has the job, %s", stored.Worker, r.Worker)
		}
		if n := len(f.store.Claims()); n != 1 {
			t.Errorf("%d claims, want 1", n)
		}
	})
}

// Postings that two domains share go to the older domain most of the time.
func TestDomainsShareFairly(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		requests := []queue.Request{
			f.request(map[string]string{"x": "1", "a": "1"}), f.request(map[string]string{"x": "1", "b": "1"}),
		}
		waits := []*wait{f.join(a, requests[0]), f.join(a, requests[1])}
		served := make([]int, 2)
		for range 40 {
			f.enqueue(a, f.posting(map[string]string{"x": "1"}))
			for i, w := range waits {
				if w.got() {
					served[i]++
					waits[i] = f.join(a, requests[i])
				}
			}
		}
		if served[0] != 20 || served[1] != 20 {
			t.Errorf("served %d and %d, want 20 and 20", served[0], served[1])
		}
	})
}

// Who has waited longest is not served first.
func TestFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		var waits []*wait
		for range 8 {
			waits = append(waits, f.joinPlain(a))
		}
		for i := range waits {
			f.enqueue(a, f.posting(nil))
			f.mustGet(waits[i], fmt.Sprintf("place %d in line", i))
			if n := count(waits); n != i+1 {
				t.Fatalf("%d served after %d postings", n, i+1)
			}
		}
	})
}

// One posting while the database is down makes every waiting worker fail, with one query each, at once.
func TestStoreErrorsDoNotReachTheWorkers(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		var waits []*wait
		for i := range 100 {
			waits = append(waits, f.join(a, f.request(map[string]string{"x": "1", "w": fmt.Sprint(i % 10)})))
		}
		f.settle()
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			return acquirertest.Fault{Down: v != acquirertest.Heartbeat && v != acquirertest.Enqueue}
		})
		before := f.calls()
		f.enqueue(a, f.posting(map[string]string{"x": "1"}))
		f.pass(time.Minute)
		if n := f.calls() - before; n > 60 {
			t.Errorf("%d store calls in a minute of outage with 10 domains, want a few", n)
		}
		for _, w := range waits {
			if w.over() {
				t.Fatalf("a worker got %v from a store error", w.err)
			}
		}
		f.store.Choose(nil)
		f.pass(15 * time.Second)
		if n := count(waits); n != 1 {
			t.Errorf("%d workers served after the outage, want 1", n)
		}
	})
}

// calls is the number of claims and listings so far.
func (f *fleet) calls() int {
	return f.store.Calls(acquirertest.Claim) + f.store.Calls(acquirertest.Ready) + f.store.Calls(acquirertest.Jobs)
}

// A newcomer to a domain that exists never asks, even if a job's posting was lost.
func TestNewcomerLooks(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		first := f.joinPlain(a)
		f.settle()
		f.slip(f.posting(nil))
		second := f.joinPlain(a)
		f.mustGet(first, "after a newcomer looked")
		f.slip(f.posting(nil))
		f.joinPlain(a)
		f.pass(300 * time.Millisecond) // the least time between two looks
		f.mustGet(second, "after the second newcomer looked")
	})
}

// Joining workers look once together, not each for itself.
func TestNewcomersShareALook(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.settle()
		before := f.store.Calls(acquirertest.Ready)
		for range 200 {
			f.joinPlain(a)
		}
		f.settle()
		if n := f.store.Calls(acquirertest.Ready) - before; n > 2 {
			t.Errorf("200 joining workers caused %d looks, want at most 2", n)
		}
	})
}

// The acquirer's own end leaves its callers waiting for ever.
func TestStopEndsTheWaiting(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		w := f.joinPlain(a)
		stop()
		synctest.Wait()
		if !w.over() || !errors.Is(w.err, queue.ErrStopped) {
			t.Fatalf("over %v, error %v; want ErrStopped", w.over(), w.err)
		}
		if _, err := a.AcquireJob(f.ctx, f.request(nil)); !errors.Is(err, queue.ErrStopped) {
			t.Errorf("after the end: %v, want ErrStopped", err)
		}
		if err := a.Run(f.ctx); !errors.Is(err, acquirer.ErrAlreadyRun) {
			t.Errorf("a second Run: %v", err)
		}
	})
}

// Jobs claimed in the moment of the stop are given back at once, not after a lease.
func TestStopGivesBackWhatNobodyGot(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, stop := f.startStoppable()
		f.joinPlain(a)
		goOn := make(chan struct{})
		f.store.Once(acquirertest.Claim, acquirertest.Fault{After: func(context.Context) { <-goOn }})
		job := f.enqueue(a, f.posting(nil))[0]
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		synctest.Wait()
		close(goOn)
		<-stopped
		if stored := f.stored(job.ID); stored.State != queue.Pending || stored.Attempt != 0 {
			t.Fatalf("job is %s in attempt %d, want pending in none", stored.State, stored.Attempt)
		}
		f.mustGet(f.joinPlain(f.start()), "after a restart")
	})
}

// The claim was committed, its answer lost: the job runs nowhere until somebody fails it.
func TestAnswerLostAfterCommit(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		w := f.joinPlain(a)
		fails := 3
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			switch {
			case v == acquirertest.Claim && fails == 3:
				fails--
				return acquirertest.Fault{Lost: true}
			case v == acquirertest.Jobs && fails > 0: // the search for the lost claim fails too
				fails--
				return acquirertest.Fault{Lost: true}
			}
			return acquirertest.Fault{}
		})
		job := f.enqueue(a, f.posting(nil))[0]
		f.settle()
		got := f.mustGet(w, "whose claim's answer was lost")
		if got.ID != job.ID || got.Attempt != 1 || got.Fence != 1 {
			t.Errorf("got %s, attempt %d, fence %d", got.ID, got.Attempt, got.Fence)
		}
		if n := len(f.store.Claims()); n != 1 {
			t.Errorf("%d claims, want the one that was looked up", n)
		}
	})
}

// lateStore carries out its next claim only when the test calls late, long after it answered with an error: a
// statement that was still running when its connection broke.
type lateStore struct {
	queue.Store
	mu   sync.Mutex
	late func()
	hits int
}

func (s *lateStore) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hits++; s.hits == 1 {
		s.late = func() { _, _ = s.Store.Claim(context.Background(), c) }
		return queue.Claimed{}, acquirertest.ErrLost
	}
	return s.Store.Claim(ctx, c)
}

// A claim is carried out after its look-up found nothing: nobody knows of the job, and the process lives on.
func TestClaimCarriedOutLate(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		late := &lateStore{Store: f.inner}
		f.store = acquirertest.Wrap(late)
		a := f.start()
		w := f.joinPlain(a)
		first := f.enqueue(a, f.posting(nil))[0]
		f.settle()
		f.mustGet(w, "the repeated claim")
		job := f.slip(f.posting(nil))[0]
		if late.late == nil {
			t.Fatal("the first claim was not kept back")
		}
		late.late()
		if f.stored(job.ID).State != queue.Running {
			t.Fatal("the late claim took nothing")
		}
		second := f.joinPlain(a)
		f.pass(time.Minute)
		if got := f.mustGet(second, "a job that a late claim took"); got.ID != job.ID || got.Attempt != 1 {
			t.Errorf("got %s in attempt %d", got.ID, got.Attempt)
		}
		if stored := f.stored(first.ID); stored.State != queue.Running {
			t.Errorf("the job in hand is %s", stored.State)
		}
	})
}

// As before, and beside it a job that ended through another process: by number, the process holds what it knows of.
func TestClaimCarriedOutLateBesideAnEndElsewhere(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		late := &lateStore{Store: f.inner}
		f.store = acquirertest.Wrap(late)
		a := f.start()
		w := f.joinPlain(a)
		f.enqueue(a, f.posting(nil))
		f.settle()
		first := f.mustGet(w, "the repeated claim")
		job := f.slip(f.posting(nil))[0]
		late.late()
		if _, err := f.start().End(f.ctx, queue.End{Handout: first.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
			t.Fatal(err)
		}
		second := f.joinPlain(a)
		f.pass(2 * time.Minute)
		if got := f.mustGet(second, "a job that a late claim took"); got.ID != job.ID || got.Attempt != 1 {
			t.Errorf("got %s in attempt %d", got.ID, got.Attempt)
		}
		if ctx, stop := a.Watch(f.ctx, first.Lease()); ctx.Err() == nil {
			stop()
			t.Error("the lease that ended elsewhere is still kept")
		}
	})
}

// A caller's cancellation surfaces as a database error, with a warning.
func TestCancellationIsNotAnError(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		var log bytes.Buffer
		a := f.start(func(c *acquirer.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		w := f.joinPlain(a)
		goOn := make(chan struct{})
		f.store.Once(acquirertest.Claim, acquirertest.Fault{Before: func(context.Context) { <-goOn }})
		f.enqueue(a, f.posting(nil))
		w.cancel()
		synctest.Wait()
		if w.err != context.Canceled { //nolint:errorlint // exactly this one is promised
			t.Errorf("the caller got %v", w.err)
		}
		close(goOn)
		synctest.Wait()
		if log.Len() > 0 {
			t.Errorf("logged: %s", log.String())
		}
	})
}

// After a gap every domain polls at once.
func TestGapCausesOneQuery(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		for i := range 30 {
			f.join(a, f.request(map[string]string{"only": fmt.Sprint(i)}))
		}
		f.settle()
		f.slip(f.posting(map[string]string{"only": "7"}))
		ready, claims := f.store.Calls(acquirertest.Ready), f.store.Calls(acquirertest.Claim)
		f.bus.Cut(false)
		f.pass(200 * time.Millisecond)
		if n := f.store.Calls(acquirertest.Ready) - ready; n != 1 {
			t.Errorf("%d listings after a gap, want 1", n)
		}
		if n := f.store.Calls(acquirertest.Claim) - claims; n != 1 {
			t.Errorf("%d claims after a gap with one job, want 1", n)
		}
	})
}

// All processes poll in step after a common start.
func TestBackupsDrift(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		var mu sync.Mutex
		at := make(map[time.Time]int)
		for range 8 {
			a := f.start()
			f.joinPlain(a)
		}
		f.settle()
		f.store.Choose(func(v acquirertest.Verb) acquirertest.Fault {
			if v == acquirertest.Ready {
				mu.Lock()
				at[time.Now().Truncate(100*time.Millisecond)]++
				mu.Unlock()
			}
			return acquirertest.Fault{}
		})
		f.pass(10 * time.Minute)
		total, most := 0, 0
		for _, n := range at {
			total += n
			most = max(most, n)
		}
		if total < 8*16 || total > 8*24 {
			t.Errorf("%d backups in ten minutes of eight processes, want about 160", total)
		}
		if most > 4 {
			t.Errorf("%d of eight backups in the same tenth of a second", most)
		}
	})
}

// Every replica asks for each posting.
func TestReplicasLeaveAJobToOne(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		for range 5 {
			a := f.start()
			for range 10 {
				f.joinPlain(a)
			}
		}
		poster := f.start()
		f.pass(30 * time.Second) // two heartbeats: everybody knows who is idle
		const postings = 30
		before := len(f.store.Claims())
		for range postings {
			f.enqueue(poster, f.posting(nil))
			f.pass(300 * time.Millisecond)
		}
		got, empty := 0, 0
		for _, c := range f.store.Claims()[before:] {
			if got += c.Got; c.Got == 0 {
				empty++
			}
		}
		if got != postings {
			t.Errorf("%d of %d jobs handed out", got, postings)
		}
		// Six or seven, by who runs first. Four for each posting without turns.
		if empty > postings/3 {
			t.Errorf("%d empty probes for %d postings and 5 replicas", empty, postings)
		}
	})
}

// The process whose turn it is has gone or does not answer: the next one takes the job after a short while.
func TestTurnPassesOn(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		var replicas []*acquirer.Acquirer
		var waits []*wait
		for range 3 {
			a := f.start()
			replicas = append(replicas, a)
			waits = append(waits, f.joinPlain(a))
		}
		poster := f.start()
		f.pass(30 * time.Second)
		for i := range replicas { // whoever is first in turn, its worker is gone and nobody knows yet
			if i < 2 {
				waits[i].cancel()
			}
		}
		synctest.Wait()
		begun := time.Now()
		f.enqueue(poster, f.posting(nil))
		<-waits[2].done
		f.mustGet(waits[2], "the only one left")
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("took %s", took)
		}
	})
}

// skewed is a clock that is wrong.
type skewed struct {
	quartz.Clock
	by time.Duration
}

func (s skewed) Now(tags ...string) time.Time { return s.Clock.Now(tags...).Add(s.by) }
func (s skewed) Since(t time.Time, tags ...string) time.Duration {
	return s.Clock.Since(t.Add(-s.by), tags...)
}

func (s skewed) Until(t time.Time, tags ...string) time.Duration {
	return s.Clock.Until(t.Add(-s.by), tags...)
}

// A process with a wrong clock is declared dead, or declares others dead.
func TestWrongClocksReapNobody(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		for _, by := range []time.Duration{0, time.Hour, -time.Hour} {
			a := f.start(func(c *acquirer.Config) { c.Clock = skewed{quartz.NewReal(), by} })
			w := f.joinPlain(a)
			f.enqueue(a, f.posting(nil))
			f.mustGet(w, "under a wrong clock")
		}
		f.pass(10 * time.Minute)
		if lost := f.happened(queue.EventProcessLost); len(lost) > 0 {
			t.Errorf("declared lost: %+v", lost)
		}
	})
}

// A pending job that its user canceled is handed out.
func TestCanceledJobIsNotHandedOut(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		job := f.enqueue(a, f.posting(nil))[0]
		changed, err := a.Cancel(f.ctx, "not any more", job.ID)
		if err != nil || len(changed) != 1 || changed[0].State != queue.Canceled {
			t.Fatalf("Cancel: %+v, %v", changed, err)
		}
		w := f.joinPlain(a)
		f.pass(time.Minute)
		if w.over() {
			t.Errorf("handed out: %+v", w.job)
		}
	})
}

// Types that are named twice or in another order make another domain, and each domain costs a goroutine.
//
//nolint:paralleltest // it counts goroutines
func TestDomainsAreSetsAndCostNoGoroutine(t *testing.T) {
	bubble(t, func(f *fleet) {
		a := f.start()
		f.join(a, f.request(nil, "b", "a", "b"))
		f.join(a, f.request(map[string]string{"scope": "organization", "owner": ""}, "a", "b"))
		if n := a.Stats().Domains; n != 1 {
			t.Errorf("%d domains, want 1", n)
		}
		before := runtime.NumGoroutine()
		const domains = 200
		for i := range domains {
			f.join(a, f.request(map[string]string{"only": fmt.Sprint(i)}))
		}
		if grown := runtime.NumGoroutine() - before; grown > domains+domains/2 { // others may end or begin one meanwhile
			t.Errorf("%d goroutines more for %d callers in as many domains", grown, domains)
		}
	})
}

// Nothing lost among overlapping domains, whatever is dropped: the backup finds what no message announced.
func TestBackupFindsWhatIsNotAnnounced(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		f.bus.Choose(func(m string) acquirertest.Fate {
			if strings.Contains(m, `"jobs"`) {
				return acquirertest.Drop
			}
			return acquirertest.Pass
		})
		a, b := f.start(), f.start()
		w := f.joinPlain(a)
		f.settle()
		f.enqueue(b, f.posting(nil))
		f.pass(5 * time.Second)
		if w.over() {
			t.Fatal("the message was not dropped")
		}
		f.pass(31 * time.Second)
		f.mustGet(w, "after a backup")
	})
}
