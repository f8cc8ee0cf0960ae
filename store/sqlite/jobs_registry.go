package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Heartbeat implements [queue.Registry].
func (s *Store) Heartbeat(ctx context.Context, b queue.Heartbeat) (fleet queue.Fleet, err error) {
	var workers any
	if b.Workers != nil {
		text, _ := json.Marshal(b.Workers) // numbers, ids and texts can be written
		workers = text
	}
	err = s.write(ctx, func(t *tx) error {
		if err := t.heartbeat(&b, workers); err != nil {
			return err
		}
		fleet, err = t.fleet(b.Process)
		return err
	})
	if err != nil {
		return queue.Fleet{}, unavailable(err, "heartbeat of process %s", b.Process)
	}
	return fleet, nil
}

func (t *tx) heartbeat(b *queue.Heartbeat, workers any) error {
	n, err := t.exec(`
		INSERT INTO {processes} (id, name, heartbeats, heartbeat_at, workers) VALUES (?1, ?2, 1, ?3, coalesce(?4, CAST('[]' AS BLOB)))
		ON CONFLICT (id) DO UPDATE SET name = ?2, heartbeats = heartbeats + 1, heartbeat_at = ?3, workers = coalesce(?4, workers)
		WHERE lost_at IS NULL`,
		blob(b.Process), queue.CleanText(b.Name, queue.MaxActor), micros(b.Now), workers)
	if err == nil && n == 0 {
		err = queue.ErrProcessLost
	}
	return err
}

func (t *tx) fleet(caller uuid.UUID) (fleet queue.Fleet, err error) {
	if fleet.Processes, fleet.Unreadable, err = t.processes(); err != nil {
		return fleet, err
	}
	err = t.query(`SELECT id, fence FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = ? AND cancel_at IS NOT NULL`,
		func(r rows) error {
			var l queue.Lease
			err := r.Scan(&l.Job, &l.Fence)
			fleet.Canceled = append(fleet.Canceled, l)
			return err
		}, blob(caller))
	if err != nil {
		return fleet, err
	}
	fleet.Running = map[queue.Kind]int{}
	err = t.query(`
		SELECT j.organization_id, l.type, count(*) FROM {jobs} j INDEXED BY {jobs_running} CROSS JOIN {lanes} l ON l.id = j.lane
		WHERE j.state = 2 GROUP BY j.organization_id, j.lane`, func(r rows) error {
		var k queue.Kind
		var n int
		err := r.Scan(&k.Organization, &k.Type, &n)
		fleet.Running[k] += n
		return err
	})
	return fleet, err
}

// processes are those that live, and the lost ones that still hold jobs. What one says of its workers may be a later
// version's; it is left out and counted then.
func (t *tx) processes() (found []queue.Process, unreadable int, err error) {
	err = t.query(`
		SELECT id, name, heartbeats, heartbeat_at, lost_at IS NOT NULL AS lost, workers,
			(SELECT count(*) FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = p.id) AS holding
		FROM {processes} p WHERE NOT lost OR holding > 0
		UNION ALL
		SELECT process_id, '', 0, NULL, 0, CAST('[]' AS BLOB), count(*) FROM {jobs} j INDEXED BY {jobs_held}
		WHERE state = 2 AND NOT EXISTS (SELECT 1 FROM {processes} WHERE id = j.process_id)
		GROUP BY process_id`, func(r rows) error {
		var p queue.Process
		var workers []byte
		if err := r.Scan(&p.ID, &p.Name, &p.Heartbeats, into(&p.HeartbeatAt), &p.Lost, &workers, &p.Holding); err != nil {
			return err
		}
		if err := json.Unmarshal(workers, &p.Workers); err != nil {
			p.Workers = nil
			unreadable++
		}
		found = append(found, p)
		return nil
	})
	return found, unreadable, err
}

// Reap implements [queue.Registry].
func (s *Store) Reap(ctx context.Context, b queue.ReapRequest) (reaped queue.Reaped, err error) {
	err = s.write(ctx, func(t *tx) error {
		reaped, err = t.reap(&b)
		return err
	})
	if err != nil {
		return queue.Reaped{}, unavailable(err, "reap process %s", b.Process)
	}
	return reaped, nil
}

var heldJobs = `SELECT` + jobColumns + `FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = ? LIMIT ?`

