package workerpool

import (
	"cmp"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Actions are what a plan wants done. Jobs and workers are named by their places in the plan's arguments, since a pending
// worker has no other name.
type Actions struct {
	// Starts are jobs to start now, in the order of their priority.
	Starts []Start
	// Reservations are jobs that wait for a worker that is not ready yet.
	Reservations []Reservation
	// Creates are workers to ask for, in the order of the jobs that need them, those for the floors last.
	Creates []Create
	// Shutdowns are workers to shut down.
	Shutdowns []Verdict
	// Keeps are all other workers.
	Keeps []Verdict
	// Waits are jobs for which there is neither a worker nor the right to create one.
	Waits []Wait
	// Next is the earliest instant at which a plan from the same arguments could differ. Zero: never.
	Next time.Time
}

// Start is a job for a worker that is ready.
type Start struct{ Job, Worker int }

// Reservation is a job for a worker that is not ready: one that exists, or else one of the plan's creates.
type Reservation struct {
	Job int
	// Worker is -1 if it is the worker of Creates[Create].
	Worker, Create int
}

// Create is a worker to ask for.
type Create struct {
	Type   string
	Reason Reason
}

// Verdict says what becomes of a worker, and by which rule.
type Verdict struct {
	Worker int
	Reason Reason
}

// Wait says which rule keeps a job waiting.
type Wait struct {
	Job    int
	Reason Reason
	// Type that was tried first. Empty if there is none.
	Type string
	// Until is when the rule ends by itself, if that is known.
	Until time.Time
}

// Plan decides which of the waiting jobs go where, which workers to create and which to shut down. It is pure. It assumes
// that the limits are valid, see [Limits.Validate], and that no job of the demand is on a worker. Each job takes the first
// of these: the tightest room on a ready worker, of the cheapest suitable type; room on a worker that is not ready yet; a
// new worker of the cheapest type that may be created.
//
// It takes O(w log w + j log j + j * t * r) steps, where t is the number of types and r that of different rooms that
// workers of one type have left.
func Plan(demand []Job, workers []Worker, limits Limits, now time.Time) Actions {
	p := newPlanner(demand, workers, limits.withDefaults(), now)
	for _, j := range p.line() {
		p.place(j)
	}
	p.warm()
	p.makeRoom()
	p.scaleIn()
	p.keepRest()
	return p.actions
}

// planner is a plan in the making.
type planner struct {
	demand  []Job
	workers []Worker
	limits  *Limits
	now     time.Time

	types   []typePlan // as in limits.Types
	order   []int      // by price
	typeOf  []int32    // of each worker, -1 if its type is not configured
	decided []bool     // workers with a verdict, a start or a reservation
	classes map[class][]int

	total, creating, jobs int
	price                 float64
	pauses                []int // what each pause still allows
	leaving               int
	blocked               []blockedJob
	actions               Actions
}

// typePlan is what the plan knows of one type.
type typePlan struct {
	*InstanceType
	// total are the workers that exist or are asked for, usable those of them that may be given jobs.
	total, usable int
	// free are the slots of the usable ones that no job takes.
	free int64
	// newest is when the newest was created.
	newest        time.Time
	ready, coming rooms
	pauses        []int
	// leaving are the workers in shutdown, which soon make room.
	leaving int
	// empty are the usable workers without a job.
	empty []int
}

// class is what decides which types suit a job.
type class struct {
	needs    Resources
	requires string
	plain    bool
}

type blockedJob struct {
	job, tried int
	reason     Reason
}

func newPlanner(demand []Job, workers []Worker, limits Limits, now time.Time) *planner {
	p := &planner{
		demand: demand, workers: workers, limits: &limits, now: now,
		types: make([]typePlan, len(limits.Types)), order: byPrice(limits.Types),
		typeOf: make([]int32, len(workers)), decided: make([]bool, len(workers)), classes: make(map[class][]int),
	}
	byName := make(map[string]int32, len(limits.Types))
	for i := range limits.Types {
		byName[limits.Types[i].Name] = int32(i)
		p.types[i].InstanceType = &limits.Types[i]
	}
	for h, pause := range limits.Pauses {
		p.pauses = append(p.pauses, pause.Allow)
		if pause.Allow <= 0 {
			p.differs(pause.Until)
		}
		for i := range p.types {
			if len(pause.Types) == 0 || slices.Contains(pause.Types, p.types[i].Name) {
				p.types[i].pauses = append(p.types[i].pauses, h)
			}
		}
	}
	for _, i := range p.byIdle() {
		p.count(i, byName)
	}
	return p
}

// byIdle are the workers, the longest idle first, so that of two with the same room the one used last is used again and
// the other one may time out.
func (p *planner) byIdle() []int {
	order := make([]int, len(p.workers))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &p.workers[i], &p.workers[j]
		return cmp.Or(a.IdleSince.Compare(b.IdleSince), cmp.Compare(a.ID, b.ID), cmp.Compare(i, j))
	})
	return order
}

// count enters a worker.
func (p *planner) count(i int, byName map[string]int32) {
	w := &p.workers[i]
	p.typeOf[i] = -1
	if w.State == Gone {
		p.decided[i] = true
		return
	}
	p.total++
	p.jobs += w.active()
	if w.State == Pending {
		p.creating++
	}
	if w.State == Shutdown {
		p.leaving++
	}
	n, ok := byName[w.Type]
	if !ok {
		return
	}
	p.typeOf[i] = n
	t := &p.types[n]
	t.total++
	p.price += t.Price
	if w.State == Shutdown {
		t.leaving++
	}
	t.newest = micros.Later(t.newest, w.CreatedAt)
	if !w.Takes() {
		return
	}
	t.usable++
	free := w.Free(t.Room)
	t.free += max(free.Slots, 0)
	if w.State == Idle || w.State == Running {
		t.ready.add(free, i)
	} else {
		t.coming.add(free, i)
	}
	if !w.Busy() {
		t.empty = append(t.empty, i)
	}
}

