package workerpool

import "time"

// Assigned: the worker is given a job. It runs from this moment on, whatever becomes of the command.
type Assigned struct {
	ID    JobID
	Needs Resources
}

func (t Assigned) apply(w *Worker, r *Rules, now time.Time) Effects {
	if w.State != Idle && w.State != Running || w.Behavior.Idle != BehaviorRun {
		return 0
	}
	w.Jobs = append(w.copyJobs(1), WorkerJob{ID: t.ID, Needs: t.Needs, AssignedAt: now})
	w.Uses++
	if r.MaxUses > 0 && int(w.Uses) >= r.MaxUses {
		return w.behave(Behavior{Idle: BehaviorDrain, Owner: byPool, Reason: string(ReasonMaxUses)}, now) | w.settled(now)
	}
	return w.settled(now)
}

// Reserved: a waiting job is planned for the worker, which is not ready yet.
type Reserved struct{}

func (Reserved) apply(w *Worker, _ *Rules, now time.Time) Effects {
	if w.State < Idle {
		w.IdleSince = now
	}
	return 0
}

// StartReturned: the command that starts a job has returned, well or not; a later probe tells whether the job runs.
// Withdrawn says that it was not even begun, so that the job certainly does not run.
type StartReturned struct {
	ID        JobID
	Withdrawn bool
}

func (t StartReturned) apply(w *Worker, _ *Rules, now time.Time) Effects {
	i := w.job(t.ID)
	if i < 0 || !w.Jobs[i].ReturnedAt.IsZero() {
		return 0
	}
	if t.Withdrawn {
		w.removeJob(i, now)
		return w.unused(now) | w.settled(now)
	}
	w.changeJob(i).ReturnedAt = now
	return w.settled(now)
}

// unused takes a use back, and with it the drain that it may have caused.
func (w *Worker) unused(now time.Time) Effects {
	w.Uses--
	if b := w.Behavior; b.Owner == byPool && b.Reason == string(ReasonMaxUses) {
		return w.behave(Behavior{}, now)
	}
	return 0
}

// NeedsKnown: the queue has told what a job takes that was found on the worker.
type NeedsKnown struct {
	ID    JobID
	Needs Resources
}

func (t NeedsKnown) apply(w *Worker, _ *Rules, _ time.Time) Effects {
	if i := w.job(t.ID); i >= 0 && w.Jobs[i].Needs.Slots == 0 {
		w.changeJob(i).Needs = t.Needs
	}
	return 0
}

// JobRecorded: the queue knows of a job's end.
type JobRecorded struct{ ID JobID }

func (t JobRecorded) apply(w *Worker, _ *Rules, now time.Time) Effects {
	i := w.job(t.ID)
	if i < 0 || w.Jobs[i].Phase != Over {
		return 0
	}
	w.changeJob(i).Phase = Recorded
	return w.settled(now)
}

// JobForgotten: the worker does not list a job any more.
type JobForgotten struct{ ID JobID }

func (t JobForgotten) apply(w *Worker, _ *Rules, now time.Time) Effects {
	i := w.job(t.ID)
	if i < 0 || w.Jobs[i].Phase != Recorded {
		return 0
	}
	w.removeJob(i, now)
	return w.settled(now)
}

// KillAsked: somebody wants the job to end. A second request changes nothing.
type KillAsked struct {
	ID     JobID
	Reason string
}

func (t KillAsked) apply(w *Worker, _ *Rules, now time.Time) Effects {
	i := w.job(t.ID)
	if i < 0 || !w.Jobs[i].active() || !w.Jobs[i].KillAt.IsZero() {
		return 0
	}
	j := w.changeJob(i)
	j.KillAt, j.KillNext, j.KillReason = now, now, t.Reason
	return DoKill
}

// KillSent: a job's request to end is on its way.
type KillSent struct{ ID JobID }

func (t KillSent) apply(w *Worker, r *Rules, now time.Time) Effects {
	if i := w.job(t.ID); i >= 0 && !w.Jobs[i].KillAt.IsZero() {
		w.changeJob(i).KillNext = now.Add(r.KillInterval)
	}
	return 0
}

// KillAnswered: the worker says that a job, asked to end, is not running. A probe finds out how it ended.
type KillAnswered struct{ ID JobID }

func (t KillAnswered) apply(w *Worker, _ *Rules, _ time.Time) Effects {
	if i := w.job(t.ID); i >= 0 && w.Jobs[i].active() {
		w.ProbedAt = time.Time{}
	}
	return 0
}
