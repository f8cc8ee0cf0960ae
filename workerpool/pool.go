package workerpool

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coder/quartz"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/invalid"
)

var (
	// ErrNotRunning says that Run has not begun, or is over.
	ErrNotRunning = errors.New("worker pool is not running")
	// ErrUnknownWorker says that the pool has no such worker.
	ErrUnknownWorker = errors.New("no such worker")
	// ErrUnknownJob says that the job is on no worker of the pool.
	ErrUnknownJob = errors.New("no such job on a worker")
	// ErrNoRoom says that no ready worker has room for a job.
	ErrNoRoom = errors.New("no worker has room")
	// ErrNotIdle says that a worker is busy, held, or not in a state in which it may be shut down.
	ErrNotIdle = errors.New("worker is not idle")
)

// Pool is an elastic pool of workers. Its methods may be called from any goroutine.
type Pool struct {
	cfg      Config
	set      InstanceSet
	executor Executor
	queue    Queue // nil if the host starts jobs by itself
	clock    quartz.Clock
	given    *outcall.Calls // those given up, commands aside
	commands *outcall.Calls // commands on workers that were given up
	host     outcall.Teller // calls Config.Events
	hanging  bool           // so many that no worker is created

	tagNames tagNames

	mu      sync.Mutex
	running bool
	ran     bool
	ctx     context.Context // Run's: what a method begins in the background ends with Run, not with the method's caller
	tasks   sync.WaitGroup
	started time.Time

	kinds     map[string]*kind
	kindsOf   map[string][]*kind // by the key of a pause
	all       []*record
	byID      map[InstanceID]*record
	bySecret  map[Secret]*record // of workers without an id
	jobs      map[JobID]*record
	deadlines deadlines
	due       chan struct{}
	pauses    pauses
	count     [states + 1]int
	kept      int // workers that are not gone
	price     float64
	meter     meter
	brake     brake
	failing   map[*record]struct{}
	inFlight  map[task]bool
	rulesOf   []*Rules

	listing   listing
	listedNow chan struct{} // room for one: list at once
	listed    chan struct{} // closed after the first good listing

	probes     []*record
	probeWake  chan struct{}
	probePace  *pace
	probeSlots *semaphore.Weighted
	opPace     *pace
	recordSlot *semaphore.Weighted

	pollWake chan struct{}
	planWake chan struct{}
	view     view
	jobLimit jobLimit
	plan     planState

	subscribers map[chan struct{}]struct{}
	events      []Event
	eventWake   chan struct{}
	stats       Stats
	metrics     *metrics
}

// task is a command or call about a job that is under way.
type task struct {
	worker *record
	job    JobID
	kind   string
}

// New returns a pool. Nothing is started; that is [Pool.Run]'s. The queue may be nil: then the host creates workers and
// starts jobs itself, and the pool keeps the floors and shuts down what idles.
func New(set InstanceSet, executor Executor, queue Queue, cfg Config) (*Pool, error) {
	switch {
	case set == nil:
		return nil, invalid.New("set", "nil", "a pool needs a provider of instances")
	case executor == nil:
		return nil, invalid.New("executor", "nil", "a pool needs an executor of commands")
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Pool{
		cfg: cfg, set: set, executor: executor, queue: queue, clock: cfg.Clock, given: outcall.New(cfg.Clock, "workerpool", "stuck"),
		commands: outcall.New(cfg.Clock, "workerpool", "stuck"), tagNames: newTagNames(cfg.TagPrefix),
		kinds: make(map[string]*kind), kindsOf: make(map[string][]*kind),
		byID: make(map[InstanceID]*record), bySecret: make(map[Secret]*record), jobs: make(map[JobID]*record),
		failing: make(map[*record]struct{}), inFlight: make(map[task]bool),
		pauses:    pauses{first: cfg.FirstPause, longest: cfg.LongestPause, byKey: make(map[string]*pause)},
		due:       make(chan struct{}, 1),
		listedNow: make(chan struct{}, 1), listed: make(chan struct{}),
		probeWake: make(chan struct{}, 1), pollWake: make(chan struct{}, 1), planWake: make(chan struct{}, 1), eventWake: make(chan struct{}, 1),
		probePace: newPace(cfg.Clock, cfg.ProbesPerSecond), opPace: newPace(cfg.Clock, cfg.OperationsPerSecond),
		probeSlots: semaphore.NewWeighted(int64(cfg.MaxProbing)), recordSlot: semaphore.NewWeighted(maxRecording),
		subscribers: make(map[chan struct{}]struct{}),
		stats:       newStats(),
	}
	p.host = outcall.Teller{Calls: p.given, Kind: "Config.Events"}
	for i := range cfg.Limits.Types {
		p.addKind(cfg.Limits.Types[i], true)
	}
	if queue != nil {
		p.view.settled = make(map[JobID]time.Time) // emptied by each view
	}
	return p, p.register()
}

// maxRecording bounds the calls of the queue's Record in flight that say what became of a job. Those that claim one are not among
// them: a start does not wait until the queue has heard of the ends.
const maxRecording = 32

// Run lists, probes, plans and acts until ctx ends. It returns nil when everything that it started has ended, and an error that names
// what does not return: a call of an [InstanceSet], an [Executor] or a [Queue] that ignores its context is given up 3 seconds after
// that has ended, as is one of Config.Events 3 seconds after the end of Run's. Run may be called once.
func (p *Pool) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	if p.ran {
		p.mu.Unlock()
		return errors.New("worker pool: Run may be called once")
	}
	p.ran, p.running, p.ctx = true, true, ctx
	p.started = p.now()
	p.deadlines.origin = p.started
	p.meter.begin(p.cfg.Spent, p.started)
	p.mu.Unlock()

	telling, stopTelling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopTelling()
	var told sync.WaitGroup
	told.Go(func() { p.deliver(telling) })

	group, ctx := errgroup.WithContext(ctx)
	for _, loop := range []func(context.Context){p.syncLoop, p.deadlineLoop, p.probeLoop, p.pollLoop, p.planLoop} {
		group.Go(func() error {
			loop(ctx)
			return nil
		})
	}
	err := group.Wait()
	p.mu.Lock()
	p.running = false
	p.mu.Unlock()
	p.tasks.Wait()
	stopTelling()
	told.Wait()
	p.unregister()
	return errors.Join(err, p.given.Leftovers("worker pool"), p.commands.Leftovers("worker pool"))
}

