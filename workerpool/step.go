package workerpool

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
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
	w := Worker{
		ID: id, Address: address, Type: typeName, State: Unknown, Behavior: behavior,
		CreatedAt: createdAt, IdleSince: now,
	}
	if createdAt.IsZero() || createdAt.After(now) {
		w.CreatedAt = now
	}
	return w
}

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
	if t.Leaving && w.State < Shutdown {
		w.shutdown(ReasonProvider, now)
		return 0
	}
	if w.State == Shutdown && !t.Leaving && t.Begun.After(w.DestroyedAt) && !w.DestroyedAt.IsZero() {
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
		case found && j.active() && !l.Ended:
			j.Phase, j.Seen = Executing, true
			if j.ReturnedAt.IsZero() { // what runs has been started, whenever the command returns
				j.ReturnedAt = now
			}
		case found && j.active() && judged: // an end listed before the start returned may be that of an earlier try
			j.Phase, j.Seen, j.ExitCode = Over, true, l.ExitCode
		case !found && j.active() && judged:
			j.Phase, j.ExitCode = Over, ExitUnknown
		case !found && j.Phase == Recorded && judged:
			w.ForgotAt = now
			continue
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
