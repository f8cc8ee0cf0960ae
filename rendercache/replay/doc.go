// Package replay answers what another size of a render cache would have been worth: it runs a recorded key log through
// the cache's own rules of life and eviction, once for each capacity, and draws the hit ratio over the capacity.
//
// Record with the KeyLog of a [github.com/dormouse-go/dormouse/rendercache.Config] for some hours, read the log with [ReadKeyLog], choose capacities (see
// [Capacities]), [Replay], and look at the points or at their [PlotSVG].
//
// A replay keeps no values and runs no renders: each request that misses counts as rendered at once. It therefore knows
// nothing of requests that share a running render, of failures, refreshes and invalidations. Everything here is a pure
// function of its arguments; the same seed gives the same points.
package replay
