package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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

func topicList(topics []lifecycle.Topic) string {
	numbers := make([]string, len(topics))
	for i, t := range topics {
		numbers[i] = fmt.Sprint(uint8(t))
	}
	return "[" + strings.Join(numbers, ",") + "]"
}

// scanEvent reads an event. One that cannot be read, because a later version wrote it, say, is not ok; it has its number
// and its age all the same, so that it is leased and pruned like the others and holds up only its own workspace and topic.
func (t *tx) scanEvent(r rows) (e lifecycle.Event, ok bool, err error) {
	var seq, attempt int64
	var body []byte
	if err := r.Scan(&seq, &attempt, &body); err != nil {
		return e, false, err
	}
	unreadable := json.Unmarshal(body, &e)
	if unreadable != nil {
		t.s.cfg.Logger.ErrorContext(t.ctx, "sqlite: stored event cannot be read", "seq", seq, "error", unreadable)
		e = lifecycle.Event{At: ageOf(body)}
	}
	e.Seq, e.Attempt = seq, int(attempt)
	return e, unreadable == nil, nil
}

// ageOf is when an event that cannot be read was written, zero if even that is not known.
func ageOf(body []byte) time.Time {
	var age struct {
		At time.Time `json:"at"`
	}
	_ = json.Unmarshal(body, &age)
	return age.At
}

// PruneEvents implements [lifecycle.Outbox].
func (s *Store) PruneEvents(ctx context.Context, before time.Time, topics []lifecycle.Topic, limit int) (old []lifecycle.Event, err error) {
	err = s.write(ctx, func(t *tx) error {
		old, err = t.pruneEvents(before, topicList(topics), limit)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "prune events before %v", before)
	}
	return old, nil
}

// pruneEvents looks at the first events only: they are the oldest, up to the clocks of those who wrote them.
func (t *tx) pruneEvents(before time.Time, topics string, limit int) ([]lifecycle.Event, error) {
	var old []lifecycle.Event
	var dropped []int64
	const first = `SELECT seq, attempt, body FROM {events} WHERE topic IN (SELECT value FROM json_each(?)) ORDER BY seq LIMIT ?`
	err := t.query(first, func(r rows) error {
		e, ok, err := t.scanEvent(r)
		if e.At.Before(before) && (ok || !e.At.IsZero()) {
			dropped = append(dropped, e.Seq)
			if ok {
				old = append(old, e)
			}
		}
		return err
	}, topics, limit)
	if err != nil {
		return nil, err
	}
	for _, seq := range dropped {
		gone, err := t.attempt(func() (bool, error) {
			return true, t.execOne(`DELETE FROM {events} WHERE seq = ?`, seq)
		})
		if err != nil {
			return nil, err
		}
		if !gone { // something of the host keeps it
			old = slices.DeleteFunc(old, func(e lifecycle.Event) bool { return e.Seq == seq })
		}
	}
	return old, nil
}

// SettleEvents implements [lifecycle.Outbox].
func (s *Store) SettleEvents(ctx context.Context, _ time.Time, deliveries []lifecycle.Delivery) error {
	if len(deliveries) == 0 {
		return ctx.Err()
	}
	err := s.write(ctx, func(t *tx) error {
		for _, d := range deliveries {
			if err := t.settle(d); err != nil {
				return err
			}
		}
		return nil
	})
	return unavailable(err, "settle events (%d)", len(deliveries))
}

func (t *tx) settle(d lifecycle.Delivery) (err error) {
	switch {
	case d.RetryAt.IsZero():
		_, err = t.exec(`DELETE FROM {events} WHERE seq = ?`, d.Seq)
	case d.Untried:
		_, err = t.exec(`UPDATE {events} SET attempt = attempt - 1, claimable_at = CASE WHEN attempt > 1 THEN ?1 END WHERE seq = ?2 AND attempt > 0`,
			micros(d.RetryAt), d.Seq)
	default:
		_, err = t.exec(`UPDATE {events} SET claimable_at = ? WHERE seq = ?`, micros(d.RetryAt), d.Seq)
	}
	return err
}
