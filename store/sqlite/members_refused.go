package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/refusal"
)

// poolMember is a ready member that the host keeps from being given away.
type poolMember struct {
	pool string
	id   uuid.UUID
}

// memberClaims are claims that are made one by one. Where the host refuses to have a member given away the next one in line is tried. It is the
// member that is to blame, and that is passed over, if its claim gets another one.
type memberClaims struct {
	now    time.Time
	pick   prewarm.Pick
	claims []prewarm.Claim
	grants []prewarm.Grant
	// passed are the members that it looks at no more. tried are those of them that were refused now.
	passed map[uuid.UUID]bool
	tried  refusal.Tries[uuid.UUID]
}

// passedIn are the members of a pool that are passed over.
func (s *Store) passedIn(pool string, now time.Time) map[uuid.UUID]bool {
	ids := map[uuid.UUID]bool{}
	for _, m := range s.passedMembers.At(now, nil) {
		if m.pool == pool {
			ids[m.id] = true
		}
	}
	return ids
}

func (s *Store) claimMembersApart(ctx context.Context, now time.Time, pick prewarm.Pick, claims []prewarm.Claim, passed map[uuid.UUID]bool) ([]prewarm.Grant, error) {
	a := memberClaims{now: now, pick: pick, claims: claims, passed: passed}
	for {
		before := a.tried.Len()
		err := s.write(ctx, a.run)
		switch {
		case err == nil:
			return a.grants, s.conclude(ctx, &a)
		case !rejects(err) || a.tried.Len() == before && !a.blame(err):
			return nil, err
		}
	}
}

// blame has the only member that is given away tried in vain: the transaction was refused at its end.
func (a *memberClaims) blame(err error) bool {
	only, n := 0, 0
	for i := range a.grants {
		if a.given(i) {
			only, n = i, n+1
		}
	}
	if n != 1 {
		return false
	}
	a.fail(a.grants[only].Member.ID, only, err)
	return true
}

func (a *memberClaims) fail(id uuid.UUID, claim int, why error) {
	a.passed[id] = true
	a.tried.Add(id, claim, why)
}

// given reports whether a claim gets a member now.
func (a *memberClaims) given(claim int) bool { return a.grants[claim].Result == prewarm.GrantNew }

func (a *memberClaims) run(t *tx) (err error) {
	if a.grants, _, err = t.knownClaims(a.pick, a.claims); err != nil {
		return err
	}
	for i := range a.claims {
		for again := a.grants[i].Result == prewarm.GrantNone; again; {
			if again, err = a.give(t, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// give answers a claim with the first member in line, and reports whether another one is to be tried.
func (a *memberClaims) give(t *tx, i int) (again bool, err error) {
	if a.tried.Full() {
		return false, nil
	}
	line, err := t.readyMembers(a.pick, 1+len(a.passed))
	if err != nil {
		return false, err
	}
	for k := range line {
		if !a.passed[line[k].ID] {
			done, err := t.attempt(func() (bool, error) { return true, a.take(t, i, line[k]) })
			return !done, err
		}
	}
	return false, nil
}

func (a *memberClaims) take(t *tx, i int, m prewarm.Member) (err error) {
	if a.grants[i], err = t.giveMember(&a.claims[i], m, a.now); rejects(err) {
		a.fail(m.ID, i, err)
	}
	return err
}

// conclude returns an error if members were refused and none was given away.
func (s *Store) conclude(ctx context.Context, a *memberClaims) error {
	blamed, refused, err := a.tried.Conclude("member", a.given, len(a.grants))
	for _, id := range blamed {
		s.passedMembers.Add(a.now, poolMember{a.pick.Pool, id}, uuid.Nil)
	}
	s.warn(ctx, "members cannot be given away", "member", refused)
	return err
}
