package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/dormouse-go/dormouse/lifecycle"
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
// Config.BusyTimeout at most, and a call of the store itself from within the transaction waits for it in vain. The first call
// of a method takes the write lock. If the host has read before in the same transaction, and somebody else has written since,
// SQLite refuses it, a lifecycle.ErrUnavailable, and the transaction has to be begun anew: write first, or begin with BEGIN
// IMMEDIATE where the driver can.
//
// A call that fails has no effect, and the transaction may go on, unless a trigger of the host or a full disk has ended it: then every
// further call fails.
func (s *Store) WithTx(hosts *sql.Tx) *Tx {
	bound := &Store{core: s.core}
	bound.host = &hostTx{s: bound, tx: &tx{tx: hosts, s: bound, local: map[string]*sql.Stmt{}}}
	return &Tx{bound, bound.host}
}

// Committed makes known what the transaction has written, to those who wait in this process. Without it, it is found when
// they look by themselves.
func (t *Tx) Committed() {
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

// within is the transaction for one call. The lanes of earlier ones are forgotten: the host may have gone back to a savepoint of its
// own since, and another lane have the number of one that it undid.
func (h *hostTx) within(ctx context.Context) *tx {
	h.tx.ctx, h.tx.lanes = context.WithoutCancel(ctx), nil
	return h.tx
}

// write does what [Store.write] does, with a savepoint in place of a transaction.
func (h *hostTx) write(ctx context.Context, do func(*tx) error) error {
	if err := h.s.ready(ctx); err != nil {
		return err
	}
	t, err := h.locking(ctx)
	if err != nil {
		return err
	}
	if _, err := t.exec(`SAVEPOINT dormouse`); err != nil {
		return err
	}
	if err = do(t); err == nil {
		_, err = t.exec(`RELEASE dormouse`)
	}
	if t.over != nil {
		return cmp.Or(err, t.over)
	}
	if err != nil {
		_, undone := t.exec(`ROLLBACK TO dormouse`)
		if undone != nil { // a full disk, for one, has ended the transaction: what follows would be written outside of it
			t.over = errors.Join(err, undone)
			return t.over
		}
		_, released := t.exec(`RELEASE dormouse`)
		return errors.Join(err, released)
	}
	return nil
}

// locking is the transaction for one call, with the write lock. It waits for the lock before it reads anything, since who has
// read before somebody else writes gets it no more.
func (h *hostTx) locking(ctx context.Context) (*tx, error) {
	t := h.within(ctx)
	if h.locked {
		return t, nil
	}
	err := h.s.patiently(ctx, func() error {
		_, err := t.exec(lockStatement)
		if stale(err) {
			return fmt.Errorf("the transaction has read before somebody else wrote: %w: %w", lifecycle.ErrUnavailable, errStale)
		}
		return err
	})
	if err == nil {
		err = h.s.ofFile(t.whole())
	}
	h.locked = err == nil
	return t, err
}

// errStale does not read as if waiting would help.
var errStale = errors.New("it has to be begun anew")

// notify makes known that the earliest wake may have moved: now, or when the host has committed.
func (s *Store) notify() {
	if s.host != nil {
		s.host.wake = true
		return
	}
	s.watchers.Notify()
}
