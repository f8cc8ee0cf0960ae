package acquirer

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// What a message says is asked of the store before it has an effect that lasts. These are the questions, each bounded in how
// often it is put, however many messages arrive.

// hintPause is the least time between two questions of one kind that messages cause; tag "hint".
const hintPause = 50 * time.Millisecond

// maxBarren is how many claims in a row messages may cause that get nothing, for one organization. After that the store is asked what
// its lanes hold, and that has a least time between two looks.
const maxBarren = 8

// hinted is what messages have said and nobody has asked about yet. Guarded by Acquirer.mu.
type hinted struct {
	// canceled are leases of ours whose jobs somebody may have asked to cancel, and asking says that it is planned to ask.
	canceled map[queue.Lease]struct{}
	asking   bool
	askedAt  time.Time
	// early says that a backup is planned before its time, backupAt when the last one began.
	early    bool
	backupAt time.Time
}

// askCanceled notes that somebody may have asked for the cancellation of a job of ours. The caller holds the lock.
func (a *Acquirer) askCanceled(lease queue.Lease) {
	e := a.book.Find(lease)
	if e == nil || holdingOf(e).canceled {
		return
	}
	h := &a.hinted
	if h.canceled == nil {
		h.canceled = make(map[queue.Lease]struct{})
	}
	h.canceled[lease] = struct{}{}
	if h.asking {
		return
	}
	h.asking = true
	ask := func() { a.question(a.lookCanceled) }
	if wait := hintPause - a.clock.Since(h.askedAt); wait > 0 {
		a.agenda.After(wait, ask, "hint")
		return
	}
	ask()
}

// lookCanceled asks the store which of the jobs are to be canceled. If it fails, their reports and the next heartbeat say it.
func (a *Acquirer) lookCanceled(ctx context.Context) {
	a.mu.Lock()
	ids := make([]uuid.UUID, 0, len(a.hinted.canceled))
	for lease := range a.hinted.canceled {
		ids = append(ids, lease.Job)
	}
	a.hinted.canceled, a.hinted.asking, a.hinted.askedAt = nil, false, a.clock.Now()
	a.mu.Unlock()
	jobs, err := a.lookUp(ctx, "find canceled", queue.Filter{IDs: distinct(ids)})
	if err != nil {
		a.cfg.Logger.Warn("cancellations not looked up", "jobs", len(ids), "error", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, job := range jobs {
		if !job.CancelAt.IsZero() {
			a.canceled(job.Lease())
		}
	}
}

// earlyBackup makes the backup due, at most once in a [Config.Poll]. It reports whether that is news. The caller holds the lock.
func (a *Acquirer) earlyBackup() bool {
	h := &a.hinted
	if h.early {
		return false
	}
	h.early = true
	a.backupIn(max(0, a.cfg.Poll-a.clock.Since(h.backupAt)), "hint")
	return true
}

// lookAtHint lets the process look for ready lanes of an organization, because a message has named one that is not known
// here: at once, or at the end of the least time between two such looks. The caller holds the lock.
func (a *Acquirer) lookAtHint(id uuid.UUID) {
	org := a.looks.of(id)
	if at := a.planLook(id, a.untilLook(id, org.hintedAt, hintPause), "hint"); !at.IsZero() {
		org.hintedAt = at
	}
}

// claimedAtHint takes in what a claim got that messages may have caused. The caller holds the lock.
func (a *Acquirer) claimedAtHint(r *dispatch.Round, jobs int) {
	org, known := a.looks.orgs[r.Domain().Organization]
	switch {
	case !known:
	case jobs > 0:
		org.barren = 0
	case r.Cause() == dispatch.Notify && org.barren < maxBarren:
		org.barren++
	}
}

// lookLater lets the process look for ready lanes of an organization within a [Config.Poll]. The caller holds the lock.
func (a *Acquirer) lookLater(id uuid.UUID) {
	org := a.looks.of(id)
	if org.later {
		return
	}
	org.later = true
	a.agenda.After(jitter(a.cfg.Poll), func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if org, known := a.looks.orgs[id]; known {
			org.later = false
			a.lookSoon(id)
		}
	}, "hint")
}

// freedElsewhere takes in that a running job of an organization may have ended in another process. The caller holds the lock.
func (a *Acquirer) freedElsewhere(id uuid.UUID, now time.Time) {
	if !a.dispatch.Knows(id) {
		return
	}
	org := a.looks.of(id)
	if wait := hintPause - now.Sub(org.freedAt); wait > 0 {
		if !org.freed {
			org.freed = true
			a.agenda.After(wait, func() {
				a.mu.Lock()
				defer a.mu.Unlock()
				if org, known := a.looks.orgs[id]; known {
					org.freed, org.freedAt = false, a.clock.Now()
					a.lookAgain(id)
				}
			}, "hint")
		}
		return
	}
	org.freedAt = now
	a.lookAgain(id)
}

// lookAgain looks for what may be handed out anew in an organization: what a limit stopped may never have been announced to
// us. The caller holds the lock.
func (a *Acquirer) lookAgain(id uuid.UUID) {
	if a.dispatch.Freed(id) {
		a.lookSoon(id)
	}
}
