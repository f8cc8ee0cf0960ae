package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// sweepBatch bounds the transactions that pull wakes, so that others get to write between them.
const sweepBatch = 500

// sweeping describes the two tables whose changes concern many workspaces.
type sweeping struct{ pending, rows, advance, finish string }

var sweeps = [...]sweeping{
	{
		pending: `SELECT id, sweep_at, sweep_after FROM {templates} WHERE sweep_at IS NOT NULL LIMIT 1`,
		rows:    `SELECT id FROM {workspaces} WHERE template_id = ? AND id > ? AND deleted = 0 ORDER BY id LIMIT ?`,
		advance: `UPDATE {templates} SET sweep_after = ? WHERE id = ?`,
		finish:  `UPDATE {templates} SET sweep_at = NULL, sweep_after = x'' WHERE id = ?`,
	},
	{
		pending: `SELECT id, sweep_at, sweep_after FROM {owners} WHERE sweep_at IS NOT NULL LIMIT 1`,
		rows:    `SELECT id FROM {workspaces} WHERE owner_id = ? AND id > ? AND deleted = 0 ORDER BY id LIMIT ?`,
		advance: `UPDATE {owners} SET sweep_after = ? WHERE id = ?`,
		finish:  `UPDATE {owners} SET sweep_at = NULL, sweep_after = x'' WHERE id = ?`,
	},
}

// sweep pulls the wakes of all workspaces whose template or owner has changed to the instant of the change, a batch at a
// time. Their decisions are outdated already, since the change; this only sees to it that they are looked at. Whoever asks
// what is due calls it first, in case the process that began it did not finish: then there is something to be found, and
// else it costs two look-ups in empty indexes.
func (s *Store) sweep(ctx context.Context) error {
	if err := s.ready(ctx); err != nil || s.host != nil {
		return err // the host's transaction leaves it to whoever asks what is due after it
	}
	moved := false
	for i := range sweeps {
		for {
			pending, err := s.queryRow(ctx, sweeps[i].pending, nil, new(uuid.UUID), new(int64), new([]byte))
			if err != nil {
				return err
			}
			if !pending {
				break
			}
			err = s.write(ctx, func(t *tx) error { return t.sweep(&sweeps[i]) })
			if err != nil {
				return err
			}
			moved = true
		}
	}
	if moved {
		s.notify()
	}
	return nil
}

// sweepAfter sweeps for a change that is written. A failure is none of the change, which would be made twice if it were
// reported as one: whoever asks what is due finishes the sweep.
func (s *Store) sweepAfter(ctx context.Context) {
	if err := s.sweep(ctx); err != nil {
		s.cfg.Logger.WarnContext(ctx, "sqlite: workspaces hear of a change when it is asked what is due", "error", err)
	}
}

// sweep does one batch. Somebody else may have done it meanwhile.
func (t *tx) sweep(of *sweeping) error {
	var id uuid.UUID
	var at time.Time
	var after []byte
	pending, err := t.queryRow(of.pending, nil, &id, into(&at), &after)
	if err != nil || !pending {
		return err
	}
	if after == nil {
		after = []byte{} // nil would be NULL, which nothing is greater than
	}
	var batch []uuid.UUID
	err = t.query(of.rows, func(r rows) error {
		var w uuid.UUID
		err := r.Scan(&w)
		batch = append(batch, w)
		return err
	}, blob(id), after, sweepBatch)
	if err != nil {
		return err
	}
	for _, w := range batch {
		if err := t.pull(w, at); err != nil {
			return err
		}
	}
	if len(batch) < sweepBatch {
		_, err = t.exec(of.finish, blob(id))
	} else {
		_, err = t.exec(of.advance, blob(batch[len(batch)-1]), blob(id))
	}
	return err
}

// pull makes a workspace due at an instant, unless it is due before. A row that refuses it, because a trigger of the host
// does, keeps its wake: its decisions are outdated all the same, and no other workspace waits for it.
func (t *tx) pull(workspace uuid.UUID, at time.Time) error {
	_, err := t.exec(pullWake, micros(at), blob(workspace))
	if rejects(err) {
		return nil
	}
	return err
}

const pullWake = `UPDATE {workspaces} SET wake_at = coalesce(min(wake_at, ?1), ?1) WHERE id = ?2`
