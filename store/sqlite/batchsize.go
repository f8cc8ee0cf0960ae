package sqlite

// batchSize is where larger batches of changes stop being worth the wait of others: see the documentation of the package,
// and docs/performance/tick-sqlite.md for what was measured.
const batchSize = 500

// BatchSize implements [lifecycle.Batcher].
func (s *Store) BatchSize() int { return batchSize }
