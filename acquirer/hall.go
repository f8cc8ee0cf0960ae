package acquirer

import (
	"container/list"
	"math"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/google/uuid"
)

// hall is what one process knows of waiting workers and ready lanes: a plain state machine without clock,
// store or lock of its own. Its rule:
//
//	A lane that is dirty, while an able worker waits, is in a claim in flight or queued, or is left for a
//	bounded time to another process whose turn it is.
//
// Marks are values of one rising counter. A lane is dirty while its last mark is above the one up to which it
// is known to be empty. A claim or a listing clears it only up to the mark at which it began, so whatever was
// posted meanwhile stays.
type hall struct {
	orgs map[uuid.UUID]*orgState
	mark uint64
	// start is told which domain has a claim to make; hall.begin follows.
	start func(*domain)
	// tell is told of jobs posted here that nobody here is about to claim.
	tell func(l *laneState, jobs int)
	// closed: nobody here claims any more.
	closed bool
}

// orgState is one organization in this process. It exists while a worker of it waits here or did lately.
type orgState struct {
	id      uuid.UUID
	domains map[string]*domain
	lanes   map[queue.Lane]*laneState
	// freed counts the times that a running job ended, which may have lifted a limit.
	freed uint64
	// listedAt is when the last look began; asked says that one is queued or due.
	listedAt time.Time
	asked    bool
}

// maxLanes bounds the lanes remembered for one organization; clean ones are forgotten beyond it.
const maxLanes = 4096

// laneState is a lane as seen from this process.
type laneState struct {
	queue.Lane
	posted, empty uint64 // marks
	// busy: a claim in flight covers the lane.
	busy bool
	// limited: the last claim found jobs that a limit stopped.
	limited bool
	// from is a lower bound of the order numbers in the lane, and low the lowest that was posted since the
	// claim in flight began.
	from, low int64
	// oldest is when the first job of the lane was created, if known.
	oldest time.Time
	wake   wakeCause
	// able are the domains that can run the lane, idle those of them that could claim now, and claimer the one
	// last queued for it.
	able    []*domain
	idle    idleHeap
	claimer *domain
	// owed is the number of jobs posted here that other processes were not told of.
	owed int
	// source is the last message that announced the lane, and turn what is left to other processes.
	source source
	turn   turn
	rivals rivals
}

// source names a message: its sender and its number among the sender's.
type source struct {
	process uuid.UUID
	seq     uint64
}

// turn is a lane left to other processes: since which mark, and because of which message.
type turn struct {
	theirs bool
	mark   uint64
	source source
}

func (l *laneState) dirty() bool { return l.posted > l.empty }

// domain is a [queue.Domain] with workers waiting for jobs, first come, first served.
type domain struct {
	queue.Domain
	key   string
	org   *orgState
	line  list.List // of *waiter
	phase phase
	// version moves with phase and first waiter; see idleHeap.
	version uint64
	able    []*laneState
	// unsettled is a claim whose outcome is not known yet.
	unsettled *round
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
	claiming // or waiting to try again
)

// wakeCause is how the process learned that a lane is not empty.
type wakeCause string

const (
	wakeHandoff wakeCause = "handoff" // posted in this process
	wakeNotify  wakeCause = "notify"  // announced by another process
	wakePoll    wakeCause = "poll"    // found by looking
)

func newHall(start func(*domain), tell func(*laneState, int)) *hall {
	return &hall{orgs: make(map[uuid.UUID]*orgState), start: start, tell: tell}
}

// org returns the organization's state.
func (h *hall) org(id uuid.UUID) *orgState {
	if org, ok := h.orgs[id]; ok {
		return org
	}
	org := &orgState{id: id, domains: make(map[string]*domain), lanes: make(map[queue.Lane]*laneState)}
	h.orgs[id] = org
	return org
}

func (o *orgState) domain(d queue.Domain) *domain {
	key := d.Key()
	if known, ok := o.domains[key]; ok {
		return known
	}
	created := &domain{Domain: d, key: key, org: o}
	o.domains[key] = created
	for _, lane := range o.lanes {
		if d.Runs(lane.Lane) {
			lane.enter(created)
		}
	}
	return created
}