func (t *tx) reap(b *queue.ReapRequest) (queue.Reaped, error) {
	// One that holds jobs and is not registered gets a record.
	if _, err := t.exec(`
		INSERT INTO {processes} (id, name, heartbeats, heartbeat_at, workers)
		SELECT ?1, '', 0, NULL, CAST('[]' AS BLOB)
		WHERE EXISTS (SELECT 1 FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = ?1)
		ON CONFLICT (id) DO NOTHING`, blob(b.Process)); err != nil {
		return queue.Reaped{}, err
	}
	n, err := t.exec(`UPDATE {processes} SET lost_at = coalesce(lost_at, ?) WHERE id = ? AND (lost_at IS NOT NULL OR heartbeats = ?)`,
		micros(b.Now), blob(b.Process), b.Heartbeats)
	if err == nil && n == 0 {
		err = t.confirmAlive(b)
	}
	if err != nil || n == 0 {
		return queue.Reaped{}, err
	}
	jobs, err := t.jobs(heldJobs, blob(b.Process), b.Limit)
	return queue.Reaped{Lost: true, Jobs: jobs}, err
}

// confirmAlive returns an error for a process that was to be declared lost and is as it was known to be, or holds jobs without a record: a
// trigger of the host left it out.
func (t *tx) confirmAlive(b *queue.ReapRequest) error {
	silent, err := t.queryRow(`
		SELECT 1 FROM {processes} WHERE id = ?1 AND (lost_at IS NOT NULL OR heartbeats = ?2)
		UNION ALL
		SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM {processes} WHERE id = ?1)
			AND EXISTS (SELECT 1 FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = ?1)`,
		[]any{blob(b.Process), b.Heartbeats}, new(int))
	if err == nil && silent {
		err = errNotWritten
	}
	return err
}

// pruneLines bounds the lines that one transaction deletes.
const pruneLines = 10_000

// PruneJobs implements [queue.Registry]. It makes as many transactions as the logs of the jobs need. A job that a table of the host
// refers to stays, and keeps no other.
func (s *Store) PruneJobs(ctx context.Context, before time.Time, limit int) (n int, err error) {
	n, err = pruneJobs(before).run(ctx, s, limit)
	if err == nil {
		err = s.tidy(ctx, before)
	}
	if err != nil {
		return n, unavailable(err, "prune jobs that ended before %v", before)
	}
	return n, nil
}

// jobsWatched asks whether something of the host may refuse that a job is deleted, or a line of its log.
const jobsWatched = `
	SELECT EXISTS (
		SELECT 1 FROM sqlite_schema m, pragma_foreign_key_list(m.name) f
		WHERE m.type = 'table' AND m.name <> '{lines}' AND lower(f."table") IN (lower('{jobs}'), lower('{lines}'))
	) OR EXISTS (
		SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) IN (lower('{jobs}'), lower('{lines}'))
	)`

// pruneJobs deletes no more than pruneLines lines in a transaction. Where the host may have a reason to keep a job, it goes as a whole
// or not at all: one that stayed would have lost its log.
func pruneJobs(before time.Time) pruning[uuid.UUID] {
	var left int64
	var watched bool
	return pruning[uuid.UUID]{
		what: "job",
		page: func(t *tx, limit int, passed []uuid.UUID) ([]uuid.UUID, error) {
			left = pruneLines
			if _, err := t.queryRow(jobsWatched, nil, &watched); err != nil {
				return nil, err
			}
			return keys(t, func(id *uuid.UUID) []any { return []any{id} }, `
				SELECT id FROM {jobs} INDEXED BY {jobs_ended} WHERE state >= 3 AND ended_at < ? ORDER BY ended_at, rowid LIMIT ? OFFSET ?`,
				micros(before), limit, len(passed))
		},
		remove: func(t *tx, id uuid.UUID) (bool, error) {
			if left <= 0 {
				return false, nil
			}
			some := left
			if watched {
				some = -1 // no limit
			}
			deleted, err := t.exec(`
				DELETE FROM {lines} WHERE job_id = ?1 AND seq IN (SELECT seq FROM {lines} WHERE job_id = ?1 ORDER BY seq LIMIT ?2)`,
				blob(id), some)
			if left -= deleted; err != nil || left <= 0 && !watched {
				return false, err
			}
			return true, t.execOne(`DELETE FROM {jobs} WHERE id = ?`, blob(id))
		},
	}
}
