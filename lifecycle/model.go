package lifecycle

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/schedule"
)

// Snapshot is everything the rules read about one workspace at one revision: the workspace, its latest build, its owner,
// and its template with the policy. It is a plain value: the functions of this package take it and never change it. Its
// pointers (parsed schedules and dates) lead to immutable values and may be shared between snapshots.
//
// All instants are UTC with microsecond precision; the zero time means "not set".
type Snapshot struct {
	Workspace Workspace
	Build     Build
	Owner     Owner
	Template  Template
}

// VersionFor returns the template version that a build will use: the active one for a start if the template or the
// workspace asks for it, and for a first build; else that of the build before.
func (s *Snapshot) VersionFor(t Transition) uuid.UUID {
	old := s.Build.TemplateVersionID
	if old == uuid.Nil || t == TransitionStart && (s.Template.Policy.RequireActiveVersion || s.Workspace.AutomaticUpdates) {
		return s.Template.ActiveVersionID
	}
	return old
}

// Workspace is the lifecycle state of one workspace.
type Workspace struct {
	ID             uuid.UUID
	OrganizationID uuid.UUID
	OwnerID        uuid.UUID
	TemplateID     uuid.UUID
	// Name is for people: logs, notices, explanations. No rule reads it.
	Name      string
	CreatedAt time.Time

	// Revision counts the changes of this row. A [Change] names the revision it was computed from and is applied only if
	// the row still has it.
	Revision int64
	// WakeAt is the instant at which a tick must look at the workspace again, zero for never. The store's due index is
	// ordered by it; [NextWake] says what it should be. Too early is harmless, too late is a bug.
	WakeAt time.Time

	// Autostart is when the workspace starts by itself, nil for never. A stored text that cannot be used is kept as a
	// schedule whose Err is set (see [schedule.Interner]): it is an error of this workspace alone.
	Autostart *schedule.Cron
	// AutostartAfter is the instant up to which occurrences of Autostart do not count: when the schedule was set, when
	// dormancy ended, or the last occurrence that was skipped as too late. Zero: only the latest build counts.
	AutostartAfter time.Time
	// TTL is the run time before autostop, measured from the completion of the start build; zero for none.
	TTL time.Duration
	// LastUsedAt is the last activity seen. Zero counts as CreatedAt.
	LastUsedAt time.Time
	// DormantAt is when the workspace became dormant, zero if it is not. A dormant workspace neither starts nor stops by
	// schedule, and is deleted at DeletingAt.
	DormantAt time.Time
	// DeletingAt is the instant before which a dormant workspace is not deleted, zero for never. Its owner was told, so it
	// is stored rather than derived: a policy change moves it only where the change says so (see [PlanPolicy]).
	DeletingAt time.Time
	// HoldUntil suspends every automatic start, stop, dormancy and deletion before that instant.
	HoldUntil time.Time
	// RemindedFor is the deadline for which a reminder was sent; another deadline gets a reminder of its own.
	RemindedFor time.Time

	// AutomaticUpdates makes every start use the template's active version instead of the version of the last build.
	AutomaticUpdates bool
	// Managed marks a workspace that is controlled by something else, such as a warm pool that has not handed it out yet.
	// No rule applies to it.
	Managed bool
	// Deleted marks a workspace whose delete build succeeded. No rule applies to it.
	Deleted bool

	// Failures counts consecutive automatic cleanup and delete builds whose job failed.
	Failures int
	// AttentionAt is when the retries ran out: a person has to look, and nothing happens automatically until a build
	// succeeds or [ClearAttention] is called. Zero if no attention is needed.
	AttentionAt time.Time
	// Backoff is set while due transitions could not be turned into builds.
	Backoff Backoff
}

// NewWorkspace returns a new workspace of a template: in the template's organization, with its default TTL, last used
// now. The id should be of version 7, so that ids sort by time.
func NewWorkspace(id uuid.UUID, t Template, owner uuid.UUID, name string, now time.Time) Workspace {
	now = micros.Of(now)
	return Workspace{
		ID: id, OrganizationID: t.OrganizationID, OwnerID: owner, TemplateID: t.ID, Name: name,
		CreatedAt: now, LastUsedAt: now, TTL: t.Policy.DefaultTTL,
	}
}

// Backoff says why a due transition did not become a build, and when it is tried again. The zero value is no back-off.
type Backoff struct {
	// Until is the instant before which no automatic transition is tried, zero for no back-off.
	Until time.Time
	// Attempts counts consecutive evaluations that ended this way.
	Attempts int
	// Cause is the kind of reason.
	Cause SkipReason
	// Message is the reason in words.
	Message string
}

