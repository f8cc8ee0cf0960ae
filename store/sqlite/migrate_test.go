package sqlite_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/migrate"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

func TestMigrateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	var g sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		db := openFile(t, path)
		g.Go(func() {
			s, err := sqlite.New(db, sqlite.Config{})
			if err == nil {
				err = s.Migrate(t.Context())
			}
			errs[i] = err
		})
	}
	g.Wait()
	must(t, errors.Join(errs...))
}

func TestSchemaOfAnotherVersion(t *testing.T) {
	const table = `CREATE TABLE dormouse_migrations (version INTEGER PRIMARY KEY, min_reader INTEGER NOT NULL); `
	for _, c := range []struct{ name, prepare, want string }{
		{"none", `SELECT 1`, "call Migrate"},
		{"newer", table + `INSERT INTO dormouse_migrations VALUES (99, 98)`, "newer release"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db := openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))
			_, err := db.ExecContext(t.Context(), c.prepare)
			must(t, err)
			s, err := sqlite.New(db, sqlite.Config{})
			must(t, err)
			_, err = s.Due(t.Context(), lifecycle.DueQuery{Now: killEpoch, Limit: 1})
			var version *migrate.VersionError
			if !errors.As(err, &version) || !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v: must be a VersionError that says %q", err, c.want)
			}
			if c.name == "newer" && s.Migrate(t.Context()) == nil {
				t.Error("Migrate of newer tables must be an error")
			}
		})
	}
}

// A later release has migrated the tables in a way that this one can live with.
func TestSchemaAheadOfTheCode(t *testing.T) {
	db := openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))
	migrated(t, db)
	_, err := db.ExecContext(t.Context(), `INSERT INTO dormouse_migrations (version, min_reader) VALUES (99, 2)`)
	must(t, err)
	seed(t, migrated(t, db), 1)
}

// A host's own tool applies the exported files, under a prefix of its own; the store finds its tables then.
func TestMigrationsAsFiles(t *testing.T) {
	files, err := sqlite.Migrations("host_")
	must(t, err)
	must(t, fstest.TestFS(files, "00001_lifecycle.sql", "00002_jobs.sql"))
	db := openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))
	names, err := fs.Glob(files, "*.sql")
	must(t, err)
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		must(t, err)
		_, err = db.ExecContext(t.Context(), string(text))
		must(t, err)
	}
	s, err := sqlite.New(db, sqlite.Config{Prefix: "host_"})
	must(t, err)
	must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}))
	must(t, s.Migrate(t.Context()))
}

func TestClosedIsUnavailable(t *testing.T) {
	db, err := sqlite.Open("sqlite", filepath.Join(t.TempDir(), "dormouse.db"))
	must(t, err)
	s := migrated(t, db)
	must(t, db.Close())
	_, due := s.Due(t.Context(), lifecycle.DueQuery{Now: killEpoch, Limit: 1})
	_, commit := s.Commit(t.Context(), killEpoch, []lifecycle.Change{{}})
	for _, err := range []error{due, commit, s.Migrate(t.Context())} {
		if !errors.Is(err, lifecycle.ErrUnavailable) {
			t.Errorf("error %v of a closed database: must be ErrUnavailable", err)
		}
	}
}

// Another connection holds the write lock: the wait ends with the context, or after BusyTimeout.
func TestBusyIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	migrated(t, openFile(t, path))
	other, err := openFile(t, path).Conn(t.Context())
	must(t, err)
	defer other.Close()
	_, err = other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	s, err := sqlite.New(openFile(t, path), sqlite.Config{BusyTimeout: 300 * time.Millisecond})
	must(t, err)
	if err := s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}); !errors.Is(err, lifecycle.ErrUnavailable) {
		t.Errorf("error %v after BusyTimeout: must be ErrUnavailable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.PutOwner(ctx, killEpoch, lifecycle.Owner{ID: uuid.New()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v after the context's end: must be its error", err)
	}
	_, err = other.ExecContext(t.Context(), "ROLLBACK")
	must(t, err)
	must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}))
}

// A schedule that nobody can read is an error of its workspace alone.
func TestStoredScheduleThatCannotBeRead(t *testing.T) {
	db := openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))
	s := migrated(t, db)
	ids := seed(t, s, 3)
	_, err := db.ExecContext(t.Context(), `UPDATE dormouse_workspaces SET autostart = 'nonsense' WHERE id = ?`, ids[1][:])
	must(t, err)
	e, err := executor.New(s, executor.Config{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	stats := e.Tick(t.Context(), killEpoch.Add(time.Minute))
	must(t, stats.Err)
	if len(stats.Errors) != 1 || stats.Errors[ids[1]] == nil || stats.Evaluated != 3 {
		t.Errorf("errors %v of %d evaluated: must be one, of the workspace with the schedule", stats.Errors, stats.Evaluated)
	}
}

// seed creates workspaces that are due.
func seed(t *testing.T, s *sqlite.Store, n int) []uuid.UUID {
	t.Helper()
	template, owner := uuid.New(), uuid.New()
	must(t, s.PutTemplate(t.Context(), killEpoch, lifecycle.Template{ID: template, Policy: lifecycle.Policy{AllowUserAutostart: true, AutostartDays: 127}}))
	must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: owner}))
	ids, all := make([]uuid.UUID, n), make([]lifecycle.Workspace, n)
	for i := range ids {
		ids[i] = uuid.New()
		all[i] = lifecycle.Workspace{ID: ids[i], OwnerID: owner, TemplateID: template, CreatedAt: killEpoch}
	}
	must(t, s.CreateWorkspaces(t.Context(), killEpoch, all...))
	return ids
}
