package postgres

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/refusal"
)

var (
	_ lifecycle.Braker     = (*Store)(nil)
	_ lifecycle.Settler    = (*Store)(nil)
	_ lifecycle.Subscriber = (*Store)(nil)
)

// lockDeletionsSQL has those that ask for deletions do it one after another. Reading and other writes go on.
const lockDeletionsSQL = `LOCK TABLE dormouse.deletions IN SHARE ROW EXCLUSIVE MODE`

// deletionsOver are records that count no more. What somebody holds is left for the next time.
var deletionsOver = tidying{"record of a deletion", "deletions", `
		SELECT d.ctid AS place, d.workspace_id::text AS name FROM dormouse.deletions d WHERE d.at <= $1 FOR UPDATE SKIP LOCKED`}

// placedSQL finds the deletions that have their place: records that are over and are kept all the same give none.
const placedSQL = `SELECT workspace_id FROM dormouse.deletions WHERE workspace_id = ANY ($1) AND at > $2`

// countDeletionsSQL counts for each template what was made, and as many workspaces as the brake has to know; the nil template
// stands for all of them. $2 is how many deletions are due, $3 the workspaces to count for each that is due or made, $4 from when on one
// that was made counts.
const countDeletionsSQL = `
	SELECT c.template_id, c.made, CASE WHEN c.template_id = '00000000-0000-0000-0000-000000000000'
		THEN (SELECT count(*) FROM (SELECT FROM dormouse.workspaces w WHERE NOT w.deleted LIMIT $3 * (c.made + $2)) few)
		ELSE (SELECT count(*) FROM (SELECT FROM dormouse.workspace_keys k WHERE k.template_id = c.template_id AND ` + keptKey + ` LIMIT $3 * (c.made + $2)) few)
	END
	FROM (
		SELECT t.template_id, (SELECT count(*) FROM dormouse.deletions d WHERE d.template_id = t.template_id AND d.at > $4) AS made
		FROM unnest($1::uuid[]) AS t (template_id)
		UNION ALL
		SELECT '00000000-0000-0000-0000-000000000000', count(*) FROM dormouse.deletions d WHERE d.at > $4
	) c`

// admitSQL records deletions, all of them or, with an error, none. A workspace may have a record that is over, and was kept.
var admitSQL = `
	WITH admitted AS (
		INSERT INTO dormouse.deletions (workspace_id, template_id, at)
		SELECT workspace_id, template_id, $3 FROM unnest($1::uuid[], $2::uuid[]) AS a (workspace_id, template_id)
		ON CONFLICT (workspace_id) DO UPDATE SET template_id = excluded.template_id, at = excluded.at
		RETURNING 1
	)
	SELECT NULL::uuid FROM admitted` +
	leftOutSQL("deletions", 0, `FROM unnest($1::uuid[]) HAVING count(*) > (SELECT count(*) FROM admitted)`)

// AdmitDeletions implements [lifecycle.Braker]. A deletion whose record the host refuses is not admitted, and tried again a minute later.
func (s *Store) AdmitDeletions(ctx context.Context, now time.Time, b lifecycle.Brake, due []lifecycle.DueDeletion) ([]uuid.UUID, error) {
	if len(due) == 0 {
		return nil, ctx.Err()
	}
	a := admission{Store: s, now: now, brake: b, due: due}
	err := a.attempt(ctx, a.all)
	if ofOneRow(err) {
		err = a.attempt(ctx, a.apart)
	}
	s.warn(ctx, "rows cannot be pruned", deletionsOver.what, a.kept)
	s.warn(ctx, "deletions cannot be admitted", "workspace", a.refused)
	if err != nil {
		return nil, wrap(err, "admit deletions")
	}
	return a.admitted, nil
}

// admission asks which deletions go.
type admission struct {
	*Store
	now   time.Time
	brake lifecycle.Brake
	due   []lifecycle.DueDeletion
	// passed are workspaces whose deletions it does not ask for: their records were refused.
	passed        map[key]bool
	admitted      []uuid.UUID
	kept, refused refusals
}

