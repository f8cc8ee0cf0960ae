package rendercache

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"
	"golang.org/x/sys/unix"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/rendercache"
)

// handClock is the real clock with an offset to jump by, and a hold of the cache's clean-up to run it at will.
type handClock struct {
	quartz.Clock
	offset  atomic.Int64
	cleanup func()
}

func (c *handClock) Since(t time.Time, tags ...string) time.Duration {
	return c.Clock.Since(t, tags...) + time.Duration(c.offset.Load())
}

func (c *handClock) AfterFunc(_ time.Duration, f func(), tags ...string) *quartz.Timer {
	c.cleanup = f
	return c.Clock.AfterFunc(24*time.Hour, func() {}, tags...)
}

func runCleanup(_ context.Context, r *figure.Recorder) error {
	n, rounds := 200_000, 3
	if r.Full {
		n = 1_000_000
	}
	r.Step("clean-up of %d entries", n)
	var holds, idle, all []float64
	for range rounds {
		hold, unused, used, err := cleanup(n)
		if err != nil {
			return err
		}
		holds, idle, all = append(holds, hold.Seconds()*1e3), append(idle, unused.Seconds()*1e3), append(all, used.Seconds()*1e3)
	}
	r.AtMost(1, "rendercache/cleanup/hold", meter.Median(holds), "ms",
		fmt.Sprintf("longest stretch of the clean-up between two calls of OnEvict, CPU of its thread, an upper bound of the write lock's hold; %d entries, all expired", n))
	r.Plain("rendercache/cleanup/idle", meter.Median(idle), "ms", fmt.Sprintf("CPU of a clean-up of %d entries, none expired", n))
	r.Plain("rendercache/cleanup/all", meter.Median(all), "ms", fmt.Sprintf("CPU of a clean-up of %d entries, all expired, OnEvict and its clock included", n))
	return nil
}

// cleanup fills a cache, cleans it up with nothing expired and with all, and watches the second through OnEvict.
func cleanup(n int) (hold, idle, all time.Duration, err error) {
	clock := &handClock{Clock: quartz.NewReal()}
	var last time.Duration
	c, err := rendercache.New(rendercache.Config[rendercache.Key, *result]{
		Clock: clock, MaxEntries: n,
		OnEvict: func(rendercache.Key, *result, rendercache.EvictCause) {
			now := threadCPU()
			hold, last = max(hold, now-last), now
		},
	})
	if err != nil {
		return 0, 0, 0, err
	}
	for _, k := range keysOf(n) {
		c.Put(k, &result{})
	}
	runtime.GC()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // so that its CPU time is this goroutine's
		defer runtime.UnlockOSThread()
		began := threadCPU()
		clock.cleanup()
		idle = threadCPU() - began
		clock.offset.Store(int64(2 * life))
		last = threadCPU()
		began = last
		clock.cleanup()
		all = threadCPU() - began
	}()
	<-done
	if left := c.Len(); left != 0 {
		return 0, 0, 0, fmt.Errorf("%d entries survived the clean-up", left)
	}
	c.Close()
	return hold, idle, all, nil
}

func threadCPU() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // the clock exists on every Linux
	}
	return time.Duration(t.Nano())
}
