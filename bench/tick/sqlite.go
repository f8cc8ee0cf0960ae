package tick

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/google/uuid"
	_ "modernc.org/sqlite" // the driver

	"github.com/dormouse-go/dormouse/bench/figure"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// sqliteNow is when the measured ticks happen: a Monday morning.
var sqliteNow = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// sqliteFigures compares a tick on SQLite, with all it reads, decides and commits in batches, with one transaction that
// writes the same rows by prepared statements and does nothing else. Both begin with a copy of the same file, in turn, and
// what they leave behind is compared.
func sqliteFigures(ctx context.Context, r *figure.Recorder) error {
	const name = "tick/sqlite/limit"
	if !r.Wants(name) {
		return nil
	}
	n, rounds := 10_000, 7
	if r.Full {
		n, rounds = 100_000, 5
	}
	dir, err := os.MkdirTemp("", "dormouse-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	r.Step("%s: %d workspaces, one in ten due", name, n)
	b := &sqliteBench{dir: dir, base: filepath.Join(dir, "base.db")}
	if err := b.fill(ctx, n); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	text, ratio, err := b.compare(ctx, n, rounds)
	if err != nil {
		return err
	}
	r.AtMost(1.5, name, ratio, "x", text)
	// What a host may choose whose other writers can wait: one transaction for a page.
	b.batch = 1000
	if text, ratio, err = b.compare(ctx, n, rounds); err == nil {
		r.Plain(name+"/batch1000", ratio, "x", text)
	}
	return err
}

// compare measures with the batch size that is set, and says what it found.
func (b *sqliteBench) compare(ctx context.Context, n, rounds int) (text string, ratio float64, err error) {
	b.ticks, b.limits, b.ratios, b.cpus = nil, nil, nil, nil
	for range rounds {
		if err := b.round(ctx); err != nil {
			return "", 0, err
		}
	}
	tick, limit := median(b.ticks), median(b.limits)
	return fmt.Sprintf(
		"%d workspaces, %d due: tick %v, one prepared transaction writing the same %d rows %v (median of %d); by CPU time %.2fx",
		n, b.due, tick.Round(time.Millisecond), b.rows, limit.Round(time.Millisecond), rounds, median(b.cpus)), median(b.ratios), nil
}

type sqliteBench struct {
	dir, base     string
	due, rows     int
	batch         int // 0 for the executor's default
	ticks, limits []time.Duration
	ratios, cpus  []float64
}

// round measures one tick and one limit.
func (b *sqliteBench) round(ctx context.Context) error {
	ticked, written := filepath.Join(b.dir, "ticked.db"), filepath.Join(b.dir, "written.db")
	tick, err := b.tick(ctx, ticked)
	if err != nil {
		return fmt.Errorf("tick: %w", err)
	}
	limit, err := b.limit(ctx, ticked, written)
	if err != nil {
		return fmt.Errorf("limit: %w", err)
	}
	if err := sameTables(ctx, ticked, written); err != nil {
		return err
	}
	b.ticks, b.limits = append(b.ticks, tick.wall), append(b.limits, limit.wall)
	b.ratios = append(b.ratios, float64(tick.wall)/float64(limit.wall))
	b.cpus = append(b.cpus, float64(tick.cpu)/float64(limit.cpu))
	return nil
}

// tick measures a tick on a copy of the file.
func (b *sqliteBench) tick(ctx context.Context, path string) (cost, error) {
	db, err := b.copied(ctx, path)
	if err != nil {
		return cost{}, err
	}
	defer db.Close()
	s, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		return cost{}, err
	}
	e, err := lifecycle.New(s, lifecycle.Config{BatchSize: b.batch})
	if err != nil {
		return cost{}, err
	}
	var stats lifecycle.Stats
	c := measured(func() { stats = e.Tick(ctx, sqliteNow) })
	if stats.Err == nil && (len(stats.Transitions) != b.due || len(stats.Errors) > 0) {
		return cost{}, fmt.Errorf("%d transitions and %d errors: want %d and 0", len(stats.Transitions), len(stats.Errors), b.due)
	}
	return c, stats.Err
}

