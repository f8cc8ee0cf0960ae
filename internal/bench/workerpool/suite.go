// Package workerpool measures how the worker pool's cost grows with the number of its workers.
//
// The figures of growth compare a pool of 100 workers and one of 100,000 in one run, in turns. Times are CPU times of the
// calling thread: what calls cause in the background (a command, a plan) does not depend on who called.
package workerpool

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/workerpool"
)

// Suite is the worker pool's part of the program.
var Suite = figure.Suite{Name: "workerpool", Run: run}

const (
	few  = 100
	many = 100_000
	// rounds is how often a comparison is repeated; the median is quoted, because the machine is shared.
	rounds = 9
)

func run(ctx context.Context, r *figure.Recorder) error {
	if r.Wants("workerpool/plan") {
		runPlan(r)
	}
	grows := false
	for _, name := range []string{"start", "shutdown", "counts", "sync", "bytes"} {
		grows = grows || r.Wants("workerpool/"+name)
	}
	if !grows {
		return nil
	}
	r.Step("pools of %d and %d workers", few, many)
	small, err := newPool(ctx, few)
	if err != nil {
		return err
	}
	defer small.stop()
	before := heap()
	large, err := newPool(ctx, many)
	if err != nil {
		return err
	}
	defer large.stop()
	bytes := float64(heap()-before) / many
	r.AtMost(700, "workerpool/bytes", bytes, "B", fmt.Sprintf("heap per idle worker, its indexes, id and address included; %d workers", many))
	if r.Wants("workerpool/sync") {
		runSync(r, large)
	}
	runGrowth(r, small, large)
	return ctx.Err()
}

// runGrowth compares calls on the two pools.
func runGrowth(r *figure.Recorder, small, large *pool) {
	for _, call := range []struct {
		name string
		n    int
		do   func(p *pool)
	}{
		{"counts", 2000, func(p *pool) { p.Counts() }},
		{"shutdown", 5, func(p *pool) {
			if _, err := p.ShutdownOne(p.nextType()); err != nil {
				panic(err) // there are workers for all rounds
			}
		}},
		{"start", 40, func(p *pool) {
			if _, err := p.StartJob(workerpool.Job{ID: p.nextJob(), Needs: workerpool.Resources{Slots: 1}}); err != nil {
				panic(err) // there are slots for all rounds
			}
		}},
	} {
		if !r.Wants("workerpool/" + call.name) {
			continue
		}
		var a, b, ratios []float64
		for range rounds {
			x, y := per(call.n, func() { call.do(small) }), per(call.n, func() { call.do(large) })
			a, b, ratios = append(a, x), append(b, y), append(ratios, y/x)
		}
		r.AtMost(2, "workerpool/"+call.name, median(ratios), "x",
			fmt.Sprintf("CPU of a call with %d workers against %d: %.1f and %.1f microseconds", many, few, median(b)/1000, median(a)/1000))
	}
}

// runPlan measures a plan of 1,000 jobs on 10,000 workers, once where all jobs fit and once where none does.
func runPlan(r *figure.Recorder) {
	worst, note := 0.0, ""
	for _, free := range []bool{true, false} {
		jobs, workers, limits := bigPlan(free)
		var times []float64
		for range rounds {
			times = append(times, per(1, func() { workerpool.Plan(jobs, workers, limits, now) })/1e6)
		}
		note += fmt.Sprintf("; jobs fit %v: %.1f ms", free, median(times))
		worst = max(worst, median(times))
	}
	r.AtMost(100, "workerpool/plan", worst, "ms", fmt.Sprintf("CPU of a plan of 1,000 jobs on 10,000 workers of 10 types%s", note))
}

// runSync lets listings of all workers be absorbed while somebody asks for the lock all the time, and takes the longest
// wait during each. Whoever asks all the time waits in every listing as long as the lock is held at a time, and on a shared
// machine for its turn besides; so the least of the longest waits is the closest to the former, and never below it. What
// the least is without a listing is the machine's part, and taken off.
func runSync(r *figure.Recorder, p *pool) {
	var waits, rests []float64
	for range 2 * rounds {
		rests = append(rests, longestWait(p))
		seen := p.set.listings.Load()
		p.list()
		for p.set.listings.Load() == seen {
			time.Sleep(time.Millisecond)
		}
		waits = append(waits, longestWait(p))
	}
	r.AtMost(5, "workerpool/sync", max(0, slices.Min(waits)-slices.Min(rests)), "ms",
		fmt.Sprintf("longest wait for the lock while a listing of %d known workers is taken in, beyond that at rest; least of %d: %.1f and %.1f ms",
			many, len(waits), slices.Min(waits), slices.Min(rests)))
}

// longestWait is how long one of many calls waited for the lock, in milliseconds.
func longestWait(p *pool) float64 {
	var worst time.Duration
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		begun := time.Now()
		p.AtQuota()
		worst = max(worst, time.Since(begun))
	}
	return float64(worst.Microseconds()) / 1000
}

// per returns the CPU time of one call in nanoseconds.
func per(n int, f func()) float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	begun := threadTime()
	for range n {
		f()
	}
	return float64(threadTime()-begun) / float64(n)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
