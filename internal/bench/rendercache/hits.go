package rendercache

import (
	"context"
	"fmt"
	"testing"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/rendercache"
)

// sizes of the caches, and what a hit may cost there against otter with a life since the last access.
var sizes = []struct {
	name  string
	n     int
	reach float64
}{{"1k", 1_000, 0.72}, {"10k", 10_000, 0.80}, {"100k", 100_000, 0.78}}

func runHits(ctx context.Context, r *figure.Recorder) error {
	rounds, hits := 9, 400_000
	if r.Full {
		rounds, hits = 41, 1_000_000
	}
	for _, size := range sizes {
		r.Step("hits in a cache of %s", size.name)
		keys := keysOf(size.n)
		ns, err := hitTimes(ctx, keys, zipf(size.n, 1<<20), rounds, hits)
		if err != nil {
			return err
		}
		note := fmt.Sprintf("%s keys, zipf 1.01, %d goroutines, CPU; ours %.0f ns, ", size.name, workers, meter.Median(ns["ours"]))
		against := func(peer string) (float64, string) {
			return compare(ns["ours"], ns[peer]), note + fmt.Sprintf("%s %.0f ns", peer, meter.Median(ns[peer]))
		}
		name := "rendercache/hit/" + size.name + "/"
		for _, gate := range []struct {
			peer  string
			reach float64
		}{{"limit", 1.4}, {"otter", size.reach}, {"ristretto", 0.8}, {"golang-lru", 1}} {
			ratio, note := against(gate.peer)
			if gate.peer == "golang-lru" && size.n == 1_000 { // not among the targets
				r.Plain(name+gate.peer, ratio, "x", note)
				continue
			}
			r.AtMost(gate.reach, name+gate.peer, ratio, "x", note)
		}
		ratio, note := against("phuslu")
		r.Plain(name+"phuslu", ratio, "x", note+" with a clock of 1 s: a yardstick, not a gate")
	}
	return nil
}

// hitTimes returns the CPU time of a hit of each peer in each round, all in turns.
func hitTimes(ctx context.Context, keys []rendercache.Key, order []uint32, rounds, hits int) (map[string][]float64, error) {
	ns := map[string][]float64{}
	var peers []peer
	for _, m := range makers {
		p, err := m.make(keys)
		if err != nil {
			return nil, fmt.Errorf("make %s: %w", m.name, err)
		}
		defer p.close()
		p.name = m.name
		peers = append(peers, p)
	}
	for round := range rounds + 1 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for i := range peers {
			p := peers[(i+round)%len(peers)]
			t := shared(hits, func(w int) {
				at := (w*len(order)/workers + round*7919) % len(order)
				for range hits / workers {
					if !p.get(order[at]) {
						panic(p.name + " has lost a key")
					}
					if at++; at == len(order) {
						at = 0
					}
				}
			})
			if round > 0 { // the first warms up
				ns[p.name] = append(ns[p.name], t)
			}
		}
	}
	return ns, nil
}

func runAllocations(ctx context.Context, r *figure.Recorder) error {
	c, err := rendercache.New(rendercache.Config[rendercache.Key, *result]{})
	if err != nil {
		return err
	}
	defer c.Close()
	params := parameters(10)
	id := keysOf(1)[0]
	key := rendercache.KeyOf(id.Version, id.Owner, params)
	c.Put(key, &result{})
	render := func(context.Context) (*result, error) { return &result{}, nil }
	r.AtMost(0, "rendercache/allocations/hit", testing.AllocsPerRun(1000, func() { _, _ = c.Render(ctx, key, render) }), "", "Render, ready key")
	r.AtMost(0, "rendercache/allocations/key", testing.AllocsPerRun(1000, func() {
		_, _ = c.Render(ctx, rendercache.KeyOf(id.Version, id.Owner, params), render)
	}), "", "KeyOf with 10 parameters and Render")
	return nil
}
