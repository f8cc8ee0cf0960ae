package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// tx is a transaction. Those of [Store.write] hold the write lock.
type tx struct {
	// ctx does not end: a transaction is short, and what was begun is finished, so that its outcome is known. It is kept
	// here because it belongs to the transaction, not to a caller.
	ctx    context.Context
	s      *Store
	tx     *sql.Tx
	local  map[string]*sql.Stmt
	missed []string
	// over is why a row has ended the transaction before its time: nothing more may be written, as it would be on its own.
	over error
	// lanes that the transaction has made or read. Others may know of them when it is committed.
	lanes map[queue.Lane]int64
	// current are lanes that the process remembers and the transaction has seen to be there.
	current map[queue.Lane]int64
}

// write runs a function in a transaction that holds the write lock from its beginning. All of it is committed, or, if the
// function fails, nothing. The context ends the waiting for the lock, and after that nothing. Where another connection is in
// the way after all, which without a write-ahead log may be at any point, the whole transaction is made again: the function
// may be called several times, and what it hands out must be what the last call made.
func (s *Store) write(ctx context.Context, do func(*tx) error) error {
	if s.host != nil {
		return s.host.write(ctx, do)
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	lock, err := s.prepared(ctx, lockStatement)
	if err != nil {
		return err
	}
	var t *tx
	once := func() error {
		return s.patiently(ctx, func() error {
			t = s.transaction(ctx)
			return s.exclusively(ctx, t, lock, do)
		})
	}
	err = once()
	// The pool may have several connections that were opened when the file could not be written.
	for older := s.db.Stats().OpenConnections; s.outlived(err) && older >= 0; older-- {
		err = once()
	}
	if err != nil {
		return s.ofFile(err)
	}
	s.lanes.learn(t.lanes)
	t.learn(ctx)
	return nil
}

// view runs a function that only reads in a transaction, so that all it reads is of one instant. Like that of write it may
// be called several times. Nothing that [Tx] offers reads in this way.
func (s *Store) view(ctx context.Context, do func(*tx) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	var t *tx
	err := s.patiently(ctx, func() error {
		t = s.transaction(ctx)
		return s.within(ctx, t, nil, do)
	})
	if err != nil {
		return s.ofFile(err)
	}
	t.learn(ctx)
	return nil
}

func (s *Store) transaction(ctx context.Context) *tx {
	return &tx{ctx: context.WithoutCancel(ctx), s: s, local: map[string]*sql.Stmt{}}
}

// learn prepares for later transactions what this one had to prepare for itself: with a pool of one connection this cannot
// be done before it has ended. It matters for speed alone.
func (t *tx) learn(ctx context.Context) {
	for _, statement := range t.missed {
		if _, err := t.s.prepared(ctx, statement); err != nil {
			return
		}
	}
}

func (s *Store) exclusively(ctx context.Context, t *tx, lock *sql.Stmt, do func(*tx) error) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.within(ctx, t, lock, do)
}

// within runs a function in a transaction, which it commits or rolls back.
func (s *Store) within(ctx context.Context, t *tx, lock *sql.Stmt, do func(*tx) error) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if s.outlived(err) {
			discard(conn)
		}
		if closing := conn.Close(); !errors.Is(closing, sql.ErrConnDone) { // it was discarded
			err = errors.Join(err, closing)
		}
	}()
	if t.tx, err = s.begin(ctx, conn, lock); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			abandon(conn, t.tx)
			panic(p)
		}
	}()
	if lock != nil {
		err = t.whole()
	}
	if err == nil {
		err = do(t)
	}
	if err = cmp.Or(err, t.over); err != nil {
		abandon(conn, t.tx)
		return err
	}
	return s.commit(ctx, conn, t.tx)
}

// lockStatement takes the write lock when a transaction begins with it, before it has read anything that could be
// outdated. It need not write a row for that. So the store does not depend on what the driver's BEGIN does.
const lockStatement = `UPDATE {migrations} SET version = version WHERE FALSE`

// begin begins a transaction, and waits for the write lock if it is one that locks.
func (s *Store) begin(ctx context.Context, conn *sql.Conn, lock *sql.Stmt) (*sql.Tx, error) {
	var inner *sql.Tx
	err := s.patiently(ctx, func() error {
		var err error
		if inner, err = conn.BeginTx(context.WithoutCancel(ctx), nil); err != nil || lock == nil {
			return err
		}
		if _, err = inner.StmtContext(ctx, lock).ExecContext(ctx); err != nil {
			abandon(conn, inner)
		}
		return err
	})
	return inner, err
}

// commit ends a transaction. Without a write-ahead log, readers can keep it waiting.
func (s *Store) commit(ctx context.Context, conn *sql.Conn, inner *sql.Tx) error {
	err := inner.Commit()
	switch {
	case rejects(err): // by a constraint that waits for the commit; some drivers leave the transaction open
		end(conn)
		return err
	case !busy(err):
		if err != nil {
			discard(conn)
		}
		return err
	}
	// The package sql takes the transaction for ended. The database does not, unless the driver has rolled it back.
	err = s.patiently(ctx, func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), "COMMIT")
		return err
	})
	if err == nil {
		return nil
	}
	discard(conn)
	if strings.Contains(err.Error(), "no transaction is active") {
		return errRolledBack
	}
	return err
}

// abandon rolls a transaction back. A full disk, for one, has ended it already.
func abandon(conn *sql.Conn, inner *sql.Tx) {
	if err := inner.Rollback(); err != nil {
		end(conn)
	}
}

