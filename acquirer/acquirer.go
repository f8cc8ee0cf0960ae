package acquirer

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/agenda"
	"github.com/dormouse-go/dormouse/internal/dispatch"
	"github.com/dormouse-go/dormouse/internal/fairshare"
	"github.com/dormouse-go/dormouse/internal/goroutines"
	"github.com/dormouse-go/dormouse/internal/leases"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/internal/workqueue"
	"github.com/dormouse-go/dormouse/invalid"
)

// The names under which a host meets the hand-off's values; package queue documents them.
type (
	// Request is what a worker waits for.
	Request = queue.Request
	// Posting asks for a job.
	Posting = queue.Posting
	// Job is one unit of work.
	Job = queue.Job
	// End ends one attempt at a job.
	End = queue.End
	// Event is something that happened and concerns people.
	Event = queue.Event
	// Pubsub carries announcements between the processes that share a store.
	Pubsub = queue.Pubsub
)

// ErrAlreadyRun says that [Acquirer.Run] was called before: an acquirer runs once.
var ErrAlreadyRun = errors.New("acquirer: Run was called before")

// Acquirer hands jobs to the workers of one process. Make one for each process and store. All methods are safe
// for concurrent use.
type Acquirer struct {
	// Each part says which lock guards it. Where one lock is taken under another, mu is the outer one.

	store   queue.Store
	pubsub  queue.Pubsub  // nil: none
	carrier queue.Carrier // what the pubsub is beside; nil: no such
	cfg     Config
	clock   quartz.Clock
	metrics *metrics

	// These have locks of their own.
	beating  sync.WaitGroup
	verdicts sync.WaitGroup // that could not be stored yet, and substitutes
	agenda   *agenda.Agenda
	calls    *workqueue.Queue[uuid.UUID]        // claims and listings that wait, by organization; at most one for each domain and a few for each organization
	trials   [ranks]*workqueue.Queue[uuid.UUID] // those that failed the last time, by rank; none is healthy
	health   *health
	slow     *slowJobs
	ends     joined[queue.End, queue.Ended]
	renewals joined[queue.Renewal, queue.Renewed]
	logs     joined[queue.Renewal, queue.Renewed] // the lines of reports
	outgoing *outgoing
	teller   *teller
	domains  domains
	given    *outcall.Calls   // those given up
	stay     *goroutines.Pool // makes the calls of the store while staying, which is while Run runs
	staying  atomic.Bool
	host     outcall.Teller                // calls Config.Events
	shares   *fairshare.Limiter[uuid.UUID] // of organizations; nil: nobody is held back
	judges   *workqueue.Queue[court]       // verdicts about leases in doubt; at most one for each lease
	// substitutes are goroutines that go on in the place of a judge whose policy takes long.
	substitutes atomic.Int32
	questions   *workqueue.Queue[struct{}] // about leases, to the store; at most one for each in doubt, and one for all that may be canceled

	// mu guards all that follows. One lock for all of it: that a job is with a waiter, in the book of leases or on its way
	// back must change in one step.
	mu       sync.Mutex
	dispatch *dispatch.Dispatcher
	member   membership
	fleet    fleet
	book     *leases.Book
	// bookAt is when somebody looks into the book; zero: nobody is to.
	bookAt    time.Time
	listening listening
	looks     looks
	losses    losses
	unmatched unmatched
	hinted    hinted
	// waits are those of remote workers, held the jobs in the book by worker.
	waits, held map[workerKey]int
	hangUps     hangUps
	refused     refused
}

