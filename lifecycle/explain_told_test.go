package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// What the rules that are seldom looked at compare, and the words for what is not set, not read, or under a second.
func TestExplainComparedOfTheOthers(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	retries := policy(func(p *lifecycle.Policy) { p.StartRetry = lifecycle.StartRetry{Max: 3, Initial: time.Minute} })
	failedStart := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), retries, autostart("0 8 * * *"),
		workspace(func(w *lifecycle.Workspace) { w.StartFailures = 1 }))
	unread := stopped(workspace(func(w *lifecycle.Workspace) { w.Autostart = new(schedule.Interner).Weekly("nonsense") }))
	dayless := stopped(autostart("0 9 * * MON"), policy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.DaysOf(time.Tuesday) }))
	unused := stopped(tilDormant(day), workspace(func(w *lifecycle.Workspace) { w.LastUsedAt, w.CreatedAt = time.Time{}, time.Time{} }))
	active := running(deadline(end), lead(time.Hour), bump(time.Hour), used(end.Add(-30*time.Minute)))
	for name, c := range map[string]struct {
		rule lifecycle.Rule
		s    lifecycle.Snapshot
		now  time.Time
		want string
	}{
		"a retry":             {lifecycle.RuleStartRetry, failedStart, monday.Add(90 * time.Second), "start failed, ended Mon 2026-03-02 09:01:00 UTC, 30s ago; tried again after 1m 8s; failed starts so far 1 of 3"},
		"a deletion reminded": {lifecycle.RuleDeleteReminder, stopped(workspace(func(w *lifecycle.Workspace) { w.DeletingAt = monday.Add(7 * day) }), policy(func(p *lifecycle.Policy) { p.DeleteStopped = 7 * day })), monday, "deletion at Mon 2026-03-09 09:00:00 UTC, in 7d; reminder from 1d before it"},
		"a set deadline":      {lifecycle.RuleAutostop, newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning), deadline(end)), monday, "deadline Mon 2026-03-02 17:00:00 UTC"},
		"an unread schedule":  {lifecycle.RuleAutostart, unread, monday, "schedule \"nonsense\""},
		"forbidden days":      {lifecycle.RuleAutostart, dayless, monday, "9:00AM Mon (UTC); the template forbids Mon"},
		"never used":          {lifecycle.RuleDormancy, unused, monday, "never used"},
		"somebody is active":  {lifecycle.RuleReminder, active, end.Add(-time.Hour), "stop at Mon 2026-03-02 17:00:00 UTC, in 1h; reminder from 1h before it; not before Mon 2026-03-02 16:45:00 UTC"},
		"under a second":      {lifecycle.RuleAutostop, running(deadline(end)), end.Add(-300 * time.Millisecond), "now Mon 2026-03-02 16:59:59 UTC is under a second before the deadline Mon 2026-03-02 17:00:00 UTC"},
		"one second":          {lifecycle.RuleAutostop, running(deadline(end)), end.Add(-600 * time.Millisecond), "now Mon 2026-03-02 16:59:59 UTC is 1s before the deadline Mon 2026-03-02 17:00:00 UTC"},
	} {
		if got := lifecycle.Explain(c.s, c.now).Rules[c.rule-1].Compared; got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}
