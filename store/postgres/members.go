package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/form"
)

var _ prewarm.Store = (*Store)(nil)

// claimMembersSQL answers all claims of a call. Those of known keys get what they had; the n-th of the others gets the n-th
// free member, through lists, because a join of the two by their numbers would compare each with each. Members that another
// call is about to give away are skipped. Two calls with one new key meet in the index of keys: the second one fails, and
// finds the key known when it is made again.
//
// Its parameters are pool, version, restriction, the instant up to which members must live, now, and those of claimColumns.
var claimMembersSQL = `
	WITH claim AS MATERIALIZED (
		SELECT c.*, k.id AS known FROM ` + claimColumns.rows(6, "c", "n") + `
		LEFT JOIN dormouse.members k ON k.pool = $1 AND k.claim_key = c.claim_key
	), open AS MATERIALIZED (
		SELECT count(*) AS total, array_agg(n ORDER BY n) AS n, array_agg(claim_key ORDER BY n) AS claim_key,
			array_agg(owner ORDER BY n) AS owner, array_agg(tenant ORDER BY n) AS tenant,
			array_agg(idle_timeout ORDER BY n) AS idle_timeout, array_agg(ends_at ORDER BY n) AS ends_at,
			array_agg(deadline ORDER BY n) AS deadline, array_agg(claim_details ORDER BY n) AS claim_details
		FROM claim WHERE known IS NULL
	), free AS MATERIALIZED (
		SELECT id FROM dormouse.members
		WHERE state = 2 AND pool = $1 AND version = $2 AND reserved_for = $3
			AND (deadline IS NULL OR $4::timestamptz IS NULL OR deadline >= $4)
		ORDER BY ready_at, id LIMIT (SELECT total FROM open)
		FOR NO KEY UPDATE SKIP LOCKED
	), numbered AS (
		SELECT id, row_number() OVER () AS turn FROM free
	), taken AS (
		UPDATE dormouse.members m SET
			state = 3, revision = m.revision + 1, reason = 'claimed', claimed_at = $5, claim_key = o.claim_key[f.turn],
			owner = o.owner[f.turn], tenant = o.tenant[f.turn], idle_timeout = o.idle_timeout[f.turn],
			ends_at = o.ends_at[f.turn], deadline = o.deadline[f.turn], claim_details = o.claim_details[f.turn]
		FROM numbered f CROSS JOIN open o WHERE m.id = f.id
		RETURNING o.n[f.turn] AS n, ` + memberFields.names() + `
	)
	SELECT NULL::uuid, taken.*, true FROM taken
	UNION ALL
	SELECT NULL, c.n, ` + memberFields.names() + `, false FROM claim c JOIN dormouse.members m ON m.id = c.known` + memberKeptSQL

// claimMemberSQL is the same for one claim, which is the frequent number: it spares the server the lists. Its parameters
// from $6 on are those of claimColumns, as single values.
var claimMemberSQL = `
	WITH known AS MATERIALIZED (
		SELECT id FROM dormouse.members WHERE pool = $1 AND claim_key = $6
	), free AS MATERIALIZED (
		SELECT id FROM dormouse.members
		WHERE state = 2 AND pool = $1 AND version = $2 AND reserved_for = $3
			AND (deadline IS NULL OR $4::timestamptz IS NULL OR deadline >= $4) AND NOT EXISTS (SELECT FROM known)
		ORDER BY ready_at, id LIMIT 1
		FOR NO KEY UPDATE SKIP LOCKED
	), taken AS (
		UPDATE dormouse.members m SET
			state = 3, revision = m.revision + 1, reason = 'claimed', claimed_at = $5, claim_key = $6, owner = $7,
			tenant = $8, idle_timeout = $9, ends_at = $10, deadline = $11, claim_details = $12
		FROM free f WHERE m.id = f.id
		RETURNING ` + memberFields.names() + `
	)
	SELECT NULL::uuid, 1, taken.*, true FROM taken
	UNION ALL
	SELECT NULL, 1, ` + memberFields.names() + `, false FROM known k JOIN dormouse.members m ON m.id = k.id` + memberKeptSQL

// memberKeptSQL is an error if a trigger of the host left out a member that was to be given away.
var memberKeptSQL = leftOutSQL("members", len(memberFields)+2, `FROM free HAVING count(*) > (SELECT count(*) FROM taken)`)

// The same for picks whose freshest members come first.
var (
	claimFreshestMembersSQL = freshestFirst(claimMembersSQL)
	claimFreshestMemberSQL  = freshestFirst(claimMemberSQL)
)

func freshestFirst(statement string) string {
	return strings.Replace(statement, "ORDER BY ready_at, id", "ORDER BY ready_at DESC, id DESC", 1)
}

