package sqlite

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

var (
	_ lifecycle.Braker     = (*Store)(nil)
	_ lifecycle.Settler    = (*Store)(nil)
	_ lifecycle.Subscriber = (*Store)(nil)
)

// AdmitDeletions implements [lifecycle.Braker]. A deletion whose record the host refuses is not admitted, and tried again a minute later.
func (s *Store) AdmitDeletions(ctx context.Context, now time.Time, b lifecycle.Brake, due []lifecycle.DueDeletion) (admitted []uuid.UUID, err error) {
	if len(due) == 0 {
		return nil, ctx.Err()
	}
	a := admission{now: now, brake: b, due: due, passed: setOf(s.passedDeletions.At(now, nil))}
	err = s.write(ctx, func(t *tx) (err error) {
		admitted, err = a.all(t)
		return err
	})
	if rejects(err) {
		admitted, err = s.admitApart(ctx, a)
	}
	if err != nil {
		return nil, unavailable(err, "admit deletions")
	}
	return admitted, nil
}

// admission asks which deletions go.
type admission struct {
	now   time.Time
	brake lifecycle.Brake
	due   []lifecycle.DueDeletion
	// passed are workspaces whose deletions it does not ask for: their records were refused.
	passed map[uuid.UUID]bool
}

// all admits what there is room for.
func (a *admission) all(t *tx) ([]uuid.UUID, error) {
	if _, err := t.exec(`DELETE FROM {deletions} WHERE at <= ?`, a.since()); err != nil {
		return nil, err
	}
	admitted, goes, err := a.ask(t)
	for i := range goes {
		if err := a.record(t, &goes[i]); err != nil {
			return nil, err
		}
		admitted = append(admitted, goes[i].WorkspaceID)
	}
	return admitted, err
}

// since is from when on deletions count.
func (a *admission) since() any { return micros(a.brake.Since(a.now)) }

// record notes that a deletion was admitted. Its workspace may have a record that is over, and was kept.
func (a *admission) record(t *tx, d *lifecycle.DueDeletion) error {
	return t.execOne(`INSERT INTO {deletions} (workspace_id, template_id, at) VALUES (?, ?, ?)
		ON CONFLICT (workspace_id) DO UPDATE SET template_id = excluded.template_id, at = excluded.at`,
		blob(d.WorkspaceID), blob(d.TemplateID), micros(a.now))
}

// ask returns the deletions that have their place, and those that the brake lets go.
func (a *admission) ask(t *tx) (placed []uuid.UUID, goes []lifecycle.DueDeletion, err error) {
	placed, asking, err := a.placed(t)
	asking = slices.DeleteFunc(asking, func(d lifecycle.DueDeletion) bool { return a.passed[d.WorkspaceID] })
	if err != nil || len(asking) == 0 {
		return placed, nil, err
	}
	counts, err := t.deletions(a.since(), a.brake, asking)
	if err != nil {
		return nil, nil, err
	}
	goes, _ = a.brake.Admit(counts, asking)
	return placed, goes, nil
}

// admitApart admits what there is room for beside records that the host refuses: new ones wait for a minute, and leave their room to others, and
// old ones stay.
func (s *Store) admitApart(ctx context.Context, a admission) (admitted []uuid.UUID, err error) {
	if _, err := a.forgetting().run(ctx, s, math.MaxInt); err != nil {
		return nil, err
	}
	l := lineApart[uuid.UUID]{what: "workspace", message: "deletions cannot be admitted", passed: a.passed}
	l.remember = func(workspace uuid.UUID, _ error) { s.passedDeletions.Add(a.now, workspace, uuid.Nil) }
	l.take = func(t *tx, limit int) ([]uuid.UUID, error) { return a.take(t, &l, limit) }
	if err := l.run(ctx, s, len(a.due)); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(t *tx) (err error) {
		admitted, _, err = a.ask(t)
		return err
	})
	return admitted, err
}

// take records up to limit deletions that go. Where some are refused, others go that the brake held back behind them.
func (a *admission) take(t *tx, l *lineApart[uuid.UUID], limit int) (recorded []uuid.UUID, err error) {
	for len(recorded) < limit {
		a.passed = l.passed
		_, goes, err := a.ask(t)
		if err != nil || len(goes) == 0 {
			return recorded, err
		}
		for _, d := range goes[:min(len(goes), limit-len(recorded))] {
			done, err := l.attempt(t, d.WorkspaceID, func() error { return a.record(t, &d) })
			if err != nil {
				return recorded, err
			}
			if done {
				recorded = append(recorded, d.WorkspaceID)
			}
		}
	}
	return recorded, nil
}

