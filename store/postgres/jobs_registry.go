package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

const heartbeatSQL = `
	INSERT INTO dormouse.processes AS p (id, name, heartbeats, heartbeat_at, workers) VALUES ($1, $2, 1, $3, coalesce($4::text::json, '[]'))
	ON CONFLICT (id) DO UPDATE SET name = excluded.name, heartbeats = p.heartbeats + 1, heartbeat_at = excluded.heartbeat_at,
		workers = coalesce($4::text::json, p.workers)
	WHERE p.lost_at IS NULL`

const (
	// processesSQL leaves out the lost ones that hold nothing any more.
	processesSQL = `
	SELECT p.id, p.name, p.heartbeats, p.heartbeat_at, p.lost_at IS NOT NULL, p.workers FROM dormouse.processes p
	WHERE p.lost_at IS NULL OR EXISTS (SELECT FROM dormouse.jobs j WHERE j.state = 1 AND j.process_id = p.id)`
	canceledSQL = `SELECT id, fence FROM dormouse.jobs WHERE state = 1 AND process_id = $1 AND cancel_at IS NOT NULL`
	// holdingsSQL counts once for both: what a process holds and what runs of a kind are sums of it.
	holdingsSQL = `
	SELECT process_id, organization_id, type, count(*) FROM dormouse.jobs WHERE state = 1
	GROUP BY process_id, organization_id, type`
)

// Heartbeat implements [queue.Registry].
func (s *Store) Heartbeat(ctx context.Context, b queue.Heartbeat) (fleet queue.Fleet, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		fleet, err = s.heartbeatOn(ctx, s.db, b)
		return err
	})
	return fleet, heartbeatError(b, err)
}

// heartbeatError says what has become of a heartbeat. The record of a process that somebody holds is the one row that nobody can do
// without: it is the sign of life. The process gives up its leases when it has not been heard, and goes on under another name.
func heartbeatError(b queue.Heartbeat, err error) error {
	switch {
	case err == nil, errors.Is(err, queue.ErrProcessLost):
		return err
	case isHeld(err):
		return fmt.Errorf("heartbeat: %w: the record of process %s (%q): %w", lifecycle.ErrUnavailable, b.Process, b.Name, errHeld)
	}
	return fmt.Errorf("heartbeat: %w", err)
}

// signWaitSQL has a heartbeat wait for its row for most of the time that it usually has, over all attempts.
var signWaitSQL = setSQL(waitAtMost("1s"))

// heartbeatOn sends a heartbeat through a pool or a connection.
func (s *Store) heartbeatOn(ctx context.Context, conn sender, b queue.Heartbeat) (fleet queue.Fleet, err error) {
	var workers *string
	if b.Workers != nil {
		text, err := json.Marshal(b.Workers)
		if err != nil {
			return queue.Fleet{}, err
		}
		t := string(text)
		workers = &t
	}
	var batch pgx.Batch
	batch.Queue(signWaitSQL)
	batch.Queue(s.sql(heartbeatSQL), key(b.Process), queue.CleanText(b.Name, queue.MaxActor), b.Now, workers)
	batch.Queue(s.sql(processesSQL))
	batch.Queue(s.sql(canceledSQL), key(b.Process))
	batch.Queue(s.sql(holdingsSQL))
	err = send(ctx, conn, &batch, func(r pgx.BatchResults) (err error) {
		fleet, err = readFleet(r)
		return err
	})
	if errors.Is(err, queue.ErrProcessLost) {
		err = s.confirmLost(ctx, b.Process)
	}
	return fleet, err
}

// confirmLost is what a heartbeat comes to whose record was not written.
func (s *Store) confirmLost(ctx context.Context, process uuid.UUID) error {
	var lost bool
	err := s.db.QueryRow(ctx, s.sql(lostSQL), key(process)).Scan(&lost)
	switch {
	case err != nil:
		return err
	case !lost:
		return leftOut("the record of the process")
	}
	return queue.ErrProcessLost
}

