package prewarm

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/prewarm"
)

// runPlan measures a plan over 100,000 members: one that has nothing to do, which is the frequent one, and one that
// removes a third, replaces what has expired and fills reserves.
func runPlan(_ context.Context, r *figure.Recorder) error {
	const members, twice = 100_000, 200_000
	idle, busy := planTime(members, false), planTime(members, true)
	r.AtMost(20, "prewarm/plan", float64(idle)/1e6, "ms", "100,000 members, nothing to do")
	r.AtMost(20, "prewarm/plan/busy", float64(busy)/1e6, "ms", "100,000 members, a third too many, one in a hundred expired, reserves")
	// Both sizes are beyond the caches of the processor: a small pool is faster for each member for that reason alone.
	ratio := float64(planTime(twice, true)) / float64(busy) / (twice / members)
	r.AtMost(1.3, "prewarm/plan/linear", ratio, "x", fmt.Sprintf("time for each member at %d against %d", twice, members))
	return nil
}

func planTime(n int, busy bool) time.Duration {
	members := ready(n)
	spec := prewarm.Spec{Name: poolName, Version: "v1", Floor: n, Ceiling: n}
	if busy {
		spec.Floor = n * 2 / 3
		spec.Reserves = map[string]int{"a": n / 100, "b": n / 100}
		for i := 0; i < n; i += 100 {
			members[i].Deadline = now
		}
	}
	var times []time.Duration
	for range 9 {
		begun := meter.Process()
		d := prewarm.Plan(spec, members, prewarm.Failures{}, now)
		times = append(times, meter.Process()-begun)
		if busy == (len(d.Actions) == 0) {
			panic("the plan is not what is measured")
		}
	}
	return meter.Median(times)
}
