package wake_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/dormouse-go/dormouse/store/wake"
)

func TestWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wake.Watchers
		w.Notify()
		ctx, stop := context.WithCancel(t.Context())
		var first, second atomic.Int64
		done := make(chan error, 1)
		go func() { done <- w.WatchWakes(ctx, func() { first.Add(1) }) }()
		synctest.Wait()
		cancel := w.Subscribe(func() { second.Add(1) })
		w.Notify()
		cancel()
		w.Notify()
		if first.Load() != 2 || second.Load() != 1 || !w.Watched() {
			t.Errorf("called %d and %d times, watched %v; want 2 and 1, true", first.Load(), second.Load(), w.Watched())
		}
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("WatchWakes returned %v, want the error of its context", err)
		}
		if w.Notify(); first.Load() != 2 || w.Watched() {
			t.Errorf("called %d times, watched %v after the end; want 2, false", first.Load(), w.Watched())
		}
	})
}

// The same function may be subscribed twice, and is called for each.
func TestSubscribeTwice(t *testing.T) {
	var w wake.Watchers
	n := 0
	f := func() { n++ }
	cancel := w.Subscribe(f)
	w.Subscribe(f)
	w.Notify()
	cancel()
	cancel()
	if w.Notify(); n != 3 {
		t.Errorf("called %d times, want twice and then once", n)
	}
}
