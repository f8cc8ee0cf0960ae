package rendercache

import (
	"context"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/coder/quartz"
	hashilru "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/rendercache"
)

// tracesVariable names the folder with recorded traces; without it only the made ones are replayed.
const tracesVariable = "RENDERCACHE_TRACES"

// shares of the distinct keys that the caches have room for; fewer than smallest entries are no cache.
var shares = []float64{0.005, 0.02, 0.10, 0.30}

const smallest = 20

// runRatios replays traces at several capacities and compares hit ratios with exact LRU.
func runRatios(ctx context.Context, r *figure.Recorder) error {
	traces := madeTraces(100_000)
	if err := compareRatios(ctx, r, "made", traces); err != nil {
		return err
	}
	dir := os.Getenv(tracesVariable)
	if dir == "" {
		return nil
	}
	limit := 200_000
	if r.Full {
		limit = 1_000_000
	}
	recorded, err := readTraces(dir, limit)
	if err != nil {
		return err
	}
	return compareRatios(ctx, r, "recorded", recorded)
}

func compareRatios(ctx context.Context, r *figure.Recorder, name string, traces []trace) error {
	var ours, peer, base, worst, best float64
	worst, best = math.Inf(1), math.Inf(-1)
	points := 0
	for _, t := range traces {
		gain, of := 0.0, 0
		for _, share := range shares {
			capacity := int(share * float64(t.distinct()))
			if capacity < smallest {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			lru, err := ratioLRU(t, capacity)
			if err != nil {
				return err
			}
			got, err := ratioOurs(ctx, t, capacity)
			if err != nil {
				return err
			}
			r.Step("%s, %d of %d keys: LRU %.1f %%, ours %.1f %%", t.name, capacity, t.distinct(), 100*lru, 100*got)
			points++
			gain, of = gain+got-lru, of+1
			ours, base, peer = ours+got, base+lru, peer+ratioOtter(t, capacity)
			worst, best = min(worst, got-lru), max(best, got-lru)
		}
		if of > 0 {
			r.Plain("rendercache/ratio/"+name+"/"+t.name, 100*gain/float64(of), "points", fmt.Sprintf("mean gain over exact LRU, %d capacities", of))
		}
	}
	n := float64(points)
	note := fmt.Sprintf("%d points of %d %s traces; mean hit ratio: ours %.1f %%, LRU %.1f %%, otter %.1f %%; best point %+.1f",
		points, len(traces), name, 100*ours/n, 100*base/n, 100*peer/n, 100*best)
	prefix := "rendercache/ratio/" + name + "/"
	if name == "recorded" {
		r.AtLeast(-0.5, prefix+"worst", 100*worst, "points", note)
		r.AtLeast(1.5, prefix+"mean", 100*(ours-base)/n, "points", note)
	} else { // made by a model of ours: it shows that nothing breaks, not how good it is
		r.Plain(prefix+"worst", 100*worst, "points", note)
		r.Plain(prefix+"mean", 100*(ours-base)/n, "points", note)
	}
	return nil
}

// stepClock moves a second with every request, so that idle times are numbers of requests.
type stepClock struct {
	quartz.Clock
	now time.Duration
}

func (c *stepClock) Since(time.Time, ...string) time.Duration { return c.now }

func ratioOurs(ctx context.Context, t trace, capacity int) (float64, error) {
	clock := &stepClock{Clock: quartz.NewReal()}
	c, err := rendercache.New(rendercache.Config[uint32, struct{}]{Clock: clock, MaxEntries: capacity, TTL: invalid.MaxDuration, CleanupInterval: 24 * time.Hour})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	hits := 0
	for _, k := range t.keys {
		clock.now += time.Second
		if _, ok := c.Get(k); ok {
			hits++
		} else {
			c.Put(k, struct{}{})
		}
	}
	return float64(hits) / float64(len(t.keys)), ctx.Err()
}

func ratioLRU(t trace, capacity int) (float64, error) {
	c, err := hashilru.New[uint32, struct{}](capacity)
	if err != nil {
		return 0, err
	}
	hits := 0
	for _, k := range t.keys {
		if _, ok := c.Get(k); ok {
			hits++
		} else {
			c.Add(k, struct{}{})
		}
	}
	return float64(hits) / float64(len(t.keys)), nil
}

func ratioOtter(t trace, capacity int) float64 {
	c := otter.Must(&otter.Options[uint32, struct{}]{MaximumSize: capacity, Executor: func(f func()) { f() }})
	defer c.StopAllGoroutines()
	hits := 0
	for _, k := range t.keys {
		if _, ok := c.GetIfPresent(k); ok {
			hits++
		} else {
			c.Set(k, struct{}{})
		}
	}
	return float64(hits) / float64(len(t.keys))
}

// trace is a sequence of requests.
type trace struct {
	name string
	keys []uint32
}

func (t trace) distinct() int {
	seen := make(map[uint32]struct{})
	for _, k := range t.keys {
		seen[k] = struct{}{}
	}
	return len(seen)
}
