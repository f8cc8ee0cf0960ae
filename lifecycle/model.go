package lifecycle

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/unread"
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
	// Engine is what concerns all workspaces. The zero value concerns none.
	Engine Engine
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
	// dormancy or a hold ended, or the last occurrence that was skipped as too late. Zero: only the latest build counts.
	AutostartAfter time.Time
	// Autostop is when the workspace stops by itself at a time of day, nil for never. The first occurrence after a start is
	// a deadline like that of the TTL: the earlier of the two counts, activity and people move it.
	Autostop *schedule.Cron
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
	// Hold suspends rules for this workspace.
	Hold Hold
	// Floors are the graces of changes that concern this workspace. The engine sets them.
	Floors Floors
	// Seen says which rules of template and owner the stored instants follow. The engine sets it: whatever looks at a
	// workspace whose template or owner has newer rules first brings its instants in line, leaving the graces.
	Seen Seen
	// RemindedFor is the deadline or deletion for which a reminder was sent; another one gets a reminder of its own.
	RemindedFor time.Time

	// AutomaticUpdates makes every start use the template's active version instead of the version of the last build.
	AutomaticUpdates bool
	// Managed marks a workspace that is controlled by something else, such as a warm pool that has not handed it out yet.
	// No rule applies to it.
	Managed bool
	// Deleted marks a workspace whose delete build succeeded. No rule applies to it.
	Deleted bool

	// Failures counts consecutive automatic stop and delete builds whose job failed.
	Failures int
	// StartFailures counts the failed attempts of the latest automatic start, until something else happens.
	StartFailures int
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
		CreatedAt: now, LastUsedAt: now, TTL: t.Policy.DefaultTTL, Seen: Seen{Template: t.Rules},
	}
}

// Backoff says why a due transition did not become a build, and when it is tried again. The zero value is no back-off.
type Backoff struct {
	// Until is the instant before which no automatic transition is tried, zero for no back-off. With SkipBrake that is so
	// for deletions only, and ends when they are released.
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

	// Rules counts the changes of QuietHours; see Workspace.Seen. The store sets it (see [ReplaceOwner]).
	Rules int64
	// AutostartAfter is when the owner's status last changed from another than active: what was missed until then is not caught
	// up. The store sets it.
	AutostartAfter time.Time
}

// Template is what the rules read of a workspace's template.
type Template struct {
	ID             uuid.UUID `json:"id"`
	OrganizationID uuid.UUID `json:"organization_id,omitzero"`
	// Name is for people. No rule reads it.
	Name string `json:"name"`
	// Revision counts the writes of the template, from 1. A write names the revision that it expects, 0 for a template that
	// does not exist yet.
	Revision int64 `json:"revision"`
	// ActiveVersionID is the version new starts use when the policy requires it or the workspace opted in.
	ActiveVersionID uuid.UUID `json:"active_version_id"`
	// Hold suspends rules for all workspaces of the template.
	Hold   Hold   `json:"hold,omitzero"`
	Policy Policy `json:"policy"`
	// Terms say how the latest change of Policy treats the workspaces that exist. A write that changes the policy and not
	// the terms has the default ones.
	Terms PolicyTerms `json:"terms,omitzero"`

	// What follows is the engine's own state. A store computes it with [ReplaceTemplate] and ignores what a host gives.

	// VersionSince is when ActiveVersionID got its value, zero for since ever. What was postponed before is tried again.
	VersionSince time.Time `json:"version_since,omitzero"`
	// Rules counts the changes of Policy; see Workspace.Seen.
	Rules int64 `json:"rules,omitempty"`
	// Previous is the policy before the latest change, nil if there was none. It is immutable, and leads to those before it.
	Previous *Superseded `json:"previous,omitempty"`
	// AutostartAfter and Floors are what a hold that ended early leaves: occurrences up to AutostartAfter do not count.
	AutostartAfter time.Time `json:"autostart_after,omitzero"`
	Floors         Floors    `json:"floors,omitzero"`

	unread unread.Rest // see package unread
}

