package prewarm

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// unclaimed are the states that a plan reads in full; of the others only what is due.
var unclaimed = []State{Starting, Held, Ready, Cleaning, Quarantined, Deleting}

// maxDue bounds how many ended claims and tombstones one plan deals with; the next follows at once.
const maxDue = 1000

func isConflict(err error) bool { return errors.Is(err, ErrConflict) }

// planLoop plans when something happens, when a deadline passes, and every interval.
func (p *Pool) planLoop(ctx context.Context) {
	for ctx.Err() == nil {
		next, err := p.tick(ctx)
		wait := p.cfg.Interval
		switch {
		case isConflict(err):
			continue // another replica planned: look at what it did
		case err != nil && ctx.Err() == nil:
			p.cfg.Logger.Error("plan", "error", err)
		case err == nil && !next.IsZero():
			wait = min(wait, max(next.Sub(p.now()), minWait))
		}
		if err != nil { // what asks for a plan meanwhile waits too
			p.pause(ctx, min(wait, time.Second), nil, "pool", "plan")
			continue
		}
		if p.pause(ctx, min(wait, planGap), nil, "pool", "gap") {
			p.pause(ctx, wait, p.plan, "pool", "plan")
		}
	}
}

// planGap is the least time between two plans: each reads the pool, and under load there is always a reason for another.
const planGap = 20 * time.Millisecond

// minWait keeps clocks that disagree by less from planning in a circle.
const minWait = 10 * time.Millisecond

// tick plans once and writes what follows. It returns when the next plan may find something to do.
func (p *Pool) tick(ctx context.Context) (next time.Time, err error) {
	now := p.now()
	state, err := p.poolState(ctx)
	if err != nil {
		return time.Time{}, err
	}
	members, err := p.members(ctx, Query{States: unclaimed})
	if err != nil {
		return time.Time{}, err
	}
	due, err := p.members(ctx, Query{States: []State{Claimed, Gone}, DueBy: now, Limit: maxDue})
	if err != nil {
		return time.Time{}, err
	}
	if len(due) == maxDue {
		p.plan.set()
	}
	spec := p.current(now)
	spec.Paused = spec.Paused || state.Paused
	spec.Demand.Recent = state.Recent(now)
	all := append(members, due...)
	d := Plan(spec, all, state.Failures, now)
	p.saw(view{spec: spec, members: members, versions: readyVersions(members), failures: state.Failures, decision: d, at: now})
	return p.nextClaimEnd(ctx, d.Next), p.carryOut(ctx, spec, state, all, d, now)
}

// nextClaimEnd returns the instant, or that at which the first claim or tombstone ends.
func (p *Pool) nextClaimEnd(ctx context.Context, next time.Time) time.Time {
	horizon := p.now().Add(p.cfg.Interval)
	ending, err := p.members(ctx, Query{States: []State{Claimed, Gone}, DueBy: horizon, Limit: 1})
	if err != nil || len(ending) == 0 {
		return next
	}
	if end := ending[0].Deadline; next.IsZero() || end.Before(next) {
		return end
	}
	return next
}

// carryOut writes a decision. Creations are written with the pool's state, so that of two replicas one creates; and
// what demand asks for here is told to the others before they remove it.
func (p *Pool) carryOut(ctx context.Context, spec Spec, state PoolState, members []Member, d Decision, now time.Time) error {
	state, asks := state.Ask(d.Target.Extra(), spec.withDefaults().CoolDown, now)
	if len(d.Actions) == 0 && !asks {
		return nil
	}
	changes := d.Apply(spec, members, now, newID)
	before := make([]Member, len(changes))
	var guard *PoolState
	if asks {
		guard = &state
	}
	for i, a := range d.Actions {
		if a.Kind == ActionCreate {
			guard = &state
			continue
		}
		before[i] = members[a.index]
	}
	applied, err := p.putApart(ctx, guard, changes)
	p.effects(ctx, before, changes, applied)
	return err
}

// saw keeps what a plan saw, counts idle time and watches for depletion.
func (p *Pool) saw(v view) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := p.view; !last.at.IsZero() {
		idle := last.decision.Counts.Ready + last.decision.Counts.OldReady
		p.stats.idle += time.Duration(idle) * max(0, v.at.Sub(last.at))
	}
	p.view = v
	clear(p.taken)
	if d, ok := BuildTime(v.members, v.spec.Version); ok {
		p.buildTime = d
	}
	p.alert(v)
}

// alert lists what the backend has, once, when the pool was depleted for too long: members may be ready that nobody told
// of. The lock is held.
func (p *Pool) alert(v view) {
	switch {
	case !v.decision.Alerts(p.cfg.AlertBelow):
		if !p.stats.alertSince.IsZero() {
			p.notify(PoolEvent{Kind: PoolAlertOver, Version: v.spec.Version})
		}
		p.stats.alertSince, p.stats.reloaded = time.Time{}, false
	case p.stats.alertSince.IsZero():
		p.stats.alertSince = v.at
		p.notify(PoolEvent{Kind: PoolAlert, Version: v.spec.Version, Text: v.shortage()})
	case !p.stats.reloaded && v.at.Sub(p.stats.alertSince) >= p.cfg.AlertAfter:
		p.stats.reloaded, p.stats.reloading = true, true
		p.stats.reloads++
		p.list.set()
	}
}

// shortage says what is ready of what shall be.
func (v view) shortage() string {
	c := v.decision.Counts
	short := fmt.Sprintf("%d of %d ready", c.Ready+c.OldReady, v.decision.Target.Size)
	if v.decision.Blocked != BlockedNone {
		short += ": " + string(v.decision.Blocked)
	}
	return short
}
