package webui_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/webuitest"
)

// number reads one of the four numbers.
func number(t *testing.T, text, what string) int {
	t.Helper()
	m := regexp.MustCompile(`<b><a href="[^"]*">([0-9,]+)</a></b><span>` + what).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no number of %q", what)
	}
	n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The four numbers are what the engine says of each workspace.
func TestNumbersAgreeWithTheEngine(t *testing.T) {
	fleet := scripted()
	text := page(t, newPages(t, fleet, webui.Config{Capacity: webuitest.Capacity}), "/")
	running, due, overdue, attention := 0, 0, 0, 1 // the brake, which the fleet has
	for _, s := range all(t, fleet) {
		switch s.Status() {
		case lifecycle.StatusRunning:
			running++
		case lifecycle.StatusNeedsAttention:
			attention++
		case lifecycle.StatusFailed:
			if r := ruleOf(s, lifecycle.RuleStartRetry); strings.Contains(r.Because, "tries ended") {
				attention++
			}
		}
		if late(s) {
			overdue++
			continue
		}
		for step := range forecast.Upcoming(s, morning, morning.Add(time.Hour+1), forecast.Assumptions{}) {
			if step.Kind == forecast.KindBuild || step.Kind == forecast.KindDormant {
				due++
			}
		}
	}
	for _, c := range []struct {
		what string
		want int
	}{{"running now", running}, {"due in the next hour", due}, {"overdue", overdue}, {"need attention", attention}} {
		if got := number(t, text, c.what); got != c.want {
			t.Errorf("%s: the page says %d, the engine %d", c.what, got, c.want)
		}
	}
	if running == 0 || due == 0 || overdue == 0 || attention < 3 {
		t.Errorf("the fleet shows too little: %d running, %d due, %d overdue, %d need attention", running, due, overdue, attention)
	}
}

func ruleOf(s lifecycle.Snapshot, rule lifecycle.Rule) lifecycle.RuleExplanation {
	for _, r := range lifecycle.Explain(s, morning).Rules {
		if r.Rule == rule {
			return r
		}
	}
	return lifecycle.RuleExplanation{}
}

// late asks Explain what the page asks Evaluate.
func late(s lifecycle.Snapshot) bool {
	if s.Build.Status == lifecycle.JobPending && !s.Build.DueAt.IsZero() {
		return morning.Sub(s.Build.DueAt) > 2*time.Minute
	}
	braked := s.Workspace.Backoff.Cause == lifecycle.SkipBrake
	s.Workspace.Backoff = lifecycle.Backoff{}
	d := lifecycle.Decide(s, morning)
	if braked && d.Transition == lifecycle.TransitionDelete {
		return false
	}
	return d.Acts() && d.Rule < lifecycle.RuleReminder && morning.Sub(d.DueAt) > 2*time.Minute
}

// A bar is the most at once in its hour, counted here from the steps of each workspace.
func TestBarsAgreeWithUpcoming(t *testing.T) {
	fleet := scripted()
	text := page(t, newPages(t, fleet, webui.Config{Zone: berlin}), "/")
	bars := regexp.MustCompile(`<g><title>\w+ \d+ \d\d:\d\d: (\d+)`).FindAllStringSubmatch(text, -1)
	if len(bars) != 7*24 {
		t.Fatalf("%d bars, want one for each hour of a week", len(bars))
	}
	from := morning.Truncate(time.Hour)
	most := mostByHour(all(t, fleet), from)
	for i, b := range bars {
		if got := b[1]; got != strconv.Itoa(most[i]) {
			t.Errorf("%s: the bar says %s, the steps %d", from.Add(time.Duration(i)*time.Hour), got, most[i])
		}
	}
	if slices.Max(most) < 50 || slices.Min(most) > 10 {
		t.Errorf("from %d to %d: nothing to see", slices.Min(most), slices.Max(most))
	}
}

// mostByHour sweeps over the instants at which workspaces come up and go down, in minutes as the simulation does.
func mostByHour(fleet []lifecycle.Snapshot, from time.Time) []int {
	const minutes = 7 * 24 * 60
	change := make([]int, minutes+1)
	minute := func(at time.Time) int { return min(max(int(at.Sub(from)/time.Minute), 0), minutes) }
	for _, s := range fleet {
		up := ran(s)
		if up {
			change[0]++
		}
		for step := range forecast.Upcoming(s, from, from.Add(minutes*time.Minute), forecast.Assumptions{}) {
			if now := ran(step.After); now != up {
				change[minute(step.At)] += map[bool]int{true: 1, false: -1}[now]
				up = now
			}
		}
	}
	most, running := make([]int, 7*24), 0
	for i := range most {
		for _, c := range change[i*60 : i*60+60] {
			running += c
			most[i] = max(most[i], running)
		}
	}
	return most
}