// Superseded is a policy that another one replaced.
type Superseded struct {
	// Rules is Template.Rules while it applied.
	Rules  int64  `json:"rules"`
	Policy Policy `json:"policy"`
	// Terms are those of the change that began it.
	Terms PolicyTerms `json:"terms,omitzero"`
	// Previous is the policy before it, nil if there was none or nobody remembers it.
	Previous *Superseded `json:"previous,omitempty"`

	unread unread.Rest // see package unread
}

// PolicyTerms say how a change of a policy treats the workspaces that exist. The zero value is the defaults.
type PolicyTerms struct {
	// At tells one change from another; a [PolicyPlan] sets it.
	At time.Time `json:"at,omitzero"`
	// ResetLastUsed makes all workspaces of the template count as used when the change reaches them, so that a shorter
	// dormancy threshold makes none of them dormant at once.
	ResetLastUsed bool `json:"reset_last_used,omitempty"`
	// ResetDormant makes dormant workspaces count as dormant since then, so that their deletion counts from there.
	ResetDormant bool `json:"reset_dormant,omitempty"`
	// StopGrace is the least time from then to a stop or dormancy that the change brings forward. Defaults to 2 hours.
	StopGrace time.Duration `json:"stop_grace,omitempty"`
	// DeleteGrace is the least time from then to a deletion that the change brings forward. Defaults to 24 hours.
	DeleteGrace time.Duration `json:"delete_grace,omitempty"`

	unread unread.Rest // see package unread
}

// Seen are the counts Template.Rules and Owner.Rules that the stored instants of a workspace follow.
type Seen struct {
	Template, Owner int64
}

// Engine is what concerns all workspaces of a store or a tick.
type Engine struct {
	// Hold suspends rules for all workspaces; AutostartAfter and Floors are what one that ended early leaves.
	Hold           Hold      `json:"hold,omitzero"`
	AutostartAfter time.Time `json:"autostart_after,omitzero"`
	Floors         Floors    `json:"floors,omitzero"`
	// DeletionsReleasedUntil releases the brake on mass deletions until then; see [Brake].
	DeletionsReleasedUntil time.Time `json:"deletions_released_until,omitzero"`
	// SettleUntil keeps autostops and dormancy until then, so that after an outage activity can be told first. A suspended
	// owner's workspace is stopped all the same. A [Settler] sets it.
	SettleUntil time.Time `json:"settle_until,omitzero"`
	// Topics are those that somebody receives: whichever process writes a change writes the events of these topics with it. A
	// [Subscriber] changes them.
	Topics Topics `json:"topics,omitempty"`
	// Interval is how far ticks are apart: a start that is no later than that is not too late, whatever MaxLateness says.
	// Whoever ticks sets it.
	Interval time.Duration `json:"-"`

	unread unread.Rest // see package unread
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
	// AllowUserTTL lets owners choose their own TTL, and schedules of stops, which working hours have; without it DefaultTTL rules.
	AllowUserTTL bool
	// RequireActiveVersion makes every start use the active version.
	RequireActiveVersion bool

	// MinExtend is how far from now [Extend] has to move a deadline. Defaults to 29 minutes: hosts document 30, and the
	// spare minute is for the time that the request takes.
	MinExtend time.Duration
	// MaxRuntime caps the deadline from the completion of the start on; neither activity nor people move it. 0 for no cap.
	MaxRuntime time.Duration
	// DeleteStopped is how long after it was stopped a workspace is deleted. 0 for never. Its owner is told when it stops,
	// and again a day before.
	DeleteStopped time.Duration
	// DeleteAtDeadline deletes a workspace once it was stopped at its deadline, for workspaces to throw away. Its owner is told
	// ReminderLead before the deadline, and when it was stopped. One that was stopped because its owner is suspended stays.
	DeleteAtDeadline bool
	// DormantWhenSuspended makes the workspaces of a suspended owner dormant at once.
	DormantWhenSuspended bool
	// StartRetry tries an automatic start that failed again. The zero value does not. When its tries end, the next
	// occurrence of the schedule stands.
	StartRetry StartRetry

	// MaxLateness is how late an autostart may still fire, 0 for no limit, else at least a minute. A later one is skipped and
	// recorded, and the workspace waits for the next occurrence. What is no later than the tick after its due instant is
	// never too late.
	MaxLateness time.Duration
	// ExtendAtAutostart moves the deadline of a workspace that runs at its own autostart time as if it had started then.
	ExtendAtAutostart bool
	// Jitter spreads autostarts, autostops and deletions over this time by an offset that is fixed for each workspace. The
	// offset is added to every due instant, even to a stop at the max deadline, which a whole fleet may share. 0 for none.
	Jitter time.Duration
	// Holidays are dates that suspend rules for all workspaces of the template like a hold. Nil for none. If a store could
	// not read them ([schedule.Dates.Err]), nothing happens automatically; the workspaces are looked at again after an hour, then
	// less often, down to once a day.
	Holidays *schedule.Dates
	// HolidaysHold are the rules that Holidays suspend. Defaults to HoldStarts.
	HolidaysHold HoldRules
	// Retry limits how automatic stops and deletions that failed are tried again.
	Retry Retry

	// unread is what the stored policy has and this version does not know. See package unread.
	unread unread.Rest
}

