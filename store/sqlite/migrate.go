package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/store/migrate"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations returns the files that make the tables with this prefix, for hosts that run a tool of their own: numbered,
// forward only, each to be applied in one transaction. Each records itself where the store looks for it. The error is
// that of the prefix.
func Migrations(prefix string) (fs.FS, error) {
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	set, err := migrationsOf(prefix)
	if err != nil {
		return nil, err
	}
	return set.Files()
}

func migrationsOf(prefix string) (*migrate.Set, error) {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return nil, err
	}
	return migrate.Load(files, "tables "+prefix+"*", naming(prefix).Replace)
}

// Migrate brings the tables to the version this store needs, and returns nil if they already are. Processes may call it at
// the same time: all that is missing is applied in one transaction under the write lock. Tables that this library cannot
// work with because they are newer are a [*migrate.VersionError].
func (s *Store) Migrate(ctx context.Context) error {
	err := s.migrations.Migrate(ctx, tables{s})
	if err == nil {
		err = s.ready(ctx) // from now on the file is known
	}
	return unavailable(err, "migrate SQLite store")
}

// ready makes sure, once, that this code may work on the tables, and each time that they are where they were.
func (s *Store) ready(ctx context.Context) error {
	if s.checked.Load() {
		return s.ofFile(s.file.Load().inPlace())
	}
	have, err := tables{s}.Applied(ctx)
	if err == nil {
		err = s.migrations.Check(have)
	}
	if err != nil || s.host != nil { // what a transaction of the host sees may never have been
		return err
	}
	f, err := s.findFile(ctx)
	if err == nil {
		s.file.CompareAndSwap(nil, f)
		s.checked.Store(true)
	}
	return err
}

// tables implements [migrate.DB].
type tables struct{ s *Store }

func (t tables) Applied(ctx context.Context) (have migrate.Applied, err error) {
	if h := t.s.host; h != nil {
		return t.s.applied(ctx, h.tx.tx)
	}
	err = t.s.patiently(ctx, func() error {
		have, err = t.s.applied(ctx, t.s.db)
		return err
	})
	return have, err
}

func (t tables) Exclusively(ctx context.Context, f func(migrate.Tx) error) (err error) {
	s := t.s
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
	if err = f(migration{s, conn}); err == nil {
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

// migration implements [migrate.Tx].
type migration struct {
	s    *Store
	conn *sql.Conn
}

func (m migration) Applied(ctx context.Context) (migrate.Applied, error) {
	return m.s.applied(ctx, m.conn)
}

func (m migration) Exec(ctx context.Context, text string) error {
	_, err := m.conn.ExecContext(ctx, text)
	return err
}

// rowQuerier is what sql.DB and sql.Conn have in common.
type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (s *Store) applied(ctx context.Context, q rowQuerier) (have migrate.Applied, err error) {
	if err := suits(ctx, q); err != nil {
		return have, err
	}
	var tables int
	err = q.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?`,
		s.text(`{migrations}`)).Scan(&tables)
	if tables == 0 {
		return have, err
	}
	err = q.QueryRowContext(ctx, s.text(`SELECT coalesce(max(version), 0), coalesce(max(min_reader), 0) FROM {migrations}`)).
		Scan(&have.Version, &have.MinReader)
	return have, err
}

// suits refuses a database on which this code does not do what it promises: in another encoding texts are ordered, and found by how they
// begin, in another way; and without any journal nothing that was begun can be taken back.
func suits(ctx context.Context, q rowQuerier) error {
	var encoding, journal string
	if err := q.QueryRowContext(ctx, `PRAGMA encoding`).Scan(&encoding); err != nil {
		return err
	}
	if encoding != "UTF-8" {
		return invalid.New("db: PRAGMA encoding", encoding, "must be UTF-8")
	}
	if err := q.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&journal); err != nil {
		return err
	}
	if journal == "off" {
		return invalid.New("db: PRAGMA journal_mode", journal, "must be another one, WAL for the best: nothing could be rolled back")
	}
	return nil
}
