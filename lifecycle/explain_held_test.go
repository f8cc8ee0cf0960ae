package lifecycle_test

import (
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
		"a back-off":           {lifecycle.RuleAutostop, of(stops, backsOff(noon)), noon.Add(-us), "tried again at Mon 2026-03-02 12:00:00 UTC after attempt 2: refused: no quota"},
		"a back-off at an end": {lifecycle.RuleAutostop, of(stops, heldUntil(noon), backsOff(noon.Add(time.Minute))), noon, "tried again at Mon 2026-03-02 12:01:00 UTC after attempt 2: refused: no quota"},
		"an outage":            {lifecycle.RuleAutostop, of(stops, func(s *lifecycle.Snapshot) { s.Engine.SettleUntil = noon }), noon.Add(-us), "activity that was not told during an outage may come until Mon 2026-03-02 12:00:00 UTC"},
		"a change":             {lifecycle.RuleAutostop, of(stops, workspace(func(w *lifecycle.Workspace) { w.Floors.Stop = noon })), noon.Add(-us), "a change that made it sooner leaves time until Mon 2026-03-02 12:00:00 UTC"},
		"a change, then a back-off": {lifecycle.RuleAutostop, of(stops, workspace(func(w *lifecycle.Workspace) { w.Floors.Stop = noon }), backsOff(noon.Add(time.Minute))), noon,
			"tried again at Mon 2026-03-02 12:01:00 UTC after attempt 2: refused: no quota"},
		"holidays": {lifecycle.RuleAutostop, of(stops, holidays("2026-03-02"), holidaysHold(lifecycle.HoldAll)), noon, "holidays of the template: UTC 2026-03-02"},
	} {
		r := lifecycle.Explain(c.s, c.now).Rules[c.rule-1]
		if r.Because != c.want {
			t.Errorf("%s\ngot  %s %s\nwant %s", name, r.Verdict, r.Because, c.want)
		}
	}
}
