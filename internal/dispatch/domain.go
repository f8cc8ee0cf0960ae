package dispatch

import (
	"container/list"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Domain is a [queue.Domain] and its line of waiting workers, first come, first served.
type Domain struct {
	queue.Domain
	key   string
	org   *organization
	line  list.List // of *Waiter
	phase phase
	// putOff: the claim that is queued may not begin yet.
	putOff bool
	// version moves with the phase and the first waiter; see idleHeap.
	version uint64
	able    []*lane
	// unsettled is a claim whose outcome is not known yet.
	unsettled *Round
	// failures counts claims that failed in a row.
	failures int
	// running is the number of jobs handed out here that have not ended.
	running int
	// joining: somebody has come to wait since the last claim began, while there was one to make.
	joining bool
	// quietSince is when the last waiter left or the last job ended.
	quietSince time.Time
}

// phase is what a domain is about; there is at most one claim for each.
type phase int

const (
	idle phase = iota
	queued
	claiming // or waiting to try again
)

// Joining reports whether somebody has come to wait since the last claim began, while there was one to make: others may be about to.
func (d *Domain) Joining() bool { return d.joining }

// Waiting is the number of workers in line.
func (d *Domain) Waiting() int { return d.line.Len() }

// Running is the number of jobs handed out here that have not ended.
func (d *Domain) Running() int { return d.running }

// Slots is the number of waiting workers and running jobs of the domain's organization, here.
func (d *Domain) Slots() (n int) {
	for _, other := range d.org.domains {
		n += other.line.Len() + other.running
	}
	return n
}

// Unsettled is the claim whose outcome is not known yet, or nil.
func (d *Domain) Unsettled() *Round { return d.unsettled }

// Failures is the number of claims that failed in a row.
func (d *Domain) Failures() int { return d.failures }

// Started counts a job handed to a worker of the domain.
func (d *Domain) Started() { d.running++ }

// Ended counts the end of such a job.
func (d *Domain) Ended(now time.Time) {
	d.running--
	d.quietSince = now
	d.org.trim()
}

// Waiter is one worker's wish for one job.
type Waiter struct {
	Worker uuid.UUID
	// Owner is the caller's; the machine does not look at it.
	Owner any

	domain *Domain
	// place in line; nil outside.
	place *list.Element
	// ticket is the waiter's number among all that came to wait here.
	ticket uint64
}

// Domain returns the waiter's domain.
func (w *Waiter) Domain() *Domain { return w.domain }

// Leave takes a waiter out of line. What it was to claim stays marked on the lanes. It may be called again.
func (w *Waiter) Leave(now time.Time) {
	if w.place == nil {
		return
	}
	w.domain.remove(w)
	w.domain.quietSince = now
	w.domain.org.trim()
}

func (d *Domain) first() *Waiter { return d.line.Front().Value.(*Waiter) }

// canClaim reports whether the domain could begin a claim now.
func (d *Domain) canClaim() bool { return d.phase == idle && d.line.Len() > 0 }

// changed is to be called whenever the domain's phase or its first waiter has changed.
func (d *Domain) changed() {
	d.version++
	if !d.canClaim() {
		return
	}
	for _, l := range d.able {
		l.offer(d)
	}
}

func (d *Domain) turnTo(p phase) {
	d.phase, d.putOff = p, false
	d.changed()
}

func (d *Domain) pushBack(w *Waiter) {
	w.place = d.line.PushBack(w)
	if d.line.Len() == 1 {
		d.changed()
	}
}

// remove takes a waiter out, wherever it is in the line.
func (d *Domain) remove(w *Waiter) {
	first := d.line.Front() == w.place
	d.line.Remove(w.place)
	w.place = nil
	if first {
		d.changed()
	}
}
