// Package core measures what needs no database: decisions, schedules, and the store in memory.
package core

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/bench/meter"
)

// sink keeps results alive, so that no measured call is optimized away.
var sink any

// rounds is how often a comparison is repeated; the median is quoted, because the machine is shared.
const rounds = 9

// pair times two functions in turn and returns the median of each, per call, and of their ratios.
func pair(n int, a, b func()) (ta, tb time.Duration, ratio float64) {
	var as, bs []time.Duration
	var ratios []float64
	for range rounds {
		x, y := per(n, a), per(n, b)
		as, bs, ratios = append(as, x), append(bs, y), append(ratios, float64(x)/float64(y))
	}
	return meter.Median(as), meter.Median(bs), meter.Median(ratios)
}

// per returns the CPU time of one call: other processes share the cores, so wall time says little.
func per(n int, f func()) time.Duration {
	start := meter.Process()
	for range n {
		f()
	}
	return (meter.Process() - start) / time.Duration(n)
}
