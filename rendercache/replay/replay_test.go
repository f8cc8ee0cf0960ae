package replay_test

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
	"github.com/dormouse-go/dormouse/rendercache/replay"
)

type brokenDisk struct{}

func (brokenDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// A log that was cut off is read up to there; what is no log is refused.
func TestReadKeyLogErrors(t *testing.T) {
	var file bytes.Buffer
	log := rendercache.NewKeyLog(&file)
	c, err := rendercache.New(rendercache.Config[int, string]{KeyLog: log})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Get(1)
	c.Get(2)
	if err := log.Flush(); err != nil {
		t.Fatal(err)
	}
	cut := file.Bytes()[:file.Len()-1]
	if records, err := replay.ReadKeyLog(bytes.NewReader(cut)); err != nil || len(records) != 1 {
		t.Errorf("cut off: %d records, %v: want 1 and no error", len(records), err)
	}
	bad := slices.Concat(file.Bytes()[:8], bytes.Repeat([]byte{0xff}, 24))
	for want, file := range map[string][]byte{
		"key log header": []byte("rend"),
		`begins with`:    []byte("something else"),
		"record 0: time": bad,
	} {
		if _, err := replay.ReadKeyLog(bytes.NewReader(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadKeyLog: %v, want %q", err, want)
		}
	}
}

func FuzzReadKeyLog(f *testing.F) {
	f.Add([]byte("rendkey\x01"))
	f.Add(append([]byte("rendkey\x01"), make([]byte, 50)...))
	f.Add([]byte("rendkey\x02"))
	f.Fuzz(func(t *testing.T, file []byte) {
		records, err := replay.ReadKeyLog(bytes.NewReader(file))
		if err == nil && len(records) != (len(file)-8)/24 {
			t.Errorf("%d bytes gave %d records", len(file), len(records))
		}
		for _, p := range replay.Replay(records, replay.Config{}, replay.Capacities(records, replay.Config{}, 3)...) {
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

func TestReplayGivesMoreHitsForMoreRoom(t *testing.T) {
	var records []replay.Record
	at := time.Duration(0)
	skewed(t, 20_000, func(key int) {
		at += time.Millisecond
		records = append(records, replay.Record{ID: uint64(key), At: at}, replay.Record{ID: uint64(key), At: at, Weight: int64(key%7+1) * 1000})
	})
	cfg := replay.Config{Seed: 7}
	capacities := replay.Capacities(records, cfg, 10)
	wantEqual(t, "capacities", len(capacities), 10)
	points := replay.Replay(records, cfg, capacities...)
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
	if again := replay.Replay(records, cfg, capacities...); !slices.Equal(again, points) {
		t.Error("the same seed gave another curve")
	}
}

func TestReplayKeepsToLife(t *testing.T) {
	at := func(minutes ...int) (records []replay.Record) {
		for _, m := range minutes {
			records = append(records, replay.Record{ID: 1, At: time.Duration(m) * time.Minute})
		}
		return records
	}
	for _, test := range []struct {
		cfg  replay.Config
		log  []replay.Record
		hits int
	}{
		{replay.Config{}, at(0, 60, 120), 2},
		{replay.Config{}, at(0, 61, 122), 0},
		{replay.Config{TTL: time.Minute}, at(0, 1, 3), 1},
		{replay.Config{MaxAge: 90 * time.Minute}, at(0, 60, 90, 100), 2},
		{replay.Config{}, nil, 0},
	} {
		p := replay.Replay(test.log, test.cfg, 10)[0]
		wantEqual(t, "hits", p.Hits, test.hits)
		wantEqual(t, "requests", p.Requests, len(test.log))
	}
	if p := replay.Replay(nil, replay.Config{}, 10)[0]; p.HitRatio() != 0 {
		t.Errorf("hit ratio of nothing is %v", p.HitRatio())
	}
}

func TestPlotIsAWholePicture(t *testing.T) {
	points := []replay.Point{
		{Capacity: 1 << 10, Requests: 100, Hits: 10}, {Capacity: 1536, Requests: 100, Hits: 50}, {Capacity: 1 << 30, Requests: 100, Hits: 100},
	}
	var svg bytes.Buffer
	if err := replay.PlotSVG(&svg, "Form & <builds> \"today\" \x00\x1b[2J\ufffe", points); err != nil {
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
	if err := replay.PlotSVG(brokenDisk{}, "", nil); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("PlotSVG: %v, want the disk's error", err)
	}
}

func wantEqual[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
