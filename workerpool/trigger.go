package workerpool

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Created: the instance of a pending worker is known, from the create call's answer or from a listing.
type Created struct {
	ID      InstanceID
	Address string
}

func (t Created) apply(w *Worker, _ *Rules, now time.Time) Effects {
	if w.State != Pending {
		return 0
	}
	w.ID, w.Address, w.State = t.ID, t.Address, Booting
	return w.drained(now)
}

// CreateFailed: the create call of a pending worker failed.
type CreateFailed struct{}

func (CreateFailed) apply(w *Worker, _ *Rules, _ time.Time) Effects {
	if w.State == Pending {
		w.State = Gone
	}
	return 0
}

// Listed: a listing that began at Begun shows the instance.
type Listed struct {
	Address string
	Begun   time.Time
	Leaving bool
}

func (t Listed) apply(w *Worker, _ *Rules, now time.Time) Effects {
	if w.State == Pending || w.State == Gone {
		return 0
	}
	w.Address = t.Address
	switch {
	case w.State != Shutdown && t.Leaving:
		w.shutdown(ReasonProvider, now)
	case w.State == Shutdown && !t.Leaving && t.Begun.After(w.DestroyedAt):
		w.DestroyAgain = true
	}
	return 0
}

// Vanished: the instance does not exist any more, or the pool lets go of it. What it still ran is lost.
type Vanished struct{}

func (Vanished) apply(w *Worker, _ *Rules, _ time.Time) Effects {
	w.State = Gone
	return 0
}

// ProbeBegun: a probe is under way.
type ProbeBegun struct{}

func (ProbeBegun) apply(w *Worker, _ *Rules, now time.Time) Effects {
	w.ProbedAt, w.Probing = now, true
	return 0
}

// ListedJob is a job as a worker reports it.
type ListedJob struct {
	ID JobID
	// Ended: it has ended, with ExitCode.
	Ended    bool
	ExitCode int
}

// Probed: a probe has ended.
type Probed struct {
	// Begun is when it began. What changed later is not judged by it.
	Begun time.Time
	// Boot and List say which of its commands succeeded. A worker that was ready before is only asked for its jobs.
	Boot, List bool
	// Broken: the worker says of itself that it cannot run jobs.
	Broken bool
	// Jobs, if List.
	Jobs []ListedJob
}

func (t Probed) apply(w *Worker, _ *Rules, now time.Time) Effects {
	w.Probing = false
	if w.State < Unknown || w.State > Running {
		return 0
	}
	if t.List {
		w.merge(t, now)
	}
	ready := w.State == Idle || w.State == Running
	switch {
	case t.List && (ready || t.Boot || w.active() > 0):
		w.GoodAt, w.FailingSince = micros.Later(w.GoodAt, t.Begun), time.Time{}
	case w.FailingSince.IsZero():
		w.FailingSince = t.Begun
	}
	if !ready && t.Boot && t.List {
		w.State, w.IdleSince = Idle, now
	}
	effects := Effects(0)
	if t.Broken && w.Behavior.Idle == BehaviorRun {
		effects |= w.behave(Behavior{Idle: BehaviorDrain, Owner: byPool, Reason: string(ReasonBroken)}, now)
	}
	return effects | w.settled(now)
}

// byPool is the owner of what the pool itself decides.
const byPool = "pool"

// merge brings the list of jobs up to date, each by what the probe can know of it.
func (w *Worker) merge(t Probed, now time.Time) {
	listed := make(map[JobID]ListedJob, len(t.Jobs))
	for _, l := range t.Jobs {
		listed[l.ID] = l
	}
	jobs := make([]WorkerJob, 0, len(w.Jobs)+len(t.Jobs))
	for _, j := range w.Jobs {
		l, found := listed[j.ID]
		delete(listed, j.ID)
		switch judged := !j.ReturnedAt.IsZero() && !t.Begun.Before(j.ReturnedAt); {
		case j.Phase == Over: // until the queue knows
		case j.Phase == Recorded:
			if !found && judged {
				w.ForgotAt = now
				continue
			}
		case found && !l.Ended:
			j.Phase, j.Seen = Executing, true
			if j.ReturnedAt.IsZero() { // what runs has been started, whenever the command returns
				j.ReturnedAt = now
			}
		case !judged: // an end listed before the start returned may be that of an earlier try
		case found:
			j.Phase, j.Seen, j.ExitCode = Over, true, l.ExitCode
		default:
			j.Phase, j.ExitCode = Over, ExitUnknown
		}
		jobs = append(jobs, j)
	}
	for _, l := range t.Jobs {
		if _, left := listed[l.ID]; left && t.Begun.After(w.ForgotAt) {
			jobs = append(jobs, found(l, now))
			delete(listed, l.ID)
		}
	}
	w.Jobs = jobs
}

func found(l ListedJob, now time.Time) WorkerJob {
	j := WorkerJob{ID: l.ID, Phase: Executing, AssignedAt: now, ReturnedAt: now, Seen: true}
	if l.Ended {
		j.Phase, j.ExitCode = Over, l.ExitCode
	}
	return j
}

// BehaviorSet: somebody holds, drains or frees the worker.
type BehaviorSet struct{ Behavior Behavior }

func (t BehaviorSet) apply(w *Worker, _ *Rules, now time.Time) Effects {
	if w.State >= Shutdown {
		return 0
	}
	return w.behave(t.Behavior, now)
}

// ShutdownAsked: the pool or its host wants the worker to go. It has no effect on one that is busy, held or unknown.
type ShutdownAsked struct{ Reason Reason }

func (t ShutdownAsked) apply(w *Worker, _ *Rules, now time.Time) Effects {
	if w.State != Booting && w.State != Idle || w.Busy() || w.Behavior.Idle == BehaviorHold {
		return 0
	}
	return w.shutdown(t.Reason, now)
}

// Killed: an operator ends the worker, whatever it does.
type Killed struct{}

func (Killed) apply(w *Worker, _ *Rules, now time.Time) Effects {
	if w.State < Unknown || w.State > Running {
		return 0
	}
	return w.shutdown(ReasonKilled, now)
}

// Destroyed: a destroy call has ended.
type Destroyed struct {
	Failed bool
	// Absent: the provider says that there is no such instance.
	Absent bool
}

func (t Destroyed) apply(w *Worker, _ *Rules, now time.Time) Effects {
	switch {
	case w.State != Shutdown:
	case t.Absent:
		w.State = Gone
	default: // only a listing that begins from now on tells whether it had an effect
		w.DestroyedAt, w.DestroyAgain = now, t.Failed
	}
	return 0
}
