package tick

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// warmed is a process that has ticked before.
type warmed struct {
	db       *sql.DB
	store    *sqlite.Store
	executor *executor.Executor
}

// warm opens a fresh copy of the base and ticks at sqliteEarly: connections are open, statements prepared.
func (b *sqliteBench) warm(ctx context.Context, path string) (w warmed, err error) {
	if err = copyFile(b.base, path); err != nil {
		return w, err
	}
	if w.db, err = opened(ctx, path); err != nil {
		return w, err
	}
	if w.store, err = sqlite.New(w.db, sqlite.Config{}); err == nil {
		w.executor, err = executor.New(w.store, executor.Config{BatchSize: b.batch, Logger: slog.New(slog.DiscardHandler)})
	}
	if err == nil {
		err = all(w.executor.Tick(ctx, sqliteEarly), b.early)
	}
	if err != nil {
		err = errors.Join(err, w.db.Close())
	}
	return w, err
}

// opened returns a pool on a file whose pages it has read once: neither side pays for a cold file.
func opened(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sqlite.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, `SELECT count(name) FROM dormouse_workspaces NOT INDEXED`); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// emptyLog moves what is in the write-ahead log into the file, so that nobody has to while something is measured: at the
// sizes of this bench, neither a tick nor its limit fills it again.
func emptyLog(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

// copyFile replaces a database by a copy of another one, whose log is empty.
func copyFile(from, to string) error {
	for _, old := range []string{to, to + "-wal", to + "-shm"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	// What is dirty of the copy would otherwise be written out by the first commit that is measured.
	return errors.Join(err, out.Sync(), out.Close())
}

// cost is what something took.
type cost struct{ wall, cpu time.Duration }

// measured begins with the heap of a small program, whatever was done before: what a side allocates is its own to collect.
func measured(f func()) cost {
	runtime.GC()
	before, start := meter.Process(), time.Now()
	f()
	return cost{time.Since(start), meter.Process() - before}
}