// New returns an acquirer over a store. The pubsub may be nil: then jobs posted by other processes are found
// by looking, every [Config.Poll]. New starts nothing and does not call the store; [Acquirer.Run] does.
func New(store queue.Store, pubsub Pubsub, cfg Config) (*Acquirer, error) {
	if store == nil {
		return nil, invalid.New("store", nil, "must not be nil")
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	a := &Acquirer{
		store: store, pubsub: pubsub, cfg: cfg, clock: cfg.Clock,
		agenda: agenda.New(cfg.Clock), calls: workqueue.New[uuid.UUID](maxCalls - 1),
		health: newHealth(), outgoing: newOutgoing(),
		teller: newTeller(), judges: workqueue.New[court](maxJudgesOfOne), questions: workqueue.New[struct{}](maxQuestions),
		member: newMembership(), waits: make(map[workerKey]int), held: make(map[workerKey]int),
		hangUps: make(hangUps), refused: make(refused), looks: newLooks(), losses: newLosses(),
		given: outcall.New(cfg.Clock, "stuck"), stay: goroutines.New(maxCalls, stayFor),
	}
	for r := range trialPlaces {
		a.trials[r] = workqueue.New[uuid.UUID](1)
	}
	a.host = outcall.Teller{Calls: a.given, Kind: "Config.Events"}
	a.carrier, _ = pubsub.(queue.Carrier)
	a.book = leases.New(a.runLimit)
	a.book.Silence = cfg.Remote.Silence
	if cfg.Share > 0 {
		a.shares = fairshare.New[uuid.UUID](cfg.Clock, cfg.Share)
	}
	a.dispatch = dispatch.New(dispatch.Hooks{Claim: a.queueClaim, Announce: a.announce})
	a.slow = newSlowJobs()
	renewed := func(r queue.Renewal) uuid.UUID { return r.Lease.Job }
	a.ends = join(a, func(e queue.End) uuid.UUID { return e.Lease.Job }, a.storeEnds)
	a.logs = join(a, renewed, a.storeRenewals)
	a.renewals = join(a, renewed, a.storeRenewals)
	a.ends.Weigh(maxBytes, func(e queue.End) int { return len(e.Result) })
	a.logs.Weigh(logBytes, func(r queue.Renewal) int { return bytesOf(r.Lines) })
	if err := a.register(); err != nil {
		return nil, err
	}
	return a, nil
}

// Run registers the process with the store, and then claims, listens, announces and keeps leases alive until ctx ends. It
// returns nil once everything it started has ended, and an error that names what does not return: a call of the store or of the
// host that ignores its context is given up 3 seconds after that has ended. It may be called once; after that it returns
// [ErrAlreadyRun].
//
// When ctx ends, waiting workers get [queue.ErrStopped] and nothing more is handed out, but leases are kept while jobs are
// held: their workers may go on, report and end them for up to [Config.StopTimeout]. So a worker and its acquirer may share
// one context. Then what is still held loses its contexts (see [Acquirer.Watch]), and another process takes it over after
// [Config.Lease]. What must still be written, such as jobs to give back that nobody got, has as much time again.
func (a *Acquirer) Run(ctx context.Context) error {
	if err := a.begin(); err != nil {
		return err
	}
	defer a.unregister()
	a.staying.Store(true)
	defer a.stay.End()
	defer a.staying.Store(false)
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	// What is being written when life ends has a deadline of its own.
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	group := a.startLoops(life, late)
	<-ctx.Done()
	a.drain()
	guard := a.clock.AfterFunc(a.cfg.StopTimeout, cancel, "stop")
	defer guard.Stop()
	a.close()
	end()
	group.Wait()
	a.verdicts.Wait()
	a.calls.Drain(late)
	for _, trials := range a.trials {
		trials.Drain(late)
	}
	a.leave(late)
	a.tellAll(late)
	return a.given.Leftovers("acquirer")
}

func (a *Acquirer) startLoops(life, late context.Context) *sync.WaitGroup {
	var group sync.WaitGroup
	for _, loop := range []func(ctx context.Context){
		a.agenda.Run, a.heartbeatLoop, a.publishLoop, a.listenLoop, a.reapLoop, a.pruneLoop, a.tellLoop,
	} {
		group.Go(func() { loop(life) })
	}
	for range maxCalls {
		group.Go(func() { a.calls.Run(life, late) })
	}
	for r, places := range trialPlaces {
		for range places {
			group.Go(func() { a.trials[r].Run(life, late) })
		}
	}
	for range maxJudges + maxJudgesOfOne*len(a.cfg.Lost) {
		group.Go(func() { a.judges.Run(life, life) })
	}
	for range maxQuestions {
		group.Go(func() { a.questions.Run(life, life) })
	}
	return &group
}

func (a *Acquirer) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.member.state != fresh {
		return ErrAlreadyRun
	}
	a.member.state = joining
	return nil
}

// drain ends all waiting, and waits until no job is held or StopTimeout is over.
func (a *Acquirer) drain() {
	a.mu.Lock()
	a.member.state = draining
	close(a.member.stopping)
	for _, w := range a.dispatch.Close(a.clock.Now()) {
		callOf(w).fail(queue.ErrStopped)
	}
	a.checkDrained()
	a.mu.Unlock()
	timer := a.clock.NewTimer(a.cfg.StopTimeout, "drain")
	defer timer.Stop()
	select {
	case <-a.member.drained:
	case <-timer.C:
	}
}

// close interrupts all work.
func (a *Acquirer) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.member.state = ended
	a.member.stopFence()
	a.interruptAll(queue.ErrStopped)
}

// process is who we are to the store.
func (a *Acquirer) process() uuid.UUID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.member.process
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
