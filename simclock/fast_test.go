package simclock_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/simclock"
)

// Four hours pass in four minutes, and every timer fires in its turn.
func TestFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
		clock, err := simclock.Fast(t.Context(), start, 60)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var mu sync.Mutex
		var fired []time.Time
		for _, d := range []time.Duration{3 * time.Hour, time.Second, time.Minute, time.Hour} {
			clock.AfterFunc(d, func() {
				mu.Lock()
				defer mu.Unlock()
				fired = append(fired, clock.Now())
			})
		}
		timer := clock.NewTimer(time.Minute)
		<-timer.C
		timer.Reset(4 * time.Hour)
		<-timer.C
		if real := time.Since(began); real < 4*time.Minute || real > 5*time.Minute {
			t.Errorf("four hours took %v", real)
		}
		mu.Lock()
		defer mu.Unlock()
		for i, d := range []time.Duration{time.Second, time.Minute, time.Hour, 3 * time.Hour} {
			if late := fired[i].Sub(start.Add(d)); late < 0 || late > time.Second {
				t.Errorf("the timer of %v fired %v late", d, late)
			}
		}
	})
}

// Whoever makes timers all the time does not stop the clock.
func TestFastUnderWay(t *testing.T) {
	clock, err := simclock.Fast(t.Context(), time.Now(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	began := clock.Now()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for clock.Since(began) < 2*time.Minute {
				timer := clock.NewTimer(time.Second)
				<-timer.C
				timer.Stop()
			}
		})
	}
	all.Wait()
}

func TestFastRefuses(t *testing.T) {
	for _, speed := range []int{0, -1, 10_001} {
		if _, err := simclock.Fast(t.Context(), time.Now(), speed); !errors.Is(err, invalid.Err) {
			t.Errorf("%d: %v", speed, err)
		}
	}
}
