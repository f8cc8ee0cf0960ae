package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var renewalColumns = columns[queue.Renewal]{
	col("id", "uuid", func(r *queue.Renewal) key { return key(r.Lease.Job) }),
	col("fence", "bigint", func(r *queue.Renewal) int64 { return r.Lease.Fence }),
	col("process_id", "uuid", func(r *queue.Renewal) key { return key(r.Process) }),
	col("reports", "boolean", func(r *queue.Renewal) bool { return r.Progress != nil }),
	col("percent", "integer", func(r *queue.Renewal) int32 { return count32(progress(r).Percent) }),
	col("message", "text", func(r *queue.Renewal) string { return form.Text(progress(r).Message) }),
	col("lines", "integer", func(r *queue.Renewal) int32 { return count32(len(r.Lines)) }),
	col("size", "bigint", func(r *queue.Renewal) (size int64) {
		for _, line := range r.Lines {
			size += queue.LogSize(form.Text(line.Text))
		}
		return size
	}),
	col("bound", "bigint", func(r *queue.Renewal) int64 { return r.LogBound() }),
	col("log_end", "text", func(r *queue.Renewal) string { return r.LogEnd() }),
	col("organization_id", "uuid", func(r *queue.Renewal) key { return key(r.Organization) }),
	col("worker_id", "uuid", func(r *queue.Renewal) key { return key(r.Worker) }),
	col("secret", "bytea", func(r *queue.Renewal) queue.SecretHash { return r.Secret.Hash() }),
}

// sameHandout compares a running job h with what is presented: all of it.
func sameHandout(presented string) string {
	return strings.ReplaceAll(`h.id = %.id AND h.fence = %.fence AND h.organization_id = %.organization_id
			AND h.worker_id = %.worker_id AND h.secret = %.secret`,
		"%", presented)
}

func progress(r *queue.Renewal) (p queue.Progress) {
	if r.Progress != nil {
		p = *r.Progress
	}
	return p
}

// lineRow is a line of a job's log, which the renewal of a number brings: another renewal of the same job may be refused. seq counts
// from 1 within the renewal, and upto its size with this line.
type lineRow struct {
	queue.Line
	renewal int64
	seq     int64
	upto    int64
}

var lineColumns = columns[lineRow]{
	col("renewal", "bigint", func(l *lineRow) int64 { return l.renewal }),
	col("seq", "bigint", func(l *lineRow) int64 { return l.seq }),
	col("at", "timestamptz", func(l *lineRow) stamp { return stamp(l.At) }),
	col("text", "text", func(l *lineRow) string { return form.Text(l.Text) }),
	col("upto", "bigint", func(l *lineRow) int64 { return l.upto }),
}

func linesOf(renewals []queue.Renewal) (lines []lineRow) {
	for n, r := range renewals {
		var upto int64
		for i, line := range r.Lines {
			upto += queue.LogSize(form.Text(line.Text))
			lines = append(lines, lineRow{line, int64(n + 1), int64(i + 1), upto})
		}
	}
	return lines
}