// attempt admits deletions in a transaction, one after another with those of other replicas.
func (a *admission) attempt(ctx context.Context, admit func(context.Context, pgx.Tx) error) error {
	return a.do(ctx, repeatable, func(ctx context.Context) error {
		a.admitted, a.kept, a.refused, a.passed = nil, refusals{}, refusals{}, map[key]bool{}
		for _, workspace := range a.passedDeletions.At(a.now, nil) {
			a.passed[workspace] = true
		}
		return pgx.BeginFunc(ctx, a.db, func(tx pgx.Tx) error {
			// What others have admitted is seen behind the lock, whatever the host's isolation is.
			if _, err := tx.Exec(ctx, `SET TRANSACTION ISOLATION LEVEL READ COMMITTED`); err != nil {
				return err
			}
			if err := a.boundWaits(ctx, tx); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, a.sql(lockDeletionsSQL)); err != nil {
				return err
			}
			return admit(ctx, tx)
		})
	})
}

// all admits what there is room for.
func (a *admission) all(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, a.sql(deletionsOver.deleteAll()), a.brake.Since(a.now)); err != nil {
		return asHeld(err)
	}
	placed, goes, err := a.ask(ctx, tx)
	a.admitted = placed
	if err != nil || len(goes) == 0 {
		return err
	}
	return a.record(ctx, tx, goes)
}

// apart admits what there is room for beside records that the host refuses: new ones wait for a minute, and leave their room to others, and old
// ones stay.
func (a *admission) apart(ctx context.Context, tx pgx.Tx) error {
	if err := a.rowByRow(ctx, tx); err != nil {
		return err
	}
	if err := a.tidyApart(ctx, tx, deletionsOver, []any{a.brake.Since(a.now)}, &a.kept); err != nil {
		return err
	}
	placed, goes, err := a.ask(ctx, tx)
	a.admitted = placed
	for err == nil && len(goes) > 0 {
		before := a.refused.N
		if err = a.recordApart(ctx, tx, goes); err != nil || a.refused.N == before || a.refused.N >= refusal.Max {
			return err
		}
		_, goes, err = a.ask(ctx, tx)
	}
	return err
}

// ask returns the deletions that have their place, and those that the brake lets go.
func (a *admission) ask(ctx context.Context, tx pgx.Tx) (placed []uuid.UUID, goes []lifecycle.DueDeletion, err error) {
	placed, asking, err := a.placed(ctx, tx)
	asking = slices.DeleteFunc(asking, func(d lifecycle.DueDeletion) bool { return a.passed[key(d.WorkspaceID)] })
	if err != nil || len(asking) == 0 {
		return placed, nil, err
	}
	counts, err := a.deletions(ctx, tx, a.now, a.brake, asking)
	if err != nil {
		return nil, nil, err
	}
	goes, _ = a.brake.Admit(counts, asking)
	return placed, goes, nil
}

func (a *admission) record(ctx context.Context, tx pgx.Tx, goes []lifecycle.DueDeletion) error {
	var workspaces, templates []key
	for _, d := range goes {
		workspaces, templates = append(workspaces, key(d.WorkspaceID)), append(templates, key(d.TemplateID))
	}
	if _, err := tx.Exec(ctx, a.sql(admitSQL), workspaces, templates, a.now); err != nil {
		return asHeld(err)
	}
	for _, d := range goes {
		a.admitted = append(a.admitted, d.WorkspaceID)
	}
	return nil
}

func (a *admission) recordApart(ctx context.Context, tx pgx.Tx, goes []lifecycle.DueDeletion) error {
	return byHalves(ctx, tx, 0, len(goes), func(tx pgx.Tx, from, to int) error {
		return a.record(ctx, tx, goes[from:to])
	}, func(i int, why error) {
		workspace := key(goes[i].WorkspaceID)
		a.passed[workspace] = true
		a.refused.Add(goes[i].WorkspaceID, why)
		a.passedDeletions.Add(a.now, workspace, uuid.Nil)
	})
}

