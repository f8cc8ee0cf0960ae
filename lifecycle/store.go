package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Store is what the executor needs of a database: three methods. A host with tables of its own implements them and runs
// storetest.Lifecycle on the result. Values are passed as copies, instants as UTC microseconds. All methods are called from
// several goroutines at once.
type Store interface {
	// Due returns, ordered by (WakeAt, ID), up to q.Limit snapshots with a WakeAt that is set and not after q.Now, after
	// q.After, within q.Shard. Reading page after page with the last row's cursor shows every row that stays due
	// exactly once, whatever is committed between the pages. No rows is not an error. Nor is a schedule or a policy that
	// cannot be used: it is an error of its workspaces alone, and returned as a value that says so (see
	// [schedule.Interner] and [ReadPolicy]).
	Due(ctx context.Context, q DueQuery) ([]Snapshot, error)
	// Load returns the snapshots of the given workspaces in any order, each once; unknown ids are absent.
	Load(ctx context.Context, ids ...uuid.UUID) ([]Snapshot, error)
	// Commit applies the changes whose workspace still has the revision they name, and reports one outcome for each
	// change in the order given. Applying a change writes the workspace (with the revision increased by one), the build,
	// the job and the events together; the applied changes of one call become visible together or not at all. A change that
	// [Change.Validate] refuses is an error. On error nothing was applied; one that a single change caused is a
	// [*ChangeError] if the store knows which. Two changes of one workspace in a call are an error (see [ValidateBatch]).
	// Commit waits for nobody who holds the row of a workspace: its change is a conflict then too, and the caller, who finds
	// the revision unchanged, tries again later. After the call the store does not use the changes.
	Commit(ctx context.Context, now time.Time, changes []Change) ([]Outcome, error)
}

// ErrUnavailable is wrapped by errors that say that the store as a whole cannot be reached or used. A tick that meets it ends
// at once instead of searching for the change that caused it, and is tried again: the tables that are missing may be made
// by another process. What a person has to mend is a type of its own, such as migrate.VersionError.
var ErrUnavailable = errors.New("store is unavailable")

// ErrNotFound says that there is no such workspace, or template.
var ErrNotFound = errors.New("not found")

// DueQuery asks for a page of due workspaces.
type DueQuery struct {
	Now   time.Time
	After Cursor
	// Limit is the size of the page. Below 1 there is nothing on it.
	Limit int
	// Shard restricts the page to a part of the workspaces. The zero value is all of them.
	Shard Shard
}

// Cursor is a place in the order of the due index: after the row with this wake and id. The zero value is the beginning.
type Cursor struct {
	WakeAt time.Time
	ID     uuid.UUID
}

// CursorOf returns the cursor after a snapshot that Due returned.
func CursorOf(s Snapshot) Cursor { return Cursor{WakeAt: s.Workspace.WakeAt, ID: s.Workspace.ID} }

// Shard is a part of all workspaces, the Index-th of Count equal parts by a hash of the workspace id, so that replicas
// that tick at once need not evaluate the same rows. A Count of 0 or 1 means all.
type Shard struct {
	Index, Count int
}

// Holds reports whether the workspace belongs to the shard. The hash is the last four bytes of the id, big endian, modulo
// Count: random in version 4 and version 7 ids, and simple to write in SQL.
func (s Shard) Holds(id uuid.UUID) bool {
	if s.Count <= 1 {
		return true
	}
	h := uint32(id[12])<<24 | uint32(id[13])<<16 | uint32(id[14])<<8 | uint32(id[15])
	return h%uint32(s.Count) == uint32(s.Index)
}