// line is the order in which the jobs are placed.
func (p *planner) line() []int {
	line := make([]int, len(p.demand))
	for i := range line {
		line[i] = i
	}
	slices.SortFunc(line, func(i, j int) int {
		a, b := &p.demand[i], &p.demand[j]
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return line
}

// place finds a worker for a job, or says why there is none.
func (p *planner) place(job int) {
	j := &p.demand[job]
	types := p.suitable(j)
	if len(types) == 0 {
		p.wait(job, ReasonNoType, "", time.Time{})
		return
	}
	if p.limits.MaxJobs > 0 && p.jobs >= p.limits.MaxJobs {
		p.wait(job, ReasonJobLimit, p.limits.Types[types[0]].Name, time.Time{})
		return
	}
	if p.onReady(job, types) || p.onComing(job, types) || p.onNew(job, types) {
		p.jobs++
	}
}

func (p *planner) suitable(j *Job) []int {
	c := class{j.needs(), requirement(j.Requires), j.Plain}
	types, ok := p.classes[c]
	if !ok {
		types = suitable(p.limits.Types, p.order, p.limits.PriceFactor, j)
		p.classes[c] = types
	}
	return types
}

func (p *planner) onReady(job int, types []int) bool {
	need := p.demand[job].needs()
	for _, n := range types {
		t := &p.types[n]
		if w, ok := t.ready.take(need); ok {
			t.free -= need.Slots
			p.decided[w] = true
			p.actions.Starts = append(p.actions.Starts, Start{job, w})
			return true
		}
	}
	return false
}

// onComing reserves room on a worker that boots, is unknown, or is created by this plan.
func (p *planner) onComing(job int, types []int) bool {
	need := p.demand[job].needs()
	for _, n := range types {
		t := &p.types[n]
		if w, ok := t.coming.take(need); ok {
			t.free -= need.Slots
			p.reserve(job, w)
			return true
		}
	}
	return false
}

// reserve notes a reservation; workers beyond those that exist are the plan's own.
func (p *planner) reserve(job, w int) {
	r := Reservation{Job: job, Worker: w, Create: -1}
	if w >= len(p.workers) {
		r.Worker, r.Create = -1, w-len(p.workers)
	} else {
		if !p.decided[w] {
			p.keep(w, ReasonReserved)
		}
		p.decided[w] = true
	}
	p.actions.Reservations = append(p.actions.Reservations, r)
}

func (p *planner) onNew(job int, types []int) bool {
	need := p.demand[job].needs()
	for _, n := range types {
		t := &p.types[n]
		if reason, _ := p.mayCreate(t); reason != "" {
			continue
		}
		w := p.create(t, ReasonJob)
		t.coming.add(t.Room.Minus(need), w)
		t.free -= need.Slots
		p.reserve(job, w)
		return true
	}
	cheapest := &p.types[types[0]]
	reason, until := p.mayCreate(cheapest)
	p.wait(job, reason, cheapest.Name, until)
	p.blocked = append(p.blocked, blockedJob{job, types[0], reason})
	return false
}

// mayCreate returns the rule that forbids another worker of a type, if one does.
func (p *planner) mayCreate(t *typePlan) (Reason, time.Time) {
	switch l := p.limits; {
	case t.Max > 0 && t.total >= t.Max:
		return ReasonTypeMax, time.Time{}
	case l.MaxWorkers > 0 && p.total >= l.MaxWorkers:
		return ReasonMaxWorkers, time.Time{}
	case l.MaxPrice > 0 && dearer(p.price+t.Price, l.MaxPrice):
		return ReasonMaxPrice, time.Time{}
	}
	for _, h := range t.pauses {
		if p.pauses[h] <= 0 {
			return p.limits.Pauses[h].Reason, p.limits.Pauses[h].Until
		}
	}
	if p.limits.MaxCreating > 0 && p.creating >= p.limits.MaxCreating {
		return ReasonMaxCreating, time.Time{}
	}
	return "", time.Time{}
}

// create adds a worker to the plan and returns its number; its room is the caller's to enter.
func (p *planner) create(t *typePlan, reason Reason) int {
	for _, h := range t.pauses {
		p.pauses[h]--
	}
	p.total++
	p.creating++
	p.price += t.Price
	t.total++
	t.usable++
	t.free += t.Room.Slots
	p.actions.Creates = append(p.actions.Creates, Create{t.Name, reason})
	return len(p.workers) + len(p.actions.Creates) - 1
}

func (p *planner) wait(job int, reason Reason, typeName string, until time.Time) {
	p.actions.Waits = append(p.actions.Waits, Wait{job, reason, typeName, until})
}

// differs notes an instant at which time alone changes the answer.
func (p *planner) differs(at time.Time) {
	if at.After(p.now) {
		p.actions.Next = micros.Earlier(p.actions.Next, at)
	}
}

func (p *planner) keep(w int, reason Reason) {
	p.actions.Keeps = append(p.actions.Keeps, Verdict{w, reason})
}

func (p *planner) stop(w int, reason Reason) {
	p.decided[w] = true
	p.actions.Shutdowns = append(p.actions.Shutdowns, Verdict{w, reason})
}
