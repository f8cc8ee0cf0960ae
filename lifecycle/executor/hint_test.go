package executor_test

import (
	"context"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// shouted is a store whose watcher hears a message every tenth of a millisecond.
type shouted struct{ *memory.Store }

func (s shouted) WatchWakes(ctx context.Context, changed func()) error {
	for ctx.Err() == nil {
		changed()
		time.Sleep(100 * time.Microsecond) // in a bubble
	}
	return nil
}

// However many messages arrive, a process ticks no more often because of them than every 50 ms.
func TestMessagesDoNotMakeTicks(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		stats := make(chan executor.Stats, 1000)
		e, err := executor.New(shouted{f.store}, executor.Config{Precise: true, Logger: quiet, StatsC: stats})
		f.must(err)
		ctx, cancel := context.WithCancel(f.ctx)
		ran := make(chan error, 1)
		go func() { ran <- e.Run(ctx) }()
		time.Sleep(2 * time.Second)
		cancel()
		f.must(<-ran)
		if n := len(stats); n < 10 || n > 42 {
			t.Errorf("%d ticks in two seconds, want at most one in 50 ms", n)
		}
	})
}
