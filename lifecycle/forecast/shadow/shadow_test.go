package shadow_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/shadow"
)

// running is a workspace that has run since monday and stops after eight hours.
func running(edits ...edit) lifecycle.Snapshot {
	s := stopped(append([]edit{ttl(8 * time.Hour), func(s *lifecycle.Snapshot) {
		b := &s.Build
		b.Transition, b.Reason, b.Number = lifecycle.TransitionStart, lifecycle.ReasonManual, 5
		b.CreatedAt, b.CompletedAt, b.Deadline = monday.Add(-time.Minute), monday, monday.Add(8*time.Hour)
		s.Workspace.LastUsedAt = monday
	}}, edits...)...)
	return s
}

func begin(t *testing.T) *shadow.Comparison {
	t.Helper()
	return must(shadow.New(monday, shadow.Config{}))
}

func TestShadowVerdicts(t *testing.T) {
	stop, start := lifecycle.TransitionStop, lifecycle.TransitionStart
	at := func(hours float64) time.Time { return monday.Add(time.Duration(hours * float64(time.Hour))) }
	for _, c := range []struct {
		name  string
		s     lifecycle.Snapshot
		looks []float64 // hours from monday
		did   lifecycle.Transition
		at    float64
		want  string
		hours float64
	}{
		{"both at once", running(), []float64{7, 8}, stop, 8.05, "", 0.05},
		{"the scheduler an hour late", running(), []float64{8, 8.5}, stop, 9, "Mon 2026-03-02 14:00 UTC  api: stop by the rules (autostop), 1h before the scheduler", 1},
		{"the scheduler three hours early", running(), []float64{1}, stop, 5, "Mon 2026-03-02 11:00 UTC  api: stop by the scheduler, 3h before the rules (autostop)", -3},
		{"nobody asks the rules to stop it", running(ttl(0), func(s *lifecycle.Snapshot) { s.Build.Deadline = time.Time{} }), []float64{1}, stop, 5, "Mon 2026-03-02 11:00 UTC  api: stop by the scheduler alone", 0},
		{"the scheduler never stops it", running(), []float64{8, 30}, 0, 0, "Mon 2026-03-02 14:00 UTC  api: stop by the rules alone (autostop), due until Wed 2026-03-04 06:00 UTC", 40},
		{"started an hour sooner", stopped(autostart("0 9 * * *")), nil, start, 2, "Mon 2026-03-02 08:00 UTC  api: start by the scheduler, 1h before the rules (autostart)", 1},
		{"stopped where the rules would have started", stopped(autostart("0 9 * * *")), []float64{3}, stop, 4, "Mon 2026-03-02 09:00 UTC  api: start by the rules alone (autostart), due until 10:00", 0},
		{"deleted by the scheduler alone", stopped(), nil, lifecycle.TransitionDelete, 1, "Mon 2026-03-02 07:00 UTC  api: delete by the scheduler alone", 0},
		{
			"put to sleep later", stopped(policy(func(p *lifecycle.Policy) { p.TimeTilDormant = 12 * time.Hour })),
			[]float64{0, 1},
			lifecycle.TransitionNone, 2, "Mon 2026-03-02 06:00 UTC  api: dormancy by the rules (dormancy), 2h before the scheduler", 0,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := begin(t)
			for _, h := range c.looks {
				s.Look(c.s, at(h))
			}
			if c.at > 0 {
				s.Acted(c.s, c.did, at(c.at))
			}
			r := s.Report(monday.Add(2 * day))
			got := ""
			if len(r.Differences) > 0 {
				got = r.Differences[0].String()
			}
			if got != c.want {
				t.Errorf("got %q\nwant %q", got, c.want)
			}
			if hours := r.StopHours + r.StartHours; hours-c.hours > 1e-4 || c.hours-hours > 1e-4 {
				t.Errorf("%v hours, want %v", hours, c.hours)
			}
			if r.Workspaces != 1 || !strings.Contains(r.Text(), c.want) {
				t.Errorf("%d workspaces:\n%s", r.Workspaces, r.Text())
			}
		})
	}
}

// Whoever works on after the rules would have stopped the workspace is counted: that is what one looks for before a switch.
func TestShadowTellsOfPeopleAtWork(t *testing.T) {
	s, w := begin(t), running()
	s.Look(w, monday.Add(8*time.Hour))
	w.Workspace.LastUsedAt = monday.Add(9 * time.Hour)
	w.Build.Deadline = monday.Add(12 * time.Hour) // somebody extended it
	s.Look(w, monday.Add(9*time.Hour))
	s.Acted(w, lifecycle.TransitionStop, monday.Add(12*time.Hour))
	r := s.Report(monday.Add(day))
	if r.InUse != 1 || r.Stop.OnlyRules != 1 || r.Stop.Same != 1 || !strings.HasSuffix(r.Differences[0].String(), "; somebody was at work") {
		t.Errorf("%s", r.Text())
	}
}

