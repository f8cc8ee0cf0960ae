package forecast_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

var berlin = must(time.LoadLocation("Europe/Berlin"))

// workdays are sessions from 09:00 to 17:00 in Berlin, Monday to Friday, in the weeks before an instant.
func workdays(until time.Time, weeks int) []forecast.Session {
	var all []forecast.Session
	first := until.In(berlin).AddDate(0, 0, -7*weeks)
	for d := range 7 * weeks {
		on := first.AddDate(0, 0, d)
		if on.Weekday() == time.Saturday || on.Weekday() == time.Sunday {
			continue
		}
		begin := time.Date(on.Year(), on.Month(), on.Day(), 9, 0, 0, 0, berlin)
		all = append(all, forecast.Session{Begin: begin.UTC(), End: begin.Add(8 * time.Hour).UTC()})
	}
	return all
}

// team is n workspaces without a schedule whose owners work as given.
func team(n int, sessions func(n int) []forecast.Session) ([]lifecycle.Snapshot, []forecast.Past) {
	var fleet []lifecycle.Snapshot
	var pasts []forecast.Past
	for i := range n {
		s := stopped(ttl(time.Hour), policy(func(p *lifecycle.Policy) { p.ActivityBump = 30 * time.Minute }))
		s.Workspace.ID, s.Workspace.OwnerID = id(1000+i), id(5000+i)
		fleet = append(fleet, s)
		pasts = append(pasts, forecast.Past{Who: s.Workspace.ID, Location: berlin, Sessions: sessions(i)})
	}
	return fleet, pasts
}

func learn(until time.Time, pasts []forecast.Past, builds ...lifecycle.Build) *forecast.Behavior {
	return forecast.Learn(until, slices.Values(pasts), slices.Values(builds))
}

