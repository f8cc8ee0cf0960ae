package acquirer

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
)

// fleet is what the last beat said of all processes and their workers.
type fleet struct {
	// epoch counts the pulses. beats and at are of our own last beat.
	epoch uint64
	beats int64
	at    time.Time
	// processes that live, by id, ourselves included.
	processes []queue.Process
	running   map[queue.Kind]int
	// seen is when, by our clock, each process's count of beats was first seen as it is.
	seen map[uuid.UUID]sighting
	// strays is how many pulses in a row spoke of jobs of ours that we know nothing of.
	strays int
	// sinceCompared counts the pulses since what we hold was compared lease by lease.
	sinceCompared int
}

type sighting struct {
	beats int64
	at    time.Time
}

// reporter reports whether the process is the one that speaks for all: the first among the living.
func (f *fleet) reporter(process uuid.UUID) bool {
	return len(f.processes) > 0 && f.processes[0].ID == process
}

// take stores a pulse that came at now to a beat that began at begun, and returns the processes whose silence is over the lease, and those whose burial
// somebody left unfinished.
func (f *fleet) take(p queue.Fleet, self uuid.UUID, begun, now time.Time, lease time.Duration) (silent []queue.Process) {
	f.epoch++
	f.at, f.running = begun, p.Running
	f.processes = f.processes[:0]
	seen := make(map[uuid.UUID]sighting, len(p.Processes))
	for _, process := range p.Processes {
		s, ok := f.seen[process.ID]
		if !ok || s.beats != process.Heartbeats {
			s = sighting{process.Heartbeats, now}
		}
		seen[process.ID] = s
		switch {
		case process.ID == self:
			f.beats = process.Heartbeats
			f.processes = append(f.processes, process)
		case process.Lost || now.Sub(s.at) >= lease:
			silent = append(silent, process)
		default:
			f.processes = append(f.processes, process)
		}
	}
	f.seen = seen
	slices.SortFunc(f.processes, func(a, b queue.Process) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return silent
}

// slots is the number of running jobs and waiting workers of an organization in all processes.
func (f *fleet) slots(organization uuid.UUID) int {
	n := 0
	for kind, running := range f.running {
		if kind.Organization == organization {
			n += running
		}
	}
	for _, p := range f.processes {
		for _, crew := range p.Workers {
			if crew.Domain.Organization == organization {
				n += crew.Waiting
			}
		}
	}
	return n
}

// limits are what a claim of an organization must keep to. The caller holds the lock.
func (a *Acquirer) limits(org *orgState) queue.Limits {
	if len(a.cfg.Reserves) == 0 {
		return a.cfg.Limits
	}
	here := 0
	for _, d := range org.domains {
		here += d.line.Len() + d.busy
	}
	return a.cfg.Limits.WithReserves(a.cfg.Reserves, max(here, a.fleet.slots(org.id)))
}

// crews is what we say of our own workers. The caller holds the lock.
func (a *Acquirer) crews() []queue.DomainWorkers {
	var domains []*domain
	for _, org := range a.hall.orgs {
		for _, d := range org.domains {
			domains = append(domains, d)
		}
	}
	slices.SortFunc(domains, func(x, y *domain) int { return cmp.Compare(x.key, y.key) })
	crews := make([]queue.DomainWorkers, len(domains))
	for i, d := range domains {
		crews[i] = queue.DomainWorkers{Domain: d.Domain, Waiting: d.line.Len(), Busy: d.busy}
	}
	return crews
}

// rivals are the other processes with idle workers for a lane, as of one pulse.
type rivals struct {
	epoch uint64
	known bool
	list  []rival
}

type rival struct {
	process uuid.UUID
	waiting int
}

// rivalsOf finds them, once for each pulse. The caller holds the lock.
func (a *Acquirer) rivalsOf(l *laneState) []rival {
	if l.rivals.known && l.rivals.epoch == a.fleet.epoch {
		return l.rivals.list
	}
	l.rivals = rivals{epoch: a.fleet.epoch, known: true}
	for _, p := range a.fleet.processes {
		waiting := 0
		for _, crew := range p.Workers {
			if crew.Waiting > 0 && crew.Domain.Runs(l.Lane) {
				waiting += crew.Waiting
			}
		}
		if waiting > 0 && p.ID != a.process {
			l.rivals.list = append(l.rivals.list, rival{p.ID, waiting})
		}
	}
	return l.rivals.list
}

func (a *Acquirer) othersAble(l *laneState) bool { return len(a.rivalsOf(l)) > 0 }

// turnOrder is the same in all processes: they must agree on whose turn it is. It is FNV-1a.
func turnOrder(process uuid.UUID, s source) uint64 {
	h := uint64(14695981039346656037)
	for _, part := range [][]byte{process[:], s.process[:]} {
		for _, b := range part {
			h = (h ^ uint64(b)) * 1099511628211
		}
	}
	for seq := s.seq; seq > 0; seq >>= 8 {
		h = (h ^ seq&0xff) * 1099511628211
	}
	return h ^ h>>29
}

// turnOf says how many processes come before us in claiming what a message announced, beyond those whose
// workers it takes anyway: 0 means that we claim at once. Every process comes to the same order, by hashing
// the message; where they disagree about who is idle, the cost is a probe in vain or a short wait.
func (a *Acquirer) turnOf(l queue.Lane, s source, jobs int) int {
	org, ok := a.hall.orgs[l.Organization]
	if !ok || a.cfg.Grace < 0 {
		return 0
	}
	mine := turnOrder(a.process, s)
	before, workers := 0, 0
	for _, r := range a.rivalsOf(org.lane(l)) {
		if r.process != s.process && turnOrder(r.process, s) < mine {
			before++
			workers += r.waiting
		}
	}
	if workers < jobs {
		return 0
	}
	return before
}

// beatLoop tells the store that we live, and learns how the others do.
func (a *Acquirer) beatLoop(ctx, _ context.Context) {
	a.beatUntilRegistered(ctx)
	if ctx.Err() != nil {
		return
	}
	a.ping()
	for a.nextBeat(ctx) {
		a.beat(ctx)
		a.mu.Lock()
		again := a.state == joining
		a.mu.Unlock()
		if again {
			a.beatUntilRegistered(ctx)
		}
	}
}

// nextBeat waits a heartbeat, or until we have to register again.
func (a *Acquirer) nextBeat(ctx context.Context) bool {
	timer := a.clock.NewTimer(a.cfg.Heartbeat, "heartbeat")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-a.rejoin:
	case <-timer.C:
	}
	return true
}

