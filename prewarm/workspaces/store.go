package workspaces

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/refusal"
)

// rounds bounds how often a call looks for other members because somebody else was faster.
const rounds = 8

// spare is how many members more than are wanted the first round looks at: some may not run any more.
const spare = 8

// noVersion is no version that members have: a claim with it only asks what is known of its key.
const noVersion = "\x01"

// ClaimMembers implements [prewarm.Store]: the store of the members is asked what is known of the keys; the others get the
// members that wait longest and whose workspace can be handed over, both in one commit. Where several processes claim at
// once, those who come late look again.
func (w *Workspaces) ClaimMembers(ctx context.Context, now time.Time, pick prewarm.Pick, claims []prewarm.Claim) ([]prewarm.Grant, error) {
	b := &claimBatch{
		w: w, now: now, pick: pick, claims: claims, grants: make([]prewarm.Grant, len(claims)), open: make([]int, len(claims)),
		unfit: make(map[uuid.UUID]bool), kept: make(map[keptMember]bool), doubted: make(map[uuid.UUID]bool), why: make(map[int]error),
	}
	for _, id := range w.passed.At(now, nil) {
		b.unfit[id] = true
	}
	for i := range claims {
		b.open[i] = i
	}
	for lost := 0; lost < rounds && len(b.open) > 0; {
		if err := b.known(ctx); err != nil {
			return nil, err
		}
		passed := len(b.unfit) + len(b.kept)
		more, err := b.round(ctx)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		if len(b.unfit)+len(b.kept) == passed {
			lost++ // a round that finds others unfit comes closer to the end of the line
		}
	}
	b.conclude(ctx)
	return b.grants, nil
}

// claimBatch is one call of ClaimMembers.
type claimBatch struct {
	w      *Workspaces
	now    time.Time
	pick   prewarm.Pick
	claims []prewarm.Claim
	grants []prewarm.Grant
	open   []int // claims without an answer, in their order
	// unfit are the members that were found to be of no use for any claim.
	unfit map[uuid.UUID]bool
	// kept are the members that were refused to a claim. Others may get those, which are doubted, if there is nothing better.
	kept    map[keptMember]bool
	doubted map[uuid.UUID]bool
	tried   refusal.Tries[uuid.UUID]
	why     map[int]error // the first refusal of each claim
}

// known answers the claims whose key was used before.
func (b *claimBatch) known(ctx context.Context) error {
	if len(b.open) == 0 {
		return nil
	}
	claims := make([]prewarm.Claim, len(b.open))
	for k, i := range b.open {
		claims[k] = b.claims[i]
	}
	grants, err := b.w.store.ClaimMembers(ctx, b.now, prewarm.Pick{Pool: b.pick.Pool, Version: noVersion}, claims)
	if err != nil {
		return err
	}
	var left []int
	for k, i := range b.open {
		if b.grants[i] = grants[k]; grants[k].Result == prewarm.GrantNone {
			left = append(left, i)
		}
	}
	b.open = left
	return nil
}

// pair is a member for a claim.
type pair struct {
	claim  int
	change lifecycle.Change
	member prewarm.Member // as it is written: at the revision that it was read with
}

// round gives members to the claims that are open. It reports whether another round may find more.
func (b *claimBatch) round(ctx context.Context) (more bool, err error) {
	if len(b.open) == 0 {
		return false, nil
	}
	limit := len(b.open) + spare + 2*len(b.unfit) + len(b.doubted) // twice: so that many unfit ones are passed in few rounds
	members, err := b.w.store.Members(ctx, prewarm.Query{Pool: b.pick.Pool, Pick: &b.pick, Limit: limit})
	if err != nil {
		return false, err
	}
	whole := len(members) < limit
	members = b.inLine(members)
	found, err := b.w.snapshots(ctx, members)
	if err != nil {
		return false, err
	}
	pairs := b.pair(ctx, members, found)
	left := len(b.open) > 0 && !whole
	if len(pairs) == 0 {
		return left, nil
	}
	again, err := b.commit(ctx, pairs)
	return again || left, err
}

// snapshots are the workspaces of members, by id.
func (w *Workspaces) snapshots(ctx context.Context, members []prewarm.Member) (map[uuid.UUID]lifecycle.Snapshot, error) {
	ids := make([]uuid.UUID, len(members))
	for i := range members {
		ids[i] = members[i].Resource
	}
	found := make(map[uuid.UUID]lifecycle.Snapshot, len(ids))
	for len(ids) > 0 {
		n := min(len(ids), loadAtOnce)
		some, err := w.store.Load(ctx, ids[:n]...)
		if err != nil {
			return nil, err
		}
		for _, s := range some {
			found[s.Workspace.ID] = s
		}
		ids = ids[n:]
	}
	return found, nil
}

// loadAtOnce is how many workspaces are read at a time.
const loadAtOnce = 1000

