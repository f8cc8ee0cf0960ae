package micros_test

import (
	"testing"
	"testing/quick"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

var (
	noon  = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	later = noon.Add(time.Second)
	none  time.Time
)

func TestOf(t *testing.T) {
	for _, c := range []struct{ in, want time.Time }{
		{none, none},
		{none.In(time.FixedZone("", 3600)), none},
		{noon, noon},
		{noon.Add(999), noon},
		{noon.Add(1001), noon.Add(micros.Tick)},
		{noon.In(time.FixedZone("CET", 3600)), noon},
	} {
		if got := micros.Of(c.in); got != c.want { // not Equal: the form counts, location and monotonic reading included
			t.Errorf("Of(%v) is %#v, want %#v", c.in, got, c.want)
		}
	}
	if now := time.Now(); micros.Of(now) != micros.Of(now.Round(0)) {
		t.Error("the monotonic reading is kept")
	}
}

// Bringing an instant to the stored form moves it back by less than a tick, and only once.
func TestOfProperties(t *testing.T) {
	if err := quick.Check(func(ns int64) bool {
		in := time.Unix(0, ns)
		out := micros.Of(in)
		lost := in.Sub(out)
		return lost >= 0 && lost < micros.Tick && micros.Of(out) == out
	}, nil); err != nil {
		t.Error(err)
	}
}

func TestLaterAndEarlier(t *testing.T) {
	for _, c := range []struct{ a, b, later, earlier time.Time }{
		{noon, later, later, noon},
		{noon, noon, noon, noon},
		{noon, none, noon, noon}, // zero is before all others to Later, and never to Earlier
		{none, none, none, none},
	} {
		for _, p := range [][2]time.Time{{c.a, c.b}, {c.b, c.a}} {
			if got := micros.Later(p[0], p[1]); got != c.later {
				t.Errorf("Later(%v, %v) is %v", p[0], p[1], got)
			}
			if got := micros.Earlier(p[0], p[1]); got != c.earlier {
				t.Errorf("Earlier(%v, %v) is %v", p[0], p[1], got)
			}
		}
	}
}
