package sqlite

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// Events that can be claimed are the first of their workspace and topic, and neither leased nor waiting. Those never tried and
// those tried before stand in indexes of their own, by topic, so that a claim reads no other topic's.
//
// Among those never tried the first ones are found in one of two ways:
//
//   - by number, passing over those that are not the first. It takes long where the first one of many is leased or waits for
//     its retry.
//   - by line: from workspace to workspace, however many events each has. It takes long where many workspaces have some.
//
// Which one is short is not known. So a claim goes some way by number; if that was not enough as far by line; and then further
// by either. It reads a few times what the shorter way takes.
const (
	eventsNeverTried = `FROM {events} e INDEXED BY {events_fresh} WHERE e.topic = ?1 AND e.claimable_at IS NULL AND e.seq > ?2`
	firstOfLines     = `NOT EXISTS (SELECT 1 FROM {events} p WHERE p.workspace_id = e.workspace_id AND p.topic = ?1 AND p.seq < e.seq)`

	oldestEvents = `SELECT e.seq, 0 FROM (SELECT e.seq, e.workspace_id ` + eventsNeverTried + ` ORDER BY e.seq LIMIT ?4) e
		WHERE ` + firstOfLines + ` ORDER BY e.seq LIMIT ?3`
	newestEvents = `SELECT e.seq, 0 FROM (SELECT e.seq, e.workspace_id ` + eventsNeverTried + ` ORDER BY e.seq DESC LIMIT ?4) e
		WHERE ` + firstOfLines + ` ORDER BY e.seq DESC LIMIT ?3`
	moreEvents = `SELECT EXISTS (SELECT 1 ` + eventsNeverTried + ` LIMIT 1 OFFSET ?3)`

	// eventsByLine has a row for each workspace, of the first ?2; its number is null where none of it can be claimed.
	eventsByLine = `WITH RECURSIVE lines (workspace_id, n) AS (
			SELECT min(e.workspace_id), 1 FROM {events} e INDEXED BY {events_line}
			UNION ALL
			SELECT (SELECT min(e.workspace_id) FROM {events} e INDEXED BY {events_line} WHERE e.workspace_id > l.workspace_id), l.n + 1
			FROM lines l WHERE l.workspace_id IS NOT NULL AND l.n < ?2
		)
		SELECT (
			SELECT CASE WHEN e.claimable_at IS NULL THEN e.seq END FROM {events} e INDEXED BY {events_line}
			WHERE e.workspace_id = l.workspace_id AND e.topic = ?1 ORDER BY e.seq LIMIT 1)
		FROM lines l WHERE l.workspace_id IS NOT NULL`

	firstTriedEvents = `SELECT e.seq, e.claimable_at FROM {events} e INDEXED BY {events_tried}
		WHERE e.topic = ?1 AND e.claimable_at <= ?2 AND ` + firstOfLines + ` ORDER BY e.claimable_at, e.seq LIMIT ?3`
)

const (
	// firstReach is how many events, or workspaces, a claim looks at first, and furtherReach how many times as many it looks at then.
	firstReach   = 512
	furtherReach = 4
)