// A scheduler that does what the rules do differs in nothing, whatever the fleet and however often it is looked at.
func TestShadowOfTheRulesThemselves(t *testing.T) {
	const workspaces = 150
	r := seeded(9)
	s := begin(t)
	builds := r.Builds(20)
	a := forecast.Assumptions{Build: func(s lifecycle.Snapshot) forecast.Outcome {
		took, status := builds(s)
		return forecast.Outcome{Took: took, Status: status}
	}}
	until, acted := monday.Add(21*day), 0
	for n := range workspaces {
		w := r.Snapshot(n + 1)
		w.Engine.Interval = time.Minute
		now := monday
		for step := range forecast.Upcoming(w, monday, until, a) {
			for range 3 { // looks in between
				if now = now.Add(time.Duration(r.IntN(200)) * time.Minute).Truncate(time.Minute); now.Before(step.At) {
					s.Look(w, now)
				}
			}
			if step.Rule != lifecycle.RuleNone && (step.Kind == forecast.KindBuild || step.Kind == forecast.KindDormant) {
				s.Acted(w, step.Transition, step.At)
				acted++
			}
			w, now = step.After, step.At
		}
	}
	got := s.Report(until)
	same := got.Start.Same + got.Stop.Same + got.Delete.Same + got.Dormancy.Same
	if len(got.Differences) > 0 || same != acted || acted < 600 || got.Dormancy.Same == 0 || got.Delete.Same == 0 {
		t.Errorf("%d transitions, %d the same\n%s", acted, same, got.Text())
	}
}

func TestShadowListsSoManyAndCountsAll(t *testing.T) {
	s := must(shadow.New(monday, shadow.Config{List: 3}))
	for n := range 30 {
		w := running()
		w.Workspace.ID = id(n + 100)
		s.Look(w, monday.Add(8*time.Hour))
	}
	before := s.Report(monday.Add(9 * time.Hour))
	if len(before.Differences) != 3 || before.Omitted != 27 || before.Stop.OnlyRules != 30 || before.Workspaces != 30 {
		t.Errorf("%+v", before.Stop)
	}
	if !strings.Contains(before.Text(), "and 27 more") {
		t.Errorf("%s", before.Text())
	}
	text := must(json.Marshal(before))
	var back shadow.Report
	if err := json.Unmarshal(text, &back); err != nil || string(must(json.Marshal(back))) != string(text) {
		t.Errorf("%v: %s", err, text)
	}
	if again := s.Report(monday.Add(9 * time.Hour)); again.Stop != before.Stop || again.Workspaces != 30 {
		t.Error("a report must change nothing")
	}
}

