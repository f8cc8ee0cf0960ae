package tick

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// costSizes are the fleets of which the same number is due, and that number.
type costSizes struct {
	fleets [3]int // small, the one whose cost is quoted, large
	due    int
}

func (b *pgBench) costSizes() costSizes {
	if b.r.Full {
		return costSizes{fleets: [3]int{10_000, 100_000, 300_000}, due: 1000}
	}
	return costSizes{fleets: [3]int{5_000, 20_000, 50_000}, due: 500}
}

// costRounds is how many ticks are measured at each size in a turn, after a first that warms up.
const costRounds = 9

// costTurns is how often all of a fleet run again, to be due once more.
func (b *pgBench) costTurns() int {
	if b.r.Full {
		return 3
	}
	return 1
}

// checkpointed are the ticks before which the server makes a checkpoint: one in five, as often as it does by default where an
// executor ticks by default. After a checkpoint the server logs each page as a whole once, the first time that it changes it.
func checkpointed(round int) bool { return round%5 == 1 }

// shares are what a number of due workspaces has cost.
type shares struct {
	process, server time.Duration
	allocations     uint64
	due             int
}

func (c *shares) add(d shares) {
	c.process, c.server, c.allocations, c.due = c.process+d.process, c.server+d.server, c.allocations+d.allocations, c.due+d.due
}

// each is a cost of one workspace in microseconds.
func (c *shares) each(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(c.due)
}

// aged is a fleet and the replica that ticks on it.
type aged struct {
	pool    *pgxpool.Pool
	replica *executor.Executor
	// limit: what is measured is one set-based statement instead.
	limit bool
	cost  shares
	// fresh is the part of the cost that followed a checkpoint.
	fresh shares
	// ticks are what a workspace cost in each tick, in microseconds, those that followed a checkpoint by themselves.
	ticks, freshTicks []float64
}

// typical is what a workspace costs where one tick in five follows a checkpoint, of the medians of both kinds: the machine is shared, and
// some ticks are disturbed.
func (f *aged) typical() float64 {
	return 0.8*meter.Median(f.ticks) + 0.2*meter.Median(f.freshTicks)
}

// costs measures what a due workspace costs this process and the server, with a builder as hosts have one, and whether that
// grows with the fleet.
func (b *pgBench) costs(ctx context.Context) error {
	sizes := b.costSizes()
	var fleets [3]aged
	for i, n := range sizes.fleets {
		b.r.Step("tick/postgres: %d workspaces, %d due at a time", n, sizes.due)
		pool, err := b.database(ctx, fmt.Sprintf("cost_%d", i), n, 2)
		if err != nil {
			return err
		}
		defer pool.Close()
		replica, err := newReplica(pool, executor.Config{Builder: sameForAll{}})
		if err != nil {
			return err
		}
		fleets[i] = aged{pool: pool, replica: replica}
	}
	server, err := serverOf(ctx, fleets[0].pool)
	if err != nil {
		return err
	}
	for turn := range b.costTurns() {
		if err := b.costTurn(ctx, turn > 0, server, sizes, fleets[:]); err != nil {
			return err
		}
	}
	b.reportCosts(sizes, &fleets)
	if !b.r.Wants("tick/postgres/growth") {
		return nil
	}
	return b.limitGrowth(ctx, server, sizes, &fleets)
}

// limitGrowth measures how what one set-based statement costs grows with the fleet, on the smallest and the largest: the statement does
// nothing but write the rows.
func (b *pgBench) limitGrowth(ctx context.Context, server int, sizes costSizes, fleets *[3]aged) error {
	limits := []aged{{pool: fleets[0].pool, limit: true}, {pool: fleets[2].pool, limit: true}}
	sizes.fleets[1] = sizes.fleets[2]
	if err := b.costTurn(ctx, true, server, sizes, limits); err != nil {
		return err
	}
	few, many := limits[0].typical(), limits[1].typical()
	b.r.Plain("tick/postgres/growth/limit", many/few, "x", fmt.Sprintf(
		"one set-based statement that writes the same rows: server CPU of %.0f us each of %d workspaces, %.0f us of %d, medians",
		many, sizes.fleets[2], few, sizes.fleets[0]))
	return nil
}

