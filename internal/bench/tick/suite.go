// Package tick measures what a tick costs on the stores that are databases, against the pattern that it replaces and
// against the least that writing the same rows can cost.
package tick

import (
	"context"
	"errors"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
)

// Suite measures ticks.
var Suite = figure.Suite{Name: "tick", Run: run}

func run(ctx context.Context, r *figure.Recorder) error {
	return errors.Join(postgresFigures(ctx, r), sqliteFigures(ctx, r))
}
