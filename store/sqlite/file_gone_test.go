package sqlite_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// What would be written where nobody finds it is refused, whatever has become of the file: it is gone, or cannot be reached, or empty,
// or what SQLite keeps beside it is gone.
func TestFileThatIsNoLongerWhole(t *testing.T) {
	for how, spoil := range map[string]func(path string) error{
		"deleted":              os.Remove,
		"directory in its way": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"parent is a file": func(path string) error {
			dir := filepath.Dir(path)
			return errors.Join(os.Rename(dir, dir+".away"), os.WriteFile(dir, nil, 0o600))
		},
		"emptied":           func(path string) error { return os.Truncate(path, 0) },
		"without its log":   func(path string) error { return os.Remove(path + "-wal") },
		"without its index": func(path string) error { return os.Remove(path + "-shm") },
	} {
		for _, used := range []bool{false, true} {
			t.Run(how, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "data")
				must(t, os.Mkdir(dir, 0o700))
				path := filepath.Join(dir, "dormouse.db")
				db := openFile(t, path)
				s := migrated(t, db)
				put := func() error { return s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}) }
				if used {
					must(t, put())
				}
				must(t, spoil(path))
				for range 2 {
					wantUnavailable(t, put(), path, "while it was open")
				}
				tx, err := db.BeginTx(t.Context(), nil)
				must(t, err)
				defer func() { _ = tx.Rollback() }()
				wantUnavailable(t, s.WithTx(tx).PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}), path, "while it was open")
			})
		}
	}
}

// SQLite puts its log away with the last connection, and a host may choose another journal then: nothing is missing.
func TestLogThatIsPutAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	db := openFile(t, path+"?_pragma=busy_timeout(250)")
	s := migrated(t, db)
	put := func() {
		t.Helper()
		must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}))
	}
	put()
	db.SetMaxIdleConns(0)
	put()
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log is still there: %v", err)
	}
	put()
	for _, mode := range []string{"DELETE", "TRUNCATE", "WAL"} {
		hosts := openPlain(t, path)
		_, err := hosts.ExecContext(t.Context(), "PRAGMA journal_mode = "+mode)
		must(t, err)
		plain, err := sqlite.New(hosts, sqlite.Config{})
		must(t, err)
		for range 2 {
			must(t, plain.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}))
		}
		must(t, hosts.Close())
	}
	put()
}

// A database in which names have another order, or in which nothing can be taken back, is refused by name.
func TestDatabaseThatCannotBeUsed(t *testing.T) {
	for pragma, field := range map[string]string{
		"encoding('UTF-16le')": "PRAGMA encoding", "encoding('UTF-16be')": "PRAGMA encoding", "journal_mode(OFF)": "PRAGMA journal_mode",
	} {
		db := openPlain(t, filepath.Join(t.TempDir(), "dormouse.db")+"?_pragma="+pragma)
		s, err := sqlite.New(db, sqlite.Config{})
		must(t, err)
		for what, err := range map[string]error{"Migrate": s.Migrate(t.Context()), "Load": second(s.Load(t.Context(), uuid.New()))} {
			if !errors.Is(err, invalid.Err) || errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), field) {
				t.Errorf("%s: %s: %v", pragma, what, err)
			}
		}
	}
}

// openPlain opens a file as a host may that knows nothing of this library.
func openPlain(t *testing.T, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", source)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func second[T any](_ T, err error) error { return err }