// ran reports whether compute is up.
func ran(s lifecycle.Snapshot) bool {
	return !s.Build.RunSince.IsZero() || s.Build.Transition == lifecycle.TransitionStart && s.Build.Status == lifecycle.JobSucceeded
}

// What is planned in a lane is where Upcoming puts it, and what a lane says comes next is its first step.
func TestLanesAgreeWithUpcoming(t *testing.T) {
	fleet := scripted()
	h := newPages(t, fleet, webui.Config{Zone: berlin})
	for _, name := range []string{"lyra", "quill", "atlas", "pixel"} {
		s := named(t, fleet, name)
		lane := laneOf(t, page(t, h, "/?q="+name), s.Workspace.ID)
		var want []string
		up, since := ran(s), morning
		until := morning.Add(24 * time.Hour)
		for step := range forecast.Upcoming(s, morning, until, forecast.Assumptions{}) {
			if now := ran(step.After); now != up && !step.After.Build.Status.Active() {
				if up {
					want = append(want, planBar(since, step.At))
				}
				up, since = now, step.At
			}
		}
		if up {
			want = append(want, planBar(since, until))
		}
		got := regexp.MustCompile(`<rect class="plan" x="([\d.]+%)" width="([\d.]+%)"`).FindAllString(lane, -1)
		if !slices.Equal(got, want) {
			t.Errorf("%s: planned to run\n%q, by its steps\n%q", name, got, want)
		}
	}
}

func laneOf(t *testing.T, text string, id uuid.UUID) string {
	t.Helper()
	return between(t, text, `id="l-`+id.String()+`"`, "</li>")
}

func planBar(from, until time.Time) string {
	x := func(t time.Time) float64 {
		return 100 * float64(t.Sub(morning.Add(-24*time.Hour))) / float64(48*time.Hour)
	}
	return fmt.Sprintf(`<rect class="plan" x="%.3f%%" width="%.3f%%"`, x(from), x(until)-x(from))
}

// Why says what Explain says, word for word.
func TestWhyIsExplain(t *testing.T) {
	fleet := scripted()
	h := newPages(t, fleet, webui.Config{})
	for _, s := range all(t, fleet)[:30] {
		x := lifecycle.Explain(s, morning)
		why := between(t, page(t, h, "/?why="+s.Workspace.ID.String()), `<section id="why"`, "</section>")
		texts := []string{x.Summary, x.Error}
		texts = append(texts, x.Holds...)
		for _, r := range x.Rules {
			texts = append(texts, r.Compared, r.Because, string(r.Verdict))
		}
		for _, want := range texts {
			if !strings.Contains(unescaped(why), want) {
				t.Errorf("%s: Why lacks %q", s.Workspace.Name, want)
			}
		}
	}
}

func unescaped(html string) string {
	return strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&#43;", "+", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(html)
}

