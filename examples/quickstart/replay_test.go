package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// replayed runs a replay to its end.
func replayed(t *testing.T, args ...string) *replay {
	t.Helper()
	r := prepared(t, args...)
	if err := r.run(t.Context(), func(time.Time) {}); err != nil {
		t.Fatal(err)
	}
	return r
}

func prepared(t *testing.T, args ...string) *replay {
	t.Helper()
	s, err := parse(append([]string{"-html", ""}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	r, err := prepare(t.Context(), &s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestNothingDueIsMissed asks the rules about every workspace, not only those whose wake has come, after ticks now and
// then: what is due must have been done.
func TestNothingDueIsMissed(t *testing.T) {
	r := prepared(t, "-days", "4", "-set", "frugal.dormant=1d", "-set", "frugal.delete=1d")
	asked := 0
	for now := r.start; !now.After(r.end); now = now.Add(tickEvery) {
		if err := r.step(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if now.Minute()%20 != 0 {
			continue
		}
		all, err := r.store.List(t.Context(), lifecycle.ListQuery{Limit: 10_000})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			asked++
			if d := lifecycle.Decide(s, now); d.Acts() {
				t.Fatalf("%v: %s of %s is due since %v and was not done", now, d.Rule, s.Workspace.Name, d.DueAt)
			}
			if next := lifecycle.NextWake(s, now); !next.IsZero() && (s.Workspace.WakeAt.IsZero() || s.Workspace.WakeAt.After(next)) {
				t.Fatalf("%v: %s wakes at %v, which is later than %v", now, s.Workspace.Name, s.Workspace.WakeAt, next)
			}
		}
	}
	if asked < 4_000 {
		t.Errorf("only %d workspaces were asked", asked)
	}
}

func TestSameSeedSameReport(t *testing.T) {
	render := func(seed string) (string, string) {
		p := newReport(replayed(t, "-days", "3", "-seed", seed))
		var text bytes.Buffer
		if err := p.text(&text); err != nil {
			t.Fatal(err)
		}
		page, err := p.page()
		if err != nil {
			t.Fatal(err)
		}
		return text.String(), string(page)
	}
	text, page := render("7")
	again, pageAgain := render("7")
	if text != again {
		t.Error("the same seed must give the same report")
	}
	if page != pageAgain {
		t.Error("the same seed must give the same page")
	}
	if other, _ := render("8"); text == other {
		t.Error("another seed must give another report")
	}
}

func TestBooksBalance(t *testing.T) {
	r := replayed(t, "-days", "5")
	l := r.ledger
	if len(l.samples) != 5*24*4+1 || l.ticks.n != 5*24*60+1 {
		t.Errorf("%d samples, %d ticks: there must be one each quarter of an hour and each minute", len(l.samples), l.ticks.n)
	}
	if l.ticks.conflicts+l.ticks.errors+l.ticks.skipped != 0 {
		t.Errorf("nobody else writes and nothing refuses: %+v", l.ticks)
	}
	for i, a := range l.plans {
		met := 0
		for _, n := range a.found {
			met += n
		}
		if met != a.sessions || a.sessions == 0 {
			t.Errorf("%s: %d sessions, but %d arrivals", r.plans[i].name, a.sessions, met)
		}
		if a.used <= 0 || a.used > a.ran || a.ran > a.always {
			t.Errorf("%s: used %.0f h of %.0f h that it ran, of %.0f h", r.plans[i].name, a.used, a.ran, a.always)
		}
	}
	for _, d := range r.developers {
		if d.lives == 0 {
			continue
		}
		s, err := r.exec.Load(t.Context(), d.workspace)
		if err != nil {
			t.Fatal(err)
		}
		b := s.Build
		if b.Status == lifecycle.JobSucceeded && d.up != (b.Transition == lifecycle.TransitionStart) {
			t.Errorf("developer %d: the books say up=%t, the store %s", d.number, d.up, b.Transition)
		}
	}
}

func TestEveryTransitionIsAccounted(t *testing.T) {
	r := replayed(t, "-days", "11", "-set", "frugal.dormant=3d", "-set", "frugal.delete=5d", "-set", "balanced.retries=off")
	for _, k := range []cause{
		{lifecycle.TransitionStart, lifecycle.ReasonManual},
		{lifecycle.TransitionStart, lifecycle.ReasonAutostart},
		{lifecycle.TransitionStart, lifecycle.ReasonStartRetry},
		{lifecycle.TransitionStop, lifecycle.ReasonAutostop},
		{lifecycle.TransitionStop, lifecycle.ReasonFailedCleanup},
		{lifecycle.TransitionDelete, lifecycle.ReasonAutodelete},
	} {
		if c := r.ledger.transitions[k]; c == nil || c.builds == 0 || c.failed > c.builds {
			t.Errorf("%s for %s: got %+v", k.transition, k.reason, c)
		}
	}
	// With a tick a minute, nothing is done more than a minute late.
	if late := r.ledger.latest; late >= tickEvery {
		t.Errorf("something was done %v late", late)
	}
}

// TestOutageIsCaughtUp has no tick while the mornings of Europe begin.
func TestOutageIsCaughtUp(t *testing.T) {
	args := []string{"-days", "5", "-set", "balanced.lateness=1h"}
	usual := replayed(t, args...).ledger
	late := replayed(t, append(args, "-outage", "2026-02-04T05:00:00Z/6h")...).ledger
	if usual.latest >= tickEvery || late.latest < 3*time.Hour || late.latest > 6*time.Hour {
		t.Errorf("after six hours without a tick, what was due is done late: %v, usually %v", late.latest, usual.latest)
	}
	if n := late.marks[lifecycle.EventStartMissed]; n == 0 || usual.marks[lifecycle.EventStartMissed] != 0 {
		t.Errorf("starts that are later than the policy allows are given up: got %d", n)
	}
}

// TestPageStandsAlone looks for whatever a browser would fetch.
func TestPageStandsAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.html")
	var stdout bytes.Buffer
	if err := run(t.Context(), []string{"-days", "3", "-html", file}, &stdout, io.Discard); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	outside := regexp.MustCompile(`(?i)https?:|//[a-z]|url\(|@import|<(script|link|iframe|img|object|embed)|\s(src|href)=`)
	if found := outside.Find(page); found != nil {
		t.Errorf("the page must need nothing from outside: found %q", found)
	}
	if strings.Contains(string(page), "ZgotmplZ") {
		t.Error("html/template refused a value")
	}
	for _, want := range []string{"prefers-color-scheme: dark", "<svg", "Stories", "Hours saved", "How late", "Pain", "What a policy saves", "<title>", "seed 1", "-days 3"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if !strings.Contains(stdout.String(), "TRANSITIONS BY KIND AND REASON") {
		t.Errorf("the report lacks its table: %s", stdout.String())
	}
}

func TestBadCommandLine(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.csv")
	if err := os.WriteFile(bad, []byte("developer,at\n1,never\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-fail", "2"}, "-fail 2: must be between 0 and 1"},
		{[]string{"-before", "0s", "-after", "0s"}, "must not be negative and make a minute"},
		{[]string{"-days", "-1"}, "-days -1"},
		{[]string{"-outage", "soon"}, "must be an instant and a duration"},
		{[]string{"more"}, `argument "more"`},
		{[]string{"-set", "x.y=1"}, `-set x.y=1: there is no template "x"`},
		{[]string{"-activity", bad}, bad + ":2: at \"never\""},
		{[]string{"-policies", "/none"}, "/none"},
	} {
		err := run(t.Context(), append([]string{"-html", ""}, c.args...), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %s", c.args, err, c.want)
		}
	}
}

// A replay that is long enough foretells its last weeks, closer than the week before repeated, and tries other policies.
func TestForetoldAndTried(t *testing.T) {
	if testing.Short() || raced {
		t.Skip("replays two months; what it adds to the other replays is arithmetic of one goroutine")
	}
	r := replayed(t, "-days", "59")
	f := &r.foresight
	if len(f.actual) != foreseenWeeks*7*24 || f.error > 5 || f.error > f.week || f.within < 60 || f.within > 98 {
		t.Errorf("%d hours, %.2f %% off, the week before %.2f %%, %.0f %% in the band", len(f.actual), f.error, f.week, f.within)
	}
	page, err := newReport(r).page()
	if err != nil || !strings.Contains(string(page), "Foretold, and what then happened") {
		t.Errorf("the page does not show it: %v", err)
	}
	own, best := 0, 0
	for _, p := range r.points {
		if p.Plan >= 0 {
			own++
			// What the executor did with a third of the people is near what the simulation does with all of them.
			a := r.ledger.plans[p.Plan]
			if saved := percent(a.always-a.ran, a.always); abs(saved-p.Saved) > 3 {
				t.Errorf("%s: %.1f %% saved, simulated %.1f %%", p.Name, saved, p.Saved)
			}
		}
		if p.Best {
			best++
		}
	}
	if own != len(r.plans) || best < 5 || best == len(r.points) {
		t.Errorf("%d templates among the points, %d of %d on the line", own, best, len(r.points))
	}
}

// The page shows the command that makes the same page, without the file into which it was written.
func TestCommandLeavesOutTheFile(t *testing.T) {
	for want, args := range map[string][]string{
		"go run ./examples/quickstart":                            {"-html", "out.html"},
		"go run ./examples/quickstart -seed 7":                    {"--html=out.html", "-seed", "7"},
		"go run ./examples/quickstart -days 3 -set frugal.ttl=4h": {"-days", "3", "-html", "", "-set", "frugal.ttl=4h"},
	} {
		if got := command(args); got != want {
			t.Errorf("%v: %s", args, got)
		}
	}
}
