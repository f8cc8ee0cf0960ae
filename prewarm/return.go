package prewarm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/text"
)

// errUnchanged says that an update has nothing to write.
var errUnchanged = errors.New("nothing to change")

// update changes one member by compare-and-swap, and computes the change anew if somebody else was faster. The change
// must have no effects of its own.
func (p *Pool) update(ctx context.Context, id uuid.UUID, f func(m Member, spec Spec, now time.Time) (Change, error)) (Member, error) {
	for range maxTries {
		found, err := p.members(ctx, Query{IDs: []uuid.UUID{id}})
		if err != nil {
			return Member{}, err
		}
		if len(found) == 0 {
			return Member{}, fmt.Errorf("member %s: %w", id, ErrNotFound)
		}
		m := found[0]
		p.mu.Lock()
		spec := p.spec.withDefaults()
		p.mu.Unlock()
		c, err := f(m, spec, p.now())
		if errors.Is(err, errUnchanged) {
			return m, nil
		}
		if err != nil {
			return Member{}, err
		}
		applied, err := p.put(ctx, nil, []Change{c})
		if err != nil {
			return Member{}, err
		}
		if applied[0] {
			p.effects(ctx, []Member{m}, []Change{c}, applied)
			c.Member.Revision++
			return c.Member, nil
		}
	}
	return Member{}, fmt.Errorf("member %s: %w", id, ErrConflict)
}

// Return ends a claim. The member is destroyed, or cleaned and used again where Config.Cleaner and Spec.Reuse allow it.
// Returning it again does nothing; a claim that ended otherwise is [ErrEnded].
func (p *Pool) Return(ctx context.Context, id uuid.UUID) error {
	if err := p.usable(); err != nil {
		return err
	}
	_, err := p.update(ctx, id, func(m Member, spec Spec, now time.Time) (Change, error) {
		switch {
		case m.Reason == ReasonReturned && (m.State == Deleting || m.State == Gone):
			return Change{}, errUnchanged
		case m.State != Claimed:
			return Change{}, endOf(m)
		case !p.reusable(&m, &spec, now):
			return Change{Member: m.destroyed(spec, ReasonReturned, now)}, nil
		}
		next := m.successor(spec, now)
		return Change{Member: m.gone(spec, ReasonReturned, now), Successor: &next}, nil
	})
	return err
}

// reusable reports whether a returned member may be cleaned. What is in doubt is not: its time is over, it was missed by
// a listing, or it is of an old version.
func (p *Pool) reusable(m *Member, spec *Spec, now time.Time) bool {
	return p.cfg.Cleaner != nil && m.Uses+1 < spec.Reuse.MaxUses && m.Version == spec.Version && m.Misses == 0 && !m.due(now) && spec.Err == nil
}

// successor returns the member that the resource of a returned one goes on as.
func (m Member) successor(spec Spec, now time.Time) Member {
	next := Member{
		ID: newID(), Pool: m.Pool, Version: m.Version, State: Cleaning, Resource: m.Resource, Generation: m.Generation,
		Uses: m.Uses + 1, CreatedAt: m.CreatedAt, Deadline: now.Add(spec.Reuse.CleanTimeout), Reason: ReasonReturned,
	}
	if spec.Reuse.SameOwner {
		next.For = ForOwner(m.Claim.Owner)
	}
	return next
}

func (p *Pool) usable() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == ended {
		return ErrNotRunning
	}
	return nil
}

// KeepAlive records activity: the claim's idle timeout begins anew. A claim that has ended is [ErrEnded]; it is never
// revived. It is written only if that moves the deadline by at least a tenth of the timeout.
func (p *Pool) KeepAlive(ctx context.Context, id uuid.UUID) error {
	_, err := p.update(ctx, id, func(m Member, spec Spec, now time.Time) (Change, error) {
		if err := alive(&m, &spec, now); err != nil {
			return Change{}, err
		}
		deadline := m.Claim.Deadline(now)
		if deadline.Sub(m.Deadline) < m.Claim.IdleTimeout/10 || deadline.Equal(m.Deadline) {
			return Change{}, errUnchanged
		}
		m.Deadline = deadline
		return Change{Member: m}, nil
	})
	return err
}

// alive returns why a claim is over, nil if it is not. One whose time has passed is, whether or not somebody has looked.
func alive(m *Member, spec *Spec, now time.Time) error {
	switch {
	case m.State != Claimed:
		return endOf(*m)
	case m.due(now):
		return endOf(m.to(Claimed, spec.overdue(m), m.Deadline))
	}
	return nil
}

// hold is one piece of work that keeps a claim alive.
type hold struct{ cancel context.CancelCauseFunc }

