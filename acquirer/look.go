package acquirer

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

const (
	// backupCount is how far the backup counts the jobs of a lane.
	backupCount = 1000
	// dueCount is how far jobs are counted that turn ready: as many idle workers elsewhere are woken.
	dueCount = 100
)

// looks is what is planned of the three ways in which a process looks into the store for ready lanes: at an organization
// because a worker came to wait, at one because its next job turns ready, and at all of them for what nobody announced
// (the backup). Guarded by Acquirer.mu.
type looks struct {
	// queue has a lock of its own.
	queue lookQueue
	orgs  map[uuid.UUID]*orgLooks
	// backup is the number of the backup that is planned; others are stale.
	backup uint64
	// unreadable is the number of lanes that the last backup could not read.
	unreadable int
}

// orgLooks is about one organization.
type orgLooks struct {
	// lookedAt is when the last look began, and took what its part of that took of the store. planned is when the next is queued at the
	// latest, zero if none is: there is one, however many reasons there are.
	lookedAt, planned time.Time
	took              time.Duration
	// due is when the next job turns ready, as far as that is planned for; zero: nothing is.
	due time.Time
	// later says that a look is planned to check what a message said; freedAt is when a message last said that a job ended,
	// and freed that one more will be heeded soon.
	later, freed bool
	freedAt      time.Time
	// hintedAt is when the last look was planned for that a message asked for.
	hintedAt time.Time
	// barren counts the claims in a row that messages have caused and that got nothing.
	barren int
	// looking: a look is under way. again: one is to follow, for what was asked meanwhile.
	looking, again bool
}

func newLooks() looks { return looks{orgs: make(map[uuid.UUID]*orgLooks)} }

func (l *looks) of(id uuid.UUID) *orgLooks {
	known, ok := l.orgs[id]
	if !ok {
		known = &orgLooks{}
		l.orgs[id] = known
	}
	return known
}

// forget drops the looks at organizations for which nobody has waited lately: the dispatcher has forgotten what they found,
// and the next to wait has to look at once, or when the look that is under way is over. One that is planned comes all the same and does no
// harm.
func (l *looks) forget(known func(uuid.UUID) bool) {
	for id, org := range l.orgs {
		switch {
		case known(id):
		case org.due.IsZero() && !org.looking:
			delete(l.orgs, id)
		default:
			org.planned, org.lookedAt = time.Time{}, time.Time{}
		}
	}
}

// lookSoon lets the process look for ready lanes of an organization, because somebody has come to wait: at once, or at the end of the
// least time between two looks. The caller holds the lock.
func (a *Acquirer) lookSoon(id uuid.UUID) {
	a.planLook(id, a.untilLook(id, a.looks.of(id).lookedAt, lookPause), "look")
}

// planLook plans a look for the end of a wait, unless one is planned for then or earlier. It returns when that is, zero if it planned
// nothing. The caller holds the lock.
func (a *Acquirer) planLook(id uuid.UUID, wait time.Duration, tag string) (at time.Time) {
	org := a.looks.of(id)
	at = a.clock.Now(tag).Add(max(wait, 0))
	if !org.planned.IsZero() && !at.Before(org.planned) {
		return time.Time{}
	}
	org.planned = at
	if wait <= 0 {
		a.queueLook(id)
		return at
	}
	a.lookAfter(wait, id, org, at, tag)
	return at
}

// lookAfter queues a look at the end of a wait, if it still is the one that is planned.
func (a *Acquirer) lookAfter(wait time.Duration, id uuid.UUID, org *orgLooks, at time.Time, tag string) {
	a.agenda.After(wait, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if org.planned.Equal(at) { // else another has begun since, or is planned for earlier
			a.queueLook(id)
		}
	}, tag)
}

// untilLook is how long an organization's next look is put off: until the pause since the last one of its kind is over, zero if there was
// none, and while the organization is beyond its share. One with so many lanes that a look takes long is looked at less often, so that
// looks cost a tenth of the time, within bounds.
func (a *Acquirer) untilLook(id uuid.UUID, last time.Time, pause time.Duration) (wait time.Duration) {
	now, org := a.clock.Now(), a.looks.of(id)
	if !last.IsZero() {
		wait = pause - now.Sub(last)
	}
	if !org.lookedAt.IsZero() {
		wait = max(wait, min(10*org.took, maxLookPause)-now.Sub(org.lookedAt))
	}
	return max(wait, a.shares.Pause(id))
}

func (a *Acquirer) queueLook(ids ...uuid.UUID) {
	if a.looks.queue.add(ids...) {
		a.calls.Add(uuid.Nil, a.look)
	}
}

