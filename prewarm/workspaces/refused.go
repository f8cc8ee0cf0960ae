package workspaces

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// The store may refuse one pair of a claim and a member, as a constraint or a trigger of the host has it do. The others are written without it.
// The member may be to blame, or the claim. So the claim is tried with the next member. If that succeeds it was the member, which is passed over
// for a while.

// keptMember is a member that was refused to a claim.
type keptMember struct {
	claim  int
	member uuid.UUID
}

// inLine are members in the order in which they are given away: those that were refused to a claim come last.
func (b *claimBatch) inLine(members []prewarm.Member) []prewarm.Member {
	var line, last []prewarm.Member
	for _, m := range members {
		switch {
		case b.unfit[m.ID]:
		case b.doubted[m.ID]:
			last = append(last, m)
		default:
			line = append(line, m)
		}
	}
	return append(line, last...)
}

// refuse deals with pairs that are refused together: the one that the error blames is, and the others are written without it. Where it blames
// none they are written by halves, until one is refused alone, unless it is the store as a whole that fails.
func (b *claimBatch) refuse(ctx context.Context, pairs []pair, err error) (more bool, _ error) {
	var blame *lifecycle.ChangeError
	switch {
	case errors.As(err, &blame):
		at := slices.IndexFunc(pairs, func(p pair) bool { return p.change.Workspace.ID == blame.WorkspaceID })
		if at < 0 {
			return false, err
		}
		again := b.keep(pairs[at], blame.Err)
		more, err := b.both(ctx, pairs[:at], pairs[at+1:])
		return more || again, err
	case ctx.Err() != nil || errors.Is(err, lifecycle.ErrUnavailable):
		return false, err
	case len(pairs) == 1: // the store does not say that it is about the pair, and would fail as long with the next member
		b.grants[pairs[0].claim] = prewarm.Grant{Result: prewarm.GrantRefused, Err: err}
		return false, nil
	}
	return b.both(ctx, pairs[:len(pairs)/2], pairs[len(pairs)/2:])
}

// both commits the pairs of two parts.
func (b *claimBatch) both(ctx context.Context, first, second []pair) (more bool, _ error) {
	more, err := b.commit(ctx, first)
	if err != nil {
		return false, err
	}
	again, err := b.commit(ctx, second)
	return more || again, err
}

// keep notes that a pair is refused, and reports whether its claim is open again, for another member.
func (b *claimBatch) keep(p pair, why error) (again bool) {
	if errors.Is(why, invalid.Err) || b.tried.Full() { // the first is so with every member
		b.grants[p.claim] = prewarm.Grant{Result: prewarm.GrantRefused, Err: why}
		return false
	}
	b.kept[keptMember{p.claim, p.member.ID}], b.doubted[p.member.ID] = true, true
	b.tried.Add(p.member.ID, p.claim, why)
	if b.why[p.claim] == nil {
		b.why[p.claim] = why
	}
	b.reopen([]int{p.claim})
	return true
}

// conclude refuses the claims that no other member was found for, and has the members passed over whose claims got another one.
func (b *claimBatch) conclude(ctx context.Context) {
	for claim, why := range b.why {
		if b.grants[claim].Result == prewarm.GrantNone {
			b.grants[claim] = prewarm.Grant{Result: prewarm.GrantRefused, Err: why}
		}
	}
	given := func(claim int) bool { return b.grants[claim].Result == prewarm.GrantNew }
	blamed, refused, _ := b.tried.Conclude("member", given, len(b.grants)) // the error is in the grants
	for _, id := range blamed {
		b.w.passed.Add(b.now, id, uuid.Nil)
	}
	refused.Warn(ctx, b.w.cfg.Logger, "workspaces: members cannot be handed over", "member")
}