// ClaimMembers implements [prewarm.Store].
func (s *Store) ClaimMembers(ctx context.Context, now time.Time, pick prewarm.Pick, claims []prewarm.Claim) ([]prewarm.Grant, error) {
	if len(claims) == 0 {
		return nil, ctx.Err()
	}
	now = store.Instant(now)
	passed := s.passedIn(pick.Pool, now)
	var grants []prewarm.Grant
	var err error
	if len(passed) == 0 {
		grants, err = s.claimMembers(ctx, now, pick, claims)
	}
	if len(passed) > 0 || refusesRow(err) {
		grants, err = s.claimMembersApart(ctx, now, pick, claims, passed)
	}
	if err != nil {
		return nil, fmt.Errorf("claim members of pool %q: %w", pick.Pool, err)
	}
	return grants, nil
}

func (s *Store) claimMembers(ctx context.Context, now time.Time, pick prewarm.Pick, claims []prewarm.Claim) ([]prewarm.Grant, error) {
	text, args := claimStatement(now, pick, claims)
	var grants []prewarm.Grant
	// The same claims again do no harm: their keys are known by then.
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		return againIfTaken(func() error {
			grants = make([]prewarm.Grant, len(claims))
			return s.steady(ctx, text, args, func(rows pgx.Rows) error { return readGrants(rows, claims, grants) })
		})
	})
	return grants, err
}

func claimStatement(now time.Time, pick prewarm.Pick, claims []prewarm.Claim) (text string, args []any) {
	args = []any{pick.Pool, pick.Version, pick.For, stamp(pick.LivesUntil), instant(now)}
	one, many := claimMemberSQL, claimMembersSQL
	if pick.Freshest {
		one, many = claimFreshestMemberSQL, claimFreshestMembersSQL
	}
	if len(claims) == 1 {
		c := &claims[0]
		return one, append(args, c.Key, c.Owner, c.Tenant, int64(c.IdleTimeout), stamp(c.Until), stamp(c.Deadline(now)), zeronull.Text(c.Details))
	}
	rows := make([]claimRow, len(claims))
	for i, c := range claims {
		rows[i] = claimRow{c, stamp(c.Deadline(now))}
	}
	return many, append(args, claimColumns.args(rows)...)
}

func readGrants(rows pgx.Rows, claims []prewarm.Claim, grants []prewarm.Grant) error {
	var r memberRow
	var n int
	var fresh bool
	targets := append(append([]any{nil, &n}, memberFields.targets(&r)...), &fresh)
	_, err := pgx.ForEachRow(rows, targets, func() error {
		g := &grants[n-1]
		switch m := r.member(); {
		case fresh:
			*g = prewarm.Grant{Result: prewarm.GrantNew, Member: m}
		case m.Claim.Owner != claims[n-1].Owner:
			g.Result = prewarm.GrantKeyReused
		default:
			*g = prewarm.Grant{Result: prewarm.GrantAgain, Member: m}
		}
		return nil
	})
	return err
}

// againIfTaken makes a call again that met another one in the index of keys: what that one wrote is known now.
func againIfTaken(call func() error) error {
	const uniqueViolation = "23505"
	for range maxAttempts {
		err := call()
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != uniqueViolation {
			return err
		}
	}
	return call()
}

// putMembersSQL writes members that still have the revision they were read with. It locks them in the order of their ids,
// as everybody does who locks several. One that somebody else holds is about to change, or in a session that was left open, and
// counts as changed.
var putMembersSQL = `
	WITH change AS MATERIALIZED (
		SELECT * FROM ` + putColumns.rows(1, "c", "n") + `
	), locked AS MATERIALIZED (
		SELECT id, pool, revision FROM dormouse.members WHERE id = ANY ($1) ORDER BY id FOR UPDATE SKIP LOCKED
	), matched AS MATERIALIZED (
		SELECT c.* FROM change c JOIN locked l ON l.id = c.id AND l.pool = c.pool AND l.revision = c.revision
		WHERE c.claim_key IS NULL OR NOT EXISTS (
			SELECT FROM dormouse.members o WHERE o.pool = c.pool AND o.claim_key = c.claim_key AND o.id <> c.id)
	), updated AS (
		UPDATE dormouse.members m SET revision = m.revision + 1, ` + memberColumns.set("c.%") + `
		FROM matched c WHERE m.id = c.id AND NOT c.leaves
		RETURNING c.n
	), deleted AS (
		DELETE FROM dormouse.members m USING matched c WHERE m.id = c.id AND c.leaves
		RETURNING c.n
	), inserted AS (
		INSERT INTO dormouse.members (id, revision, ` + memberColumns.names("") + `)
		SELECT id, 1, ` + memberColumns.names("") + ` FROM change WHERE revision = 0 AND NOT leaves
		ON CONFLICT DO NOTHING
		RETURNING id
	)
	SELECT n FROM updated UNION ALL SELECT n FROM deleted
	UNION ALL SELECT c.n FROM change c JOIN inserted i ON i.id = c.id
	UNION ALL SELECT ` + keptSQL("members", "count(DISTINCT id)") + `::bigint FROM matched
	HAVING count(DISTINCT id) > (SELECT count(*) FROM updated) + (SELECT count(*) FROM deleted)`

