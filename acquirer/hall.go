package acquirer

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// hall is what one process knows of waiting workers and ready lanes: a plain state machine without clock,
// store or lock of its own. Its rule:
//
//	A lane that is dirty, while an able worker waits, is in a claim in flight or queued.
//
// Marks are values of one rising counter. A lane is dirty while its last mark is above the one up to which it
// is known to be empty. A claim or a listing clears it only up to the mark at which it began, so whatever was
// posted meanwhile stays.
type hall struct {
	orgs map[uuid.UUID]*orgState
	mark uint64
	// start is told which domain has a claim to make; hall.begin follows.
	start func(*domain)
}

// orgState is one organization in this process. It exists while a worker of it waits here or did lately.
type orgState struct {
	id      uuid.UUID
	domains map[string]*domain
	lanes   map[Lane]*laneState
	// freed counts the times that a running job ended, which may have lifted a limit.
	freed uint64
	// slots is the last known number of running jobs and waiting workers in all processes.
	slots int
	// listedAt is when the last look began; put off says that one is due at the end of the least time between.
	listedAt time.Time
	putOff   bool
}

// laneState is a lane as seen from this process.
type laneState struct {
	Lane
	posted, empty uint64 // marks
	// busy: a claim in flight, or one whose outcome is being settled, covers the lane.
	busy bool
	// limited: the last claim found jobs that a limit stopped.
	limited bool
	// from is a lower bound of the order numbers in the lane.
	from int64
	// oldest is when the first job of the lane was created, if known.
	oldest time.Time
	wake   wakeCause
	able   []*domain
}

func (l *laneState) dirty() bool { return l.posted > l.empty }

// domain is a [Domain] with workers waiting for jobs, first come, first served.
type domain struct {
	Domain
	key     string
	org     *orgState
	waiters []*waiter
	phase   phase
	able    []*laneState
	// failures counts claims that failed in a row.
	failures int
	// busy is the number of jobs handed out here that have not ended.
	busy int
	// quietSince is when the last waiter left.
	quietSince time.Time
}

// phase is what a domain is about; there is at most one claim for each.
type phase int

const (
	idle phase = iota
	queued
	claiming
)

// wakeCause is how the process learned that a lane is not empty.
type wakeCause string

const (
	wakeHandoff wakeCause = "handoff" // posted in this process
	wakeNotify  wakeCause = "notify"  // announced by another process
	wakePoll    wakeCause = "poll"    // found by looking
)

func newHall(start func(*domain)) *hall {
	return &hall{orgs: make(map[uuid.UUID]*orgState), start: start}
}

// org returns the organization's state and whether it is new here.
func (h *hall) org(id uuid.UUID) (*orgState, bool) {
	if org, ok := h.orgs[id]; ok {
		return org, false
	}
	org := &orgState{id: id, domains: make(map[string]*domain), lanes: make(map[Lane]*laneState)}
	h.orgs[id] = org
	return org, true
}

func (o *orgState) domain(d Domain) *domain {
	key := d.Key()
	if known, ok := o.domains[key]; ok {
		return known
	}
	created := &domain{Domain: d, key: key, org: o}
	o.domains[key] = created
	for _, lane := range o.lanes {
		if d.Runs(lane.Lane) {
			created.able = append(created.able, lane)
			lane.able = append(lane.able, created)
		}
	}
	return created
}

func (o *orgState) lane(l Lane) *laneState {
	if known, ok := o.lanes[l]; ok {
		return known
	}
	created := &laneState{Lane: l}
	o.lanes[l] = created
	for _, d := range o.domains {
		if d.Runs(l) {
			created.able = append(created.able, d)
			d.able = append(d.able, created)
		}
	}
	return created
}

// join adds a waiter at the end of its domain's line.
func (h *hall) join(w *waiter, d Domain) {
	org, _ := h.org(d.Organization)
	w.domain = org.domain(d)
	w.domain.waiters = append(w.domain.waiters, w)
	w.domain.wakeAll(h)
}

// leave takes a waiter out of line. What was meant for it stays marked on the lanes.
func (h *hall) leave(w *waiter, now time.Time) {
	d := w.domain
	if i := slices.Index(d.waiters, w); i >= 0 {
		d.waiters = slices.Delete(d.waiters, i, i+1)
	}
	if len(d.waiters) == 0 {
		d.quietSince = now
	}
}

// post marks a lane: something may stand in it at or above the given order number. Organizations nobody
// here waits for are not kept; the first to wait looks for itself.
func (h *hall) post(l Lane, from int64, cause wakeCause) {
	org, ok := h.orgs[l.Organization]
	if !ok {
		return
	}
	lane := org.lane(l)
	lane.from = min(lane.from, from)
	h.soil(lane, cause)
}

func (h *hall) soil(lane *laneState, cause wakeCause) {
	h.mark++
	if !lane.dirty() || cause != wakePoll {
		lane.wake = cause
	}
	lane.posted = h.mark
	h.wake(lane)
}

// free marks the lanes that a limit may have stopped.
func (h *hall) free(organization uuid.UUID) {
	org, ok := h.orgs[organization]
	if !ok {
		return
	}
	org.freed++
	for _, lane := range org.lanes {
		if lane.limited {
			lane.limited = false
			h.soil(lane, lane.wake)
		}
	}
}

// wake sees to the rule for one lane: it chooses the domain that shall claim. Domains that fail least go
// first, then those that can run the fewest lanes, which keeps the versatile ones free for what only they can
// run, then those whose first worker has waited longest.
func (h *hall) wake(l *laneState) {
	if !l.dirty() || l.busy {
		return
	}
	var best *domain
	for _, d := range l.able {
		switch {
		case len(d.waiters) == 0 || d.phase == claiming:
		case d.phase == queued:
			return // its claim will cover the lane
		case best == nil || d.goesBefore(best):
			best = d
		}
	}
	if best != nil {
		best.phase = queued
		h.start(best)
	}
}

func (d *domain) goesBefore(other *domain) bool {
	if d.failures != other.failures {
		return d.failures < other.failures
	}
	if len(d.able) != len(other.able) {
		return len(d.able) < len(other.able)
	}
	return d.waiters[0].since < other.waiters[0].since
}

func (d *domain) wakeAll(h *hall) {
	for _, lane := range d.able {
		h.wake(lane)
	}
}

// forget drops a domain that nobody waits for, and its organization after the last one.
func (h *hall) forget(d *domain) {
	delete(d.org.domains, d.key)
	for _, lane := range d.able {
		lane.able = without(lane.able, d)
	}
	if len(d.org.domains) == 0 {
		delete(h.orgs, d.org.id)
	}
}

// forgetLane drops a lane known to be empty.
func (o *orgState) forgetLane(l *laneState) {
	delete(o.lanes, l.Lane)
	for _, d := range l.able {
		d.able = without(d.able, l)
	}
}

func without[T comparable](list []T, item T) []T {
	return slices.DeleteFunc(list, func(x T) bool { return x == item })
}