// end leaves no transaction open on a connection. One that has one still is not given back to the pool. The others are: with its last
// connection a database in memory is gone.
func end(conn *sql.Conn) {
	ctx := context.Background()
	_, _ = conn.ExecContext(ctx, "ROLLBACK") // of none it is an error
	_, err := conn.ExecContext(ctx, "BEGIN") // of two, too
	if err == nil {
		_, err = conn.ExecContext(ctx, "ROLLBACK")
	}
	if err != nil {
		discard(conn)
	}
}

// discard closes the connection to the database, which rolls back what it has begun.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

const (
	firstPause = time.Millisecond
	longPause  = 20 * time.Millisecond
)

// patiently tries again while another process writes. The pauses are short and random, because SQLite keeps no line: who
// pauses longest starves. They are measured by the real clock, since it is a real process that is waited for.
func (s *Store) patiently(ctx context.Context, try func() error) error {
	return patiently(ctx, s.cfg.BusyTimeout, try)
}

func patiently(ctx context.Context, atMost time.Duration, try func() error) error {
	limited, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := try()
		if !busy(err) {
			return err
		}
		select {
		case <-time.After(rand.N(pause) + pause/2):
		case <-limited.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("waited %v for another writer: %w: %w", atMost, lifecycle.ErrUnavailable, err)
		}
	}
}

// statement returns a prepared statement of the transaction.
func (t *tx) statement(text string) (*sql.Stmt, error) {
	if t.over != nil {
		return nil, t.over
	}
	if st, ok := t.local[text]; ok {
		return st, nil
	}
	var st *sql.Stmt
	if shared, ok := t.s.statements.Load(text); ok {
		st = t.tx.StmtContext(t.ctx, shared.(*sql.Stmt))
	} else {
		var err error
		if st, err = t.tx.PrepareContext(t.ctx, t.s.text(text)); err != nil {
			return nil, err
		}
		t.missed = append(t.missed, text)
	}
	t.local[text] = st
	return st, nil
}

// changing returns the error of a statement that changes rows. One that is understood and fails all the same does so over what is in a row,
// in a trigger of the host.
func (t *tx) changing(statement string, err error) error {
	if code, ok := codeOf(err); !ok || code&primaryCode != codeError || !strings.Contains(statement, "{") {
		return t.ended(err)
	}
	st, failed := t.tx.PrepareContext(t.ctx, t.s.text(statement))
	if failed != nil {
		return err
	}
	return errors.Join(t.ended(fmt.Errorf("%w: %w", errFailed, err)), st.Close())
}

// ended returns the error of a statement. If a trigger of the host has ended the transaction with it, by RAISE(ROLLBACK), it is that of all
// statements from then on.
func (t *tx) ended(err error) error {
	if !rejects(err) {
		return err
	}
	switch _, failed := t.tx.ExecContext(t.ctx, "BEGIN"); {
	case failed == nil:
		t.over = fmt.Errorf("the transaction was ended: %w", err)
		if t.s.host != nil { // which is not to commit one that holds nothing
			_, failed = t.tx.ExecContext(t.ctx, "ROLLBACK")
		}
		return errors.Join(t.over, failed)
	case strings.Contains(failed.Error(), "within a transaction"):
		return err
	default:
		return failed
	}
}

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(statement string, args ...any) (int64, error) {
	st, err := t.statement(statement)
	if err != nil {
		return 0, err
	}
	result, err := st.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, t.changing(statement, err)
	}
	return result.RowsAffected()
}

// execOne runs a statement that changes one row, and returns errNotWritten if it did not: a trigger of the host can leave a row out
// without a word, and what goes with it must not be written then.
func (t *tx) execOne(statement string, args ...any) error {
	n, err := t.exec(statement, args...)
	if err == nil && n != 1 {
		err = errNotWritten
	}
	return err
}

// remove deletes the row that a statement describes from its FROM on, and reports whether it was there. It returns errNotWritten if it still is.
func (t *tx) remove(row string, args ...any) (was bool, err error) {
	n, err := t.exec(`DELETE`+row, args...)
	if err != nil || n > 0 {
		return n > 0, err
	}
	left, err := t.queryRow(`SELECT 1`+row, args, new(int))
	if err == nil && left {
		err = errNotWritten
	}
	return false, err
}

// attempt runs a function and undoes what it wrote if it says that this is not it, or the database refuses a row.
func (t *tx) attempt(do func() (done bool, err error)) (done bool, err error) {
	if _, err = t.exec(`SAVEPOINT attempt`); err != nil {
		return false, err
	}
	if done, err = do(); err != nil && !rejects(err) {
		return false, err
	}
	if done = done && err == nil; !done {
		if _, err = t.exec(`ROLLBACK TO attempt`); err != nil {
			return false, err
		}
	}
	_, err = t.exec(`RELEASE attempt`)
	return done, err
}

// query runs a statement that returns rows and calls each for every one.
func (t *tx) query(statement string, each func(rows) error, args ...any) error {
	st, err := t.statement(statement)
	if err != nil {
		return err
	}
	err = read(t.ctx, st, each, args)
	if err != nil && strings.Contains(statement, "RETURNING") {
		return t.changing(statement, err)
	}
	return err
}

// queryRow reads the only row of a statement; found is false if there is none.
func (t *tx) queryRow(statement string, args []any, dest ...any) (found bool, err error) {
	err = t.query(statement, func(r rows) error {
		found = true
		return r.Scan(dest...)
	}, args...)
	return found, err
}
