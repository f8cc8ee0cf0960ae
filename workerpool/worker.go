package workerpool

import (
	"encoding/hex"
	"time"
)

// InstanceID is the provider's name of an instance.
type InstanceID string

// Secret identifies a create call. It is a tag of the instance, so that a listing can be matched with a create whose
// answer has not come, and the init script may put it on the instance, so that the instance can prove which one it is.
type Secret [20]byte

// String returns 40 hexadecimal digits.
func (s Secret) String() string { return hex.EncodeToString(s[:]) }

// MarshalText returns what String does, or nothing for the zero value.
func (s Secret) MarshalText() ([]byte, error) {
	if s == (Secret{}) {
		return nil, nil
	}
	return []byte(s.String()), nil
}

// State is where a worker is in its life.
type State uint8

// The states of a worker.
const (
	// Pending: the create call is in flight; there is no id yet.
	Pending State = iota
	// Unknown: found in a listing, not created by this process, and not yet heard of. It may run jobs.
	Unknown
	// Booting: created by this process, not yet ready.
	Booting
	// Idle: ready, without a job.
	Idle
	// Running: ready, with a job at least.
	Running
	// Shutdown: its destruction was asked for. There is no way back.
	Shutdown
	// Gone: no instance any more.
	Gone

	states = int(Gone)
)

var stateNames = [...]string{"pending", "unknown", "booting", "idle", "running", "shutdown", "gone"}

// String returns the state's name.
func (s State) String() string { return stateNames[s] }

// MarshalText returns the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// IdleBehavior says what a worker may be used for.
type IdleBehavior uint8

// The behaviors.
const (
	// BehaviorRun is usual.
	BehaviorRun IdleBehavior = iota
	// BehaviorHold: no new jobs, never shut down.
	BehaviorHold
	// BehaviorDrain: no new jobs, shut down when nothing runs.
	BehaviorDrain
)

var behaviorNames = [...]string{"run", "hold", "drain"}

// String returns the behavior's name.
func (b IdleBehavior) String() string { return behaviorNames[b] }

// MarshalText returns the behavior's name.
func (b IdleBehavior) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// Behavior is an idle behavior with who wants it, why, and until when.
type Behavior struct {
	Idle   IdleBehavior
	Owner  string
	Reason string
	// Until is when it becomes BehaviorRun again. Zero: never.
	Until time.Time
}

// JobPhase is where a job is on its worker.
type JobPhase uint8

// The phases of a job on a worker.
const (
	// Starting: it was given to the worker, and no probe has seen it.
	Starting JobPhase = iota
	// Executing: a probe has seen it.
	Executing
	// Over: it has ended, and the queue does not know yet.
	Over
	// Recorded: the queue knows; the worker shall forget it.
	Recorded
)

var phaseNames = [...]string{"starting", "executing", "over", "recorded"}

// String returns the phase's name.
func (p JobPhase) String() string { return phaseNames[p] }

