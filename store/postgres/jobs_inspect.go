package postgres

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Jobs implements [queue.Inspector].
func (s *Store) Jobs(ctx context.Context, f queue.Filter) ([]queue.Job, error) {
	var w where
	if f.IDs != nil {
		w.and("j.id = ANY (%s)", keys(f.IDs))
	}
	if f.Process != uuid.Nil {
		w.and("j.state = 1 AND j.process_id = %s", key(f.Process))
	}
	if f.Lane != nil {
		if known, err := s.whereLane(ctx, &w, *f.Lane); !known {
			return nil, err
		}
	}
	if w.text == "" {
		return nil, ctx.Err()
	}
	if f.Organization != nil {
		w.and("j.organization_id = %s", key(*f.Organization))
	}
	if f.Token != uuid.Nil {
		w.and("j.token = %s", key(f.Token))
	}
	if !f.CreatedBefore.IsZero() {
		w.and("j.created_at < %s", f.CreatedBefore)
	}
	text := `SELECT` + jobColumns + ` FROM dormouse.jobs j WHERE true` + w.text + ` ORDER BY j.created_at, j.id`
	if f.Limit > 0 {
		w.args = append(w.args, f.Limit)
		text += fmt.Sprintf(" LIMIT $%d", len(w.args))
	}
	jobs, err := s.queryJobs(ctx, repeatable, text, w.args...)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return jobs, nil
}

// where is a condition in the making.
type where struct {
	text string
	args []any
}

// and adds a condition with one parameter.
func (w *where) and(condition string, arg any) {
	w.args = append(w.args, arg)
	w.text += " AND " + fmt.Sprintf(condition, fmt.Sprintf("$%d", len(w.args)))
}

// whereLane selects the pending jobs of a lane that is known: ready ones through the ready index, and those whose time has not come.
func (s *Store) whereLane(ctx context.Context, w *where, l queue.Lane) (known bool, err error) {
	numbers, err := s.numbersOf(ctx, []queue.TagSet{l.Tags}, false)
	n, known := numbers[l.Tags]
	if !known {
		return false, err
	}
	w.and("(j.ready OR j.state = 0 AND NOT j.ready) AND j.organization_id = %s", key(l.Organization))
	w.and("j.type = %s", l.Type)
	w.and("j.tag_set = %s", n)
	w.and("j.priority = %s", l.Priority)
	return true, nil
}

const linesSQL = `SELECT seq, at, text FROM dormouse.job_lines WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3`

// Lines implements [queue.Inspector].
func (s *Store) Lines(ctx context.Context, job uuid.UUID, after int64, limit int) (lines []queue.Line, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		rows, _ := s.db.Query(ctx, s.sql(linesSQL), key(job), after, max(limit, 0))
		lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l queue.Line, err error) {
			err = row.Scan(&l.Seq, toTime(&l.At), &l.Text)
			normalize(&l.At)
			return l, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the log of job %s: %w", job, err)
	}
	return lines, nil
}

// aheadSQL skips through the lanes of the job's organization, from one ($3 ...) on and so many steps, and counts in each what goes
// before the job: all of a higher priority, nothing of a lower one, and of its own what has a lower number.
const aheadSQL = `
	WITH RECURSIVE mine AS (
		SELECT * FROM dormouse.jobs WHERE id = $2 AND state = 0
	), lane AS (
		SELECT organization_id, $3::text AS type, $4::integer AS tag_set, $5::smallint AS priority, 0 AS step FROM mine
		UNION ALL
		SELECT n.*, l.step + 1 FROM lane l CROSS JOIN LATERAL (
			SELECT organization_id, type, tag_set, priority FROM dormouse.jobs
			WHERE ready AND organization_id = l.organization_id
				AND (type, tag_set, priority) > (l.type, l.tag_set, l.priority)
			ORDER BY type, tag_set, priority LIMIT 1
		) n
		WHERE l.step < $6
	)
	SELECT l.organization_id, l.type, l.tag_set, l.priority, c.n, coalesce(f.place, 0), f.created_at, false, 1, l.step
	FROM lane l CROSS JOIN mine m CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM (
			SELECT FROM dormouse.jobs j
			WHERE ready AND organization_id = l.organization_id AND type = l.type AND tag_set = l.tag_set AND priority = l.priority
				AND l.priority >= m.priority AND (l.priority > m.priority OR (j.place, j.id) < (m.place, m.id))
			ORDER BY j.place, j.id LIMIT $1
		) counted
	) c LEFT JOIN LATERAL (
		SELECT place, created_at FROM dormouse.jobs
		WHERE c.n > 0 AND ready AND organization_id = l.organization_id AND type = l.type AND tag_set = l.tag_set AND priority = l.priority
		ORDER BY place, id LIMIT 1
	) f ON true
	WHERE l.step > 0`

// Ahead implements [queue.Inspector].
func (s *Store) Ahead(ctx context.Context, job uuid.UUID, countTo int) (ahead []queue.ReadyLane, err error) {
	var read standings
	for full := true; full && err == nil; full = read.walk.steps == walkPage {
		var page standings
		at := read.walk.lane
		err = s.do(ctx, repeatable, func(ctx context.Context) error {
			return page.collect(s.db.Query(ctx, s.sql(aheadSQL), countTo, key(job), at.kind, at.tagSet, at.priority, walkPage))
		})
		read.add(page)
	}
	if err == nil {
		ahead, _, err = s.fillLanes(ctx, read)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is ahead of job %s: %w", job, err)
	}
	return ahead, nil
}
