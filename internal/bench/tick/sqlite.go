package tick

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// sqliteBatches are the sizes that a host may want to choose among, beside the one that the store chooses; measured at full
// size, where they matter.
var sqliteBatches = []int{100, 250, 1000}

// sqliteFigures compares a tick on SQLite, with all it reads, decides and commits in batches, with one transaction that
// writes the same rows by prepared statements and does nothing else. Both begin with a copy of the same file, in turn, and
// what they leave behind is compared. It also says how long others wait to write meanwhile.
func sqliteFigures(ctx context.Context, r *figure.Recorder) error {
	const name = "tick/sqlite"
	if !r.Wants(name + "/") {
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
	if err := b.figures(ctx, r, name, rounds); err != nil {
		return err
	}
	if !r.Full {
		return nil
	}
	for _, b.batch = range sqliteBatches {
		if err := b.figures(ctx, r, name, rounds); err != nil {
			return fmt.Errorf("batches of %d: %w", b.batch, err)
		}
	}
	return nil
}

type sqliteBench struct {
	dir, base  string
	owners     []uuid.UUID
	early, due int
	batch      int // 0 for the executor's default
	rows       int // that a tick writes
}

// figures measures with the batch size that is set.
func (b *sqliteBench) figures(ctx context.Context, r *figure.Recorder, name string, rounds int) error {
	suffix := ""
	if b.batch > 0 {
		suffix = fmt.Sprintf("/batch%d", b.batch)
	}
	limit, wait := name+"/limit"+suffix, name+"/wait"+suffix
	if r.Wants(limit) {
		text, ratio, err := b.compare(ctx, rounds)
		if err != nil {
			return fmt.Errorf("limit: %w", err)
		}
		if b.batch == 0 {
			r.AtMost(1.5, limit, ratio, "x", text)
		} else {
			r.Plain(limit, ratio, "x", text)
		}
	}
	if r.Wants(wait) {
		text, p99, err := b.wait(ctx, rounds)
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		r.Plain(wait, float64(p99.Microseconds())/1000, "ms", text)
	}
	return nil
}

// compare measures ticks and their limits, and says what it found.
func (b *sqliteBench) compare(ctx context.Context, rounds int) (text string, ratio float64, err error) {
	var ticks, limits []time.Duration
	var ratios, cpus []float64
	for range rounds {
		tick, limit, err := b.round(ctx)
		if err != nil {
			return "", 0, err
		}
		ticks, limits = append(ticks, tick.wall), append(limits, limit.wall)
		ratios = append(ratios, float64(tick.wall)/float64(limit.wall))
		cpus = append(cpus, float64(tick.cpu)/float64(limit.cpu))
	}
	tick, limit := meter.Median(ticks), meter.Median(limits)
	return fmt.Sprintf(
		"%d due: tick %v, one prepared transaction writing the same %d rows %v (median of %d); by CPU time %.2fx",
		b.due, tick.Round(time.Millisecond), b.rows, limit.Round(time.Millisecond), rounds, meter.Median(cpus)), meter.Median(ratios), nil
}

// round measures one tick and one limit.
func (b *sqliteBench) round(ctx context.Context) (tick, limit cost, err error) {
	before, ticked, written := filepath.Join(b.dir, "before.db"), filepath.Join(b.dir, "ticked.db"), filepath.Join(b.dir, "written.db")
	if tick, err = b.tick(ctx, ticked, before); err != nil {
		return tick, limit, fmt.Errorf("tick: %w", err)
	}
	writes, err := b.left(ctx, before, ticked)
	if err == nil {
		limit, err = b.limit(ctx, before, written, writes)
	}
	if err != nil {
		return tick, limit, fmt.Errorf("limit: %w", err)
	}
	return tick, limit, sameTables(ctx, ticked, written)
}

// tick measures a tick on a copy of the file, by a process that has ticked before. What the file was like before the
// measured one is kept as another file.
func (b *sqliteBench) tick(ctx context.Context, path, before string) (c cost, err error) {
	w, err := b.warm(ctx, path)
	if err != nil {
		return c, err
	}
	defer w.db.Close()
	if err := emptyLog(ctx, w.db); err != nil {
		return c, err
	}
	if err := copyFile(path, before); err != nil {
		return c, err
	}
	var stats executor.Stats
	c = measured(func() { stats = w.executor.Tick(ctx, sqliteNow) })
	return c, all(stats, b.due)
}

// all is an error if not all that was due was done.
func all(stats executor.Stats, due int) error {
	if stats.Err == nil && (stats.Count.Transitions != due || stats.Count.Errors > 0) {
		return fmt.Errorf("%d transitions and %d errors: want %d and 0", stats.Count.Transitions, stats.Count.Errors, due)
	}
	return stats.Err
}
