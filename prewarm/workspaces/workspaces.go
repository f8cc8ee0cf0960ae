package workspaces

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/refusal"
)

// Store is the database of both engines.
type Store interface {
	lifecycle.Store
	lifecycle.Registry
	prewarm.Store
	Committer
}

// Engine changes workspaces. A *executor.Client is one, and so is a *executor.Executor.
type Engine interface {
	Update(ctx context.Context, id uuid.UUID, v lifecycle.Verb) (lifecycle.Snapshot, error)
	CommitWith(
		ctx context.Context, now time.Time, changes []lifecycle.Change,
		commit func(context.Context, time.Time, []lifecycle.Change) ([]lifecycle.Outcome, error),
	) ([]lifecycle.Outcome, error)
}

// Config says what the workspaces of one pool are. Template, Manager and Hand are required.
type Config struct {
	// Template is what the workspaces are made from. The version of a member ([prewarm.Spec.Version]) is the id of a
	// version of it.
	Template uuid.UUID
	// Manager is the owner of workspaces that nobody has claimed. It must be no other pool's; it is stored if it is not yet.
	Manager lifecycle.Owner
	// Hand returns the verb that hands a workspace to a claim: [lifecycle.Claim], and what else is to be set in the same
	// change. It may be called again, for the same claim and in another process; what it needs is in the claim's Details.
	// An error refuses the claim.
	Hand func(ctx context.Context, c prewarm.Claim) (lifecycle.Verb, error)
	// Claimed tells a workspace that it has an owner, before it is handed out. An error keeps it from being handed out; a
	// repetition of the claim's key calls it again. Defaults to nil: it need not know.
	Claimed func(ctx context.Context, s lifecycle.Snapshot) error
	// Cancel ends the build of a workspace that is no longer wanted. Defaults to nil: its end is waited for.
	Cancel func(ctx context.Context, workspace uuid.UUID, build int64) error

	// Poll is how often workspaces that start, and deletions that are waited for, are looked at; [Workspaces.Changed] spares
	// the wait. Defaults to 2 seconds.
	Poll time.Duration
	// Clock defaults to the real one.
	Clock quartz.Clock
	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

// Workspaces are the members of one pool. It is safe for concurrent use, and any number of processes may have one for the
// same pool.
type Workspaces struct {
	store  Store
	engine Engine
	cfg    Config
	clock  quartz.Clock
	// passed are ready members that the store has refused to hand over.
	passed refusal.Rows[uuid.UUID]

	mu      sync.Mutex
	changed chan struct{} // closed when a workspace may have changed
	tell    func(prewarm.Event)
	managed bool // the manager is stored
}

var (
	_ prewarm.Backend = (*Workspaces)(nil)
	_ prewarm.Store   = (*Workspaces)(nil)
	_ prewarm.Watcher = (*Workspaces)(nil)
)

// New returns the workspaces of a pool. It starts nothing and asks nothing.
func New(store Store, engine Engine, cfg Config) (*Workspaces, error) {
	switch {
	case store == nil:
		return nil, invalid.New("store", nil, "must not be nil")
	case engine == nil:
		return nil, invalid.New("engine", nil, "must not be nil")
	case cfg.Template == uuid.Nil:
		return nil, invalid.New("Config.Template", cfg.Template, "must be the id of a template")
	case cfg.Manager.ID == uuid.Nil:
		return nil, invalid.New("Config.Manager", cfg.Manager.ID, "must be somebody")
	case cfg.Hand == nil:
		return nil, invalid.New("Config.Hand", nil, "must not be nil")
	}
	if err := invalid.Duration("Config.Poll", cfg.Poll); err != nil {
		return nil, err
	}
	cfg.Poll = cmp.Or(cfg.Poll, 2*time.Second)
	if cfg.Clock == nil {
		cfg.Clock = quartz.NewReal()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Workspaces{store: store, engine: engine, cfg: cfg, clock: cfg.Clock, changed: make(chan struct{}), tell: func(prewarm.Event) {}}, nil
}

// Changed says that a build of some workspace has ended, or that one was seen to have ended by itself. It does not block; calling it too often costs a look.
func (w *Workspaces) Changed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.changed)
	w.changed = make(chan struct{})
}

// change is closed at the next call of Changed. Whoever takes it before looking misses none.
func (w *Workspaces) change() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// wait waits for a change or the next poll, and reports whether ctx is alive.
func (w *Workspaces) wait(ctx context.Context, change <-chan struct{}) bool {
	timer := w.clock.NewTimer(w.cfg.Poll, "workspaces", "poll")
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-change:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

func (w *Workspaces) now() time.Time { return micros.Of(w.clock.Now("workspaces", "now")) }

// load returns one workspace; ok is false if it is not there.
func (w *Workspaces) load(ctx context.Context, id uuid.UUID) (s lifecycle.Snapshot, ok bool, err error) {
	found, err := w.store.Load(ctx, id)
	if err != nil || len(found) == 0 {
		return s, false, err
	}
	return found[0], true, nil
}

// manage stores the manager, once in this process.
func (w *Workspaces) manage(ctx context.Context) error {
	w.mu.Lock()
	done := w.managed
	w.mu.Unlock()
	if done {
		return nil
	}
	_, stored, err := w.store.Owner(ctx, w.cfg.Manager.ID)
	if err == nil && !stored {
		err = w.store.PutOwner(ctx, w.now(), w.cfg.Manager)
	}
	if err == nil {
		w.mu.Lock()
		w.managed = true
		w.mu.Unlock()
	}
	return err
}

// statusOf says how a workspace is as a member's resource. One that is somebody's is ready until it is deleted, whatever
// its owner does with it.
func statusOf(s *lifecycle.Snapshot) (prewarm.Status, string) {
	b := &s.Build
	switch {
	case s.Workspace.Deleted:
		return prewarm.StatusStopped, "it is deleted"
	case !s.Workspace.Managed:
		return prewarm.StatusReady, ""
	case b.Number == 0:
		return prewarm.StatusStarting, ""
	case b.Transition != lifecycle.TransitionStart:
		return prewarm.StatusStopped, "the latest build is a " + b.Transition.String()
	case b.Status == lifecycle.JobPending:
		return prewarm.StatusHeld, "its build waits for a worker"
	case b.Status.Active():
		return prewarm.StatusStarting, ""
	case b.Status == lifecycle.JobSucceeded:
		return prewarm.StatusReady, ""
	}
	return prewarm.StatusStopped, "its build has " + b.Status.String()
}

// hand computes what a claim makes of a workspace.
func (w *Workspaces) hand(ctx context.Context, c prewarm.Claim, s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
	verb, err := w.cfg.Hand(ctx, c)
	if err != nil {
		return lifecycle.Change{}, err
	}
	change, err := verb(s, now)
	if err == nil && !change.Claims {
		err = errors.New("the verb of Config.Hand does not claim")
	}
	return change, err
}

// unfit reports whether an error of a verb is about the workspace, not about the claim.
func unfit(err error) bool {
	return errors.Is(err, lifecycle.ErrNotClaimable) || errors.Is(err, lifecycle.ErrClaimed) ||
		errors.Is(err, lifecycle.ErrDeleted) || errors.Is(err, lifecycle.ErrUnchanged)
}