// Overdue is what is due and was not done: by no tick, for a back-off, or by no worker. What is held is not, nor what somebody
// asked for by hand.
func TestOverdue(t *testing.T) {
	ago := func(d time.Duration) time.Time { return morning.Add(-d) }
	start := func(s *lifecycle.Snapshot) {
		s.Build = lifecycle.Build{Number: 1, Transition: lifecycle.TransitionStart, Status: lifecycle.JobSucceeded, CreatedAt: ago(5 * time.Hour), CompletedAt: ago(5 * time.Hour), RunSince: ago(5 * time.Hour)}
	}
	for name, c := range map[string]struct {
		set  func(*lifecycle.Snapshot)
		want bool
	}{
		"a deadline that no tick saw": {func(s *lifecycle.Snapshot) { start(s); s.Build.Deadline = ago(3 * time.Minute) }, true},
		"a deadline of a minute ago":  {func(s *lifecycle.Snapshot) { start(s); s.Build.Deadline = ago(time.Minute) }, false},
		"a deadline to come":          {func(s *lifecycle.Snapshot) { start(s); s.Build.Deadline = ago(-time.Minute) }, false},
		"a stop that is put off": {func(s *lifecycle.Snapshot) {
			start(s)
			s.Build.Deadline = ago(time.Hour)
			s.Workspace.Backoff.Until = ago(-time.Hour)
		}, true},
		"a deletion behind the brake": {func(s *lifecycle.Snapshot) {
			s.Template.Policy.TimeTilAutodelete = time.Hour
			s.Workspace.DormantAt, s.Workspace.DeletingAt = ago(2*time.Hour), ago(time.Hour)
			s.Workspace.Backoff = lifecycle.Backoff{Until: ago(-time.Hour), Cause: lifecycle.SkipBrake}
		}, false},
		"a deletion that no tick saw": {func(s *lifecycle.Snapshot) {
			s.Template.Policy.TimeTilAutodelete = time.Hour
			s.Workspace.DormantAt, s.Workspace.DeletingAt = ago(2*time.Hour), ago(time.Hour)
		}, true},
		"a stop that is held": {func(s *lifecycle.Snapshot) {
			start(s)
			s.Build.Deadline = ago(time.Hour)
			s.Workspace.Hold.Until = ago(-time.Hour)
		}, false},
		"a start that nobody takes": {func(s *lifecycle.Snapshot) {
			start(s)
			s.Build.Status, s.Build.DueAt, s.Build.Reason = lifecycle.JobPending, ago(time.Hour), lifecycle.ReasonAutostart
		}, true},
		"a start by hand that nobody takes": {func(s *lifecycle.Snapshot) {
			start(s)
			s.Build.Status, s.Build.Reason = lifecycle.JobPending, lifecycle.ReasonManual
		}, false},
		"a start that is under way": {func(s *lifecycle.Snapshot) {
			start(s)
			s.Build.Status, s.Build.DueAt = lifecycle.JobRunning, ago(time.Hour)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var s lifecycle.Snapshot
			s.Workspace = lifecycle.NewWorkspace(uuid.New(), lifecycle.Template{}, uuid.New(), "one", ago(24*time.Hour))
			c.set(&s)
			text := page(t, newPages(t, &static{list: []lifecycle.Snapshot{s}}, webui.Config{}), "/")
			if got := number(t, text, "overdue") == 1; got != c.want {
				t.Errorf("overdue: %v, want %v", got, c.want)
			}
			if got := strings.Contains(laneOf(t, text, s.Workspace.ID), `class="late"`); got != c.want {
				t.Errorf("the lane shows it: %v, want %v", got, c.want)
			}
		})
	}
}

// Compare shows the two simulations, and changes nothing.
func TestCompareAgreesWithSimulate(t *testing.T) {
	fleet := scripted()
	lyra := named(t, fleet, "lyra")
	text := page(t, newPages(t, fleet, webui.Config{}), "/?compare=1&ttl=2h&max=3h&t="+lyra.Template.ID.String())
	from := morning.Truncate(time.Hour)
	next := lyra.Template.Policy
	next.DefaultTTL, next.MaxRuntime = 2*time.Hour, 3*time.Hour
	change, err := forecast.WithPolicy("change", next, from)
	if err != nil {
		t.Fatal(err)
	}
	members := func(yield func(forecast.Member) bool) {
		for _, s := range all(t, fleet) {
			if s.Template.ID == lyra.Template.ID && !yield(forecast.Member{Snapshot: s}) {
				return
			}
		}
	}
	sim, err := forecast.Simulate(members, from, from.Add(7*24*time.Hour), []forecast.Candidate{{Name: "now"}, change}, forecast.SimulateConfig{})
	if err != nil {
		t.Fatal(err)
	}
	row := between(t, text, "hours run in seven days</th>", "</tr>")
	for _, r := range sim.Results {
		hours := strconv.Itoa(int(r.Hours + .5))
		if len(hours) > 3 {
			hours = hours[:len(hours)-3] + "," + hours[len(hours)-3:]
		}
		if !strings.Contains(row, ">"+hours+"<") {
			t.Errorf("%s: %s hours are not in %s", r.Name, hours, row)
		}
	}
	if sim.Results[0].Hours <= sim.Results[1].Hours {
		t.Errorf("the change saves nothing: %+v", sim.Results)
	}
}

// What cannot be a policy is said beside the form.
func TestCompareRefuses(t *testing.T) {
	fleet := scripted()
	h := newPages(t, fleet, webui.Config{})
	id := named(t, fleet, "lyra").Template.ID.String()
	for _, c := range []struct{ values, want string }{
		{"ttl=soon", "no duration"}, {"ttl=-1h", "Policy.DefaultTTL"}, {"dormant=1s", "Policy.TimeTilDormant"}, {"max=1e9h", "no duration"},
	} {
		text := unescaped(between(t, page(t, h, "/?compare=1&"+c.values+"&t="+id), `<section id="compare"`, "</section>"))
		if !strings.Contains(text, c.want) || strings.Contains(text, "In numbers") {
			t.Errorf("%s: no %q in %s", c.values, c.want, text)
		}
	}
}
