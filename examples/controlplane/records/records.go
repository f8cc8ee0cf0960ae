// Package records keeps what a control plane knows beside the library, in tables of its own in the same database: who may ask,
// what templates are made of, what was answered to a request, what happened, which workspaces are being made, and what time it is in a
// demonstration.
//
// The statements are those that SQLite and PostgreSQL share.
package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// DB is the host's part of the database. It is safe for concurrent use.
type DB struct {
	db       *sql.DB
	numbered bool
}

// New returns the tables of a database. Numbered says that parameters are written $1 (PostgreSQL), and not ?1 (SQLite).
func New(db *sql.DB, numbered bool) *DB { return &DB{db, numbered} }

// tables are made where they are missing. A later version adds to this list, and changes nothing in it.
var tables = []string{
	`CREATE TABLE IF NOT EXISTS plane_tokens (
		id TEXT PRIMARY KEY, hash BYTEA NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, detail TEXT NOT NULL,
		created_at BIGINT NOT NULL, ended_at BIGINT NOT NULL DEFAULT 0)`,
	`CREATE TABLE IF NOT EXISTS plane_versions (
		id TEXT PRIMARY KEY, template TEXT NOT NULL, provisioner TEXT NOT NULL, source TEXT NOT NULL, tags TEXT NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS plane_requests (
		identity TEXT NOT NULL, name TEXT NOT NULL, digest BYTEA NOT NULL, status BIGINT NOT NULL DEFAULT 0, body BYTEA,
		begun_at BIGINT NOT NULL, begun_by TEXT NOT NULL, PRIMARY KEY (identity, name))`,
	`CREATE INDEX IF NOT EXISTS plane_requests_begun ON plane_requests (begun_at)`,
	`CREATE TABLE IF NOT EXISTS plane_events (
		seq BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, workspace TEXT NOT NULL, kind TEXT NOT NULL,
		at BIGINT NOT NULL, body TEXT NOT NULL)`,
	`CREATE INDEX IF NOT EXISTS plane_events_owner ON plane_events (owner, seq)`,
	`CREATE TABLE IF NOT EXISTS plane_places (owner TEXT PRIMARY KEY, version BIGINT NOT NULL, places TEXT NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS plane_facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)`,
}

// Migrate makes the tables. Replicas that start together may both do so: whoever is late tries again.
func (d *DB) Migrate(ctx context.Context) (err error) {
	for range 10 {
		if err = d.migrate(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("make the tables of the control plane: %w", err)
}

func (d *DB) migrate(ctx context.Context) error {
	for _, statement := range tables {
		if _, err := d.db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// exec runs a statement and says how many rows it concerned.
func (d *DB) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := d.db.ExecContext(ctx, d.dialect(statement), args...)
	if err != nil {
		return 0, unavailable(err)
	}
	return result.RowsAffected()
}

// unavailable is an error of the database: whoever asks may ask again.
func unavailable(err error) error { return fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, err) }

// row reads at most one row, and says whether there is one.
func (d *DB) row(ctx context.Context, statement string, args []any, into ...any) (bool, error) {
	err := d.db.QueryRowContext(ctx, d.dialect(statement), args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, unavailable(err)
	}
	return true, nil
}

// rows calls scan for each row.
func (d *DB) rows(ctx context.Context, statement string, args []any, scan func(*sql.Rows) error) error {
	rows, err := d.db.QueryContext(ctx, d.dialect(statement), args...)
	if err != nil {
		return unavailable(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

func (d *DB) dialect(statement string) string {
	if d.numbered {
		return statement
	}
	return strings.ReplaceAll(statement, "$", "?")
}

// Fact returns what was kept under a name.
func (d *DB) Fact(ctx context.Context, name string) (value string, ok bool, err error) {
	ok, err = d.row(ctx, `SELECT value FROM plane_facts WHERE name = $1`, []any{name}, &value)
	return value, ok, err
}

// KeepFact keeps a value under a name. Unless replace is set, the first who does so wins; the value that counts is returned.
func (d *DB) KeepFact(ctx context.Context, name, value string, replace bool) (string, error) {
	statement := `INSERT INTO plane_facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`
	if replace {
		statement = `INSERT INTO plane_facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`
	}
	if _, err := d.exec(ctx, statement, name, value); err != nil {
		return "", err
	}
	value, _, err := d.Fact(ctx, name)
	return value, err
}
