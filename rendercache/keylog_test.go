package rendercache_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/rendercache"
	"github.com/dormouse-go/dormouse/rendercache/replay"
)

// record uses a cache as a host would, with a key log, and returns what that holds.
func record(t *testing.T, cfg Config, use func(c *Cache)) []replay.Record {
	t.Helper()
	var file bytes.Buffer
	cfg.KeyLog = rendercache.NewKeyLog(&file)
	c := newCache(t, cfg)
	use(c)
	c.Close()
	if err := cfg.KeyLog.Flush(); err != nil {
		t.Fatal(err)
	}
	records, err := replay.ReadKeyLog(&file)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestKeyLogHoldsRequestsAndWeights(t *testing.T) {
	clock := mockClock(t)
	records := record(t, Config{Clock: clock, Weigh: func(_ Key, v string) int64 { return int64(len(v)) }}, func(c *Cache) {
		calls := 0
		mustRender(t, c, keyN(1), returns("four", &calls))
		advance(t, clock, time.Minute)
		mustRender(t, c, keyN(1), returns("four", &calls))
		c.Get(keyN(2))
		c.Put(keyN(2), "seven77")
	})
	first, second := records[0].ID, records[3].ID
	if first == second {
		t.Error("two keys have one id")
	}
	want := []replay.Record{
		{ID: first},
		{ID: first, Weight: 4},
		{ID: first, At: time.Minute},
		{ID: second, At: time.Minute},
		{ID: second, At: time.Minute, Weight: 7},
	}
	if !slices.Equal(records, want) {
		t.Errorf("records %v, want %v", records, want)
	}
}

type brokenDisk struct{}

func (brokenDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestKeyLogOnABrokenDiskDoesNotDisturb(t *testing.T) {
	log := rendercache.NewKeyLog(brokenDisk{})
	c := newCache(t, Config{KeyLog: log})
	for i := range 5_000 { // more than is buffered
		c.Put(keyN(i), "v")
	}
	wantHit(t, c, keyN(4_999), "v")
	if err := log.Flush(); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("Flush: %v, want the disk's error", err)
	}
	var none *rendercache.KeyLog
	if err := none.Flush(); err != nil {
		t.Errorf("Flush of nil: %v", err)
	}
}

// skewed asks for n of many keys, the lower ones more often.
func skewed(t *testing.T, n int, ask func(key int)) {
	t.Helper()
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.2, 4, 1_000)
	for range n {
		ask(int(zipf.Uint64()))
	}
}

// A replay is only worth something if the cache does what it says.
func TestReplayPredictsTheCache(t *testing.T) {
	for _, limit := range []int{1, 40, 200, 2_000} {
		clock := mockClock(t)
		var stats rendercache.Stats
		records := record(t, Config{Clock: clock, MaxEntries: limit, TTL: time.Minute}, func(c *Cache) {
			skewed(t, 8_000, func(key int) {
				clock.Advance(10 * time.Millisecond)
				calls := 0
				mustRender(t, c, keyN(key), returns("v", &calls))
			})
			stats = c.Stats()
		})
		p := replay.Replay(records, replay.Config{Entries: true, TTL: time.Minute}, int64(limit))[0]
		wantEqual(t, "requests", p.Requests, 8_000)
		if d := p.HitRatio() - stats.HitRatio(); d < -0.015 || d > 0.015 {
			t.Errorf("%d entries: predicted %.3f, was %.3f", limit, p.HitRatio(), stats.HitRatio())
		}
	}
}
