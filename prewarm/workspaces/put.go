package workspaces

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// PutMembers implements [prewarm.Store]. A member that becomes claimed, because it was built for a claim, and one that is
// given back because its claimer left, are written with their workspace, each pair by itself and after the rest. A pair that
// cannot be written counts as not applied, and is in the log; if nothing else was written it is an error.
func (w *Workspaces) PutMembers(ctx context.Context, state *prewarm.PoolState, changes []prewarm.Change) ([]bool, error) {
	verbs, err := w.verbs(ctx, changes)
	if err != nil {
		return nil, err
	}
	plain, at := make([]prewarm.Change, 0, len(changes)), make([]int, 0, len(changes))
	for i := range changes {
		if verbs[i] == nil {
			plain, at = append(plain, changes[i]), append(at, i)
		}
	}
	written, err := w.store.PutMembers(ctx, state, plain)
	if err != nil {
		return nil, err
	}
	applied := make([]bool, len(changes))
	for k, i := range at {
		applied[i] = written[k]
	}
	if err := w.putPairs(ctx, changes, verbs, applied); err != nil {
		if state == nil && !slices.Contains(applied, true) {
			return nil, err
		}
		w.cfg.Logger.WarnContext(ctx, "workspaces: members cannot be written with their workspaces", "first", err)
	}
	return applied, nil
}

// putPairs writes the changes that have verbs, and returns the first error. One that the store as a whole returns is the last.
func (w *Workspaces) putPairs(ctx context.Context, changes []prewarm.Change, verbs []lifecycle.Verb, applied []bool) (first error) {
	for i := range changes {
		if verbs[i] == nil {
			continue
		}
		var err error
		if applied[i], err = w.putWith(ctx, changes[i].Member, verbs[i]); err != nil {
			first = cmp.Or(first, fmt.Errorf("member %s: %w", changes[i].Member.ID, err))
		}
		if ctx.Err() != nil || errors.Is(err, lifecycle.ErrUnavailable) {
			break
		}
	}
	return first
}

// verbs returns, for each change of a member whose workspace has to change hands with it, the verb that does it.
func (w *Workspaces) verbs(ctx context.Context, changes []prewarm.Change) ([]lifecycle.Verb, error) {
	verbs := make([]lifecycle.Verb, len(changes))
	for i := range changes {
		m := &changes[i].Member
		claimed, left := m.State == prewarm.Claimed, m.Reason == prewarm.ReasonAbandoned && m.State < prewarm.Claimed
		if !claimed && !left {
			continue
		}
		s, ok, err := w.load(ctx, m.Resource)
		switch {
		case err != nil:
			return nil, err
		case !ok || s.Workspace.Managed != claimed:
			// It is the owner's already, or the pool's still, or not there yet.
		case left:
			verbs[i] = lifecycle.GiveBack(w.cfg.Manager, nameOf(m))
		default:
			c := m.Claim
			verbs[i] = func(s lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) { return w.hand(ctx, c, s, now) }
		}
	}
	return verbs, nil
}

// putWith writes a member together with its workspace, if the member still has its revision. A workspace that cannot be
// handed to the claim it was built for is of no use: its member is to be destroyed then, with the reason.
func (w *Workspaces) putWith(ctx context.Context, m prewarm.Member, verb lifecycle.Verb) (bool, error) {
	for range rounds {
		s, ok, err := w.load(ctx, m.Resource)
		if err != nil || !ok {
			return false, err
		}
		now := w.now()
		change, err := verb(s, now)
		if err != nil {
			return false, w.giveUp(ctx, m, err, now)
		}
		outcomes, err := w.commit(ctx, now, []pair{{change: change, member: m}})
		var blame *lifecycle.ChangeError
		switch {
		case errors.As(err, &blame):
			return false, w.giveUp(ctx, m, blame.Err, now)
		case err != nil:
			return false, err
		case outcomes[0] == lifecycle.NameTaken:
			return false, w.giveUp(ctx, m, lifecycle.ErrNameTaken, now)
		case outcomes[0] == lifecycle.Applied:
			return true, nil
		}
		current, err := w.current(ctx, m)
		if err != nil || !current {
			return false, err // the member is what has changed
		}
	}
	return false, nil
}

// current reports whether a member still has the revision that a write of it names.
func (w *Workspaces) current(ctx context.Context, m prewarm.Member) (bool, error) {
	found, err := w.store.Members(ctx, prewarm.Query{Pool: m.Pool, IDs: idsOf(m)})
	return err == nil && len(found) == 1 && found[0].Revision == m.Revision, err
}

// giveUp has a member destroyed by the next plan.
func (w *Workspaces) giveUp(ctx context.Context, m prewarm.Member, why error, now time.Time) error {
	m.State, m.Reason, m.Message, m.For = prewarm.Deleting, prewarm.ReasonCreateFailed, why.Error(), ""
	m.Deadline, m.Attempts = now, 0
	_, err := w.store.PutMembers(ctx, nil, []prewarm.Change{{Member: m}})
	return err
}
