// Package forecast_test reads calendar feeds back with a decoder that is not ours.
package forecast_test

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	ical "github.com/emersion/go-ical"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

// zones change their clocks at different times, by different amounts, or not at all.
var zones = []string{
	"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata", "UTC", "Africa/Casablanca",
}

// Every build of a year, read back, is at the instant that was foretold and, for starts outside the clock change itself, at
// the schedule's hour on the clock of its zone.
func TestACalendarReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		hour, minute := rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute")
		s := workspace(t, fmt.Sprintf("CRON_TZ=%s %d %d * * *", zone, minute, hour))
		from := time.Date(2026, time.Month(rapid.IntRange(1, 12).Draw(t, "month")), 1, 0, 0, 0, 0, time.UTC)
		s.Build.CreatedAt, s.Build.CompletedAt = from, from
		steps := builds(forecast.Upcoming(s, from, from.AddDate(1, 0, 0), forecast.Assumptions{}))
		feed := forecast.Calendar(s.Workspace.Name, from, len(steps), forecast.Upcoming(s, from, from.AddDate(1, 0, 0), forecast.Assumptions{}))
		events := read(t, feed)
		if len(events) != len(steps) || len(steps) < 700 {
			t.Fatalf("%d events, %d builds", len(events), len(steps))
		}
		seen := map[string]bool{}
		for i, e := range events {
			check(t, e, steps[i])
			uid := text(t, e, ical.PropUID)
			if seen[uid] {
				t.Errorf("uid %s twice", uid)
			}
			seen[uid] = true
			checkClock(t, steps[i], zone, hour, minute)
		}
	})
}

func workspace(t *rapid.T, spec string) lifecycle.Snapshot {
	cron, err := schedule.Weekly(spec)
	if err != nil {
		t.Fatal(err)
	}
	name := rapid.StringMatching(`[a-zA-Zäöü漢 ,;:\\"\n]{1,120}`).Draw(t, "name")
	return lifecycle.Snapshot{
		Workspace: lifecycle.Workspace{ID: uuid.New(), Name: name, Autostart: cron, TTL: 3 * time.Hour},
		Build:     lifecycle.Build{Number: 1, Transition: lifecycle.TransitionStop, Status: lifecycle.JobSucceeded},
		Template: lifecycle.Template{Policy: lifecycle.Policy{
			AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays,
		}},
	}
}

func builds(steps iter.Seq[forecast.Step]) []forecast.Step {
	var all []forecast.Step
	for s := range steps {
		if s.Kind == forecast.KindBuild {
			all = append(all, s)
		}
	}
	return all
}

func read(t *rapid.T, feed []byte) []ical.Event {
	cal, err := ical.NewDecoder(bytes.NewReader(feed)).Decode()
	if err != nil {
		t.Fatalf("decode: %v\n%s", err, feed)
	}
	// What its own encoder refuses is not what the standard wants.
	if err := ical.NewEncoder(new(bytes.Buffer)).Encode(cal); err != nil {
		t.Fatalf("encode again: %v", err)
	}
	return cal.Events()
}

func text(t *rapid.T, e ical.Event, name string) string {
	s, err := e.Props.Text(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(t *rapid.T, e ical.Event, s forecast.Step) {
	at, err := e.DateTimeStart(time.UTC)
	if err != nil || !at.Equal(s.At) {
		t.Fatalf("begins at %v (%v), foretold for %v", at, err, s.At)
	}
	if got := text(t, e, ical.PropSummary); !strings.HasPrefix(got, s.Workspace) {
		t.Fatalf("summary %q of workspace %q", got, s.Workspace)
	}
	if got := text(t, e, ical.PropDescription); got != s.String() {
		t.Fatalf("description %q, want %q", got, s.String())
	}
}

// checkClock checks the clock on the wall of those who were asked, unless it is being changed that day.
func checkClock(t *rapid.T, s forecast.Step, zone string, hour, minute int) {
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	local := s.At.In(loc)
	_, before := local.AddDate(0, 0, -1).Zone()
	_, after := local.AddDate(0, 0, 1).Zone()
	if s.Transition != lifecycle.TransitionStart || before != after {
		return
	}
	if local.Hour() != hour || local.Minute() != minute {
		t.Fatalf("starts at %v, asked for %02d:%02d", local, hour, minute)
	}
}
