package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// What keeps a rule from acting is named: the hold, what its end leaves, a grace, an outage, a back-off, or the holidays.
func TestExplainHeldBecause(t *testing.T) {
	noon := at("2026-03-02 12:00")
	stops := running(deadline(monday.Add(time.Hour)))
	backsOff := func(until time.Time) edit {
		return workspace(func(w *lifecycle.Workspace) {
			w.Backoff = lifecycle.Backoff{Until: until, Attempts: 2, Cause: lifecycle.SkipRefused, Message: "no quota"}
		})
	}
	of := func(s lifecycle.Snapshot, edits ...edit) lifecycle.Snapshot { with(edits...)(&s); return s }
	engineHeld := func(s *lifecycle.Snapshot) { s.Engine.Hold = lifecycle.Hold{Until: noon, Note: "incident", By: "ann"} }
	jittered := policy(func(p *lifecycle.Policy) { p.Jitter = time.Hour })
	for name, c := range map[string]struct {
		rule lifecycle.Rule
		s    lifecycle.Snapshot
		now  time.Time
		want string
	}{
		"a hold":               {lifecycle.RuleAutostop, of(stops, heldUntil(noon)), noon.Add(-us), "the workspace is held until Mon 2026-03-02 12:00:00 UTC: all"},
		"a hold to come":       {lifecycle.RuleAutostop, of(stops, heldUntil(noon)), monday, "the workspace is held until Mon 2026-03-02 12:00:00 UTC: all"},
		"a template's":         {lifecycle.RuleAutostop, of(stops, templateHeld(noon)), noon.Add(-us), "the template is held until Mon 2026-03-02 12:00:00 UTC: all"},
		"the engine's":         {lifecycle.RuleAutostop, of(stops, engineHeld), noon.Add(-us), "the engine is held until Mon 2026-03-02 12:00:00 UTC: all, by ann: incident"},
		"its end, dormancy":    {lifecycle.RuleDormancy, stopped(tilDormant(time.Hour), heldUntil(noon)), noon, "the hold of the workspace ended at Mon 2026-03-02 12:00:00 UTC, and leaves 2h"},
		"its end, deletion":    {lifecycle.RuleAutodelete, stopped(tilDeleted(time.Hour), asleep(monday.Add(time.Hour)), templateHeld(noon)), noon, "the hold of the template ended at Mon 2026-03-02 12:00:00 UTC, and leaves 1d"},
		"due within its grace": {lifecycle.RuleDormancy, stopped(tilDormant(4*time.Hour), heldUntil(noon)), noon.Add(time.Hour + 1*time.Second), "the hold of the workspace ended at Mon 2026-03-02 12:00:00 UTC, and leaves 2h"},
		"a herd":               {lifecycle.RuleFailedCleanup, newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), failureTTL(time.Hour), heldUntil(noon), jittered), noon, "the hold of the workspace ended at Mon 2026-03-02 12:00:00 UTC, and leaves 19m 11s"},
		"a back-off":           {lifecycle.RuleAutostop, of(stops, backsOff(noon)), noon.Add(-us), "tried again at Mon 2026-03-02 12:00:00 UTC after attempt 2: refused: \"no quota\""},
		"a back-off at an end": {lifecycle.RuleAutostop, of(stops, heldUntil(noon), backsOff(noon.Add(time.Minute))), noon, "tried again at Mon 2026-03-02 12:01:00 UTC after attempt 2: refused: \"no quota\""},
		"an outage":            {lifecycle.RuleAutostop, of(stops, func(s *lifecycle.Snapshot) { s.Engine.SettleUntil = noon }), noon.Add(-us), "activity that was not told during an outage may come until Mon 2026-03-02 12:00:00 UTC"},
		"a change":             {lifecycle.RuleAutostop, of(stops, workspace(func(w *lifecycle.Workspace) { w.Floors.Stop = noon })), noon.Add(-us), "a change that made it sooner leaves time until Mon 2026-03-02 12:00:00 UTC"},
		"a change, then a back-off": {lifecycle.RuleAutostop, of(stops, workspace(func(w *lifecycle.Workspace) { w.Floors.Stop = noon }), backsOff(noon.Add(time.Minute))), noon,
			"tried again at Mon 2026-03-02 12:01:00 UTC after attempt 2: refused: \"no quota\""},
		"an outage, then a back-off": {lifecycle.RuleAutostop, of(stops, func(s *lifecycle.Snapshot) { s.Engine.SettleUntil = noon }, backsOff(noon.Add(time.Minute))), noon,
			"tried again at Mon 2026-03-02 12:01:00 UTC after attempt 2: refused: \"no quota\""},
		"a back-off, due after the grace": {lifecycle.RuleDormancy, stopped(tilDormant(5*time.Hour-us), heldUntil(noon), jittered, backsOff(noon.Add(130*time.Minute))), noon.Add(2 * time.Hour),
			"tried again at Mon 2026-03-02 14:10:00 UTC after attempt 2: refused: \"no quota\""},
		"a herd, dormancy": {lifecycle.RuleDormancy, stopped(tilDormant(5*time.Hour-2*us), heldUntil(noon), jittered), noon.Add(2 * time.Hour),
			"the hold of the workspace ended at Mon 2026-03-02 12:00:00 UTC, and leaves 2h 19m"},
		"holidays": {lifecycle.RuleAutostop, of(stops, holidays("2026-03-02"), holidaysHold(lifecycle.HoldAll)), noon, "holidays of the template: UTC 2026-03-02"},
	} {
		r := lifecycle.Explain(c.s, c.now).Rules[c.rule-1]
		if r.Because != c.want {
			t.Errorf("%s\ngot  %s %s\nwant %s", name, r.Verdict, r.Because, c.want)
		}
	}
}

// Of rules that are due at one instant the first is the next, and the others say that it comes first.
func TestExplainOfTwoAtOnce(t *testing.T) {
	noon := at("2026-03-02 12:00")
	s := running(deadline(noon), tilDormant(3*time.Hour-us))
	if x := lifecycle.Explain(s, monday); x.Next != lifecycle.RuleAutostop || !x.NextAt.Equal(noon) {
		t.Errorf("next is %v at %v", x.Next, x.NextAt)
	}
	x := lifecycle.Explain(s, noon)
	if r := x.Rules[lifecycle.RuleDormancy-1]; r.Verdict != lifecycle.VerdictDue || r.Because != "autostop comes first" {
		t.Errorf("dormancy %s because %s", r.Verdict, r.Because)
	}
	held := lifecycle.Explain(running(deadline(monday), heldUntil(noon)), monday).String()
	if want := "acts at Mon 2026-03-02 12:00:00 UTC"; !strings.Contains(held, want) {
		t.Errorf("held, without %q:\n%s", want, held)
	}
}