// renewSQL writes only what changes: a heartbeat of a worker that reports nothing leaves its row alone. taker keeps the
// processes that take the leases from being declared lost until this commits. A log takes lines as queue.AdmitLines says:
// kept are those within the bound, and closing says that one exceeds it, so that a last line takes its place. Its parameters
// are now and those of renewalColumns and lineColumns.
var renewSQL = `
	WITH renewal AS (
		SELECT * FROM ` + renewalColumns.rows(2, "r", "n") + `
	), line AS (
		SELECT * FROM ` + lineColumns.rows(2+len(renewalColumns), "l", "") + `
	), taker AS (
		SELECT id FROM dormouse.processes
		WHERE id = ANY ($4) AND lost_at IS NULL
		ORDER BY id FOR KEY SHARE
	), held AS (
		SELECT id, fence, state, process_id, organization_id, worker_id, secret, cancel_at, lines, log_size FROM dormouse.jobs
		WHERE id = ANY ($2)
		ORDER BY id FOR NO KEY UPDATE
	), accepted AS (
		SELECT r.*, h.cancel_at, h.lines AS before, h.log_size,
			h.process_id IS DISTINCT FROM r.process_id OR r.reports AS changes,
			h.log_size <= r.bound AS open,
			h.log_size <= r.bound AND h.log_size + r.size > r.bound AS closing,
			(SELECT count(*) FROM line l WHERE l.renewal = r.n AND h.log_size + l.upto <= r.bound) AS kept
		FROM renewal r
		JOIN held h ON h.state = 1 AND ` + sameHandout("r") + `
		JOIN taker p ON p.id = r.process_id
	), renewed AS (
		UPDATE dormouse.jobs j SET process_id = a.process_id,
			percent = CASE WHEN a.reports THEN a.percent ELSE j.percent END,
			message = CASE WHEN a.reports THEN a.message ELSE j.message END,
			lines = a.before + a.kept + a.closing::integer,
			log_size = CASE WHEN a.open THEN a.log_size + a.size ELSE a.log_size END
		FROM accepted a WHERE j.id = a.id AND (a.changes OR a.open AND a.lines > 0)
		RETURNING 1
	), written AS (
		INSERT INTO dormouse.job_lines (job_id, seq, at, text)
		SELECT a.id, a.before + l.seq, l.at, l.text FROM line l JOIN accepted a ON a.n = l.renewal
		WHERE a.log_size + l.upto <= a.bound
		UNION ALL
		SELECT a.id, a.before + a.kept + 1, $1, a.log_end FROM accepted a WHERE a.closing
	)
	SELECT NULL::uuid, r.n, p.id IS NOT NULL, h.cancel_at IS NOT NULL
	FROM renewal r JOIN held h ON h.state = 1 AND ` + sameHandout("r") + ` LEFT JOIN taker p ON p.id = r.process_id` +
	leftOutSQL("jobs", 3, `FROM accepted a WHERE a.changes OR a.open AND a.lines > 0 HAVING count(*) > (SELECT count(*) FROM renewed)`)

// Renew implements [queue.Leases].
func (s *Store) Renew(ctx context.Context, now time.Time, renewals []queue.Renewal) ([]queue.Renewed, error) {
	if len(renewals) == 0 {
		return nil, ctx.Err()
	}
	answers := make([]queue.Renewed, len(renewals))
	err := apart(len(renewals), func(from, to int, wait string) error {
		return s.renew(ctx, now, wait, renewals[from:to], answers[from:to])
	}, func(i int, err error) { answers[i] = queue.Renewed{Err: err} })
	if err != nil {
		return nil, fmt.Errorf("renew leases (%d): %w", len(renewals), err)
	}
	return answers, nil
}

func (s *Store) renew(ctx context.Context, now time.Time, wait string, renewals []queue.Renewal, answers []queue.Renewed) error {
	args := append([]any{now}, renewalColumns.args(renewals)...)
	args = append(args, lineColumns.args(linesOf(renewals))...)
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		for i := range answers {
			answers[i] = queue.Renewed{Err: queue.ErrLeaseLost}
		}
		return s.patient(ctx, wait, renewSQL, args, func(rows pgx.Rows) error {
			var n int
			var registered, canceled bool
			_, err := pgx.ForEachRow(rows, []any{nil, &n, &registered, &canceled}, func() error {
				answers[n-1] = queue.Renewed{Err: queue.ErrProcessLost}
				if registered {
					answers[n-1] = queue.Renewed{Canceled: canceled}
				}
				return nil
			})
			return err
		})
	})
}

