package workerpool

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
)

// DeadlinePassed: the time that [Due] named has come. Coming early changes nothing.
type DeadlinePassed struct{}

func (DeadlinePassed) apply(w *Worker, r *Rules, now time.Time) Effects {
	effects := Effects(0)
	if reached(w.behaviorEnd(), now) {
		effects |= w.behave(Behavior{}, now)
	}
	if reached(w.ageLimit(r), now) {
		effects |= w.behave(Behavior{Idle: BehaviorDrain, Owner: byPool, Reason: string(ReasonMaxAge)}, now)
	}
	effects |= w.killDue(r, now)
	if at, reason := w.failLimit(r); reached(at, now) {
		effects |= w.shutdown(reason, now)
	}
	if reached(w.destroyDue(r), now) {
		w.DestroyedAt, w.DestroyAgain = now, false
		w.Destroys++
		effects |= DoDestroy
	}
	if reached(w.probeDue(r), now) {
		effects |= DoProbe
	}
	return effects
}

// Due is the earliest instant at which [DeadlinePassed] could do something. Zero: never, until something else happens.
func Due(w Worker, r Rules) time.Time { return w.due(&r) }

func (w *Worker) due(r *Rules) time.Time {
	fail, _ := w.failLimit(r)
	at := micros.Earlier(fail, w.probeDue(r))
	at = micros.Earlier(at, w.destroyDue(r))
	at = micros.Earlier(at, w.ageLimit(r))
	at = micros.Earlier(at, w.behaviorEnd())
	for i := range w.Jobs {
		at = micros.Earlier(at, w.jobDue(i, r))
	}
	return at
}

// behaviorEnd is when somebody's hold or drain ends.
func (w *Worker) behaviorEnd() time.Time {
	if w.State >= Shutdown {
		return time.Time{}
	}
	return w.Behavior.Until
}

func reached(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// probeDue is when the next probe is due.
func (w *Worker) probeDue(r *Rules) time.Time {
	switch {
	case w.Probing || w.State < Unknown || w.State > Running:
		return time.Time{}
	case w.ProbedAt.IsZero():
		return w.CreatedAt // long ago: at once
	case w.State < Idle:
		return w.ProbedAt.Add(r.BootInterval)
	}
	return w.ProbedAt.Add(r.ProbeInterval)
}

// failLimit is when a worker that fails its probes is given up. The time counts from the first failure, not from the last
// success: a pause of the pool itself (a suspended machine, a rate limit) is no silence of the worker.
func (w *Worker) failLimit(r *Rules) (time.Time, Reason) {
	if w.FailingSince.IsZero() || w.Behavior.Idle == BehaviorHold {
		return time.Time{}, ""
	}
	switch {
	case w.State == Booting || w.State == Unknown && !r.Braked:
		return w.FailingSince.Add(r.BootTimeout), ReasonBootTimeout
	case (w.State == Idle || w.State == Running) && !r.Braked:
		return w.FailingSince.Add(r.ProbeTimeout), ReasonProbeTimeout
	}
	return time.Time{}, ""
}

// destroyDue is when the destruction is asked for again.
func (w *Worker) destroyDue(r *Rules) time.Time {
	if w.State != Shutdown || !w.DestroyAgain {
		return time.Time{}
	}
	return w.DestroyedAt.Add(backoff.Doubled(r.ShutdownTimeout, int(w.Destroys)-1, longestShutdownTimeout))
}

// ageLimit is when the worker is too old.
func (w *Worker) ageLimit(r *Rules) time.Time {
	if r.MaxAge == 0 || w.State < Unknown || w.State > Running || w.Behavior.Idle != BehaviorRun {
		return time.Time{}
	}
	return w.CreatedAt.Add(r.MaxAge)
}

// jobDue is when a job is next asked to end, or given up on.
func (w *Worker) jobDue(i int, r *Rules) time.Time {
	j := &w.Jobs[i]
	if w.State >= Shutdown || j.KillAt.IsZero() || j.Unkillable || !j.active() {
		return time.Time{}
	}
	return micros.Earlier(j.KillNext, j.KillAt.Add(r.TermTimeout))
}

func (w *Worker) killDue(r *Rules, now time.Time) Effects {
	effects := Effects(0)
	for i := range w.Jobs {
		switch j := &w.Jobs[i]; {
		case !reached(w.jobDue(i, r), now):
		case reached(j.KillAt.Add(r.TermTimeout), now):
			w.changeJob(i).Unkillable = true
			if w.Behavior.Idle == BehaviorRun {
				effects |= w.behave(Behavior{Idle: BehaviorDrain, Owner: byPool, Reason: string(ReasonUnkillable)}, now)
			}
			effects |= w.drained(now)
		default:
			effects |= DoKill
		}
	}
	return effects
}
