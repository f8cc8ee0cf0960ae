package prewarm

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/internal/hints"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/invalid"
)

// Pool keeps one pool as its spec says, and serves claims. Make one for each pool and process; all methods are safe for
// concurrent use.
type Pool struct {
	store   Store
	backend Backend
	cfg     Config
	clock   quartz.Clock

	builds   *workQueue  // creations: they may take long, and hold up nothing else
	removals *workQueue  // destructions and cleanings
	returns  *workQueue  // of what was claimed for somebody who has left
	plan     signal      // something may have to be done
	serve    signal      // somebody waits, or a member is ready
	list     signal      // what the backend has should be listed
	ready    signal      // other processes should be told of a member
	lined    signal      // other processes should be told who waits
	heard    *hints.Gate // what other processes say may be served
	process  string      // who we are to other processes
	events   mailbox[Event]
	notes    mailbox[PoolEvent] // what the host is to be told
	metrics  *metrics

	mu     sync.Mutex
	state  runState
	holds  sync.WaitGroup // goroutines of Work
	spec   Spec
	line   line
	others others
	told   told
	// maybeReady is since when a member may be ready that claims of other processes come first for, zero if none is. allServed is
	// when all who wait here were served last, in turn or not.
	maybeReady, allServed time.Time
	traffic               Traffic
	creating              map[uuid.UUID]bool   // members whose creation is queued or running here
	missers               map[string]time.Time // owners that were not served, and when
	view                  view
	taken                 map[uuid.UUID]bool // claimed since the view
	// buildTime is the last one that was measured: a drained pool has no members to measure.
	buildTime time.Duration
	// missing are claimed members that the listings of this process lack, and since when; only listings touch it.
	missing map[uuid.UUID]time.Time
	held    map[uuid.UUID]map[*hold]struct{}
	given   *outcall.Calls // by method, those that were given up
	host    outcall.Teller // calls Config.Events
	stats   counters
}

// maxNotes bounds what a host has not been told yet.
const maxNotes = 10_000

type runState uint8

const (
	fresh runState = iota
	running
	ended
)

// view is what the last plan saw. It is replaced as a whole and never changed.
type view struct {
	spec     Spec
	members  []Member
	versions []string // of ready members
	failures Failures
	decision Decision
	at       time.Time
}

// Errors of a pool.
var (
	// ErrNotRunning says that [Pool.Run] has ended, or where nothing can wait for it, that it was not called.
	ErrNotRunning = errors.New("the pool is not running")
	// ErrAlreadyRun says that Run was called before: a pool runs once.
	ErrAlreadyRun = errors.New("prewarm: Run was called before")
	// ErrEnded says that the claim has ended: it was returned, expired, or its member is lost.
	ErrEnded = errors.New("the claim has ended")
	// ErrNotFound says that there is no such member.
	ErrNotFound = errors.New("member not found")
	// ErrKeyReused says that a claim's key belongs to another owner.
	ErrKeyReused = errors.New("the key belongs to another owner")
)

// New returns a pool over a store and a backend. Nothing is started and neither is asked; that is [Pool.Run]'s.
func New(store Store, backend Backend, cfg Config) (*Pool, error) {
	switch {
	case store == nil:
		return nil, invalid.New("store", "nil", "a pool needs a store")
	case backend == nil:
		return nil, invalid.New("backend", "nil", "a pool needs a backend")
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Pool{
		store: store, backend: backend, cfg: cfg, clock: cfg.Clock, spec: cfg.Spec,
		builds: newWorkQueue(false), removals: newWorkQueue(false), returns: newWorkQueue(true), plan: newSignal(), serve: newSignal(), list: newSignal(), ready: newSignal(), lined: newSignal(), process: uuid.NewString(), others: newOthers(), events: mailbox[Event]{wake: newSignal()},
		notes: mailbox[PoolEvent]{wake: newSignal(), limit: maxNotes},
		line:  newLine(), traffic: Traffic{Window: cfg.TrafficWindow}, held: make(map[uuid.UUID]map[*hold]struct{}), creating: make(map[uuid.UUID]bool), missers: make(map[string]time.Time), taken: make(map[uuid.UUID]bool),
		given: outcall.New(cfg.Clock, "pool", "stuck"), stats: newCounters(),
	}
	p.host = outcall.Teller{Calls: p.given, Kind: "Config.Events"}
	p.heard = hints.NewGate(cfg.Clock, hearPause, "pool", p.serve.set)
	p.view = view{spec: cfg.Spec}
	if err := p.register(); err != nil {
		return nil, err
	}
	return p, nil
}

// Run plans, creates, destroys, listens and serves claims until ctx ends. It returns nil when everything that it started has
// ended, and an error that names what does not return: a call of the backend, the cleaner, the store or Config.Events that goes on is
// given up 3 seconds after its context has ended. A pool runs once. Claims that wait when it ends get [ErrNotRunning]; what they were
// given meanwhile is given back, within Config.Timeout. Claimed members stay claimed: whoever runs the pool next finds them, with the
// time that is left.
func (p *Pool) Run(ctx context.Context) error {
	if err := p.begin(); err != nil {
		return err
	}
	var group errgroup.Group
	// What must still be written when ctx has ended has a deadline of its own.
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for _, loop := range []func(context.Context){p.planLoop, p.serveLoop, p.watchLoop, p.eventLoop, p.listLoop, p.announceLoop, p.hearLoop, p.notifyLoop} {
		group.Go(func() error { loop(ctx); return nil })
	}
	for range p.cfg.Concurrency {
		group.Go(func() error { p.builds.run(ctx, ctx); return nil })
		group.Go(func() error { p.removals.run(ctx, ctx); return nil })
		group.Go(func() error { p.returns.run(ctx, late); return nil })
	}
	p.list.set()
	<-ctx.Done()
	guard := p.clock.AfterFunc(p.cfg.Timeout, cancel, "pool", "stop")
	defer guard.Stop()
	_ = group.Wait()
	p.end()
	p.holds.Wait()
	p.builds.close(late)
	p.removals.close(late)
	p.returns.close(late)
	p.notifyAll(ctx)
	p.Close()
	return p.given.Leftovers("prewarm: pool " + p.cfg.Spec.Name)
}

// Close takes the metrics out of the registry. Run does it when it returns; only a pool that never runs needs Close. It may
// be called again.
func (p *Pool) Close() {
	if p.cfg.Registerer != nil {
		p.cfg.Registerer.Unregister(p.metrics)
	}
}

func (p *Pool) begin() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != fresh {
		return ErrAlreadyRun
	}
	p.state = running
	return nil
}

