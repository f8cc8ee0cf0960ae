package postgres_test

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/migrate"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

func TestMigrateAtOnce(t *testing.T) {
	pool := pgtest.Empty(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := postgres.New(pool, postgres.Config{})
			if err == nil {
				err = s.Migrate(t.Context())
			}
			if err != nil {
				t.Errorf("replicas that migrate at the same time: %v", err)
			}
		})
	}
	wg.Wait()
	newFleet(t, over(t, pool), 1)
}

func TestSchemaIsMissing(t *testing.T) {
	s := over(t, pgtest.Empty(t))
	_, err := s.Due(t.Context(), lifecycle.DueQuery{Now: epoch, Limit: 1})
	var version *migrate.VersionError
	if !errors.As(err, &version) || version.Have.Version != 0 || !strings.Contains(err.Error(), "call Migrate") {
		t.Errorf("without tables Due returned %v, want a VersionError that says what to do", err)
	}
	if err := s.WatchWakes(soon(t), func() {}); !errors.As(err, &version) {
		t.Errorf("without tables WatchWakes returned %v", err)
	}
	must(t, s.Migrate(t.Context()))
	newFleet(t, s, 1) // the store noticed
}

// TestSchemaIsNewer has tables that a later release has migrated, once in a way that this one can live with.
func TestSchemaIsNewer(t *testing.T) {
	_, pool := open(t)
	exec(t, pool, `INSERT INTO dormouse.migrations (version, min_reader) VALUES (1000, 1)`)
	s := over(t, pool)
	must(t, s.Migrate(t.Context()))
	newFleet(t, s, 1)

	exec(t, pool, `INSERT INTO dormouse.migrations (version, min_reader) VALUES (1001, 1001)`)
	s = over(t, pool)
	_, due := s.Due(t.Context(), lifecycle.DueQuery{Now: epoch, Limit: 1})
	for name, err := range map[string]error{"Migrate": s.Migrate(t.Context()), "Due": due} {
		var version *migrate.VersionError
		if !errors.As(err, &version) || version.Have.Version != 1001 || !errors.Is(err, lifecycle.ErrUnavailable) {
			t.Errorf("on a newer schema %s returned %v", name, err)
		}
	}
}

// TestMigrateLeavesNothingBehind fails in the middle of the migration.
func TestMigrateLeavesNothingBehind(t *testing.T) {
	pool := pgtest.Empty(t)
	exec(t, pool, `CREATE SCHEMA dormouse; CREATE TABLE dormouse.jobs (id integer)`)
	s := over(t, pool)
	if err := s.Migrate(t.Context()); err == nil {
		t.Fatal("Migrate over a table of another kind is no error")
	}
	exec(t, pool, `DROP TABLE dormouse.jobs`)
	must(t, s.Migrate(t.Context()))
	newFleet(t, s, 1)
}

// TestSchemaOfOthers has two stores in one database, and the tables of one made by the host's own tool.
func TestSchemaOfOthers(t *testing.T) {
	pool := pgtest.Empty(t)
	files, err := postgres.Migrations("by_hand")
	must(t, err)
	exec(t, pool, `CREATE SCHEMA by_hand`)
	names, err := fs.Glob(files, "*.sql")
	must(t, err)
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		must(t, err)
		info, err := fs.Stat(files, name)
		if err != nil || info.Size() != int64(len(text)) {
			t.Fatalf("size of %s: %v, %v, want %d", name, info, err, len(text))
		}
		exec(t, pool, string(text))
	}
	hand, err := postgres.New(pool, postgres.Config{Schema: "by_hand"})
	must(t, err)
	must(t, hand.Migrate(t.Context())) // it finds the version
	own, err := postgres.New(pool, postgres.Config{Schema: "own_2"})
	must(t, err)
	must(t, own.Migrate(t.Context()))
	ids := newFleet(t, hand, 3).ids
	load(t, hand, ids...)
	if found, err := own.Load(t.Context(), ids...); err != nil || len(found) != 0 {
		t.Errorf("a store of another schema found %d workspaces, error %v", len(found), err)
	}
}

// Without a name the migrations are for the schema that the store takes without one.
func TestMigrationsOfTheDefaultSchema(t *testing.T) {
	var texts [2]string
	for i, schema := range []string{"", postgres.DefaultSchema} {
		files, err := postgres.Migrations(schema)
		must(t, err)
		names, err := fs.Glob(files, "*.sql")
		must(t, err)
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			must(t, err)
			texts[i] += string(text)
		}
	}
	if texts[0] != texts[1] || texts[0] == "" {
		t.Errorf("%d bytes without a name, %d with it", len(texts[0]), len(texts[1]))
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := postgres.New(nil, postgres.Config{}); err == nil {
		t.Error("New without a pool is no error")
	}
	pool := pgtest.Empty(t)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		var invalid *invalid.Error
		if _, err := postgres.New(inMode(t, pool, mode), postgres.Config{}); !errors.As(err, &invalid) || invalid.Value != mode.String() {
			t.Errorf("mode %v: error %v, want one that names it", mode, err)
		}
	}
	for _, name := range []string{"Upper", "a-b", "1a", `a"b`, "pg_x", strings.Repeat("x", 64)} {
		_, err := postgres.New(pool, postgres.Config{Schema: name})
		var invalid *invalid.Error
		if !errors.As(err, &invalid) || invalid.Field != "Config.Schema" {
			t.Errorf("schema %q: error %v, want one that names the field", name, err)
		}
	}
}
