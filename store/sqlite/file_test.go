package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// wantUnavailable sees that an error names the file and the cause.
func wantUnavailable(t *testing.T, err error, path, cause string) {
	t.Helper()
	if !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), path+": ") || !strings.Contains(err.Error(), cause) {
		t.Errorf("error %v: must be ErrUnavailable, with %s and %q", err, path, cause)
	}
}

// owners counts those that can be read.
func owners(t *testing.T, s *sqlite.Store, ids []uuid.UUID) (n int) {
	t.Helper()
	for _, id := range ids {
		_, found, err := s.Owner(t.Context(), id)
		must(t, err)
		if found {
			n++
		}
	}
	return n
}

// A file that is deleted or replaced while it is open takes no more writes, which nobody would find, and shows nothing old. Put back,
// it has all that was acknowledged.
func TestFileThatIsMovedAway(t *testing.T) {
	for how, replace := range map[string]func(path string) error{
		"deleted": func(string) error { return nil },
		"replaced": func(path string) error {
			data, err := template()
			return errors.Join(err, os.WriteFile(path, data, 0o600))
		},
	} {
		t.Run(how, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dormouse.db")
			s := migrated(t, openFile(t, path))
			ids := []uuid.UUID{uuid.New(), uuid.New()}
			put := func(n int) error { return s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[n]}) }
			must(t, put(0))
			must(t, os.Rename(path, path+".away"))
			must(t, replace(path))
			const cause = "deleted or replaced"
			wantUnavailable(t, put(1), path, cause)
			_, _, err := s.Owner(t.Context(), ids[0])
			wantUnavailable(t, err, path, cause)
			_, err = s.Due(t.Context(), lifecycle.DueQuery{Now: killEpoch, Limit: 1})
			wantUnavailable(t, err, path, cause)

			must(t, os.Rename(path+".away", path))
			if n := owners(t, s, ids); n != 1 {
				t.Errorf("%d owners, want the acknowledged one", n)
			}
			must(t, put(1))
		})
	}
}

// mounted opens connections that cannot write as long as the file cannot be written. Each stays as it was opened.
type mounted struct {
	driver   driver.Driver
	path     string
	readOnly atomic.Bool
}

func (m *mounted) Driver() driver.Driver { return m.driver }

func (m *mounted) Connect(context.Context) (driver.Conn, error) {
	if m.readOnly.Load() {
		return m.driver.Open("file:" + m.path + "?mode=ro")
	}
	return m.driver.Open(m.path + "?_pragma=journal_mode(WAL)")
}

// A file that could not be written for a while can be written as soon as that is over, whatever connections the pool has.
func TestFileThatWasReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	probe := openFile(t, path)
	migrated(t, probe)
	m := &mounted{driver: probe.Driver(), path: path}
	db := sql.OpenDB(m)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxIdleConns(8)
	s, err := sqlite.New(db, sqlite.Config{})
	must(t, err)
	m.readOnly.Store(true)
	fill := func() {
		t.Helper()
		var held []*sql.Conn
		for range 8 {
			c, err := db.Conn(t.Context())
			must(t, err)
			held = append(held, c)
		}
		for _, c := range held {
			must(t, c.Close())
		}
	}
	fill()
	ids := []uuid.UUID{uuid.New()}
	put := func() error { return s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[0]}) }
	wantUnavailable(t, put(), path, "readonly")
	if n := owners(t, s, ids); n != 0 {
		t.Errorf("%d owners", n)
	}
	fill()
	m.readOnly.Store(false)
	must(t, put())
	if n := owners(t, s, ids); n != 1 {
		t.Errorf("%d owners after it is over", n)
	}
}

// A lock that somebody holds for long is named with the file, by reads too where there is no write-ahead log, and when it is over
// all goes on.
func TestFileThatIsLocked(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dormouse.db")
			hosts, err := sql.Open("sqlite", path)
			must(t, err)
			t.Cleanup(func() { _ = hosts.Close() })
			_, err = hosts.ExecContext(t.Context(), "PRAGMA journal_mode = "+mode)
			must(t, err)
			migrated(t, hosts)
			s, err := sqlite.New(hosts, sqlite.Config{BusyTimeout: 50 * time.Millisecond})
			must(t, err)
			ids := []uuid.UUID{uuid.New(), uuid.New()}
			put := func(n int) error { return s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[n]}) }
			must(t, put(0))
			other, err := sql.Open("sqlite", path)
			must(t, err)
			t.Cleanup(func() { _ = other.Close() })
			conn, err := other.Conn(t.Context())
			must(t, err)
			_, err = conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
			must(t, err)
			wantUnavailable(t, put(1), path, "locked")
			if _, _, err = s.Owner(t.Context(), ids[0]); mode == "DELETE" {
				wantUnavailable(t, err, path, "locked")
			} else {
				must(t, err)
			}
			_, err = conn.ExecContext(t.Context(), "ROLLBACK")
			must(t, err)
			must(t, put(1))
			if n := owners(t, s, ids); n != 2 {
				t.Errorf("%d owners", n)
			}
		})
	}
}

// A directory that is not there is named.
func TestFileThatCannotBeOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "dormouse.db")
	s, err := sqlite.New(openFile(t, path), sqlite.Config{})
	must(t, err)
	if err := s.Migrate(t.Context()); !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v: must be ErrUnavailable and name the file", err)
	}
}