// lane returns the state of a lane. A new one costs one comparison for each domain; a known one a look-up.
func (o *orgState) lane(l queue.Lane) *laneState {
	if known, ok := o.lanes[l]; ok {
		return known
	}
	if len(o.lanes) >= maxLanes {
		o.forgetLanes()
	}
	created := &laneState{Lane: l, low: math.MaxInt64}
	o.lanes[l] = created
	for _, d := range o.domains {
		if d.Runs(l) {
			created.enter(d)
		}
	}
	return created
}

// waits reports whether anybody waits.
func (o *orgState) waits() bool {
	for _, d := range o.domains {
		if d.line.Len() > 0 {
			return true
		}
	}
	return false
}

// join adds a waiter at the end of its domain's line.
func (h *hall) join(w *waiter, d queue.Domain) {
	w.domain = h.org(d.Organization).domain(d)
	w.domain.pushBack(w)
	w.domain.wakeAll(h)
}

// leave takes a waiter out of line. What was meant for it stays marked on the lanes.
func (w *waiter) leave(now time.Time) {
	if w.place == nil {
		return
	}
	w.domain.remove(w)
	w.domain.quietSince = now
}

// post marks a lane: something may stand in it at or above the given order number. Organizations nobody
// here waits for are not kept; the first to wait looks for itself.
func (h *hall) post(l queue.Lane, from int64, cause wakeCause) *laneState {
	org, ok := h.orgs[l.Organization]
	if !ok {
		return nil
	}
	lane := org.lane(l)
	lane.lower(from)
	lane.turn.theirs = false
	h.soil(lane, cause)
	return lane
}

func (l *laneState) lower(from int64) {
	l.from, l.low = min(l.from, from), min(l.low, from)
}

// postHere is post for jobs of this process. Other processes are told only if nobody here is about to take
// them.
func (h *hall) postHere(l queue.Lane, from int64, jobs int) {
	if org, ok := h.orgs[l.Organization]; ok {
		org.lane(l).owed += jobs
		h.post(l, from, wakeHandoff)
		return
	}
	h.tell(&laneState{Lane: l, from: from}, jobs)
}

// postTheirs is post for a lane announced by another process. If it is a third one's turn to claim, the lane
// is left to it until yield ends the turn.
func (h *hall) postTheirs(l queue.Lane, from int64, s source, turnOfOther bool) *laneState {
	org, ok := h.orgs[l.Organization]
	if !ok {
		return nil
	}
	lane := org.lane(l)
	lane.source = s
	if !turnOfOther || lane.dirty() {
		h.post(l, from, wakeNotify)
		return lane
	}
	lane.lower(from)
	h.mark++
	lane.posted, lane.wake = h.mark, wakeNotify
	lane.turn = turn{theirs: true, mark: h.mark, source: s}
	return lane
}

// taken clears what was left to another process, if nothing else was posted since: a claim that began after
// the message had arrived found the lane drained.
func (h *hall) taken(l queue.Lane, s source) {
	org, ok := h.orgs[l.Organization]
	if !ok {
		return
	}
	lane, ok := org.lanes[l]
	if ok && lane.turn.theirs && lane.turn.mark == lane.posted && lane.turn.source == s {
		lane.turn.theirs = false
		lane.empty = lane.posted
	}
}

// turnOver ends a turn of another process that was not used.
func (h *hall) turnOver(lane *laneState, mark uint64) {
	if lane.turn.theirs && lane.turn.mark == mark {
		lane.turn.theirs = false
		h.wake(lane)
	}
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

// wake sees to the rule for one lane: it queues the domain that shall claim, unless that was done.
func (h *hall) wake(l *laneState) {
	if h.closed {
		h.passOn(l)
		return
	}
	if !l.dirty() || l.turn.theirs || l.claimer != nil && l.claimer.phase == queued {
		return
	}
	if best := l.best(); best != nil && !l.busy {
		l.claimer = best
		best.turnTo(queued)
		h.start(best)
		return
	}
	h.passOn(l)
}

// close ends all claiming: whatever is owed, and whatever is posted from now on, is for the others.
func (h *hall) close() {
	h.closed = true
	for _, org := range h.orgs {
		for _, lane := range org.lanes {
			h.passOn(lane)
		}
	}
}

// passOn tells the other processes of jobs that nobody here is about to take.
func (h *hall) passOn(l *laneState) {
	if l.owed > 0 {
		h.tell(l, l.owed)
		l.owed = 0
	}
}

func (d *domain) first() *waiter { return d.line.Front().Value.(*waiter) }

func (d *domain) wakeAll(h *hall) {
	for _, lane := range d.able {
		h.wake(lane)
	}
}
