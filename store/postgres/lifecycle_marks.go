package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// markPage is how many workspaces are woken in one transaction: their rows stay locked until it commits.
const markPage = 1000

// mark says that the workspaces of a template or owner are to be due at an instant. It is written with the change of the
// template or owner and deleted when all of them are; in between it survives the process that works it off.
type mark struct {
	subject    uuid.UUID
	owner      bool
	dueAt      time.Time
	generation int64
	found      bool // left behind by somebody
}

// setMarkSQL begins anew if an earlier change is not worked off yet: whoever does that does not delete the new mark.
const setMarkSQL = `
	INSERT INTO dormouse.marks AS m (subject, owner, due_at) VALUES ($1, $2, $3)
	ON CONFLICT (subject) DO UPDATE SET
		due_at = excluded.due_at, generation = m.generation + 1, touched_at = clock_timestamp()
	RETURNING generation`

// wakeTemplateSQL and wakeOwnerSQL wake the next workspaces of a template or owner. A new revision keeps every decision
// from the old policy from being committed. Deleted workspaces have no decisions.
//
// Rows that somebody holds are left out and returned: a session that was left open must not keep the others from being
// woken, nor the ticks that finish what another process has begun.
const (
	wakeTemplateSQL = `
	WITH page AS MATERIALIZED (
		SELECT id FROM dormouse.workspace_keys WHERE template_id = $1 AND id > $2` + wakePageSQL
	wakeOwnerSQL = `
	WITH page AS MATERIALIZED (
		SELECT id FROM dormouse.workspace_keys WHERE owner_id = $1 AND id > $2` + wakePageSQL
	// wakeOneSQL is for the mark of a single workspace.
	wakeOneSQL = `
	WITH page AS MATERIALIZED (
		SELECT id FROM dormouse.workspace_keys WHERE id = $1 AND id > $2` + wakePageSQL
	wakePageSQL = `
		ORDER BY id LIMIT $4
	), free AS (
		SELECT w.id FROM dormouse.workspaces w JOIN page ON page.id = w.id
		WHERE NOT w.deleted
		ORDER BY w.id
		FOR NO KEY UPDATE OF w SKIP LOCKED
	), woken AS (
		UPDATE dormouse.workspaces w SET wake_at = least(w.wake_at, $3), revision = w.revision + 1
		FROM free WHERE w.id = free.id
	)
	SELECT page.id, free.id IS NULL AND EXISTS (SELECT FROM dormouse.workspaces w WHERE w.id = page.id AND NOT w.deleted)
	FROM page LEFT JOIN free ON free.id = page.id ORDER BY page.id`
)

const deleteMarkSQL = `DELETE FROM dormouse.marks WHERE subject = $1 AND generation = $2`

// workOff wakes the workspaces of a mark, page by page, and deletes the mark. A workspace that cannot be woken, because its
// row is held, gets a mark of its own, which whoever ticks works off; one whose row refuses to be written keeps its wake.
func (s *Store) workOff(ctx context.Context, m mark) error {
	defer s.low.write(m.dueAt)()
	texts := []string{wakeTemplateSQL}
	switch {
	case m.owner:
		texts = []string{wakeOwnerSQL}
	case m.found:
		texts = append(texts, wakeOneSQL) // nobody knows whose mark it is
	}
	var held []key
	for _, text := range texts {
		more, err := s.wakeAll(ctx, m, text)
		if err != nil {
			return err
		}
		held = append(held, more...)
	}
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue(batchWaitSQL)
		b.Queue(s.sql(deleteMarkSQL), key(m.subject), m.generation)
		b.Queue(s.sql(markHeldSQL), held, m.dueAt)
		return s.send(ctx, &b, func(r pgx.BatchResults) error {
			skip(r, b.Len())
			return nil
		})
	})
	return heldByOthers(err)
}

// markHeldSQL leaves workspaces that could not be woken for later.
const markHeldSQL = `
	INSERT INTO dormouse.marks AS m (subject, owner, due_at)
	SELECT id, false, $2 FROM unnest($1::uuid[]) AS h (id)
	ON CONFLICT (subject) DO UPDATE SET
		due_at = least(m.due_at, excluded.due_at), generation = m.generation + 1, touched_at = clock_timestamp()`

