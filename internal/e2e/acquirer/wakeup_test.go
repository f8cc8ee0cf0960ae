package acquirer_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
)

// trials is ten thousand for the full statement; the default is what a test run can wait for.
var trials = flag.Int("trials", 1500, "histories in which a wake-up could get lost")

// never keeps the backup and the looks of joining workers from finding what a wake-up lost.
const never = 1000 * time.Hour

func wakeUpsOnly() acquirer.Config {
	return acquirer.Config{Backup: never, Poll: never, Clock: acquirertest.WakeUpsOnly(quartz.NewReal())}
}

const (
	// turns is longer than a lane is left to other processes.
	turns = 5 * time.Second
	// pauses is longer than any pause that an acquirer makes because its store failed, however often it did; one of them may
	// begin behind the other.
	pauses = time.Minute
)

// trial is one short history of one organization.
type trial struct {
	rng       *rand.Rand
	ctx       context.Context
	store     *memory.Jobs
	processes []*process
	org       uuid.UUID

	group   sync.WaitGroup
	mu      sync.Mutex
	workers []*worker
	posted  []uuid.UUID
}

// Histories, in each of which a wake-up could get lost: workers of overlapping domains come and
// leave in the very moment in which jobs are posted, claims take their time, fail and lose their answers. In
// none may a job be left ready while a worker waits that could run it. With -args -trials=10000 it takes minutes.
func TestNoLostWakeUp(t *testing.T) {
	scenarios := map[string]func(*trial){
		"tagged domains beside the right one":  taggedBeside,
		"another organization":                 otherOrganization,
		"last caller leaves with another job":  lastCallerLeaves,
		"woken caller is canceled":             wokenCallerCanceled,
		"everything at once":                   everything,
		"everything at once, and store errors": everything,
	}
	for name, scenario := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				runTrials(t, scenario, name == "everything at once, and store errors")
			})
		})
	}
}

func runTrials(t *testing.T, scenario func(*trial), faults bool) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	store := memory.NewJobs()
	bus := &acquirertest.Pubsub{}
	var trouble atomic.Bool
	var processes []*process
	for range 2 {
		p, err := start(t.Context(), store, bus, wakeUpsOnly())
		if err != nil {
			t.Fatal(err)
		}
		defer p.stop()
		p.store.Choose(slow(rand.New(rand.NewPCG(seed, 1)), &trouble))
		processes = append(processes, p)
	}
	time.Sleep(time.Second) // they are registered and listen
	for i := range *trials / 6 {
		run := &trial{rng: rng, ctx: t.Context(), store: store, processes: processes, org: uuid.New()}
		trouble.Store(faults)
		scenario(run)
		time.Sleep(turns) // they pass, as do most errors; nothing else would help
		if trouble.Swap(false) {
			time.Sleep(pauses) // a store may fail many times in a row, and is left alone for longer each time
		}
		synctest.Wait()
		if lost := run.lost(); lost != "" {
			t.Fatalf("trial %d: %s", i, lost)
		}
		run.end()
	}
}

// slow lets claims and listings take a few milliseconds, so that everything else happens in between, and fail while there is
// trouble.
func slow(rng *rand.Rand, trouble *atomic.Bool) func(acquirertest.Verb) acquirertest.Fault {
	var mu sync.Mutex
	return func(v acquirertest.Verb) acquirertest.Fault {
		if v != acquirertest.Claim && v != acquirertest.Ready {
			return acquirertest.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		before, after := upTo(rng, 3*time.Millisecond), upTo(rng, 3*time.Millisecond)
		fault := acquirertest.Fault{
			Before: func(context.Context) { time.Sleep(before) },
			After:  func(context.Context) { time.Sleep(after) },
		}
		if trouble.Load() {
			n := rng.IntN(6)
			fault.Down, fault.Lost = n == 0, n == 1
		}
		return fault
	}
}

func upTo(rng *rand.Rand, d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }

// lost says what is wrong at the end.
func (r *trial) lost() string {
	for _, j := range ready(r.store, r.posted) {
		for _, w := range r.workers {
			if over, _, _ := w.state(); !over && w.runs(j) {
				return fmt.Sprintf("job with tags %v is ready and a worker with tags %v waits", j.Tags.Map(), w.request.Tags)
			}
		}
	}
	return ""
}

func (r *trial) end() {
	for _, w := range r.workers {
		w.cancel()
	}
	r.group.Wait()
	for _, w := range r.workers {
		if _, got, job := w.state(); got {
			_, _ = r.processes[0].End(r.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded})
		}
	}
	_, _ = r.processes[0].Cancel(r.ctx, "", r.posted...)
}

type tags = map[string]string

// soon runs something within the next milliseconds.
func (r *trial) soon(f func()) {
	wait := upTo(r.rng, 8*time.Millisecond)
	r.group.Go(func() {
		time.Sleep(wait)
		f()
	})
}

func (r *trial) process() *process { return r.processes[r.rng.IntN(len(r.processes))] }

func (r *trial) join(t tags) *worker { return r.joinOrg(r.org, t) }

func (r *trial) joinOrg(org uuid.UUID, t tags) *worker {
	w := r.process().join(r.ctx, queue.Request{Organization: org, Worker: uuid.New(), Types: []string{"build"}, Tags: t}, &r.group)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.workers = append(r.workers, w)
	return w
}

func (r *trial) postTo(p *process, t tags) {
	id := uuid.New()
	r.mu.Lock()
	r.posted = append(r.posted, id)
	r.mu.Unlock()
	_, _ = p.Enqueue(r.ctx, queue.Posting{ID: id, Organization: r.org, Tenant: uuid.New(), Type: "build", Tags: t})
}

func taggedBeside(r *trial) {
	for i := range r.rng.IntN(10) {
		r.join(tags{"only": fmt.Sprint(i)})
	}
	r.join(nil)
	p := r.process()
	r.soon(func() { r.postTo(p, nil) })
}

func otherOrganization(r *trial) {
	other := uuid.New()
	for range 1 + r.rng.IntN(3) {
		r.joinOrg(other, nil)
	}
	r.join(nil)
	p := r.process()
	r.soon(func() { r.postTo(p, nil) })
}

func lastCallerLeaves(r *trial) {
	p, q := r.process(), r.process()
	r.join(tags{"x": "1", "y": "1"})
	r.soon(func() { r.postTo(p, tags{"y": "1"}) })
	r.soon(func() { r.postTo(q, tags{"x": "1"}) })
	r.join(tags{"x": "1"})
}

func wokenCallerCanceled(r *trial) {
	first := r.join(tags{"x": "1"})
	r.join(tags{"x": "1", "y": "1"})
	p := r.process()
	r.soon(func() { r.postTo(p, tags{"x": "1"}) })
	r.soon(first.cancel)
}

func everything(r *trial) {
	universe := []tags{nil, {"x": "1"}, {"y": "1"}, {"x": "1", "y": "1"}, {"x": "1", "y": "1", "z": "1"}}
	pick := func() tags { return universe[r.rng.IntN(len(universe))] }
	for range 2 + r.rng.IntN(5) {
		w := r.join(pick())
		if r.rng.IntN(3) == 0 {
			r.soon(w.cancel)
		}
	}
	for range 1 + r.rng.IntN(5) {
		p, t := r.process(), pick()
		r.soon(func() { r.postTo(p, t) })
	}
	for range r.rng.IntN(3) {
		t := pick()
		p := r.process()
		r.soon(func() {
			w := p.join(r.ctx, queue.Request{Organization: r.org, Worker: uuid.New(), Types: []string{"build"}, Tags: t}, &r.group)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.workers = append(r.workers, w)
		})
	}
}
