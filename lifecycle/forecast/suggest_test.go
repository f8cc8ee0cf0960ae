package forecast_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

// regulars is a team that came at nine in Berlin on working days for twelve weeks, and what it does in the four weeks
// that follow.
func regulars(n int) ([]forecast.Member, *forecast.Behavior) {
	until := monday.AddDate(0, 0, 28)
	fleet, pasts := team(n, func(int) []forecast.Session { return workdays(until, 16) })
	var members []forecast.Member
	for i, s := range fleet {
		members = append(members, forecast.Member{Snapshot: s, Sessions: pasts[i].Sessions})
	}
	return members, learn(monday, pasts)
}

func TestSuggestLearnsWorkingHours(t *testing.T) {
	members, b := regulars(3)
	got, err := forecast.Suggest(slices.Values(members), b, monday, monday.AddDate(0, 0, 28), forecast.SuggestConfig{})
	if err != nil || len(got) != 3 {
		t.Fatalf("%d suggestions, %v", len(got), err)
	}
	for i, s := range got {
		if s.WorkspaceID != members[i].Snapshot.Workspace.ID {
			t.Errorf("suggestion %d is for %v", i, s.WorkspaceID)
		}
		cron, err := schedule.Weekly(s.Autostart)
		if err != nil {
			t.Fatalf("%q: %v", s.Autostart, err)
		}
		// Everybody comes at nine sharp and stays: it has to run before, on working days alone.
		at := time.Date(2026, 6, 1, 0, 0, 0, 0, berlin)
		if first := cron.Next(at); first.Hour() > 8 && first.Minute() > 0 || !first.Before(at.Add(9*time.Hour)) {
			t.Errorf("%q starts at %v", s.Autostart, first)
		}
		for at := range cron.Occurrences(monday, monday.AddDate(0, 0, 7)) {
			if at.Weekday() == time.Saturday || at.Weekday() == time.Sunday {
				t.Errorf("%q starts at %v", s.Autostart, at)
			}
		}
		if s.Now.Waits != s.Now.Sessions || s.Then.Waits > 1 || s.Then.Sessions != s.Now.Sessions || s.Then.Hours > s.Now.Hours+20*3 {
			t.Errorf("%+v", s)
		}
		if want := []string{"Policy.ExtendAtAutostart"}; !slices.Equal(s.Needs, want) {
			t.Errorf("needs %q, want %q", s.Needs, want)
		}
		if text := s.String(); !strings.Contains(text, "Mon-Fri") || !strings.Contains(text, "Europe/Berlin") || !strings.Contains(text, "Policy.ExtendAtAutostart") {
			t.Errorf("it says %q", text)
		}
		if _, err := json.Marshal(s); err != nil {
			t.Error(err)
		}
	}
}

// Nobody gets hours for having come once, nor a workspace that sleeps or waits in a pool.
func TestSuggestSparesThoseWithoutAHabit(t *testing.T) {
	members, b := regulars(4)
	members[1].Snapshot.Workspace.DormantAt = monday
	members[2].Snapshot.Workspace.Managed = true
	members[3].Snapshot.Workspace.ID, members[3].Snapshot.Workspace.OwnerID = id(77), id(78)
	got, err := forecast.Suggest(slices.Values(members), b, monday, monday.AddDate(0, 0, 28), forecast.SuggestConfig{Price: 10})
	if err != nil || len(got) != 1 {
		t.Errorf("%d suggestions, %v", len(got), err)
	}
	_, once := team(50, func(n int) []forecast.Session {
		begin := monday.AddDate(0, 0, -1-n)
		return []forecast.Session{{Begin: begin, End: begin.Add(time.Hour)}}
	})
	w := learn(monday, once).Planner(lifecycle.Policy{}).WorkingHours(once[0].Who, 30)
	if w.Any() || w.Spec() != "" || w.String() != "by hand only" {
		t.Errorf("hours for a single visit: %v", w)
	}
}

