package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
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

// newStore returns an empty store in a file.
func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	return migrated(t, openFile(t, filepath.Join(t.TempDir(), "dormouse.db")))
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
	storetest.Run(t, func(t *testing.T) store.Store { return newStore(t) }, storetest.Options{Unregister: unregister, Garble: garble, Corrupt: corrupt})
}

func TestConformanceInMemory(t *testing.T) {
	if raced {
		t.Skip("as the one on a file, with one connection")
	}
	storetest.Run(t, func(t *testing.T) store.Store {
		db := openFile(t, ":memory:")
		db.SetMaxOpenConns(1)
		return migrated(t, db)
	}, storetest.Options{Unregister: unregister, Garble: garble, Corrupt: corrupt})
}

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
