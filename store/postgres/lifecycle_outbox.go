package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// claimEventsSQL leases the first event of each workspace and topic that is free. Numbers rise within a workspace in the
// order of its commits, because a commit takes them while it holds the workspace's row.
const claimEventsSQL = `
	WITH first AS (
		SELECT e.seq FROM dormouse.events e
		WHERE e.topic = ANY ($1::smallint[]) AND (e.free_at IS NULL OR e.free_at <= $2)
			AND NOT EXISTS (
				SELECT FROM dormouse.events b
				WHERE b.workspace_id = e.workspace_id AND b.topic = e.topic AND b.seq < e.seq)
		ORDER BY e.seq
		LIMIT $4
		FOR UPDATE OF e SKIP LOCKED
	)
	UPDATE dormouse.events e SET attempt = e.attempt + 1, free_at = $3
	FROM first WHERE e.seq = first.seq
	RETURNING e.seq, e.attempt, e.body`

// ClaimEvents implements [lifecycle.Outbox]. If the answer is lost the events wait for the end of their lease.
func (s *Store) ClaimEvents(ctx context.Context, now time.Time, topics []lifecycle.Topic, lease time.Duration, limit int) (events []lifecycle.Event, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		rows, err := s.db.Query(ctx, s.sql(claimEventsSQL), topicNumbers(topics), now, now.Add(lease), limit)
		if err != nil {
			return err
		}
		events, err = s.readEvents(ctx, rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim events: %w", err)
	}
	return events, nil
}

// readEvents returns the events of rows by number. One that cannot be read, because a later version wrote it, say, holds up
// only its own workspace and topic: it is leased like the others, or pruned.
func (s *Store) readEvents(ctx context.Context, rows pgx.Rows) ([]lifecycle.Event, error) {
	var events []lifecycle.Event
	var seq int64
	var attempt int
	var body []byte
	_, err := pgx.ForEachRow(rows, []any{&seq, &attempt, (*rawJSON)(&body)}, func() error {
		var e lifecycle.Event
		if err := json.Unmarshal(body, &e); err != nil {
			s.cfg.Logger.ErrorContext(ctx, "postgres: stored event cannot be read", "seq", seq, "error", err)
			return nil
		}
		e.Seq, e.Attempt = seq, attempt
		normalize(&e.At, &e.DueAt, &e.Until)
		events = append(events, e)
		return nil
	})
	slices.SortFunc(events, func(a, b lifecycle.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return events, err
}

// pruneEventsSQL looks at the first events only: they are the oldest, up to the clocks of those who wrote them.
const pruneEventsSQL = `
	WITH first AS (
		SELECT e.seq, e.body FROM dormouse.events e
		WHERE e.topic = ANY ($1::smallint[])
		ORDER BY e.seq
		LIMIT $3
		FOR UPDATE SKIP LOCKED
	)
	DELETE FROM dormouse.events e USING first
	WHERE e.seq = first.seq AND (first.body->>'at')::timestamptz < $2
	RETURNING e.seq, e.attempt, e.body`

// PruneEvents implements [lifecycle.Outbox]. A call whose answer is lost is not repeated: nobody would learn what it
// deleted.
func (s *Store) PruneEvents(ctx context.Context, before time.Time, topics []lifecycle.Topic, limit int) (events []lifecycle.Event, err error) {
	err = s.do(ctx, once, func(ctx context.Context) error {
		rows, err := s.db.Query(ctx, s.sql(pruneEventsSQL), topicNumbers(topics), before, limit)
		if err != nil {
			return err
		}
		events, err = s.readEvents(ctx, rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("prune events: %w", err)
	}
	return events, nil
}

func topicNumbers(topics []lifecycle.Topic) []int16 {
	numbers := make([]int16, len(topics))
	for i, t := range topics {
		numbers[i] = int16(t)
	}
	return numbers
}

// settleEventsSQL: a delivery without a retry has NULL there.
const settleEventsSQL = `
	WITH delivery AS (
		SELECT * FROM unnest($1::bigint[], $2::timestamptz[]) AS d (seq, retry_at)
	), delivered AS (
		DELETE FROM dormouse.events e USING delivery d WHERE e.seq = d.seq AND d.retry_at IS NULL
	)
	UPDATE dormouse.events e SET free_at = d.retry_at
	FROM delivery d WHERE e.seq = d.seq AND d.retry_at IS NOT NULL`

// SettleEvents implements [lifecycle.Outbox].
func (s *Store) SettleEvents(ctx context.Context, _ time.Time, deliveries []lifecycle.Delivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	var seqs []int64
	var retries []stamp
	for _, d := range deliveries {
		seqs, retries = append(seqs, d.Seq), append(retries, stamp(d.RetryAt))
	}
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, s.sql(settleEventsSQL), seqs, retries)
		return err
	})
	return wrap(err, "settle %d events", len(deliveries))
}