// wakeAll wakes the workspaces that a statement finds, and returns those that somebody holds. A page that is refused is made
// smaller, until the row at fault is alone and passed over.
func (s *Store) wakeAll(ctx context.Context, m mark, text string) (held []key, err error) {
	limit := markPage
	for after := uuid.Nil; ; {
		page, err := s.wakePage(ctx, text, m, after, limit)
		switch {
		case err != nil && classify(err) == refused && ctx.Err() == nil && limit > 1:
			limit /= 2
			continue
		case err != nil && classify(err) == refused && ctx.Err() == nil:
			if page, err = s.passOver(ctx, text, m, after, err); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		}
		if len(page) == 0 {
			return held, nil
		}
		s.notify()
		for _, w := range page {
			if w.held {
				held = append(held, key(w.id))
			}
		}
		if len(page) == limit { // there are more
			if err := s.touch(ctx, m); err != nil {
				return nil, err
			}
		}
		after, limit = page[len(page)-1].id, min(2*limit, markPage)
	}
}

// touch says that a mark is being worked on. Where the host keeps it from being written, or somebody holds it, somebody else may work on it, too.
func (s *Store) touch(ctx context.Context, m mark) error {
	_, err := s.changeUnheld(ctx, aloneWaitSQL, `UPDATE dormouse.marks SET touched_at = clock_timestamp() WHERE subject = $1`, key(m.subject))
	if ofOneRow(err) {
		return nil
	}
	return err
}

// passOver returns the workspace behind an id, which cannot be woken. It may have gone.
func (s *Store) passOver(ctx context.Context, text string, m mark, after uuid.UUID, why error) ([]wokenRow, error) {
	column := "template_id"
	switch {
	case text == wakeOneSQL:
		column = "id"
	case m.owner:
		column = "owner_id"
	}
	var id uuid.UUID
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.db.QueryRow(ctx, s.sql(`SELECT id FROM dormouse.workspace_keys WHERE `+column+` = $1 AND id > $2 ORDER BY id LIMIT 1`),
			key(m.subject), key(after)).Scan(toID(&id))
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.cfg.Logger.ErrorContext(ctx, "postgres: workspace cannot be woken", "workspace_id", id, "error", why)
	return []wokenRow{{id: id}}, nil
}

// wokenRow is a workspace of a page; held says that it was not woken, because somebody holds its row.
type wokenRow struct {
	id   uuid.UUID
	held bool
}

// wakePage wakes the page behind an id. Waking a workspace twice, after a lost answer, does no harm.
func (s *Store) wakePage(ctx context.Context, text string, m mark, after uuid.UUID, limit int) (page []wokenRow, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		page = nil
		rows, _ := s.db.Query(ctx, s.sql(text), key(m.subject), key(after), m.dueAt, limit)
		var w wokenRow
		_, err = pgx.ForEachRow(rows, []any{toID(&w.id), &w.held}, func() error { page = append(page, w); return nil })
		return err
	})
	return page, err
}

const (
	// abandonedMarkSQL finds the next mark that nobody has worked on for a while.
	abandonedMarkSQL = `SELECT subject FROM dormouse.marks WHERE touched_at < clock_timestamp() - interval '10 seconds' AND subject > $1
		ORDER BY subject LIMIT 1`
	// takeMarkSQL takes it, unless somebody else does.
	takeMarkSQL = `
	UPDATE dormouse.marks SET touched_at = clock_timestamp()
	WHERE subject = (
		SELECT subject FROM dormouse.marks WHERE subject = $1 AND touched_at < clock_timestamp() - interval '10 seconds' FOR UPDATE SKIP LOCKED
	)
	RETURNING owner, due_at, generation`
)

// later takes in that the workspaces of a change which is written could not be woken. It is no failure of the change, which
// would be made twice if it were reported as one: whoever asks what is due works the mark off.
func (s *Store) later(ctx context.Context, err error) {
	if err != nil {
		s.cfg.Logger.WarnContext(ctx, "postgres: workspaces hear of a change when it is asked what is due", "error", err)
	}
}

// resumeMarks finishes what processes that died have left, but for marks that the host keeps from being written or deleted: everybody else
// would wait behind them.
func (s *Store) resumeMarks(ctx context.Context) error {
	for m := (mark{found: true}); ; {
		found, err := s.one(ctx, abandonedMarkSQL, m.subject, toID(&m.subject))
		if err != nil || !found {
			return err
		}
		taken, err := s.one(ctx, takeMarkSQL, m.subject, &m.owner, &m.dueAt, &m.generation)
		if err == nil && taken {
			err = s.workOff(ctx, m)
		}
		if ofOneRow(err) {
			s.cfg.Logger.WarnContext(ctx, "postgres: the mark of a change cannot be written, and workspaces hear of it when their wake comes",
				"subject", m.subject, "error", err)
		} else if err != nil {
			return err
		}
	}
}