// newMembersKeptSQL is an error if new members were not written though neither their ids nor their keys are known. It is a statement of its
// own, because it has to see what was in their way, which may be younger than putMembersSQL.
var newMembersKeptSQL = `
	SELECT ` + keptSQL("members", "count(*)") + `::bigint FROM unnest($1::uuid[], $2::text[], $3::text[]) AS c (id, pool, claim_key)
	WHERE NOT EXISTS (SELECT FROM dormouse.members m WHERE m.id = c.id)
		AND NOT EXISTS (SELECT FROM dormouse.members m WHERE m.pool = c.pool AND m.claim_key = c.claim_key)
	HAVING count(*) > 0`

// PutMembers implements [prewarm.Store].
func (s *Store) PutMembers(ctx context.Context, state *prewarm.PoolState, changes []prewarm.Change) (applied []bool, err error) {
	var ofMember bool // where the call fails, one of them is to blame, and the state is not
	err = s.do(ctx, once, func(ctx context.Context) error {
		return againIfTaken(func() error {
			ofMember = state == nil || len(changes) > 1
			return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
				if err := s.boundWaits(ctx, tx); err != nil {
					return err
				}
				if state != nil {
					if err := s.putPool(ctx, tx, state); err != nil {
						return fmt.Errorf("state of pool %q: %w", state.Pool, err)
					}
				}
				applied, err = s.putChanges(ctx, tx, changes)
				ofMember = ofMember || err != nil
				return err
			})
		})
	})
	if errors.Is(err, prewarm.ErrConflict) {
		return nil, prewarm.ErrConflict
	}
	if err != nil && ofMember {
		err = s.blameMember(ctx, changes, err)
	}
	if err != nil {
		return nil, fmt.Errorf("put members (%d): %w", len(changes), err)
	}
	return applied, nil
}

// blameMember names the member that is refused, if one is and not the state of the pool.
func (s *Store) blameMember(ctx context.Context, changes []prewarm.Change, refusal error) error {
	return s.blameRow(ctx, refusal, len(changes), func(tx pgx.Tx, from, to int) error {
		_, err := s.putChanges(ctx, tx, changes[from:to])
		return err
	}, func(i int) string {
		if next := changes[i].Successor; next != nil {
			return fmt.Sprintf("member %s and its successor %s", changes[i].Member.ID, next.ID)
		}
		return fmt.Sprintf("member %s", changes[i].Member.ID)
	})
}

func (s *Store) putChanges(ctx context.Context, tx pgx.Tx, changes []prewarm.Change) ([]bool, error) {
	members := make([]member, len(changes))
	for i := range changes {
		members[i] = changes[i].Member
	}
	applied, err := s.putRows(ctx, tx, members)
	if err != nil {
		return nil, err
	}
	var successors []member
	for i := range changes {
		if next := changes[i].Successor; next != nil && applied[i] {
			successors = append(successors, *next)
		}
	}
	_, err = s.putRows(ctx, tx, successors)
	return applied, err
}

func (s *Store) putRows(ctx context.Context, tx pgx.Tx, members []member) ([]bool, error) {
	applied := make([]bool, len(members))
	if len(members) == 0 {
		return applied, nil
	}
	rows, _ := tx.Query(ctx, s.sql(putMembersSQL), parameters(putColumns.args(members)))
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&n}, func() error { applied[n-1] = true; return nil }); err != nil {
		return nil, err
	}
	return applied, s.whyNotWritten(ctx, tx, members, applied)
}