// endColumns: target is the state that the outcome leads to, released says that the attempt is taken back.
var endColumns = columns[queue.End]{
	col("id", "uuid", func(e *queue.End) key { return key(e.Lease.Job) }),
	col("fence", "bigint", func(e *queue.End) int64 { return e.Lease.Fence }),
	col("process_id", "uuid", func(e *queue.End) zeronull.UUID { return zeronull.UUID(e.Process) }),
	col("target", "smallint", func(e *queue.End) int16 { return stateNumber(e.Outcome.State()) }),
	col("released", "boolean", func(e *queue.End) bool { return e.Outcome == queue.OutcomeReleased }),
	col("error", "text", func(e *queue.End) string { return form.Text(e.Error) }),
	col("recorded", "text", func(e *queue.End) zeronull.Text {
		if !e.Recorded() {
			return ""
		}
		return zeronull.Text(e.Outcome)
	}),
	col("brief", "text", func(e *queue.End) string { return queue.CleanText(form.Text(e.Error), queue.MaxAttemptError) }),
	col("result", "bytea", func(e *queue.End) []byte { return e.Result }),
	col("ready_at", "timestamptz", func(e *queue.End) stamp { return stamp(e.ReadyAt) }),
	col("organization_id", "uuid", func(e *queue.End) key { return key(e.Organization) }),
	col("worker_id", "uuid", func(e *queue.End) key { return key(e.Worker) }),
	col("secret", "bytea", func(e *queue.End) queue.SecretHash { return e.Secret.Hash() }),
}

// endOfHandout says that an end e comes from whom the row h of its job was handed out to last, or from the process that holds its lease.
var endOfHandout = `h.fence = e.fence AND h.fence > 0
			AND CASE WHEN e.process_id IS NOT NULL THEN e.process_id = h.process_id ELSE ` + sameHandout("e") + ` END`

// endSQL stores ends of attempts that run, and returns nothing for others: see endedSQL. held is a step of its own, so that rows are found and
// locked by their ids, and then compared. Its parameters are now and those of endColumns.
var endSQL = `
	WITH held AS (
		SELECT id, fence, state, process_id, organization_id, worker_id, secret, cancel_at FROM dormouse.jobs
		WHERE id = ANY ($2)
		ORDER BY id FOR NO KEY UPDATE
	), accepted AS (
		SELECT e.*, CASE WHEN e.target = 0 AND h.cancel_at IS NOT NULL THEN 4::smallint ELSE e.target END AS final
		FROM ` + endColumns.rows(2, "e", "n") + ` JOIN held h ON h.id = e.id AND h.state = 1 AND ` + endOfHandout + `
	)
	UPDATE dormouse.jobs j SET
		history = CASE WHEN a.recorded IS NULL THEN j.history ELSE ` + historySQL + ` || jsonb_build_object(
			'Round', j.round, 'Attempt', j.attempt, 'Outcome', a.recorded, 'StartedAt', j.started_at, 'EndedAt', $1::timestamptz,
			'Error', a.brief, 'Process', j.process_id, 'Worker', j.worker_id) END,
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
	FROM accepted a WHERE j.id = a.id
	RETURNING a.n,` + outlineColumns

// endedSQL finds the jobs of ends that endSQL did not store, because they had taken effect before; or because a trigger of the host left the row
// out without a word: then its attempt runs. Both in one statement would cost each call a quarter more. Its parameters are those of
// endColumns.
var endedSQL = `
	SELECT h.state = 1, e.n,` + strings.ReplaceAll(outlineColumns, "j.", "h.") + `
	FROM ` + endColumns.rows(1, "e", "n") + ` JOIN dormouse.jobs h ON h.id = e.id AND ` + endOfHandout + `
	WHERE h.state IN (1, e.target) OR e.target = 0 AND h.state = 4`

// End implements [queue.Leases].
func (s *Store) End(ctx context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	if len(ends) == 0 {
		return nil, ctx.Err()
	}
	answers := make([]queue.Ended, len(ends))
	err := apart(len(ends), func(from, to int, wait string) error {
		return s.end(ctx, now, wait, ends[from:to], answers[from:to])
	}, func(i int, err error) { answers[i] = queue.Ended{Err: err} })
	if err != nil {
		return nil, fmt.Errorf("end jobs (%d): %w", len(ends), err)
	}
	return answers, nil
}

