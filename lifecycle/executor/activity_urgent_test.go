package executor_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// Activity that comes shortly before the deadline, in a process that does not tick, is known to the replica that does.
func TestActivityNearTheDeadlineIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		f := &fleet{T: t, store: memory.New(), ctx: t.Context()}
		bump := policy(func(p *lifecycle.Policy) { p.ActivityBump = time.Hour })
		for n, left := range []time.Duration{0, 5 * time.Second, 3 * time.Minute, 40 * time.Minute} {
			if n > 0 {
				f.add(numbered(n, running(bump, deadline(now.Add(left)))))
			}
		}
		c, err := executor.NewClient(f.store, executor.ClientConfig{Clock: quartz.NewReal(), Logger: quiet, ActivityFlush: time.Minute})
		f.must(err)
		ctx, cancel := context.WithCancel(f.ctx)
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		time.Sleep(2 * time.Second)
		for n := 1; n <= 3; n++ {
			c.Activity(id(n), time.Now())
		}
		synctest.Wait()
		for n := 1; n <= 3; n++ { // nobody knows their deadlines yet
			if d := f.load(n).Build.Deadline; !d.Equal(time.Now().Add(time.Hour)) {
				t.Errorf("workspace %d: deadline %v after activity", n, d)
			}
		}
		time.Sleep(3 * time.Second)
		c.Activity(id(1), time.Now())
		synctest.Wait()
		if used := f.load(1).Workspace.LastUsedAt; used.Equal(time.Now()) {
			t.Error("activity an hour before the deadline is written at once")
		}
		time.Sleep(57 * time.Minute)
		c.Activity(id(2), time.Now())
		synctest.Wait()
		if d := f.load(2).Build.Deadline; !d.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("deadline %v after activity three minutes before it", d)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A store that fails is not asked for each activity, and neither is one for a deadline that no activity moves.
func TestUrgentActivityIsNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		f := &fleet{T: t, store: memory.New(), ctx: t.Context()}
		bump := policy(func(p *lifecycle.Policy) { p.ActivityBump = 10 * time.Second })
		capped := build(func(b *lifecycle.Build) { b.Deadline, b.MaxDeadline = now.Add(2*time.Minute), now.Add(2*time.Minute) })
		f.add(numbered(1, running(bump, capped)), numbered(2, running(bump, deadline(now.Add(10*time.Second)))))
		var loads atomic.Int64
		var failing atomic.Bool
		store := &hooked{Store: f.store, load: func() error {
			loads.Add(1)
			if failing.Load() {
				return errors.New("full")
			}
			return nil
		}}
		c, err := executor.NewClient(store, executor.ClientConfig{Clock: quartz.NewReal(), Logger: quiet, ActivityFlush: 30 * time.Second})
		f.must(err)
		ctx, cancel := context.WithCancel(f.ctx)
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		use := func(n int, during time.Duration) int64 {
			before := loads.Load()
			for range during / (10 * time.Millisecond) {
				c.Activity(id(n), time.Now())
				time.Sleep(10 * time.Millisecond)
			}
			return loads.Load() - before
		}
		if n := use(1, time.Minute); n > 5 {
			t.Errorf("a deadline at its cap: %d flushes in a minute", n)
		}
		if n := use(2, time.Minute); n < 10 || n > 70 {
			t.Errorf("a bump of ten seconds: %d flushes in a minute", n)
		}
		if d := f.load(2).Build.Deadline; d.Before(time.Now()) {
			t.Errorf("a workspace in use has the deadline %v, now is %v", d, time.Now())
		}
		failing.Store(true)
		if n := use(3, time.Minute); n > 5 {
			t.Errorf("a store that fails: %d flushes in a minute", n)
		}
		cancel()
		<-done
	})
}
