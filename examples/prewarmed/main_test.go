package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSessionsBeginAfterAPause(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.FixedZone("", 3600))
	got := sessions(map[string][]time.Time{
		"ann": {at.Add(time.Hour), at, at.Add(10 * time.Hour)},
		"bob": {at.Add(30 * time.Minute)},
	})
	want := []time.Time{at, at.Add(30 * time.Minute), at.Add(10 * time.Hour)}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range want {
		if !got[i].Equal(want[i]) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

// More members serve more claims and cost more; and a forecast costs less than a fixed size that serves as many.
func TestCurvesRise(t *testing.T) {
	starts, err := readActivity("")
	if err != nil {
		t.Fatal(err)
	}
	curves, err := compare(starts)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range curves {
		for i, p := range c.Points[1:] {
			if before := c.Points[i]; p.HitRate < before.HitRate || p.IdleHours < before.IdleHours {
				t.Errorf("%s: %+v, then %+v", c.Name, before, p)
			}
		}
	}
}

func TestTheWholeShow(t *testing.T) {
	report := filepath.Join(t.TempDir(), "page.html")
	var out strings.Builder
	err := run(t.Context(), options{
		length: 2 * time.Second, build: 50 * time.Millisecond, every: 50 * time.Millisecond, hold: 20 * time.Millisecond, size: 3, report: report,
	}, &out)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(report)
	if err != nil || !strings.Contains(string(text), "<svg") || !strings.Contains(string(text), "forecast") {
		t.Errorf("the page: %v\n%.300s", err, text)
	}
	if !strings.Contains(out.String(), "claims of real processes") {
		t.Errorf("said:\n%s", out.String())
	}
}

// The recorded activity is found from every folder in which the program may be begun, and elsewhere the error says what to do.
func TestActivityIsFound(t *testing.T) {
	for _, folder := range []string{".", "..", "../.."} {
		t.Run(folder, func(t *testing.T) {
			t.Chdir(folder)
			f, err := openActivity("")
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
		})
	}
	t.Chdir(t.TempDir())
	if _, err := openActivity(""); err == nil || !strings.Contains(err.Error(), "-activity") {
		t.Errorf("elsewhere: %v", err)
	}
}