// Owner is what the rules read of a workspace's owner.
type Owner struct {
	ID uuid.UUID
	// Name is for people. No rule reads it.
	Name   string
	Status OwnerStatus
	// QuietHours is the daily time at which a required stop may interrupt the owner. Nil: the template's autostop
	// requirement does not apply. A host that has a default for all owners sets it here.
	QuietHours *schedule.Cron
}

// Template is what the rules read of a workspace's template.
type Template struct {
	ID             uuid.UUID
	OrganizationID uuid.UUID
	// Name is for people. No rule reads it.
	Name string
	// ActiveVersionID is the version new starts use when the policy requires it or the workspace opted in.
	ActiveVersionID uuid.UUID
	// HoldUntil suspends all workspaces of the template, as Workspace.HoldUntil suspends one.
	HoldUntil time.Time
	Policy    Policy
	// StopFloor and DeleteFloor are the grace of the latest policy change: no dormancy or cleanup before StopFloor and no
	// deletion before DeleteFloor, whatever the new thresholds say. Zero for none.
	StopFloor   time.Time
	DeleteFloor time.Time
}

// Policy holds the lifecycle rules of a template. The zero value starts, stops and deletes nothing by itself, except that
// workspaces of a suspended owner are stopped. Call [Policy.Validate] on input.
type Policy struct {
	// DefaultTTL is copied to a new workspace; it is the TTL of every workspace when AllowUserTTL is false. 0 for none.
	DefaultTTL time.Duration
	// ActivityBump is how far activity moves a deadline, 0 for not at all.
	ActivityBump time.Duration
	// FailureTTL is how long a failed start or stop, or a canceled start, is left alone before a stop cleans up. 0 for
	// never.
	FailureTTL time.Duration
	// TimeTilDormant is how long a workspace may be unused before it is stopped and marked dormant. 0 for never.
	TimeTilDormant time.Duration
	// TimeTilAutodelete is how long after that it is deleted. 0 for never.
	TimeTilAutodelete time.Duration
	// ReminderLead is how long before an autostop the owner is reminded. 0 for never.
	ReminderLead time.Duration
	// AutostartDays are the days on which workspaces may start by themselves, in the zone of each schedule. 0 for none.
	AutostartDays schedule.Days
	// Requirement forces a stop in the owner's quiet hours on certain days. The zero value forces none.
	Requirement schedule.Requirement
	// AllowUserAutostart lets workspaces start by their own schedule.
	AllowUserAutostart bool
	// AllowUserTTL lets owners choose their own TTL; without it DefaultTTL rules.
	AllowUserTTL bool
	// RequireActiveVersion makes every start use the active version.
	RequireActiveVersion bool

	// MaxLateness is how late an autostart may still fire, 0 for no limit. A later one is skipped and recorded, and the
	// workspace waits for the next occurrence.
	MaxLateness time.Duration
	// ExtendAtAutostart moves the deadline of a workspace that runs at its own autostart time as if it had started then.
	ExtendAtAutostart bool
	// Jitter spreads autostarts, autostops and deletions over this time by an offset that is fixed for each workspace. The
	// offset is added to every due instant, even to a stop at the max deadline, which a whole fleet may share. 0 for none.
	Jitter time.Duration
	// Holidays are dates that suspend all workspaces of the template like a hold. Nil for none. If a store could not read
	// them ([schedule.Dates.Err]), nothing happens automatically; the workspaces are looked at again after an hour, then
	// less often, down to once a day.
	Holidays *schedule.Dates
	// Retry limits how failed cleanups and deletions are tried again.
	Retry Retry

	// unknown are the members of the stored policy that this version does not know, as a JSON object, so that writing the
	// policy back loses nothing. It is a text because a policy is comparable.
	unknown string
}

// Retry limits automatic retries. The zero value is the defaults.
type Retry struct {
	// Max is how many automatic cleanup or delete builds may fail in a row before the workspace needs attention.
	// Defaults to 5.
	Max int
	// Initial is the shortest pause after the first failure; it doubles with each further one. Defaults to 1 minute.
	// For deletions no pause is shorter than 24 hours.
	Initial time.Duration
	// MaxInterval caps the doubling. Defaults to 24 hours.
	MaxInterval time.Duration
}

