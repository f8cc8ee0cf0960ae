package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

// Beat implements [queue.Registry].
func (s *Store) Heartbeat(ctx context.Context, b queue.Heartbeat) (pulse queue.Fleet, err error) {
	var crews any
	if b.Workers != nil {
		text, err := json.Marshal(b.Workers)
		if err != nil {
			return pulse, fmt.Errorf("crews of process %s: %w", b.Process, err)
		}
		crews = text
	}
	err = s.write(ctx, func(t *tx) error {
		if err := t.beat(&b, crews); err != nil {
			return err
		}
		pulse, err = t.pulse(b.Process)
		return err
	})
	if err != nil {
		return queue.Fleet{}, unavailable(err, "beat of process %s", b.Process)
	}
	return pulse, nil
}

func (t *tx) beat(b *queue.Heartbeat, crews any) error {
	n, err := t.exec(`
		INSERT INTO {processes} (id, name, beats, beat_at, crews) VALUES (?1, ?2, 1, ?3, coalesce(?4, CAST('[]' AS BLOB)))
		ON CONFLICT (id) DO UPDATE SET name = ?2, beats = beats + 1, beat_at = ?3, crews = coalesce(?4, crews)
		WHERE lost_at IS NULL`,
		blob(b.Process), store.Text(b.Name), micros(b.Now), crews)
	if err == nil && n == 0 {
		err = queue.ErrProcessLost
	}
	return err
}

func (t *tx) pulse(caller uuid.UUID) (pulse queue.Fleet, err error) {
	if pulse.Processes, err = t.processes(); err != nil {
		return pulse, err
	}
	err = t.query(`SELECT id, fence FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = ? AND cancel_at IS NOT NULL`,
		func(r rows) error {
			var l queue.Lease
			err := r.Scan(&l.Job, &l.Fence)
			pulse.Canceled = append(pulse.Canceled, l)
			return err
		}, blob(caller))
	if err != nil {
		return pulse, err
	}
	pulse.Running = map[queue.Kind]int{}
	err = t.query(`
		SELECT j.organization_id, l.type, count(*) FROM {jobs} j INDEXED BY {jobs_running} CROSS JOIN {lanes} l ON l.id = j.lane
		WHERE j.state = 2 GROUP BY j.organization_id, j.lane`, func(r rows) error {
		var k queue.Kind
		var n int
		err := r.Scan(&k.Organization, &k.Type, &n)
		pulse.Running[k] += n
		return err
	})
	return pulse, err
}

// processes are those that live, and the lost ones that still hold jobs.
func (t *tx) processes() (found []queue.Process, err error) {
	err = t.query(`
		SELECT id, name, beats, beat_at, lost_at IS NOT NULL AS lost, crews,
			(SELECT count(*) FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = p.id) AS holding
		FROM {processes} p WHERE NOT lost OR holding > 0`, func(r rows) error {
		var p queue.Process
		var crews []byte
		if err := r.Scan(&p.ID, &p.Name, &p.Heartbeats, into(&p.HeartbeatAt), &p.Lost, &crews, &p.Holding); err != nil {
			return err
		}
		if err := json.Unmarshal(crews, &p.Workers); err != nil {
			return fmt.Errorf("crews of process %s: %w", p.ID, err)
		}
		found = append(found, p)
		return nil
	})
	return found, err
}

// Bury implements [queue.Registry].
func (s *Store) Reap(ctx context.Context, b queue.ReapRequest) (held []queue.Job, err error) {
	err = s.write(ctx, func(t *tx) error {
		held, err = t.bury(&b)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "bury process %s", b.Process)
	}
	return held, nil
}

var heldJobs = `SELECT` + jobColumns + `FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = ? LIMIT ?`

func (t *tx) bury(b *queue.ReapRequest) ([]queue.Job, error) {
	n, err := t.exec(`UPDATE {processes} SET lost_at = coalesce(lost_at, ?) WHERE id = ? AND (lost_at IS NOT NULL OR beats = ?)`,
		micros(b.Now), blob(b.Process), b.Heartbeats)
	if err != nil || n == 0 {
		return nil, err
	}
	return t.jobs(heldJobs, blob(b.Process), b.Limit)
}

// Purge implements [queue.Registry].
func (s *Store) PruneJobs(ctx context.Context, before time.Time, limit int) (n int, err error) {
	err = s.write(ctx, func(t *tx) error {
		n, err = t.purge(before, limit)
		return err
	})
	if err != nil {
		return 0, unavailable(err, "purge jobs that ended before %v", before)
	}
	return n, nil
}

func (t *tx) purge(before time.Time, limit int) (int, error) {
	const ended = `SELECT id FROM {jobs} INDEXED BY {jobs_ended} WHERE state >= 3 AND ended_at < ? ORDER BY ended_at LIMIT ?`
	if _, err := t.exec(`DELETE FROM {lines} WHERE job_id IN (`+ended+`)`, micros(before), limit); err != nil {
		return 0, err
	}
	n, err := t.exec(`DELETE FROM {jobs} WHERE id IN (`+ended+`)`, micros(before), limit)
	if err != nil {
		return 0, err
	}
	if _, err := t.exec(`
		DELETE FROM {processes} WHERE lost_at < ? AND NOT EXISTS (
			SELECT 1 FROM {jobs} INDEXED BY {jobs_held} WHERE state = 2 AND process_id = {processes}.id)`, micros(before)); err != nil {
		return 0, err
	}
	return int(n), t.forgetTurns()
}

// forgetTurns drops the last numbers that the floor has overtaken; they decide nothing any more.
func (t *tx) forgetTurns() error {
	_, err := t.exec(`
		DELETE FROM {turns} WHERE last + ? <= (
			SELECT claimed FROM {floors} f WHERE f.organization_id = {turns}.organization_id AND f.priority = {turns}.priority)`,
		queue.FairOrder(0, 0, 1))
	return err
}
