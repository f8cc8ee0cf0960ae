package forecast_test

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

// exampleWorkspace is what a host has from its store: a workspace that stopped last night, with working hours in Berlin.
func exampleWorkspace() lifecycle.Snapshot {
	autostart, _ := schedule.Weekly("CRON_TZ=Europe/Berlin 0 9 * * 1-5")
	night := time.Date(2026, 3, 1, 20, 0, 0, 0, time.UTC)
	return lifecycle.Snapshot{
		Workspace: lifecycle.Workspace{ID: id(1), Name: "api", Autostart: autostart, TTL: 8 * time.Hour, CreatedAt: night, LastUsedAt: night},
		Build: lifecycle.Build{
			Number: 1, Transition: lifecycle.TransitionStop, Status: lifecycle.JobSucceeded, CreatedAt: night, CompletedAt: night,
		},
		Template: lifecycle.Template{Name: "go", Policy: lifecycle.Policy{
			AutostartDays: schedule.AllDays, AllowUserAutostart: true, AllowUserTTL: true, ActivityBump: time.Hour,
		}},
	}
}

// When will my workspace start and stop?
func ExampleUpcoming() {
	now := time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)
	for s := range forecast.Upcoming(exampleWorkspace(), now, now.AddDate(0, 0, 2), forecast.Assumptions{}) {
		if s.Kind == forecast.KindBuild {
			fmt.Println(s.At.Format(time.RFC3339), s.Transition, s.Reason)
		}
	}
	// Output:
	// 2026-03-02T08:00:00Z start autostart
	// 2026-03-02T16:01:00Z stop autostop
	// 2026-03-03T08:00:00Z start autostart
	// 2026-03-03T16:01:00Z stop autostop
}

// The same in words.
func ExampleWords() {
	now := time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)
	fmt.Print(forecast.Words(4, forecast.Upcoming(exampleWorkspace(), now, time.Time{}, forecast.Assumptions{})))
	// Output:
	// Mon 2026-03-02 09:00 CET  api starts by its schedule
	// Mon 2026-03-02 09:01 CET  api is up, until 17:01
	// Mon 2026-03-02 17:01 CET  api stops at its deadline
	// Mon 2026-03-02 17:02 CET  api is down
}

// A feed for calendars: serve it as text/calendar.
func ExampleCalendar() {
	now := time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)
	feed := forecast.Calendar("workspaces of ann", now, 10, forecast.Upcoming(exampleWorkspace(), now, time.Time{}, forecast.Assumptions{}))
	fmt.Println(bytes.Count(feed, []byte("BEGIN:VEVENT")), "events")
	// Output: 10 events
}

// exampleMember is a workspace with what was recorded of its owner, who comes at twenty past nine.
func exampleMember() forecast.Member {
	sessions := workdays(time.Date(2026, 3, 30, 0, 0, 0, 0, time.UTC), 12)
	for i := range sessions {
		sessions[i].Begin = sessions[i].Begin.Add(20 * time.Minute)
	}
	return forecast.Member{Snapshot: exampleWorkspace(), Sessions: sessions}
}

// How many workspaces will run tomorrow at ten?
func ExampleForecast() {
	now := time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)
	m := exampleMember()
	past := forecast.Past{Who: m.Snapshot.Workspace.ID, Sessions: m.Sessions}
	behavior := forecast.Learn(now, slices.Values([]forecast.Past{past}), slices.Values([]lifecycle.Build(nil)))
	outlook, err := forecast.Forecast(slices.Values([]lifecycle.Snapshot{m.Snapshot}), behavior, now, now.AddDate(0, 0, 7), forecast.ForecastConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := outlook.Hours[28]
	fmt.Printf("%s: %.0f\n", h.At.Format("Mon 15:04"), h.Running.Mean)
	// Output: Tue 10:00: 1
}

// What would a shorter bump have saved last month, and whom would it have hurt?
func ExampleSimulate() {
	from := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	m := exampleMember()
	policy := m.Snapshot.Template.Policy
	policy.ActivityBump = 15 * time.Minute
	short, err := forecast.WithPolicy("bump of 15 minutes", policy, from)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := forecast.Simulate(slices.Values([]forecast.Member{m}), from, from.AddDate(0, 0, 28),
		[]forecast.Candidate{{Name: "as it is"}, short}, forecast.SimulateConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range s.Results {
		fmt.Printf("%s: %.0f h, %d of %d waited, %d cut off\n", r.Name, r.Hours, r.Cold, r.Sessions, r.Interrupted)
	}
	// Output:
	// as it is: 178 h, 0 of 20 waited, 0 cut off
	// bump of 15 minutes: 163 h, 0 of 20 waited, 0 cut off
}

// Which hours should it have?
func ExampleSuggest() {
	learnt := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	m := exampleMember()
	m.Snapshot.Workspace.Autostart = nil // so far it is started by hand
	past := forecast.Past{Who: m.Snapshot.Workspace.ID, Location: berlin, Sessions: m.Sessions}
	behavior := forecast.Learn(learnt, slices.Values([]forecast.Past{past}), slices.Values([]lifecycle.Build(nil)))
	all, err := forecast.Suggest(slices.Values([]forecast.Member{m}), behavior, learnt, learnt.AddDate(0, 0, 28), forecast.SuggestConfig{Price: 10})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range all {
		fmt.Println(s.Autostart, s.TTL)
		fmt.Println(s)
	}
	// Output:
	// CRON_TZ=Europe/Berlin 10 8-10 * * 1,2,3,4,5 1h5m0s
	// api: Mon-Fri 08:10-11:10 (Europe/Berlin): adds 0.8 h a day and would have kept you waiting in none of 20 sessions within 28 days (as it is: in 20); needs Policy.ExtendAtAutostart
}
