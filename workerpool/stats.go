package workerpool

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Stats are the pool's counters since it was made.
type Stats struct {
	// Creates by why they were asked for, CreateErrors by the class of the provider's error, Shutdowns by the rule.
	Creates, CreateErrors, Shutdowns map[Reason]uint64
	// Records are what the queue was told.
	Records map[RecordKind]uint64
	// Boots are workers that became ready, BootFailures those that did not in time, Disappeared those that a listing
	// lacked unasked.
	Boots, BootFailures, Disappeared uint64
	// ListingErrors are listings that failed, ListingProblems instances that cannot be, BrakedListings those that lacked
	// too many workers.
	ListingErrors, ListingProblems, BrakedListings uint64
	DestroyErrors, StartErrors, ClaimsRefused      uint64
	// ListingHeld is how long the last listing held the pool's lock at a stretch.
	ListingHeld time.Duration
	// Duplicates are jobs found on two workers, BadJobs those of the queue that were left out.
	Duplicates, BadJobs, QueueErrors uint64
	EventsDropped                    uint64
	// Stuck is the number of calls of the provider, the executor, the queue and Config.Events that were given up and have not returned. At
	// most 100 of a kind are left behind, 25 creations of a type, and 3 for one instance, for the commands of one worker and for one job;
	// then these are not called until some return. No worker is created while the commands left behind are 100 more than those that the
	// present workers may leave.
	Stuck int
}

func newStats() Stats {
	return Stats{
		Creates: make(map[Reason]uint64), CreateErrors: make(map[Reason]uint64), Shutdowns: make(map[Reason]uint64),
		Records: make(map[RecordKind]uint64),
	}
}

// Stats returns the counters.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Stuck = p.given.Len() + p.commands.Len()
	s.Creates, s.CreateErrors = maps.Clone(s.Creates), maps.Clone(s.CreateErrors)
	s.Shutdowns, s.Records = maps.Clone(s.Shutdowns), maps.Clone(s.Records)
	return s
}

// Counts are the workers of this moment. Before [Pool.Listed] they lack what is not yet known.
type Counts struct {
	// Workers by state, gone ones excepted, and Total of them.
	Workers map[State]int
	Total   int
	// Slots of the ready workers that take jobs, and Used of them. Jobs are those on all workers.
	Slots, Used int64
	Jobs        int
	// Failing are workers that were ready and do not answer.
	Failing int
	// Braked: so many fail that none is shut down for it.
	Braked bool
}

// Counts returns the counts. The cost does not depend on the number of workers.
func (p *Pool) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Counts{Workers: make(map[State]int, states), Total: p.kept, Jobs: len(p.jobs), Failing: len(p.failing), Braked: p.brake.failing}
	for s := range Gone {
		c.Workers[s] = p.count[s]
	}
	for _, k := range p.kinds {
		c.Slots += k.slots
		c.Used += k.used
	}
	return c
}

// TypeCounts returns the workers of a type by state.
func (p *Pool) TypeCounts(typeName string) map[State]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := make(map[State]int, states)
	if k := p.kinds[typeName]; k != nil {
		for s := range Gone {
			counts[s] = k.count[s]
		}
	}
	return counts
}

// Cost returns what the workers have cost.
func (p *Pool) Cost() Cost {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.meter.cost(p.now())
}

// Workers returns all workers, by id; those without one come first.
func (p *Pool) Workers() []Worker {
	_, workers := p.snapshot(nil, true)
	slices.SortFunc(workers, func(a, b Worker) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), a.CreatedAt.Compare(b.CreatedAt))
	})
	return workers
}

// Worker returns one worker.
func (p *Pool) Worker(id InstanceID) (Worker, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.byID[id]
	if r == nil {
		return Worker{}, ErrUnknownWorker
	}
	w := r.Worker
	p.settleCost(&w, r, p.now())
	return w, nil
}

// settleCost brings the costs of a copy's jobs up to date. The caller holds the lock.
func (p *Pool) settleCost(w *Worker, r *record, now time.Time) {
	shareCost(w, r.kind.Price, p.timeOf(r.since), now)
}
