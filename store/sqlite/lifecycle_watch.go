package sqlite

import "context"

// WatchWakes implements [lifecycle.Watcher] for what is written through this Store. Writes of other processes are not
// noticed.
func (s *Store) WatchWakes(ctx context.Context, wake func()) error {
	return s.watchers.WatchWakes(ctx, wake)
}
