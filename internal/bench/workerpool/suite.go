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
	"github.com/dormouse-go/dormouse/internal/bench/meter"
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
	bytes := float64(atRest()-before) / many
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
		r.AtMost(2, "workerpool/"+call.name, meter.Median(ratios), "x",
			fmt.Sprintf("CPU of a call with %d workers against %d: %.1f and %.1f microseconds", many, few, meter.Median(b)/1000, meter.Median(a)/1000))
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
		note += fmt.Sprintf("; jobs fit %v: %.1f ms", free, meter.Median(times))
		worst = max(worst, meter.Median(times))
	}
	r.AtMost(100, "workerpool/plan", worst, "ms", fmt.Sprintf("CPU of a plan of 1,000 jobs on 10,000 workers of 10 types%s", note))
}

// runSync takes listings of all workers in, while somebody asks for the lock all the time. The pool itself says how long each
// held its lock at a stretch, by the clock: what the system takes of the machine meanwhile is part of it, as it is for whoever
// waits. The figure is the median of the listings, whose worst holds these are already; the worst of all is quoted with it.
func runSync(r *figure.Recorder, p *pool) {
	stop := make(chan struct{})
	asking := make(chan int)
	go func() {
		calls := 0
		for {
			select {
			case <-stop:
				asking <- calls
				return
			default:
				p.AtQuota()
				calls++
			}
		}
	}()
	var held []float64
	for range rounds {
		held = append(held, p.relist())
	}
	close(stop)
	calls := <-asking
	slices.Sort(held)
	r.AtMost(5, "workerpool/sync", meter.Median(held), "ms", fmt.Sprintf(
		"longest hold of the lock while a listing of %d known workers is taken in, as the pool measures it: median of %d listings, least %.2f, worst %.2f ms; beside %d calls of another",
		many, len(held), held[0], held[len(held)-1], calls))
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

// atRest is the least heap of some readings: a listing that is being taken in has its own copy of every worker.
func atRest() int64 {
	least := heap()
	for range 5 {
		time.Sleep(200 * time.Millisecond)
		least = min(least, heap())
	}
	return least
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
