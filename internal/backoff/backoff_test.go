package backoff_test

import (
	"math"
	"math/bits"
	"testing"
	"testing/quick"
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
)

func TestDoubled(t *testing.T) {
	for _, c := range []struct {
		first time.Duration
		n     int
		limit time.Duration
		want  time.Duration
	}{
		{time.Minute, -1, time.Hour, time.Minute},
		{time.Minute, 0, time.Hour, time.Minute},
		{time.Minute, 1, time.Hour, 2 * time.Minute},
		{time.Minute, 5, time.Hour, 32 * time.Minute},
		{time.Minute, 6, time.Hour, time.Hour},
		{time.Minute, math.MaxInt, time.Hour, time.Hour},
		{2 * time.Hour, 0, time.Hour, time.Hour},
		{1, 39, math.MaxInt64, 1 << 39},
		{0, 10, time.Hour, 0},
	} {
		if got := backoff.Doubled(c.first, c.n, c.limit); got != c.want {
			t.Errorf("Doubled(%v, %d, %v) is %v, want %v", c.first, c.n, c.limit, got, c.want)
		}
	}
}

// Pauses never shrink from one attempt to the next, never pass the limit, and never overflow.
func TestDoubledProperties(t *testing.T) {
	if err := quick.Check(func(first, limit uint32, n uint8) bool {
		f, l := time.Duration(first)*time.Microsecond, time.Duration(limit)*time.Second
		a, b := backoff.Doubled(f, int(n), l), backoff.Doubled(f, int(n)+1, l)
		return a >= 0 && a <= b && b <= l
	}, nil); err != nil {
		t.Error(err)
	}
}

// The spread is a fixed part of a quarter of the pause.
func TestSpreadProperties(t *testing.T) {
	if err := quick.Check(func(pause uint32, id [16]byte, n uint64) bool {
		p := time.Duration(pause)
		s := backoff.Spread(p, id, n)
		return s >= 0 && s <= p/4 && s == backoff.Spread(p, id, n)
	}, nil); err != nil {
		t.Error(err)
	}
}

// Neighbouring ids and numbers are spread over the whole quarter: each tenth of it gets its share.
func TestSpreadIsEven(t *testing.T) {
	const n, pause = 10_000, 40 * time.Second
	var byID, byNumber [10]int
	for i := range n {
		id := [16]byte{14: byte(i >> 8), 15: byte(i)}
		byID[min(9, backoff.Spread(pause, id, 0)/time.Second)]++
		byNumber[min(9, backoff.Spread(pause, [16]byte{}, uint64(i))/time.Second)]++
	}
	for i := range 10 {
		for _, got := range []int{byID[i], byNumber[i]} {
			if got < n/10*85/100 || got > n/10*115/100 {
				t.Errorf("tenth %d got %d of %d", i, got, n)
			}
		}
	}
}

// One changed bit of the id changes about half of the hash.
func TestHashMixes(t *testing.T) {
	var id [16]byte
	base, sum := backoff.Hash(id, 1), 0
	for bit := range 128 {
		other := id
		other[bit/8] ^= 1 << (bit % 8)
		sum += bits.OnesCount64(base ^ backoff.Hash(other, 1))
	}
	if mean := float64(sum) / 128; mean < 28 || mean > 36 {
		t.Errorf("on average %.1f of 64 bits change", mean)
	}
}