// whyNotWritten returns an error if nothing was in the way of new members that were not written, but a trigger.
func (s *Store) whyNotWritten(ctx context.Context, tx pgx.Tx, members []member, applied []bool) error {
	var ids []uuid.UUID
	var pools, claimKeys []string
	for i := range members {
		if m := &members[i]; m.Revision == 0 && !leaves(m) && !applied[i] {
			ids, pools, claimKeys = append(ids, m.ID), append(pools, m.Pool), append(claimKeys, m.Claim.Key)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, s.sql(newMembersKeptSQL), keys(ids), pools, claimKeys)
	return err
}

const (
	insertPoolSQL = `
		INSERT INTO dormouse.pools (name, revision, paused, paused_by, failed, failures, failed_at, failure, extra, extra_until)
		VALUES ($1, $2 + 1, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`
	updatePoolSQL = `
		UPDATE dormouse.pools SET revision = revision + 1, paused = $3, paused_by = $4, failed = $5, failures = $6,
			failed_at = $7, failure = $8, extra = $9, extra_until = $10
		WHERE name = $1 AND revision = $2`
	poolCurrentSQL = `
		SELECT coalesce((SELECT revision FROM dormouse.pools WHERE name = $1), 0) = $2`
	selectPoolSQL = `
		SELECT revision, paused, paused_by, failed, failures, failed_at, failure, extra, extra_until
		FROM dormouse.pools WHERE name = $1`
)

// putPool writes a pool's state over the revision it names.
func (s *Store) putPool(ctx context.Context, tx pgx.Tx, p *prewarm.PoolState) error {
	statement := insertPoolSQL
	if p.Revision != 0 {
		statement = updatePoolSQL
	}
	tag, err := tx.Exec(ctx, s.sql(statement), p.Pool, p.Revision, p.Paused, form.Text(p.PausedBy), p.Failures.Version,
		count32(p.Failures.Count), stamp(p.Failures.At), form.Text(p.Failures.Message), count32(p.Extra), stamp(p.ExtraUntil))
	if err != nil || tag.RowsAffected() > 0 {
		return err
	}
	var current bool
	switch err := tx.QueryRow(ctx, s.sql(poolCurrentSQL), p.Pool, p.Revision).Scan(&current); {
	case err != nil:
		return err
	case current:
		return leftOut("it")
	}
	return prewarm.ErrConflict
}

// PoolState implements [prewarm.Store].
func (s *Store) PoolState(ctx context.Context, pool string) (p prewarm.PoolState, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		p = prewarm.PoolState{Pool: pool}
		rows, _ := s.db.Query(ctx, s.sql(selectPoolSQL), pool)
		_, err = pgx.ForEachRow(rows, []any{
			&p.Revision, &p.Paused, &p.PausedBy, &p.Failures.Version, &p.Failures.Count, toTime(&p.Failures.At),
			&p.Failures.Message, &p.Extra, toTime(&p.ExtraUntil),
		}, func() error { return nil })
		normalize(&p.Failures.At, &p.ExtraUntil)
		return err
	})
	if err != nil {
		return prewarm.PoolState{}, fmt.Errorf("read pool %q: %w", pool, err)
	}
	return p, nil
}

// Members implements [prewarm.Store].
func (s *Store) Members(ctx context.Context, q prewarm.Query) (found []prewarm.Member, err error) {
	if q.IDs != nil && len(q.IDs) == 0 || q.Resources != nil && len(q.Resources) == 0 || q.States != nil && len(q.States) == 0 {
		return nil, ctx.Err()
	}
	text, args := membersSQL(&q)
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		found = nil
		rows, _ := s.db.Query(ctx, s.sql(text), args...)
		var r memberRow
		_, err = pgx.ForEachRow(rows, memberFields.targets(&r), func() error {
			found = append(found, r.member())
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read members of pool %q: %w", q.Pool, err)
	}
	return found, nil
}

// membersSQL writes the statement of a query: there are few that differ.
func membersSQL(q *prewarm.Query) (text string, args []any) {
	where, args := []string{"m.pool = $1"}, []any{q.Pool}
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, strings.ReplaceAll(condition, "%", "$"+strconv.Itoa(len(args))))
	}
	if q.IDs != nil {
		add("m.id = ANY (%)", keys(q.IDs))
	}
	if q.Resources != nil {
		add("m.resource = ANY (%)", keys(q.Resources))
	}
	if q.States != nil {
		add("m.state = ANY (%)", stateNumbers(q.States))
	}
	order := "m.id"
	if p := q.Pick; p != nil {
		where = append(where, "m.state = 2")
		add("m.version = %", p.Version)
		add("m.reserved_for = %", p.For)
		if !p.LivesUntil.IsZero() {
			add("(m.deadline IS NULL OR m.deadline >= %)", stamp(p.LivesUntil))
		}
		order = "m.ready_at, m.id"
		if p.Freshest {
			order = "m.ready_at DESC, m.id DESC"
		}
	}
	if !q.DueBy.IsZero() {
		add("m.deadline <= %", instant(q.DueBy))
		order = "m.deadline, m.id"
	}
	text = "SELECT " + memberFields.names() + " FROM dormouse.members m WHERE " + strings.Join(where, " AND ") + " ORDER BY " + order
	if q.Limit > 0 {
		text, args = text+" LIMIT $"+strconv.Itoa(len(args)+1), append(args, q.Limit)
	}
	return text, args
}

func stateNumbers(states []prewarm.State) []int16 {
	numbers := make([]int16, len(states))
	for i, s := range states {
		numbers[i] = int16(s)
	}
	return numbers
}
