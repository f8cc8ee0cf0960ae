package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/refusal"
)

// firstMemberSQL finds the member that is first in line for a pick, but for those of $5, and locks it.
const firstMemberSQL = `
	SELECT id FROM dormouse.members
	WHERE state = 2 AND pool = $1 AND version = $2 AND reserved_for = $3
		AND (deadline IS NULL OR $4::timestamptz IS NULL OR deadline >= $4) AND id <> ALL ($5::uuid[])
	ORDER BY ready_at, id LIMIT 1
	FOR NO KEY UPDATE SKIP LOCKED`

// claimThisMemberSQL is claimMemberSQL for the member $13.
var (
	firstFreshestMemberSQL = freshestFirst(firstMemberSQL)
	claimThisMemberSQL     = strings.Replace(claimMemberSQL, "AND NOT EXISTS (SELECT FROM known)", "AND id = $13 AND NOT EXISTS (SELECT FROM known)", 1)
)

// poolMember is a ready member that the host keeps from being given away.
type poolMember struct {
	pool string
	id   key
}

// passedIn are the members of a pool that are passed over.
func (s *Store) passedIn(pool string, now time.Time) (ids []key) {
	for _, m := range s.passedMembers.At(now, nil) {
		if m.pool == pool {
			ids = append(ids, m.id)
		}
	}
	return ids
}

// claimMembersApart makes claims one by one. Where the host refuses to have a member given away the next one in line is tried. It is the member
// that is to blame, and that is passed over, if its claim gets another one.
func (s *Store) claimMembersApart(ctx context.Context, now time.Time, pick prewarm.Pick, claims []prewarm.Claim, passed []key) ([]prewarm.Grant, error) {
	var a *memberClaims
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		return againIfTaken(func() error {
			a = &memberClaims{Store: s, now: now, pick: pick, claims: claims, grants: make([]prewarm.Grant, len(claims))}
			a.passed = append([]key{}, passed...) // and not nil: in SQL no comparison with NULL is true
			return pgx.BeginTxFunc(ctx, s.pool, readCommitted, func(tx pgx.Tx) error { return a.run(ctx, tx) })
		})
	})
	if err != nil {
		return nil, err
	}
	return a.grants, a.conclude(ctx)
}

type memberClaims struct {
	*Store
	now    time.Time
	pick   prewarm.Pick
	claims []prewarm.Claim
	grants []prewarm.Grant
	// passed are the members that it looks at no more. tried are those of them that were refused now.
	passed []key
	tried  refusal.Tries[uuid.UUID]
}

func (a *memberClaims) run(ctx context.Context, tx pgx.Tx) error {
	if err := a.boundWaits(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, immediateSQL); err != nil {
		return err
	}
	for i := range a.claims {
		for again := true; again; {
			id, err := a.first(ctx, tx)
			if err != nil {
				return err
			}
			if again, err = a.give(ctx, tx, i, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// first is the first member in line, and the zero key if there is none or too many were refused.
func (a *memberClaims) first(ctx context.Context, tx pgx.Tx) (id key, err error) {
	if a.tried.Full() {
		return id, nil
	}
	text := firstMemberSQL
	if a.pick.Freshest {
		text = firstFreshestMemberSQL
	}
	err = tx.QueryRow(ctx, a.sql(text), a.pick.Pool, a.pick.Version, a.pick.For, stamp(a.pick.LivesUntil), a.passed).Scan(toID((*uuid.UUID)(&id)))
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return id, err
}

// give answers a claim with a member, unless its key is known, and reports whether another member is to be tried.
func (a *memberClaims) give(ctx context.Context, tx pgx.Tx, i int, id key) (again bool, err error) {
	_, args := claimStatement(a.now, a.pick, a.claims[i:i+1])
	err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, a.sql(claimThisMemberSQL), parameters(append(args, id)))
		return readGrants(rows, a.claims[i:i+1], a.grants[i:i+1])
	})
	if refusesRow(err) {
		a.passed = append(a.passed, id)
		a.tried.Add(uuid.UUID(id), i, err)
		return true, nil
	}
	return false, err
}

// conclude returns an error if members were refused and none was given away.
func (a *memberClaims) conclude(ctx context.Context) error {
	given := func(claim int) bool { return a.grants[claim].Result == prewarm.GrantNew }
	blamed, refused, err := a.tried.Conclude("member", given, len(a.grants))
	for _, id := range blamed {
		a.passedMembers.Add(a.now, poolMember{a.pick.Pool, key(id)}, uuid.Nil)
	}
	a.warn(ctx, "members cannot be given away", "member", refusals{Tally: refused})
	return err
}
