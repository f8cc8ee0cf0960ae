package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"maps"

	"github.com/dormouse-go/dormouse/store"
)

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
// The host ends the transaction, and should do so soon: SQLite has one writer, so ticks and workers wait meanwhile, for
// Config.BusyTimeout at most, and a call of the store itself from within the transaction waits for it in vain. Where the
// driver can, let the transaction begin with BEGIN IMMEDIATE, or write first: one that has read, and writes after somebody else
// has written, is refused by SQLite, a lifecycle.ErrUnavailable, and has to be begun anew.
//
// A call that fails has no effect, and the transaction may go on.
func (s *Store) WithTx(hosts *sql.Tx) *Tx {
	bound := &Store{core: s.core}
	bound.host = &hostTx{s: bound, tx: &tx{tx: hosts, s: bound, local: map[string]*sql.Stmt{}}}
	return &Tx{bound, bound.host}
}

// Committed makes known what the transaction has written, to those who wait in this process. Without it, it is found when
// they look by themselves.
func (t *Tx) Committed() {
	t.host.s.lanes.learn(t.host.tx.lanes)
	if t.host.wake {
		t.host.s.watchers.Notify()
	}
}

// hostTx is a transaction that the host began and will end.
type hostTx struct {
	s  *Store
	tx *tx
	// wake: something written may have made the earliest wake earlier.
	wake bool
	// locked: the write lock was taken.
	locked bool
}

// within is the transaction for one call.
func (h *hostTx) within(ctx context.Context) *tx {
	h.tx.ctx = context.WithoutCancel(ctx)
	return h.tx
}

// write does what [Store.write] does, with a savepoint in place of a transaction.
func (h *hostTx) write(ctx context.Context, do func(*tx) error) error {
	if err := h.s.ready(ctx); err != nil {
		return err
	}
	t := h.within(ctx)
	if err := h.lock(ctx, t); err != nil {
		return err
	}
	lanes := maps.Clone(t.lanes)
	if _, err := t.exec(`SAVEPOINT dormouse`); err != nil {
		return err
	}
	if err := do(t); err != nil {
		t.lanes = lanes
		_, undone := t.exec(`ROLLBACK TO dormouse`)
		_, released := t.exec(`RELEASE dormouse`)
		return errors.Join(err, undone, released)
	}
	_, err := t.exec(`RELEASE dormouse`)
	return err
}

// lock waits for the write lock, once.
func (h *hostTx) lock(ctx context.Context, t *tx) error {
	if h.locked {
		return nil
	}
	err := h.s.patiently(ctx, func() error {
		_, err := t.exec(lockStatement)
		return err
	})
	h.locked = err == nil
	return err
}

// notify makes known that the earliest wake may have moved: now, or when the host has committed.
func (s *Store) notify() {
	if s.host != nil {
		s.host.wake = true
		return
	}
	s.watchers.Notify()
}
