package acquirer

import (
	"context"
	"slices"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// membership is this process among those that share the store: its name there, whether it is registered, and when it was
// last heard. Guarded by Acquirer.mu.
type membership struct {
	state runState
	// process is who we are to the store; a new one after we were declared lost, and former the last ones before it.
	process uuid.UUID
	former  []formerName
	// heartbeats is the store's count of ours, and heartbeatAt when the last one that it answered began; zero before.
	heartbeats  int64
	heartbeatAt time.Time
	// rejoin has room for one signal to register anew.
	rejoin chan struct{}
	// stopping is closed when Run is asked to end, and drained when no lease is held any more either.
	stopping chan struct{}
	drained  chan struct{}
	// joined is closed while the process is registered.
	joined chan struct{}
	// failures counts the heartbeats that failed in a row.
	failures int
	// fence gives the process up; nil before the first heartbeat was answered.
	fence *quartz.Timer
	// parked are store calls that wait for the process to be registered.
	parked []func()
}

// formerName is what a process was called until it was given up.
type formerName struct {
	process   uuid.UUID
	givenUpAt time.Time
}

// runState is where Run is.
type runState int

const (
	fresh   runState = iota // not called
	joining                 // called, the process is not registered
	running
	draining // Run is asked to end and waits for the jobs that are held
	ended
)

func newMembership() membership {
	return membership{
		process: uuid.New(), rejoin: make(chan struct{}, 1), joined: make(chan struct{}),
		stopping: make(chan struct{}), drained: make(chan struct{}),
	}
}

// registered notes a heartbeat that was answered, and returns the calls that have waited for the first one.
func (m *membership) registered(begun time.Time) (parked []func()) {
	m.heartbeatAt = begun
	m.failures = 0
	if m.state == joining {
		m.state = running
		close(m.joined)
		parked, m.parked = m.parked, nil
	}
	return parked
}

// maxFormer bounds the names that are remembered. Others take the older ones off the register, after a lease.
const maxFormer = 16

// rename gives the process a new id, under which it has to register anew.
func (m *membership) rename(now time.Time) {
	m.former = append(m.former, formerName{m.process, now})
	m.former = m.former[max(0, len(m.former)-maxFormer):]
	m.process = uuid.New()
	m.heartbeats, m.heartbeatAt = 0, time.Time{}
	if m.state != running {
		return
	}
	m.state = joining
	m.joined = make(chan struct{})
	select {
	case m.rejoin <- struct{}{}:
	default:
	}
}

func (m *membership) stopFence() {
	if m.fence != nil {
		m.fence.Stop()
	}
}

// awaitRegistered waits until the process is registered. After Run it does not wait: the store says whether it still is.
func (a *Acquirer) awaitRegistered(ctx context.Context) error {
	a.mu.Lock()
	joined, over := a.member.joined, a.member.state >= draining
	a.mu.Unlock()
	if over {
		return nil
	}
	select {
	case <-joined:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reports reports whether the process is registered and speaks for all. The caller holds the lock.
func (a *Acquirer) reports() bool {
	return a.member.state == running && a.fleet.first() == a.member.process
}

// heartbeatLoop reports to the store that we live, and learns how the others do.
func (a *Acquirer) heartbeatLoop(ctx context.Context) {
	defer a.beating.Wait()
	a.heartbeatUntilRegistered(ctx)
	if ctx.Err() != nil {
		return
	}
	a.ping()
	begun := a.clock.Now()
	for a.untilHeartbeat(ctx, begun) {
		begun = a.clock.Now()
		a.heartbeat(ctx)
		a.mu.Lock()
		again := a.member.state == joining
		a.mu.Unlock()
		if again {
			a.heartbeatUntilRegistered(ctx)
			begun = a.clock.Now()
		}
	}
}

// untilHeartbeat waits for the next heartbeat's time, or until we have to register again. The pause counts from the last
// one's begin, like the lease: however slow the store, no time of the lease is spent on waiting. After a failure it is short,
// since a whole period would be all that is left of the lease, and grows to an eighth of a period.
func (a *Acquirer) untilHeartbeat(ctx context.Context, last time.Time) bool {
	a.mu.Lock()
	failures := a.member.failures
	a.mu.Unlock()
	pause := max(a.cfg.Heartbeat-a.clock.Since(last), 0)
	if failures > 0 {
		pause = min(pause, jitter(min(growing(failures-1), a.cfg.Heartbeat/8)))
	}
	timer := a.clock.NewTimer(pause, "heartbeat")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-a.member.rejoin:
	case <-timer.C:
	}
	return true
}

func (a *Acquirer) heartbeatUntilRegistered(ctx context.Context) {
	for failures := 0; ctx.Err() == nil && !a.heartbeat(ctx); failures++ {
		if !a.pause(ctx, growing(failures), "register") {
			return
		}
	}
}

// workers is what we say of our own workers. The caller holds the lock.
func (a *Acquirer) workers() []queue.DomainWorkers {
	domains := a.dispatch.Domains()
	workers := make([]queue.DomainWorkers, 0, len(domains))
	for _, d := range domains {
		// One that is empty is about to be forgotten, or its worker about to ask again.
		workers = append(workers, queue.DomainWorkers{Domain: d.Domain, Waiting: d.Waiting(), Busy: d.Running()})
	}
	return workers
}

// heartbeatFailed notes a heartbeat that failed. The caller holds the lock.
func (a *Acquirer) heartbeatFailed(process uuid.UUID, err error) {
	if a.member.state == ended {
		return
	}
	a.member.failures++
	a.teller.tell(func(context.Context) { a.cfg.Logger.Warn("heartbeat failed", "error", err) })
	if queue.IsAnswer(err) {
		a.lost(process)
	}
}

// heartbeatAnswered takes in how the fleet is. The caller holds the lock.
func (a *Acquirer) heartbeatAnswered(answer queue.Fleet, begun time.Time) {
	now := a.clock.Now()
	silent := a.fleet.update(answer, a.member.process, now, a.cfg.Lease, func(id uuid.UUID) bool { return a.cfg.Alone || a.stopped(id, now) })
	own, known := a.fleet.process(a.member.process)
	if known {
		a.member.heartbeats = own.Heartbeats
	}
	parked := a.member.registered(begun)
	a.fenceFrom(begun)
	for _, lease := range answer.Canceled {
		a.canceled(lease)
	}
	for _, call := range parked {
		call()
	}
	a.losses.addProcesses(silent)
	a.losses.compareHolding(own.Holding, a.book.Len(a.member.process))
	a.dispatch.Forget(now.Add(-min(a.cfg.Lease, quietFor)))
	a.looks.forget(a.dispatch.Knows)
	a.health.forget(a.dispatch.Knows, now)
	a.hangUps.forget(now)
	a.refused.forget(now)
	a.match(now)
}

// fenceFrom gives the process up when no later heartbeat has succeeded one heartbeat before others may declare it lost. They
// count from when they saw our heartbeat, which is after it began; so a clock may run a third faster than ours, and no
// reading of it is ever compared with ours. Its timer is its own: nothing that waits for the host or the store is before it
// in any queue. The caller holds the lock.
func (a *Acquirer) fenceFrom(begun time.Time) {
	left := a.clock.Until(begun.Add(a.cfg.Lease - a.cfg.Heartbeat))
	if a.member.fence == nil {
		a.member.fence = a.clock.AfterFunc(left, a.checkFence, "fence")
		return
	}
	a.member.fence.Reset(left, "fence")
}

func (a *Acquirer) checkFence() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := a.member.heartbeatAt; !at.IsZero() && a.clock.Since(at) >= a.cfg.Lease-a.cfg.Heartbeat {
		a.lost(a.member.process)
	}
}

// stopped reports whether a name is a former one of ours, and what was held under it has had the time to stop that is left between the
// fence and the end of a lease. A heartbeat that is stored late keeps such a name on the register for as long as a lease; the store
// does not know that nobody speaks under it any more. The caller holds the lock.
func (a *Acquirer) stopped(process uuid.UUID, now time.Time) bool {
	return slices.ContainsFunc(a.member.former, func(f formerName) bool {
		return f.process == process && now.Sub(f.givenUpAt) >= a.cfg.Heartbeat
	})
}

// lost gives up the process: the store has declared it lost, or others are about to. Its jobs must stop now,
// before somebody else begins them; we go on under a new name. The caller holds the lock.
func (a *Acquirer) lost(process uuid.UUID) {
	if process != a.member.process || a.member.state == ended {
		return
	}
	gone := a.book.Drop(process)
	a.left(queue.ErrLeaseLost, gone...)
	a.member.rename(a.clock.Now())
	a.teller.tell(func(context.Context) {
		a.cfg.Logger.Error("process lost its leases", "process", process, "jobs", len(gone))
	})
}