func (p *Pool) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = ended
	for _, w := range p.line.waiters {
		w.fail(ErrNotRunning)
	}
	p.line = newLine()
	for _, holds := range p.held {
		for h := range holds {
			h.cancel(ErrNotRunning)
		}
	}
}

// SetSpec replaces the spec. The next plan follows it, at once. An unreadable spec, one with Err, is accepted: the pool
// then serves what it has.
func (p *Pool) SetSpec(s Spec) error {
	if s.Name != p.cfg.Spec.Name {
		return invalid.New("Spec.Name", s.Name, "must be that of the pool, %q", p.cfg.Spec.Name)
	}
	if s.Err == nil {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	p.mu.Lock()
	if s.Err != nil { // what it says besides cannot be trusted
		kept := p.spec
		kept.Err = s.Err
		s = kept
	}
	before := p.spec
	p.spec = s
	p.notifySpec(before, s)
	p.mu.Unlock()
	p.plan.set()
	return nil
}

// current returns the spec with what is measured now.
func (p *Pool) current(now time.Time) Spec {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.spec
	s.Demand.PerHour = max(s.Demand.PerHour, p.traffic.PerHour(now))
	s.Demand.Waiting = p.line.waiting()
	if p.buildTime > 0 {
		s.Demand.BuildTime = p.buildTime
	}
	return s
}

// now is the present as the store keeps it.
func (p *Pool) now() time.Time { return micros.Of(p.clock.Now("pool", "now")) }

// protect turns a panic of a backend, a cleaner or a store into an error: one bad answer must not end the host.
func (p *Pool) protect(what string, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.cfg.Logger.Error("panic", "in", what, "panic", v, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return f()
}

func (p *Pool) members(ctx context.Context, q Query) ([]Member, error) {
	q.Pool = p.cfg.Spec.Name
	return askStore(ctx, p, "read members", func(ctx context.Context) ([]Member, error) { return p.store.Members(ctx, q) })
}

func (p *Pool) poolState(ctx context.Context) (PoolState, error) {
	return askStore(ctx, p, "read the pool's state", func(ctx context.Context) (PoolState, error) {
		return p.store.PoolState(ctx, p.cfg.Spec.Name)
	})
}

func (p *Pool) put(ctx context.Context, state *PoolState, changes []Change) (applied []bool, err error) {
	for i := range changes {
		changes[i].Member.Message = text.Clean(changes[i].Member.Message, maxMessage)
	}
	if state != nil {
		state.PausedBy, state.Failures.Message = text.Clean(state.PausedBy, maxName), text.Clean(state.Failures.Message, maxMessage)
	}
	return askStore(ctx, p, "write members", func(ctx context.Context) ([]bool, error) {
		return p.store.PutMembers(ctx, state, changes)
	})
}

// maxMessage bounds what is kept of what a backend says.
const maxMessage = 2000

// pause waits for d, for a signal or for ctx, and reports whether ctx is alive.
func (p *Pool) pause(ctx context.Context, d time.Duration, wake signal, tags ...string) bool {
	timer := p.clock.NewTimer(d, tags...)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// signal says that there is something to do. Signals that come before anybody looks are one.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) set() {
	select {
	case s <- struct{}{}:
	default:
	}
}
