package forecast_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

func TestWordsTellTheNextDays(t *testing.T) {
	s := stopped(autostart("CRON_TZ=Europe/Berlin 0 9 * * 1-5"), ttl(8*time.Hour), policy(func(p *lifecycle.Policy) {
		p.ReminderLead, p.TimeTilDormant, p.TimeTilAutodelete = 30*time.Minute, 36*time.Hour, 7*day
	}))
	got := forecast.Words(20, forecast.Upcoming(s, monday, monday.AddDate(0, 0, 21), forecast.Assumptions{}))
	want := strings.TrimPrefix(`
Mon 2026-03-02 09:00 CET  api starts by its schedule
Mon 2026-03-02 09:01 CET  api is up, until 17:01
Mon 2026-03-02 16:31 CET  api is about to stop: its owner is reminded, at 17:01
Mon 2026-03-02 17:01 CET  api stops at its deadline
Mon 2026-03-02 17:02 CET  api is down
Tue 2026-03-03 07:00 CET  api goes dormant, unused for 1d 12h, to be deleted Tue 2026-03-10 07:01 CET
Tue 2026-03-10 07:01 CET  api is deleted, dormant since Tue 2026-03-03 07:01 CET
Tue 2026-03-10 07:03 CET  api is gone
`, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A deadline between two ticks is told as itself, by Explain and by what is upcoming alike; what is overdue is told for now.
func TestUpcomingTellsTheInstantsOfExplain(t *testing.T) {
	between := monday.Add(25*time.Minute + 10*time.Second)
	running := func(deadline time.Time) lifecycle.Snapshot {
		return stopped(func(s *lifecycle.Snapshot) {
			s.Build.Transition, s.Build.Deadline, s.Build.RunSince = lifecycle.TransitionStart, deadline, monday.Add(-day)
		})
	}
	for name, c := range map[string]struct {
		s    lifecycle.Snapshot
		want time.Time
	}{
		"a deadline":           {running(between), between},
		"a deadline on a tick": {running(monday.Add(time.Hour)), monday.Add(time.Hour)},
		"an overdue deadline":  {running(monday.Add(-time.Hour)), monday.Add(time.Second)},
		"a deletion": {stopped(policy(func(p *lifecycle.Policy) { p.TimeTilDormant, p.TimeTilAutodelete = day, 7*day }), func(s *lifecycle.Snapshot) {
			s.Workspace.DormantAt, s.Workspace.DeletingAt = monday.Add(-day), between
		}), between.Add(time.Microsecond)}, // which has to be exceeded
		"a start, by a schedule": {stopped(autostart("30 6 * * *")), monday.Add(30 * time.Minute)},
	} {
		now := monday.Add(time.Second)
		steps := first(1, forecast.Upcoming(c.s, now, time.Time{}, forecast.Assumptions{}))
		if len(steps) == 0 {
			t.Errorf("%s: nothing is upcoming", name)
			continue
		}
		step := steps[0]
		if x := lifecycle.Explain(c.s, now); !step.When.Equal(c.want) || !x.NextAt.Equal(c.want) {
			t.Errorf("%s: upcoming tells %v, Explain %v, want %v", name, step.When, x.NextAt, c.want)
		}
		if step.At.Before(step.When) || !step.At.Equal(step.At.Truncate(time.Minute)) {
			t.Errorf("%s: the step is at %v, which is no tick after %v", name, step.At, step.When)
		}
	}
}

func TestUpcomingEnds(t *testing.T) {
	hourly := stopped(autostart("0 * * * *"), ttl(10*time.Minute))
	count := 0
	for s := range forecast.Upcoming(hourly, monday, time.Time{}, forecast.Assumptions{}) {
		if s.At.Before(monday) || !s.At.Before(monday.AddDate(0, 0, 28)) {
			t.Fatalf("a step at %v", s.At)
		}
		count++
	}
	if want := 28 * 24 * 4; count != want {
		t.Errorf("%d steps in four weeks, want %d", count, want)
	}
	if got := first(3, forecast.Upcoming(hourly, monday, time.Time{}, forecast.Assumptions{})); len(got) != 3 {
		t.Errorf("First(3) returns %d steps", len(got))
	}
	if got := first(0, forecast.Upcoming(hourly, monday, time.Time{}, forecast.Assumptions{})); len(got) != 0 {
		t.Errorf("First(0) returns %d steps", len(got))
	}
	if got := first(3, forecast.Upcoming(stopped(), monday, time.Time{}, forecast.Assumptions{})); len(got) != 0 {
		t.Errorf("nothing happens to it, yet %v", got)
	}
}

// A job whose end cannot be recorded keeps its build active for ever; that is said, not left out.
func TestUpcomingSaysWhereItIsStuck(t *testing.T) {
	s := stopped(autostart("0 9 * * *"))
	s.Build.CreatedAt = monday
	never := forecast.Assumptions{Build: func(lifecycle.Snapshot) forecast.Outcome { return forecast.Outcome{Took: time.Minute} }}
	steps := first(9, forecast.Upcoming(s, monday, time.Time{}, never))
	if n := len(steps); n != 2 || steps[1].Kind != forecast.KindStuck || !strings.Contains(steps[1].Message, "succeeded, failed or canceled") {
		t.Errorf("got %v", steps)
	}
	bad := first(9, forecast.Upcoming(s, monday, time.Time{}, forecast.Assumptions{Beat: -1}))
	if len(bad) != 1 || !strings.Contains(bad[0].Message, "Assumptions.Beat") {
		t.Errorf("got %v", bad)
	}
}

func TestSomebodyAtWorkStartsByHand(t *testing.T) {
	s := stopped(ttl(time.Hour), policy(func(p *lifecycle.Policy) { p.ActivityBump = time.Hour }))
	a := forecast.Assumptions{Work: forecast.Recorded([]forecast.Session{{Begin: monday.Add(time.Hour), End: monday.Add(4 * time.Hour)}})}
	got := forecast.Words(9, forecast.Upcoming(s, monday, time.Time{}, a))
	want := strings.TrimPrefix(`
Mon 2026-03-02 07:00 UTC  api has a start by hand
Mon 2026-03-02 07:01 UTC  api is up, until 08:01
Mon 2026-03-02 10:55 UTC  api stops at its deadline
Mon 2026-03-02 10:56 UTC  api is down
`, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	a.LeaveStopped = true
	if got := forecast.Words(9, forecast.Upcoming(s, monday, time.Time{}, a)); got != "" {
		t.Errorf("left stopped, yet\n%s", got)
	}
}

func TestStepsAreValues(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), ttl(time.Hour))
	for step := range forecast.Upcoming(s, monday, monday.AddDate(0, 0, 1), forecast.Assumptions{}) {
		text := must(json.Marshal(step))
		var back forecast.Step
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		back.After = step.After
		if back != step {
			t.Errorf("%s reads back as %v, want %v", text, back, step)
		}
	}
}

func TestSessions(t *testing.T) {
	uses := []time.Time{monday, monday.Add(50 * time.Minute), monday.Add(3 * time.Hour)}
	got := forecast.Sessions(uses, 45*time.Minute, 15*time.Minute)
	if len(got) != 2 || !got[0].Begin.Equal(monday.Add(-45*time.Minute)) || !got[0].End.Equal(monday.Add(65*time.Minute)) {
		t.Errorf("got %v", got)
	}
	work := forecast.Recorded(got)
	for _, c := range []struct {
		after time.Time
		want  forecast.Session
	}{
		{monday.Add(-day), got[0]}, {monday, got[0]}, {got[0].End, got[1]}, {got[1].End.Add(-1), got[1]}, {got[1].End, forecast.Session{}},
	} {
		if s := work(c.after); s != c.want {
			t.Errorf("after %v: %v, want %v", c.after, s, c.want)
		}
	}
}

// A precise executor does not wait for the next whole minute.
func TestUpcomingOfAPreciseExecutor(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), ttl(8*time.Hour), func(s *lifecycle.Snapshot) { s.Build.CreatedAt = monday })
	a := forecast.Assumptions{Tick: time.Microsecond, Build: func(lifecycle.Snapshot) forecast.Outcome {
		return forecast.Outcome{Took: 30 * time.Second, Status: lifecycle.JobSucceeded}
	}}
	var got []string
	for s := range forecast.Upcoming(s, monday, monday.AddDate(0, 0, 1), a) {
		got = append(got, s.At.Format("15:04:05"))
	}
	if want := "09:00:00 09:00:30 17:00:30 17:01:00"; strings.Join(got, " ") != want {
		t.Errorf("at %v, want %s", got, want)
	}
}

// What a workspace will be is what it is after its last step.
func TestProject(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), ttl(8*time.Hour))
	until := monday.Add(36 * time.Hour)
	var last lifecycle.Snapshot
	for step := range forecast.Upcoming(s, monday, until, forecast.Assumptions{}) {
		last = step.After
	}
	got, err := forecast.Project(s, monday, until, forecast.Assumptions{})
	if err != nil || got != last {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, last)
	}
	if _, err := forecast.Project(s, monday, until, forecast.Assumptions{Tick: -1}); !errors.Is(err, invalid.Err) {
		t.Errorf("a bad tick: %v", err)
	}
}
