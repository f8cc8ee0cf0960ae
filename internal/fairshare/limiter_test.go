package fairshare_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/internal/fairshare"
)

// Calls of one who is beyond its share wait for their turn; one whose context ends leaves the line, and those behind it go on.
func TestLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := fairshare.New[string](quartz.NewReal(), .5)
		l.Seen("other")
		first, err := l.Enter(t.Context(), "greedy")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		first.Leave()
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := l.Enter(ctx, "greedy"); !errors.Is(err, context.Canceled) {
				t.Errorf("who left the line: %v", err)
			}
		})
		synctest.Wait()
		group.Go(func() {
			u, err := l.Enter(t.Context(), "greedy")
			if err != nil || u.Delayed < 50*time.Millisecond || u.Delayed > 301*time.Millisecond {
				t.Errorf("waited %s, %v", u.Delayed, err)
			}
			u.Leave()
		})
		synctest.Wait()
		if u, err := l.Enter(t.Context(), "other"); err != nil || u.Delayed > 0 {
			t.Errorf("another waited %s, %v", u.Delayed, err)
		} else {
			u.Leave()
		}
		cancel()
		group.Wait()
	})
}

// Who is alone does not wait, and nor does anybody at a limiter that is nil.
func TestLoneUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, l := range []*fairshare.Limiter[string]{nil, fairshare.New[string](quartz.NewReal(), .1)} {
			l.Seen("lone")
			l.Spend("lone", time.Hour)
			for range 20 {
				u, err := l.Enter(t.Context(), "lone")
				if err != nil || u.Delayed > 0 {
					t.Fatalf("waited %s, %v", u.Delayed, err)
				}
				time.Sleep(time.Second / 2)
				u.Leave()
			}
			if d := l.Pause("lone"); d > 0 {
				t.Errorf("pauses %s", d)
			}
		}
	})
}

// What waited is counted for whom it waited, until that one has been within its share for long enough to have all of it again.
func TestDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := fairshare.New[string](quartz.NewReal(), .5)
		enter := func(key string, use time.Duration) {
			u, err := l.Enter(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(use)
			u.Leave()
		}
		enter("modest", 0)
		enter("greedy", 250*time.Millisecond)
		for range 3 {
			enter("modest", time.Millisecond)
			enter("greedy", 250*time.Millisecond)
		}
		l.Delay("greedy")
		if got := l.Delayed(); len(got) != 1 || got["greedy"] != 4 {
			t.Errorf("delayed %v, want 4 of the greedy one", got)
		}
		for range 6 {
			time.Sleep(time.Second / 6)
			l.Seen("modest")
		}
		if got := l.Delayed(); len(got) != 0 {
			t.Errorf("delayed %v after a second without calls", got)
		}
	})
	var none *fairshare.Limiter[string]
	none.Delay("x")
	if got := none.Delayed(); got != nil {
		t.Errorf("delayed %v without a limiter", got)
	}
}

// Who only spends, and is never held back, is there all the same: nobody beside it is alone.
func TestWhoOnlySpendsIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := fairshare.New[string](quartz.NewReal(), .5)
		for range 30 {
			l.Seen("modest")
			l.Spend("reports", 100*time.Millisecond)
			time.Sleep(100 * time.Millisecond)
		}
		if d := l.Pause("reports"); d < 100*time.Millisecond {
			t.Errorf("who spends all of the time pauses for %s", d)
		}
		if d := l.Pause("modest"); d > 0 {
			t.Errorf("who spends nothing pauses for %s", d)
		}
	})
}

// Who ends a long call is there again for whoever was alone meanwhile.
func TestWhoEndsALongCallIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := fairshare.New[string](quartz.NewReal(), .5)
		l.Seen("busy")
		long, err := l.Enter(t.Context(), "slow")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		l.Seen("busy")
		l.Spend("busy", time.Second)
		if d := l.Pause("busy"); d > 0 {
			t.Errorf("who is alone pauses for %s", d)
		}
		long.Leave()
		l.Spend("busy", time.Second)
		if d := l.Pause("busy"); d == 0 {
			t.Error("beside one who has just ended a call, who spends all of the time does not pause")
		}
	})
}

// While calls wait in line, their user is held to its share, and so is who goes on beside it: neither is taken for alone because the
// other one has made no new call for a while.
func TestNobodyIsAloneBesideALine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := fairshare.New[string](quartz.NewReal(), .1)
		l.Seen("other")
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		var mu sync.Mutex
		under, most := 0, 0
		for range 8 {
			group.Go(func() {
				u, err := l.Enter(ctx, "line")
				if err != nil {
					return
				}
				mu.Lock()
				under++
				most = max(most, under)
				mu.Unlock()
				time.Sleep(10 * time.Second)
				mu.Lock()
				under--
				mu.Unlock()
				u.Leave()
			})
		}
		for range 40 {
			time.Sleep(100 * time.Millisecond)
			u, err := l.Enter(t.Context(), "other")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
			u.Leave()
		}
		mu.Lock()
		if most > 2 {
			t.Errorf("%d calls of a line are under way at once", most)
		}
		mu.Unlock()
		cancel()
		group.Wait()
	})
}