// Work keeps a claim alive until end is called, however long that is: work in progress is activity. The context ends when
// the claim does, with the reason as its cause ([ErrEnded]), when the parent or the pool's Run does, and with end. A
// process that dies stops keeping the claim alive; it then ends after its idle timeout.
func (p *Pool) Work(parent context.Context, id uuid.UUID) (ctx context.Context, end func(), err error) {
	if err := p.KeepAlive(parent, id); err != nil {
		return nil, nil, err
	}
	found, err := p.members(parent, Query{IDs: []uuid.UUID{id}})
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 0 || found[0].State != Claimed {
		return nil, nil, fmt.Errorf("member %s: %w", id, ErrEnded)
	}
	ctx, cancel := context.WithCancelCause(parent)
	h := &hold{cancel: cancel}
	if err := p.hold(id, h); err != nil {
		cancel(nil)
		return nil, nil, err
	}
	go p.keep(ctx, found[0].Claim.IdleTimeout, id, h)
	return ctx, func() { cancel(nil) }, nil
}

func (p *Pool) hold(id uuid.UUID, h *hold) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != running {
		return ErrNotRunning
	}
	if p.held[id] == nil {
		p.held[id] = make(map[*hold]struct{})
	}
	p.held[id][h] = struct{}{}
	p.holds.Add(1)
	return nil
}

// keep renews a claim three times in its idle timeout. An error that leaves open whether the claim lives is tried again.
func (p *Pool) keep(ctx context.Context, idle time.Duration, id uuid.UUID, h *hold) {
	defer p.holds.Done()
	defer p.unhold(id, h)
	every := idle / 3
	if idle == 0 {
		every = p.cfg.Interval // nothing to renew, but somebody else may end it
	}
	for p.pause(ctx, every, nil, "pool", "keep") {
		switch err := p.KeepAlive(ctx, id); {
		case errors.Is(err, ErrEnded), errors.Is(err, ErrNotFound):
			h.cancel(err)
		case err != nil && ctx.Err() == nil:
			p.cfg.Logger.Warn("claim not kept alive, trying again", "member", id, "error", err)
		}
	}
}

func (p *Pool) unhold(id uuid.UUID, h *hold) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if delete(p.held[id], h); len(p.held[id]) == 0 {
		delete(p.held, id)
	}
}

// release ends the work on a member whose claim has ended.
func (p *Pool) release(m Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.ended[m.Reason]++
	for h := range p.held[m.ID] {
		h.cancel(endOf(m))
	}
}

// Pause stops creations and removals in every process, until [Pool.Resume]; by says who or what for. Claims, returns and
// expiry go on.
func (p *Pool) Pause(ctx context.Context, by string) error {
	return p.updateState(ctx, func(s *PoolState, _ time.Time) bool {
		changed := !s.Paused || s.PausedBy != by
		s.Paused, s.PausedBy = true, by
		return changed
	})
}

// Resume ends a pause, and the back-off after failures: the next plan creates at once.
func (p *Pool) Resume(ctx context.Context) error {
	return p.updateState(ctx, func(s *PoolState, _ time.Time) bool {
		changed := s.Paused || s.Failures != Failures{}
		s.Paused, s.PausedBy, s.Failures = false, "", Failures{}
		return changed
	})
}

// Explain says what the pool would do now, and why, by what the store says now.
func (p *Pool) Explain(ctx context.Context) (Explanation, error) {
	state, err := p.poolState(ctx)
	if err != nil {
		return Explanation{}, err
	}
	members, err := p.members(ctx, Query{States: living})
	if err != nil {
		return Explanation{}, err
	}
	now := p.now()
	spec := p.current(now)
	spec.Paused = spec.Paused || state.Paused
	spec.Demand.Recent = state.Recent(now)
	e := Explain(spec, members, state.Failures, now)
	if state.Paused {
		e.say("paused by %s", text.Quoted(state.PausedBy))
	}
	return e, nil
}

// ExplainClaim says what became of a claim, by its key: its member with the reason of its state, or [ErrNotFound].
func (p *Pool) ExplainClaim(ctx context.Context, owner, key string) (Member, error) {
	if err := cmp.Or(named("owner", owner), named("key", key)); err != nil {
		return Member{}, err
	}
	grants, err := p.claims(ctx, Pick{Pool: p.cfg.Spec.Name, Version: noVersion}, []Claim{{Key: key, Owner: owner}})
	switch {
	case err != nil:
		return Member{}, err
	case grants[0].Result == GrantKeyReused:
		return Member{}, ErrKeyReused
	case grants[0].Result == GrantNone:
		return Member{}, fmt.Errorf("claim %q: %w", key, ErrNotFound)
	}
	return grants[0].Member, nil
}