func readFleet(results pgx.BatchResults) (queue.Fleet, error) {
	fleet := queue.Fleet{Running: make(map[queue.Kind]int)}
	skip(results, 1)
	if tag, _ := results.Exec(); tag.RowsAffected() == 0 {
		return fleet, queue.ErrProcessLost
	}
	rows, _ := results.Query()
	var err error
	if fleet.Processes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (queue.Process, error) {
		p, readable, err := scanProcess(row)
		if !readable {
			fleet.Unreadable++
		}
		return p, err
	}); err != nil {
		return fleet, err
	}
	var lease queue.Lease
	rows, _ = results.Query()
	if _, err = pgx.ForEachRow(rows, []any{toID(&lease.Job), &lease.Fence}, func() error {
		fleet.Canceled = append(fleet.Canceled, lease)
		return nil
	}); err == nil {
		err = readRunning(results, &fleet)
	}
	return fleet, err
}

// readRunning reads the last answer of a heartbeat into a fleet that has its processes.
func readRunning(results pgx.BatchResults, fleet *queue.Fleet) error {
	holding := make(map[uuid.UUID]int)
	var process uuid.UUID
	var kind queue.Kind
	var n int
	rows, _ := results.Query()
	_, err := pgx.ForEachRow(rows, []any{toID(&process), toID(&kind.Organization), &kind.Type, &n}, func() error {
		holding[process] += n
		fleet.Running[kind] += n
		return nil
	})
	for i := range fleet.Processes {
		p := &fleet.Processes[i]
		p.Holding = holding[p.ID]
		delete(holding, p.ID)
	}
	for id, n := range holding { // not registered
		fleet.Processes = append(fleet.Processes, queue.Process{ID: id, Holding: n})
	}
	return err
}

// scanProcess reads a process, and whatever else is in its row. What it says of its workers may be a later version's; that is
// no reason to know nothing.
func scanProcess(row pgx.CollectableRow, more ...any) (p queue.Process, readable bool, err error) {
	var workers []byte
	targets := append([]any{toID(&p.ID), &p.Name, &p.Heartbeats, toTime(&p.HeartbeatAt), &p.Lost, (*rawJSON)(&workers)}, more...)
	if err := row.Scan(targets...); err != nil {
		return p, true, err
	}
	normalize(&p.HeartbeatAt)
	readable = json.Unmarshal(workers, &p.Workers) == nil
	if !readable {
		p.Workers = nil
	}
	return p, readable, nil
}

// reapLockSQL waits for claims and renewals that are just giving jobs to the process. What it holds is read in the next
// statement, which sees what those have committed.
var (
	reapLockSQL = `SELECT id FROM dormouse.processes WHERE id = $1 FOR UPDATE`
	// reapUnknownSQL gives a record to one that holds jobs and is not registered.
	reapUnknownSQL = `
	INSERT INTO dormouse.processes (id, name, heartbeats, lost_at, workers)
	SELECT $1, '', 0, $2, '[]' WHERE EXISTS (SELECT FROM dormouse.jobs WHERE state = 1 AND process_id = $1)
	ON CONFLICT (id) DO NOTHING`
	reapSQL = `
	UPDATE dormouse.processes SET lost_at = coalesce(lost_at, $3)
	WHERE id = $1 AND (lost_at IS NOT NULL OR heartbeats = $2)`
	reapedSQL = `
	SELECT` + jobColumns + ` FROM dormouse.jobs j
	WHERE j.state = 1 AND j.process_id = $1 AND EXISTS (
		SELECT FROM dormouse.processes WHERE id = $1 AND lost_at IS NOT NULL)
	ORDER BY j.id LIMIT $2`
	// silentSQL asks whether a process that is not lost is as it was known to be, or holds jobs without a record, and should be.
	silentSQL = `
	SELECT EXISTS (SELECT FROM dormouse.processes WHERE id = $1 AND lost_at IS NULL AND heartbeats = $2)
		OR NOT EXISTS (SELECT FROM dormouse.processes WHERE id = $1)
			AND EXISTS (SELECT FROM dormouse.jobs WHERE state = 1 AND process_id = $1)`
	lostSQL = `SELECT EXISTS (SELECT FROM dormouse.processes WHERE id = $1 AND lost_at IS NOT NULL)`
)