// look looks at the organizations that wait for it: at all of them together, but for those of which a listing has failed.
func (a *Acquirer) look(ctx context.Context) {
	ids, more := a.looks.queue.take()
	if more {
		a.calls.Add(uuid.Nil, a.look)
	}
	together, alone := a.health.split(ids)
	for _, id := range alone {
		if !a.looks.queue.single(id) {
			continue
		}
		a.queueCall(target{organization: id}, func(ctx context.Context) {
			a.looks.queue.begun(id)
			a.lookAt(ctx, []uuid.UUID{id})
		})
	}
	a.lookAt(ctx, together)
}

// beginLook leaves out the organizations at which a look is under way: one that takes long shall not be joined by more.
func (a *Acquirer) beginLook(ids []uuid.UUID) (begun []uuid.UUID) {
	for _, id := range ids {
		org := a.looks.of(id)
		if org.looking {
			org.again = true
			continue
		}
		org.looking, org.planned, org.lookedAt = true, time.Time{}, time.Time{}
		if a.dispatch.Knows(id) {
			org.lookedAt = a.clock.Now()
		}
		begun = append(begun, id)
	}
	return begun
}

// endLook notes that looks are over, and queues those that were asked for meanwhile. It is to follow [Acquirer.beginLook]; the caller of
// either holds the lock.
func (a *Acquirer) endLook(ids []uuid.UUID) {
	for _, id := range ids {
		org := a.looks.of(id)
		if org.looking = false; org.again {
			org.again = false
			a.queueLook(id)
		}
	}
}

// lookAt asks which lanes of organizations hold something.
func (a *Acquirer) lookAt(ctx context.Context, ids []uuid.UUID) {
	again := func() { a.queueLook(ids...) }
	if len(ids) == 0 || a.putOffListing(ids, again, draining) {
		return
	}
	a.mu.Lock()
	if ids = a.beginLook(ids); len(ids) == 0 {
		a.mu.Unlock()
		return
	}
	mark, countTo := a.dispatch.Mark(), 1
	if a.reports() {
		countTo = backupCount // it tells people how many there are
	}
	a.mu.Unlock()
	begun := a.clock.Now()
	listing, err := a.ready(ctx, queue.ReadyQuery{Organizations: ids, CountTo: countTo})

	took, parts := a.clock.Since(begun), lanesOf(ids, listing.Lanes)
	a.found(listing.Lanes, mark, false)
	a.spendOn(took, parts)
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.endLook(ids)
	if a.listingFailed(ids, begun, err, again) {
		for _, id := range ids { // its repetition is the next
			org := a.looks.of(id)
			org.planned, org.again = begun, false
		}
		return
	}
	eachPart(took, parts, func(id uuid.UUID, d time.Duration) { a.looks.of(id).took = d })
	a.dispatch.Emptied(ids, mark)
	a.considerListed(listing.Lanes)
	a.dueAt(listing.Next, ids...)
}

// listingFailed reports whether a listing of organizations, none meaning all, failed. It is repeated then: after a pause, or if it was of
// several at once, for each of them alone. The caller holds the lock.
func (a *Acquirer) listingFailed(organizations []uuid.UUID, begun time.Time, err error, again func()) bool {
	t := listingOf(organizations)
	switch now := a.clock.Now(); {
	case err == nil:
		a.goOn(a.health.listed(organizations)...)
		return false
	case len(organizations) > 1:
		a.health.separate(organizations)
		again()
	default:
		a.health.fail(t, now.Sub(begun), now)
		pause := a.health.wait(t, now)
		a.tellFailed("listing failed", err, "organization", t.organization, "again_in", pause)
		a.agenda.After(pause, again, "breaker")
	}
	return true
}

func (a *Acquirer) ready(ctx context.Context, q queue.ReadyQuery) (listing queue.Listing, err error) {
	listing, err = ask(ctx, a, "ready", func(ctx context.Context) (queue.Listing, error) { return a.store.Ready(ctx, a.now(), q) })
	if len(listing.Refused) > 0 {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.refused.add(listing.Refused, a.clock.Now())
	}
	return listing, err
}

// past is how long it takes until an instant is over. The longest duration, which is all that can be said of the end of time,
// stays what it is: one more would be the past.
func (a *Acquirer) past(at time.Time) time.Duration {
	return min(a.clock.Until(at), math.MaxInt64-time.Microsecond) + time.Microsecond
}

