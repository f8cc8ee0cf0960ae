package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// maxConflicts bounds how often an update starts again because somebody else was faster. Losing so often against changes
// of one workspace means that something changes it in a loop.
const maxConflicts = 20

// ErrConflict says that a workspace changed faster than it could be updated.
var ErrConflict = errors.New("workspace keeps changing")

// Update applies a verb to a workspace: it loads the workspace, calls the verb, commits, and starts again if somebody else
// changed it meanwhile. It returns the workspace as it then is. A verb that finds nothing to change ([ErrUnchanged]) is a
// success. The error is that of the verb, [ErrNotFound], [ErrConflict], or that of the store; then nothing was changed.
//
// A build asked for by hand is prepared by Config.Builder, a group of one, within Config.BuildTimeout; its refusal is the
// error. Whether a worker exists is not asked: the job waits for one.
func (e *Executor) Update(ctx context.Context, id uuid.UUID, v lifecycle.Verb) (lifecycle.Snapshot, error) {
	for range maxConflicts {
		s, err := e.Load(ctx, id)
		if err != nil {
			return lifecycle.Snapshot{}, err
		}
		now := micros.Of(e.clock.Now("executor", "update"))
		c, err := v(s, now)
		if errors.Is(err, lifecycle.ErrUnchanged) {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		c.Events = e.topics.Filter(c.Events)
		if c.NewBuild {
			if err := e.prepareOne(ctx, s, &c); err != nil {
				return s, err
			}
		}
		outcomes, err := e.store.Commit(ctx, now, []lifecycle.Change{c})
		if err != nil {
			return s, fmt.Errorf("update workspace %s: %w", id, err)
		}
		if outcomes[0] == lifecycle.Applied {
			return e.updated(s, &c), nil
		}
	}
	return lifecycle.Snapshot{}, fmt.Errorf("update workspace %s: %w", id, ErrConflict)
}

// updated is the workspace after its change, and the signals that it was changed.
func (e *Executor) updated(s lifecycle.Snapshot, c *lifecycle.Change) lifecycle.Snapshot {
	s.Workspace, s.Build = c.Workspace, c.Build
	s.Workspace.Revision++
	var queued []lifecycle.Job
	if c.NewBuild {
		e.metrics.transition(c, 0)
		if c.Job != nil {
			queued = []lifecycle.Job{*c.Job}
		}
	}
	e.announce(len(c.Events) > 0, queued)
	signal(e.wakeC)
	return s
}

// prepareOne asks the builder for a build that was requested by hand.
func (e *Executor) prepareOne(ctx context.Context, s lifecycle.Snapshot, c *lifecycle.Change) error {
	var spec BuildSpec
	if e.cfg.Builder != nil {
		g := Group{TemplateVersionID: c.Build.TemplateVersionID, Template: s.Template, Size: 1}
		p, err := e.open(ctx, g)
		if err != nil {
			return err
		}
		defer e.release(ctx, g, p)
		if spec, err = e.spec(ctx, p, BuildRequest{Snapshot: s, Build: c.Build}); err != nil {
			return err
		}
	}
	return e.attachJob(c, spec)
}

// Load returns a workspace as the store has it, or [ErrNotFound].
func (e *Executor) Load(ctx context.Context, id uuid.UUID) (lifecycle.Snapshot, error) {
	found, err := e.store.Load(ctx, id)
	if err != nil {
		return lifecycle.Snapshot{}, fmt.Errorf("load workspace %s: %w", id, err)
	}
	if len(found) == 0 {
		return lifecycle.Snapshot{}, fmt.Errorf("workspace %s: %w", id, lifecycle.ErrNotFound)
	}
	return found[0], nil
}

// Explain loads a workspace and says for every rule where it stands now.
func (e *Executor) Explain(ctx context.Context, id uuid.UUID) (lifecycle.Explanation, error) {
	s, err := e.Load(ctx, id)
	if err != nil {
		return lifecycle.Explanation{}, err
	}
	return lifecycle.Explain(s, e.clock.Now("executor", "explain")), nil
}
