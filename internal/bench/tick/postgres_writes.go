package tick

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/internal/bench/meter"
)

// WriterEnv names a database: a process that is started with it is the writer of activity, see [Write].
const WriterEnv = "DORMOUSE_BENCH_WRITER"

const (
	writableSQL = `SELECT id FROM dormouse.workspaces WHERE wake_at > $1 ORDER BY random() LIMIT 2000`
	activitySQL = `UPDATE dormouse.workspaces SET last_used_at = last_used_at + interval '1 second', revision = revision + 1 WHERE id = $1`
)

// Write writes activity of workspaces that are not due, one row at a time and a millisecond apart, until its input ends.
// Then it writes when each began and how long it took. It has a process of its own, because in one with the tick it would
// wait for the tick's goroutines and for its garbage collection, which no other replica has to.
func Write(ctx context.Context, dsn string, in io.Reader, out io.Writer) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, writableSQL, pgBegin.AddDate(0, 0, 50))
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id [16]byte, err error) { return id, row.Scan(&id) })
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(done)
	}()
	var took []write
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-done:
			return report(out, took)
		case <-pause.C:
		}
		begun := time.Now()
		if _, err := conn.Exec(ctx, activitySQL, ids[len(took)%len(ids)]); err != nil {
			return err
		}
		took = append(took, write{begun, time.Since(begun)})
	}
}

// write is one, measured.
type write struct {
	begun time.Time
	took  time.Duration
}

func report(out io.Writer, took []write) error {
	w := bufio.NewWriter(out)
	for _, t := range took {
		fmt.Fprintln(w, t.begun.UnixNano(), t.took.Nanoseconds())
	}
	return w.Flush()
}

// window is a time in which something ran.
type window struct{ from, to time.Time }

// within are the writes that began in one of the windows.
func within(all []write, windows []window) (took []time.Duration) {
	for _, w := range all {
		if slices.ContainsFunc(windows, func(in window) bool { return !w.begun.Before(in.from) && w.begun.Before(in.to) }) {
			took = append(took, w.took)
		}
	}
	return took
}

// writerProcess is a running writer.
type writerProcess struct {
	cmd *exec.Cmd
	in  io.Closer
	out io.Reader
}

func startWriter(ctx context.Context, dsn string) (*writerProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), WriterEnv+"="+dsn)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &writerProcess{cmd, in, out}, cmd.Start()
}

// stop ends the writer and returns what it has written.
func (p *writerProcess) stop() (all []write, err error) {
	if err := p.in.Close(); err != nil {
		return nil, err
	}
	for {
		var begun, took int64
		if _, err = fmt.Fscanln(p.out, &begun, &took); err != nil {
			break
		}
		all = append(all, write{time.Unix(0, begun), time.Duration(took)})
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, errors.Join(err, p.cmd.Wait())
}

// writes compares the p99 of activity writes while a tick runs with what it is while two connections do nothing but compute: a
// tick, too, has two, and they share the cores of the writer. Others are beside it.
func (b *pgBench) writes(ctx context.Context) error {
	if !b.r.Wants("tick/postgres/writes") {
		return nil
	}
	writing, kill := context.WithCancel(ctx)
	defer kill()
	w, err := startWriter(writing, b.server.DSN("fleet"))
	if err != nil {
		return err
	}
	const due = 2 // groups at once
	runs := []struct {
		name string
		run  func() error
	}{
		{"idle", func() error { return wait(ctx, time.Second) }},
		{"tick", func() error { _, err := b.ticked(ctx, due); return err }},
		{"one", func() error { _, err := b.limitTick(ctx, due); return err }},
		{"computing", func() error { return b.compute(ctx, time.Second) }},
	}
	windows := map[string][]window{}
	for range b.sizes.writes {
		if err := b.ready(ctx, 2*due); err != nil {
			return err
		}
		for _, r := range runs {
			from := time.Now()
			if err := r.run(); err != nil {
				return fmt.Errorf("writes: %s: %w", r.name, err)
			}
			windows[r.name] = append(windows[r.name], window{from, time.Now()})
			if err := rest(ctx, b.pool); err != nil {
				return err
			}
		}
	}
	all, err := w.stop()
	if err != nil {
		return err
	}
	took := map[string][]time.Duration{}
	for _, r := range runs {
		if took[r.name] = within(all, windows[r.name]); len(took[r.name]) < 200 {
			return fmt.Errorf("writes: %s: only %d writes fell into it", r.name, len(took[r.name]))
		}
	}
	ratio := func(name, to string) float64 {
		return float64(meter.Quantile(took[name], 0.99)) / float64(meter.Quantile(took[to], 0.99))
	}
	say := func(name string) string {
		return fmt.Sprintf("%v (%d writes, median %v)", ms(meter.Quantile(took[name], 0.99)), len(took[name]), ms(meter.Median(took[name])))
	}
	b.r.AtMost(2.5, "tick/postgres/writes", ratio("tick", "computing"), "x", fmt.Sprintf(
		"p99 of single-row activity writes: %s while a tick of %d runs, %s while two connections compute and write nothing",
		say("tick"), due*b.due(), say("computing")))
	b.r.Plain("tick/postgres/writes/one-statement", ratio("one", "computing"), "x", "while the set-based statement runs: "+say("one"))
	b.r.Plain("tick/postgres/writes/idle", ratio("tick", "idle"), "x", "against an idle database: "+say("idle"))
	return nil
}

// compute keeps two connections busy with short statements that write nothing and wait for nothing: what is left of the
// machine for a writer, without what a tick does to the database.
func (b *pgBench) compute(ctx context.Context, d time.Duration) error {
	var g errgroup.Group
	end := time.Now().Add(d)
	for range 2 {
		g.Go(func() error {
			for time.Now().Before(end) {
				if _, err := b.pool.Exec(ctx, `SELECT sum(i) FROM generate_series(1, 30000) i`); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