// ClaimEvents implements [lifecycle.Outbox]. It reads O(limit), and where events are in front that cannot be claimed O(those), or
// O(workspaces with events) if these are fewer. An event that the host keeps from being claimed is passed over for a minute, and named in the log.
func (s *Store) ClaimEvents(
	ctx context.Context, now time.Time, topics []lifecycle.Topic, lease time.Duration, limit int,
) ([]lifecycle.Event, error) {
	passed := setOf(s.passedEvents.At(now, nil))
	// An idle relay must not take the write lock each time it looks.
	waiting := false
	err := s.view(ctx, func(t *tx) error {
		some, err := t.claimableBeside(now, topics, min(limit, 1), passed)
		waiting = len(some) > 0
		return err
	})
	if err != nil || !waiting {
		return nil, unavailable(err, "claim events")
	}
	c := eventClaim{now: now, topics: topics, until: now.Add(lease), limit: limit}
	err = s.write(ctx, func(t *tx) error { return c.together(t, passed) })
	if rejects(err) {
		c.events, err = s.claimEventsApart(ctx, c, passed)
	}
	if err != nil {
		return nil, unavailable(err, "claim events")
	}
	slices.SortFunc(c.events, func(a, b lifecycle.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return c.events, nil
}

// eventClaim is a claim of events in a transaction.
type eventClaim struct {
	now, until time.Time
	topics     []lifecycle.Topic
	limit      int
	events     []lifecycle.Event
}

// together leases what it finds, or, with an error, nothing.
func (c *eventClaim) together(t *tx, passed map[int64]bool) error {
	c.events = nil
	found, err := t.claimableBeside(c.now, c.topics, c.limit, passed)
	for i := 0; err == nil && i < len(found); i++ {
		err = c.lease(t, found[i].seq)
	}
	return err
}

// claimEventsApart leases what can be leased of what it finds, passes over the others, as do all claims of the next minute, and looks for
// as many more. What is behind a refused one in its workspace and topic waits for it.
func (s *Store) claimEventsApart(ctx context.Context, c eventClaim, passed map[int64]bool) (events []lifecycle.Event, err error) {
	l := lineApart[int64]{what: "event", message: "events cannot be claimed", passed: passed}
	l.remember = func(seq int64, _ error) { s.passedEvents.Add(c.now, seq, uuid.Nil) }
	l.take = func(t *tx, limit int) (leased []int64, err error) {
		c.events = nil
		for len(leased) < limit {
			found, err := t.claimableBeside(c.now, c.topics, limit-len(leased), l.passed)
			if err != nil || len(found) == 0 {
				return leased, err
			}
			for _, f := range found {
				done, err := l.attempt(t, f.seq, func() error { return c.lease(t, f.seq) })
				if err != nil {
					return leased, err
				}
				if done {
					leased = append(leased, f.seq)
				}
			}
		}
		return leased, nil
	}
	l.taken = func() { events = append(events, c.events...) }
	err = l.run(ctx, s, c.limit)
	return events, err
}

// claimableBeside are up to limit events that can be claimed, but for those passed over.
func (t *tx) claimableBeside(now time.Time, topics []lifecycle.Topic, limit int, passed map[int64]bool) ([]freeEvent, error) {
	if limit <= 0 {
		return nil, nil
	}
	found, err := t.claimable(now, topics, limit+min(len(passed), math.MaxInt-limit), firstReach)
	found = slices.DeleteFunc(found, func(f freeEvent) bool { return passed[f.seq] })
	return found[:min(limit, len(found))], err
}

// lease leases an event, and returns it if it can be read.
func (c *eventClaim) lease(t *tx, seq int64) error {
	written := false
	err := t.query(`UPDATE {events} SET attempt = attempt + 1, claimable_at = ? WHERE seq = ? RETURNING seq, attempt, body`, func(r rows) error {
		e, ok, err := t.scanEvent(r)
		if ok {
			c.events = append(c.events, e)
		}
		written = true
		return err
	}, micros(c.until), seq)
	if err == nil && !written {
		err = errNotWritten
	}
	return err
}

// freeEvent is an event that can be claimed, and since when if it was tried before.
type freeEvent struct{ seq, at int64 }

func compareFree(a, b freeEvent) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
}

func compareFreeDown(a, b freeEvent) int { return compareFree(b, a) }

// claimable are up to limit events that can be claimed, as [lifecycle.Outbox] shares them out; reach is
// how far it looks at first.
func (t *tx) claimable(now time.Time, topics []lifecycle.Topic, limit, reach int) ([]freeEvent, error) {
	if limit <= 0 {
		return nil, nil
	}
	var tried []freeEvent
	for _, topic := range topics {
		some, err := t.freeEvents(firstTriedEvents, topic, micros(now), limit)
		if err != nil {
			return nil, err
		}
		tried = append(tried, some...)
	}
	oldest, newest, err := t.neverTried(topics, limit, reach)
	if err != nil {
		return nil, err
	}
	return store.InTurn(limit, oldest, ends(tried, limit, compareFree), newest), nil
}

// ends are up to limit events that come first in an order. It may change the order of all.
func ends(all []freeEvent, limit int, order func(a, b freeEvent) int) []freeEvent {
	slices.SortFunc(all, order)
	return all[:min(limit, len(all))]
}

// neverTried are up to limit events from either end of those never tried. There are newest ones only where the oldest are not all.
func (t *tx) neverTried(topics []lifecycle.Topic, limit, reach int) (oldest, newest []freeEvent, err error) {
	for ; ; reach *= furtherReach {
		oldest, newest, enough, err := t.byNumber(topics, limit, reach)
		if err != nil || enough {
			return oldest, newest, err
		}
		all, enough, err := t.byLine(topics, reach)
		if err != nil || enough {
			oldest = ends(all, limit, compareFree)
			return oldest, ends(all[len(oldest):], limit, compareFreeDown), err
		}
	}
}

// byNumber looks at up to reach events of each topic from either end, and reports whether that was enough.
func (t *tx) byNumber(topics []lifecycle.Topic, limit, reach int) (oldest, newest []freeEvent, enough bool, err error) {
	oldest, enough, err = t.numbered(oldestEvents, topics, 0, limit, reach)
	oldest = ends(oldest, limit, compareFree)
	if err != nil || !enough || len(oldest) < limit {
		return oldest, nil, enough, err
	}
	newest, enough, err = t.numbered(newestEvents, topics, oldest[limit-1].seq, limit, reach)
	return oldest, ends(newest, limit, compareFreeDown), enough, err
}

// numbered are the first ones among up to reach events of each topic behind a number, and whether that was enough.
func (t *tx) numbered(statement string, topics []lifecycle.Topic, after int64, limit, reach int) (all []freeEvent, enough bool, err error) {
	for _, topic := range topics {
		some, err := t.freeEvents(statement, topic, after, limit, reach)
		if err != nil {
			return nil, false, err
		}
		all = append(all, some...)
		if len(some) == limit {
			continue
		}
		more := false
		if _, err := t.queryRow(moreEvents, []any{int64(topic), after, reach}, &more); err != nil || more {
			return nil, false, err
		}
	}
	return all, true, nil
}

// byLine are the events that can be claimed of up to reach workspaces, and whether there are no more than those.
func (t *tx) byLine(topics []lifecycle.Topic, reach int) (all []freeEvent, enough bool, err error) {
	for _, topic := range topics {
		lines := 0
		err := t.query(eventsByLine, func(r rows) error {
			var seq *int64
			err := r.Scan(&seq)
			if seq != nil {
				all = append(all, freeEvent{seq: *seq})
			}
			lines++
			return err
		}, int64(topic), reach)
		if err != nil || lines == reach {
			return nil, false, err
		}
	}
	return all, true, nil
}

// freeEvents reads the events that a statement finds of a topic.
func (t *tx) freeEvents(statement string, topic lifecycle.Topic, args ...any) (found []freeEvent, err error) {
	err = t.query(statement, func(r rows) error {
		var f freeEvent
		err := r.Scan(&f.seq, &f.at)
		found = append(found, f)
		return err
	}, append([]any{int64(topic)}, args...)...)
	return found, err
}
