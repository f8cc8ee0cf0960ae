package rendercache_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/rendercache"
)

// record uses a cache as a host would, with a key log, and returns what that holds.
func record(t *testing.T, cfg Config, use func(c *Cache)) []rendercache.Record {
	t.Helper()
	var file bytes.Buffer
	cfg.KeyLog = rendercache.NewKeyLog(&file)
	c := newCache(t, cfg)
	use(c)
	c.Close()
	if err := cfg.KeyLog.Flush(); err != nil {
		t.Fatal(err)
	}
	records, err := rendercache.ReadKeyLog(&file)
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
	want := []rendercache.Record{
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

func TestKeyLogErrors(t *testing.T) {
	whole := record(t, Config{}, func(c *Cache) { c.Get(keyN(1)) })
	var file bytes.Buffer
	log := rendercache.NewKeyLog(&file)
	c := newCache(t, Config{KeyLog: log})
	c.Get(keyN(1))
	c.Get(keyN(2))
	if err := log.Flush(); err != nil {
		t.Fatal(err)
	}
	cut := file.Bytes()[:file.Len()-1]
	if records, err := rendercache.ReadKeyLog(bytes.NewReader(cut)); err != nil || len(records) != len(whole) {
		t.Errorf("cut off: %d records, %v: want %d and no error", len(records), err, len(whole))
	}
	bad := slices.Concat(file.Bytes()[:8], bytes.Repeat([]byte{0xff}, 24))
	for want, file := range map[string][]byte{
		"key log header": []byte("rend"),
		`begins with`:    []byte("something else"),
		"record 0: time": bad,
	} {
		if _, err := rendercache.ReadKeyLog(bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadKeyLog: %v, want %q", err, want)
		}
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

func FuzzReadKeyLog(f *testing.F) {
	f.Add([]byte("rendkey\x01"))
	f.Add(append([]byte("rendkey\x01"), make([]byte, 50)...))
	f.Add([]byte("rendkey\x02"))
	f.Fuzz(func(t *testing.T, file []byte) {
		records, err := rendercache.ReadKeyLog(bytes.NewReader(file))
		if err == nil && len(records) != (len(file)-8)/24 {
			t.Errorf("%d bytes gave %d records", len(file), len(records))
		}
		for _, p := range rendercache.Replay(records, rendercache.ReplayConfig{}, rendercache.Capacities(records, rendercache.ReplayConfig{}, 3)...) {
			if p.Hits > p.Requests || p.Peak > p.Capacity {
				t.Errorf("impossible point %+v", p)
			}
		}
	})
}

// skewed asks for n of many keys, the lower ones more often.
func skewed(t *testing.T, n int, ask func(key int)) {
	t.Helper()
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.2, 4, 1_000)
	for range n {
		ask(int(zipf.Uint64()))
	}
}

// The dry run is only worth something if the cache does what it says.
func TestReplayForetellsTheCache(t *testing.T) {
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
		p := rendercache.Replay(records, rendercache.ReplayConfig{Entries: true, TTL: time.Minute}, int64(limit))[0]
		wantEqual(t, "requests", p.Requests, 8_000)
		if d := p.HitRatio() - stats.HitRatio(); d < -0.015 || d > 0.015 {
			t.Errorf("%d entries: foretold %.3f, was %.3f", limit, p.HitRatio(), stats.HitRatio())
		}
	}
}

func TestReplayGivesMoreHitsForMoreRoom(t *testing.T) {
	var records []rendercache.Record
	at := time.Duration(0)
	skewed(t, 20_000, func(key int) {
		at += time.Millisecond
		records = append(records, rendercache.Record{ID: uint64(key), At: at}, rendercache.Record{ID: uint64(key), At: at, Weight: int64(key%7+1) * 1000})
	})
	cfg := rendercache.ReplayConfig{Seed: 7}
	capacities := rendercache.Capacities(records, cfg, 10)
	wantEqual(t, "capacities", len(capacities), 10)
	points := rendercache.Replay(records, cfg, capacities...)
	for i, p := range points {
		if p.Peak > p.Capacity {
			t.Errorf("held %d of %d", p.Peak, p.Capacity)
		}
		if i > 0 && p.HitRatio() < points[i-1].HitRatio()-0.005 {
			t.Errorf("capacity %d: hit ratio %.3f after %.3f", p.Capacity, p.HitRatio(), points[i-1].HitRatio())
		}
	}
	last := points[len(points)-1]
	wantEqual(t, "evictions with room for all", last.Evicted, 0)
	if last.HitRatio() < 0.9 || points[0].HitRatio() > 0.5 {
		t.Errorf("the curve goes from %.2f to %.2f", points[0].HitRatio(), last.HitRatio())
	}
	if again := rendercache.Replay(records, cfg, capacities...); !slices.Equal(again, points) {
		t.Error("the same seed gave another curve")
	}
}

func TestReplayKeepsToLife(t *testing.T) {
	at := func(minutes ...int) (records []rendercache.Record) {
		for _, m := range minutes {
			records = append(records, rendercache.Record{ID: 1, At: time.Duration(m) * time.Minute})
		}
		return records
	}
	for _, test := range []struct {
		cfg  rendercache.ReplayConfig
		log  []rendercache.Record
		hits int
	}{
		{rendercache.ReplayConfig{}, at(0, 60, 120), 2},
		{rendercache.ReplayConfig{}, at(0, 61, 122), 0},
		{rendercache.ReplayConfig{TTL: time.Minute}, at(0, 1, 3), 1},
		{rendercache.ReplayConfig{MaxAge: 90 * time.Minute}, at(0, 60, 90, 100), 2},
		{rendercache.ReplayConfig{}, nil, 0},
	} {
		p := rendercache.Replay(test.log, test.cfg, 10)[0]
		wantEqual(t, "hits", p.Hits, test.hits)
		wantEqual(t, "requests", p.Requests, len(test.log))
	}
	if p := rendercache.Replay(nil, rendercache.ReplayConfig{}, 10)[0]; p.HitRatio() != 0 {
		t.Errorf("hit ratio of nothing is %v", p.HitRatio())
	}
}

func TestPlotIsAWholePicture(t *testing.T) {
	points := []rendercache.Point{
		{Capacity: 1 << 10, Requests: 100, Hits: 10}, {Capacity: 1536, Requests: 100, Hits: 50}, {Capacity: 1 << 30, Requests: 100, Hits: 100},
	}
	var svg bytes.Buffer
	if err := rendercache.PlotSVG(&svg, `Form & <builds> "today"`, points); err != nil {
		t.Fatal(err)
	}
	circles := 0
	for d := xml.NewDecoder(bytes.NewReader(svg.Bytes())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	wantEqual(t, "points drawn", circles, len(points))
	for _, want := range []string{"1.5Ki: 50.0 %", "1Gi: 100.0 %"} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("no %q in the picture", want)
		}
	}
	if err := rendercache.PlotSVG(brokenDisk{}, "", nil); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("PlotSVG: %v, want the disk's error", err)
	}
}
