package postgres

import (
	"context"
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
}

// setMarkSQL begins anew if an earlier change is not worked off yet: whoever does that does not delete the new mark.
const setMarkSQL = `
	INSERT INTO dormouse.marks AS m (subject, owner, due_at) VALUES ($1, $2, $3)
	ON CONFLICT (subject) DO UPDATE SET
		due_at = excluded.due_at, generation = m.generation + 1, touched_at = clock_timestamp()
	RETURNING generation`

// wakeTemplateSQL and wakeOwnerSQL wake the next workspaces of a template or owner. A new revision keeps every decision
// from the old policy from being committed. Deleted workspaces have no decisions.
const (
	wakeTemplateSQL = `
	WITH page AS (
		SELECT id FROM dormouse.workspaces
		WHERE template_id = $1 AND id > $2 AND NOT deleted` + wakePageSQL
	wakeOwnerSQL = `
	WITH page AS (
		SELECT id FROM dormouse.workspaces
		WHERE owner_id = $1 AND id > $2 AND NOT deleted` + wakePageSQL
	wakePageSQL = `
		ORDER BY id LIMIT $4
		FOR NO KEY UPDATE
	), woken AS (
		UPDATE dormouse.workspaces w SET wake_at = least(w.wake_at, $3), revision = w.revision + 1
		FROM page WHERE w.id = page.id
	), touched AS (
		UPDATE dormouse.marks SET touched_at = clock_timestamp() WHERE subject = $1
	)
	SELECT id FROM page ORDER BY id DESC LIMIT 1`
)

const deleteMarkSQL = `DELETE FROM dormouse.marks WHERE subject = $1 AND generation = $2`

// workOff wakes the workspaces of a mark, page by page, and deletes the mark.
func (s *Store) workOff(ctx context.Context, m mark) error {
	defer s.low.write(m.dueAt)()
	for after := uuid.Nil; ; {
		n, last, err := s.wakePage(ctx, m, after)
		if err != nil {
			return err
		}
		if n > 0 {
			s.notify()
		}
		if after = last; n < 1 {
			break
		}
	}
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, s.sql(deleteMarkSQL), key(m.subject), m.generation)
		return err
	})
}

// wakePage wakes the page behind an id. Waking a workspace twice, after a lost answer, does no harm.
func (s *Store) wakePage(ctx context.Context, m mark, after uuid.UUID) (n int, last uuid.UUID, err error) {
	text := wakeTemplateSQL
	if m.owner {
		text = wakeOwnerSQL
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		n = 0
		rows, err := s.db.Query(ctx, s.sql(text), key(m.subject), key(after), m.dueAt, markPage)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{toID(&last)}, func() error { n++; return nil })
		return err
	})
	return n, last, err
}

// takeMarkSQL takes a mark that nobody has worked on for a while.
const takeMarkSQL = `
	UPDATE dormouse.marks SET touched_at = clock_timestamp()
	WHERE subject = (
		SELECT subject FROM dormouse.marks
		WHERE touched_at < clock_timestamp() - interval '10 seconds'
		LIMIT 1 FOR UPDATE SKIP LOCKED
	)
	RETURNING subject, owner, due_at, generation`

// resumeMarks finishes what processes that died have left.
func (s *Store) resumeMarks(ctx context.Context) error {
	for {
		var m mark
		found := false
		err := s.do(ctx, repeatable, func(ctx context.Context) error {
			rows, err := s.db.Query(ctx, s.sql(takeMarkSQL))
			if err != nil {
				return err
			}
			_, err = pgx.ForEachRow(rows, []any{toID(&m.subject), &m.owner, &m.dueAt, &m.generation},
				func() error { found = true; return nil })
			return err
		})
		if err != nil || !found {
			return err
		}
		if err := s.workOff(ctx, m); err != nil {
			return err
		}
	}
}