func (s *Store) end(ctx context.Context, now time.Time, wait string, ends []queue.End, answers []queue.Ended) error {
	args := append([]any{now}, endColumns.args(ends)...)
	l := endedList{answers, make([]int32, len(ends))}
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		l.reset()
		return s.patient(ctx, wait, endSQL, args, l.stored)
	})
	if err == nil {
		err = s.endedBefore(ctx, ends, &l)
	}
	var sets map[int32]queue.TagSet
	if err == nil {
		sets, err = s.setsOf(ctx, l.tagSets)
	}
	if err != nil {
		return err
	}
	l.addTags(sets)
	return nil
}

// endedBefore looks for what has become of the ends that were not stored, if there are any.
func (s *Store) endedBefore(ctx context.Context, ends []queue.End, l *endedList) error {
	var left []queue.End
	var numbers []int
	for i := range l.answers {
		if l.answers[i].Err != nil {
			left, numbers = append(left, ends[i]), append(numbers, i)
		}
	}
	if len(left) == 0 {
		return nil
	}
	args := endColumns.args(left)
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.steady(ctx, endedSQL, args, func(rows pgx.Rows) error {
			var runs bool
			return l.collect(rows, func(n int, r *jobRow) {
				if i := numbers[n-1]; runs {
					l.answers[i].Err = leftOut("the job")
				} else {
					l.answers[i], l.tagSets[i] = queue.Ended{Job: r.job(), Again: true}, r.tagSet
				}
			}, &runs)
		})
	})
}

// endedList collects the answers to ends, in their order.
type endedList struct {
	answers []queue.Ended
	tagSets []int32
}

func (l *endedList) reset() {
	for i := range l.answers {
		l.answers[i], l.tagSets[i] = queue.Ended{Err: queue.ErrLeaseLost}, 0
	}
}

// stored reads the rows of endSQL.
func (l *endedList) stored(rows pgx.Rows) error {
	return l.collect(rows, func(n int, r *jobRow) {
		l.answers[n-1], l.tagSets[n-1] = queue.Ended{Job: r.job()}, r.tagSet
	})
}

// collect reads rows of an end's number and outlineColumns, behind further columns.
func (l *endedList) collect(rows pgx.Rows, add func(n int, r *jobRow), more ...any) error {
	var n int
	var r jobRow
	_, err := pgx.ForEachRow(rows, slices.Concat(more, []any{&n}, outlineFields.targets(&r)), func() error {
		add(n, &r)
		r = jobRow{}
		return nil
	})
	return err
}

func (l *endedList) addTags(sets map[int32]queue.TagSet) {
	for i := range l.answers {
		if e := &l.answers[i]; e.Err == nil {
			e.Job.Tags = sets[l.tagSets[i]]
		}
	}
}

// reassignColumns are those of a change of worker.
var reassignColumns = columns[queue.Reassignment]{
	col("id", "uuid", func(m *queue.Reassignment) key { return key(m.Lease.Job) }),
	col("fence", "bigint", func(m *queue.Reassignment) int64 { return m.Lease.Fence }),
	col("process_id", "uuid", func(m *queue.Reassignment) key { return key(m.Process) }),
	col("worker_id", "uuid", func(m *queue.Reassignment) key { return key(m.Worker) }),
}

var reassignSQL = `
	WITH move AS (
		SELECT * FROM ` + reassignColumns.rows(1, "m", "n") + `
	), held AS (
		SELECT id FROM dormouse.jobs WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE
	)
	UPDATE dormouse.jobs j SET worker_id = m.worker_id
	FROM move m JOIN held h ON h.id = m.id
	WHERE j.id = m.id AND j.state = 1 AND j.fence = m.fence AND j.process_id = m.process_id
	RETURNING m.n`

