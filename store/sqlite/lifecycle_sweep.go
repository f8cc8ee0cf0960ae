package sqlite

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/store/refusal"
)

// sweepBatch bounds the transactions that pull wakes, so that others get to write between them.
const sweepBatch = 500

// sweeping describes one of the two tables whose changes concern many workspaces.
type sweeping struct {
	what, table           string
	pending, rows, marked string
}

var sweeps = [...]sweeping{newSweeping("template", "{templates}"), newSweeping("owner", "{owners}")}

func newSweeping(what, table string) sweeping {
	index := strings.Replace(table, "}", "_sweep}", 1)
	return sweeping{
		what: what, table: table,
		pending: `SELECT id, sweep_at, sweep_after FROM ` + table + ` INDEXED BY ` + index + ` WHERE sweep_at IS NOT NULL AND id > ? ORDER BY id LIMIT 1`,
		rows:    `SELECT id FROM {workspaces} WHERE ` + what + `_id = ? AND id > ? AND deleted = 0 ORDER BY id LIMIT ?`,
		marked:  ` WHERE id = ? AND sweep_at = ? AND sweep_after = ?`,
	}
}

// mark is what a change leaves: its template or owner, its instant, and the last workspace that has heard of it.
type mark struct {
	id    uuid.UUID
	at    time.Time
	after []byte
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
		for passed := []byte{}; ; {
			m, pending, err := nextMark(s.querying(ctx), &sweeps[i], passed)
			if err != nil {
				return err
			}
			if !pending {
				break
			}
			err = s.sweepPage(ctx, &sweeps[i], m)
			if rejects(err) { // or all others would wait behind it
				var refused refusal.Tally
				refused.Add(m.id, err)
				s.warn(ctx, "the mark of a change cannot be moved, and the change is told again", sweeps[i].what, refused)
				passed, err = blob(m.id), nil
			}
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

// nextMark is the first mark behind an id.
func nextMark(query querying, of *sweeping, behind []byte) (m mark, pending bool, err error) {
	err = query(of.pending, func(r rows) error {
		pending = true
		return r.Scan(&m.id, into(&m.at), &m.after)
	}, behind)
	return m, pending, err
}

// sweepAfter sweeps for a change that is written. A failure is none of the change, which would be made twice if it were
// reported as one: whoever asks what is due finishes the sweep.
func (s *Store) sweepAfter(ctx context.Context) {
	if err := s.sweep(ctx); err != nil {
		s.cfg.Logger.WarnContext(ctx, "sqlite: workspaces hear of a change when it is asked what is due", "error", err)
	}
}

// sweepPage tells one batch of workspaces of a change. Somebody else may have done it meanwhile. Where the host keeps one of them from being
// written, that one keeps its wake: its decisions are outdated all the same, and no other waits for it.
func (s *Store) sweepPage(ctx context.Context, of *sweeping, m mark) error {
	var batch []uuid.UUID
	err := s.write(ctx, func(t *tx) (err error) {
		if batch, err = keys(t, func(id *uuid.UUID) []any { return []any{id} }, of.rows, blob(m.id), m.position(), sweepBatch); err != nil {
			return err
		}
		for _, w := range batch {
			if err := t.pull(w, m.at); err != nil {
				return err
			}
		}
		return t.move(of, m, batch)
	})
	if !rejects(err) {
		return err
	}
	refused, err := s.apart(ctx, len(batch), func(t *tx, i int) error { return t.pull(batch[i], m.at) })
	if err != nil {
		return err
	}
	s.warn(ctx, "workspaces keep their wake, and hear of a change when it comes", "workspace", refusalsOf(batch, refused))
	return s.write(ctx, func(t *tx) error { return t.move(of, m, batch) })
}

// position is where a sweep goes on. Nothing is greater than NULL, which nil would be.
func (m mark) position() []byte {
	if m.after == nil {
		return []byte{}
	}
	return m.after
}

// move moves a mark behind a batch, or takes it away behind the last one, unless somebody else has.
func (t *tx) move(of *sweeping, m mark, batch []uuid.UUID) error {
	to := []any{nil, []byte{}}
	if len(batch) == sweepBatch {
		to = []any{micros(m.at), blob(batch[len(batch)-1])}
	}
	marked := []any{blob(m.id), micros(m.at), m.position()}
	n, err := t.exec(`UPDATE `+of.table+` SET sweep_at = ?, sweep_after = ?`+of.marked, append(to, marked...)...)
	if err != nil || n > 0 {
		return err
	}
	left, err := t.queryRow(`SELECT 1 FROM `+of.table+of.marked, marked, new(int))
	if err == nil && left {
		err = errNotWritten
	}
	return err
}

// pull makes a workspace due at an instant, unless it is due before.
func (t *tx) pull(workspace uuid.UUID, at time.Time) error {
	n, err := t.exec(`UPDATE {workspaces} SET wake_at = coalesce(min(wake_at, ?1), ?1) WHERE id = ?2`, micros(at), blob(workspace))
	if err != nil || n > 0 {
		return err
	}
	there, err := t.queryRow(`SELECT 1 FROM {workspaces} WHERE id = ?`, []any{blob(workspace)}, new(int))
	if err == nil && there {
		err = errNotWritten
	}
	return err
}