// Change is the result of a decision or a verb: how one workspace shall look, provided that it is still at Revision.
type Change struct {
	// Revision is the revision the change was computed from.
	Revision int64
	// Workspace is the new state of the workspace, WakeAt included. The store keeps ID, OrganizationID, OwnerID, TemplateID,
	// Name and CreatedAt as they are (but see Claims), ignores Workspace.Revision, and writes Revision+1.
	Workspace Workspace
	// Claims says that the workspace changes hands: the store writes OwnerID and Name too. It looks at the new owner in the
	// same commit: one that is unknown is a [*ChangeError] about Workspace.OwnerID, one that is suspended, or whose Rules
	// are no longer Workspace.Seen.Owner, is a conflict, and one who has another workspace of that name, deleted ones aside,
	// is [NameTaken]. Of claims of one name at the same time, one gets it; in a batch, the first. The store of a host that
	// never hands anything over may refuse such a change with [errors.ErrUnsupported].
	Claims bool
	// Build is the new state of the latest build. With NewBuild it is inserted: its number must be one more than that of
	// the latest, 1 if there is none, and the latest must not be active. Without NewBuild, Status, Error, Result, CompletedAt, TTL,
	// RunSince, Deadline and MaxDeadline of the latest are updated: the number must be that of the latest, and the other fields are as they
	// were. The zero Build, with number 0, leaves the latest alone; it is also what a change of a workspace without builds
	// has. Commit refuses any other number with an error if the revision matches; otherwise the change is a conflict,
	// whatever build it names.
	Build    Build
	NewBuild bool
	// Job is the job that runs a new build, for the job queue of the store. It is nil if the host posts its jobs through
	// Config.Poster. A store without a job queue ignores it.
	Job *Job
	// Events are written with the change and delivered after it (see [Outbox]). A store that is not an Outbox gets none.
	Events []Event
}

// Job is the work that carries out a build.
type Job struct {
	// ID is the id of the build.
	ID                uuid.UUID         `json:"id"`
	OrganizationID    uuid.UUID         `json:"organization_id"`
	OwnerID           uuid.UUID         `json:"owner_id"`
	WorkspaceID       uuid.UUID         `json:"workspace_id"`
	TemplateID        uuid.UUID         `json:"template_id"`
	TemplateVersionID uuid.UUID         `json:"template_version_id"`
	BuildNumber       int64             `json:"build_number"`
	Transition        Transition        `json:"transition"`
	Reason            Reason            `json:"reason"`
	CreatedAt         time.Time         `json:"created_at"`
	Tags              map[string]string `json:"tags,omitempty"`
	Priority          int16             `json:"priority,omitempty"`
	Payload           []byte            `json:"payload,omitempty"`
}

// JobType is the type under which stores enqueue the jobs of builds.
const JobType = "workspace_build"

// Outcome is the result of one change of a commit.
type Outcome uint8

// The outcomes.
const (
	// Applied: the change is written.
	Applied Outcome = iota
	// Conflict: the workspace has another revision, or does not exist, or somebody else holds its row; nothing was written
	// for it.
	Conflict
	// NameTaken: the new owner has another workspace of that name (see [Change.Claims]); nothing was written for it.
	NameTaken
)

// ChangeError is an error that one change of a batch caused. Nothing of the batch was applied.
type ChangeError struct {
	WorkspaceID uuid.UUID
	Err         error
}

// Error implements error.
func (e *ChangeError) Error() string {
	return fmt.Sprintf("change of workspace %s: %v", e.WorkspaceID, e.Err)
}

// Unwrap returns the cause.
func (e *ChangeError) Unwrap() error { return e.Err }

// The interfaces below are abilities that a store may have beyond [Store]. The executor finds them by type assertion; a
// feature whose interface is missing returns an error when it is configured or called.

