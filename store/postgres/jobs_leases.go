package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

// renewSQL writes only what changes: a heartbeat of a worker that reports nothing leaves its row alone. heir keeps the
// processes that take the leases from being declared lost until this commits.
const renewSQL = `
	WITH renewal AS (
		SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::uuid[], $5::integer[], $6::text[], $7::integer[])
			WITH ORDINALITY AS r (id, fence, process_id, worker_id, percent, message, lines, n)
	), heir AS (
		SELECT id FROM dormouse.processes
		WHERE id = ANY ($3) AND lost_at IS NULL
		ORDER BY id FOR KEY SHARE
	), held AS (
		SELECT id, fence, state, process_id, worker_id, cancel_at, lines FROM dormouse.jobs
		WHERE id = ANY ($1)
		ORDER BY id FOR NO KEY UPDATE
	), accepted AS (
		SELECT r.*, h.cancel_at, h.lines AS before,
			(h.process_id, h.worker_id) IS DISTINCT FROM (r.process_id, r.worker_id)
				OR r.percent IS NOT NULL OR r.lines > 0 AS changes
		FROM renewal r
		JOIN held h ON h.id = r.id AND h.fence = r.fence AND h.state = 1
		JOIN heir p ON p.id = r.process_id
	), renewed AS (
		UPDATE dormouse.jobs j SET process_id = a.process_id, worker_id = a.worker_id,
			percent = coalesce(a.percent, j.percent), message = coalesce(a.message, j.message), lines = a.before + a.lines
		FROM accepted a WHERE j.id = a.id AND a.changes
	), written AS (
		INSERT INTO dormouse.job_lines (job_id, seq, at, text)
		SELECT a.id, a.before + l.seq, l.at, l.text
		FROM unnest($8::uuid[], $9::bigint[], $10::timestamptz[], $11::text[]) AS l (id, seq, at, text)
		JOIN accepted a ON a.id = l.id
	)
	SELECT n, cancel_at IS NOT NULL FROM accepted`

// Renew implements [queue.Leases].
func (s *Store) Renew(ctx context.Context, _ time.Time, renewals []queue.Renewal) ([]queue.Renewed, error) {
	if len(renewals) == 0 {
		return nil, ctx.Err()
	}
	args := renewArgs(renewals)
	var answers []queue.Renewed
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		answers = make([]queue.Renewed, len(renewals))
		for i := range answers {
			answers[i].Err = queue.ErrLeaseLost
		}
		rows, err := s.pool.Query(ctx, s.sql(renewSQL), args...)
		if err != nil {
			return err
		}
		var n int
		var canceled bool
		_, err = pgx.ForEachRow(rows, []any{&n, &canceled}, func() error {
			answers[n-1] = queue.Renewed{Canceled: canceled}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("renew %d leases: %w", len(renewals), err)
	}
	return answers, nil
}

func renewArgs(renewals []queue.Renewal) []any {
	var ids, processes, workers, lineOf []key
	var fences, seqs []int64
	var percents, counts []*int32
	var messages []*string
	var times []stamp
	var texts []string
	for _, r := range renewals {
		ids, fences = append(ids, key(r.Lease.Job)), append(fences, r.Lease.Fence)
		processes, workers = append(processes, key(r.Process)), append(workers, key(r.Worker))
		var percent *int32
		var message *string
		if r.Progress != nil {
			n, text := count32(r.Progress.Percent), store.Text(r.Progress.Message)
			percent, message = &n, &text
		}
		count := count32(len(r.Lines))
		percents, messages, counts = append(percents, percent), append(messages, message), append(counts, &count)
		for i, line := range r.Lines {
			lineOf, seqs = append(lineOf, key(r.Lease.Job)), append(seqs, int64(i+1))
			times, texts = append(times, stamp(line.At)), append(texts, store.Text(line.Text))
		}
	}
	return []any{ids, fences, processes, workers, percents, messages, counts, lineOf, seqs, times, texts}
}

// endSQL: an end is accepted while the attempt runs, or again after it took effect; live tells the two apart. $5 is the
// state that the outcome leads to, $6 whether the attempt is taken back.
const endSQL = `
	WITH ending AS (
		SELECT * FROM unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::smallint[], $6::boolean[], $7::text[], $8::bytea[], $9::timestamptz[])
			AS e (id, fence, process_id, target, released, error, result, ready_at)
	), held AS (
		SELECT * FROM dormouse.jobs WHERE id = ANY ($2) ORDER BY id FOR NO KEY UPDATE
	), accepted AS (
		SELECT e.*, h.state = 1 AS live,
			CASE WHEN e.target = 0 AND h.cancel_at IS NOT NULL THEN 4::smallint ELSE e.target END AS final
		FROM ending e JOIN held h ON h.id = e.id AND h.fence = e.fence
		WHERE (e.process_id IS NULL OR e.process_id = h.process_id)
			AND h.fence > 0
			AND (h.state IN (1, e.target) OR e.target = 0 AND h.state = 4)
	), ended AS (
		UPDATE dormouse.jobs j SET
			state = a.final,
			attempt = CASE WHEN a.released THEN j.attempt - 1 ELSE j.attempt END,
			error = CASE WHEN a.error <> '' OR a.final <> 0 THEN a.error ELSE j.error END,
			result = CASE WHEN a.final <> 0 THEN a.result ELSE j.result END,
			ended_at = CASE WHEN a.final <> 0 THEN $1::timestamptz END,
			started_at = CASE WHEN a.final <> 0 THEN j.started_at END,
			ready_at = CASE WHEN a.final = 0 THEN greatest(a.ready_at, $1) ELSE j.ready_at END,
			ready = a.final = 0 AND (a.ready_at IS NULL OR a.ready_at <= $1),
			place = CASE WHEN a.final <> 0 THEN j.place ELSE coalesce((
				SELECT c.place FROM dormouse.claimed c
				WHERE c.organization_id = j.organization_id AND c.priority = j.priority
				ORDER BY c.place DESC LIMIT 1), j.place) END
		FROM accepted a WHERE j.id = a.id AND a.live
		RETURNING j.*
	)
	SELECT false,` + jobColumns + ` FROM ended j
	UNION ALL
	SELECT true,` + jobColumns + ` FROM held j JOIN accepted a ON a.id = j.id WHERE NOT a.live`

// End implements [queue.Leases].
func (s *Store) End(ctx context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	if len(ends) == 0 {
		return nil, ctx.Err()
	}
	args := endArgs(now, ends)
	var l jobList
	var agains []bool
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		l, agains = jobList{}, nil
		rows, err := s.pool.Query(ctx, s.sql(endSQL), args...)
		if err != nil {
			return err
		}
		var again bool
		var r jobRow
		_, err = pgx.ForEachRow(rows, append([]any{&again}, r.targets()...), func() error {
			l.add(&r)
			agains = append(agains, again)
			r = jobRow{}
			return nil
		})
		return err
	})
	if err == nil {
		err = s.fillTags(ctx, l.jobs, l.tagSets)
	}
	if err != nil {
		return nil, fmt.Errorf("end %d jobs: %w", len(ends), err)
	}
	return endAnswers(ends, l.jobs, agains), nil
}