// A higher price never makes the hours fewer, and a pain that is asked for is kept where it can be.
func TestSuggestAtAPain(t *testing.T) {
	members, b := regulars(5)
	until := monday.AddDate(0, 0, 28)
	last := 0.0
	for _, price := range []float64{1, 5, 20, 100, 500} {
		got, err := forecast.Suggest(slices.Values(members), b, monday, until, forecast.SuggestConfig{Price: price})
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Then.Hours < last-1 {
			t.Errorf("at price %v it runs %.0f h, at a lower one %.0f h", price, got[0].Then.Hours, last)
		}
		last = got[0].Then.Hours
	}
	got, err := forecast.Suggest(slices.Values(members), b, monday, until, forecast.SuggestConfig{Pain: 0.1})
	if err != nil || got[0].Then.Waits*10 > got[0].Then.Sessions {
		t.Errorf("%v, %v", got[0], err)
	}
	for _, c := range []forecast.SuggestConfig{{Price: -1}, {Pain: 2}} {
		if _, err := forecast.Suggest(slices.Values(members), b, monday, until, c); !errors.Is(err, invalid.Err) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := forecast.Suggest(slices.Values(members), b, monday, monday, forecast.SuggestConfig{}); !errors.Is(err, invalid.Err) {
		t.Errorf("no time: %v", err)
	}
}

func TestWorkingHoursText(t *testing.T) {
	w := forecast.WorkingHours{Zone: berlin, Days: schedule.DaysOf(time.Monday, time.Wednesday, time.Sunday), Hours: 1<<9 | 1<<10 | 1<<14, Minute: 10}
	if got, want := w.Spec(), "CRON_TZ=Europe/Berlin 10 9-10,14 * * 1,3,0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := w.String(), "Mon,Wed,Sun 09:10-11:10,14:10-15:10 (Europe/Berlin)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, err := schedule.Weekly(w.Spec()); err != nil {
		t.Error(err)
	}
}

func TestSuggestPolicy(t *testing.T) {
	members, _ := regulars(4)
	for i := range members { // who comes back after lunch
		var split []forecast.Session
		for _, s := range members[i].Sessions {
			split = append(split, forecast.Session{Begin: s.Begin, End: s.Begin.Add(3 * time.Hour)}, forecast.Session{Begin: s.Begin.Add(5 * time.Hour), End: s.End})
		}
		members[i].Sessions = split
	}
	until := monday.AddDate(0, 0, 28)
	current := members[0].Snapshot.Template.Policy
	got, err := forecast.SuggestPolicy(slices.Values(members), current, 0.55, monday, until, forecast.SimulateConfig{})
	if err != nil {
		t.Fatal(err)
	}
	// With half an hour of bump the workspace is down after lunch; with two hours it is up.
	if !got.Met || got.Then.Pain() > 0.55 || got.Now.Pain() < 0.99 || got.Policy.ActivityBump < 2*time.Hour && got.Policy.DefaultTTL < 4*time.Hour {
		t.Errorf("%v: %+v", got, got.Policy)
	}
	for _, r := range got.Others {
		if r.Pain() <= 0.55 && r.Hours < got.Then.Hours {
			t.Errorf("%s runs %.0f h, what is suggested %.0f h", r.Name, r.Hours, got.Then.Hours)
		}
	}
	none, err := forecast.SuggestPolicy(slices.Values(members), current, 0, monday, until, forecast.SimulateConfig{})
	if err != nil || none.Met || !strings.Contains(none.String(), "no policy") {
		t.Errorf("no policy spares the mornings: %v, %v", none, err)
	}
	if _, err := forecast.SuggestPolicy(slices.Values(members), lifecycle.Policy{Jitter: -1}, 0.5, monday, until, forecast.SimulateConfig{}); !errors.Is(err, invalid.Err) {
		t.Errorf("%v", err)
	}
}

// Fifty come at nine: a pool by hour is empty in the night.
func TestSuggestPool(t *testing.T) {
	members, _ := regulars(50)
	for i := range members {
		for k := range members[i].Sessions {
			members[i].Sessions[k].Begin = members[i].Sessions[k].Begin.Add(time.Duration(i*37%50) * time.Minute)
		}
	}
	until := monday.AddDate(0, 0, 28)
	got, err := forecast.SuggestPool(slices.Values(members), 0.05, monday, until, forecast.SimulateConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Met || got.Claims != 50*20 || got.Claims-got.Hits > 50 || got.PoolHours > got.EvenHours/3 || got.Sizes[3] != 0 {
		t.Errorf("%v\n%v", got, got.Sizes)
	}
	// What is suggested is what a simulation with it does.
	r := simulate(t, members, until, forecast.SimulateConfig{}, forecast.Candidate{Pool: &got.Sizes}).Results[0]
	if r.Hits != got.Hits || r.Claims != got.Claims || r.PoolHours != got.PoolHours {
		t.Errorf("%+v, simulated %d of %d for %v h", got, r.Hits, r.Claims, r.PoolHours)
	}
	for _, misses := range []float64{0, 1, -1} {
		if _, err := forecast.SuggestPool(slices.Values(members), misses, monday, until, forecast.SimulateConfig{}); !errors.Is(err, invalid.Err) {
			t.Errorf("misses %v: %v", misses, err)
		}
	}
}

// Hours that follow each other are one run: a workspace that stopped at each full hour would lose the start of that hour.
func TestWorkingHoursRunOn(t *testing.T) {
	w := forecast.WorkingHours{Zone: time.UTC, Days: schedule.AllDays, Hours: 1<<9 | 1<<10 | 1<<11, Minute: 0}
	s := stopped(autostart(w.Spec()), ttl(w.TTL()), policy(func(p *lifecycle.Policy) { p.ExtendAtAutostart = true }))
	s.Build.CreatedAt = monday
	var builds []string
	for step := range forecast.Upcoming(s, monday, monday.AddDate(0, 0, 1), forecast.Assumptions{}) {
		if step.Kind == forecast.KindBuild {
			builds = append(builds, step.At.Format("15:04 ")+step.Transition.String())
		}
	}
	if want := []string{"09:00 start", "12:05 stop"}; !slices.Equal(builds, want) {
		t.Errorf("builds %q, want %q", builds, want)
	}
}