// placed returns the deletions that go without asking the brake, and the others.
func (a *admission) placed(ctx context.Context, tx pgx.Tx) (admitted []uuid.UUID, asking []lifecycle.DueDeletion, err error) {
	e, err := a.engineOf(ctx, tx, engineSQL)
	if err != nil {
		return nil, nil, err
	}
	var ids []uuid.UUID
	for _, d := range a.due {
		ids = append(ids, d.WorkspaceID)
	}
	if a.now.Before(e.DeletionsReleasedUntil) {
		return ids, nil, nil
	}
	rows, _ := tx.Query(ctx, a.sql(placedSQL), keys(ids), a.brake.Since(a.now))
	placed := map[uuid.UUID]bool{}
	var id uuid.UUID
	if _, err := pgx.ForEachRow(rows, []any{toID(&id)}, func() error { placed[id] = true; return nil }); err != nil {
		return nil, nil, err
	}
	for _, d := range a.due {
		if placed[d.WorkspaceID] {
			admitted = append(admitted, d.WorkspaceID)
		} else {
			asking = append(asking, d)
		}
	}
	return admitted, asking, nil
}

// deletions counts what the brake compares.
func (s *Store) deletions(ctx context.Context, tx pgx.Tx, now time.Time, b lifecycle.Brake, due []lifecycle.DueDeletion) (counts lifecycle.Deletions, err error) {
	counts.Templates = map[uuid.UUID]lifecycle.Deletions{}
	var templates []key
	for _, d := range due {
		if _, known := counts.Templates[d.TemplateID]; !known {
			counts.Templates[d.TemplateID] = lifecycle.Deletions{}
			templates = append(templates, key(d.TemplateID))
		}
	}
	rows, _ := tx.Query(ctx, s.sql(countDeletionsSQL), templates, len(due), b.CountTo(1), b.Since(now))
	var template uuid.UUID
	var c lifecycle.Deletions
	_, err = pgx.ForEachRow(rows, []any{toID(&template), &c.Made, &c.Workspaces}, func() error {
		if template == uuid.Nil {
			counts.Workspaces, counts.Made = c.Workspaces, c.Made
		} else {
			counts.Templates[template] = c
		}
		return nil
	})
	return counts, err
}

// tickedSQL records a tick where there is no gap before it, and in a store that has seen none: then it is all there is to do.
const tickedSQL = `
	INSERT INTO dormouse.ticks AS t (at) VALUES ($1)
	ON CONFLICT (one) DO UPDATE SET at = greatest(t.at, excluded.at)
	WHERE t.at >= $2`

const (
	lastTickSQL = `SELECT at FROM dormouse.ticks FOR UPDATE`
	seenTickSQL = `SELECT at FROM dormouse.ticks`
	setTickSQL  = `UPDATE dormouse.ticks SET at = greatest(at, $1)`
)

// Ticked implements [lifecycle.Settler].
func (s *Store) Ticked(ctx context.Context, now time.Time, interval, settle time.Duration) (until time.Time, err error) {
	until, err = s.ticked(ctx, now, interval, settle)
	if errors.Is(err, errHeld) {
		until, err = s.tickedBeside(ctx, now, interval, settle)
	}
	if err == nil {
		s.lastTick.note(now)
	}
	return until, wrap(err, "record a tick")
}

func (s *Store) ticked(ctx context.Context, now time.Time, interval, settle time.Duration) (until time.Time, err error) {
	gap := false
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		// No tick of the last interval is missed, whatever Settle allows beyond it.
		return s.patient(ctx, batchWaitSQL, tickedSQL, []any{now, now.Add(-interval)}, func(rows pgx.Rows) error {
			rows.Close()
			gap = rows.CommandTag().RowsAffected() == 0
			return rows.Err()
		})
	})
	if err == nil && gap {
		err = s.do(ctx, repeatable, func(ctx context.Context) error {
			return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) (err error) {
				until, err = s.settle(ctx, tx, now, interval, settle)
				return err
			})
		})
	}
	return until, err
}