// Reap implements [queue.Registry].
func (s *Store) Reap(ctx context.Context, b queue.ReapRequest) (queue.Reaped, error) {
	var l jobList
	var lost, silent bool
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		var batch pgx.Batch
		batch.Queue(batchWaitSQL)
		batch.Queue(s.sql(reapLockSQL), key(b.Process))
		batch.Queue(s.sql(reapUnknownSQL), key(b.Process), b.Now)
		batch.Queue(s.sql(reapSQL), key(b.Process), b.Heartbeats, b.Now)
		batch.Queue(s.sql(silentSQL), key(b.Process), b.Heartbeats)
		batch.Queue(s.sql(lostSQL), key(b.Process))
		batch.Queue(s.sql(reapedSQL), key(b.Process), b.Limit)
		read := func(r pgx.BatchResults) error {
			skip(r, 4)
			if err := errors.Join(r.QueryRow().Scan(&silent), r.QueryRow().Scan(&lost)); err != nil {
				return err
			}
			if silent {
				return leftOut("the record of the process")
			}
			return l.collect(r.Query())
		}
		err := pgx.BeginTxFunc(ctx, s.pool, readCommitted, func(tx pgx.Tx) error { return send(ctx, tx, &batch, read) })
		if isHeld(err) { // others are silent too; the next heartbeat asks again
			return fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, errHeld)
		}
		return err
	})
	if err == nil {
		err = s.fillTags(ctx, l.jobs, l.tagSets)
	}
	if err != nil {
		return queue.Reaped{}, fmt.Errorf("reap process %s: %w", b.Process, err)
	}
	return queue.Reaped{Lost: lost, Jobs: l.jobs}, nil
}

// pruneLines bounds the lines that one transaction deletes.
const pruneLines = 10_000

const (
	// pruneJobsSQL deletes the jobs that ended first, as many as have so few lines ($3) together.
	pruneJobsSQL = `
	WITH ended AS (
		SELECT id, ended_at, lines FROM dormouse.jobs WHERE state >= 2 AND ended_at < $1
		ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
	), summed AS (
		SELECT id, sum(lines) OVER (ORDER BY ended_at, id) AS upto FROM ended
	)
	DELETE FROM dormouse.jobs WHERE id IN (SELECT id FROM summed WHERE upto <= $3)`
	// endedFirstSQL finds the same jobs, for those that cannot be deleted together: they have too many lines, or one cannot go.
	endedFirstSQL = `
	SELECT id FROM dormouse.jobs WHERE state >= 2 AND ended_at < $1
	ORDER BY ended_at, id LIMIT $2 OFFSET $3 FOR UPDATE SKIP LOCKED`
	// pruneLinesSQL empties a log from its beginning. It compares with the last line that goes: looking each line up among those that go
	// took minutes under a plan for few lines.
	pruneLinesSQL = `
	DELETE FROM dormouse.job_lines WHERE job_id = $1 AND seq <= (
		SELECT max(first.seq) FROM (
			SELECT l.seq FROM dormouse.job_lines l WHERE l.job_id = $1
				AND EXISTS (SELECT FROM dormouse.jobs j WHERE j.id = $1 AND j.state >= 2 AND j.ended_at < $2)
			ORDER BY l.seq LIMIT $3
		) first)`
)

// pruneJobSQL deletes a job with so few lines ($3), and returns a row if it did.
var pruneJobSQL = `
	WITH old AS (
		SELECT id FROM dormouse.jobs WHERE id = $1 AND state >= 2 AND ended_at < $2
			AND (lines <= $3 OR (SELECT count(*) FROM (SELECT FROM dormouse.job_lines l WHERE l.job_id = $1 LIMIT $3 + 1) l) <= $3)
		FOR UPDATE
	), gone AS (
		DELETE FROM dormouse.jobs j USING old WHERE j.id = old.id
		RETURNING 1
	)
	SELECT NULL::uuid FROM gone` + leftOutSQL("jobs", 0, `FROM old HAVING count(*) > (SELECT count(*) FROM gone)`)

