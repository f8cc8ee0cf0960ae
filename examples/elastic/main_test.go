//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/workerpool"
	"github.com/dormouse-go/dormouse/workerpool/localprocess"
)

func TestMain(m *testing.M) {
	localprocess.Init()
	os.Exit(m.Run())
}

// A small show: every job ends, every worker goes, and the page has its plots.
func TestRealWorkersComeAndGo(t *testing.T) {
	var out bytes.Buffer
	ramp, err := realWorkers(t.Context(), burst{jobs: 8, workers: 3, takes: time.Second}, &out)
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	for _, s := range ramp {
		most = max(most, s.running)
	}
	if last := ramp[len(ramp)-1]; most == 0 || most > 3 || last.running+last.idle+last.booting != 0 {
		t.Errorf("at most %d workers ran, at the end %+v\n%s", most, last, out.String())
	}
	path := filepath.Join(t.TempDir(), "page.html")
	if err := writePage(path, ramp, ramp, []*replay{policies()[0].replay()}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "<svg") != 3 || strings.Contains(string(text), "NaN") {
		t.Errorf("page of %d bytes, %v", len(text), err)
	}
}

// What a show says of the cost is all of it.
func TestCostIsAllNamed(t *testing.T) {
	for text, cost := range map[string]workerpool.Cost{
		"60 % went to jobs, 25 % to booting, 4 % to idling, 11 % to workers that were leaving": {Total: 200, Busy: 120, Booting: 50, Idle: 8, Leaving: 22},
		"nothing": {},
	} {
		if got := uses(cost); got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
}

// The queue is clear soon after the ideal time, however busy the machine that plays the provider.
func TestThrottledProvider(t *testing.T) {
	var out bytes.Buffer
	samples, took, err := throttled(t.Context(), &out)
	if err != nil || len(samples) == 0 || took < lifted || took > 3*ideal {
		t.Errorf("clear after %v, ideal %v: %v\n%s", took, ideal, err, out.String())
	}
}

// The policies trade waiting for cost, and the one by the clock gets most of the one for little of the other.
func TestPolicies(t *testing.T) {
	var days []*replay
	for _, p := range policies() {
		d := p.replay()
		if len(d.waits)+len(d.waiting) != len(postings()) {
			t.Errorf("%s: %d jobs started and %d wait, of %d", p.name, len(d.waits), len(d.waiting), len(postings()))
		}
		days = append(days, d)
	}
	none, floor, clock := days[0], days[1], days[2]
	if floor.cost <= none.cost || floor.meanWait() >= none.meanWait() {
		t.Errorf("a floor costs %.2f against %.2f and lets wait %s against %s", floor.cost, none.cost, floor.meanWait(), none.meanWait())
	}
	if clock.cost > floor.cost/2 || clock.meanWait() > none.meanWait()/2 {
		t.Errorf("by the clock: %.2f and %s, against %.2f for a floor and %s for none", clock.cost, clock.meanWait(), floor.cost, none.meanWait())
	}
}

// One job is a burst too, and none is not.
func TestSmallestShow(t *testing.T) {
	var out bytes.Buffer
	if _, err := realWorkers(t.Context(), burst{jobs: 1, workers: 1, takes: 10 * time.Millisecond}, &out); err != nil {
		t.Error(err)
	}
	for _, b := range []burst{{jobs: 0, workers: 1}, {jobs: 1, workers: 0}} {
		if err := show(t.Context(), filepath.Join(t.TempDir(), "page.html"), b); err == nil {
			t.Errorf("shows %+v", b)
		}
	}
}
