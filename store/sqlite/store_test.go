package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/sqlite"
	"github.com/dormouse-go/dormouse/store/storetest"
)

// openFile opens a database in a file of its own.
func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sqlite.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// template is a migrated database, to be copied: to make the tables takes longer than most tests that need them.
var template = sync.OnceValues(func() (data []byte, err error) {
	dir, err := os.MkdirTemp("", "dormouse")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "dormouse.db")
	db, err := sqlite.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	s, err := sqlite.New(db, sqlite.Config{})
	if err == nil {
		err = s.Migrate(context.Background())
	}
	if err = errors.Join(err, db.Close()); err != nil { // with it, the log becomes part of the file
		return nil, err
	}
	return os.ReadFile(path)
})

// openNew opens an empty migrated database in a file of its own.
func openNew(t *testing.T) *sql.DB {
	t.Helper()
	data, err := template()
	must(t, err)
	path := filepath.Join(t.TempDir(), "dormouse.db")
	must(t, os.WriteFile(path, data, 0o600))
	return openFile(t, path)
}

// newStore returns an empty store in a file.
func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	return migrated(t, openNew(t))
}

func migrated(t *testing.T, db *sql.DB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return newStore(t) }, storetest.Options{Unregister: unregister, Garble: garble, Corrupt: corrupt, Dump: dump, Like: like})
}

func TestConformanceInMemory(t *testing.T) {
	if raced {
		t.Skip("as the one on a file, with one connection")
	}
	storetest.Run(t, func(t *testing.T) store.Store {
		db := openFile(t, ":memory:")
		db.SetMaxOpenConns(1)
		return migrated(t, db)
	}, storetest.Options{Unregister: unregister, Garble: garble, Corrupt: corrupt, Dump: dump, Like: like})
}

// like makes the store whose answers those of this one are compared with.
func like() store.Store { return memory.New() }

func corrupt(t *testing.T, s storetest.LifecycleStore, what string, id uuid.UUID, value string) {
	if err := s.(*sqlite.Store).Corrupt(t.Context(), what, id, value); err != nil {
		t.Fatal(err)
	}
}

func unregister(t *testing.T, s queue.Store, process uuid.UUID) {
	if err := s.(*sqlite.Store).Unregister(t.Context(), process); err != nil {
		t.Fatal(err)
	}
}

func garble(t *testing.T, s queue.Store, process uuid.UUID, tags queue.TagSet) {
	if err := s.(*sqlite.Store).Garble(t.Context(), process, tags); err != nil {
		t.Fatal(err)
	}
}

// dump reads every row of every table.
func dump(t *testing.T, s store.Store) string {
	db := s.(*sqlite.Store).DB()
	var tables []string
	each(t, db, `SELECT name FROM sqlite_master WHERE type = 'table'`, func(row []any) { tables = append(tables, row[0].(string)) })
	var b strings.Builder
	for _, table := range tables {
		each(t, db, `SELECT * FROM "`+table+`"`, func(row []any) { fmt.Fprintf(&b, "%s: %s\n", table, row) })
	}
	return b.String()
}

// each reads the rows of a query.
func each(t *testing.T, db *sql.DB, query string, row func([]any)) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer func() { must(t, rows.Close()) }()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values := make([]any, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		must(t, rows.Scan(targets...))
		row(values)
	}
	must(t, rows.Err())
}
