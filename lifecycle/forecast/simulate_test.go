package forecast_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

func simulate(t *testing.T, members []forecast.Member, until time.Time, c forecast.SimulateConfig, candidates ...forecast.Candidate) forecast.Simulation {
	t.Helper()
	s, err := forecast.Simulate(slices.Values(members), monday, until, candidates, c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func at(hours, minutes int) time.Time {
	return monday.Add(time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute)
}

// One workspace, counted by hand: it starts at 09:00 by schedule and is up at 09:01, so 07:30 is cold and 10:00 is not; a
// cap cuts the second session off.
func TestSimulateCounts(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), ttl(2*time.Hour), func(s *lifecycle.Snapshot) { s.Build.CreatedAt = monday })
	m := forecast.Member{Snapshot: s, Sessions: []forecast.Session{{at(1, 30), at(2, 0)}, {at(4, 0), at(8, 0)}}}
	got := simulate(t, []forecast.Member{m}, monday.Add(18*time.Hour), forecast.SimulateConfig{HourCost: 2, BuildCost: 1}).Results[0]
	got.ByHour = nil
	// 07:30 cold start, up 07:31, deadline at the next autostart and two hours on: 11:00, no bump. Cut off at 11:00, asked
	// for again at 11:05, after the stop was down at 11:01: at once at 11:01. Up 11:02 to 13:02, again 13:04 to 15:04.
	want := forecast.Result{
		Name: "as it is", Workspaces: 1, Sessions: 2, Cold: 1, Interrupted: 2, Builds: 6, Herd: 1, HerdAt: at(1, 30),
		Hours: (3*60 + 30 + 121 + 121) / 60.0, AlwaysHours: 18, UsedHours: (29 + 61 + 121 + 56) / 60.0, WaitedHours: 5 / 60.0,
	}
	want.Cost = want.Hours*2 + 6
	for _, f := range []struct {
		name      string
		got, want float64
	}{
		{"hours", got.Hours, want.Hours}, {"used", got.UsedHours, want.UsedHours}, {"waited", got.WaitedHours, want.WaitedHours}, {"cost", got.Cost, want.Cost},
	} {
		if math.Abs(f.got-f.want) > 1e-6 {
			t.Errorf("%s: %v, want %v", f.name, f.got, f.want)
		}
	}
	got.Hours, got.UsedHours, got.WaitedHours, got.Cost = want.Hours, want.UsedHours, want.WaitedHours, want.Cost
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// What is counted is what Upcoming foretells of each member, whatever the policies are.
func TestSimulateIsTheSumOfUpcoming(t *testing.T) {
	r := seeded(3)
	until := monday.AddDate(0, 0, 21)
	var members []forecast.Member
	builds, dormancies, deletions, reminders, failed := 0, 0, 0, 0, 0
	outcome := outcomes(r.Builds(10))
	minutes := map[time.Time]int{}
	for n := range 150 {
		m := forecast.Member{Snapshot: r.Snapshot(n + 1)}
		p := &m.Snapshot.Template.Policy
		m.Snapshot.Workspace.DeletingAt, p.TimeTilAutodelete = time.Time{}, 0 // who is deleted may come back
		p.DeleteStopped, p.DeleteAtDeadline = 0, false
		for _, s := range r.Sessions(3) {
			m.Sessions = append(m.Sessions, forecast.Session{Begin: s[0], End: s[1]})
		}
		members = append(members, m)
		for s := range forecast.Upcoming(m.Snapshot, monday, until, forecast.Assumptions{Build: outcome, Work: forecast.Recorded(m.Sessions)}) {
			switch {
			case s.Kind == forecast.KindBuild:
				builds++
				minutes[s.At.Truncate(time.Minute)]++
			case s.Kind == forecast.KindReminder:
				reminders++
			case s.Status == lifecycle.JobFailed:
				failed++
			case s.Transition == lifecycle.TransitionDelete && s.Kind == forecast.KindEnded:
				deletions++
			}
			if s.Rule == lifecycle.RuleDormancy {
				dormancies++
			}
		}
	}
	herd := 0
	for _, n := range minutes {
		herd = max(herd, n)
	}
	got := simulate(t, members, until, forecast.SimulateConfig{Assumptions: forecast.Assumptions{Build: outcome}}).Results[0]
	if got.Builds != builds || got.Dormancies != dormancies || got.Deletions != deletions || got.Reminders != reminders || got.Failed != failed || got.Herd != herd {
		t.Errorf("builds, dormancies, deletions, reminders, failed, herd: %d %d %d %d %d %d, foretold %d %d %d %d %d %d",
			got.Builds, got.Dormancies, got.Deletions, got.Reminders, got.Failed, got.Herd, builds, dormancies, deletions, reminders, failed, herd)
	}
	hours, starts := 0.0, 0
	for _, h := range got.ByHour {
		hours += h.Running
		starts += h.Starts + h.Stops
	}
	if starts != builds || math.Abs(hours-got.Hours) > 0.01*got.Hours {
		t.Errorf("by hour: %d builds, %.0f hours; in all %d, %.0f", starts, hours, builds, got.Hours)
	}
}

func outcomes(f func(lifecycle.Snapshot) (time.Duration, lifecycle.JobStatus)) func(lifecycle.Snapshot) forecast.Outcome {
	return func(s lifecycle.Snapshot) forecast.Outcome {
		took, status := f(s)
		return forecast.Outcome{Took: took, Status: status}
	}
}

// fleetOf is a random fleet with people.
func fleetOf(seed uint64, n, weeks int) []forecast.Member {
	r := seeded(seed)
	var members []forecast.Member
	for i := range n {
		m := forecast.Member{Snapshot: r.Snapshot(i + 1)}
		for _, s := range r.Sessions(weeks) {
			m.Sessions = append(m.Sessions, forecast.Session{Begin: s[0], End: s[1]})
		}
		members = append(members, m)
	}
	return members
}

func TestSimulateDoesNotDependOnProcessors(t *testing.T) {
	members := fleetOf(5, 300, 2)
	c := forecast.SimulateConfig{Assumptions: forecast.Assumptions{Build: outcomes(seeded(1).Builds(5))}}
	pool := forecast.Candidate{Name: "pool", Pool: evenPool(2)}
	var texts []string
	for _, n := range []int{1, 2, 7} {
		c.Parallel = n
		s := simulate(t, members, monday.AddDate(0, 0, 14), c, forecast.Candidate{Name: "as it is"}, pool)
		texts = append(texts, string(must(json.Marshal(s))))
		if s.Results[1].Hits == 0 || s.Results[1].Hits >= s.Results[1].Claims {
			t.Errorf("the pool had %d of %d", s.Results[1].Hits, s.Results[1].Claims)
		}
	}
	if texts[0] != texts[1] || texts[0] != texts[2] {
		t.Error("the results differ")
	}
}

// Whoever comes back for a workspace that is gone waits for a new one.
func TestSimulateTellsWhoComesBack(t *testing.T) {
	s := stopped(ttl(time.Hour), policy(func(p *lifecycle.Policy) { p.TimeTilDormant, p.TimeTilAutodelete = 2*day, 2*day }))
	m := forecast.Member{Snapshot: s, Sessions: []forecast.Session{
		{at(1, 0), at(2, 0)}, {at(3*24, 0), at(3*24, 30)}, {at(10*24, 0), at(10*24, 30)},
	}}
	r := simulate(t, []forecast.Member{m}, monday.AddDate(0, 0, 20), forecast.SimulateConfig{}).Results[0]
	if r.Sessions != 3 || r.Cold != 3 || r.Woken != 1 || r.Dormancies != 3 || r.Deletions != 2 || r.Returns != 1 || r.Pain() != 1 {
		t.Errorf("%+v", r)
	}
}

func TestSimulateFirstSessionsAreNoPain(t *testing.T) {
	s := stopped(ttl(time.Hour), func(s *lifecycle.Snapshot) {
		s.Build, s.Workspace.CreatedAt = lifecycle.Build{}, at(5, 0)
	})
	m := forecast.Member{Snapshot: s, Sessions: []forecast.Session{{at(5, 0), at(5, 30)}, {at(5, 40), at(5, 50)}}}
	r := simulate(t, []forecast.Member{m}, at(24, 0), forecast.SimulateConfig{}).Results[0]
	if r.First != 1 || r.Cold != 0 || r.Sessions != 2 || r.Pain() != 0 || r.AlwaysHours != 19 || r.Hours != 61/60.0 {
		t.Errorf("%+v", r)
	}
}

// Three come at once, then one more: a pool of two serves two of them, and is full again a minute later.
func TestSimulatePool(t *testing.T) {
	var members []forecast.Member
	for n := range 4 {
		s := stopped(ttl(time.Hour), func(s *lifecycle.Snapshot) { s.Workspace.ID = id(100 + n) })
		begin := at(1, 0)
		if n == 3 {
			begin = at(1, 2)
		}
		members = append(members, forecast.Member{Snapshot: s, Sessions: []forecast.Session{{begin, begin.Add(time.Minute * 10)}}})
	}
	r := simulate(t, members, at(2, 0), forecast.SimulateConfig{HourCost: 1}, forecast.Candidate{Name: "two", Pool: evenPool(2)}).Results[0]
	if r.Claims != 4 || r.Hits != 3 || r.Cold != 4 || math.Abs(r.Pain()-0.25) > 1e-9 || math.Abs(r.WaitedHours-1/60.0) > 1e-9 {
		t.Errorf("%+v", r)
	}
	// Two for two hours, less two for a minute and one for another.
	if want := 4 - 3/60.0; math.Abs(r.PoolHours-want) > 1e-9 {
		t.Errorf("%v pool hours, want %v", r.PoolHours, want)
	}
	// Who comes for the first time takes one too, and is still no pain.
	members[0].Snapshot.Build = lifecycle.Build{}
	if r := simulate(t, members, at(2, 0), forecast.SimulateConfig{}, forecast.Candidate{Pool: evenPool(9)}).Results[0]; r.Hits != 4 || r.FirstHits != 1 || r.Cold != 3 || r.Pain() != 0 {
		t.Errorf("a large pool: %+v", r)
	}
	if r := simulate(t, members, at(2, 0), forecast.SimulateConfig{}, forecast.Candidate{Pool: evenPool(0)}).Results[0]; r.Hits != 0 || r.PoolHours != 0 {
		t.Errorf("an empty pool: %+v", r)
	}
}

// A stricter policy leaves the grace that it would leave in production.
func TestSimulateAPolicyLeavesItsGrace(t *testing.T) {
	s := stopped(policy(func(p *lifecycle.Policy) { p.TimeTilDormant = 90 * day }))
	s.Workspace.LastUsedAt = monday.Add(-30 * day)
	strict := s.Template.Policy
	strict.TimeTilDormant = 7 * day
	c, err := forecast.WithPolicy("strict", strict, monday)
	if err != nil {
		t.Fatal(err)
	}
	m := []forecast.Member{{Snapshot: s}}
	for until, want := range map[time.Time]int{at(1, 59): 0, at(2, 2): 1} {
		if got := simulate(t, m, until, forecast.SimulateConfig{}, c).Results[0].Dormancies; got != want {
			t.Errorf("until %v: %d dormancies, want %d", until, got, want)
		}
	}
	strict.TimeTilDormant = time.Second
	if _, err := forecast.WithPolicy("bad", strict, monday); !errors.Is(err, invalid.Err) {
		t.Errorf("a policy that is not valid: %v", err)
	}
}

func TestSimulateRefusesWhatMakesNoSense(t *testing.T) {
	for name, c := range map[string]struct {
		until  time.Time
		config forecast.SimulateConfig
	}{
		"no time":      {monday, forecast.SimulateConfig{}},
		"a slow tick":  {at(1, 0), forecast.SimulateConfig{Assumptions: forecast.Assumptions{Tick: day}}},
		"a bad beat":   {at(1, 0), forecast.SimulateConfig{Assumptions: forecast.Assumptions{Beat: -time.Second}}},
		"the past":     {monday.Add(-day), forecast.SimulateConfig{}},
		"another beat": {at(1, 0), forecast.SimulateConfig{Assumptions: forecast.Assumptions{Beat: -1}}},
	} {
		if _, err := forecast.Simulate(slices.Values([]forecast.Member(nil)), monday, c.until, nil, c.config); !errors.Is(err, invalid.Err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A span has a bound: what is counted for each minute of eight thousand years is more than any memory holds.
func TestSpanHasABound(t *testing.T) {
	none := slices.Values([]forecast.Member(nil))
	for until, ok := range map[time.Time]bool{monday.AddDate(10, 0, 0): true, monday.AddDate(10, 0, 0).Add(time.Nanosecond): false} {
		plan := planFor(stopped(), func(*lifecycle.Policy) {})
		plan.Change.At = monday
		for what, err := range map[string]error{
			"Simulate":    second(forecast.Simulate(none, monday, until, nil, forecast.SimulateConfig{})),
			"Forecast":    second(forecast.Forecast(slices.Values([]lifecycle.Snapshot(nil)), learn(monday, nil), monday, until, forecast.ForecastConfig{Draws: 1})),
			"ComparePlan": second(forecast.ComparePlan(plan, slices.Values([]lifecycle.Snapshot(nil)), until, forecast.PlanConfig{})),
		} {
			if errors.Is(err, invalid.Err) == ok || !ok && !strings.Contains(err.Error(), "10 years") {
				t.Errorf("%s until %v: %v", what, until, err)
			}
		}
	}
}

func TestFrontier(t *testing.T) {
	s := forecast.Simulation{Results: []forecast.Result{
		{Name: "dear", Hours: 100, Sessions: 10, Cold: 1},
		{Name: "worse", Hours: 60, Sessions: 10, Cold: 5},
		{Name: "cheap", Hours: 50, Sessions: 10, Cold: 4},
		{Name: "same", Hours: 50, Sessions: 10, Cold: 4},
	}}
	var names []string
	for _, r := range s.Frontier() {
		names = append(names, r.Name)
	}
	if got := strings.Join(names, " "); got != "cheap dear" {
		t.Errorf("frontier: %s", got)
	}
	for _, text := range []string{s.SVG("a <title>"), s.Text()} {
		if !strings.Contains(text, "cheap") || strings.Contains(text, "a <title>") {
			t.Errorf("%s", text)
		}
	}
}

// evenPool holds the same number at every hour.
func evenPool(n int) *forecast.PoolSizes {
	var p forecast.PoolSizes
	for i := range p {
		p[i] = n
	}
	return &p
}

// The names of points that are near each other do not lie on one another; each point has its title.
func TestSimulationDrawsNamesApart(t *testing.T) {
	var s forecast.Simulation
	for i := range 6 {
		s.Results = append(s.Results, forecast.Result{Name: fmt.Sprintf("a policy with a long name %d", i), Hours: 7000 + 30*float64(i), Sessions: 100, Cold: 40})
	}
	s.Results = append(s.Results, forecast.Result{Name: "always", Hours: 12000, Sessions: 100})
	svg := s.SVG("policies")
	if got := strings.Count(svg, "<title>"); got != 7 {
		t.Errorf("%d points have a title", got)
	}
	if got := strings.Count(svg, `>a policy with a long name`) - 6; got < 1 || got > 2 {
		t.Errorf("%d names in one place", got)
	}
	if !strings.Contains(svg, `text-anchor="end">always<`) {
		t.Error("the name of a point on the right must be on its left")
	}
}
