package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Faulty makes a store whose database asks before each thing that it does whether it is to fail: the begin and the end of a transaction,
// each statement of those that are sent together and its answer, and a row behind the first of an answer.
func Faulty(pool *pgxpool.Pool, cfg Config, next func() error) (*Store, error) {
	s, err := New(pool, cfg)
	if err != nil {
		return nil, err
	}
	s.pool = &faultyPool{&faultyDB{pool, next}, pool}
	s.db = s.pool
	return s, nil
}

type faultyPool struct {
	*faultyDB
	pool *pgxpool.Pool
}

func (p *faultyPool) BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error) {
	if err := p.next(); err != nil {
		return nil, err
	}
	tx, err := p.pool.BeginTx(ctx, o)
	return &faultyTx{tx, &faultyDB{tx, p.next}}, err
}

func (p *faultyPool) Reset() { p.pool.Reset() }

type faultyDB struct {
	database
	next func() error
}

func (d *faultyDB) Begin(ctx context.Context) (pgx.Tx, error) {
	if err := d.next(); err != nil {
		return nil, err
	}
	tx, err := d.database.Begin(ctx)
	return &faultyTx{tx, &faultyDB{tx, d.next}}, err
}

func (d *faultyDB) Query(ctx context.Context, text string, args ...any) (pgx.Rows, error) {
	if err := d.next(); err != nil {
		return failed{err: err}, err
	}
	rows, err := d.database.Query(ctx, text, args...)
	if err != nil || d.writesAtOnce(text) {
		return rows, err
	}
	if err := d.next(); err != nil {
		return &broken{Rows: rows, err: err}, nil
	}
	return rows, nil
}

// writesAtOnce says that what a statement has written is there when its answer begins.
func (d *faultyDB) writesAtOnce(text string) bool {
	_, inTx := d.database.(pgx.Tx)
	return !inTx && (strings.Contains(text, "UPDATE") || strings.Contains(text, "INSERT") || strings.Contains(text, "DELETE"))
}

func (d *faultyDB) QueryRow(ctx context.Context, text string, args ...any) pgx.Row {
	if err := d.next(); err != nil {
		return failed{err: err}
	}
	return d.database.QueryRow(ctx, text, args...)
}

func (d *faultyDB) Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error) {
	if err := d.next(); err != nil {
		return pgconn.CommandTag{}, err
	}
	return d.database.Exec(ctx, text, args...)
}

// SendBatch has a statement fail in the server, which takes back what those before it did; or an answer that cannot be read.
func (d *faultyDB) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	fails := pgx.Batch{QueuedQueries: slices.Clone(b.QueuedQueries)}
	for _, q := range fails.QueuedQueries {
		var pg *pgconn.PgError
		if err := d.next(); errors.As(err, &pg) {
			q.SQL, q.Arguments = raise(pg), nil
			return d.database.SendBatch(ctx, &fails) // what is behind it is not done
		}
	}
	for i := range b.QueuedQueries {
		var pg *pgconn.PgError
		if err := d.next(); errors.As(err, &pg) {
			fails.Queue(raise(pg)) // or what was written would stay
			return &unread{BatchResults: d.database.SendBatch(ctx, &fails), left: i, err: err}
		}
	}
	return d.database.SendBatch(ctx, &fails)
}

// raise is a statement that fails as an error says.
func raise(as *pgconn.PgError) string {
	return fmt.Sprintf(`DO $$BEGIN RAISE EXCEPTION '%s' USING ERRCODE = '%s'; END$$`, as.Message, as.Code)
}

// unread are answers of which one cannot be read. Its reader hears that, and whoever reads none of its rows at the end.
type unread struct {
	pgx.BatchResults
	left int
	err  error
	told bool
}

// at reports whether the next answer is the one.
func (u *unread) at() bool {
	u.left--
	return u.left == -1
}

func (u *unread) Exec() (pgconn.CommandTag, error) {
	u.at()
	return u.BatchResults.Exec()
}

func (u *unread) Query() (pgx.Rows, error) {
	rows, err := u.BatchResults.Query()
	if !u.at() || err != nil {
		return rows, err
	}
	u.told = true
	return &broken{Rows: rows, err: u.err}, nil
}

func (u *unread) QueryRow() pgx.Row {
	if !u.at() {
		return u.BatchResults.QueryRow()
	}
	u.told = true
	rows, _ := u.BatchResults.Query()
	rows.Close()
	return failed{err: u.err}
}

func (u *unread) Close() error {
	if err := u.BatchResults.Close(); !u.told {
		return err
	}
	return nil
}

// faultyTx fails at its end, too: then it is rolled back.
type faultyTx struct {
	pgx.Tx
	db *faultyDB
}

func (t *faultyTx) Begin(ctx context.Context) (pgx.Tx, error) { return t.db.Begin(ctx) }

func (t *faultyTx) Query(ctx context.Context, text string, args ...any) (pgx.Rows, error) {
	return t.db.Query(ctx, text, args...)
}

func (t *faultyTx) QueryRow(ctx context.Context, text string, args ...any) pgx.Row {
	return t.db.QueryRow(ctx, text, args...)
}

func (t *faultyTx) Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error) {
	return t.db.Exec(ctx, text, args...)
}

func (t *faultyTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return t.db.SendBatch(ctx, b)
}

func (t *faultyTx) Commit(ctx context.Context) error {
	if err := t.db.next(); err != nil {
		_ = t.Tx.Rollback(ctx)
		return err
	}
	return t.Tx.Commit(ctx)
}

// failed are rows, and a row, that could not be read.
type failed struct {
	pgx.Rows
	err error
}

func (f failed) Close()                        {}
func (f failed) Err() error                    { return f.err }
func (f failed) CommandTag() pgconn.CommandTag { return pgconn.CommandTag{} }
func (f failed) Next() bool                    { return false }
func (f failed) Scan(...any) error             { return f.err }

// broken are rows of which only the first can be read.
type broken struct {
	pgx.Rows
	err  error
	read bool
}

func (b *broken) Next() bool {
	if b.read {
		b.Close()
		return false
	}
	b.read = true
	return b.Rows.Next()
}

func (b *broken) Err() error {
	if err := b.Rows.Err(); err != nil {
		return err
	}
	return b.err
}

// FaultyTx is a transaction of the host that asks in the same way.
func FaultyTx(tx pgx.Tx, next func() error) pgx.Tx { return &faultyTx{tx, &faultyDB{tx, next}} }
