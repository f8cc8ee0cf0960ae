package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// maxConflicts limits how often an update starts again because the workspace changed under it. Losing that often means
// that something changes the workspace in a loop.
const maxConflicts = 20

// ErrConflict is returned when a workspace changed faster than it could be updated.
var ErrConflict = errors.New("executor: workspace keeps changing")

// Update applies a verb to a workspace: it loads the workspace, calls the verb, commits, and starts again if the workspace
// changed in between. It returns the workspace as it is afterwards. A verb that has nothing to change
// ([lifecycle.ErrUnchanged]) succeeds. The error is the verb's, [lifecycle.ErrNotFound], [ErrConflict], or the store's;
// in each case nothing was changed.
//
// The configured Builder prepares a build that the verb asks for, as a group of one, within BuildTimeout; a refusal is
// returned as the error. Update does not ask whether a worker exists: the job waits for one.
func (c *Client) Update(ctx context.Context, id uuid.UUID, v lifecycle.Verb) (lifecycle.Snapshot, error) {
	if v == nil {
		return lifecycle.Snapshot{}, invalid.New("verb", nil, "is required")
	}
	lost := conflicts{}
	var lock lockWait
	for range maxConflicts {
		s, err := c.Load(ctx, id)
		if err == nil {
			err = c.waitFor(ctx, &s, lost, &lock)
		}
		if err != nil {
			return lifecycle.Snapshot{}, err
		}
		now := micros.Of(c.clock.Now("executor", "update"))
		change, err := v(s, now)
		if errors.Is(err, lifecycle.ErrUnchanged) {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		applied, err := c.commit(ctx, now, s, &change)
		if err != nil {
			return s, err
		}
		if applied {
			s = c.updated(ctx, s, &change)
			c.zones.see(&s)
			c.keepZones(ctx, now, false)
			return s, nil
		}
		lost[id] = s.Workspace.Revision
	}
	return lifecycle.Snapshot{}, fmt.Errorf("update workspace %s: %w", id, ErrConflict)
}

// waitFor is called with what is read after a conflict, and waits if somebody holds its row.
func (c *Client) waitFor(ctx context.Context, s *lifecycle.Snapshot, lost conflicts, lock *lockWait) error {
	if !lost.held(s) {
		*lock = lockWait{}
		return nil
	}
	if !lock.again(ctx, c.clock) {
		return fmt.Errorf("update workspace %s: %w: %w", s.Workspace.ID, ErrConflict, errLocked)
	}
	return ctx.Err()
}

// commit writes the change of a verb, and reports whether the workspace was still the one it was computed from.
func (c *Client) commit(ctx context.Context, now time.Time, s lifecycle.Snapshot, change *lifecycle.Change) (bool, error) {
	change.Events = c.wanted().Filter(change.Events)
	if change.NewBuild {
		if err := c.builds.one(ctx, s, change, c.wanted()); err != nil {
			return false, err
		}
	}
	outcomes, err := c.store.Commit(ctx, now, []lifecycle.Change{*change})
	if err != nil {
		return false, fmt.Errorf("update workspace %s: %w", s.Workspace.ID, err)
	}
	if len(outcomes) != 1 {
		return false, fmt.Errorf("update workspace %s: store reported %s", s.Workspace.ID, text.Count(len(outcomes), "outcome", "outcomes"))
	}
	if outcomes[0] == lifecycle.NameTaken {
		return false, fmt.Errorf("workspace %s: name %q: %w", s.Workspace.ID, change.Workspace.Name, lifecycle.ErrNameTaken)
	}
	return outcomes[0] == lifecycle.Applied, nil
}

// updated returns the workspace after its change, and announces the change.
func (c *Client) updated(ctx context.Context, s lifecycle.Snapshot, change *lifecycle.Change) lifecycle.Snapshot {
	s = change.Result(s)
	c.obstacles.clear(s.Workspace.ID)
	var queued []lifecycle.Job
	if change.NewBuild {
		c.made.add(&change.Build)
		if change.Job != nil {
			queued = []lifecycle.Job{*change.Job}
		}
	}
	c.committed(ctx, topicsOf(change.Events), queued)
	c.signals.changed()
	return s
}

// Load returns a workspace as the store has it, or [lifecycle.ErrNotFound].
func (c *Client) Load(ctx context.Context, id uuid.UUID) (lifecycle.Snapshot, error) {
	found, err := c.store.Load(ctx, id)
	if err != nil {
		return lifecycle.Snapshot{}, fmt.Errorf("load workspace %s: %w", id, err)
	}
	if len(found) == 0 {
		return lifecycle.Snapshot{}, fmt.Errorf("workspace %s: %w", id, lifecycle.ErrNotFound)
	}
	return found[0], nil
}

// Explain loads a workspace and reports for every rule what it compares and when it fires. What is in the way of a
// workspace without being written down in it, because its row is locked, say, the executor tells that has met it.
func (c *Client) Explain(ctx context.Context, id uuid.UUID) (lifecycle.Explanation, error) {
	s, err := c.Load(ctx, id)
	if err != nil {
		return lifecycle.Explanation{}, err
	}
	return c.explain(&s), nil
}

// explain explains what was loaded, together with what this process knows to be in its way.
func (c *Client) explain(s *lifecycle.Snapshot) lifecycle.Explanation {
	now := c.clock.Now("executor", "explain")
	c.obstacles.show(s, now, time.Minute)
	return lifecycle.Explain(*s, now)
}