func (p *Pool) now() time.Time { return p.clock.Now().UTC() }

// run does something beside, until Run's context ends. The caller holds the lock. It reports whether the pool runs.
func (p *Pool) run(f func(ctx context.Context)) bool {
	if !p.running || p.ctx.Err() != nil {
		return false
	}
	ctx := p.ctx
	p.tasks.Go(func() { f(ctx) })
	return true
}

// once is [Pool.run] for a task that must not run twice at once. The caller holds the lock.
func (p *Pool) once(t task, f func(ctx context.Context)) {
	if p.inFlight[t] {
		return
	}
	if p.run(func(ctx context.Context) {
		defer func() {
			p.mu.Lock()
			delete(p.inFlight, t)
			p.mu.Unlock()
		}()
		f(ctx)
	}) {
		p.inFlight[t] = true
	}
}

// pause waits; false if ctx ended first.
func (p *Pool) pause(ctx context.Context, d time.Duration, tag string) bool {
	timer := p.clock.NewTimer(d, "workerpool", tag)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// bounded calls something that must end in time. When it does not heed its context the call is given up and its result ignored; its
// goroutine is left behind.
func (p *Pool) bounded(ctx context.Context, what outcall.Name, limit time.Duration, f func(ctx context.Context) error) error {
	return p.boundedOf(ctx, p.given, what, limit, f)
}

// boundedOf is bounded for a call of some that are counted together.
func (p *Pool) boundedOf(
	ctx context.Context, calls *outcall.Calls, what outcall.Name, limit time.Duration, f func(ctx context.Context) error,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	guard := p.clock.AfterFunc(limit, func() { cancel(errTimeout) }, "workerpool", "limit")
	defer guard.Stop()
	_, err := outcall.DoOn(ctx, calls, outcall.Apart, what, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, protect(func() error { return f(ctx) })
	}, nil)
	if stuck, given := outcall.Given(err); given && stuck.Before == 0 {
		p.cfg.Logger.Error("call given up: it does not return", "doing", stuck.Doing)
	}
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
		return errTimeout
	}
	return err
}

// errTimeout is what a call ends with that took too long.
var errTimeout = errors.New("no answer in time")

// callOf is what a call of a method is called that concerns one thing: what hangs for it takes no places of others.
func callOf(method, one string) outcall.Name {
	return outcall.Name{Kind: method, One: method + " " + one}
}

// Subscribe returns a channel that gets a value after something has changed: the state of a worker, a listing, a pause.
// Changes that come before it is read are one value. The returned function ends the subscription.
func (p *Pool) Subscribe() (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subscribers[ch] = struct{}{}
	return ch, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.subscribers, ch)
	}
}

// changed wakes whoever waits for a change. The caller holds the lock.
func (p *Pool) changed() {
	for ch := range p.subscribers {
		wake(ch)
	}
	wake(p.planWake)
}

// Listed returns a channel that is closed after the first good listing. Before it the pool knows nothing of what exists:
// counts are low, and nothing is created.
func (p *Pool) Listed() <-chan struct{} { return p.listed }