// pair finds a member for each open claim. A member whose workspace cannot be handed over is reported to the pool; a claim
// that no workspace can be handed to is refused.
func (b *claimBatch) pair(ctx context.Context, members []prewarm.Member, found map[uuid.UUID]lifecycle.Snapshot) (pairs []pair) {
	var left []int
	for _, i := range b.open {
		c := b.claims[i]
		answered := false
		for !answered {
			at := slices.IndexFunc(members, func(m prewarm.Member) bool { return !b.kept[keptMember{i, m.ID}] })
			if at < 0 {
				break
			}
			m := members[at]
			s, ok := found[m.Resource]
			change, err := lifecycle.Change{}, lifecycle.ErrDeleted
			if ok {
				change, err = b.w.hand(ctx, c, s, b.now)
			}
			switch {
			case err == nil:
				pairs = append(pairs, pair{i, change, taken(c, m, b.now)})
				members, answered = slices.Delete(members, at, at+1), true
			case unfit(err):
				members = slices.Delete(members, at, at+1)
				b.unfit[m.ID] = true
				b.w.report(ctx, m, err)
			default:
				b.grants[i] = prewarm.Grant{Result: prewarm.GrantRefused, Err: err}
				answered = true
			}
		}
		if !answered {
			left = append(left, i)
		}
	}
	b.open = left
	return pairs
}

// taken is a member as a claim has it, at the revision that it was read with.
func taken(c prewarm.Claim, m prewarm.Member, now time.Time) prewarm.Member {
	m = c.Take(m, now)
	m.Revision--
	return m
}

// report tells the pool of a member that is not what it seems, so that it is replaced. The members were read before their
// workspaces: one that has changed since was not ready any more when its workspace was looked at, most likely because somebody
// else has it by now, and must not be taken from them.
func (w *Workspaces) report(ctx context.Context, m prewarm.Member, why error) {
	if still, err := w.current(ctx, m); err != nil || !still {
		return
	}
	w.mu.Lock()
	tell := w.tell
	w.mu.Unlock()
	tell(prewarm.Event{Resource: m.Resource, Generation: m.Generation, Status: prewarm.StatusStopped, Message: why.Error()})
}

// commit writes pairs and answers their claims. What is a conflict is open again.
func (b *claimBatch) commit(ctx context.Context, pairs []pair) (more bool, err error) {
	if len(pairs) == 0 {
		return false, nil
	}
	outcomes, err := b.w.commit(ctx, b.now, pairs)
	if err != nil {
		return b.refuse(ctx, pairs, err)
	}
	var again []int
	for k, p := range pairs {
		switch outcomes[k] {
		case lifecycle.Applied:
			p.member.Revision++
			b.grants[p.claim] = prewarm.Grant{Result: prewarm.GrantNew, Member: p.member}
		case lifecycle.NameTaken:
			b.grants[p.claim] = prewarm.Grant{Result: prewarm.GrantRefused, Err: lifecycle.ErrNameTaken}
		default:
			again = append(again, p.claim)
		}
	}
	b.reopen(again)
	return len(again) > 0, nil
}

// reopen puts claims back before those that found no member: all of them came earlier.
func (b *claimBatch) reopen(claims []int) {
	left := make(map[int]bool, len(b.open))
	for _, i := range append(b.open, claims...) {
		left[i] = true
	}
	b.open = b.open[:0]
	for i := range b.claims {
		if left[i] {
			b.open = append(b.open, i)
		}
	}
}

// commit writes changes together with their members.
func (w *Workspaces) commit(ctx context.Context, now time.Time, pairs []pair) ([]lifecycle.Outcome, error) {
	changes, members := make([]lifecycle.Change, len(pairs)), make([]prewarm.Member, len(pairs))
	for i, p := range pairs {
		changes[i], members[i] = p.change, p.member
	}
	return w.engine.CommitWith(ctx, now, changes, func(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
		return w.store.CommitMembers(ctx, now, changes, members)
	})
}

// Members implements [prewarm.Store].
func (w *Workspaces) Members(ctx context.Context, q prewarm.Query) ([]prewarm.Member, error) {
	return w.store.Members(ctx, q)
}

// PoolState implements [prewarm.Store].
func (w *Workspaces) PoolState(ctx context.Context, pool string) (prewarm.PoolState, error) {
	return w.store.PoolState(ctx, pool)
}

// AnnounceMembers implements [prewarm.Watcher], where the store is one.
func (w *Workspaces) AnnounceMembers(ctx context.Context, pool, note string) error {
	if s, ok := lifecycle.Ability[prewarm.Watcher](w.store); ok {
		return s.AnnounceMembers(ctx, pool, note)
	}
	return nil
}

// WatchMembers implements [prewarm.Watcher], where the store is one.
func (w *Workspaces) WatchMembers(ctx context.Context, pool string, hear func(note string)) error {
	if s, ok := lifecycle.Ability[prewarm.Watcher](w.store); ok {
		return s.WatchMembers(ctx, pool, hear)
	}
	<-ctx.Done()
	return ctx.Err()
}
