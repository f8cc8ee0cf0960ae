package sqlite

// batchSize is what store/sqlite suggests; docs/performance/tick-sqlite.md has the trade measured.
const batchSize = 500

// BatchSize implements [lifecycle.Batcher]. One writes at a time here, so each commit costs all others a wait, and itself
// a sync and the pages that it has in common with the next: fewer and larger ones are better until others wait too long.
func (s *Store) BatchSize() int { return batchSize }
