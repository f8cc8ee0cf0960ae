package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Faulty is the store over a database that asks before each round trip whether it is to fail.
func (s *Store) Faulty(next func() error) *Store {
	return &Store{core: s.core, db: &faultyDB{s.db, next}}
}

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
	return d.database.Query(ctx, text, args...)
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

func (d *faultyDB) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if err := d.next(); err != nil {
		return failedBatch{err: err}
	}
	return d.database.SendBatch(ctx, b)
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

type failedBatch struct {
	pgx.BatchResults
	err error
}

func (f failedBatch) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, f.err }
func (f failedBatch) Query() (pgx.Rows, error)         { return failed{err: f.err}, f.err }
func (f failedBatch) QueryRow() pgx.Row                { return failed{err: f.err} }
func (f failedBatch) Close() error                     { return f.err }
