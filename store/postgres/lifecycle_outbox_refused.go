package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// apartEvents is a claim of events that a refusal of the host is in the way of, in a transaction: it leases what can be leased of those
// that it finds, passes over the others, and looks for as many more. What is behind a refused one in its workspace and topic waits for it.
type apartEvents struct {
	*Store
	topics     []int16
	now, until time.Time
	limit      int
	// passed are the events that it looks at no more: those that were refused, and those that it has tried.
	passed  []int64
	events  []lifecycle.Event
	leased  int
	refused refusals
}

// claimEventsApart makes such a claim; its arguments are those of [Store.claimEvents], and the events that were refused lately.
func (s *Store) claimEventsApart(ctx context.Context, args []any, passed []int64) ([]lifecycle.Event, error) {
	var a *apartEvents
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		a = &apartEvents{
			Store: s, topics: args[0].([]int16), now: args[1].(time.Time), until: args[2].(time.Time), limit: min(args[3].(int), math.MaxInt32),
			passed: slices.Clone(passed),
		}
		return pgx.BeginTxFunc(ctx, s.pool, readCommitted, func(tx pgx.Tx) error { return a.run(ctx, tx) })
	})
	if a == nil || err != nil {
		return nil, err
	}
	s.warn(ctx, "events cannot be claimed", "event", a.refused)
	slices.SortFunc(a.events, func(a, b lifecycle.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return a.events, nil
}

func (a *apartEvents) run(ctx context.Context, tx pgx.Tx) error {
	for _, text := range []string{steadySQL, immediateSQL} {
		if _, err := tx.Exec(ctx, text); err != nil {
			return err
		}
	}
	for more := true; more && a.leased < a.limit; {
		seqs, err := a.free(ctx, tx)
		if err != nil || len(seqs) == 0 {
			return err
		}
		before := a.refused.N
		if err := a.lease(ctx, tx, seqs[:min(len(seqs), a.limit-a.leased)]); err != nil {
			return err
		}
		more = a.refused.N > before
	}
	return nil
}

// free locks events that can be leased, as many as are still wanted if there are, in the order in which they take turns.
func (a *apartEvents) free(ctx context.Context, tx pgx.Tx) ([]int64, error) {
	for reach := firstReach; ; reach *= furtherReach {
		for _, text := range []string{lockByNumberSQL, lockByLineSQL} {
			rows, _ := tx.Query(ctx, a.sql(text), a.topics, a.now, a.passed, a.limit-a.leased+len(a.passed), reach)
			seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
			if cut := len(seqs) == 1 && seqs[0] == 0; err != nil || !cut {
				return seqs, err
			}
		}
	}
}

// leaseEventsSQL leases some events, all or, with an error, none.
var leaseEventsSQL = `
	WITH claimed AS (
		UPDATE dormouse.events e SET attempt = e.attempt + 1, free_at = $2 WHERE e.seq = ANY ($1::bigint[])
		RETURNING e.seq, e.attempt, e.body
	)
	SELECT seq, attempt, body FROM claimed
	UNION ALL
	SELECT ` + keptSQL("events", "count(*)") + `::bigint, NULL, NULL FROM claimed HAVING count(*) < cardinality($1)`

// lease leases those of the events that can be leased.
func (a *apartEvents) lease(ctx context.Context, tx pgx.Tx, seqs []int64) error {
	a.passed = append(a.passed, seqs...)
	return byHalves(ctx, tx, 0, len(seqs), func(tx pgx.Tx, from, to int) error {
		rows, _ := tx.Query(ctx, a.sql(leaseEventsSQL), seqs[from:to], a.until)
		events, err := a.readEvents(ctx, rows)
		if err != nil {
			return err
		}
		a.events, a.leased = append(a.events, events...), a.leased+to-from
		return nil
	}, func(i int, why error) {
		a.refused.Add(seqs[i], why)
		a.passedEvents.Add(a.now, seqs[i], uuid.Nil)
	})
}