// tickedBeside is for a row that a session holds which was left open: no tick could be made until it ends. The tick is not
// recorded then. What this process knows of its own ticks takes the place of the record, so that its ticks are no gaps.
func (s *Store) tickedBeside(ctx context.Context, now time.Time, interval, settle time.Duration) (until time.Time, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
			var last time.Time
			if err := tx.QueryRow(ctx, s.sql(seenTickSQL)).Scan(toTime(&last)); err != nil {
				return err
			}
			last = s.lastTick.after(last)
			if until = (time.Time{}); !last.Before(now.Add(-interval)) {
				return nil
			}
			e, err := s.lockEngine(ctx, tx)
			if err != nil {
				return err
			}
			if until = e.Settle(last, now, interval, settle); until.IsZero() {
				return nil
			}
			return s.writeEngine(ctx, tx, e)
		})
	})
	return until, err
}

// lastTick is the latest tick that went through this store, in microseconds; 0 for none.
type lastTick struct{ at atomic.Int64 }

func (l *lastTick) note(now time.Time) {
	for at := l.at.Load(); now.UnixMicro() > at && !l.at.CompareAndSwap(at, now.UnixMicro()); at = l.at.Load() {
	}
}

// after returns the later one.
func (l *lastTick) after(t time.Time) time.Time {
	if mine := time.UnixMicro(l.at.Load()).UTC(); mine.After(t) {
		return mine
	}
	return t
}

func (s *Store) settle(ctx context.Context, tx pgx.Tx, now time.Time, interval, settle time.Duration) (until time.Time, err error) {
	e, err := s.lockEngine(ctx, tx)
	if err != nil {
		return time.Time{}, err
	}
	var last time.Time
	if err := tx.QueryRow(ctx, s.sql(lastTickSQL)).Scan(toTime(&last)); err != nil {
		return time.Time{}, err
	}
	if _, err := tx.Exec(ctx, s.sql(setTickSQL), now); err != nil {
		return time.Time{}, err
	}
	// A tick of this process that could not be recorded was one all the same.
	if until = e.Settle(s.lastTick.after(last), now, interval, settle); until.IsZero() {
		return until, nil
	}
	return until, s.writeEngine(ctx, tx, e)
}

const (
	engineSQL = `SELECT state FROM dormouse.engine`
	// ensureEngineSQL makes the row that lockEngineSQL locks.
	ensureEngineSQL = `INSERT INTO dormouse.engine (state) VALUES ('{}') ON CONFLICT (one) DO NOTHING`
	lockEngineSQL   = engineSQL + ` FOR UPDATE`
	putEngineSQL    = `UPDATE dormouse.engine SET state = $1::text::json`
)

// lockEngine reads what concerns all workspaces, so that nobody else writes it before the transaction ends.
func (s *Store) lockEngine(ctx context.Context, tx pgx.Tx) (lifecycle.Engine, error) {
	if err := s.boundWaits(ctx, tx); err != nil {
		return lifecycle.Engine{}, err
	}
	if _, err := tx.Exec(ctx, s.sql(ensureEngineSQL)); err != nil {
		return lifecycle.Engine{}, err
	}
	return s.engineOf(ctx, tx, lockEngineSQL)
}

func (s *Store) engineOf(ctx context.Context, q rowQuerier, text string) (lifecycle.Engine, error) {
	var state []byte
	err := q.QueryRow(ctx, s.sql(text)).Scan((*rawJSON)(&state))
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return s.engines.get(state), err
}

func (s *Store) writeEngine(ctx context.Context, tx pgx.Tx, e lifecycle.Engine) error {
	state, err := e.MarshalState()
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, s.sql(putEngineSQL), string(state))
	if err == nil && tag.RowsAffected() == 0 {
		err = leftOut("what concerns all workspaces")
	}
	return err
}

// ChangeTopics implements [lifecycle.Subscriber].
func (s *Store) ChangeTopics(ctx context.Context, add, remove lifecycle.Topics) error {
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
			e, err := s.lockEngine(ctx, tx)
			if err != nil {
				return err
			}
			before := e.Topics
			if e.Topics = before&^remove | add; e.Topics == before {
				return nil
			}
			return s.writeEngine(ctx, tx, e)
		})
	})
	return wrap(err, "change topics")
}
