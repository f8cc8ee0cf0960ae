package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// schemaVersion is the number of the last migration.
const schemaVersion = 1

//go:embed migrations/*.sql
var migrations embed.FS

// SchemaError says that the tables are not the ones that this version of the library works with.
type SchemaError struct {
	Schema string
	// Have is the version found, 0 if there are no tables, Want the one needed.
	Have, Want int
}

// Error implements error.
func (e *SchemaError) Error() string {
	switch {
	case e.Have == 0:
		return fmt.Sprintf("schema %q has no tables of the store: call Migrate", e.Schema)
	case e.Have < e.Want:
		return fmt.Sprintf("schema %q is at version %d, this library needs %d: call Migrate", e.Schema, e.Have, e.Want)
	}
	return fmt.Sprintf("schema %q is at version %d, this library knows %d: use a newer version of the library", e.Schema, e.Have, e.Want)
}

// Migrations returns the numbered migrations as SQL files for a schema, for hosts that run their own tool. They expect
// the schema to exist. A host that applies them does not call [Store.Migrate]; the files record their version where the
// store looks for it.
func Migrations(schema string) (fs.FS, error) {
	if schema == "" {
		schema = DefaultSchema
	}
	if err := validSchema(schema); err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	return schemaFS{files, schema}, nil
}

// Migrate creates the schema and brings its tables to the version this library needs, and returns nil if they already
// are. It waits, bounded by ctx, for a replica that does the same. A database that is newer is a [*SchemaError].
func (s *Store) Migrate(ctx context.Context) error {
	have, err := s.version(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("migrate: %w", err)
	case have == schemaVersion:
		return nil
	case have > schemaVersion:
		return fmt.Errorf("migrate: %w", &SchemaError{Schema: s.cfg.Schema, Have: have, Want: schemaVersion})
	}
	if err := s.up(ctx); err != nil {
		return fmt.Errorf("migrate schema %q: %w", s.cfg.Schema, err)
	}
	return s.check(ctx)
}

// up migrates on connections of its own, one of which holds a lock meanwhile. The lock belongs to the session, so it ends
// with a process that dies. goose's own lock is not used: it does not cover the creation of the schema and of its table.
func (s *Store) up(ctx context.Context) error {
	cfg := s.cfg.Direct.Config()
	var options []stdlib.OptionOpenDB
	if cfg.BeforeConnect != nil {
		options = append(options, stdlib.OptionBeforeConnect(cfg.BeforeConnect))
	}
	db := stdlib.OpenDB(*cfg.ConnConfig, options...)
	defer db.Close()
	lock, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := lock.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, lockKey(s.cfg.Schema)); err != nil {
		return fmt.Errorf("wait for other migrations: %w", err)
	}
	if _, err := lock.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+s.cfg.Schema); err != nil {
		return err
	}
	return s.apply(ctx, db)
}

func (s *Store) apply(ctx context.Context, db *sql.DB) error {
	files, err := Migrations(s.cfg.Schema)
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(s.cfg.Schema+".migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

func lockKey(schema string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("dormouse migrations of " + schema))
	return int64(h.Sum64())
}

// version reads which migrations were applied, by whatever tool; 0 if none was.
func (s *Store) version(ctx context.Context) (version int, err error) {
	err = s.retry(ctx, repeatable, func(ctx context.Context) error {
		return s.pool.QueryRow(ctx, s.sql(`SELECT version FROM dormouse.schema_version`)).Scan(&version)
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000") { // no such table, no such schema
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of schema %q: %w", s.cfg.Schema, err)
	}
	return version, nil
}