// forgetting deletes the records that count no more, but for those that the host keeps.
func (a *admission) forgetting() pruning[uuid.UUID] {
	return pruning[uuid.UUID]{
		what: "record of a deletion",
		page: func(t *tx, limit int, passed []uuid.UUID) ([]uuid.UUID, error) {
			return keys(t, func(id *uuid.UUID) []any { return []any{id} }, `SELECT workspace_id FROM {deletions} WHERE at <= ?
				ORDER BY at, workspace_id LIMIT ? OFFSET ?`, a.since(), limit, len(passed))
		},
		remove: func(t *tx, id uuid.UUID) (bool, error) {
			return true, t.execOne(`DELETE FROM {deletions} WHERE workspace_id = ?`, blob(id))
		},
	}
}

// placed returns the deletions that go without asking the brake, and the others.
// Records that are over, and that the host has kept, give no place.
func (a *admission) placed(t *tx) (admitted []uuid.UUID, asking []lifecycle.DueDeletion, err error) {
	e, err := t.engine()
	if err != nil {
		return nil, nil, err
	}
	released := a.now.Before(e.DeletionsReleasedUntil)
	for _, d := range a.due {
		goes := released
		if !goes {
			if goes, err = t.queryRow(`SELECT 1 FROM {deletions} WHERE workspace_id = ? AND at > ?`, []any{blob(d.WorkspaceID), a.since()}, new(int)); err != nil {
				return nil, nil, err
			}
		}
		if goes {
			admitted = append(admitted, d.WorkspaceID)
		} else {
			asking = append(asking, d)
		}
	}
	return admitted, asking, nil
}

// deletions counts what the brake compares, workspaces as far as it has to know. Records that the host has kept for longer do not count.
func (t *tx) deletions(since any, b lifecycle.Brake, due []lifecycle.DueDeletion) (counts lifecycle.Deletions, err error) {
	counts.Templates = map[uuid.UUID]lifecycle.Deletions{}
	for _, d := range due {
		if _, counted := counts.Templates[d.TemplateID]; counted {
			continue
		}
		var c lifecycle.Deletions
		if _, err := t.queryRow(`SELECT count(*) FROM {deletions} WHERE template_id = ? AND at > ?`, []any{blob(d.TemplateID), since}, &c.Made); err != nil {
			return counts, err
		}
		_, err := t.queryRow(`SELECT count(*) FROM (SELECT 1 FROM {workspaces} WHERE template_id = ? AND deleted = 0 LIMIT ?)`,
			[]any{blob(d.TemplateID), b.CountTo(c.Made + len(due))}, &c.Workspaces)
		if err != nil {
			return counts, err
		}
		counts.Templates[d.TemplateID] = c
	}
	if _, err := t.queryRow(`SELECT count(*) FROM {deletions} WHERE at > ?`, []any{since}, &counts.Made); err != nil {
		return counts, err
	}
	_, err = t.queryRow(`SELECT count(*) FROM (SELECT 1 FROM {workspaces} WHERE deleted = 0 LIMIT ?)`,
		[]any{b.CountTo(counts.Made + len(due))}, &counts.Workspaces)
	return counts, err
}

// engine reads what concerns all workspaces.
func (t *tx) engine() (lifecycle.Engine, error) {
	var state []byte
	_, err := t.queryRow(`SELECT state FROM {engine} WHERE one = 1`, nil, &state)
	return lifecycle.ReadEngine(state), err
}

func (t *tx) putEngine(e lifecycle.Engine) error {
	state, err := e.MarshalState()
	if err != nil {
		return err
	}
	return t.execOne(`INSERT INTO {engine} (one, state) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET state = excluded.state`, string(state))
}

// Ticked implements [lifecycle.Settler].
func (s *Store) Ticked(ctx context.Context, now time.Time, interval, settle time.Duration) (until time.Time, err error) {
	err = s.write(ctx, func(t *tx) (err error) {
		until, err = t.ticked(now, interval, settle)
		return err
	})
	if err != nil {
		return time.Time{}, unavailable(err, "record a tick")
	}
	return until, nil
}

func (t *tx) ticked(now time.Time, interval, settle time.Duration) (time.Time, error) {
	var last time.Time
	if _, err := t.queryRow(`SELECT at FROM {ticks} WHERE one = 1`, nil, into(&last)); err != nil {
		return time.Time{}, err
	}
	if _, err := t.exec(`INSERT INTO {ticks} (one, at) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET at = max(at, excluded.at)`, micros(now)); err != nil {
		return time.Time{}, err
	}
	e, err := t.engine()
	if err != nil {
		return time.Time{}, err
	}
	until := e.Settle(last, now, interval, settle)
	if until.IsZero() {
		return until, nil
	}
	return until, t.putEngine(e)
}

// ChangeTopics implements [lifecycle.Subscriber].
func (s *Store) ChangeTopics(ctx context.Context, add, remove lifecycle.Topics) error {
	err := s.write(ctx, func(t *tx) error {
		e, err := t.engine()
		if err != nil {
			return err
		}
		before := e.Topics
		if e.Topics = before&^remove | add; e.Topics == before {
			return nil
		}
		return t.putEngine(e)
	})
	return unavailable(err, "change topics")
}