// dueAt looks at organizations when the next job of them turns ready, here and for processes that have no reason to look. One entry
// for each organization is enough: each look says when the next is due. The caller holds the lock.
func (a *Acquirer) dueAt(at time.Time, ids ...uuid.UUID) {
	if at.IsZero() {
		return
	}
	var later []uuid.UUID
	for _, id := range ids {
		if org := a.looks.of(id); org.due.IsZero() || at.Before(org.due) {
			org.due = at
			later = append(later, id)
		}
	}
	if len(later) == 0 {
		return
	}
	a.agenda.After(a.past(at), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		var due []uuid.UUID
		for _, id := range later {
			if org := a.looks.of(id); org.due.Equal(at) {
				org.due = time.Time{}
				due = append(due, id)
			}
		}
		if len(due) > 0 {
			a.queueReady(due)
		}
	}, "due")
}

// queueReady lets the store turn ready what is due in some organizations, nil for all, and announces what is ready there.
func (a *Acquirer) queueReady(organizations []uuid.UUID) {
	together, alone := a.health.split(organizations)
	for _, id := range alone {
		a.queueCall(target{organization: id}, func(ctx context.Context) { a.turnReady(ctx, []uuid.UUID{id}) })
	}
	if len(together) > 0 || len(organizations) == 0 {
		a.queueCall(listingOf(together), func(ctx context.Context) { a.turnReady(ctx, together) })
	}
}

func (a *Acquirer) turnReady(ctx context.Context, organizations []uuid.UUID) {
	again := func() { a.queueReady(organizations) }
	if a.putOffListing(organizations, again, ended) { // while it drains, who else knows when they are due
		return
	}
	begun := a.clock.Now()
	listing, err := a.ready(ctx, queue.ReadyQuery{Organizations: organizations, CountTo: dueCount})
	inParts(a, listing.Lanes, organizationOf, func(l queue.ReadyLane) { a.dispatch.PostLocal(l.Lane, l.From, l.Count) })
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.listingFailed(organizations, begun, err, again) {
		return
	}
	a.dueAt(listing.Next, organizations...)
}

// backupNow makes the backup due: messages may have been lost. It is one query, and then one claim for each domain that
// has something to claim.
func (a *Acquirer) backupNow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.backupIn(0, "gap")
}

// backupIn plans the next backup, instead of what was planned. The caller holds the lock.
func (a *Acquirer) backupIn(d time.Duration, tag string) {
	a.looks.backup++
	plan := a.looks.backup
	a.agenda.After(d, func() {
		a.mu.Lock()
		current := plan == a.looks.backup
		a.mu.Unlock()
		if current {
			a.queueCall(target{}, a.backup)
		}
	}, tag)
}

// backup finds what nobody announced. It ignores the lower bounds, lists what waits without a worker for
// whoever reports that, and plans the next one.
func (a *Acquirer) backup(ctx context.Context) {
	if a.putOffListing(nil, func() { a.queueCall(target{}, a.backup) }, draining) {
		return
	}
	a.mu.Lock()
	a.hinted.early, a.hinted.backupAt = false, a.clock.Now()
	mark, all := a.dispatch.Mark(), a.fleet.first() == a.member.process
	organizations := a.ownOrganizations(all)
	a.mu.Unlock()
	begun := a.clock.Now()
	var listing queue.Listing
	var err error
	if organizations == nil || len(organizations) > 0 {
		listing, err = a.ready(ctx, queue.ReadyQuery{Organizations: organizations, CountTo: backupCount, Whole: true})
	}

	a.found(listing.Lanes, mark, true)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		now := a.clock.Now()
		a.health.fail(target{}, now.Sub(begun), now)
		a.cfg.Logger.Warn("backup failed", "error", err)
		a.backupIn(max(a.health.wait(target{}, now), firstPause), "breaker")
		if a.health.failsAlone() { // it may be because of some: those for which somebody waits here are looked at, each for itself
			a.queueLook(a.dispatch.Organizations()...)
		}
		return
	}
	a.answered(target{})
	a.dispatch.Emptied(organizations, mark)
	a.looks.unreadable = listing.Unreadable
	if all {
		a.observe(listing.Lanes)
	}
	a.planBackup()
}

// ownOrganizations are those somebody waits for here, or nil for all.
func (a *Acquirer) ownOrganizations(all bool) []uuid.UUID {
	const many = 100
	ids := a.dispatch.Organizations()
	if all || len(ids) > many {
		return nil
	}
	return append([]uuid.UUID{}, ids...) // none is not all
}

// planBackup plans the next backup: soon while announcements do not come through. It does not come sooner because a job
// turns ready: whoever delayed the job looks at its organization then, and a process that has looked there since. The jobs
// that a dead process delayed wait for the period.
func (a *Acquirer) planBackup() {
	period, tag := a.cfg.Backup, "backup"
	if !a.listening.well() {
		period, tag = a.cfg.Poll, "poll"
	}
	a.backupIn(jitter(period), tag)
}
