package dormouse

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Observation is what the host has seen of a workspace's runtime; see [lifecycle.Observe].
type Observation = lifecycle.Observation

// Adopted is a workspace that another scheduler has made, for [Plane.Adopt].
type Adopted struct {
	// Workspace is what it is made of. Its ID is required, so that an import can be repeated.
	Workspace NewWorkspace `json:"workspace"`
	// Seen is what it is at the moment.
	Seen Observation `json:"seen"`
	// LastUsedAt is its last use, which dormancy counts from. Defaults to now.
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// Adopt takes a workspace over from another scheduler, without a build: it is running, or stopped, since when the host says.
// Deadlines count from there. A stop, dormancy or deletion that is due because of that waits for its grace, 2 hours or 24,
// and an autostart that was due before is not caught up. Adopt may be repeated, after a crash in the middle of a fleet say: what
// is there is brought to what was seen. The other scheduler has to let go of it first; to look before that, see
// Config.Shadow.
func (p *Plane) Adopt(ctx context.Context, a Adopted, options ...Option) (Workspace, error) {
	if a.Workspace.ID == uuid.Nil {
		return Workspace{}, invalid.New("Adopted.Workspace.ID", a.Workspace.ID, "is required")
	}
	if a.LastUsedAt.After(p.now()) {
		return Workspace{}, invalid.New("Adopted.LastUsedAt", a.LastUsedAt, "must not be after now")
	}
	used := func(w *lifecycle.Workspace) {
		if !a.LastUsedAt.IsZero() {
			w.LastUsedAt = micros.Of(a.LastUsedAt)
		}
	}
	w, err := p.create(ctx, a.Workspace, used, options)
	if err != nil {
		return Workspace{}, invalid.Within("Adopted", err)
	}
	seen := a.Seen
	seen.BuildID = uuid.Nil
	w, err = p.Observe(ctx, w.ID, seen, options...)
	return w, invalid.Within("Adopted", err)
}

// Observe takes over what the host has seen of a workspace's runtime, without a build. The zero Observation says that its
// process is gone: the workspace is stopped, and the policy says what follows, such as the next start by its schedule, or its
// deletion after a time. Nothing changes if that is known, or while a build is active. Set Observation.BuildID, and Since, where
// the message may be late, so that one about the last run does not stop this one.
//
// A member of a pool is observed too, before anybody has claimed it: the pool of this process removes it and makes another.
func (p *Plane) Observe(ctx context.Context, id uuid.UUID, o Observation, options ...Option) (Workspace, error) {
	w, err := p.Update(ctx, id, lifecycle.Observe(o), options...)
	if err == nil && w.Status == lifecycle.StatusManaged {
		p.pools.changed()
	}
	return w, err
}