// Retry limits automatic retries. The zero value is the defaults.
type Retry struct {
	// Max is how many automatic stop or delete builds may fail in a row before the workspace needs attention.
	// Defaults to 5.
	Max int
	// Initial is the shortest pause after the first failure; it doubles with each further one. Defaults to 1 minute.
	// For deletions no pause is shorter than 24 hours.
	Initial time.Duration
	// MaxInterval caps the doubling. Defaults to 24 hours.
	MaxInterval time.Duration
}

// StartRetry limits how an automatic start that failed is tried again. The zero value never does.
type StartRetry struct {
	// Max is how often, 0 for never.
	Max int
	// Initial is the pause before the first retry; it doubles with each further one. Defaults to 1 minute.
	Initial time.Duration
	// MaxInterval caps the doubling. Defaults to 1 hour.
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
	// Initiator is who asked for the build, as the host names them; empty if a rule made it, or nobody said.
	Initiator string
	// Error is why the build failed or was canceled, and Result what it made, such as an address, in the words of whoever
	// carried it out. Both are set when the job ends, and cut to 1,000 bytes.
	Error, Result string
	CreatedAt     time.Time
	// CompletedAt is when the job ended, however it ended; zero while it has not.
	CompletedAt time.Time
	// DueAt is the instant at which the rule that made the build became due, whatever delayed the build after that: a late
	// tick, the spread of a herd, a back-off. Zero if no rule made it. Autostarts count from that of an automatic stop.
	DueAt time.Time
	// TTL is the run time that was asked for with this start, 0 for that of the workspace.
	TTL time.Duration

	// RunSince is when the run of compute that this build is part of began, zero if nothing runs: the completion of a start
	// that succeeded (of such a start itself zero will do). Builds that follow take it and its deadlines over, until a stop or a delete has succeeded: whatever
	// may still be running keeps the deadlines that end it.
	RunSince time.Time
	// Deadline is when autostop ends the run, zero for never.
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
	ReasonStartRetry    Reason = "start_retry"
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
	// SkipBrake: rules ask for more deletions within an hour than [Brake] lets pass. It holds nothing but the deletion.
	SkipBrake SkipReason = "brake"
)

// SkipReasons lists every skip reason.
func SkipReasons() []SkipReason {
	return []SkipReason{SkipMissedWindow, SkipRefused, SkipNoWorker, SkipError, SkipStore, SkipCap, SkipBrake}
}
