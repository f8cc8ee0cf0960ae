package dispatch

import (
	"math"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// PostLocal takes in jobs that this process posted: the lane may hold something at or above the given order number.
// Other processes hear of them only if nobody here is about to claim them; news are those of which they have not heard already. An
// organization for which nobody waits here is not kept: the first to wait has to look for itself.
func (d *Dispatcher) PostLocal(q queue.Lane, from int64, news int) {
	org, ok := d.orgs[q.Organization]
	switch {
	case ok:
		l := org.lane(q)
		l.unannounced += news
		d.post(l, from, many, Handoff)
	case news > 0:
		d.hooks.Announce(q, from, news)
	}
}

// Served reports whether somebody here would claim what is posted to a lane now, so that no other process has to hear of it.
func (d *Dispatcher) Served(q queue.Lane) bool {
	org, ok := d.orgs[q.Organization]
	if !ok || d.closed {
		return false
	}
	l := org.lane(q)
	if l.claimQueued() {
		return !l.claimer.putOff
	}
	return l.next() != nil
}

// PostRemote takes in a lane that another process announced, with how many jobs; zero or less: nobody counted them. With leave the
// lane is left to a third process, unless it holds something else already; then [Dispatcher.EndTurn] has to follow after a while.
func (d *Dispatcher) PostRemote(q queue.Lane, from int64, jobs int, source Source, leave bool) Turn {
	org, ok := d.orgs[q.Organization]
	if !ok {
		return Turn{}
	}
	l := org.lane(q)
	l.source = source
	if !leave || l.dirty() {
		d.post(l, from, jobs, Notify)
		return l.turn
	}
	l.lower(from)
	l.expect(jobs)
	d.mark++
	l.posted, l.cause = d.mark, Notify
	l.turn = Turn{lane: l, mark: d.mark, source: source}
	return l.turn
}

// EndTurn ends a turn of another process that was not used. A turn that was used, or replaced by a later one, changes
// nothing.
func (d *Dispatcher) EndTurn(t Turn) {
	if l := t.lane; l != nil && l.turn.Theirs() && l.turn.mark == t.mark {
		l.turn = Turn{}
		d.wake(l)
	}
}

// Taken clears what was left to another process because of a message, if nothing else was posted since: a claim that
// began after the message had arrived drained the lane. It reports whether there was anything to clear.
func (d *Dispatcher) Taken(q queue.Lane, source Source) bool {
	org, ok := d.orgs[q.Organization]
	if !ok {
		return false
	}
	l, ok := org.lanes[q]
	if ok && l.turn.Theirs() && l.turn.mark == l.posted && l.turn.source == source {
		l.turn = Turn{}
		l.empty, l.expected = l.posted, 0
		return true
	}
	return false
}

// Freed marks the lanes that a limit may have stopped: a job of the organization ended. It reports whether anybody of the
// organization waits here.
func (d *Dispatcher) Freed(id uuid.UUID) (waits bool) {
	org, ok := d.orgs[id]
	if !ok {
		return false
	}
	org.freed++
	for _, l := range org.lanes {
		if l.limited {
			l.limited = false
			d.markDirty(l, many, l.cause)
		}
	}
	for _, domain := range org.domains {
		waits = waits || domain.line.Len() > 0
	}
	return waits
}

// Listed takes in a listing of organizations that began at the given mark; nil means all. Lanes that it names are dirty,
// others are empty as far as they were posted before. Lanes that a limit stops are left alone unless all is set: a limit
// whose end nobody announced is found by the backup.
//
// It is [Dispatcher.Found] for each lane and then [Dispatcher.Emptied]. A caller who holds a lock may let others in between.
func (d *Dispatcher) Listed(organizations []uuid.UUID, mark uint64, lanes []queue.ReadyLane, all bool) {
	for _, l := range lanes {
		d.Found(l, mark, all)
	}
	d.Emptied(organizations, mark)
}

// Found takes in a lane that a listing names.
func (d *Dispatcher) Found(l queue.ReadyLane, mark uint64, all bool) {
	if org, ok := d.orgs[l.Lane.Organization]; ok {
		d.found(org.lane(l.Lane), l, mark, all)
	}
}

// Emptied takes in that a listing of organizations, nil for all, that began at the given mark named no other lanes than those of
// which [Dispatcher.Found] was told.
func (d *Dispatcher) Emptied(organizations []uuid.UUID, mark uint64) {
	for _, org := range d.selected(organizations) {
		for _, l := range org.lanes {
			if l.listed < mark && !l.claimed {
				l.limited = l.limited && l.posted > mark // what a limit stopped may have come after the listing
				l.clear(mark)
			}
		}
	}
}

func (d *Dispatcher) found(l *lane, ready queue.ReadyLane, mark uint64, all bool) {
	l.oldest, l.listed = ready.Oldest, max(l.listed, mark)
	if l.claimed {
		l.lower(ready.From) // the claim under way may raise the bound no further
	} else {
		l.from = min(ready.From, l.lowSince(mark))
	}
	if !l.limited || all {
		l.limited, l.turn = false, Turn{}
		d.markDirty(l, many, Poll)
	}
}

// lowSince is the lowest order number known to have been posted after a mark: none if nothing was.
func (l *lane) lowSince(mark uint64) int64 {
	if l.posted > mark {
		return l.from
	}
	return math.MaxInt64
}

func (d *Dispatcher) selected(organizations []uuid.UUID) []*organization {
	if organizations == nil {
		organizations = d.Organizations()
	}
	orgs := make([]*organization, 0, len(organizations))
	for _, id := range organizations {
		if org, ok := d.orgs[id]; ok {
			orgs = append(orgs, org)
		}
	}
	return orgs
}

func (d *Dispatcher) post(l *lane, from int64, jobs int, cause Cause) {
	l.lower(from)
	l.turn = Turn{}
	d.markDirty(l, jobs, cause)
}

func (d *Dispatcher) markDirty(l *lane, jobs int, cause Cause) {
	l.expect(jobs)
	d.mark++
	if !l.dirty() || cause != Poll {
		l.cause = cause
	}
	l.posted = d.mark
	d.wake(l)
}

// wake sees to the rule for one lane: it queues the domain that has to claim, unless that was done.
func (d *Dispatcher) wake(l *lane) {
	if d.closed {
		d.announce(l)
		return
	}
	if !l.dirty() || l.turn.Theirs() {
		return
	}
	if l.claimQueued() {
		if l.claimer.putOff {
			d.announce(l)
		}
		return
	}
	if next := l.next(); next != nil {
		l.claimer = next
		d.enqueue(next)
		return
	}
	d.announce(l)
}

// claimQueued reports whether the domain that was last queued for the lane has yet to begin its claim.
func (l *lane) claimQueued() bool { return l.claimer != nil && l.claimer.phase == queued }

// next is the domain to claim from the lane now, nil if there is none or a claim of it is under way.
func (l *lane) next() *Domain {
	if l.claimed {
		return nil
	}
	return l.best()
}

func (d *Dispatcher) wakeAll(domain *Domain) {
	for _, l := range domain.able {
		d.wake(l)
	}
}

func (d *Dispatcher) enqueue(domain *Domain) {
	domain.turnTo(queued)
	d.hooks.Claim(domain)
}

// announce reports jobs that nobody here is about to claim.
func (d *Dispatcher) announce(l *lane) {
	if l.unannounced > 0 {
		d.hooks.Announce(l.Lane, l.from, l.unannounced)
		l.unannounced = 0
	}
}
