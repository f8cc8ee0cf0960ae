package sqlite_test

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
	"github.com/dormouse-go/dormouse/store/storetest"
)

// TestFaults has every statement fail, and every row of an answer, which is not to be had or cannot be read, one after the other.
func TestFaults(t *testing.T) {
	storetest.Faults(t, func(t *testing.T) storetest.Faulty {
		s, d, path := faulty(t)
		// What is read is in another pool: a dump asks nothing of the faulty one.
		plain := migrated(t, openFile(t, path))
		return storetest.Faulty{
			Store: s, Fail: d.fail, Dump: func() string { return dump(t, plain) },
			Is: func(err error) bool { return errors.Is(err, lifecycle.ErrUnavailable) },
		}
	})
}

// faulty is a store over a faulty driver, and its file.
func faulty(t *testing.T) (*sqlite.Store, *faultyDriver, string) {
	data, err := template()
	must(t, err)
	path := filepath.Join(t.TempDir(), "dormouse.db")
	must(t, os.WriteFile(path, data, 0o600))
	probe, err := sql.Open("sqlite", "")
	must(t, err)
	d := &faultyDriver{inner: probe.Driver()}
	must(t, probe.Close())
	return faultyStore(t, d, path), d, path
}

// faultyStore is another store over a faulty driver.
func faultyStore(t *testing.T, d *faultyDriver, path string) *sqlite.Store {
	db := sql.OpenDB(faultyConnector{d, path})
	db.SetMaxOpenConns(1) // a connection that is new has settings to make, which are no part of a call
	t.Cleanup(func() { must(t, db.Close()) })
	s, err := sqlite.New(db, sqlite.Config{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	must(t, s.Migrate(t.Context()))
	return s
}

var errFault = errors.New("disk I/O error")

// faultyDriver is a driver whose n-th answer is an error.
type faultyDriver struct {
	inner driver.Driver

	mu   sync.Mutex
	left int // until the fault; 0 for none
	hit  bool
	err  error // errFault if nil
	// readable: no answer is a row that cannot be read.
	readable bool
	// before is asked before each statement, also those that are only prepared ("PREPARE ..."), and before "BEGIN", "COMMIT" and
	// "ROLLBACK". Its error is the answer.
	before func(text string) error
}

// meanwhile has a function be called before the database does what is asked, from now on.
func (d *faultyDriver) meanwhile(before func(text string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = before
}

// asked is [faultyDriver.next] for a statement.
func (d *faultyDriver) asked(text string) error {
	if err := d.hears(text); err != nil {
		return err
	}
	return d.next()
}

func (d *faultyDriver) hears(text string) error {
	d.mu.Lock()
	before := d.before
	d.mu.Unlock()
	if before == nil {
		return nil
	}
	return before(text)
}

func (d *faultyDriver) fail(n int) (ended func() bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left, d.hit = n, false
	return func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.left = 0
		return d.hit
	}
}

func (d *faultyDriver) next() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left == 0 {
		return nil
	}
	if d.left--; d.left > 0 {
		return nil
	}
	d.hit = true
	return cmp.Or(d.err, errFault)
}

type faultyConnector struct {
	d    *faultyDriver
	path string
}

func (c faultyConnector) Driver() driver.Driver { return c.d.inner }

func (c faultyConnector) Connect(context.Context) (driver.Conn, error) {
	inner, err := c.d.inner.Open(c.path + "?_pragma=foreign_keys(1)&_pragma=journal_mode(WAL)")
	if err != nil {
		return nil, err
	}
	return &faultyConn{inner, c.d}, nil
}

// faultyConn knows statements that are prepared alone: package sql makes do with those. To prepare one is not counted, since the
// store prepares some for later, and is not in need of them.
type faultyConn struct {
	driver.Conn
	d *faultyDriver
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if err := c.d.asked("BEGIN"); err != nil {
		return nil, err
	}
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return &faultyTx{tx, c.d}, nil
}

type faultyTx struct {
	driver.Tx
	d *faultyDriver
}

func (tx *faultyTx) Commit() error {
	if err := tx.d.asked("COMMIT"); err != nil {
		return err
	}
	return tx.Tx.Commit()
}

// Rollback fails by [faultyDriver.meanwhile] alone.
func (tx *faultyTx) Rollback() error {
	if err := tx.d.hears("ROLLBACK"); err != nil {
		return err
	}
	return tx.Tx.Rollback()
}

func (c *faultyConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	if err := c.d.hears("PREPARE " + text); err != nil {
		return nil, err
	}
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	return &faultyStmt{s, c.d, text}, nil
}

type faultyStmt struct {
	driver.Stmt
	d    *faultyDriver
	text string
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.d.asked(s.text); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.d.asked(s.text); err != nil {
		return nil, err
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	return &faultyRows{rows, s.d}, nil
}

type faultyRows struct {
	driver.Rows
	d *faultyDriver
}

func (r *faultyRows) Next(to []driver.Value) error {
	err := r.Rows.Next(to)
	if errors.Is(err, io.EOF) {
		return err
	}
	if err := errors.Join(err, r.d.next()); err != nil {
		return err
	}
	if !r.d.readable && r.d.next() != nil {
		for i := range to {
			to[i] = garbled{}
		}
	}
	return nil
}

// garbled is a value that nothing can be read from.
type garbled struct{}
