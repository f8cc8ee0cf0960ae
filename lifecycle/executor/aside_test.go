package executor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

// sticky is a store of which one method hangs: until its context ends, or until it is released.
type sticky struct {
	*memory.Store
	method  string
	heeds   bool
	release chan struct{}

	mu    sync.Mutex
	at    []time.Time // of its calls
	works bool
}

func (s *sticky) hang(ctx context.Context, method string) error {
	if method != s.method {
		return nil
	}
	s.mu.Lock()
	s.at = append(s.at, time.Now())
	works := s.works
	s.mu.Unlock()
	if works {
		return nil
	}
	var done <-chan struct{}
	if s.heeds {
		done = ctx.Done()
	}
	select {
	case <-done:
		return ctx.Err()
	case <-s.release:
		return nil
	}
}

func (s *sticky) called() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.at)
}

func (s *sticky) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.works = true
}

func (s *sticky) Backlog(ctx context.Context, now time.Time) (lifecycle.Backlog, error) {
	if err := s.hang(ctx, "count what waits"); err != nil {
		return lifecycle.Backlog{}, err
	}
	return s.Store.Backlog(ctx, now)
}

func (s *sticky) ChangeTopics(ctx context.Context, add, remove lifecycle.Topics) error {
	if err := s.hang(ctx, "subscribe to topics"); err != nil {
		return err
	}
	return s.Store.ChangeTopics(ctx, add, remove)
}

func (s *sticky) KeepZones(ctx context.Context, now time.Time, zones []string, fingerprint func(string) int64) ([]string, error) {
	if err := s.hang(ctx, "compare time zones"); err != nil {
		return nil, err
	}
	return s.Store.KeepZones(ctx, now, zones, fingerprint)
}

func (s *sticky) Load(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error) {
	if err := s.hang(ctx, "look for locked rows"); err != nil {
		return nil, err
	}
	return s.Store.Load(ctx, ids...)
}

// Commit reports a conflict, so that the tick looks why.
func (s *sticky) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	if s.method == "look for locked rows" {
		return slices.Repeat([]lifecycle.Outcome{lifecycle.Conflict}, len(changes)), nil
	}
	return s.Store.Commit(ctx, now, changes)
}

// What a tick can go on without costs it a moment when it hangs, and less and less often; when it has come back all is as before.
func TestWhatATickCanGoOnWithout(t *testing.T) {
	for _, method := range []string{"count what waits", "subscribe to topics", "compare time zones", "look for locked rows"} {
		for _, heeds := range []bool{true, false} {
			bubble(t, func(f *fleet, start time.Time) {
				f.addDue(1, start)
				store := &sticky{Store: f.store, method: method, heeds: heeds, release: make(chan struct{})}
				log := &logs{}
				e := f.executor(executor.Config{
					Clock: quartz.NewReal(), Logger: log.logger(), Registerer: prometheus.NewRegistry(), Auditor: (&inbox{}).receive,
				}, store)
				defer e.Close()
				var waited time.Duration
				for n := range 30 {
					time.Sleep(time.Until(start.Add(time.Duration(n) * time.Minute)))
					s := e.Tick(f.ctx, time.Now())
					if waited += s.Elapsed; s.Err != nil {
						t.Errorf("%s: the tick fails: %v", method, s.Err)
					}
					if method == "count what waits" {
						waited = time.Since(start) - time.Duration(n)*time.Minute
					}
				}
				calls := len(store.called())
				// After 15 seconds, 30, one minute, and so on up to ten minutes; not at all while the first has not returned.
				if want := map[bool]int{true: 9, false: 1}[heeds]; calls > want || calls == 0 {
					t.Errorf("%s, heeds its context %t: asked %d times in half an hour, want at most %d", method, heeds, calls, want)
				}
				if waited > time.Duration(calls)*5*time.Second {
					t.Errorf("%s, heeds its context %t: the ticks waited %v for %d calls", method, heeds, waited, calls)
				}
				if n := log.count("level=WARN", method); n != calls {
					t.Errorf("%s: %d lines of the log for %d calls", method, n, calls)
				}
				store.work()
				close(store.release)
				synctest.Wait()
				for n := range 4 {
					time.Sleep(10*time.Minute + time.Second)
					e.Tick(f.ctx, time.Now())
					if more := len(store.called()) - calls; more == 0 {
						t.Errorf("%s: not asked %d ticks after it has come back", method, n+1)
					}
				}
			})
		}
	}
}

// The pauses grow with each call that takes too long, and begin anew with one that does not.
func TestPausesOfWhatHangs(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		store := &sticky{Store: f.store, method: "count what waits", heeds: true}
		e := f.executor(executor.Config{Clock: quartz.NewReal(), Registerer: prometheus.NewRegistry()}, store)
		defer e.Close()
		tick := func(until time.Duration) (gaps []time.Duration) {
			before := len(store.called())
			for time.Since(start) < until {
				e.Tick(f.ctx, time.Now())
				time.Sleep(time.Second)
			}
			at := store.called()[before:]
			for i := 1; i < len(at); i++ {
				gaps = append(gaps, at[i].Sub(at[i-1]).Round(5*time.Second))
			}
			return gaps
		}
		second := time.Second
		want := []time.Duration{15 * second, 30 * second, 60 * second, 120 * second, 240 * second, 480 * second, 600 * second, 600 * second}
		if got := tick(37 * time.Minute); !slices.Equal(got, want) {
			t.Errorf("pauses of %v, want %v", got, want)
		}
		store.work()
		tick(48 * time.Minute)
		store.works = false
		if got := tick(52 * time.Minute); len(got) < 2 || got[0] != 15*second || got[1] != 30*second {
			t.Errorf("pauses of %v after one that was answered", got)
		}
	})
}

// A verb waits no longer for what it can go on without either.
func TestUpdateWhoseZonesHang(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.add(numbered(1, stopped()))
		store := &sticky{Store: f.store, method: "compare time zones", heeds: true}
		e := f.executor(executor.Config{Clock: quartz.NewReal()}, store)
		for _, zone := range []string{"Europe/Berlin", "Asia/Tokyo", "America/Lima"} {
			cron, err := schedule.Weekly("CRON_TZ=" + zone + " 0 9 * * 1-5")
			f.must(err)
			_, err = e.Update(f.ctx, id(1), lifecycle.SetAutostart(cron))
			f.must(err)
		}
		if took := time.Since(start); took > 3*time.Second || len(store.called()) != 1 {
			t.Errorf("three updates took %v, with %d calls", took, len(store.called()))
		}
	})
}

// A store of which so many calls hang is not called any more until some return: each holds a goroutine.
func TestManyCallsThatHang(t *testing.T) {
	bubble(t, func(f *fleet, _ time.Time) {
		store := &sticky{Store: f.store, method: "look for locked rows", release: make(chan struct{})}
		c, err := executor.NewClient(store, executor.ClientConfig{Logger: quiet, StoreTimeout: time.Second})
		f.must(err)
		for range 103 {
			if _, err = c.Load(f.ctx, id(1)); !errors.Is(err, lifecycle.ErrUnavailable) {
				t.Fatalf("error %v", err)
			}
		}
		if n := len(store.called()); n != 100 || !strings.Contains(err.Error(), `store: load: not called: 100 calls of "store: load" have not returned`) {
			t.Errorf("called %d times; at last: %v", n, err)
		}
		close(store.release)
		synctest.Wait()
		if _, err = c.Load(f.ctx, id(1)); !errors.Is(err, lifecycle.ErrNotFound) {
			t.Errorf("when they have returned: %v", err)
		}
	})
}
