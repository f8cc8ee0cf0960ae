package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
)

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

func topicNumbers(topics []lifecycle.Topic) []int16 {
	numbers := make([]int16, len(topics))
	for i, t := range topics {
		numbers[i] = int16(t)
	}
	return numbers
}

// settleEventsSQL: a delivery without a retry has NULL there. One that was not tried is as it was, which is never tried after its
// first attempt.
const settleEventsSQL = `
	WITH delivery AS (
		SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::boolean[]) AS d (seq, retry_at, untried)
	), delivered AS (
		DELETE FROM dormouse.events e USING delivery d WHERE e.seq = d.seq AND d.retry_at IS NULL
		RETURNING e.seq
	), retried AS (
		UPDATE dormouse.events e SET
			attempt = CASE WHEN d.untried THEN greatest(e.attempt - 1, 0) ELSE e.attempt END,
			free_at = CASE WHEN d.untried AND e.attempt <= 1 THEN NULL ELSE d.retry_at END
		FROM delivery d WHERE e.seq = d.seq AND d.retry_at IS NOT NULL
		RETURNING e.seq
	)
	SELECT seq FROM delivered UNION ALL SELECT seq FROM retried`

// eventsThereSQL are those of some events that are still there.
const eventsThereSQL = `SELECT seq FROM dormouse.events WHERE seq = ANY ($1::bigint[]) ORDER BY seq`

// SettleEvents implements [lifecycle.Outbox]. An event whose row somebody holds stays claimed, and is delivered again when its
// lease ends.
func (s *Store) SettleEvents(ctx context.Context, _ time.Time, deliveries []lifecycle.Delivery) error {
	if len(deliveries) == 0 {
		return ctx.Err()
	}
	left := make(map[int64]bool) // those that nothing was heard of
	for _, d := range deliveries {
		left[d.Seq] = true
	}
	unsettled := func(seq int64, err error) {
		delete(left, seq)
		s.cfg.Logger.WarnContext(ctx, "postgres: event is not settled, and will be delivered again", "seq", seq, "error", err)
	}
	err := apart(len(deliveries), func(from, to int, wait string) error {
		settled, err := s.settleEvents(ctx, wait, deliveries[from:to])
		for _, seq := range settled {
			delete(left, seq)
		}
		return err
	}, func(i int, err error) { unsettled(deliveries[i].Seq, err) })
	if err == nil && len(left) > 0 {
		var there []int64
		there, err = pageOf(ctx, s, func(seq *int64) []any { return []any{seq} }, eventsThereSQL, slices.Collect(maps.Keys(left)))
		for _, seq := range there {
			unsettled(seq, leftOut("it"))
		}
	}
	return wrap(err, "settle events (%d)", len(deliveries))
}

// settleEvents returns the events that were settled. One that is not among them is gone, or a trigger of the host left it out.
func (s *Store) settleEvents(ctx context.Context, wait string, deliveries []lifecycle.Delivery) (settled []int64, err error) {
	var seqs []int64
	var retries []stamp
	var untried []bool
	for _, d := range deliveries {
		seqs, retries, untried = append(seqs, d.Seq), append(retries, stamp(d.RetryAt)), append(untried, d.Untried)
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.patient(ctx, wait, settleEventsSQL, []any{seqs, retries, untried}, func(rows pgx.Rows) (err error) {
			settled, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return settled, nil
}
