package dormouse

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
)

// The verbs return the workspace as it is afterwards. Their errors are those of package lifecycle, [ErrNotRunning], a
// [*NotFoundError], executor.ErrConflict, a refusal of Config.Builder, or the store's; with an error nothing was changed.

// Update applies any verb of package lifecycle.
func (p *Plane) Update(ctx context.Context, id uuid.UUID, v lifecycle.Verb, options ...Option) (Workspace, error) {
	if v == nil {
		return Workspace{}, invalid.New("verb", nil, "must not be nil")
	}
	r, err := requestOf(options)
	if err != nil {
		return Workspace{}, err
	}
	if p.cfg.Shadow != nil {
		v = onlyLooks(v)
	}
	var before lifecycle.Snapshot
	seen := func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		before = s
		return v(s, now)
	}
	s, err := p.workspaces().Update(ctx, id, r.sign(seen))
	if err != nil {
		return Workspace{}, err
	}
	return p.linted(before, s), nil
}

// Start makes a build that starts the workspace, and ends its dormancy. If it starts or runs already, nothing changes.
func (p *Plane) Start(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	return p.Update(ctx, id, unless(lifecycle.TransitionStart, lifecycle.StatusStarting, lifecycle.StatusRunning), options...)
}

// Restart makes one build that stops the workspace and starts it again; see Config.Build. A workspace that does not run is
// started. If it starts already, nothing changes.
func (p *Plane) Restart(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	return p.Update(ctx, id, unless(lifecycle.TransitionStart, lifecycle.StatusStarting), options...)
}

// Stop makes a build that stops the workspace. If it stops or is stopped already, nothing changes. One that was never
// built is [ErrNotRunning].
func (p *Plane) Stop(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	stop := unless(lifecycle.TransitionStop, lifecycle.StatusStopping, lifecycle.StatusStopped)
	return p.Update(ctx, id, func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		if s.Status() == lifecycle.StatusNew {
			return lifecycle.Change{}, ErrNotRunning
		}
		return stop(s, now)
	}, options...)
}

// Delete makes a build that deletes what the workspace is made of, and the workspace when it succeeds. If it is being
// deleted or gone already, nothing changes.
func (p *Plane) Delete(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	return p.Update(ctx, id, unless(lifecycle.TransitionDelete, lifecycle.StatusDeleting, lifecycle.StatusDeleted), options...)
}

// unless requests a build of a workspace whose status says that there is something to do.
func unless(t Transition, done ...lifecycle.Status) lifecycle.Verb {
	request := lifecycle.RequestBuild(t, uuid.Nil)
	return func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		for _, status := range done {
			if s.Status() == status {
				return lifecycle.Change{}, lifecycle.ErrUnchanged
			}
		}
		return request(s, now)
	}
}

// Cancel asks for the build that is pending or running to be canceled: one that nobody has begun ends at once, one that
// runs when its worker has stopped. If no build is active, nothing changes.
func (p *Plane) Cancel(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	r, err := requestOf(options)
	if err != nil {
		return Workspace{}, err
	}
	s, err := p.workspaces().Load(ctx, id)
	if err != nil {
		return Workspace{}, err
	}
	if !s.Build.Status.Active() {
		return WorkspaceOf(s), nil
	}
	reason := "canceled"
	if r.actor != "" {
		reason += " by " + r.actor
	}
	if err := buildjobs.Cancel(ctx, signer{p, r}, p.jobs(), id, s.Build.Number, reason+because(r.note)); err != nil {
		return Workspace{}, err
	}
	return p.Get(ctx, id)
}

// SetSchedule sets when the workspace starts and stops by itself; the zero Schedule is never.
func (p *Plane) SetSchedule(ctx context.Context, id uuid.UUID, s Schedule, options ...Option) (Workspace, error) {
	v, err := s.verb("Schedule")
	if err != nil {
		return Workspace{}, err
	}
	return p.Update(ctx, id, v, options...)
}

// SetTTL sets how long the workspace runs before it stops by itself, 0 for no limit.
func (p *Plane) SetTTL(ctx context.Context, id uuid.UUID, ttl time.Duration, options ...Option) (Workspace, error) {
	return p.Update(ctx, id, lifecycle.SetTTL(ttl), options...)
}

// Extend moves the deadline of a workspace that runs to a later instant; one that does not run is [ErrNotRunning].
func (p *Plane) Extend(ctx context.Context, id uuid.UUID, deadline time.Time, options ...Option) (Workspace, error) {
	extend := lifecycle.Extend(deadline)
	return p.Update(ctx, id, func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		if !s.Workspace.Deleted && !runsAfter(&s.Build) {
			return lifecycle.Change{}, fmt.Errorf("it is %s: %w", s.Status(), ErrNotRunning)
		}
		return extend(s, now)
	}, options...)
}

// Wake ends the dormancy of a workspace without starting it.
func (p *Plane) Wake(ctx context.Context, id uuid.UUID, options ...Option) (Workspace, error) {
	return p.Update(ctx, id, lifecycle.EndDormancy(), options...)
}

// Activity records that a workspace was used at an instant. It only notes it in memory, so a host may call it for every
// request; it is written every few seconds.
func (p *Plane) Activity(id uuid.UUID, at time.Time) { p.executor.Activity(id, at) }

// linted is a workspace after a verb, with the warnings that it deserves for the settings that the verb changed.
func (p *Plane) linted(before, after lifecycle.Snapshot) Workspace {
	w := WorkspaceOf(after)
	a, b := &before.Workspace, &after.Workspace
	if a.Autostart.Text() != b.Autostart.Text() || a.Autostop.Text() != b.Autostop.Text() || a.TTL != b.TTL || a.Hold != b.Hold {
		w.Warnings = lint.Change(before, after, p.now(), lint.Config{})
	}
	return w
}
