package lint_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
)

// A verb's caller is told of what the verb does, not of what has been so for long.
func TestChangeTellsWhatIsNew(t *testing.T) {
	before := usual(thresholds(7*day, time.Minute)) // deletes_untold
	after := before
	autostart("CRON_TZ=Europe/Berlin 30 2 * * *")(&after)
	got := lint.Change(before, after, monday, lint.Config{})
	if len(got) != 1 || got[0].Code != lint.ClockGap || strings.Count(got.Text(), "\n") != 1 {
		t.Errorf("got %v", got)
	}
	if got := lint.Change(after, after, monday, lint.Config{}); len(got) != 0 {
		t.Errorf("nothing was changed: %v", got)
	}
	if got := lint.Change(after, usual(), monday, lint.Config{}); len(got) != 0 {
		t.Errorf("everything was cured: %v", got)
	}
}

func TestPlanCountsWorkspaces(t *testing.T) {
	var fleet []lifecycle.Snapshot
	for i, spec := range []string{"0 9 * * 1-5", "0 9 * * 6,0", "0 9 * * *", ""} {
		s := usual(stored(spec))
		if spec == "" {
			s.Workspace.Autostart = nil
		}
		s.Workspace.ID, s.Workspace.Name = id(100+i), string(rune('a'+i))
		fleet = append(fleet, s)
	}
	p := fleet[0].Template.Policy
	p.AutostartDays, p.TimeTilAutodelete = 0x1f, time.Hour
	plan := must(lifecycle.NewPolicyPlan(fleet[0].Template, lifecycle.PolicyChange{Policy: p}, monday))
	got := lint.Plan(plan, slices.Values(fleet), lint.Config{})
	want := []string{"deletes_untold 4 a", "forbidden_days 1 c", "never_fires 1 b"}
	var have []string
	for _, w := range got {
		have = append(have, strings.Join([]string{string(w.Code), string(rune('0' + w.Workspaces)), w.First}, " "))
	}
	if !slices.Equal(have, want) {
		t.Errorf("got %q, want %q\n%s", have, want, got.Text())
	}
	if text := got.Text(); !strings.HasPrefix(text, "4 workspaces (a first): Policy.TimeTilAutodelete (1h): ") || strings.Count(text, "\n") != 3 {
		t.Errorf("%s", text)
	}
	var back lint.PlanWarnings
	if err := json.Unmarshal(must(json.Marshal(got)), &back); err != nil || !slices.Equal(back, got) {
		t.Errorf("%v: %v", err, back)
	}
}

// A policy is told of what is wrong with it before anybody has a workspace.
func TestPlanOfAnEmptyTemplate(t *testing.T) {
	s := usual()
	p := s.Template.Policy
	p.TimeTilDormant = 0
	plan := must(lifecycle.NewPolicyPlan(s.Template, lifecycle.PolicyChange{Policy: p}, monday))
	got := lint.Plan(plan, slices.Values([]lifecycle.Snapshot(nil)), lint.Config{})
	if len(got) != 1 || got[0].Code != lint.NeverFires || got[0].Workspaces != 0 || !strings.HasPrefix(got.Text(), "Policy.TimeTilAutodelete") {
		t.Errorf("got %v", got)
	}
}

func TestChangeTellsOfHoldsThatAreOver(t *testing.T) {
	hold := func(until time.Time) lifecycle.Snapshot {
		return usual(func(s *lifecycle.Snapshot) {
			s.Workspace.Hold.Until, s.Template.Hold.Until, s.Engine.Hold.Until = until, until, until
		})
	}
	var got []string
	for _, w := range lint.Change(usual(), hold(monday), monday, lint.Config{}) {
		got = append(got, w.Setting)
	}
	if want := []string{"Workspace.Hold", "Template.Hold", "Engine.Hold"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for name, c := range map[string][2]lifecycle.Snapshot{
		"an end to come":     {usual(), hold(monday.Add(1))},
		"set long ago":       {hold(monday.Add(-day)), hold(monday.Add(-day))},
		"taken off":          {hold(monday.Add(-day)), usual()},
		"over since it held": {hold(monday.Add(day)), usual()},
	} {
		if got := lint.Change(c[0], c[1], monday, lint.Config{}); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
}
