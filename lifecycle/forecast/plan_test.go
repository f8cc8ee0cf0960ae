package forecast_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// planFor is a policy plan of a template, made on monday.
func planFor(s lifecycle.Snapshot, change func(*lifecycle.Policy)) lifecycle.PolicyPlan {
	p := s.Template.Policy
	change(&p)
	return must(lifecycle.NewPolicyPlan(s.Template, lifecycle.PolicyChange{Policy: p}, monday))
}

func TestComparePlanTellsWhatFollows(t *testing.T) {
	s := stopped(autostart("CRON_TZ=Europe/Berlin 0 9 * * 1-5"), policy(func(p *lifecycle.Policy) { p.DefaultTTL, p.AllowUserTTL = 8*time.Hour, false }))
	plan := planFor(s, func(p *lifecycle.Policy) { p.DefaultTTL = 4 * time.Hour })
	other := s // of another template, to which nothing happens
	other.Workspace.ID, other.Template.ID = id(50), id(51)
	got := must(forecast.ComparePlan(plan, slices.Values([]lifecycle.Snapshot{s, other}), time.Time{}, forecast.PlanConfig{}))
	if got.Until.Sub(got.From) != 28*day || got.Affected != 1 || len(got.Differences) != 1 {
		t.Fatalf("%v to %v: %+v", got.From, got.Until, got.Differences)
	}
	want := forecast.PlanDifference{
		WorkspaceID: id(1), Workspace: "api", At: monday.Add(2*time.Hour + time.Minute),
		Present: "Mon 2026-03-02 09:01 CET  api is up, until 17:01", Planned: "Mon 2026-03-02 09:01 CET  api is up, until 13:01",
	}
	if got.Differences[0] != want {
		t.Errorf("got %+v", got.Differences[0])
	}
	if saved := got.Present.Hours - got.Planned.Hours; fmt.Sprintf("%.2f", saved) != "80.00" { // four hours on twenty days
		t.Errorf("%.2f h saved", saved)
	}
	text := got.Text()
	for _, part := range []string{"something else happens to 1 of 2 workspaces", "present policy", "planned policy", "  planned  " + want.Planned} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in\n%s", part, text)
		}
	}
	if svg := got.SVG("plan"); strings.Count(svg, `<path class="f"`) != 1 || strings.Count(svg, `<path class="a"`) != 1 || strings.Contains(svg, "NaN") {
		t.Errorf("%s", svg)
	}
	var back forecast.PlanComparison
	if err := json.Unmarshal(must(json.Marshal(got)), &back); err != nil || back.Differences[0] != want || back.Planned.Hours != got.Planned.Hours {
		t.Errorf("reads back with %v", err)
	}
}

// What the planned policy does is what Simulate says of the same policy; a plan that changes nothing affects nobody.
func TestComparePlanAgreesWithSimulate(t *testing.T) {
	r := seeded(11)
	template := stopped().Template
	var fleet []lifecycle.Snapshot
	var members []forecast.Member
	for n := range 60 {
		s := r.Snapshot(n + 1)
		s.Template, s.Workspace.TemplateID = template, template.ID
		if s.Build.Transition == lifecycle.TransitionStart && s.Build.Deadline.IsZero() {
			s.Build.Deadline = monday.Add(5 * time.Hour) // any plan would give one to a run that lacks it
		}
		fleet, members = append(fleet, s), append(members, forecast.Member{Snapshot: s})
	}
	until := monday.Add(21 * day)
	plan := must(lifecycle.NewPolicyPlan(template, lifecycle.PolicyChange{Policy: r.Policy()}, monday))
	got := must(forecast.ComparePlan(plan, slices.Values(fleet), until, forecast.PlanConfig{List: 5}))
	s := must(forecast.Simulate(slices.Values(members), monday, until, []forecast.Candidate{
		{Name: "present policy"}, must(forecast.WithPolicy("planned policy", plan.Change.Policy, monday)),
	}, forecast.SimulateConfig{}))
	if have := []forecast.Result{got.Present, got.Planned}; fmt.Sprint(have) != fmt.Sprint(s.Results) {
		t.Errorf("got\n%+v\nwant\n%+v", have, s.Results)
	}
	if got.Affected < 20 || len(got.Differences) != 5 || !slices.IsSortedFunc(got.Differences, func(a, b forecast.PlanDifference) int { return a.At.Compare(b.At) }) {
		t.Errorf("%d are affected, %d listed", got.Affected, len(got.Differences))
	}
	if !strings.Contains(got.Text(), fmt.Sprintf("and %d more", got.Affected-5)) {
		t.Errorf("%s", got.Text())
	}
	same := must(lifecycle.NewPolicyPlan(template, lifecycle.PolicyChange{Policy: template.Policy}, monday))
	if got := must(forecast.ComparePlan(same, slices.Values(fleet), until, forecast.PlanConfig{})); got.Affected != 0 || len(got.Differences) != 0 {
		t.Errorf("nothing changes, yet %s", got.Text())
	}
}

// With behavior people work under both policies, on the same days.
func TestComparePlanWithPeople(t *testing.T) {
	fleet, pasts := team(20, func(int) []forecast.Session { return workdays(monday, 8) })
	plan := planFor(fleet[0], func(p *lifecycle.Policy) { p.ActivityBump = 4 * time.Hour })
	var texts []string
	for _, parallel := range []int{1, 4} {
		c := forecast.PlanConfig{Behavior: learn(monday, pasts)}
		c.Parallel = parallel
		got := must(forecast.ComparePlan(plan, slices.Values(fleet), monday.Add(7*day), c))
		if got.Present.Sessions < 80 || got.Present.Sessions != got.Planned.Sessions || got.Planned.Hours < got.Present.Hours+150 || got.Affected*5 != got.Present.Sessions {
			t.Errorf("%d sessions, %d affected\n%s", got.Present.Sessions, got.Affected, got.Text())
		}
		texts = append(texts, string(must(json.Marshal(got))))
	}
	if texts[0] != texts[1] {
		t.Error("it depends on how many goroutines work")
	}
}

func TestComparePlanRefuses(t *testing.T) {
	plan := planFor(stopped(), func(*lifecycle.Policy) {})
	none := slices.Values([]lifecycle.Snapshot(nil))
	bad := forecast.PlanConfig{}
	bad.Tick = -1
	for name, err := range map[string]error{
		"a plan without an instant": second(forecast.ComparePlan(lifecycle.PolicyPlan{}, none, monday, forecast.PlanConfig{})),
		"an end before the plan":    second(forecast.ComparePlan(plan, none, monday, forecast.PlanConfig{})),
		"a list of less than none":  second(forecast.ComparePlan(plan, none, time.Time{}, forecast.PlanConfig{List: -1})),
		"bad assumptions":           second(forecast.ComparePlan(plan, none, time.Time{}, bad)),
	} {
		if !errors.Is(err, invalid.Err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := forecast.ComparePlan(plan, none, time.Time{}, forecast.PlanConfig{}); err != nil || got.Affected != 0 || got.SVG("") == "" {
		t.Errorf("an empty template: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }
