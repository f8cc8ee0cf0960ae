package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// historySQL is the history of a job j with room for one more entry.
var historySQL = `CASE WHEN jsonb_array_length(j.history) >= ` + strconv.Itoa(queue.MaxHistory) + ` THEN j.history - 0
				ELSE coalesce(j.history, '[]') END`

// scannedSQL looks at the latest jobs of an organization ($1) and a state ($2) in front of a place ($3, $4), not before $5, at
// most $6 of them. matching are those of a type ($7), a tenant ($8) and some tag sets ($9), where that is asked for.
const scannedSQL = `
	WITH scanned AS MATERIALIZED (
		SELECT id, created_at, type, tenant_id, tag_set FROM dormouse.jobs
		WHERE organization_id = $1 AND state = $2 AND (created_at, id) < ($3, $4) AND created_at >= $5
		ORDER BY created_at DESC, id DESC LIMIT $6
	), matching AS (
		SELECT id, created_at FROM scanned
		WHERE ($7::text IS NULL OR type = $7) AND ($8::uuid IS NULL OR tenant_id = $8) AND ($9::integer[] IS NULL OR tag_set = ANY ($9))
	)`

const (
	cutSQL = scannedSQL + `
	SELECT created_at, id FROM scanned WHERE (SELECT count(*) FROM scanned) = $6 ORDER BY created_at, id LIMIT 1`
	countSQL = scannedSQL + `
	SELECT (SELECT count(*) FROM matching), (SELECT count(*) FROM scanned)`
)

var listJobsSQL = scannedSQL + `
	SELECT` + listedColumns + ` FROM (SELECT id FROM matching ORDER BY created_at DESC, id DESC LIMIT $10) m JOIN dormouse.jobs j ON j.id = m.id`

// listedColumns are jobColumns without payload and result.
var listedColumns = func() string {
	names := slices.Clone(jobFields)
	for i := range names {
		if names[i].name == "j.payload" || names[i].name == "j.result" {
			names[i].name = "NULL::bytea"
		}
	}
	return names.names()
}()

// ListJobs implements [queue.Operations].
func (s *Store) ListJobs(ctx context.Context, q queue.JobQuery) (queue.JobPage, error) {
	q, err := q.Normalize()
	if err != nil {
		return queue.JobPage{}, err
	}
	found, err := s.list(ctx, q)
	if err != nil {
		return queue.JobPage{}, fmt.Errorf("list jobs: %w", err)
	}
	return q.PageOf(found), nil
}

// list reads what a page needs of each state, as of one instant.
func (s *Store) list(ctx context.Context, q queue.JobQuery) (found []queue.StateJobs, err error) {
	args, err := s.scanArgs(ctx, q, queue.MaxExamined)
	if err != nil {
		return nil, err
	}
	var all jobList
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue(steadySQL)
		for _, state := range q.States {
			b.Queue(s.sql(cutSQL), args(state)...)
			b.Queue(s.sql(listJobsSQL), append(args(state), q.Limit+1)...)
		}
		all, found = jobList{}, make([]queue.StateJobs, len(q.States))
		return s.atOneInstant(ctx, &b, func(r pgx.BatchResults) error {
			skip(r, 1)
			for i := range found {
				cut := &found[i].Cut
				err := r.QueryRow().Scan(toTime(&cut.CreatedAt), toID(&cut.ID))
				if err != nil && !errors.Is(err, pgx.ErrNoRows) {
					return err
				}
				normalize(&cut.CreatedAt)
				var l jobList
				if err := l.collect(r.Query()); err != nil {
					return err
				}
				all.jobs, all.tagSets = append(all.jobs, l.jobs...), append(all.tagSets, l.tagSets...)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	// Which state a job is of does not matter any more.
	return append(found, queue.StateJobs{Jobs: all.jobs}), s.fillTags(ctx, all.jobs, all.tagSets)
}

var oneSnapshot = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// atOneInstant sends statements that all read the same, so that a job that changes its state between two of them is in the answer
// of one, neither of both nor of none.
func (s *Store) atOneInstant(ctx context.Context, b *pgx.Batch, read func(pgx.BatchResults) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, oneSnapshot, func(tx pgx.Tx) error { return send(ctx, tx, b, read) })
}

// scanArgs returns the parameters of scannedSQL for each state.
func (s *Store) scanArgs(ctx context.Context, q queue.JobQuery, examine int) (func(queue.State) []any, error) {
	var sets []int32
	if q.Tag != (queue.Tag{}) {
		var err error
		if sets, err = s.setsWith(ctx, q); err != nil {
			return nil, err
		}
	}
	end, from := q.Before(), beginning
	if !q.From.IsZero() {
		from = instant(q.From)
	}
	return func(state queue.State) []any {
		return []any{
			key(q.Organization), stateNumber(state), end.CreatedAt, key(end.ID), from, examine,
			zeronull.Text(q.Type), zeronull.UUID(q.Tenant), sets,
		}
	}, nil
}

// setsWith are the numbers of the tag sets that a query asks for; an empty list is none. There are few sets, and one that
// cannot be read is a later version's.
func (s *Store) setsWith(ctx context.Context, q queue.JobQuery) (numbers []int32, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		numbers = []int32{}
		rows, _ := s.db.Query(ctx, s.sql(`SELECT id, canon FROM dormouse.tag_sets`))
		var n int32
		var canon string
		_, err = pgx.ForEachRow(rows, []any{&n, &canon}, func() error {
			if set, err := queue.ParseTagSet(canon); err == nil && q.SelectsTags(set) {
				numbers = append(numbers, n)
			}
			return nil
		})
		return err
	})
	return numbers, err
}

// CountJobs implements [queue.Operations].
func (s *Store) CountJobs(ctx context.Context, q queue.JobQuery, countTo int) (queue.JobCounts, error) {
	q, err := q.Normalize()
	if err != nil {
		return queue.JobCounts{}, err
	}
	q.After, countTo = queue.JobPlace{}, max(countTo, 1)
	args, err := s.scanArgs(ctx, q, countTo)
	if err != nil {
		return queue.JobCounts{}, fmt.Errorf("count jobs: %w", err)
	}
	var counts queue.JobCounts
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		counts = queue.JobCounts{States: make(map[queue.State]int)}
		var b pgx.Batch
		b.Queue(steadySQL)
		for _, state := range q.States {
			b.Queue(s.sql(countSQL), args(state)...)
		}
		return s.atOneInstant(ctx, &b, func(r pgx.BatchResults) error {
			skip(r, 1)
			for _, state := range q.States {
				var matching, scanned int
				if err := r.QueryRow().Scan(&matching, &scanned); err != nil {
					return err
				}
				if matching > 0 {
					counts.States[state] = matching
				}
				counts.Partial = counts.Partial || scanned == countTo
			}
			return nil
		})
	})
	if err != nil {
		return queue.JobCounts{}, fmt.Errorf("count jobs: %w", err)
	}
	return counts, nil
}

// retrySQL: $1 is now, $2 the jobs, $3 and $4 say who and why, $5 is the only organization whose jobs are meant, or NULL. Of the jobs that have one unique key it retries the first.
var retrySQL = `
	WITH held AS (
		SELECT * FROM dormouse.jobs WHERE id = ANY ($2) AND state >= 2 AND ($5::uuid IS NULL OR organization_id = $5) ORDER BY id FOR NO KEY UPDATE
	), free AS (
		SELECT DISTINCT ON (organization_id, type, coalesce(unique_key, id::text), unique_key IS NULL) id FROM held h
		WHERE NOT EXISTS (
			SELECT FROM dormouse.jobs x
			WHERE x.organization_id = h.organization_id AND x.type = h.type AND x.unique_key = h.unique_key AND x.state < 2)
		ORDER BY organization_id, type, coalesce(unique_key, id::text), unique_key IS NULL, array_position($2, id)
	), retried AS (
		UPDATE dormouse.jobs j SET
			history = ` + historySQL + ` || jsonb_build_object(
				'Round', j.round + 1, 'Outcome', 'retried', 'StartedAt', $1::timestamptz, 'EndedAt', $1::timestamptz, 'Error', $4::text, 'By', $3::text,
				'Fence', j.fence),
			state = 0, ready = true, ready_at = $1, attempt = 0, round = j.round + 1,
			started_at = NULL, ended_at = NULL, cancel_at = NULL, result = NULL, percent = 0, message = '',
			place = coalesce((
				SELECT c.place FROM dormouse.claimed c
				WHERE c.organization_id = j.organization_id AND c.priority = j.priority
				ORDER BY c.place DESC LIMIT 1), 0)
		FROM free f WHERE j.id = f.id
		RETURNING j.*
	)
	SELECT` + jobColumns + ` FROM retried j` +
	leftOutSQL("jobs", len(jobFields)-1, `FROM free HAVING count(*) > (SELECT count(*) FROM retried)`)

