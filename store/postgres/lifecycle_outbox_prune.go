package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/form"
)

// eventsByNumberSQL is up to $3 events of a topic behind a number. It reads no other topic's, which the server would in the order of the
// primary key: those tried before have no index in their order, and are found first.
const eventsByNumberSQL = `
	WITH tried AS MATERIALIZED (
		SELECT e.seq FROM dormouse.events e
		WHERE e.topic BETWEEN $1::smallint AND $1 AND e.free_at IS NOT NULL AND e.seq > $2
	), first AS (
		SELECT seq FROM (
			(SELECT e.seq FROM dormouse.events e
			WHERE e.topic BETWEEN $1::smallint AND $1 AND e.free_at IS NULL AND e.seq > $2
			ORDER BY e.topic, e.seq LIMIT $3)
			UNION ALL
			SELECT seq FROM tried
		) n
		ORDER BY seq LIMIT $3
	)
	SELECT e.seq, e.body FROM first JOIN dormouse.events e ON e.seq = first.seq
	ORDER BY e.seq`

// pruneEventsSQL deletes those of some events that nobody holds.
const pruneEventsSQL = `
	WITH free AS (
		SELECT e.seq FROM dormouse.events e WHERE e.seq = ANY ($1::bigint[])
		ORDER BY e.seq
		FOR UPDATE SKIP LOCKED
	)
	DELETE FROM dormouse.events e USING free WHERE e.seq = free.seq
	RETURNING e.seq, e.attempt, e.body`

// PruneEvents implements [lifecycle.Outbox]. It reads what it removes, and as much that is younger, and of each topic the numbers of
// all events that were tried before. What somebody holds, or something of the host keeps, stays, and keeps nothing else. A call whose
// answer is lost is not repeated: nobody would learn what it deleted.
func (s *Store) PruneEvents(ctx context.Context, before time.Time, topics []lifecycle.Topic, limit int) ([]lifecycle.Event, error) {
	p := eventPruning{s: s, before: before, limit: limit}
	var err error
	for _, topic := range topics {
		if err == nil {
			err = p.topic(ctx, topic)
		}
	}
	s.warn(ctx, "rows cannot be pruned", "event", p.refused)
	slices.SortFunc(p.gone, func(a, b lifecycle.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return p.gone, wrap(err, "prune events")
}

// eventPruning is one call.
type eventPruning struct {
	s      *Store
	before time.Time
	limit  int
	// gone are the events that were deleted and can be read.
	gone    []lifecycle.Event
	refused refusals
}

// topic prunes the events of a topic. It looks no further than to as many in a row that are not old as the limit is: the first
// ones are the oldest, up to the clocks of those who wrote them.
func (p *eventPruning) topic(ctx context.Context, topic lifecycle.Topic) error {
	after := int64(0)
	for young := 0; len(p.gone) < p.limit && young < p.limit; {
		page, err := p.s.agedEvents(ctx, topic, after, p.limit)
		if err != nil || len(page) == 0 {
			return err
		}
		var old []int64
		for _, e := range page {
			if len(p.gone)+len(old) == p.limit {
				break
			}
			after = e.seq
			switch {
			case !e.known: // it stays, and says nothing of those behind it
			case e.at.Before(p.before):
				old, young = append(old, e.seq), 0
			default:
				young++
			}
		}
		if err := p.remove(ctx, old); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes events together, or where one of them cannot go each alone.
func (p *eventPruning) remove(ctx context.Context, seqs []int64) error {
	if len(seqs) == 0 {
		return nil
	}
	err := p.delete(ctx, batchByIDSQL, seqs)
	if !ofOneRow(err) {
		return err
	}
	for _, seq := range seqs {
		err := p.delete(ctx, aloneByIDSQL, []int64{seq})
		if err != nil && !ofOneRow(err) {
			return err
		}
		if err != nil {
			p.refused.Add(seq, err)
		}
	}
	return nil
}

func (p *eventPruning) delete(ctx context.Context, wait string, seqs []int64) error {
	var gone []lifecycle.Event
	err := p.s.do(ctx, once, func(ctx context.Context) error {
		return p.s.patient(ctx, wait, pruneEventsSQL, []any{seqs}, func(rows pgx.Rows) (err error) {
			gone, err = p.s.readEvents(ctx, rows)
			return err
		})
	})
	if err == nil { // a host's constraint may refuse the commit
		p.gone = append(p.gone, gone...)
	}
	return err
}

// agedEvent is the number of an event, and its age, where that is known.
type agedEvent struct {
	seq   int64
	at    time.Time
	known bool
}

func (s *Store) agedEvents(ctx context.Context, topic lifecycle.Topic, after int64, limit int) (page []agedEvent, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		page = nil
		return s.steady(ctx, eventsByNumberSQL, []any{int16(topic), after, limit}, func(rows pgx.Rows) error {
			var e agedEvent
			var body []byte
			_, err := pgx.ForEachRow(rows, []any{&e.seq, (*rawJSON)(&body)}, func() error {
				e.at, e.known = form.EventAt(body)
				page = append(page, e)
				return nil
			})
			return err
		})
	})
	return page, err
}
