package forecast

import (
	"cmp"
	"slices"
	"time"
)

// PoolSizes is how many ready workspaces wait in each hour of the week, from Monday 00:00 UTC on.
type PoolSizes [7 * 24]int

// evenPool holds the same number at every hour.
func evenPool(n int) (p PoolSizes) {
	for i := range p {
		p[i] = n
	}
	return p
}

// hourOfWeek counts from Monday 00:00 in the zone of an instant.
func hourOfWeek(t time.Time) int { return (int(t.Weekday())+6)%7*24 + t.Hour() }

// claim is somebody who would wait for a start by hand, how long, and whether it is the first time they come.
type claim struct {
	at     time.Time
	waited time.Duration
	first  bool
}

func (c claim) compare(o claim) int {
	return cmp.Or(c.at.Compare(o.at), cmp.Compare(c.waited, o.waited))
}

// pool is a warm pool as time passes: a claim takes a ready workspace, and another one is made in its place, which takes
// as long as the start that was spared.
type pool struct {
	sizes *PoolSizes
	now   time.Time
	ready int
	// making are the instants at which workspaces become ready, in order.
	making []time.Time
	idle   time.Duration
	// took is how long the latest spared start would have taken.
	took time.Duration
}

func newPool(sizes *PoolSizes, from time.Time) *pool {
	return &pool{sizes: sizes, now: from, ready: sizes[hourOfWeek(from.UTC())], took: time.Minute}
}

// advance lets time pass: what was made becomes ready, and each full hour brings its size.
func (p *pool) advance(until time.Time) {
	for {
		at := p.now.Truncate(time.Hour).Add(time.Hour)
		full := true
		if len(p.making) > 0 && !p.making[0].After(at) {
			at, full = p.making[0], false
		}
		if at.After(until) {
			break
		}
		p.pass(at)
		if full {
			p.fit()
		} else {
			p.making = p.making[1:]
			p.ready++
		}
	}
	p.pass(until)
}

func (p *pool) pass(at time.Time) {
	p.idle += time.Duration(p.ready) * at.Sub(p.now)
	p.now = at
}

// fit makes or drops workspaces until there are as many as the hour wants.
func (p *pool) fit() {
	want := p.sizes[hourOfWeek(p.now.UTC())]
	for p.ready+len(p.making) < want {
		p.make(p.took)
	}
	p.making = p.making[:min(len(p.making), want)]
	p.ready = min(p.ready, want-len(p.making))
}

func (p *pool) make(takes time.Duration) {
	at := p.now.Add(takes)
	i, _ := slices.BinarySearchFunc(p.making, at, time.Time.Compare)
	p.making = slices.Insert(p.making, i, at)
}

// claim reports whether a ready workspace could be had.
func (p *pool) claim(c claim) bool {
	p.advance(c.at)
	if c.waited > 0 {
		p.took = c.waited
	}
	if p.ready == 0 {
		return false
	}
	p.ready--
	p.fit()
	return true
}