func TestShadowRefusesBadConfig(t *testing.T) {
	for _, c := range []shadow.Config{{Tolerance: -1}, {List: -1}, {Assumptions: forecast.Assumptions{Beat: -1}}} {
		if _, err := shadow.New(monday, c); !errors.Is(err, invalid.Err) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// The whole text, of a comparison with each of the verdicts.
func TestReportInWords(t *testing.T) {
	s := begin(t)
	workspace := func(n int, edits ...edit) lifecycle.Snapshot {
		w := running(edits...)
		w.Workspace.ID, w.Workspace.Name = id(100+n), string(rune('a'+n))
		return w
	}
	at := func(hours float64) time.Time { return monday.Add(time.Duration(hours * float64(time.Hour))) }
	same, sooner, later, alone, gone := workspace(0), workspace(1), workspace(2), workspace(3), workspace(4)
	berlin := time.FixedZone("CET", 3600)
	s.Look(same, at(8))
	s.Acted(same, lifecycle.TransitionStop, at(8).Add(5*time.Minute).In(berlin)) // the tolerance is in
	s.Look(sooner, at(8))
	sooner.Workspace.LastUsedAt = at(8.5)
	s.Acted(sooner, lifecycle.TransitionStop, at(8).Add(5*time.Minute+time.Second).In(berlin)) // and no more
	s.Acted(later, lifecycle.TransitionStop, at(7))
	s.Acted(alone, lifecycle.TransitionDelete, at(7))
	s.Look(gone, at(8))
	got := s.Report(at(24)).Text()
	want := strings.TrimPrefix(`
5 workspaces, Mon 2026-03-02 06:00 UTC to Tue 2026-03-03 06:00 UTC
               same   rules sooner    rules later   rules only   scheduler only
start             0              0              0            0                0
stop              1              1              1            1                0
delete            0              0              0            0                1
dormancy          0              0              0            0                0
Workspaces ran 15.2 h longer than with the rules' stops, and 0.0 h longer than with their starts.
Somebody still worked after 1 of the stops, dormancies and deletions that the rules would have made.
Mon 2026-03-02 14:00 UTC  b: stop by the rules (autostop), 5m 1s before the scheduler; somebody was at work
Mon 2026-03-02 13:00 UTC  c: stop by the scheduler, 1h before the rules (autostop)
Mon 2026-03-02 13:00 UTC  d: delete by the scheduler alone
Mon 2026-03-02 14:00 UTC  e: stop by the rules alone (autostop), due until Tue 2026-03-03 06:00 UTC
`, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	one := shadow.Difference{Workspace: "a", Action: shadow.Start, Verdict: shadow.Same, Did: monday}
	if text := one.String(); text != "Mon 2026-03-02 06:00 UTC  a: start by both" {
		t.Errorf("%s", text)
	}
}

// Of what waits at the end the longest comes first, and a report that was given does not change.
func TestReportsAreInOrder(t *testing.T) {
	s := begin(t)
	for _, n := range []int{3, 1, 2} {
		w := running()
		w.Workspace.ID, w.Build.Deadline = id(100+n), monday.Add(time.Duration(n)*time.Hour)
		s.Look(w, monday.Add(4*time.Hour))
	}
	first := s.Report(monday.Add(5 * time.Hour))
	for i, d := range first.Differences {
		if d.WorkspaceID != id(101+i) {
			t.Errorf("%d: %v", i, d)
		}
	}
	for n := range 30 {
		w := running()
		w.Workspace.ID = id(200 + n)
		s.Acted(w, lifecycle.TransitionDelete, monday)
		s.Report(monday.Add(5 * time.Hour))
	}
	if len(first.Differences) != 3 || first.Workspaces != 3 || first.Delete.OnlyScheduler != 0 {
		t.Errorf("the first report has become %+v", first)
	}
}

// An extension that the rules would have made is taken as made, a start that is too late as given up, not as wanted.
func TestLookGoesOnAfterWhatIsNoTransition(t *testing.T) {
	extended := running(autostart("0 13 * * *"), policy(func(p *lifecycle.Policy) { p.ExtendAtAutostart = true }))
	s := begin(t)
	s.Look(extended, monday.Add(9*time.Hour)) // the deadline was at eight hours; from seven on it is at fifteen
	if r := s.Report(monday.Add(9 * time.Hour)); r.Workspaces != 0 {
		t.Errorf("it runs on, yet\n%s", r.Text())
	}
	s.Look(extended, monday.Add(15*time.Hour))
	if r := s.Report(monday.Add(16 * time.Hour)); r.Stop.OnlyRules != 1 || !r.Differences[0].Would.Equal(monday.Add(15*time.Hour)) {
		t.Errorf("%s", r.Text())
	}
	late := stopped(autostart("0 9 * * *"), policy(func(p *lifecycle.Policy) { p.MaxLateness = time.Hour }))
	s = begin(t)
	s.Look(late, monday.Add(5*time.Hour))
	if r := s.Report(monday.Add(6 * time.Hour)); r.Workspaces != 0 {
		t.Errorf("it is too late to start it, yet\n%s", r.Text())
	}
	s.Look(late, monday.Add(3*time.Hour))
	s.Look(late, monday.Add(5*time.Hour)) // it was wanted, and the scheduler did not do it
	if r := s.Report(monday.Add(6 * time.Hour)); r.Start.OnlyRules != 1 || !r.Differences[0].Gone.Equal(monday.Add(6*time.Hour)) {
		t.Errorf("%s", r.Text())
	}
}

// Nobody is cut off by a start, and not by a stop at the very instant at which they left.
func TestInUseIsAboutStops(t *testing.T) {
	s, w := begin(t), stopped(autostart("0 9 * * *"))
	s.Look(w, monday.Add(3*time.Hour))
	w.Workspace.LastUsedAt = monday.Add(4 * time.Hour)
	s.Acted(w, lifecycle.TransitionDelete, monday.Add(5*time.Hour))
	stop := running()
	stop.Workspace.ID = id(77)
	s.Look(stop, monday.Add(8*time.Hour))
	stop.Workspace.LastUsedAt = monday.Add(8 * time.Hour)
	s.Acted(stop, lifecycle.TransitionStop, monday.Add(10*time.Hour))
	if r := s.Report(monday.Add(day)); r.InUse != 0 || r.Start.OnlyRules != 1 || r.Stop.Sooner != 1 {
		t.Errorf("%s", r.Text())
	}
}