// A team that works from nine to five does so next week, on the same clock after the clocks have gone forward.
func TestForecastKeepsAHabitAcrossAClockChange(t *testing.T) {
	from := time.Date(2026, 3, 23, 0, 0, 0, 0, time.UTC) // a Monday; clocks change on the 29th
	fleet, pasts := team(40, func(int) []forecast.Session { return workdays(from, 12) })
	o, err := forecast.Forecast(slices.Values(fleet), learn(from, pasts), from, from.AddDate(0, 0, 14), forecast.ForecastConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range o.Hours {
		local := h.At.In(berlin)
		weekday := local.Weekday() != time.Saturday && local.Weekday() != time.Sunday
		switch {
		case weekday && local.Hour() >= 10 && local.Hour() < 16 && h.Running.Mean < 35:
			t.Errorf("%v: %.1f of 40 run at work", local, h.Running.Mean)
		case (!weekday || local.Hour() < 9 || local.Hour() > 18) && h.Running.Mean > 0:
			t.Errorf("%v: %.1f run in the night", local, h.Running.Mean)
		case h.Running.Low > h.Running.Mean+1e-9 || h.Running.High < h.Running.Mean-1e-9 && h.Running.Low < h.Running.High:
			t.Errorf("%v: band %+v", local, h.Running)
		}
		if weekday && local.Hour() == 9 && (h.Starts.Mean < 35 || h.Herd.Mean < 35 || h.Workers.Mean < 35) {
			t.Errorf("%v: all come at nine, yet %+v", local, h)
		}
	}
}

// A single visit is not taken for a habit.
func TestForecastOfThoseWhoCameOnce(t *testing.T) {
	weeks := 20
	fleet, pasts := team(400, func(n int) []forecast.Session {
		begin := monday.AddDate(0, 0, -7*(1+n%weeks)).Add(time.Duration(n%5*24+4) * time.Hour)
		return []forecast.Session{{Begin: begin, End: begin.Add(time.Hour)}}
	})
	o, err := forecast.Forecast(slices.Values(fleet), learn(monday, pasts), monday, monday.AddDate(0, 0, 7), forecast.ForecastConfig{NoNewcomers: true})
	if err != nil {
		t.Fatal(err)
	}
	starts := 0.0
	for _, h := range o.Hours {
		starts += h.Starts.Mean
	}
	if starts > 20 {
		t.Errorf("nobody ever came twice, yet %.1f of 400 come back next week", starts)
	}
}

// As many new workspaces come as came lately.
func TestForecastNewcomers(t *testing.T) {
	fleet, pasts := team(400, func(n int) []forecast.Session {
		begin := monday.AddDate(0, 0, -7*(1+n%20)).Add(time.Duration(n%5*24+4) * time.Hour)
		return []forecast.Session{{Begin: begin, End: begin.Add(time.Hour)}}
	})
	for i := range fleet {
		fleet[i].Workspace.CreatedAt = pasts[i].Sessions[0].Begin
	}
	b := learn(monday, pasts)
	count := func(none bool) float64 {
		o, err := forecast.Forecast(slices.Values(fleet), b, monday, monday.AddDate(0, 0, 14), forecast.ForecastConfig{NoNewcomers: none, Draws: 60})
		if err != nil {
			t.Fatal(err)
		}
		starts := 0.0
		for _, h := range o.Hours {
			starts += h.Starts.Mean
		}
		return starts
	}
	if more := count(false) - count(true); math.Abs(more-40) > 6 { // 20 a week
		t.Errorf("%.1f newcomers in two weeks, about 40 were to be expected", more)
	}
}

func TestForecastIsAValue(t *testing.T) {
	fleet, pasts := team(30, func(n int) []forecast.Session { return workdays(monday, 3+n%5) })
	b := learn(monday, pasts)
	var texts []string
	for _, c := range []forecast.ForecastConfig{{Parallel: 1}, {Parallel: 5}, {Seed: 1}} {
		o, err := forecast.Forecast(slices.Values(fleet), b, monday, monday.AddDate(0, 0, 2), c)
		if err != nil {
			t.Fatal(err)
		}
		text := must(json.Marshal(o))
		texts = append(texts, string(text))
		var back forecast.Outlook
		if err := json.Unmarshal(text, &back); err != nil || len(back.Hours) != 48 || back.Hours[5] != o.Hours[5] {
			t.Errorf("reads back with %v", err)
		}
		if got := o.Text(); strings.Count(got, "\n") != 4 || !strings.Contains(got, "Mon 2 Mar 2026") {
			t.Errorf("text\n%s", got)
		}
		if got := o.SVG("next days", []float64{1, 2}, 20); !strings.Contains(got, "capacity 20") || strings.Contains(got, "NaN") {
			t.Errorf("svg\n%s", got)
		}
	}
	if texts[0] != texts[1] {
		t.Error("it depends on the processors")
	}
	if texts[0] == texts[2] {
		t.Error("it does not depend on the seed")
	}
}

func TestForecastRefuses(t *testing.T) {
	b := learn(monday, nil)
	none := slices.Values([]lifecycle.Snapshot(nil))
	for _, c := range []forecast.ForecastConfig{{Draws: -1}, {Band: 2}, {Assumptions: forecast.Assumptions{Tick: -1}}} {
		if _, err := forecast.Forecast(none, b, monday, monday.Add(day), c); !errors.Is(err, invalid.Err) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := forecast.Forecast(none, b, monday, monday, forecast.ForecastConfig{}); !errors.Is(err, invalid.Err) {
		t.Errorf("no time: %v", err)
	}
	o, err := forecast.Forecast(none, b, monday, monday.Add(90*time.Minute), forecast.ForecastConfig{})
	if err != nil || len(o.Hours) != 2 || o.Hours[0].Running != (forecast.Band{}) {
		t.Errorf("an empty fleet: %+v, %v", o, err)
	}
}

// Schedules need no behavior: what nobody is known of still starts and stops.
func TestForecastOfSchedulesAlone(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), ttl(4*time.Hour), func(s *lifecycle.Snapshot) { s.Build.CreatedAt = monday })
	o, err := forecast.Forecast(slices.Values([]lifecycle.Snapshot{s}), learn(monday, nil), monday, monday.Add(day), forecast.ForecastConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range o.Hours {
		want := 0.0
		if h.At.Hour() >= 10 && h.At.Hour() < 13 {
			want = 1
		}
		if h.At.Hour() != 9 && h.At.Hour() != 13 && (h.Running.Low != want || h.Running.High != want) {
			t.Errorf("%v: %+v", h.At, h.Running)
		}
	}
}

// Versions with enough builds speak for themselves, the others for all.
func TestLearnedBuilds(t *testing.T) {
	var builds []lifecycle.Build
	add := func(version, n, failed int, took time.Duration) {
		for i := range n {
			b := lifecycle.Build{
				Number: 1, TemplateVersionID: id(version), Transition: lifecycle.TransitionStart, Status: lifecycle.JobSucceeded,
				CreatedAt: monday.Add(-day), CompletedAt: monday.Add(-day + took),
			}
			if i < failed {
				b.Status = lifecycle.JobFailed
			}
			builds = append(builds, b)
		}
	}
	add(1, 100, 10, time.Minute)
	add(2, 100, 50, 10*time.Minute)
	add(3, 3, 3, time.Hour)
	future := builds[0]
	future.CompletedAt, future.TemplateVersionID = monday.Add(time.Hour), id(1)
	b := learn(monday, nil, append(builds, future)...)
	for _, c := range []struct {
		version int
		took    time.Duration
		fails   float64
	}{{1, time.Minute, 0.1}, {2, 10 * time.Minute, 0.5}, {3, time.Minute, 63.0 / 203}, {4, time.Minute, 63.0 / 203}} {
		took, fails, ok := b.BuildTime(id(c.version), lifecycle.TransitionStart, 0.25)
		if !ok || took != c.took || math.Abs(fails-c.fails) > 1e-9 {
			t.Errorf("version %d: %v, %.3f", c.version, took, fails)
		}
	}
	if _, _, ok := b.BuildTime(id(1), lifecycle.TransitionDelete, 0.5); ok {
		t.Error("no deletion is known")
	}
	draw := b.Builds(1)
	failed := 0
	for n := range 2000 {
		s := lifecycle.Snapshot{Build: lifecycle.Build{Number: int64(n), TemplateVersionID: id(2), Transition: lifecycle.TransitionStart, Status: lifecycle.JobPending}}
		o := draw(s)
		if o != draw(s) || o.Took != 10*time.Minute {
			t.Fatalf("build %d: %+v, then %+v", n, o, draw(s))
		}
		if o.Status == lifecycle.JobFailed {
			failed++
		}
	}
	if failed < 900 || failed > 1100 {
		t.Errorf("%d of 2000 failed, half of them do", failed)
	}
}

func TestHourOfWeek(t *testing.T) {
	_, pasts := team(1, func(int) []forecast.Session { return workdays(monday, 4) })
	hours, loc, ok := learn(monday, pasts).HourOfWeek(pasts[0].Who)
	total := 0.0
	for i, h := range hours {
		total += h
		want := 0.0
		if i/24 < 5 && i%24 >= 9 && i%24 < 17 {
			want = 1
		}
		if math.Abs(h-want) > 0.01 {
			t.Errorf("day %d, %02d:00: %v hours", i/24, i%24, h)
		}
	}
	if !ok || loc != berlin || math.Abs(total-40) > 0.1 {
		t.Errorf("%v hours a week in %v", total, loc)
	}
	if _, _, ok := learn(monday, pasts).HourOfWeek(id(7)); ok {
		t.Error("somebody unknown is known")
	}
}