// Outbox keeps events from their commit until they are delivered.
type Outbox interface {
	// ClaimEvents leases up to limit events of the given topics until now+lease, counts the attempt, and returns them by
	// Seq. Of each workspace and topic only the first event can be claimed, and only if it is neither leased nor waiting
	// for its retry, so that order within a workspace and topic is kept. Two claims at the same time never return the same
	// event. A claimed event whose lease ends is claimable again. An event that cannot be written, because a trigger of the
	// host refuses it, say, is passed over; those behind it in its workspace and topic wait for it.
	//
	// Between workspaces no order is promised, so that a receiver who fails for some of them does not keep the others
	// waiting. Where more can be claimed than limit, three kinds take turns: those never tried, the lowest Seq first;
	// those tried before, the first that became claimable again first; and those never tried, the highest Seq first. What
	// one kind leaves the others get. So each kind gets at least a third of a limit of three or more.
	ClaimEvents(ctx context.Context, now time.Time, topics []Topic, lease time.Duration, limit int) ([]Event, error)
	// SettleEvents ends claims: an event delivered is removed, one that is Untried is as if it had not been claimed, the
	// others are claimable from RetryAt on. An event that is no longer there is ignored.
	SettleEvents(ctx context.Context, now time.Time, deliveries []Delivery) error
	// PruneEvents removes events of the given topics whose At is before an instant, claimed or not and at most limit, and
	// returns them ordered by Seq; with an error those that it has removed before. Of a workspace and topic it removes the
	// first ones. In each topic it may look no further than to limit events in a row that are not old, so an old event
	// behind those may stay until they are old too. What one topic keeps is in the way of no other, and an event that cannot
	// be removed, because a table of the host refers to it, say, in the way of none. One that cannot be read is removed by
	// its age like the others, but neither returned nor counted. Fewer than limit events mean that nothing else is old
	// enough.
	PruneEvents(ctx context.Context, before time.Time, topics []Topic, limit int) ([]Event, error)
}

// Delivery is the end of one claim of an event.
type Delivery struct {
	// Seq is [Event.Seq].
	Seq int64
	// RetryAt is zero if the event was delivered, else the earliest instant of the next attempt.
	RetryAt time.Time
	// Untried says that nothing was attempted, so the attempt does not count; RetryAt must be set. A store that does not know
	// it counts the attempt.
	Untried bool
}

// Waker lets the executor sleep until something is due.
type Waker interface {
	// NextWake returns the earliest WakeAt of the shard, zero if there is none.
	NextWake(ctx context.Context, shard Shard) (time.Time, error)
}

// Watcher reports changes made elsewhere: through the same store value, and by other processes if the store hears of
// them.
type Watcher interface {
	// WatchWakes calls wake whenever a write (a commit, a change of a template or owner, a new workspace) may have made
	// the earliest WakeAt earlier. It returns ctx.Err() when ctx ends, and another error when it can no longer watch; its
	// caller then calls again. Spurious calls of wake are allowed; wake does not block.
	//
	// It saves time and guarantees nothing. A store may announce the writes made through it only while it is being watched
	// itself; writes made before the watch began, or while it was interrupted, are not announced later; and an
	// announcement to other processes may be lost. A caller must therefore also look by itself from time to time, as the
	// executor does every Config.Interval.
	WatchWakes(ctx context.Context, wake func()) error
}

// Sharder divides the workspaces among the replicas that tick, so that they need not evaluate the same rows.
type Sharder interface {
	// Shard records that a replica ticks at now, and returns its shard among the replicas that did so within ttl. Shards
	// that overlap for a while, or leave a part out while a replica is missing, are harmless: what stays due for longer
	// than an interval is evaluated by every replica.
	Shard(ctx context.Context, now time.Time, replica uuid.UUID, ttl time.Duration) (Shard, error)
}

// Batcher knows how many changes the store commits best at a time. It matters for speed only.
type Batcher interface {
	// BatchSize returns the size beyond which a larger commit gains less than the longer wait costs other writers. It is
	// asked once, when an executor is made; a result below 1 is ignored.
	BatchSize() int
}

// Pruner deletes what is no longer needed.
type Pruner interface {
	// PruneBuilds deletes builds that ended before an instant and are not the latest of their workspace, and deleted
	// workspaces whose latest build ended before it. It returns how many it deleted, at most limit: a build counts as one,
	// and a workspace counts as one together with its latest build and those other builds that have no end or a later one.
	// Fewer than limit mean that nothing is left except what another call is deleting. With an error the count means
	// nothing.
	PruneBuilds(ctx context.Context, before time.Time, limit int) (int, error)
}

