package replay

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/dormouse-go/dormouse/rendercache/internal/rules"
)

// Config is the cache to try a key log on. The zero value works.
type Config struct {
	// TTL is as in rendercache.Config. Defaults to 1 hour.
	TTL time.Duration
	// MaxAge is as in rendercache.Config. Defaults to 0: no end.
	MaxAge time.Duration
	// Entries makes capacities numbers of entries instead of weights. Defaults to false.
	Entries bool
	// Seed makes the sampling repeatable. Defaults to 0, which is a seed like any other.
	Seed uint64
}

// Point is what a capacity would have brought.
type Point struct {
	// Capacity is the limit that was tried, in the unit of the log's weights, or in entries.
	Capacity int64
	// Requests and Hits are the replayed requests and those that would have been hits.
	Requests, Hits int
	// Evicted is how many entries would have made room for others.
	Evicted int
	// Peak is the largest weight, or number of entries, held at once.
	Peak int64
}

// HitRatio returns the share of hits, 0 without requests.
func (p Point) HitRatio() float64 {
	if p.Requests == 0 {
		return 0
	}
	return float64(p.Hits) / float64(p.Requests)
}

// Replay runs a key log through the cache's own life and eviction rules, once for every capacity, as if each request
// that misses rendered at once. The curve shows what a larger MaxWeight (or MaxEntries) would buy. A key whose weight
// is not in the log weighs what the others weigh on the mean. O(records) per capacity, times the sample size where it
// evicts.
func Replay(records []Record, cfg Config, capacities ...int64) []Point {
	if cfg.TTL <= 0 {
		cfg.TTL = rules.DefaultTTL
	}
	weights := weightsOf(records, cfg.Entries)
	points := make([]Point, 0, len(capacities))
	for _, capacity := range capacities {
		r := &run{
			life:    rules.NewLife(cfg.TTL, cfg.MaxAge),
			random:  rand.New(rand.NewPCG(cfg.Seed, uint64(capacity))),
			entries: make(map[uint64]*replayed),
			point:   Point{Capacity: capacity},
		}
		for _, rec := range records {
			if rec.Weight == 0 {
				r.request(rec.ID, int64(rec.At), weights.of(rec.ID))
			}
		}
		points = append(points, r.point)
	}
	return points
}

// Capacities returns n capacities for [Replay], in equal ratios up to what would hold all keys of the log at once
// and from a thousandth of that.
func Capacities(records []Record, cfg Config, n int) []int64 {
	weights := weightsOf(records, cfg.Entries)
	all, seen := 0.0, make(map[uint64]bool)
	for _, rec := range records {
		if !seen[rec.ID] {
			seen[rec.ID] = true
			all += float64(weights.of(rec.ID))
		}
	}
	var capacities []int64
	for i := range n {
		share := math.Pow(1000, float64(i+1)/float64(n)-1)
		capacity := max(1, int64(math.Ceil(all*share)))
		if len(capacities) == 0 || capacity > capacities[len(capacities)-1] {
			capacities = append(capacities, capacity)
		}
	}
	return capacities
}

// logWeights are the last known weights of keys, and the mean for the others.
type logWeights struct {
	byID map[uint64]int64
	mean int64
}

func weightsOf(records []Record, entries bool) logWeights {
	w := logWeights{byID: make(map[uint64]int64), mean: 1}
	if entries {
		return w
	}
	for _, rec := range records {
		if rec.Weight > 0 {
			w.byID[rec.ID] = rec.Weight
		}
	}
	if len(w.byID) == 0 {
		return w
	}
	sum := 0.0
	for _, weight := range w.byID {
		sum += float64(weight)
	}
	w.mean = max(1, int64(sum/float64(len(w.byID))))
	return w
}

func (w logWeights) of(id uint64) int64 {
	if weight, ok := w.byID[id]; ok {
		return weight
	}
	return w.mean
}

// replayed is an entry of the replay.
type replayed struct {
	id         uint64
	used, born int64
	hits       uint64
	weight     int64
	slot       int
}

// run is the cache without values, locks and clean-up. What expired stays until it is sampled or asked for, which
// is what a clean-up now and then comes to.
type run struct {
	life      rules.Life
	random    *rand.Rand
	entries   map[uint64]*replayed
	residents []*replayed
	held      int64
	point     Point
}

func (r *run) request(id uint64, now, weight int64) {
	r.point.Requests++
	e := r.entries[id]
	if e != nil && !r.life.Over(e.used, e.born, now) {
		r.point.Hits++
		e.used, e.hits = now, min(e.hits+1, rules.MaxHits)
		return
	}
	if e != nil {
		r.remove(e)
	}
	if weight > r.point.Capacity {
		return
	}
	e = &replayed{id: id, used: now, born: now, weight: weight, slot: len(r.residents)}
	r.entries[id] = e
	r.residents = append(r.residents, e)
	r.held += weight
	for r.held > r.point.Capacity {
		r.point.Evicted++
		r.remove(r.victim(now, e))
	}
	r.point.Peak = max(r.point.Peak, r.held)
}

// victim chooses as the cache does. There is always another entry than the one to spare: that one fits alone.
func (r *run) victim(now int64, spare *replayed) *replayed {
	var best *replayed
	var most float64
	n := min(len(r.residents), rules.SampleSize)
	for best == nil {
		for i := range n {
			if n < len(r.residents) {
				i = r.random.IntN(len(r.residents))
			}
			e := r.residents[i]
			switch w := rules.Rank(now-e.used, e.hits); {
			case e == spare:
			case r.life.Over(e.used, e.born, now):
				return e
			case best == nil || w > most:
				best, most = e, w
			}
		}
	}
	return best
}

func (r *run) remove(e *replayed) {
	last := len(r.residents) - 1
	r.residents[e.slot] = r.residents[last]
	r.residents[e.slot].slot = e.slot
	r.residents = r.residents[:last]
	delete(r.entries, e.id)
	r.held -= e.weight
}