// costTurn measures rounds of some fleets, of which all workspaces are made to run again first if they have been stopped.
func (b *pgBench) costTurn(ctx context.Context, again bool, server int, sizes costSizes, fleets []aged) error {
	for i := range fleets {
		if again {
			b.r.Step("tick/postgres: %d workspaces once more", sizes.fleets[i])
			if err := renewFleet(ctx, fleets[i].pool); err != nil {
				return err
			}
		}
		if err := regroup(ctx, fleets[i].pool, sizes.due); err != nil {
			return fmt.Errorf("group: %w", err)
		}
	}
	for round := range costRounds + 1 { // in turn, so that all see the same machine
		for i := range fleets {
			if err := fleets[i].round(ctx, server, round, sizes.due); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *pgBench) reportCosts(sizes costSizes, fleets *[3]aged) {
	quoted := &fleets[1].cost
	note := fmt.Sprintf("of one due workspace, %d of %d due, in %d ticks, with a builder", sizes.due, sizes.fleets[1], len(fleets[1].ticks)+len(fleets[1].freshTicks))
	b.r.AtMost(25, "tick/postgres/process", quoted.each(quoted.process), "us", "CPU of this process "+note)
	b.r.AtMost(40, "tick/postgres/process/allocations", float64(quoted.allocations)/float64(quoted.due), "", "allocations "+note)
	b.r.AtMost(90, "tick/postgres/server", quoted.each(quoted.server), "us", "CPU of the server "+note+", one tick in five after a checkpoint")
	fresh := &fleets[1].fresh
	b.r.Plain("tick/postgres/server/checkpoint", fresh.each(fresh.server), "us", "the same in ticks after a checkpoint alone")
	few, many := fleets[0].typical(), fleets[2].typical()
	b.r.AtMost(1.1, "tick/postgres/growth", many/few, "x", fmt.Sprintf(
		"CPU of both for %d due: %.0f us each of %d workspaces, %.0f us of %d, medians", sizes.due, many, sizes.fleets[2], few, sizes.fleets[0]))
}

// round runs a tick and counts what it costs, but for the first.
func (f *aged) round(ctx context.Context, server, round, due int) error {
	if checkpointed(round) {
		if err := rest(ctx, f.pool); err != nil {
			return err
		}
	}
	run := f.tick
	if f.limit {
		run = f.statement
	}
	c, err := run(ctx, server, pgBegin.Add(time.Duration(round+1)*time.Hour), due)
	if err != nil || round == 0 {
		return err
	}
	f.cost.add(c)
	each := c.each(c.process + c.server)
	if !checkpointed(round) {
		f.ticks = append(f.ticks, each)
		return nil
	}
	f.fresh.add(c)
	f.freshTicks = append(f.freshTicks, each)
	return nil
}

// tick runs one tick in which a group is due.
func (f *aged) tick(ctx context.Context, server int, now time.Time, due int) (c shares, err error) {
	runtime.GC()
	var before, after runtime.MemStats
	before0, err := meter.Server(server)
	if err != nil {
		return c, err
	}
	runtime.ReadMemStats(&before)
	process := meter.Process()
	s := f.replica.Tick(ctx, now)
	c.process = meter.Process() - process
	runtime.ReadMemStats(&after)
	after0, err := meter.Server(server)
	c.server, c.allocations, c.due = after0-before0, after.Mallocs-before.Mallocs, due
	if err == nil {
		err = s.Err
	}
	if err == nil && (len(s.Transitions) != due || len(s.Errors) > 0) {
		err = fmt.Errorf("tick: %d transitions, %d errors: want %d and 0", len(s.Transitions), len(s.Errors), due)
	}
	return c, err
}

// statement runs the set-based statement on a group that is due.
func (f *aged) statement(ctx context.Context, server int, now time.Time, due int) (c shares, err error) {
	before, err := meter.Server(server)
	if err != nil {
		return c, err
	}
	var done int
	if err := f.pool.QueryRow(ctx, limitSQL, now).Scan(&done); err != nil {
		return c, err
	}
	after, err := meter.Server(server)
	c.server, c.due = after-before, due
	if err == nil && done != due {
		err = fmt.Errorf("limit: %d rows, want %d", done, due)
	}
	return c, err
}

// sameForAll is a builder as a host has one: each job has tags and a payload.
type sameForAll struct{}

func (sameForAll) Prepare(context.Context, executor.Group) (executor.Preparation, error) {
	return sameForAll{}, nil
}

func (sameForAll) Build(context.Context, executor.BuildRequest) (executor.BuildSpec, error) {
	return executor.BuildSpec{Tags: costTags, Payload: costPayload}, nil
}

func (sameForAll) Close() error { return nil }

var (
	costTags    = map[string]string{"cluster": "eu-1", "runtime": "docker"}
	costPayload = []byte(`{"image":"registry.example.com/dev:latest"}`)
)

// regroup makes due workspaces due at a time, hour after hour, wherever they lie in the table; the others never are.
func regroup(ctx context.Context, pool *pgxpool.Pool, due int) error {
	for _, s := range []struct {
		text string
		args []any
	}{
		{`UPDATE dormouse.workspaces w SET wake_at = d.at, build_deadline = d.at
			FROM (SELECT id, $1::timestamptz + CASE WHEN i <= $2::int * $3::int THEN (1 + (i - 1) / $2::int) * interval '1 hour' ELSE interval '100 days' END AS at
				FROM (SELECT id, split_part(name, '-', 2)::int AS i FROM dormouse.workspaces) n) d
			WHERE d.id = w.id`, []any{pgBegin, due, costRounds + 1}},
		{`VACUUM FULL dormouse.workspaces`, nil},
		{`VACUUM ANALYZE`, nil},
	} {
		if _, err := pool.Exec(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// serverOf is the process of the server that a pool is connected to.
func serverOf(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	return meter.Parent(int(conn.Conn().PgConn().PID()))
}
