package webui

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// Source is what the pages are made of. It is called by many goroutines at once.
type Source interface {
	// Workspaces yields the workspaces that are not deleted, in any order, each with its template and its owner. An error
	// ends the sequence.
	Workspaces(ctx context.Context) iter.Seq2[lifecycle.Snapshot, error]
	// Workspace returns one as it is now, [lifecycle.ErrNotFound] if there is none.
	Workspace(ctx context.Context, id uuid.UUID) (lifecycle.Snapshot, error)
	// Builds returns the builds of a workspace that were made since an instant, and the last one before it, newest first.
	// At most limit are returned, the newest.
	Builds(ctx context.Context, id uuid.UUID, since time.Time, limit int) ([]lifecycle.Build, error)
}

// Engine is the ability of a source to say how the engine is.
type Engine interface {
	Engine(ctx context.Context) (EngineState, error)
}

// EngineState is what concerns all workspaces. What is zero is not known, and not shown.
type EngineState struct {
	// LastTick is when a tick last succeeded, Err what is wrong with the store.
	LastTick time.Time
	Err      string
	// Hold is the hold on everything.
	Hold lifecycle.Hold
}

// Queue is the ability of a source to list the jobs that wait.
type Queue interface {
	// WaitingJobs returns up to limit pending jobs in the order in which they will be taken, and how many there are.
	WaitingJobs(ctx context.Context, limit int) (jobs []Job, total int, err error)
}

// Job is a job that waits.
type Job struct {
	ID uuid.UUID
	// Workspace is the one that it builds, [uuid.Nil] for other work. Name says what it is for.
	Workspace uuid.UUID
	Name      string
	// Work is what it does: "start", "stop", "delete", or the job's type.
	Work string
	// CreatedAt is since when it waits, and ReadyAt before when it may not be taken, zero for at once.
	CreatedAt, ReadyAt time.Time
	// Unmatched: no live worker can run it. Missing are the tags that the nearest worker lacks, and Text why it waits, as
	// the acquirer explains it.
	Unmatched bool
	Missing   []string
	Text      string
}

// Workers is the ability of a source to list who carries out jobs.
type Workers interface {
	Workers(ctx context.Context) ([]Worker, error)
}

// Worker is one worker, or a process with several slots that are alike.
type Worker struct {
	Name string
	Tags []string
	// Slots is how many jobs it runs at once, Jobs what it runs now, in words.
	Slots int
	Jobs  []string
	// Closed: it takes no further jobs. Note says why, or what else there is to say.
	Closed bool
	Note   string
}

// Pools is the ability of a source to list warm pools.
type Pools interface {
	Pools(ctx context.Context) ([]Pool, error)
}

// Pool is a warm pool.
type Pool struct {
	Name string
	// Desired is how many members it wants; Ready, Starting and Failed are those that it has.
	Desired, Ready, Starting, Failed int
	// Hits and Claims count the claims that found a ready member, and all; Since is from when on they are counted.
	Hits, Claims int
	Since        time.Time
	// Misses are why claims found none: "2 pool empty".
	Misses []string
	// Note says why it is not as it should be, empty if it is.
	Note string
}

// Recorder is the ability of a source to tell what happened beside builds.
type Recorder interface {
	// Marks returns what happened to a workspace since an instant, oldest first.
	Marks(ctx context.Context, id uuid.UUID, since time.Time) ([]Mark, error)
}

// Mark is something that happened at an instant.
type Mark struct {
	At   time.Time
	Kind MarkKind
	// Text is a short sentence without the instant: "start skipped: not on Sundays".
	Text string
}

// MarkKind is what a mark shows.
type MarkKind string

// The kinds of marks. A source tells of the first two; the others are read from builds and rules.
const (
	MarkSkipped  MarkKind = "skipped"
	MarkActivity MarkKind = "activity"
	MarkManual   MarkKind = "manual"
	MarkFailed   MarkKind = "failed"
	MarkHeld     MarkKind = "held"
	MarkDeleted  MarkKind = "deleted"
)

// Owners is the ability of a source to list what one owner has. It is asked where the fleet is larger than Config.MaxWorkspaces, so
// that an owner sees all of theirs all the same.
type Owners interface {
	// Owned yields the workspaces of an owner that are not deleted, as Source.Workspaces does.
	Owned(ctx context.Context, owner uuid.UUID) iter.Seq2[lifecycle.Snapshot, error]
}

// Usage is the ability of a source to say when people worked.
type Usage interface {
	// Sessions returns when somebody worked in a workspace, oldest first and without overlap, as far back as is known.
	Sessions(ctx context.Context, id uuid.UUID) ([]forecast.Session, error)
}

// Oracle is the ability of a source to say what lies around the forecast. It is asked for every page, so it answers from
// what it has: a host makes a forecast in its own time, such as once an hour.
type Oracle interface {
	// Outlook returns what a fleet with its people will do, as forecast.Forecast made it some time ago, nil if nobody has.
	// Its hours need not be those of the clock.
	Outlook(ctx context.Context) (*forecast.Outlook, error)
	// Ran returns the most workspaces that ran at once in each hour from an hour on, as many as are known.
	Ran(ctx context.Context, from time.Time, hours int) ([]int, error)
}

// Catalog is the ability of a source to say what workspaces can be made of. With it, and an [Actor], owners make workspaces on
// their page.
type Catalog interface {
	// Templates returns those that the viewer may use.
	Templates(ctx context.Context, who Viewer) ([]lifecycle.Template, error)
}

// Actor is the ability of a source to do what somebody asks for on a page.
type Actor interface {
	// Act does it, in the viewer's name. That the viewer may do it to this workspace was checked before. An error is shown
	// to them as it is.
	Act(ctx context.Context, who Viewer, a Action) error
}

// Action is what somebody asks for.
type Action struct {
	Kind ActionKind
	// Workspace is what it is done to. Of ActCreate it is the id of the workspace to make: whoever presses twice makes one.
	Workspace uuid.UUID
	// Until is the new deadline of ActExtend, which is later, and of ActSetDeadline, which may be earlier.
	Until time.Time
	// Hours are the working hours of ActSetHours, such as "Europe/Berlin Mon-Fri 09:00-18:00", empty for none.
	Hours string
	// Hold is that of ActHold; the zero Hold ends it.
	Hold lifecycle.Hold
	// TTL is how long it runs before it stops by itself, of ActSetTTL; of ActCreate 0 leaves that to the template.
	TTL time.Duration
	// Name and Template are those of ActCreate; the owner is the viewer.
	Name     string
	Template uuid.UUID
}

// ActionKind is the kind of an action. It is a closed set.
type ActionKind string

// The actions. Owners may do all of them but those that end with a comment.
const (
	ActStart    ActionKind = "start"
	ActStop     ActionKind = "stop"
	ActExtend   ActionKind = "extend"
	ActWake     ActionKind = "wake"
	ActSetHours ActionKind = "hours"
	ActSetTTL   ActionKind = "ttl"    // from the next start on
	ActCreate   ActionKind = "create" // and start it; for sources that are a [Catalog]
	ActDelete   ActionKind = "delete"
	// ActSetDeadline says when the present run ends.
	ActSetDeadline ActionKind = "deadline"
	ActHold        ActionKind = "hold"  // operators only
	ActRetry       ActionKind = "retry" // operators only
)

// Viewer is who looks at a page.
type Viewer struct {
	// Name is shown, and signs what they do.
	Name string
	// Operator: they see every workspace. Otherwise they see those of the owner with id Owner.
	Operator bool
	Owner    uuid.UUID
	// MayAct: the buttons are theirs to press, where Config.Actions is on.
	MayAct bool
}
