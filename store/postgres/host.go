package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/store"
)

// database is what a pool and a transaction have in common.
type database interface {
	querier
	sender
	QueryRow(ctx context.Context, text string, args ...any) pgx.Row
	Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error)
	Begin(ctx context.Context) (pgx.Tx, error)
}

// pooled is the pool as the store uses it.
type pooled interface {
	database
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
	Reset()
}

// Tx is the store within a transaction of the host: what its methods write becomes visible with what the host writes, at the
// host's commit, and is gone with it after a rollback. See [Store.WithTx].
type Tx struct {
	store.Bound
	host *hostTx
}

var _ store.Tx = (*Tx)(nil)

// WithTx returns the store within a transaction of the host, which must be one of the store's own database. It is for one
// goroutine at a time, like the transaction, and of no use after its end. Call [Tx.Committed] after the commit.
//
// The host ends the transaction, and should do so soon: until then the rows that were written stay locked, so that a tick may
// wait for one of these workspaces, and whoever stores jobs of the same tenants waits too, for half a second. A call waits for
// another transaction for 2 seconds at most, or for the host's own lock_timeout if that is shorter, and then fails with a
// [lifecycle.ErrUnavailable] that names the table. Where the store itself waits for less, as for jobs, it does so here too.
// Transactions that write the same workspaces in different orders may be ended by the server as deadlocks. Nothing is tried again:
// what has failed because of other transactions, or because the connection broke, the host does once more from the beginning.
//
// A call that fails has no effect, and the transaction may go on: each runs in a savepoint.
func (s *Store) WithTx(tx pgx.Tx) *Tx {
	bound := &Store{core: s.core, db: tx}
	bound.host = &hostTx{s: bound, tx: tx}
	return &Tx{bound, bound.host}
}

// Committed makes known what the transaction has written, to those who wait in this process, and through those that watch
// (see [Store.WatchWakes]) in others. Without it, it is found when they look by themselves.
func (t *Tx) Committed() {
	if t.host.wake {
		t.host.s.wakes.Notify()
	}
}

// hostTx is a transaction that the host began and will end.
type hostTx struct {
	s  *Store
	tx pgx.Tx
	// wake: something written may have made the earliest wake earlier.
	wake bool
}

// try does what [Store.retry] does, once and in a savepoint.
func (h *hostTx) try(ctx context.Context, f func(context.Context) error) error {
	return h.atomic(ctx, func() error {
		err := h.bounded(ctx, f)
		if err != nil {
			err = unavailable(classify(err), heldByOthers(err))
		}
		return err
	})
}

// atomic calls f in a savepoint.
func (h *hostTx) atomic(ctx context.Context, f func() error) error {
	savepoint, err := h.tx.Begin(ctx)
	if err != nil {
		return unavailable(classify(err), err)
	}
	if err := f(); err != nil {
		return errors.Join(err, savepoint.Rollback(context.WithoutCancel(ctx)))
	}
	if err := savepoint.Commit(ctx); err != nil {
		return unavailable(classify(err), err)
	}
	return nil
}

// atomic calls f, which asks the database more than once. What a part has done in a transaction of the host is taken back if a later one
// fails; outside of one it is done.
func (s *Store) atomic(ctx context.Context, f func() error) error {
	if s.host != nil {
		return s.host.atomic(ctx, f)
	}
	return f()
}

// hostWaitSQL bounds how long a call waits for another transaction, unless the host has a shorter bound, and returns the host's.
// It is longer than the server takes to find a deadlock, which it knows better than we do.
var hostWaitSQL = `SELECT current_setting('lock_timeout'), ` + waitAtMost("2s")

// bounded calls f, which waits for no other transaction without end, and leaves the host's own bound as it was. Where f fails, the
// savepoint does that.
func (h *hostTx) bounded(ctx context.Context, f func(context.Context) error) error {
	var before, now string
	if err := h.tx.QueryRow(ctx, hostWaitSQL).Scan(&before, &now); err != nil {
		return err
	}
	if err := f(ctx); err != nil {
		return err
	}
	_, err := h.tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, before)
	return err
}

// notify makes known that the earliest wake may have moved: now, or when the host has committed.
func (s *Store) notify() {
	if s.host != nil {
		s.host.wake = true
		return
	}
	s.wakes.Notify()
}
