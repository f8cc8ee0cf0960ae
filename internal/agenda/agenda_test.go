package agenda_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/internal/agenda"
)

// run starts an agenda in a bubble; the returned function ends it and waits.
func run(t *testing.T, a *agenda.Agenda) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); a.Run(ctx) }()
	return func() { cancel(); <-done }
}

func TestEntriesRunInOrderOfTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := agenda.New(quartz.NewReal())
		begun := time.Now()
		var got []int
		var at []time.Duration
		add := func(n int, d time.Duration) {
			a.After(d, func() { got, at = append(got, n), append(at, time.Since(begun)) })
		}
		add(3, 3*time.Second)
		add(1, 0)
		defer run(t, a)()
		synctest.Wait()
		add(2, time.Second) // before what the timer is set for
		add(4, 3*time.Second)
		add(5, 3*time.Second)
		add(6, 5*time.Hour) // beyond the timer's longest wait
		time.Sleep(6 * time.Hour)
		synctest.Wait()
		if want := []int{1, 2, 3, 4, 5, 6}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
		want := []time.Duration{0, time.Second, 3 * time.Second, 3 * time.Second, 3 * time.Second, 5 * time.Hour}
		if !slices.Equal(at, want) {
			t.Errorf("ran at %v, want %v", at, want)
		}
	})
}

func TestEntriesAddEntries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := agenda.New(quartz.NewReal())
		var n atomic.Int64
		var again func()
		again = func() {
			if n.Add(1) < 1000 {
				a.After(time.Millisecond, again)
			}
		}
		a.After(0, again)
		defer run(t, a)()
		time.Sleep(time.Second)
		synctest.Wait()
		if n.Load() != 1000 {
			t.Errorf("%d of a chain of 1000", n.Load())
		}
	})
}

func TestNothingRunsAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := agenda.New(quartz.NewReal())
		stop := run(t, a)
		ran := false
		a.After(time.Minute, func() { ran = true })
		stop()
		a.After(0, func() { ran = true })
		time.Sleep(time.Hour)
		if ran {
			t.Error("an entry ran after the end")
		}
	})
}

// shifted is a clock on which one tag is later than all others.
type shifted struct {
	quartz.Clock
	tag string
	by  time.Duration
}

func (s shifted) Now(tags ...string) time.Time {
	now := s.Clock.Now(tags...)
	if slices.Contains(tags, s.tag) {
		return now.Add(s.by)
	}
	return now
}

func TestTestsShiftEntriesByTag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := agenda.New(shifted{quartz.NewReal(), "slow", time.Hour})
		var slow, fast atomic.Bool
		a.After(time.Second, func() { slow.Store(true) }, "slow")
		a.After(time.Second, func() { fast.Store(true) }, "fast")
		defer run(t, a)()
		time.Sleep(time.Minute)
		synctest.Wait()
		if slow.Load() || !fast.Load() {
			t.Errorf("after a minute: slow %v, fast %v", slow.Load(), fast.Load())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !slow.Load() {
			t.Error("the shifted entry never ran")
		}
	})
}
