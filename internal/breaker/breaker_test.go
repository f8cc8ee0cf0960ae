package breaker_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/internal/breaker"
)

func TestPausesDoubleAndOneSuccessEndsThem(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	b := breaker.Breaker{First: 50 * time.Millisecond, Max: time.Second}
	if w := b.Wait(now); w != 0 || b.Failures() != 0 {
		t.Errorf("fresh: wait %s, %d failures", w, b.Failures())
	}
	for i, want := range []time.Duration{50, 100, 200, 400, 800, 1000, 1000} {
		b.Note(errors.New("down"), now)
		if w := b.Wait(now); w != want*time.Millisecond || b.Failures() != i+1 {
			t.Errorf("failure %d: wait %s (%d counted), want %s", i+1, w, b.Failures(), want*time.Millisecond)
		}
	}
	if w := b.Wait(now.Add(900 * time.Millisecond)); w != 100*time.Millisecond {
		t.Errorf("later: wait %s, want what is left", w)
	}
	if w := b.Wait(now.Add(time.Minute)); w > 0 {
		t.Errorf("after the pause: wait %s", w)
	}
	b.Hold(now.Add(time.Minute))
	if w := b.Wait(now.Add(time.Minute)); w != time.Second || b.Failures() != 7 {
		t.Errorf("held: wait %s, %d failures", w, b.Failures())
	}
	b.Note(nil, now)
	b.Hold(now)
	if w := b.Wait(now); w != 0 || b.Failures() != 0 {
		t.Errorf("after a success: wait %s, %d failures", w, b.Failures())
	}
	b.Note(errors.New("down"), now)
	if w := b.Wait(now); w != 50*time.Millisecond {
		t.Errorf("the next failure: wait %s, want the first pause again", w)
	}
}
