package postgres

import (
	"context"
	"sync"
	"time"
)

// announcePause is the least time between two announcements of this process. Notifications take a lock of the whole
// database at their commit, so they are never part of the commits that they announce.
const announcePause = 50 * time.Millisecond

func (s *Store) wakeChannel() string { return s.cfg.Schema + "_wakes" }

// WatchWakes implements [lifecycle.Watcher]. While it runs, it also announces what this process commits; a process that
// commits but does not watch is noticed when the others look by themselves. It keeps one connection for listening, calls
// wake first when it listens, and ends when that connection breaks: its caller calls it again.
func (s *Store) WatchWakes(ctx context.Context, wake func()) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var g sync.WaitGroup
	defer g.Wait()
	defer cancel()
	wakes := make(chan struct{}, 1)
	defer s.wakes.Subscribe(func() {
		select {
		case wakes <- struct{}{}:
		default:
		}
	})()
	g.Go(func() { s.announce(ctx, wakes) })
	return listen(ctx, s.cfg.Direct, s.wakeChannel(), wake, func(string) { wake() })
}

// announce publishes that wakes were written, those that come close together as one, the last of them for sure. An announcement that
// fails is lost; the row is found all the same.
func (s *Store) announce(ctx context.Context, wakes <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-wakes:
		}
		_, _ = s.db.Exec(ctx, `SELECT pg_notify($1, 'wake')`, s.wakeChannel())
		if sleep(ctx, announcePause) != nil {
			return
		}
	}
}
