package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Jobs implements [queue.Inspector].
func (s *Store) Jobs(ctx context.Context, f queue.Filter) (jobs []queue.Job, err error) {
	if f.IDs == nil && f.Process == uuid.Nil && f.Lane == nil {
		return nil, ctx.Err()
	}
	err = s.view(ctx, func(t *tx) error {
		jobs, err = t.filtered(&f)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "read jobs")
	}
	return jobs, nil
}

func (t *tx) filtered(f *queue.Filter) ([]queue.Job, error) {
	statement, args := `SELECT`+jobColumns+`FROM {jobs} WHERE TRUE`, []any(nil)
	where := func(condition string, values ...any) {
		statement, args = statement+` AND `+condition, append(args, values...)
	}
	if f.IDs != nil {
		where(`id IN (SELECT unhex(value) FROM json_each(?))`, hexList(f.IDs))
	}
	if f.Process != uuid.Nil {
		where(`state = 2 AND process_id = ?`, blob(f.Process))
	}
	if f.Organization != nil {
		where(`organization_id = ?`, blob(*f.Organization))
	}
	if f.Token != uuid.Nil {
		where(`token = ?`, blob(f.Token))
	}
	if f.Lane != nil {
		lane, err := t.findLane(*f.Lane)
		if err != nil {
			return nil, err
		}
		// Two subqueries, because an index of part of the rows is only used for the state that it is of.
		where(`rowid IN (SELECT rowid FROM {jobs} WHERE state = 0 AND organization_id = ? AND lane = ?
			UNION ALL SELECT rowid FROM {jobs} WHERE state = 1 AND lane = ?)`, blob(f.Lane.Organization), lane, lane)
	}
	if !f.CreatedBefore.IsZero() {
		where(`created_at < ?`, micros(f.CreatedBefore))
	}
	limit := f.Limit
	if limit <= 0 {
		limit = -1
	}
	return t.jobs(statement+` ORDER BY created_at, id LIMIT ?`, append(args, limit)...)
}

// Lines implements [queue.Inspector].
func (s *Store) Lines(ctx context.Context, job uuid.UUID, after int64, limit int) (lines []queue.Line, err error) {
	if err = s.ready(ctx); err == nil {
		err = s.query(ctx, `SELECT seq, at, text FROM {lines} WHERE job_id = ? AND seq > ? ORDER BY seq LIMIT ?`,
			func(r rows) error {
				var l queue.Line
				err := r.Scan(&l.Seq, into(&l.At), &l.Text)
				lines = append(lines, l)
				return err
			}, blob(job), after, max(limit, 0))
	}
	if err != nil {
		return nil, unavailable(err, "lines of job %s", job)
	}
	return lines, nil
}

// Ahead implements [queue.Inspector].
func (s *Store) Ahead(ctx context.Context, job uuid.UUID, countTo int) (ahead []queue.ReadyLane, err error) {
	err = s.view(ctx, func(t *tx) error {
		ahead, err = t.ahead(job, countTo)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "what stands ahead of job %s", job)
	}
	return ahead, nil
}

func (t *tx) ahead(id uuid.UUID, countTo int) ([]queue.ReadyLane, error) {
	j, ok, err := t.job(id)
	if !ok || j.State != queue.Pending {
		return nil, err
	}
	all, _, err := t.standings(queue.ReadyQuery{Organizations: []uuid.UUID{j.Organization}, CountTo: countTo})
	if err != nil {
		return nil, err
	}
	ahead := all[:0]
	for _, st := range all {
		if st.Lane.Priority == j.Priority {
			st.Count, err = t.before(st.Lane, &j, countTo)
		}
		if err != nil {
			return nil, err
		}
		if st.Lane.Priority >= j.Priority && st.Count > 0 {
			ahead = append(ahead, st)
		}
	}
	return ahead, nil
}

// before counts the jobs of a lane that go before one of the same priority.
func (t *tx) before(lane queue.Lane, j *queue.Job, countTo int) (n int, err error) {
	number, err := t.findLane(lane)
	if err != nil {
		return 0, err
	}
	_, err = t.queryRow(`
		SELECT count(*) FROM (SELECT 1 FROM {jobs} INDEXED BY {jobs_ready}
			WHERE state = 0 AND organization_id = ? AND lane = ? AND (line, id) < (?, ?) LIMIT ?)`,
		[]any{blob(j.Organization), number, j.Order, blob(j.ID), countTo}, &n)
	return n, err
}
