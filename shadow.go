package dormouse

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/shadow"
)

// ErrShadow says that the plane only looks, and makes no builds: see Config.Shadow.
var ErrShadow = errors.New("the plane only looks")

// ShadowReport says how another scheduler and the rules differ. It has JSON names, and a Text.
type ShadowReport = shadow.Report

// lookEvery is the time between two looks of a plane that only looks.
const lookEvery = time.Minute

// onlooker compares another scheduler with the rules.
type onlooker struct {
	mu sync.Mutex
	c  *shadow.Comparison
}

// makeOnlooker makes the comparison of a plane that only looks.
func (p *Plane) makeOnlooker() error {
	if p.cfg.Shadow == nil {
		return nil
	}
	c, err := shadow.New(p.now(), *p.cfg.Shadow)
	if err != nil {
		return invalid.Within("Config.Shadow", err)
	}
	p.onlooker = &onlooker{c: c}
	return nil
}

// runShadow looks at every workspace from time to time.
func (p *Plane) runShadow(ctx context.Context) {
	for again := true; again; again = p.pause(ctx, lookEvery) {
		if err := p.look(ctx); err != nil && ctx.Err() == nil {
			p.cfg.Logger.WarnContext(ctx, "dormouse: look of the shadow failed", "error", err)
		}
	}
}

// look writes what was noted of activity, and asks the rules about every workspace of the organization.
func (p *Plane) look(ctx context.Context) error {
	if err := p.executor.FlushActivity(ctx); err != nil {
		return err
	}
	q := lifecycle.ListQuery{Organizations: p.organizations(), Limit: maxPage}
	for page, err := range lifecycle.Pages(ctx, p.reads, q) {
		if err != nil {
			return err
		}
		now := p.now()
		p.onlooker.mu.Lock()
		for i := range page {
			p.onlooker.c.Look(page[i], now)
		}
		p.onlooker.mu.Unlock()
	}
	return nil
}

// Acted says, to a plane that only looks, what the scheduler beside it has done to a workspace by itself: a start, a stop, a deletion,
// or with lifecycle.TransitionNone that it made the workspace dormant. It is compared with what the rules would have done, and the
// workspace is brought to it. What people do, tell with [Plane.Observe]; that is nobody's difference.
func (p *Plane) Acted(ctx context.Context, id uuid.UUID, t Transition, at time.Time, options ...Option) (Workspace, error) {
	var v lifecycle.Verb
	switch t {
	case lifecycle.TransitionNone:
		v = dormantAlone
	case lifecycle.TransitionStart, lifecycle.TransitionStop, lifecycle.TransitionDelete:
		v = lifecycle.Observe(Observation{Running: t == lifecycle.TransitionStart, Deleted: t == lifecycle.TransitionDelete, Since: at})
	default:
		return Workspace{}, invalid.New("transition", t, "must be none, start, stop or delete")
	}
	if p.onlooker == nil {
		return Workspace{}, invalid.New("Config.Shadow", nil, "must be set")
	}
	before, err := p.workspaces().Load(ctx, id)
	if err != nil {
		return Workspace{}, err
	}
	w, err := p.Update(ctx, id, v, options...)
	if err != nil {
		return Workspace{}, err
	}
	if w.Revision != before.Workspace.Revision { // else it was told before
		p.onlooker.mu.Lock()
		defer p.onlooker.mu.Unlock()
		p.onlooker.c.Acted(before, t, at)
	}
	return w, nil
}

// dormantAlone marks what stands still.
func dormantAlone(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
	c, err := lifecycle.MarkDormant(false)(s, now)
	if err == nil && c.NewBuild {
		return lifecycle.Change{}, invalid.New("transition", lifecycle.TransitionNone, "must be a stop of what runs first")
	}
	return c, err
}

// ShadowReport returns how the scheduler beside a plane that only looks and the rules have differed since the plane was made. It
// is kept in memory. The error is that of a plane that acts.
func (p *Plane) ShadowReport() (ShadowReport, error) {
	if p.onlooker == nil {
		return ShadowReport{}, invalid.New("Config.Shadow", nil, "must be set")
	}
	p.onlooker.mu.Lock()
	defer p.onlooker.mu.Unlock()
	return p.onlooker.c.Report(p.now()), nil
}

// onlyLooks refuses a build of a plane that makes none.
func onlyLooks(v lifecycle.Verb) lifecycle.Verb {
	return func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		c, err := v(s, now)
		if err == nil && c.NewBuild && c.Build.Status.Active() {
			return lifecycle.Change{}, ErrShadow
		}
		return c, err
	}
}
