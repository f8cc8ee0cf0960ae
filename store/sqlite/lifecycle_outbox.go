package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// encodeEvent writes an event as it is kept; its number and its attempts have columns of their own.
func encodeEvent(e lifecycle.Event) ([]byte, error) {
	e.Seq, e.Attempt = 0, 0
	e.At, e.DueAt, e.Until = store.Instant(e.At), store.Instant(e.DueAt), store.Instant(e.Until)
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", e.Key(), err)
	}
	return body, nil
}

func (t *tx) insertEvent(e *lifecycle.Event, body []byte) error {
	return t.execOne(`INSERT INTO {events} (topic, workspace_id, body) VALUES (?, ?, ?)`, int64(e.Topic), blob(e.Subject()), body)
}

// Recording implements [lifecycle.Recorder].
func (s *Store) Recording(events ...lifecycle.Event) lifecycle.Writer {
	return &Store{core: s.core, host: s.host, events: events}
}

// record writes the events that go with what the transaction puts.
func (s *Store) record(t *tx) error {
	for i := range s.events {
		body, err := encodeEvent(s.events[i])
		if err == nil {
			err = t.insertEvent(&s.events[i], body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scanEvent reads an event. One that cannot be read, because a later version wrote it, say, is not ok; it has its number all the
// same, so that it is leased like the others and holds up only its own workspace and topic.
func (t *tx) scanEvent(r rows) (e lifecycle.Event, ok bool, err error) {
	var seq, attempt int64
	var body []byte
	if err := r.Scan(&seq, &attempt, &body); err != nil {
		return e, false, err
	}
	e, ok = t.decodeEvent(seq, attempt, body)
	return e, ok, nil
}

func (t *tx) decodeEvent(seq, attempt int64, body []byte) (e lifecycle.Event, ok bool) {
	err := json.Unmarshal(body, &e)
	if err != nil {
		t.s.cfg.Logger.ErrorContext(t.ctx, "sqlite: stored event cannot be read", "seq", seq, "error", err)
	}
	e.Seq, e.Attempt = seq, int(attempt)
	return e, err == nil
}

// SettleEvents implements [lifecycle.Outbox]. An event that the host keeps from being written stays claimed, and is delivered again when its
// lease ends.
func (s *Store) SettleEvents(ctx context.Context, _ time.Time, deliveries []lifecycle.Delivery) error {
	if len(deliveries) == 0 {
		return ctx.Err()
	}
	refused, err := s.apart(ctx, len(deliveries), func(t *tx, i int) error { return t.settle(deliveries[i]) })
	seqs := make([]int64, len(deliveries))
	for i, d := range deliveries {
		seqs[i] = d.Seq
	}
	s.warn(ctx, "events cannot be settled, and will be delivered again", "event", refusalsOf(seqs, refused))
	return unavailable(err, "settle events (%d)", len(deliveries))
}

func (t *tx) settle(d lifecycle.Delivery) (err error) {
	var n int64
	switch {
	case d.RetryAt.IsZero():
		n, err = t.exec(`DELETE FROM {events} WHERE seq = ?`, d.Seq)
	case d.Untried:
		n, err = t.exec(`UPDATE {events} SET attempt = attempt - 1, claimable_at = CASE WHEN attempt > 1 THEN ?1 END WHERE seq = ?2 AND attempt > 0`,
			micros(d.RetryAt), d.Seq)
	default:
		n, err = t.exec(`UPDATE {events} SET claimable_at = ? WHERE seq = ?`, micros(d.RetryAt), d.Seq)
	}
	if err != nil || n > 0 {
		return err
	}
	claimed, err := t.queryRow(`SELECT 1 FROM {events} WHERE seq = ? AND attempt > 0`, []any{d.Seq}, new(int))
	if err == nil && claimed {
		err = errNotWritten
	}
	return err
}
