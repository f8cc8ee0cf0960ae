package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

var _ prewarm.Store = (*Store)(nil)

// ClaimMembers implements [prewarm.Store]. It takes the write lock only if there is something to give.
func (s *Store) ClaimMembers(ctx context.Context, now time.Time, pick prewarm.Pick, claims []prewarm.Claim) ([]prewarm.Grant, error) {
	if len(claims) == 0 {
		return nil, ctx.Err()
	}
	now = store.Instant(now)
	passed := s.passedIn(pick.Pool, now)
	var grants []prewarm.Grant
	var open int
	look := func(t *tx) (err error) {
		grants, open, err = t.knownClaims(pick, claims)
		return err
	}
	err := s.view(ctx, func(t *tx) error {
		if err := look(t); err != nil || open == 0 {
			return err
		}
		found, err := t.readyMembers(pick, 1)
		open = len(found)
		return err
	})
	ready := err == nil && open > 0
	if ready && len(passed) == 0 {
		err = s.write(ctx, func(t *tx) error {
			if err := look(t); err != nil {
				return err
			}
			return t.claimMembers(now, pick, claims, grants, open)
		})
	}
	if ready && (len(passed) > 0 || rejects(err)) {
		grants, err = s.claimMembersApart(ctx, now, pick, claims, passed)
	}
	if err != nil {
		return nil, unavailable(err, "claim members of pool %q", pick.Pool)
	}
	return grants, nil
}

// knownClaims answers the claims whose key was used before, and counts the others.
func (t *tx) knownClaims(pick prewarm.Pick, claims []prewarm.Claim) (grants []prewarm.Grant, open int, err error) {
	grants = make([]prewarm.Grant, len(claims))
	for i := range claims {
		m, ok, err := t.member(selectMembers+`WHERE pool = ? AND claim_key = ?`, pick.Pool, claims[i].Key)
		switch {
		case err != nil:
			return nil, 0, err
		case !ok:
			open++
		case m.Claim.Owner != claims[i].Owner:
			grants[i].Result = prewarm.GrantKeyReused
		default:
			grants[i] = prewarm.Grant{Result: prewarm.GrantAgain, Member: m}
		}
	}
	return grants, open, nil
}

func (t *tx) claimMembers(now time.Time, pick prewarm.Pick, claims []prewarm.Claim, grants []prewarm.Grant, open int) error {
	found, err := t.readyMembers(pick, open)
	if err != nil {
		return err
	}
	for i := range claims {
		if grants[i].Result != prewarm.GrantNone || len(found) == 0 {
			continue
		}
		if grants[i], err = t.giveMember(&claims[i], found[0], now); err != nil {
			return err
		}
		found = found[1:]
	}
	return nil
}

// giveMember gives a ready member to a claim.
func (t *tx) giveMember(c *prewarm.Claim, m prewarm.Member, now time.Time) (prewarm.Grant, error) {
	taken := c.Take(m, now)
	written := taken
	written.Revision-- // the row's
	if ok, err := t.updateMember(&written); !ok {
		return prewarm.Grant{}, orNotWritten(err)
	}
	return prewarm.Grant{Result: prewarm.GrantNew, Member: taken}, nil
}

func orNotWritten(err error) error {
	if err == nil {
		return errNotWritten
	}
	return err
}

// readyMembers returns the first n members that a pick describes.
func (t *tx) readyMembers(pick prewarm.Pick, n int) ([]prewarm.Member, error) {
	return t.members(selectMembers+`INDEXED BY {members_ready}
		WHERE state = 2 AND `+picked+`
		ORDER BY `+pickOrder(&pick)+` LIMIT ?5`, append(pickArgs(pick), n)...)
}

func pickOrder(pick *prewarm.Pick) string {
	if pick.Freshest {
		return "ready_at DESC, id DESC"
	}
	return "ready_at, id"
}

// picked are the ready members of a pick.
const picked = `pool = ?1 AND version = ?2 AND reserved_for = ?3 AND (deadline IS NULL OR ?4 IS NULL OR deadline >= ?4)`

func pickArgs(pick prewarm.Pick) []any {
	return []any{pick.Pool, pick.Version, pick.For, micros(pick.LivesUntil)}
}

// member returns the only row of a query; ok is false if there is none.
func (t *tx) member(query string, args ...any) (m prewarm.Member, ok bool, err error) {
	found, err := t.members(query, args...)
	if err != nil || len(found) == 0 {
		return m, false, err
	}
	return found[0], true, nil
}

func (t *tx) members(query string, args ...any) (found []prewarm.Member, err error) {
	err = t.query(query, func(r rows) error {
		found = append(found, prewarm.Member{})
		return r.Scan(memberFields.targets(&found[len(found)-1])...)
	}, args...)
	return found, err
}

// PutMembers implements [prewarm.Store].
func (s *Store) PutMembers(ctx context.Context, state *prewarm.PoolState, changes []prewarm.Change) (applied []bool, err error) {
	err = s.write(ctx, func(t *tx) error {
		applied = make([]bool, len(changes))
		if state != nil {
			if err := t.putPool(state); err != nil {
				return fmt.Errorf("state of pool %q: %w", state.Pool, err)
			}
		}
		for i := range changes {
			if applied[i], err = t.putChange(&changes[i]); err != nil {
				return fmt.Errorf("member %s: %w", changes[i].Member.ID, err)
			}
		}
		return nil
	})
	if errors.Is(err, prewarm.ErrConflict) {
		return nil, prewarm.ErrConflict
	}
	if err != nil {
		return nil, unavailable(err, "put members (%d)", len(changes))
	}
	return applied, nil
}