// PruneJobs implements [queue.Registry]. It makes as many transactions as the logs of the jobs need. What cannot go it leaves for
// the next time.
func (s *Store) PruneJobs(ctx context.Context, before time.Time, limit int) (n int, err error) {
	for more := true; more && n < limit; {
		some, err := s.changeUnheld(ctx, batchWaitSQL, pruneJobsSQL, before, limit-n, pruneLines)
		switch {
		case ofOneRow(err):
			some, err = s.pruneJobsAlone(ctx, before, limit-n)
			more = false
		case err == nil && some == 0: // the first one has a long log
			some, err = s.pruneJobsAlone(ctx, before, 1)
			more = some > 0
		}
		n += some
		if err != nil {
			return n, fmt.Errorf("prune jobs: %w", err)
		}
	}
	if err := s.do(ctx, repeatable, func(ctx context.Context) error { return s.tidy(ctx, before) }); err != nil {
		return n, fmt.Errorf("prune jobs: %w", err)
	}
	return n, nil
}

func (s *Store) pruneJobsAlone(ctx context.Context, before time.Time, limit int) (int, error) {
	page := func(limit, offset int) ([]uuid.UUID, error) { return s.ids(ctx, endedFirstSQL, before, limit, offset) }
	return pruneAlone(ctx, s, "job", limit, page, func(id uuid.UUID) (int, error) { return s.pruneJob(ctx, id, before) })
}

// jobsWatchedSQL asks whether something of the host may refuse that a job is deleted, or a line of its log. A trigger for each statement sees
// the jobs, too, that it deletes; one on the lines does not count: it is for who counts them, and no log could go in parts beside it.
const jobsWatchedSQL = `
	SELECT EXISTS (
		SELECT FROM pg_catalog.pg_constraint
		WHERE contype = 'f' AND confrelid IN ('dormouse.jobs'::regclass, 'dormouse.job_lines'::regclass)
			AND conrelid <> 'dormouse.job_lines'::regclass
	) OR EXISTS (
		SELECT FROM pg_catalog.pg_trigger
		WHERE NOT tgisinternal AND tgrelid IN ('dormouse.jobs'::regclass, 'dormouse.job_lines'::regclass)
			AND tgtype & 8 = 8 AND (tgtype & 1 = 1 OR tgrelid = 'dormouse.jobs'::regclass) -- on DELETE; of lines for each row
	)`

// pruneJob deletes a job, part by part if it has many lines. Where the host may have a reason to keep it, it goes as a whole or not at
// all: one that stayed would have lost its log.
func (s *Store) pruneJob(ctx context.Context, id uuid.UUID, before time.Time) (n int, err error) {
	remove := func(lines int) (int, error) {
		return s.changeUnheld(ctx, aloneWaitSQL, pruneJobSQL, key(id), before, lines)
	}
	if n, err = remove(pruneLines); err != nil || n > 0 {
		return n, err
	}
	watched, err := pageOf(ctx, s, func(w *bool) []any { return []any{w} }, jobsWatchedSQL)
	if err != nil {
		return n, err
	}
	if watched[0] {
		return remove(math.MaxInt32)
	}
	for {
		lines, err := s.changeUnheld(ctx, aloneWaitSQL, pruneLinesSQL, key(id), before, pruneLines)
		if err != nil {
			return n, err
		}
		if lines < pruneLines {
			return remove(pruneLines)
		}
	}
}

// change runs a statement that may be repeated, and returns how many rows it changed. It waits for a held row no longer than some attempts take.
func (s *Store) change(ctx context.Context, text string, args ...any) (n int, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.waiting(ctx, batchWaitSQL, text, args, counted(&n))
	})
	return n, heldByOthers(err)
}
