package executor_test

import (
	"context"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// half is one of two shards.
var half = lifecycle.Shard{Index: 0, Count: 2}

// memberOf returns the number of a workspace that half holds, or does not.
func memberOf(held bool) int {
	n := 1
	for half.Holds(id(n)) != held {
		n++
	}
	return n
}

// halfBlind is a store of which only the next wake of one's own shard can be read.
type halfBlind struct {
	*memory.Store
	asked func()
}

func (s *halfBlind) NextWake(ctx context.Context, shard lifecycle.Shard) (time.Time, error) {
	if shard.Count < 2 {
		s.asked()
		return time.Now(), lifecycle.ErrUnavailable
	}
	return s.Store.NextWake(ctx, shard)
}

// A precise Run meets what is due in its own shard, and what nobody did in another one an interval later, though it sleeps no
// longer than an interval.
func TestRunPreciselyWithShards(t *testing.T) {
	for held, wait := range map[bool]time.Duration{true: 0, false: 20 * time.Second} {
		bubble(t, func(f *fleet, start time.Time) {
			n, end := memberOf(held), start.Add(5*time.Second)
			f.addDue(n, end)
			_, stop := f.run(executor.Config{Precise: true, Interval: 20 * time.Second, Shard: func() lifecycle.Shard { return half }}, nil)
			if late := f.stoppedAt(n, time.Minute).Sub(end.Add(wait)); late < 0 || late > 50*time.Millisecond {
				t.Errorf("in its shard %t: stopped %v after it could be", held, late)
			}
			f.must(stop())
		})
	}
}

// A precise Run that cannot find out when it is due next ticks by its interval, and says so.
func TestRunPreciselyWithoutTheNextWake(t *testing.T) {
	bubble(t, func(f *fleet, start time.Time) {
		f.addDue(memberOf(true), start.Add(90*time.Second))
		asked := &counter{}
		store := &halfBlind{Store: f.store, asked: func() { asked.add("all") }}
		stats := make(chan executor.Stats, 100)
		log := &logs{}
		_, stop := f.run(executor.Config{
			Precise: true, Interval: 20 * time.Second, StatsC: stats, Logger: log.logger(), Shard: func() lifecycle.Shard { return half },
		}, store)
		time.Sleep(65 * time.Second)
		f.must(stop())
		close(stats)
		n := 0
		for s := range stats {
			if !s.At.Equal(start.Add(time.Duration(n) * 20 * time.Second)) {
				t.Errorf("tick %d at %v", n, s.At.Sub(start))
			}
			n++
		}
		if n != 4 || asked.get("all") != 4 || log.count("next wake") != 4 {
			t.Errorf("%d ticks in 65 seconds, %d looks at all shards, %d lines of log", n, asked.get("all"), log.count("next wake"))
		}
	})
}
