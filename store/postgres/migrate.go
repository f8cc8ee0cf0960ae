package postgres

import (
	"context"
	"embed"
	"fmt"
	"hash/fnv"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/migrate"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Migrations returns the numbered migrations as SQL files for a schema, for hosts that run a tool of their own: each in
// one transaction, in a schema that exists. A host that applies them does not call [Store.Migrate]; each file records
// itself where the store looks for it.
func Migrations(schema string) (fs.FS, error) {
	if schema == "" {
		schema = DefaultSchema
	}
	if err := validSchema(schema); err != nil {
		return nil, err
	}
	set, err := migrationsOf(schema)
	if err != nil {
		return nil, err
	}
	return set.Files()
}

func migrationsOf(schema string) (*migrate.Set, error) {
	files, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return nil, err
	}
	return migrate.Load(files, fmt.Sprintf("schema %q", schema), func(text string) string { return inSchema(text, schema) })
}

// Migrate creates the schema and brings its tables to the version this library needs, in one transaction, and returns nil
// if they already are. It waits, bounded by ctx, for a replica that does the same. Tables that this library cannot work
// with because they are newer are a [*migrate.VersionError].
func (s *Store) Migrate(ctx context.Context) error { return s.migrations.Migrate(ctx, tables{s}) }

// check makes sure, once, that this code may work on the tables.
func (s *Store) check(ctx context.Context) error {
	if s.usable.Load() {
		return nil
	}
	have, err := tables{s}.Applied(ctx)
	if err == nil {
		err = s.migrations.Check(have)
	}
	// What a transaction of the host sees may never have been.
	s.usable.Store(err == nil && s.host == nil)
	return err
}

// tables implements [migrate.DB].
type tables struct{ s *Store }

func (t tables) Applied(ctx context.Context) (have migrate.Applied, err error) {
	err = t.s.retry(ctx, repeatable, func(ctx context.Context) (err error) {
		if err = t.s.visible(ctx); err == nil {
			have, err = t.s.applied(ctx, t.s.db)
		}
		return err
	})
	return have, err
}

// visible returns an error if row level security may hide rows from the role, or from the owner of the tables, as whom the keys of workspaces are
// written. What is hidden looks as if it were not there, and what is not there is made again, or what belongs to it deleted. A session in which
// foreign keys do not hold is no better: what belongs to nothing would be stored, and stay.
func (s *Store) visible(ctx context.Context) error {
	var hidden, replication string
	err := s.db.QueryRow(ctx, `SELECT coalesce(string_agg(relname, ', ' ORDER BY relname), ''), current_setting('session_replication_role')
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner
		WHERE relnamespace = to_regnamespace($1::text) AND relkind = 'r' AND (row_security_active(c.oid)
			OR relname IN ('workspaces', 'workspace_keys') AND relrowsecurity AND relforcerowsecurity AND NOT o.rolsuper AND NOT o.rolbypassrls)`,
		s.cfg.Schema).Scan(&hidden, &replication)
	switch {
	case err != nil:
		return err
	case hidden != "":
		return fmt.Errorf("%w: row level security applies to this role, or is forced on the owner of the tables, in schema %q, on %s: "+
			"let the role own the tables, without FORCE, or give it BYPASSRLS", lifecycle.ErrUnavailable, s.cfg.Schema, hidden)
	case replication == "replica":
		return fmt.Errorf("%w: session_replication_role is replica, so that foreign keys do not hold: let it be origin for this role and database",
			lifecycle.ErrUnavailable)
	}
	return nil
}

// Exclusively takes a lock that ends with the transaction, so that it works behind a pooler too. It covers the creation
// of the schema, which two sessions cannot do at once. It reads what the others have committed meanwhile, whatever the host's
// default isolation is.
func (t tables) Exclusively(ctx context.Context, f func(migrate.Tx) error) error {
	return t.s.retry(ctx, once, func(ctx context.Context) error {
		return pgx.BeginTxFunc(ctx, t.s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			if err := waitForMigrations(ctx, tx, lockKey(t.s.cfg.Schema)); err != nil {
				return fmt.Errorf("wait for other migrations: %w", err)
			}
			if err := createSchema(ctx, tx, t.s.cfg.Schema); err != nil {
				return err
			}
			return f(migration{t.s, tx})
		})
	})
}

// tableWait bounds the wait of a migration for a table where the host bounds none. Whoever needs the table waits behind it meanwhile.
const tableWait = "3s"

// waitForMigrations takes the lock. Only the context bounds the wait, and the statements of the migrations. The wait for a table is
// bounded all the same, by the host or by tableWait.
func waitForMigrations(ctx context.Context, tx pgx.Tx, key int64) error {
	const unbound = `SELECT set_config(name, '0', true) FROM pg_catalog.pg_settings
		WHERE name IN ('lock_timeout', 'statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')`
	var hosts string
	err := tx.QueryRow(ctx, `SELECT coalesce(nullif(current_setting('lock_timeout'), '0'), $1)`, tableWait).Scan(&hosts)
	for _, s := range []struct {
		text string
		args []any
	}{
		{unbound, nil},
		{`SELECT pg_advisory_xact_lock($1)`, []any{key}},
		{`SELECT set_config('lock_timeout', $1, true)`, []any{hosts}},
	} {
		if err == nil {
			_, err = tx.Exec(ctx, s.text, s.args...)
		}
	}
	return err
}

// createSchema asks first: where the schema exists, the right to create one is not needed.
func createSchema(ctx context.Context, tx pgx.Tx, schema string) error {
	var exists bool
	if err := tx.QueryRow(ctx, `SELECT to_regnamespace($1::text) IS NOT NULL`, schema).Scan(&exists); err != nil || exists {
		return err
	}
	_, err := tx.Exec(ctx, `CREATE SCHEMA `+schema)
	return err
}

func lockKey(schema string) int64 { return advisoryLock("dormouse migrations of " + schema) }

// advisoryLock is the number of an advisory lock. All versions must make the same of a name.
func advisoryLock(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return int64(h.Sum64())
}

// migration implements [migrate.Tx].
type migration struct {
	s  *Store
	tx pgx.Tx
}

func (m migration) Applied(ctx context.Context) (migrate.Applied, error) {
	return m.s.applied(ctx, m.tx)
}

// Exec uses the protocol that takes several statements in one text.
func (m migration) Exec(ctx context.Context, text string) error {
	_, err := m.tx.Conn().PgConn().Exec(ctx, text).ReadAll()
	return err
}

type rowQuerier interface {
	QueryRow(ctx context.Context, text string, args ...any) pgx.Row
}

// applied asks for the table first, because reading one that is not there would end the transaction.
func (s *Store) applied(ctx context.Context, q rowQuerier) (have migrate.Applied, err error) {
	var exists bool
	err = q.QueryRow(ctx, `SELECT to_regclass($1::text) IS NOT NULL`, s.cfg.Schema+".migrations").Scan(&exists)
	if err == nil && exists {
		err = q.QueryRow(ctx, s.sql(`SELECT coalesce(max(version), 0), coalesce(max(min_reader), 0) FROM dormouse.migrations`)).
			Scan(&have.Version, &have.MinReader)
	}
	if err != nil {
		return migrate.Applied{}, fmt.Errorf("read the version of schema %q: %w", s.cfg.Schema, err)
	}
	return have, nil
}
