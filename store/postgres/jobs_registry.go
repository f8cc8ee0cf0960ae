package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

const beatSQL = `
	INSERT INTO dormouse.processes AS p (id, name, beats, beat_at, crews) VALUES ($1, $2, 1, $3, coalesce($4::text::json, '[]'))
	ON CONFLICT (id) DO UPDATE SET name = excluded.name, beats = p.beats + 1, beat_at = excluded.beat_at,
		crews = coalesce($4::text::json, p.crews)
	WHERE p.lost_at IS NULL`

const (
	// processesSQL leaves out the lost ones that hold nothing any more.
	processesSQL = `
	SELECT p.id, p.name, p.beats, p.beat_at, p.lost_at IS NOT NULL, p.crews FROM dormouse.processes p
	WHERE p.lost_at IS NULL OR EXISTS (SELECT FROM dormouse.jobs j WHERE j.state = 1 AND j.process_id = p.id)`
	canceledSQL = `SELECT id, fence FROM dormouse.jobs WHERE state = 1 AND process_id = $1 AND cancel_at IS NOT NULL`
	// holdingsSQL counts once for both: what a process holds and what runs of a kind are sums of it.
	holdingsSQL = `
	SELECT process_id, organization_id, type, count(*) FROM dormouse.jobs WHERE state = 1
	GROUP BY process_id, organization_id, type`
)

// Beat implements [queue.Registry].
func (s *Store) Heartbeat(ctx context.Context, b queue.Heartbeat) (pulse queue.Fleet, err error) {
	var crews *string
	if b.Workers != nil {
		text, err := json.Marshal(b.Workers)
		if err != nil {
			return queue.Fleet{}, fmt.Errorf("beat: %w", err)
		}
		t := string(text)
		crews = &t
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		var batch pgx.Batch
		batch.Queue(s.sql(beatSQL), key(b.Process), store.Text(b.Name), b.Now, crews)
		batch.Queue(s.sql(processesSQL))
		batch.Queue(s.sql(canceledSQL), key(b.Process))
		batch.Queue(s.sql(holdingsSQL))
		return s.send(ctx, &batch, func(r pgx.BatchResults) (err error) {
			pulse, err = readPulse(r)
			return err
		})
	})
	if errors.Is(err, queue.ErrProcessLost) {
		return queue.Fleet{}, err
	}
	if err != nil {
		return queue.Fleet{}, fmt.Errorf("beat: %w", err)
	}
	return pulse, nil
}

func readPulse(results pgx.BatchResults) (queue.Fleet, error) {
	pulse := queue.Fleet{Running: make(map[queue.Kind]int)}
	switch tag, err := results.Exec(); {
	case err != nil:
		return pulse, err
	case tag.RowsAffected() == 0:
		return pulse, queue.ErrProcessLost
	}
	rows, err := results.Query()
	if err == nil {
		pulse.Processes, err = pgx.CollectRows(rows, scanProcess)
	}
	if err != nil {
		return pulse, err
	}
	var lease queue.Lease
	rows, _ = results.Query()
	_, err = pgx.ForEachRow(rows, []any{toID(&lease.Job), &lease.Fence}, func() error {
		pulse.Canceled = append(pulse.Canceled, lease)
		return nil
	})
	if err != nil {
		return pulse, err
	}
	err = readRunning(results, &pulse)
	return pulse, err
}

// readRunning reads the last answer of a beat into a pulse that has its processes.
func readRunning(results pgx.BatchResults, pulse *queue.Fleet) error {
	holding := make(map[uuid.UUID]int)
	var process uuid.UUID
	var kind queue.Kind
	var n int
	rows, _ := results.Query()
	_, err := pgx.ForEachRow(rows, []any{toID(&process), toID(&kind.Organization), &kind.Type, &n}, func() error {
		holding[process] += n
		pulse.Running[kind] += n
		return nil
	})
	for i := range pulse.Processes {
		p := &pulse.Processes[i]
		p.Holding = holding[p.ID]
	}
	return err
}

