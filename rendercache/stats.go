package rendercache

import "sync/atomic"

// Stats counts what a cache has done and what it holds. Hits, Misses, Shared and Errors add up to all requests, each
// counted when it was answered; a cache that knows only hits and misses would call the last three misses.
type Stats struct {
	// Hits are requests whose value was there.
	Hits uint64
	// Misses are requests that started a render, and calls of Get or Lookup that found nothing.
	Misses uint64
	// Shared are requests that joined a running render.
	Shared uint64
	// Errors are requests that got an error, including that of their own context.
	Errors uint64

	// FailureHits are those Errors that were remembered failures.
	FailureHits uint64
	// Renders are the renders started, refreshes included.
	Renders uint64
	// Refreshes are the renders started in the background by a hit.
	Refreshes uint64
	// Rejected are values heavier than MaxWeight.
	Rejected uint64
	// Running are the renders running now; those waiting for a place are not counted.
	Running int

	// Entries is Len.
	Entries int
	// Weight is the sum of the entries' weights, 1 for each without a weigher.
	Weight int64

	// Evictions counts the entries that have left, by cause.
	Evictions map[EvictCause]uint64
	// Causes counts the misses that rendered, by cause.
	Causes map[MissCause]uint64
}

// HitRatio returns the share of hits among all requests, 0 without requests.
func (s Stats) HitRatio() float64 {
	if all := s.Hits + s.Misses + s.Shared + s.Errors; all > 0 {
		return float64(s.Hits) / float64(all)
	}
	return 0
}

type counters struct {
	hits                   tally
	misses, shared, errors atomic.Uint64
	failureHits, renders   atomic.Uint64
	refreshes, rejected    atomic.Uint64
	running                atomic.Int64
	evictions              [evictCauses]atomic.Uint64
	causes                 [missCauses]atomic.Uint64
}

// Stats returns a snapshot. The numbers are read one after the other, not at one instant.
func (c *Cache[K, V]) Stats() Stats {
	s := Stats{
		Hits:        c.counters.hits.sum(),
		Misses:      c.counters.misses.Load(),
		Shared:      c.counters.shared.Load(),
		Errors:      c.counters.errors.Load(),
		FailureHits: c.counters.failureHits.Load(),
		Renders:     c.counters.renders.Load(),
		Refreshes:   c.counters.refreshes.Load(),
		Rejected:    c.counters.rejected.Load(),
		Running:     int(c.counters.running.Load()),
		Entries:     c.Len(),
		Weight:      c.table.weight.Load(),
		Evictions:   make(map[EvictCause]uint64, evictCauses),
		Causes:      make(map[MissCause]uint64, missCauses),
	}
	for i := range c.counters.evictions {
		s.Evictions[EvictCause(i)] = c.counters.evictions[i].Load()
	}
	for i := range c.counters.causes[MissFirst:] {
		cause := MissFirst + MissCause(i)
		s.Causes[cause] = c.counters.causes[cause].Load()
	}
	return s
}
