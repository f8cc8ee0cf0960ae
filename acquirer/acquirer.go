package acquirer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// Acquirer hands jobs to the workers of one process. Make one for each process and store. All methods are safe
// for concurrent use.
type Acquirer struct {
	store  queue.Store
	pubsub queue.Pubsub // nil: none
	cfg    Config
	clock  quartz.Clock

	agenda  *agenda
	queue   *workQueue
	post    *postbox
	ends    *batcher[queue.End, queue.Ended]
	renews  *batcher[queue.Renewal, queue.Renewed]
	metrics *metrics
	events  sync.Mutex // one event at a time

	mu    sync.Mutex
	hall  *hall
	state runState
	// process is who we are to the store; a new one after we were declared lost. rejoin has room for one signal
	// to register it.
	process uuid.UUID
	rejoin  chan struct{}
	ticket  uint64 // the last waiter's number
	held    map[queue.Lease]*held
	// open are the tokens of claims whose jobs are not in held yet.
	open    map[uuid.UUID]struct{}
	breaker breaker
	// parked are store calls that wait for the process to be registered.
	parked []func()
	// due is when the next job of an organization turns ready, as far as that is planned for.
	due     map[uuid.UUID]time.Time
	fleet   fleet
	hearing hearing
	graves  graves
	watched watched
}

// runState is where Run is.
type runState int

const (
	fresh   runState = iota // not called
	joining                 // called, the process is not registered yet
	running
	ended
)

// New returns an acquirer over a store. The pubsub may be nil: then jobs posted by other processes are found
// by looking, every [Config.Poll]. Nothing is started and the store is not asked; that is [Acquirer.Run]'s.
func New(store queue.Store, pubsub queue.Pubsub, cfg Config) (*Acquirer, error) {
	if store == nil {
		return nil, invalid.New("store", "nil", "an acquirer needs a store")
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	a := &Acquirer{
		store: store, pubsub: pubsub, cfg: cfg, clock: cfg.Clock,
		agenda: newAgenda(cfg.Clock), queue: newWorkQueue(), post: newPostbox(),
		process: uuid.New(), breaker: breaker{clock: cfg.Clock},
		held: make(map[queue.Lease]*held), open: make(map[uuid.UUID]struct{}), due: make(map[uuid.UUID]time.Time), rejoin: make(chan struct{}, 1), graves: graves{filled: make(chan struct{}, 1)},
	}
	a.hall = newHall(a.queueClaim, a.tell)
	a.ends = newBatcher(cfg.Batch, func(e queue.End) any { return e.Lease }, a.storeEnds)
	a.renews = newBatcher(cfg.Batch, func(r queue.Renewal) any { return r.Lease }, a.storeRenewals)
	if err := a.register(); err != nil {
		return nil, err
	}
	return a, nil
}

// errRunTwice is a programmer's mistake, not a condition to wait out.
var errRunTwice = errors.New("acquirer: Run was called twice")

// Run registers the process with the store and then claims, listens, announces and keeps leases alive, until
// ctx ends; it returns ctx's error once everything it started has ended. An acquirer runs once.
//
// When it ends, waiting workers get [queue.ErrStopped]. Claims in flight are awaited and jobs that nobody got are
// given back, within [Config.StopTimeout]. Jobs that are still held lose their contexts (see [Acquirer.Watch]);
// after [Config.Lease] another process takes them over. So end the workers first.
func (a *Acquirer) Run(ctx context.Context) error {
	if err := a.begin(); err != nil {
		return err
	}
	// The group's context ends first; what is being written then has a deadline of its own.
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for _, loop := range []func(ctx, late context.Context){
		func(ctx, _ context.Context) { a.agenda.run(ctx) },
		a.beatLoop, a.announceLoop, a.listenLoop, a.reapLoop, a.janitorLoop,
	} {
		group.Go(func() error { loop(ctx, late); return ctx.Err() })
	}
	for range a.cfg.Concurrency {
		group.Go(func() error { a.queue.work(ctx, late); return ctx.Err() })
	}
	<-ctx.Done()
	guard := a.clock.AfterFunc(a.cfg.StopTimeout, cancel, "stop")
	defer guard.Stop()
	a.close()
	_ = group.Wait()
	for item := a.queue.take(); item != nil; item = a.queue.take() {
		item(late)
	}
	a.farewell(late)
	return context.Cause(ctx)
}

func (a *Acquirer) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state != fresh {
		return errRunTwice
	}
	a.state = joining
	return nil
}

// close tells everybody who waits that nothing comes any more.
func (a *Acquirer) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state = ended
	now := a.clock.Now()
	for _, org := range a.hall.orgs {
		for _, d := range org.domains {
			for d.line.Len() > 0 {
				w := d.first()
				w.leave(now)
				w.call.fail(queue.ErrStopped)
			}
		}
	}
	a.hall.close()
	for _, h := range a.held {
		h.interrupt(queue.ErrStopped)
	}
}

// farewell settles what is unsettled and, if the process holds nothing, takes it off the register at once.
func (a *Acquirer) farewell(ctx context.Context) {
	a.mu.Lock()
	process, holds, beats := a.process, len(a.held) > 0, a.fleet.beats
	var unsettled []*round
	for _, org := range a.hall.orgs {
		for _, d := range org.domains {
			if d.unsettled != nil {
				unsettled = append(unsettled, d.unsettled)
			}
		}
	}
	a.mu.Unlock()
	for _, r := range unsettled {
		jobs, err := a.find(ctx, r.token)
		if err != nil {
			a.cfg.Logger.Warn("claim not settled before the stop", "token", r.token, "error", err)
			return
		}
		a.release(ctx, jobs)
	}
	if err := a.flushPosts(ctx); err != nil {
		a.cfg.Logger.Warn("last announcements not sent", "error", err) // the others look by themselves
	}
	if beats > 0 && !holds {
		_, _ = a.bury(ctx, process, beats, 1) // else others do, after the lease
	}
}

// call runs one call of the store under its own time limit and counts it. It says what was attempted.
func (a *Acquirer) call(ctx context.Context, operation string, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	guard := a.clock.AfterFunc(a.cfg.Timeout, func() { cancel(context.DeadlineExceeded) }, "store", operation)
	defer guard.Stop()
	begun := a.clock.Now()
	err := f(ctx)
	a.metrics.storeCall(operation, a.clock.Since(begun), err)
	if err == nil {
		return nil
	}
	return fmt.Errorf("acquirer: %s: %w", operation, err)
}

// now is the present as the store keeps it.
func (a *Acquirer) now() time.Time { return micros.Of(a.clock.Now("stored")) }

// jitter spreads a period by a tenth to either side, so that processes started together do not stay together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}

// pause waits for d or for ctx, and reports whether ctx is alive.
func (a *Acquirer) pause(ctx context.Context, d time.Duration, tags ...string) bool {
	timer := a.clock.NewTimer(d, tags...)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