func scanProcess(row pgx.CollectableRow) (p queue.Process, err error) {
	var crews []byte
	if err := row.Scan(toID(&p.ID), &p.Name, &p.Heartbeats, toTime(&p.HeartbeatAt), &p.Lost, (*rawJSON)(&crews)); err != nil {
		return p, err
	}
	normalize(&p.HeartbeatAt)
	if err := json.Unmarshal(crews, &p.Workers); err != nil {
		return p, fmt.Errorf("crews of process %s: %w", p.ID, err)
	}
	return p, nil
}

// buryLockSQL waits for claims and renewals that are just giving jobs to the process. What it holds is read in the next
// statement, which sees what those have committed.
var (
	buryLockSQL = `SELECT id FROM dormouse.processes WHERE id = $1 FOR UPDATE`
	burySQL     = `
	UPDATE dormouse.processes SET lost_at = coalesce(lost_at, $3)
	WHERE id = $1 AND (lost_at IS NOT NULL OR beats = $2)`
	buriedSQL = `
	SELECT` + jobColumns + ` FROM dormouse.jobs j
	WHERE j.state = 1 AND j.process_id = $1 AND EXISTS (
		SELECT FROM dormouse.processes WHERE id = $1 AND lost_at IS NOT NULL)
	ORDER BY j.id LIMIT $2`
)

// Bury implements [queue.Registry].
func (s *Store) Reap(ctx context.Context, b queue.ReapRequest) ([]queue.Job, error) {
	var l jobList
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		var batch pgx.Batch
		batch.Queue(s.sql(buryLockSQL), key(b.Process))
		batch.Queue(s.sql(burySQL), key(b.Process), b.Heartbeats, b.Now)
		batch.Queue(s.sql(buriedSQL), key(b.Process), b.Limit)
		return s.send(ctx, &batch, func(r pgx.BatchResults) error {
			for range 2 {
				if _, err := r.Exec(); err != nil {
					return err
				}
			}
			return l.collect(r.Query())
		})
	})
	if err == nil {
		err = s.fillTags(ctx, l.jobs, l.tagSets)
	}
	if err != nil {
		return nil, fmt.Errorf("bury process %s: %w", b.Process, err)
	}
	return l.jobs, nil
}

const (
	purgeJobsSQL = `
	DELETE FROM dormouse.jobs WHERE id IN (
		SELECT id FROM dormouse.jobs WHERE state >= 2 AND ended_at < $1
		ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
	)`
	purgeProcessesSQL = `
	DELETE FROM dormouse.processes p WHERE p.lost_at < $1
		AND NOT EXISTS (SELECT FROM dormouse.jobs j WHERE j.state = 1 AND j.process_id = p.id)`
	// purgeClaimedSQL deletes what claims at the same time have left below the highest number, purgeTurnsSQL the last
	// numbers of tenants that the number claimed last has overtaken by a step: they decide nothing any more.
	purgeClaimedSQL = `
	DELETE FROM dormouse.claimed c WHERE EXISTS (
		SELECT FROM dormouse.claimed h
		WHERE h.organization_id = c.organization_id AND h.priority = c.priority AND h.place > c.place)`
	purgeTurnsSQL = `
	DELETE FROM dormouse.turns t WHERE (organization_id, priority, tenant_id) IN (
		SELECT t.organization_id, t.priority, t.tenant_id FROM dormouse.turns t
		JOIN dormouse.claimed c USING (organization_id, priority)
		WHERE t.place + $1 <= c.place
		FOR UPDATE OF t SKIP LOCKED)`
)

// Purge implements [queue.Registry].
func (s *Store) PruneJobs(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		tag, err := s.pool.Exec(ctx, s.sql(purgeJobsSQL), before, limit)
		n += int(tag.RowsAffected())
		return err
	})
	if err == nil {
		err = s.do(ctx, repeatable, func(ctx context.Context) error { return s.tidy(ctx, before) })
	}
	if err != nil {
		return n, fmt.Errorf("purge: %w", err)
	}
	return n, nil
}

// tidy deletes records of processes and of turns that mean nothing any more, each in a transaction of its own.
func (s *Store) tidy(ctx context.Context, before time.Time) error {
	if _, err := s.pool.Exec(ctx, s.sql(purgeProcessesSQL), before); err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, s.sql(purgeClaimedSQL)); err != nil {
		return err
	}
	_, err := s.pool.Exec(ctx, s.sql(purgeTurnsSQL), queue.FairOrder(0, 0, 1))
	return err
}
