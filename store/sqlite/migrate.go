package sqlite

import (
	"archive/zip"
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dormouse-go/dormouse/lifecycle"
)

//go:embed migrations/*.sql
var embedded embed.FS

// version of the schema that this package needs: the number of its last migration.
const version = 2

// migrations are the files in order.
var migrations = [version]string{"00001_lifecycle.sql", "00002_jobs.sql"}

// Migrations returns the files that make the tables with this prefix, for hosts that run migrations with a tool of their
// own: numbered, forward only, in the format of goose, at the root of the file system. Each must be applied in a
// transaction. The error is that of the prefix.
func Migrations(prefix string) (fs.FS, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	// An archive in memory is the standard library's way to hold files that exist nowhere.
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	for _, name := range migrations {
		text, err := migration(name, prefix)
		if err != nil {
			return nil, err
		}
		file, err := archive.Create(name)
		if err != nil {
			return nil, err
		}
		if _, err := file.Write([]byte(text)); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(buffer.Bytes()), int64(buffer.Len()))
}

func migration(name, prefix string) (string, error) {
	text, err := embedded.ReadFile("migrations/" + name)
	return naming(prefix).Replace(string(text)), err
}

// Migrate brings the tables to the version this store needs, and returns nil if they already are. Processes may call it at
// the same time: all that is missing is applied in one transaction under the write lock. Tables that are newer than this
// store are an error.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.migrate(ctx)
	if err == nil {
		s.checked.Store(true)
	}
	return unavailable(err, "migrate SQLite store")
}

func (s *Store) migrate(ctx context.Context) (err error) {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// Not a sql.Tx, whose beginning takes no lock yet, and there is no table yet to take it with.
	err = s.patiently(ctx, func() error {
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		return err
	})
	if err != nil {
		return err
	}
	if err = s.advance(ctx, conn); err == nil {
		err = s.patiently(ctx, func() error {
			_, err := conn.ExecContext(context.WithoutCancel(ctx), "COMMIT")
			return err
		})
	}
	if err != nil {
		if _, undo := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); undo != nil {
			discard(conn)
		}
	}
	return err
}

func (s *Store) advance(ctx context.Context, conn *sql.Conn) error {
	at, err := s.schema(ctx, conn)
	if err != nil {
		return err
	}
	if at > version {
		return s.newer(at)
	}
	for _, name := range migrations[at:] {
		text, err := migration(name, s.cfg.Prefix)
		if err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// rowQuerier is what sql.DB and sql.Conn have in common.
type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// schema returns the version of the tables, 0 if there are none.
func (s *Store) schema(ctx context.Context, q rowQuerier) (at int, err error) {
	var tables int
	err = q.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?`,
		s.text(`{migrations}`)).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	err = q.QueryRowContext(ctx, s.text(`SELECT coalesce(max(version), 0) FROM {migrations}`)).Scan(&at)
	return at, err
}

// ready checks once that the tables are the ones this store needs.
func (s *Store) ready(ctx context.Context) error {
	if s.checked.Load() {
		return nil
	}
	at, err := s.schema(ctx, s.db)
	switch {
	case err != nil:
		return err
	case at > version:
		return s.newer(at)
	case at < version:
		return fmt.Errorf("tables %s* have version %d: must be %d, call Migrate: %w", s.cfg.Prefix, at, version, lifecycle.ErrUnavailable)
	}
	s.checked.Store(true)
	return nil
}

func (s *Store) newer(at int) error {
	return fmt.Errorf("tables %s* have version %d: must be at most %d, they belong to a newer release: %w",
		s.cfg.Prefix, at, version, lifecycle.ErrUnavailable)
}