func (a *Acquirer) beatUntilRegistered(ctx context.Context) {
	for failures := 0; ctx.Err() == nil && !a.beat(ctx); failures++ {
		if !a.pause(ctx, backoff.Doubled(a.cfg.Backoff, failures, a.cfg.BackoffMax), "register") {
			return
		}
	}
}

// beat reports whether the store knows us.
func (a *Acquirer) beat(ctx context.Context) bool {
	a.mu.Lock()
	b := queue.Heartbeat{Process: a.process, Name: a.cfg.Name, Now: a.now(), Workers: a.crews()}
	begun := a.clock.Now()
	a.mu.Unlock()
	var pulse queue.Fleet
	err := a.call(ctx, "beat", func(ctx context.Context) (err error) {
		pulse, err = a.store.Heartbeat(ctx, b)
		return err
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.missed(b.Process, err)
		return false
	}
	a.beaten(pulse, begun)
	return true
}

// missed notes a beat that failed. The caller holds the lock.
func (a *Acquirer) missed(process uuid.UUID, err error) {
	if a.state == ended {
		return
	}
	a.cfg.Logger.Warn("heartbeat failed", "error", err)
	if queue.IsAnswer(err) {
		a.lost(process)
	}
}

// fenceAt gives the process up when no later beat has succeeded one heartbeat before others may bury it. They
// count from when they saw our beat, which is after it began; so a clock may run a third faster than ours, and
// no reading of it is ever compared with ours. The caller holds the lock.
func (a *Acquirer) fenceAt(begun time.Time) {
	process := a.process
	a.agenda.after(a.clock.Until(begun.Add(a.cfg.Lease-a.cfg.Heartbeat)), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if process == a.process && a.fleet.at.Equal(begun) {
			a.lost(process)
		}
	})
}

// lost gives up the process: the store has declared it lost, or others are about to. Its jobs must stop now,
// before somebody else begins them; we go on under a new name. The caller holds the lock.
func (a *Acquirer) lost(process uuid.UUID) {
	if process != a.process || a.state == ended {
		return
	}
	a.cfg.Logger.Error("process lost its leases", "process", process, "jobs", len(a.held))
	for lease := range a.held {
		a.drop(lease, queue.ErrLeaseLost)
	}
	clear(a.open)
	a.process = uuid.New()
	a.fleet.at, a.fleet.beats = time.Time{}, 0
	if a.state == running {
		a.state = joining
		select {
		case a.rejoin <- struct{}{}:
		default:
		}
	}
}

// beaten takes in a pulse. The caller holds the lock.
func (a *Acquirer) beaten(p queue.Fleet, begun time.Time) {
	now := a.clock.Now()
	silent := a.fleet.take(p, a.process, begun, now, a.cfg.Lease)
	a.fenceAt(begun)
	for _, lease := range p.Canceled {
		a.canceled(lease)
	}
	if a.state == joining {
		a.state = running
		for _, item := range a.parked {
			item()
		}
		a.parked = nil
	}
	a.graves.add(silent)
	a.compareHoldings()
	a.hall.sweep(now.Add(-a.cfg.Lease))
	a.match(now)
}