// Reassign implements [queue.Leases].
func (s *Store) Reassign(ctx context.Context, moves []queue.Reassignment) (accepted []bool, err error) {
	if len(moves) == 0 {
		return nil, ctx.Err()
	}
	accepted = make([]bool, len(moves))
	err = apart(len(moves), func(from, to int, wait string) error {
		return s.reassign(ctx, wait, moves[from:to], accepted[from:to])
	}, func(i int, _ error) { accepted[i] = false })
	if err != nil {
		return nil, fmt.Errorf("reassign jobs (%d): %w", len(moves), err)
	}
	return accepted, nil
}

func (s *Store) reassign(ctx context.Context, wait string, moves []queue.Reassignment, accepted []bool) error {
	args := reassignColumns.args(moves)
	return s.do(ctx, repeatable, func(ctx context.Context) error {
		clear(accepted)
		return s.patient(ctx, wait, reassignSQL, args, func(rows pgx.Rows) error {
			var n int
			_, err := pgx.ForEachRow(rows, []any{&n}, func() error {
				accepted[n-1] = true
				return nil
			})
			return err
		})
	})
}

// cancelSQL: $3 is the reason, $4 whether jobs are given up instead, $5 the only organization whose jobs are meant, or NULL.
var cancelSQL = `
	WITH held AS (
		SELECT id, state, cancel_at FROM dormouse.jobs
		WHERE id = ANY ($2) AND ($5::uuid IS NULL OR organization_id = $5)
		ORDER BY id FOR NO KEY UPDATE
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
	SELECT` + jobColumns + ` FROM canceled j` +
	leftOutSQL("jobs", len(jobFields)-1, `FROM held h WHERE h.state = 0 OR h.state = 1 AND NOT $4::boolean AND h.cancel_at IS NULL
	HAVING count(*) > (SELECT count(*) FROM canceled)`)

// expireSQL passes over what somebody holds: who expires asks again.
var expireSQL = strings.Replace(cancelSQL, "ORDER BY id FOR NO KEY UPDATE", "ORDER BY id FOR NO KEY UPDATE SKIP LOCKED", 1)

// Cancel implements [queue.Leases]. A call whose answer is lost is not repeated by itself: its repetition would not
// return what the first has changed.
func (s *Store) Cancel(ctx context.Context, c queue.Cancellation) ([]queue.Job, error) {
	if len(c.IDs) == 0 {
		return nil, ctx.Err()
	}
	cancel := s.cancel
	if c.Expire {
		cancel = s.expire
	}
	jobs, err := cancel(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("cancel jobs (%d): %w", len(c.IDs), err)
	}
	return jobs, nil
}

func (s *Store) cancel(ctx context.Context, c queue.Cancellation) ([]queue.Job, error) {
	args := cancelArgs(c, c.IDs)
	jobs, err := s.lockJobs(ctx, cancelSQL, args...)
	return jobs, s.blameJob(ctx, err, cancelSQL, args)
}

// expire passes over what is refused, too.
func (s *Store) expire(ctx context.Context, c queue.Cancellation) ([]queue.Job, error) {
	expired := make([][]queue.Job, len(c.IDs))
	var refused refusals
	err := apart(len(c.IDs), func(from, to int, _ string) (err error) {
		expired[from], err = s.lockJobs(ctx, expireSQL, cancelArgs(c, c.IDs[from:to])...)
		return err
	}, func(i int, err error) { refused.Add(c.IDs[i], err) })
	s.warn(ctx, "jobs cannot be given up", "job", refused)
	return slices.Concat(expired...), err
}

func cancelArgs(c queue.Cancellation, ids []uuid.UUID) []any {
	return []any{c.Now, keys(ids), form.Text(c.Reason), c.Expire, (*key)(c.Organization)}
}
