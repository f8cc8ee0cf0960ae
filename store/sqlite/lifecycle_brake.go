package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

var (
	_ lifecycle.Braker     = (*Store)(nil)
	_ lifecycle.Settler    = (*Store)(nil)
	_ lifecycle.Subscriber = (*Store)(nil)
)

// AdmitDeletions implements [lifecycle.Braker].
func (s *Store) AdmitDeletions(ctx context.Context, now time.Time, b lifecycle.Brake, due []lifecycle.DueDeletion) (admitted []uuid.UUID, err error) {
	if len(due) == 0 {
		return nil, ctx.Err()
	}
	err = s.write(ctx, func(t *tx) (err error) {
		admitted, err = t.admit(now, b, due)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "admit deletions")
	}
	return admitted, nil
}

func (t *tx) admit(now time.Time, b lifecycle.Brake, due []lifecycle.DueDeletion) ([]uuid.UUID, error) {
	if _, err := t.exec(`DELETE FROM {deletions} WHERE at <= ?`, micros(b.Since(now))); err != nil {
		return nil, err
	}
	admitted, asking, err := t.placed(now, due)
	if len(asking) == 0 {
		return admitted, err
	}
	counts, err := t.deletions(b, asking)
	if err != nil {
		return nil, err
	}
	goes, _ := b.Admit(counts, asking)
	for _, d := range goes {
		_, err := t.exec(`INSERT INTO {deletions} (workspace_id, template_id, at) VALUES (?, ?, ?)`,
			blob(d.WorkspaceID), blob(d.TemplateID), micros(now))
		if err != nil {
			return nil, err
		}
		admitted = append(admitted, d.WorkspaceID)
	}
	return admitted, nil
}

// placed returns the deletions that go without asking the brake, and the others.
func (t *tx) placed(now time.Time, due []lifecycle.DueDeletion) (admitted []uuid.UUID, asking []lifecycle.DueDeletion, err error) {
	e, err := t.engine()
	if err != nil {
		return nil, nil, err
	}
	released := now.Before(e.DeletionsReleasedUntil)
	for _, d := range due {
		goes := released
		if !goes {
			if goes, err = t.queryRow(`SELECT 1 FROM {deletions} WHERE workspace_id = ?`, []any{blob(d.WorkspaceID)}, new(int)); err != nil {
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

// deletions counts what the brake compares, workspaces as far as it has to know.
func (t *tx) deletions(b lifecycle.Brake, due []lifecycle.DueDeletion) (counts lifecycle.Deletions, err error) {
	counts.Templates = map[uuid.UUID]lifecycle.Deletions{}
	for _, d := range due {
		if _, counted := counts.Templates[d.TemplateID]; counted {
			continue
		}
		var c lifecycle.Deletions
		if _, err := t.queryRow(`SELECT count(*) FROM {deletions} WHERE template_id = ?`, []any{blob(d.TemplateID)}, &c.Made); err != nil {
			return counts, err
		}
		_, err := t.queryRow(`SELECT count(*) FROM (SELECT 1 FROM {workspaces} WHERE template_id = ? AND deleted = 0 LIMIT ?)`,
			[]any{blob(d.TemplateID), b.CountTo(c.Made + len(due))}, &c.Workspaces)
		if err != nil {
			return counts, err
		}
		counts.Templates[d.TemplateID] = c
	}
	if _, err := t.queryRow(`SELECT count(*) FROM {deletions}`, nil, &counts.Made); err != nil {
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