func (t *tx) putChange(c *prewarm.Change) (bool, error) {
	applied, err := t.putMember(&c.Member)
	if !applied || c.Successor == nil {
		return applied, err
	}
	if _, err = t.putMember(c.Successor); err != nil {
		return false, fmt.Errorf("successor %s: %w", c.Successor.ID, err)
	}
	return true, nil
}

func (t *tx) putMember(m *prewarm.Member) (written bool, err error) {
	switch {
	case m.State == prewarm.Gone && m.Deadline.IsZero():
		return t.remove(` FROM {members} WHERE pool = ? AND id = ? AND revision = ?`, m.Pool, blob(m.ID), m.Revision)
	case m.Revision == 0:
		written, err = t.insertMember(m)
	default:
		written, err = t.updateMember(m)
	}
	if written || err != nil {
		return written, err
	}
	return false, t.whyNotWritten(m)
}

// whyNotWritten returns errNotWritten if nothing is in the way of a member that was not written: it has the revision that it names, 0 if it is not
// there, and no other one has its key.
func (t *tx) whyNotWritten(m *prewarm.Member) error {
	var pool string
	var revision int64
	if _, err := t.queryRow(`SELECT pool, revision FROM {members} WHERE id = ?`, []any{blob(m.ID)}, &pool, &revision); err != nil {
		return err
	}
	if revision != m.Revision || revision > 0 && pool != m.Pool {
		return nil
	}
	known, err := t.queryRow(`SELECT 1 FROM {members} WHERE pool = ? AND claim_key = ? AND id <> ?`, []any{m.Pool, m.Claim.Key, blob(m.ID)}, new(int))
	if err == nil && !known {
		err = errNotWritten
	}
	return err
}

func (t *tx) insertMember(m *prewarm.Member) (bool, error) {
	n, err := t.exec(insertMember, memberColumns.args(nil, m)...)
	return n == 1, err
}

func (t *tx) updateMember(m *prewarm.Member) (bool, error) {
	n, err := t.exec(updateMember, append(memberColumns.args(nil, m), m.Pool, blob(m.ID), m.Revision)...)
	return n == 1, err
}

// Members implements [prewarm.Store].
func (s *Store) Members(ctx context.Context, q prewarm.Query) (found []prewarm.Member, err error) {
	if q.IDs != nil && len(q.IDs) == 0 || q.Resources != nil && len(q.Resources) == 0 || q.States != nil && len(q.States) == 0 {
		return nil, ctx.Err()
	}
	err = s.view(ctx, func(t *tx) error {
		if q.IDs == nil && q.Resources == nil {
			text, args := queryMembers(&q)
			found, err = t.members(text, args...)
			return err
		}
		found, err = t.namedMembers(q)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "read members of pool %q", q.Pool)
	}
	return found, nil
}

// namedMembers reads members by id or resource, in parts: a statement has a bounded number of parameters. Of both it reads by id, and
// drops what has another resource.
func (t *tx) namedMembers(q prewarm.Query) (found []prewarm.Member, err error) {
	const part = 500
	rest := q
	rest.Limit, rest.Resources = 0, nil
	named, restrict := q.IDs, &rest.IDs
	if named == nil {
		named, restrict = q.Resources, &rest.Resources
	}
	for ids := range slices.Chunk(distinct(named), part) { // no member is in two parts
		*restrict = ids
		text, args := queryMembers(&rest)
		some, err := t.members(text, args...)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	if q.Resources != nil {
		wanted := make(map[uuid.UUID]bool, len(q.Resources))
		for _, id := range q.Resources {
			wanted[id] = true
		}
		found = slices.DeleteFunc(found, func(m prewarm.Member) bool { return !wanted[m.Resource] })
	}
	slices.SortFunc(found, func(a, b prewarm.Member) int { return compareMembers(&q, &a, &b) })
	if q.Limit > 0 && len(found) > q.Limit {
		found = found[:q.Limit]
	}
	return found, nil
}

// compareMembers is the order of the answer to a query, which queryMembers writes.
func compareMembers(q *prewarm.Query, a, b *prewarm.Member) int {
	ids := slices.Compare(a.ID[:], b.ID[:])
	switch {
	case !q.DueBy.IsZero():
		return cmp.Or(a.Deadline.Compare(b.Deadline), ids)
	case q.Pick == nil:
		return ids
	case q.Pick.Freshest:
		return -cmp.Or(a.ReadyAt.Compare(b.ReadyAt), ids)
	}
	return cmp.Or(a.ReadyAt.Compare(b.ReadyAt), ids)
}

// queryMembers writes the statement of a query.
func queryMembers(q *prewarm.Query) (text string, args []any) {
	where := []string{"pool = ?"}
	args = []any{q.Pool}
	order := "id"
	if q.Pick != nil {
		where, args, order = []string{"state = 2", picked}, pickArgs(*q.Pick), pickOrder(q.Pick)
	}
	in := func(column string, values []any) {
		if values != nil {
			where = append(where, column+" IN ("+placeholders(len(values))+")")
			args = append(args, values...)
		}
	}
	in("id", blobs(q.IDs))
	in("resource", blobs(q.Resources))
	in("state", numbers(q.States))
	if !q.DueBy.IsZero() {
		where, args = append(where, "deadline <= ?"), append(args, micros(q.DueBy))
		order = "deadline, id"
	}
	text = selectMembers + "WHERE " + strings.Join(where, " AND ") + " ORDER BY " + order
	if q.Limit > 0 {
		text, args = text+" LIMIT ?", append(args, q.Limit)
	}
	return text, args
}

func blobs(ids []uuid.UUID) (values []any) {
	for i := range ids {
		values = append(values, blob(ids[i]))
	}
	return values
}

func numbers(states []prewarm.State) (values []any) {
	for _, s := range states {
		values = append(values, int64(s))
	}
	return values
}
