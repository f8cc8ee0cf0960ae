package postgres

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// carriedSQL sends a message with the jobs that a statement inserts, and says whether it did; the server sends what is the same for
// several of them once. A transaction that notifies takes a lock of the whole server at its commit and keeps it until that is on
// disk, so that others wait for it who notify. So at most one posting at a time carries its message, whoever posts: where another one
// has the advisory lock it does not wait, and its message is sent by a call of its own ([Pubsub.Publish]).
//
// No inserted job has a number below the one in the message, which is that behind the last one of its tenant.
var carriedSQL = carriedFrom(1 + len(enqueueColumns))

func carriedFrom(first int) string {
	p := func(i int) string { return "$" + strconv.Itoa(first+i) }
	return strings.NewReplacer("%lock", p(0), "%channel", p(1), "%parts", p(2)).Replace(`
		CASE WHEN pg_try_advisory_xact_lock(%lock) THEN pg_notify(%channel, array_to_string(%parts::text[], ((SELECT min(place - step) FROM turn) + 1)::text)) IS NOT NULL
		ELSE false END`)
}

// carriedFields are a job that is inserted, and whether the message was sent with it.
var carriedFields = append(slices.Clone(postedFields), field[jobRow]{carriedSQL, func(r *jobRow) any { return &r.j.Announced }})

// carried is a message that a posting sends.
type carried struct {
	// pool is that of the store which sends it.
	pool    pooled
	channel string
	parts   []string
}

type carriedKey struct{}

// Carry implements [queue.Carrier], for stores of the same pool and schema.
func (p *Pubsub) Carry(ctx context.Context, parts []string) context.Context {
	return context.WithValue(ctx, carriedKey{}, carried{p.store.pool, p.channel, parts})
}

// carriedBy is the message that a posting is to send, if the store can. In a transaction of the host it cannot: that may take long.
func (s *Store) carriedBy(ctx context.Context) (m carried, ok bool) {
	m, ok = ctx.Value(carriedKey{}).(carried)
	return m, ok && s.host == nil && m.pool == s.pool && m.channel == jobsChannel(s.cfg.Schema)
}

func withoutMessage(ctx context.Context) context.Context {
	return context.WithValue(ctx, carriedKey{}, nil)
}

// args are the parameters of carriedSQL.
func (m carried) args() []any { return []any{carrierKey(m.channel), m.channel, m.parts} }

// carrierKey is the advisory lock of the posting that sends its message.
func carrierKey(channel string) int64 { return advisoryLock("dormouse messages on " + channel) }

// jobsChannel is where the messages about jobs of a schema are sent.
func jobsChannel(schema string) string { return schema + "_jobs" }

// isQueueFull reports whether a statement failed because a listener has not read its messages for long: no reason to store no job. Other
// limits of the server have the same code, and a trigger of the host may send messages, too: without a message it is the error.
func isQueueFull(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "54000"
}
