package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

func TestItAnswers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	show := func(html string) string {
		var out bytes.Buffer
		if err := run([]string{"-seed", "3", "-html", html}, &out, io.Discard); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	text := show(file)
	for _, want := range []string{
		"dev-01 starts by its schedule", "█", "No other beats: by hand", "would have kept you waiting", "something else happens to 60 of 60 workspaces",
		"[deletes_untold]", "[herd]", "[clock_gap]", "[stops_early]", "[never_fires]",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if !raced {
		if again := show(""); again != text {
			t.Error("the same seed must give the same answers")
		}
	}
	page, err := os.ReadFile(file)
	if err != nil || bytes.Count(page, []byte("<svg")) != 3 || bytes.Contains(page, []byte("NaN")) {
		t.Errorf("page of %d bytes, %v", len(page), err)
	}
	if found := regexp.MustCompile(`(?i)url\(|@import|<(script|link|iframe|img)|\s(src|href)=`).Find(page); found != nil {
		t.Errorf("the page must need nothing from outside: found %q", found)
	}
}

func TestBadCommandLine(t *testing.T) {
	for _, args := range [][]string{{"more"}, {"-seed", "x"}, {"-html", "/none/page.html"}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: must be refused", args)
		}
	}
}

// A week that begins in the middle of a day has each hour below its own, and on its own day.
func TestStripBeginsInTheMiddleOfADay(t *testing.T) {
	var o forecast.Outlook
	for i := range 21 {
		o.Hours = append(o.Hours, forecast.HourBand{At: time.Date(2026, 6, 8, 5+i, 0, 0, 0, time.UTC), Running: forecast.Band{Mean: 1}})
	}
	want := "Mon  8 Jun       ███████████████████\nTue  9 Jun  ██\n"
	if got := strip(o); !strings.HasPrefix(got, want) {
		t.Errorf("\n%s\nwant\n%s", got, want)
	}
}