// MarshalText returns the phase's name.
func (p JobPhase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// WorkerJob is a job on a worker.
type WorkerJob struct {
	ID JobID
	// Needs is what it takes. A job that was found on the worker has no slots until the queue tells its needs, and
	// leaves no room for another one.
	Needs Resources
	Phase JobPhase
	// AssignedAt is when it was given to the worker, or found there.
	AssignedAt time.Time
	// ReturnedAt is when the start command returned; zero while it runs. A probe that begins later must see the job.
	ReturnedAt time.Time
	// Seen: it is known to have run on the worker.
	Seen     bool
	ExitCode int
	// KillAt is when its end was first asked for, KillNext when it is asked for again; KillReason says why.
	KillAt, KillNext time.Time
	KillReason       string
	// Unkillable: the worker was asked for [Rules].TermTimeout in vain.
	Unkillable bool
	// Cost is the job's share of the worker's price until its end.
	Cost float64
}

// active reports whether the job may still be at work.
func (j *WorkerJob) active() bool { return j.Phase <= Executing }

// Worker is what the pool knows of one worker. It is a value; what a [Pool] returns shares nothing that changes.
type Worker struct {
	// ID is empty while the worker is pending.
	ID      InstanceID
	Address string
	// Type is the name of its [InstanceType].
	Type     string
	Secret   Secret
	State    State
	Behavior Behavior
	// Reason says why it is in Shutdown.
	Reason Reason

	// CreatedAt is when it was asked for, from its tags if another process did so.
	CreatedAt time.Time
	// GoodAt is when the last probe began that succeeded, and FailingSince when the first one began that failed since.
	GoodAt, FailingSince time.Time
	// ProbedAt is when the last probe began.
	ProbedAt time.Time
	Probing  bool
	// IdleSince is since when nothing has needed the worker: since it was created, became ready, ended its last job, or
	// was last reserved for a job.
	IdleSince time.Time
	// ForgotAt is when a job last left the worker's list. A probe that began before may still name that job.
	ForgotAt time.Time
	// ShutdownAt is when its destruction was first asked for, DestroyedAt when the last request began, or ended if it has.
	ShutdownAt, DestroyedAt time.Time
	// Destroys counts the requests, DestroyAgain says that the last one had no effect.
	Destroys     int32
	DestroyAgain bool
	// Uses counts the jobs it was given.
	Uses int32
	// Jobs are never changed in place: whoever has a copy of the worker may keep them.
	Jobs []WorkerJob
}

// Busy reports whether a job is on the worker whose end the queue does not know. Such a worker is not shut down.
func (w *Worker) Busy() bool {
	for i := range w.Jobs {
		if w.Jobs[i].Phase < Recorded {
			return true
		}
	}
	return false
}

// active is the number of jobs that may be at work.
func (w *Worker) active() int {
	n := 0
	for i := range w.Jobs {
		if w.Jobs[i].active() {
			n++
		}
	}
	return n
}

// Takes reports whether the worker may be given jobs, now or when it is ready.
func (w *Worker) Takes() bool {
	return w.State < Shutdown && w.Behavior.Idle == BehaviorRun
}

// Free is what the worker has left of a type's room.
func (w *Worker) Free(room Resources) Resources {
	for i := range w.Jobs {
		switch j := &w.Jobs[i]; {
		case !j.active():
		case j.Needs.Slots == 0:
			return Resources{}
		default:
			room = room.Minus(j.Needs)
		}
	}
	return room
}

// job returns the place of a job, or -1.
func (w *Worker) job(id JobID) int {
	for i := range w.Jobs {
		if w.Jobs[i].ID == id {
			return i
		}
	}
	return -1
}

// Reason is the rule that decided about a worker or a job. The set is closed.
type Reason string

// Why a worker is created.
const (
	ReasonJob     Reason = "job"     // a job waits for it
	ReasonFloor   Reason = "floor"   // the floor of its type
	ReasonSpare   Reason = "spare"   // the spare slots of its type
	ReasonRequest Reason = "request" // the host asked for it
)

// Why a worker is kept.
const (
	ReasonBusy         Reason = "busy"           // jobs are on it
	ReasonHeld         Reason = "held"           // somebody holds it
	ReasonReserved     Reason = "reserved"       // a waiting job is planned for it
	ReasonBooting      Reason = "booting"        // it is not ready yet, and was needed a moment ago
	ReasonUnknown      Reason = "unknown"        // it has not answered yet, and may run jobs
	ReasonMinimumIdle  Reason = "minimum_idle"   // idle for less than the idle timeout
	ReasonScaleInDelay Reason = "scale_in_delay" // its type was created a moment ago

)

// Why a worker is shut down.
const (
	ReasonIdle         Reason = "idle"          // idle for the idle timeout
	ReasonUnneeded     Reason = "unneeded"      // it boots, and nothing has needed it for the idle timeout
	ReasonMakeRoom     Reason = "make_room"     // a job waits for another type, and a limit allows no more workers
	ReasonTypeRemoved  Reason = "type_removed"  // its type is not configured any more
	ReasonDrained      Reason = "drained"       // it was to drain, and nothing runs
	ReasonUnkillable   Reason = "unkillable"    // it was to drain, and what runs on it cannot be killed
	ReasonBootTimeout  Reason = "boot_timeout"  // it did not become ready in time
	ReasonProbeTimeout Reason = "probe_timeout" // it has not answered for too long
	ReasonKilled       Reason = "killed"        // an operator asked for it
	ReasonProvider     Reason = "provider"      // the provider ends it, unasked or for a pool that ran before
)

// Why a worker is drained by the pool itself.
const (
	ReasonMaxAge  Reason = "max_age"
	ReasonMaxUses Reason = "max_uses"
	ReasonBroken  Reason = "broken"
)

// Why a job waits, and why nothing is created.
const (
	ReasonWorkerBooting Reason = "worker_booting" // a worker boots for it
	ReasonNoType        Reason = "no_type"        // no type is large enough and has its labels
	ReasonJobLimit      Reason = "job_limit"      // as many jobs run as may
	ReasonMaxWorkers    Reason = "max_workers"    // the pool's limit
	ReasonMaxPrice      Reason = "max_price"      // the pool's budget
	ReasonTypeMax       Reason = "type_max"       // the type's limit
	ReasonMaxCreating   Reason = "max_creating"   // enough creates are in flight
	ReasonQuota         Reason = "quota"          // the provider's quota is reached
	ReasonCapacity      Reason = "capacity"       // the provider has run out of the type
	ReasonRateLimit     Reason = "rate_limit"     // the provider asked for a pause
	ReasonCreateFailed  Reason = "create_failed"  // creates fail, for another reason
	ReasonNotListed     Reason = "not_listed"     // the pool does not know yet what exists
	ReasonBootFailed    Reason = "boot_failed"    // workers of the type do not become ready
	ReasonCommandsHang  Reason = "commands_hang"  // too many commands on workers that are gone do not return
)