// RetryJobs implements [queue.Operations]. A call whose answer is lost is not repeated by itself: its repetition would not
// return what the first has changed.
func (s *Store) RetryJobs(ctx context.Context, r queue.Retry) ([]queue.Job, error) {
	if len(r.IDs) == 0 {
		return nil, ctx.Err()
	}
	r = r.Clean()
	args := []any{r.Now, keys(r.IDs), r.By, r.Note, (*key)(r.Organization)}
	for range 2 {
		jobs, err := s.lockJobs(ctx, retrySQL, args...)
		switch {
		case err == nil:
			return jobs, nil
		case !violatesUnique(err):
			return nil, fmt.Errorf("retry jobs (%d): %w", len(r.IDs), s.blameJob(ctx, err, retrySQL, args))
		}
		// Somebody posted a job with the unique key of one of them at this moment: the next attempt sees it.
	}
	return nil, fmt.Errorf("retry jobs (%d): their unique keys are in use", len(r.IDs))
}

func violatesUnique(err error) bool {
	const uniqueViolation = "23505"
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == uniqueViolation
}

// Attempts implements [queue.Operations].
func (s *Store) Attempts(ctx context.Context, job uuid.UUID) (history []queue.Attempt, err error) {
	var text []byte
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		err := s.db.QueryRow(ctx, s.sql(`SELECT history::text FROM dormouse.jobs WHERE id = $1`), key(job)).Scan((*rawJSON)(&text))
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err == nil && text != nil {
		err = json.Unmarshal(text, &history)
	}
	if err != nil {
		return nil, fmt.Errorf("read the attempts of job %s: %w", job, err)
	}
	for i := range history {
		normalize(&history[i].StartedAt, &history[i].EndedAt)
	}
	return history, nil
}

// PauseJobs implements [queue.Operations].
func (s *Store) PauseJobs(ctx context.Context, p queue.Pause) error {
	p, err := p.Normalize()
	if err != nil {
		return err
	}
	n, err := s.change(ctx, `
		INSERT INTO dormouse.pauses (organization_id, type, paused_at, paused_by, note, ends_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (organization_id, type) DO UPDATE
		SET paused_at = excluded.paused_at, paused_by = excluded.paused_by, note = excluded.note, ends_at = excluded.ends_at`,
		key(p.Organization), p.Type, stamp(p.At), p.By, p.Note, stamp(p.Until))
	if err == nil && n == 0 {
		err = leftOut("the pause")
	}
	if err != nil {
		return fmt.Errorf("pause jobs: %w", err)
	}
	return nil
}

var resumeSQL = removeSQL("pauses", "organization_id = $1 AND type = $2")

// ResumeJobs implements [queue.Operations].
func (s *Store) ResumeJobs(ctx context.Context, scope queue.Scope) (bool, error) {
	if err := scope.Validate(); err != nil {
		return false, err
	}
	n, err := s.change(ctx, resumeSQL, key(scope.Organization), scope.Type)
	if err != nil {
		return false, fmt.Errorf("resume jobs: %w", err)
	}
	return n > 0, nil
}

// Pauses implements [queue.Operations].
func (s *Store) Pauses(ctx context.Context, now time.Time) (pauses []queue.Pause, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		pauses = nil
		rows, _ := s.db.Query(ctx, s.sql(`
			SELECT organization_id, type, paused_at, paused_by, note, ends_at FROM dormouse.pauses
			WHERE ends_at IS NULL OR ends_at > $1 ORDER BY organization_id, type COLLATE "C"`), now)
		pauses, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (p queue.Pause, err error) {
			err = row.Scan(&p.Organization, &p.Type, toTime(&p.At), &p.By, &p.Note, toTime(&p.Until))
			normalize(&p.At, &p.Until)
			return p, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list pauses: %w", err)
	}
	return pauses, nil
}
