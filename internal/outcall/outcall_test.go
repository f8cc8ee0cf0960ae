package outcall_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/internal/outcall"
)

// What returns is returned, also after the context has ended, if it does so soon.
func TestReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := outcall.New(quartz.NewReal())
		failed := errors.New("failed")
		for _, takes := range []time.Duration{0, time.Second, time.Minute + outcall.Patience - 1} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			v, err := outcall.Do(ctx, calls, "ask", func(context.Context) (int, error) {
				time.Sleep(takes)
				return 7, failed
			}, func(int, error) { t.Error("it was not late") })
			cancel()
			if v != 7 || !errors.Is(err, failed) {
				t.Errorf("after %v: %d, %v", takes, v, err)
			}
		}
		if kinds, n := calls.All(); n != 0 {
			t.Errorf("left behind: %v", kinds)
		}
	})
}

// What does not is left behind, counted by kind until it returns, and not called any more when that are too many.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := outcall.New(quartz.NewReal())
		release := make(chan struct{})
		var late []int
		heard := make(chan int, outcall.MaxStuck+1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ask := func(kind string, v int) error {
			_, err := outcall.Do(ctx, calls, kind, func(context.Context) (int, error) {
				<-release
				return v, nil
			}, func(v int, _ error) { heard <- v })
			return err
		}
		begun := time.Now()
		for v := range outcall.MaxStuck {
			var stuck *outcall.Stuck
			if err := ask("ask", v); !errors.As(err, &stuck) || stuck.Before > 0 || stuck.Doing != "ask" || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("error %v", err)
			}
		}
		if took := time.Since(begun); took != outcall.MaxStuck*outcall.Patience {
			t.Errorf("given up after %v", took)
		}
		var stuck *outcall.Stuck
		if err := ask("ask", -1); !errors.As(err, &stuck) || stuck.Before != outcall.MaxStuck {
			t.Errorf("one more: %v", err)
		}
		_ = ask("other", -2)
		kinds, n := calls.All()
		if !slices.Equal(kinds, []string{"ask", "other"}) || n != outcall.MaxStuck+1 || calls.Stuck("ask") != outcall.MaxStuck {
			t.Errorf("left behind: %v, %d", kinds, n)
		}
		close(release)
		synctest.Wait()
		if _, n := calls.All(); n != 0 {
			t.Errorf("%d are counted though they have returned", n)
		}
		close(heard)
		for v := range heard {
			late = append(late, v)
		}
		if len(late) != outcall.MaxStuck+1 || slices.Contains(late, -1) {
			t.Errorf("late were %v", late)
		}
	})
}

// Of one part, and of one thing, fewer may hang than of a kind, so that others of the kind go on.
func TestBoundsOfPartAndOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := outcall.New(quartz.NewReal())
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var called atomic.Int64
		ask := func(part string, one int) string {
			name := outcall.Name{Kind: "ask", Part: part, One: "ask " + strconv.Itoa(one)}
			_, err := outcall.DoOn(ctx, calls, outcall.Apart, name, func(context.Context) (int, error) {
				called.Add(1)
				<-release
				return 0, nil
			}, nil)
			return err.Error()
		}
		for range outcall.MaxOfOne {
			ask("a", 1)
		}
		if got := ask("a", 1); got != `not called: 3 calls of "ask 1" have not returned` {
			t.Error(got)
		}
		for one := 2; called.Load() < outcall.MaxOfPart; one++ {
			ask("a", one)
		}
		if got := ask("a", 99); got != `not called: 25 calls of "a" have not returned` {
			t.Error(got)
		}
		ask("b", 1) // another's
		if called.Load() != outcall.MaxOfPart+1 || calls.Stuck("ask") != outcall.MaxOfPart+1 {
			t.Errorf("called %d times, %d hang", called.Load(), calls.Stuck("ask"))
		}
		for one := 1000; called.Load() < outcall.MaxStuck; one++ {
			ask("", one)
		}
		if got := ask("c", 1); got != `not called: 100 calls of "ask" have not returned` {
			t.Error(got)
		}
		if doing, n := calls.All(); n != outcall.MaxStuck || !slices.Contains(doing, "ask 1") || !slices.Contains(doing, "ask 1001") {
			t.Errorf("left behind: %v, %d", doing, n)
		}
		close(release)
		synctest.Wait()
		if got := calls.Stuck("ask"); got != 0 {
			t.Errorf("%d are counted though they have returned", got)
		}
	})
}

// A panic, and the end of a goroutine, are the caller's to see; when they come late they are nobody's.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := outcall.New(quartz.NewReal())
		boom := func(context.Context) (int, error) { panic("boom") }
		func() {
			defer func() {
				p, ok := recover().(*outcall.Panic)
				if !ok || p.Value != "boom" || !strings.Contains(p.Error(), "outcall_test.go") {
					t.Errorf("panicked with %v", p)
				}
			}()
			_, _ = outcall.Do(t.Context(), calls, "ask", boom, nil)
		}()
		if _, err := outcall.Do(t.Context(), calls, "ask", func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, nil); err == nil {
			t.Error("the end of its goroutine is no error")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := outcall.Do(ctx, calls, "ask", func(ctx context.Context) (int, error) {
			time.Sleep(time.Minute)
			return boom(ctx)
		}, func(int, error) { t.Error("a panic has no result") })
		if err == nil {
			t.Error("not given up")
		}
		time.Sleep(time.Hour)
	})
}
