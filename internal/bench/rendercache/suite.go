// Package rendercache measures the render cache against four caches and against the least that a hit can cost.
//
// Times are CPU times of the whole process, taken in turns with the peer's within one run, so that other load on the
// machine and a peer's background work both count where they belong. Of each ratio the median is recorded.
package rendercache

import (
	"context"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
)

// Suite is the render cache's part of the program.
var Suite = figure.Suite{Name: "rendercache", Run: run}

func run(ctx context.Context, r *figure.Recorder) error {
	for _, part := range []struct {
		name string
		run  func(context.Context, *figure.Recorder) error
	}{
		{"once", runOnce},
		{"hit", runHits},
		{"allocations", runAllocations},
		{"key", runKeys},
		{"miss", runMisses},
		{"render", runRender},
		{"cleanup", runCleanup},
		{"memory", runMemory},
		{"goroutines", runGoroutines},
		{"ratio", runRatios},
		{"groups", runGroups},
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !r.Wants("rendercache/" + part.name) {
			continue
		}
		if err := part.run(ctx, r); err != nil {
			return err
		}
	}
	return nil
}