// Build is the latest attempt to start, stop or delete a workspace. Number 0 means that there was none.
type Build struct {
	// ID identifies the build and the job that runs it.
	ID uuid.UUID
	// Number counts the builds of a workspace from 1, without gaps.
	Number            int64
	TemplateVersionID uuid.UUID
	Transition        Transition
	Reason            Reason
	Status            JobStatus
	CreatedAt         time.Time
	// CompletedAt is when the job ended, however it ended; zero while it has not.
	CompletedAt time.Time
	// Deadline is when autostop fires, zero for never. It is set when a start succeeds.
	Deadline time.Time
	// MaxDeadline caps Deadline, zero for no cap. If it is set, so is Deadline, and not after it.
	MaxDeadline time.Time
}

// Transition is what a build does to a workspace.
type Transition uint8

// The transitions. TransitionNone is the zero value.
const (
	TransitionNone Transition = iota
	TransitionStart
	TransitionStop
	TransitionDelete
)

var transitionNames = names[Transition]{"none", "start", "stop", "delete"}

// String returns the name: none, start, stop or delete.
func (t Transition) String() string { return transitionNames.name(t) }

// MarshalText implements encoding.TextMarshaler.
func (t Transition) MarshalText() ([]byte, error) { return transitionNames.marshal("Transition", t) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Transition) UnmarshalText(b []byte) error {
	return transitionNames.unmarshal("Transition", t, b)
}

// JobStatus is the state of a build's job.
type JobStatus uint8

// The job states. JobNone is the zero value: the workspace was never built.
const (
	JobNone JobStatus = iota
	JobPending
	JobRunning
	JobCanceling
	JobSucceeded
	JobFailed
	JobCanceled
)

var jobStatusNames = names[JobStatus]{"none", "pending", "running", "canceling", "succeeded", "failed", "canceled"}

// Active reports whether the job has not ended yet.
func (s JobStatus) Active() bool { return s >= JobPending && s <= JobCanceling }

// String returns the name in lower case.
func (s JobStatus) String() string { return jobStatusNames.name(s) }

// MarshalText implements encoding.TextMarshaler.
func (s JobStatus) MarshalText() ([]byte, error) { return jobStatusNames.marshal("JobStatus", s) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *JobStatus) UnmarshalText(b []byte) error {
	return jobStatusNames.unmarshal("JobStatus", s, b)
}

// OwnerStatus is the state of an owner's account.
type OwnerStatus uint8

// The owner states. OwnerActive is the zero value. Only an active owner's workspaces start by themselves; a suspended
// owner's workspaces are stopped at once. A dormant owner has not logged in for a long time.
const (
	OwnerActive OwnerStatus = iota
	OwnerDormant
	OwnerSuspended
)

var ownerStatusNames = names[OwnerStatus]{"active", "dormant", "suspended"}

// String returns the name in lower case.
func (s OwnerStatus) String() string { return ownerStatusNames.name(s) }

// MarshalText implements encoding.TextMarshaler.
func (s OwnerStatus) MarshalText() ([]byte, error) {
	return ownerStatusNames.marshal("OwnerStatus", s)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *OwnerStatus) UnmarshalText(b []byte) error {
	return ownerStatusNames.unmarshal("OwnerStatus", s, b)
}

// Reason says why a build was made. A host that shows other labels maps them where it shows them.
type Reason string

// The reasons the engine gives.
const (
	ReasonManual        Reason = "manual"
	ReasonAutostart     Reason = "autostart"
	ReasonAutostop      Reason = "autostop"
	ReasonFailedCleanup Reason = "failed_cleanup"
	ReasonDormancy      Reason = "dormancy"
	ReasonAutodelete    Reason = "autodelete"
)

// SkipReason says why something that was due did not happen. It is a closed set: it labels metrics.
type SkipReason string

// The skip reasons.
const (
	// SkipMissedWindow: an autostart was later than the policy's MaxLateness.
	SkipMissedWindow SkipReason = "missed_window"
	// SkipRefused: the builder refused for now (quota, parameters, another build). It is not a failure.
	SkipRefused SkipReason = "refused"
	// SkipNoWorker: no worker is able to run the build.
	SkipNoWorker SkipReason = "no_worker"
	// SkipError: the builder failed or panicked.
	SkipError SkipReason = "error"
	// SkipStore: the store rejected the change.
	SkipStore SkipReason = "store"
	// SkipCap: a cap on transitions held it back; it goes first in the next tick.
	SkipCap SkipReason = "cap"
)

// SkipReasons lists every skip reason.
func SkipReasons() []SkipReason {
	return []SkipReason{SkipMissedWindow, SkipRefused, SkipNoWorker, SkipError, SkipStore, SkipCap}
}