func endAnswers(ends []queue.End, jobs []queue.Job, agains []bool) []queue.Ended {
	found := make(map[uuid.UUID]queue.Ended, len(jobs))
	for i, j := range jobs {
		found[j.ID] = queue.Ended{Job: j, Again: agains[i]}
	}
	answers := make([]queue.Ended, len(ends))
	for i, e := range ends {
		answer, ok := found[e.Lease.Job]
		if !ok {
			answer.Err = queue.ErrLeaseLost
		}
		answers[i] = answer
	}
	return answers
}

func endArgs(now time.Time, ends []queue.End) []any {
	var ids []key
	var fences []int64
	var processes []*key
	var targets []int16
	var released []bool
	var errors []string
	var results [][]byte
	var readyAt []stamp
	for _, e := range ends {
		ids, fences = append(ids, key(e.Lease.Job)), append(fences, e.Lease.Fence)
		var process *key
		if e.Process != uuid.Nil {
			k := key(e.Process)
			process = &k
		}
		processes = append(processes, process)
		targets = append(targets, stateNumber(e.Outcome.State()))
		released = append(released, e.Outcome == queue.OutcomeReleased)
		errors, results = append(errors, store.Text(e.Error)), append(results, e.Result)
		readyAt = append(readyAt, stamp(e.ReadyAt))
	}
	return []any{now, ids, fences, processes, targets, released, errors, results, readyAt}
}

// cancelSQL: $3 is the reason, $4 whether jobs are given up instead.
const cancelSQL = `
	WITH held AS (
		SELECT id, state, cancel_at FROM dormouse.jobs WHERE id = ANY ($2) ORDER BY id FOR NO KEY UPDATE
	), canceled AS (
		UPDATE dormouse.jobs j SET
			state = CASE WHEN j.state = 1 THEN 1 WHEN $4 THEN 3 ELSE 4 END,
			cancel_at = CASE WHEN $4 THEN j.cancel_at ELSE $1 END,
			ended_at = CASE WHEN j.state = 0 THEN $1::timestamptz END,
			error = CASE WHEN j.state = 0 THEN $3 ELSE j.error END,
			ready = false
		FROM held h
		WHERE j.id = h.id AND (h.state = 0 OR h.state = 1 AND NOT $4::boolean AND h.cancel_at IS NULL)
		RETURNING j.*
	)
	SELECT` + jobColumns + ` FROM canceled j`

// Cancel implements [queue.Leases]. A call whose answer is lost is not repeated by itself: its repetition would not
// return what the first has changed.
func (s *Store) Cancel(ctx context.Context, c queue.Cancellation) ([]queue.Job, error) {
	if len(c.IDs) == 0 {
		return nil, ctx.Err()
	}
	jobs, err := s.queryJobs(ctx, once, cancelSQL, c.Now, keys(c.IDs), store.Text(c.Reason), c.Expire)
	if err != nil {
		return nil, fmt.Errorf("cancel %d jobs: %w", len(c.IDs), err)
	}
	return jobs, nil
}
