package workerpool

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Rules are the times of a worker's life.
type Rules struct {
	// BootTimeout is for how long the probes of a worker may fail that has not been ready yet.
	BootTimeout time.Duration
	// ProbeTimeout is for how long the probes of a worker may fail that has been ready.
	ProbeTimeout time.Duration
	// ProbeInterval is the time between the beginnings of two probes; BootInterval is that of a worker that is not
	// ready.
	ProbeInterval, BootInterval time.Duration
	// ShutdownTimeout is the time before an unheeded destroy is repeated. It doubles with each, up to five minutes.
	ShutdownTimeout time.Duration
	// KillInterval is the time between two requests to a job to end, TermTimeout the time after which they are given
	// up and the worker is drained.
	KillInterval, TermTimeout time.Duration
	// MaxAge and MaxUses are of the worker's type.
	MaxAge  time.Duration
	MaxUses int
	// Braked: so many workers fail together that the fault is not theirs. None that has ever answered is shut down
	// for failing.
	Braked bool
}

const longestShutdownTimeout = 5 * time.Minute

// Effects are what has to be done after a step.
type Effects uint8

// The effects.
const (
	// DoProbe: begin a probe. The step after it is [ProbeBegun].
	DoProbe Effects = 1 << iota
	// DoDestroy: ask for the destruction of the instance. The step after it is [Destroyed].
	DoDestroy
	// DoSaveTags: write the worker's tags.
	DoSaveTags
	// DoKill: send a request to end to each job whose KillNext has come. The step after it is [KillSent].
	DoKill
	// DoRecord: tell the queue of each job that is [Over]. The step after it is [JobRecorded].
	DoRecord
	// DoForget: let the worker forget each job that is [Recorded]. The step after it is [JobForgotten].
	DoForget
)

// Trigger is what happens to a worker.
type Trigger interface {
	apply(w *Worker, r *Rules, now time.Time) Effects
}

// Step is the state machine: the worker after a trigger, and what has to be done. A trigger that does not apply to the
// worker's state changes nothing.
func Step(w Worker, t Trigger, r Rules, now time.Time) (Worker, Effects) {
	effects := t.apply(&w, &r, now)
	return w, effects
}

// NewPending is a worker whose create call begins.
func NewPending(typeName string, secret Secret, now time.Time) Worker {
	return Worker{Type: typeName, Secret: secret, State: Pending, CreatedAt: now, IdleSince: now}
}

// NewUnknown is a worker that a listing shows and nobody here has created.
func NewUnknown(id InstanceID, address, typeName string, behavior Behavior, createdAt, now time.Time) Worker {
	return Worker{
		ID: id, Address: address, Type: typeName, State: Unknown, Behavior: behavior,
		CreatedAt: micros.Earlier(createdAt, now), IdleSince: now,
	}
}

// behave changes the behavior, and shuts the worker down if that is all it takes.
func (w *Worker) behave(b Behavior, now time.Time) Effects {
	w.Behavior = b
	return DoSaveTags | w.drained(now)
}

// drained shuts a drained worker down that has nothing left to do.
func (w *Worker) drained(now time.Time) Effects {
	if w.Behavior.Idle != BehaviorDrain || w.State < Booting || w.State > Running {
		return 0
	}
	reason := ReasonDrained
	for i := range w.Jobs {
		switch j := &w.Jobs[i]; {
		case j.Phase == Recorded:
		case j.Unkillable && j.active():
			reason = ReasonUnkillable
		default:
			return 0
		}
	}
	return w.shutdown(reason, now)
}

func (w *Worker) shutdown(reason Reason, now time.Time) Effects {
	w.State, w.Reason, w.Probing = Shutdown, reason, false
	w.ShutdownAt, w.DestroyedAt, w.Destroys = now, now, 1
	return DoDestroy
}

// settled brings the state in line with the jobs, and says what they need.
func (w *Worker) settled(now time.Time) Effects {
	switch busy := w.Busy(); {
	case w.State == Idle && busy:
		w.State = Running
	case w.State == Running && !busy:
		w.State, w.IdleSince = Idle, now
	}
	effects := w.drained(now)
	for i := range w.Jobs {
		switch w.Jobs[i].Phase {
		case Over:
			effects |= DoRecord
		case Recorded:
			effects |= DoForget
		}
	}
	return effects
}

// copyJobs returns a copy of the jobs with room for more.
func (w *Worker) copyJobs(more int) []WorkerJob {
	return append(make([]WorkerJob, 0, len(w.Jobs)+more), w.Jobs...)
}

// changeJob returns a job that may be changed.
func (w *Worker) changeJob(i int) *WorkerJob {
	w.Jobs = w.copyJobs(0)
	return &w.Jobs[i]
}

func (w *Worker) removeJob(i int, now time.Time) {
	jobs := w.copyJobs(0)
	w.Jobs, w.ForgotAt = append(jobs[:i], jobs[i+1:]...), now
}
