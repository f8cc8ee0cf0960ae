package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/form"
)

// PruneEvents implements [lifecycle.Outbox]. It reads what it removes, and as much that is younger, and of each topic the numbers of
// all events that were tried before. What something of the host keeps stays, and keeps nothing else.
func (s *Store) PruneEvents(ctx context.Context, before time.Time, topics []lifecycle.Topic, limit int) (old []lifecycle.Event, err error) {
	for _, topic := range topics {
		if err == nil {
			old, err = s.pruneTopic(ctx, before, topic, limit, old)
		}
	}
	slices.SortFunc(old, func(a, b lifecycle.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return old, unavailable(err, "prune events before %v", before)
}

// pruneTopic adds what it removes to old. What cannot be read goes too, and is not counted: nobody hears of it.
func (s *Store) pruneTopic(ctx context.Context, before time.Time, topic lifecycle.Topic, limit int, old []lifecycle.Event) ([]lifecycle.Event, error) {
	for len(old) < limit {
		some := limit - len(old)
		readable := map[int64]lifecycle.Event{}
		n, err := pruning[int64]{
			what: "event",
			page: func(t *tx, n int, passed []int64) ([]int64, error) {
				return t.oldEvents(before, topic, n, limit, passed, readable)
			},
			remove: func(t *tx, seq int64) (bool, error) {
				return true, t.execOne(`DELETE FROM {events} WHERE seq = ?`, seq)
			},
			removed: func(seqs []int64) {
				for _, seq := range seqs {
					if e, ok := readable[seq]; ok {
						old = append(old, e)
					}
				}
			},
		}.run(ctx, s, some)
		if err != nil || n < some {
			return old, err
		}
	}
	return old, nil
}

// eventsByNumber are up to ?3 events of a topic behind a number. It reads no other topic's.
const eventsByNumber = `SELECT seq, attempt, body FROM {events} WHERE seq IN (
		SELECT seq FROM (
			SELECT seq FROM {events} INDEXED BY {events_fresh} WHERE topic = ?1 AND claimable_at IS NULL AND seq > ?2 ORDER BY seq LIMIT ?3)
		UNION ALL
		SELECT seq FROM (
			SELECT seq FROM {events} INDEXED BY {events_tried} WHERE topic = ?1 AND claimable_at IS NOT NULL AND seq > ?2 ORDER BY seq LIMIT ?3)
	) ORDER BY seq LIMIT ?3`

// oldEvents are the numbers of up to limit events of a topic that are old, behind those that were passed over. It looks no further
// than to reach events in a row that are not: the first ones are the oldest, up to the clocks of those who wrote them. What can be read it
// adds to readable.
func (t *tx) oldEvents(
	before time.Time, topic lifecycle.Topic, limit, reach int, passed []int64, readable map[int64]lifecycle.Event,
) (old []int64, err error) {
	var after int64
	if len(passed) > 0 {
		after = passed[len(passed)-1]
	}
	for young := 0; len(old) < limit && young < reach; {
		last := after
		err = t.query(eventsByNumber, func(r rows) error {
			var attempt int64
			var body []byte
			if err := r.Scan(&last, &attempt, &body); err != nil {
				return err
			}
			switch at, known := form.EventAt(body); {
			case !known: // it stays, and says nothing of those behind it
			case !at.Before(before):
				young++
			case len(old) < limit:
				young = 0
				old = append(old, last)
				if e, ok := t.decodeEvent(last, attempt, body); ok {
					readable[last] = e
				}
			}
			return nil
		}, int64(topic), after, limit)
		if err != nil || last == after {
			return old, err
		}
		after = last
	}
	return old, nil
}