// Registry holds templates, owners and workspaces.
type Registry interface {
	// PutTemplate creates or replaces a template and makes all its workspaces due now, those that are not due before, with a
	// new revision, so that no decision computed from the old policy can be committed and none is made too late. A store
	// whose rows others may hold passes over those, and wakes them when they are free. It writes what [ReplaceTemplate]
	// makes of the stored template and t, and returns its error: [ErrStaleTemplate] if t.Revision is not that of the
	// stored template (0 if there is none), and what [Policy.Validate] refuses.
	PutTemplate(ctx context.Context, now time.Time, t Template) error
	// PutOwner does the same for an owner, who has no revision, with [ReplaceOwner].
	PutOwner(ctx context.Context, now time.Time, o Owner) error
	// CreateWorkspaces inserts workspaces without builds, with revision 1 and due now, which follow the rules of template
	// and owner as they are (see [Workspace.Seen]). All or none; the error names the workspace whose owner or template is
	// unknown or whose id exists, or is that of [Workspace.Validate].
	CreateWorkspaces(ctx context.Context, now time.Time, workspaces ...Workspace) error
	// Template returns a template; ok is false if there is none.
	Template(ctx context.Context, id uuid.UUID) (t Template, ok bool, err error)
	// Owner returns an owner; ok is false if there is none.
	Owner(ctx context.Context, id uuid.UUID) (o Owner, ok bool, err error)
	// List returns, in the order of the query, up to q.Limit of the snapshots that [ListQuery.Matches] and that follow the
	// page before. Every workspace whose place does not change is on exactly one page.
	List(ctx context.Context, q ListQuery) ([]Snapshot, error)
}

// Holder keeps what concerns all workspaces.
type Holder interface {
	// PutEngine writes what [ReplaceEngine] makes of the stored Engine and e, and makes all workspaces due now, with a new
	// revision. Every snapshot that the store returns has the stored Engine.
	PutEngine(ctx context.Context, now time.Time, e Engine) error
	// Engine returns the stored Engine, zero if none was put.
	Engine(ctx context.Context) (Engine, error)
}

// Braker counts the deletions that rules make, so that [Brake] bounds them whoever ticks.
type Braker interface {
	// AdmitDeletions returns which of the due deletions may be made at now: those that [Brake.Admit] lets go. It counts them
	// as made, in one step with the comparison, so that calls at once, of any replica, share one bound. A workspace that was
	// admitted since [Brake.Since] keeps its place and takes no other: its deletion was not committed, or has failed.
	// While [Engine.DeletionsReleasedUntil] lies after now, all are admitted and none is counted. No workspace comes twice.
	//
	// Its cost is proportional to the deletions that are due and were made, not to the workspaces there are.
	AdmitDeletions(ctx context.Context, now time.Time, b Brake, due []DueDeletion) ([]uuid.UUID, error)
}

// Settler knows when the fleet has ticked, so that a gap is noticed by whoever ticks next.
type Settler interface {
	// Ticked records a tick of any replica at now. If [Engine.Settle] finds a gap between the tick recorded before and
	// now, it stores what that sets, in one step, and returns it; otherwise it returns zero. Every snapshot has
	// the stored instant from then on. It wakes nothing, because it only postpones. An instant before the one recorded
	// changes nothing.
	Ticked(ctx context.Context, now time.Time, interval, settle time.Duration) (until time.Time, err error)
}

// Subscriber keeps which topics somebody receives, so that the events of a change do not depend on the process that writes it.
type Subscriber interface {
	// ChangeTopics adds topics to [Engine.Topics] after removing others. Every snapshot that the store returns from then on has
	// them. It wakes nothing; changes that others have computed from earlier snapshots are committed as they are. Events of
	// removed topics that are waiting stay, and [Outbox.PruneEvents] removes them.
	ChangeTopics(ctx context.Context, add, remove Topics) error
}

// History keeps the builds of a workspace.
type History interface {
	// Builds returns up to limit builds with a number below before, newest first; before 0 or less means from the newest.
	Builds(ctx context.Context, workspace uuid.UUID, before int64, limit int) ([]Build, error)
}

// Gauges counts the work that waits.
type Gauges interface {
	// Backlog counts due workspaces and undelivered events at now. Its cost may be linear in their number.
	Backlog(ctx context.Context, now time.Time) (Backlog, error)
}

// Backlog is the work that waits in a store.
type Backlog struct {
	// Due is the number of workspaces with a WakeAt not after the instant asked for.
	Due int
	// OldestDue is the earliest WakeAt among them, zero if there is none.
	OldestDue time.Time
	// Events is the number of undelivered events.
	Events int
}