// copied returns a pool on a fresh copy of the base, with its pages read once: neither side pays for a cold file.
func (b *sqliteBench) copied(ctx context.Context, path string) (*sql.DB, error) {
	for _, old := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	if err := copyFile(b.base, path); err != nil {
		return nil, err
	}
	db, err := sqlite.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	_, err = db.ExecContext(ctx, `SELECT count(name) FROM dormouse_workspaces NOT INDEXED`)
	return db, err
}

func copyFile(from, to string) error {
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

func measured(f func()) cost {
	before, start := cpuTime(), time.Now()
	f()
	return cost{time.Since(start), cpuTime() - before}
}

// cpuTime is what this process has computed so far, in all its threads.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot happen: the arguments are constants
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median[T ~int64 | ~float64](v []T) T {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// fill writes the base: running workspaces of 1,000 owners, one in ten with a deadline at now.
func (b *sqliteBench) fill(ctx context.Context, n int) error {
	db, err := sqlite.Open("sqlite", b.base)
	if err != nil {
		return err
	}
	s, err := sqlite.New(db, sqlite.Config{})
	if err == nil {
		err = s.Migrate(ctx)
	}
	if err == nil {
		err = b.fleet(ctx, s, n)
	}
	if err == nil {
		_, err = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	return errors.Join(err, db.Close())
}

func (b *sqliteBench) fleet(ctx context.Context, s *sqlite.Store, n int) error {
	t := lifecycle.Template{ID: uuid.New(), OrganizationID: uuid.New(), Name: "go", ActiveVersionID: uuid.New(), Policy: lifecycle.Policy{
		AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays, TimeTilDormant: 30 * 24 * time.Hour,
	}}
	if err := s.PutTemplate(ctx, sqliteNow, t); err != nil {
		return err
	}
	owners := make([]uuid.UUID, 1000)
	for i := range owners {
		owners[i] = uuid.New()
		if err := s.PutOwner(ctx, sqliteNow, lifecycle.Owner{ID: owners[i], Name: fmt.Sprintf("owner-%d", i)}); err != nil {
			return err
		}
	}
	var schedules schedule.Interner
	const page = 5000
	for from := 0; from < n; from += page {
		ws := make([]lifecycle.Workspace, 0, page)
		for i := from; i < min(n, from+page); i++ {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			ws = append(ws, lifecycle.Workspace{
				ID: id, OrganizationID: t.OrganizationID, OwnerID: owners[i%len(owners)], TemplateID: t.ID,
				Name: fmt.Sprintf("workspace-%06d", i), CreatedAt: sqliteNow.AddDate(0, -1, 0),
				LastUsedAt: sqliteNow.Add(-time.Hour), TTL: 8 * time.Hour,
				Autostart: schedules.Weekly(fmt.Sprintf("CRON_TZ=Europe/Berlin %d 7 * * 1-5", i%60)),
			})
		}
		if err := s.CreateWorkspaces(ctx, sqliteNow, ws...); err != nil {
			return err
		}
		if err := b.start(ctx, s, ws, from); err != nil {
			return err
		}
	}
	return nil
}

// start gives workspaces a start that has succeeded, with a deadline at now for one in ten.
func (b *sqliteBench) start(ctx context.Context, s *sqlite.Store, ws []lifecycle.Workspace, from int) error {
	version := uuid.New()
	changes := make([]lifecycle.Change, len(ws))
	for i, w := range ws {
		w.WakeAt = sqliteNow.Add(time.Duration(1+(from+i)%480) * time.Minute)
		if i%10 == 0 {
			w.WakeAt = sqliteNow
			b.due++
		}
		changes[i] = lifecycle.Change{Revision: 1, Workspace: w, NewBuild: true, Build: lifecycle.Build{
			ID: uuid.New(), Number: 1, TemplateVersionID: version, Transition: lifecycle.TransitionStart,
			Status: lifecycle.JobSucceeded, Reason: lifecycle.ReasonManual,
			CreatedAt: sqliteNow.Add(-time.Hour), CompletedAt: sqliteNow.Add(-time.Hour), Deadline: w.WakeAt,
		}}
	}
	_, err := s.Commit(ctx, sqliteNow, changes)
	return err
}
