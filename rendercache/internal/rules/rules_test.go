package rules_test

import (
	"testing"
	"testing/quick"
	"time"

	"github.com/dormouse-go/dormouse/rendercache/internal/rules"
)

// An age equal to a limit has not outlived it, and either limit ends the life.
func TestOver(t *testing.T) {
	const minute = int64(time.Minute)
	for _, c := range []struct {
		life            rules.Life
		used, born, now int64
		over            bool
	}{
		{rules.NewLife(time.Minute, 0), 0, 0, minute, false},
		{rules.NewLife(time.Minute, 0), 0, 0, minute + 1, true},
		{rules.NewLife(time.Minute, 0), 9 * minute, 0, 10 * minute, false},
		{rules.NewLife(time.Minute, 10*time.Minute), 9 * minute, 0, 10 * minute, false},
		{rules.NewLife(time.Minute, 10*time.Minute), 10 * minute, 0, 10*minute + 1, true},
	} {
		if got := c.life.Over(c.used, c.born, c.now); got != c.over {
			t.Errorf("%+v used %d born %d now %d: %t", c.life, c.used, c.born, c.now, got)
		}
	}
}

func TestGrain(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		4096 * time.Millisecond: time.Millisecond,
		time.Hour:               100 * time.Millisecond, // at most, however long the life
	} {
		if got := rules.NewLife(ttl, 0).Grain; got != int64(want) {
			t.Errorf("grain of %v is %d, want %d", ttl, got, want)
		}
	}
}

// The longer idle, the sooner an entry goes; the more hits, the later.
func TestRank(t *testing.T) {
	if err := quick.Check(func(a, b uint32, hits uint8) bool {
		idle, longer, n := int64(min(a, b)), int64(max(a, b)), uint64(hits%rules.MaxHits)
		return rules.Rank(idle, n) <= rules.Rank(longer, n) && rules.Rank(idle, n+1) <= rules.Rank(idle, n)
	}, nil); err != nil {
		t.Error(err)
	}
}
