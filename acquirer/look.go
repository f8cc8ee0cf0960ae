package acquirer

import (
	"context"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/google/uuid"
)

// backupCount is how far the backup counts the jobs of a lane.
const backupCount = 1000

// lookSoon lets the process look for ready lanes of an organization: at once, or at the end of the least time
// between two looks. The caller holds the lock.
func (a *Acquirer) lookSoon(id uuid.UUID) {
	org := a.hall.org(id)
	if org.asked {
		return
	}
	org.asked = true
	wait := a.cfg.Ask - a.clock.Since(org.listedAt)
	if org.listedAt.IsZero() || wait <= 0 {
		a.queueLook(id)
		return
	}
	a.agenda.after(wait, func() { a.queueLook(id) })
}

func (a *Acquirer) queueLook(id uuid.UUID) {
	a.queue.add(func(ctx context.Context) { a.look(ctx, id) })
}

// look asks which lanes of an organization hold something.
func (a *Acquirer) look(ctx context.Context, id uuid.UUID) {
	if !a.admit(func() { a.queueLook(id) }) {
		return
	}
	a.mu.Lock()
	org := a.hall.org(id)
	org.asked, org.listedAt = false, a.clock.Now()
	mark := a.hall.mark
	a.mu.Unlock()
	listing, err := a.ready(ctx, queue.ReadyQuery{Organizations: []uuid.UUID{id}, CountTo: 1})

	a.mu.Lock()
	defer a.mu.Unlock()
	a.breaker.note(err == nil, a.cfg.Backoff, a.cfg.BackoffMax)
	if err != nil {
		a.hall.org(id).asked = true
		a.agenda.after(a.breaker.wait(), func() { a.queueLook(id) })
		return
	}
	a.hall.listed([]uuid.UUID{id}, mark, listing.Lanes, false)
	a.dueAt(id, listing.Next)
}

func (a *Acquirer) ready(ctx context.Context, q queue.ReadyQuery) (listing queue.Listing, err error) {
	err = a.call(ctx, "ready", func(ctx context.Context) error {
		listing, err = a.store.Ready(ctx, a.now(), q)
		return err
	})
	return listing, err
}

// backupSoon makes the backup due now: messages may have been lost. It is one query, and then one claim for
// each domain that has something to claim.
func (a *Acquirer) backupSoon() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hearing.behind = true
	a.scheduleBackup(0)
}

// scheduleBackup plans the next backup, instead of what was planned. The caller holds the lock.
func (a *Acquirer) scheduleBackup(in time.Duration) {
	a.hearing.plan++
	plan := a.hearing.plan
	a.agenda.after(in, func() {
		a.mu.Lock()
		current := plan == a.hearing.plan
		a.mu.Unlock()
		if current {
			a.queue.add(a.backup)
		}
	})
}

// backup finds what nobody announced. It ignores the lower bounds, lists what waits without a worker for
// whoever reports that, and says when the next one is due.
func (a *Acquirer) backup(ctx context.Context) {
	if !a.admit(func() { a.queue.add(a.backup) }) {
		return
	}
	a.mu.Lock()
	mark, all := a.hall.mark, a.fleet.reporter(a.process)
	organizations := a.ownOrganizations(all)
	a.hearing.behind = false
	a.mu.Unlock()
	var listing queue.Listing
	var err error
	if organizations == nil || len(organizations) > 0 {
		listing, err = a.ready(ctx, queue.ReadyQuery{Organizations: organizations, CountTo: backupCount})
	}

	a.mu.Lock()
	defer a.mu.Unlock()
	a.breaker.note(err == nil, a.cfg.Backoff, a.cfg.BackoffMax)
	if err != nil {
		a.cfg.Logger.Warn("backup failed", "error", err)
		a.scheduleBackup(max(a.breaker.wait(), a.cfg.Backoff))
		return
	}
	a.hall.listed(organizations, mark, listing.Lanes, true)
	if all {
		a.observe(listing.Lanes)
	}
	a.scheduleBackup(a.untilBackup(listing.Next))
}

// ownOrganizations are those somebody waits for here, or nil for all.
func (a *Acquirer) ownOrganizations(all bool) []uuid.UUID {
	const many = 100
	if all || len(a.hall.orgs) > many {
		return nil
	}
	ids := make([]uuid.UUID, 0, len(a.hall.orgs))
	for id := range a.hall.orgs {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(x, y uuid.UUID) int { return slices.Compare(x[:], y[:]) })
	return ids
}

// untilBackup is the pause before the next backup: short while announcements do not come through, and no
// longer than until the next job turns ready.
func (a *Acquirer) untilBackup(next time.Time) time.Duration {
	period := a.cfg.Backup
	if !a.hearing.well() {
		period = a.cfg.Poll
	}
	period = jitter(period)
	if !next.IsZero() {
		period = min(period, max(a.clock.Until(next), a.cfg.Ask)+time.Microsecond)
	}
	return period
}
