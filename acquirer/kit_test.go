package acquirer_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/memory"
)

// fleet is a store, a pubsub and processes on them, inside a synctest bubble: its clock stands still while
// anybody can still do something, and goroutines left behind fail the test.
type fleet struct {
	t     *testing.T
	ctx   context.Context
	inner *memory.Jobs
	store *acquirertest.Store
	bus   *acquirertest.Pubsub
	org   uuid.UUID

	mu       sync.Mutex
	events   []queue.Event
	stoppers []func()
}

// bubble runs a test on the fake clock.
func bubble(t *testing.T, test func(f *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		inner := memory.NewJobs()
		f := &fleet{
			t: t, ctx: t.Context(), inner: inner, store: acquirertest.Wrap(inner),
			bus: &acquirertest.Pubsub{}, org: uuid.New(),
		}
		test(f)
		f.stopAll()
	})
}

// start runs a process and waits until it is quiet.
func (f *fleet) start(change ...func(*acquirer.Config)) *acquirer.Acquirer {
	f.t.Helper()
	a, _ := f.startStoppable(change...)
	return a
}

// startStoppable also returns the function that ends the process and waits for its end.
func (f *fleet) startStoppable(change ...func(*acquirer.Config)) (*acquirer.Acquirer, func()) {
	f.t.Helper()
	a := f.make(f.bus, change...)
	ctx, cancel := context.WithCancel(f.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Run(ctx); err != nil {
			f.t.Errorf("Run: %v", err)
		}
	}()
	stop := sync.OnceFunc(func() {
		cancel()
		<-done
	})
	f.stoppers = append(f.stoppers, stop)
	synctest.Wait()
	return a, stop
}

func (f *fleet) make(bus queue.Pubsub, change ...func(*acquirer.Config)) *acquirer.Acquirer {
	f.t.Helper()
	cfg := acquirer.Config{Events: f.event, StopTimeout: 100 * time.Millisecond} // a killed process has no time
	for _, c := range change {
		c(&cfg)
	}
	a, err := acquirer.New(f.store, bus, cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return a
}

func (f *fleet) stopAll() {
	for _, stop := range f.stoppers {
		stop()
	}
	synctest.Wait()
	for _, broken := range f.store.Broken() {
		f.t.Error(broken)
	}
	if n := f.store.Withheld(); n > 0 {
		f.t.Errorf("%d ready jobs lay below the bounds of the claims that probed their lanes", n)
	}
}

func (f *fleet) event(e queue.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

// happened are the events of a kind so far.
func (f *fleet) happened(kind queue.EventKind) []queue.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []queue.Event
	for _, e := range f.events {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// wait is a worker that waits for one job.
type wait struct {
	cancel context.CancelFunc
	done   chan struct{}
	job    queue.Job
	err    error
	took   time.Duration
}

// over reports whether the wait has ended.
func (w *wait) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// got reports whether the worker has a job.
func (w *wait) got() bool { return w.over() && w.err == nil }

func (f *fleet) request(tags map[string]string, types ...string) queue.Request {
	if len(types) == 0 {
		types = []string{"build"}
	}
	return queue.Request{Organization: f.org, Worker: uuid.New(), Types: types, Tags: tags}
}

// join lets a worker wait, and waits until it does.
func (f *fleet) join(a *acquirer.Acquirer, r queue.Request) *wait {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	w := &wait{cancel: cancel, done: make(chan struct{})}
	begun := time.Now()
	go func() {
		defer close(w.done)
		w.job, w.err = a.AcquireJob(ctx, r)
		w.took = time.Since(begun)
	}()
	f.stoppers = append(f.stoppers, func() { cancel(); <-w.done })
	synctest.Wait()
	return w
}

func (f *fleet) joinPlain(a *acquirer.Acquirer) *wait {
	f.t.Helper()
	return f.join(a, f.request(nil))
}

// posting asks for a job of type "build".
func (f *fleet) posting(tags map[string]string) queue.Posting {
	return queue.Posting{ID: uuid.New(), Organization: f.org, Tenant: uuid.New(), Type: "build", Tags: tags}
}

// enqueue posts through a process and lets everything happen that happens at once.
func (f *fleet) enqueue(a *acquirer.Acquirer, postings ...queue.Posting) []queue.Job {
	f.t.Helper()
	jobs, err := a.Enqueue(f.ctx, postings...)
	if err != nil {
		f.t.Fatalf("Enqueue: %v", err)
	}
	synctest.Wait()
	return jobs
}

// slip stores jobs that nobody announces.
func (f *fleet) slip(postings ...queue.Posting) []queue.Job {
	f.t.Helper()
	jobs, err := f.inner.Enqueue(f.ctx, time.Now().UTC().Truncate(time.Microsecond), postings)
	if err != nil {
		f.t.Fatalf("Enqueue: %v", err)
	}
	return jobs
}

// pass lets time go by and everything happen that is due.
func (f *fleet) pass(d time.Duration) {
	time.Sleep(d) // in a bubble
	synctest.Wait()
}

// settle lets pass what processes take among themselves: announcements, turns and looks, but no backup.
func (f *fleet) settle() { f.pass(2 * time.Second) }

func (f *fleet) stored(id uuid.UUID) queue.Job {
	f.t.Helper()
	jobs, err := f.inner.Jobs(context.Background(), queue.Filter{IDs: []uuid.UUID{id}})
	if err != nil || len(jobs) != 1 {
		f.t.Fatalf("job %s: %d found, %v", id, len(jobs), err)
	}
	return jobs[0]
}

func (f *fleet) mustGet(w *wait, what string) queue.Job {
	f.t.Helper()
	if !w.got() {
		f.t.Fatalf("%s: the worker has no job (over %v, error %v)", what, w.over(), w.err)
	}
	return w.job
}

func count(waits []*wait) (n int) {
	for _, w := range waits {
		if w.got() {
			n++
		}
	}
	return n
}
