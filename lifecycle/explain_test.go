package lifecycle_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Each state is told in a sentence that a person understands.
func TestExplainSummary(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	for _, c := range []struct {
		s    lifecycle.Snapshot
		now  time.Time
		want string
	}{
		{running(deadline(end)), monday, "dev is running. Next: it stops at its deadline, at Mon 2026-03-02 17:00:00 UTC (in 8h)."},
		{running(deadline(end)), end, "dev is running. Now: it stops at its deadline."},
		{running(owner(lifecycle.OwnerSuspended)), monday, "dev is running. Now: it stops because its owner is suspended."},
		{running(), monday, "dev is running. Nothing will happen by itself."},
		{newWorkspace(), monday, "dev is new. Nothing will happen by itself."},
		{stopped(autostart("CRON_TZ=Europe/Berlin 30 9 * * 1-5")), monday, "dev is stopped. Next: it starts by its schedule (9:30AM Mon-Fri (Europe/Berlin)), at Tue 2026-03-03 09:30:00 CET (in 23h 30m)."},
		{stopped(asleep(monday.Add(day)), tilDeleted(day)), monday, "dev is dormant. Next: it is deleted, dormant since Mon 2026-03-02 09:00:00 UTC, at Tue 2026-03-03 09:00:00 UTC (in 1d)."},
		{stopped(tilDormant(7 * day)), monday.Add(8 * day), "dev is stopped. Now: it goes dormant, unused for 7d."},
		{newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), failureTTL(time.Hour)), monday.Add(day), "dev has a failed start. Now: a stop cleans up after the failed start."},
		{newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning)), monday, "dev is starting. Nothing happens by itself: a build is active; its end decides."},
		{running(workspace(func(w *lifecycle.Workspace) { w.AttentionAt = monday })), monday, "dev needs attention. Nothing happens by itself: automatic retries ended; a person has to look."},
		{stopped(autostart("0 9 * * *"), policy(func(p *lifecycle.Policy) { p.MaxLateness = time.Minute })), monday.Add(30 * time.Hour), "dev is stopped. Now: it starts by its schedule (9:00AM daily (UTC)), but it is too late for that: this start is skipped."},
		{newWorkspace(workspace(func(w *lifecycle.Workspace) { w.Managed = true })), monday, "dev is controlled by something else. Nothing happens by itself: something else controls the workspace."},
		{stopped(owner(lifecycle.OwnerSuspended), policy(func(p *lifecycle.Policy) { p.DormantWhenSuspended = true })), monday, "dev is stopped. Now: it goes dormant because its owner is suspended."},
		{stopped(policy(func(p *lifecycle.Policy) { p.DeleteStopped = day }), workspace(func(w *lifecycle.Workspace) { w.DeletingAt, w.RemindedFor = monday, monday.Add(us) })), monday.Add(day), "dev is stopped. Now: it is deleted, stopped since Mon 2026-03-02 09:01:00 UTC."},
		{newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), autostart("0 8 * * *"), policy(func(p *lifecycle.Policy) { p.StartRetry.Max = 2 }), workspace(func(w *lifecycle.Workspace) { w.StartFailures = 1 })), monday.Add(time.Hour), "dev has a failed start. Now: its start is tried again."},
		{stopped(policy(func(p *lifecycle.Policy) { p.DeleteStopped = 2 * day }), workspace(func(w *lifecycle.Workspace) { w.DeletingAt = monday.Add(2*day - us) })), monday.Add(day), "dev is stopped. Now: its owner is reminded of the deletion at Wed 2026-03-04 09:00:00 UTC."},
		{running(policy(extends), autostart("0 9 * * *"), ttl(8*time.Hour), deadline(monday.Add(30*time.Hour))), monday.Add(day), "dev is running. Now: its deadline moves because it runs at its autostart time."},
		{running(lead(time.Hour), deadline(end)), end.Add(-time.Hour), "dev is running. Now: its owner is reminded of the stop at Mon 2026-03-02 17:00:00 UTC."},
	} {
		if got := lifecycle.Explain(c.s, c.now).Summary; got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	if x := lifecycle.Explain(running(workspace(func(w *lifecycle.Workspace) { w.Name = "" })), monday); x.Workspace != id(1).String() {
		t.Errorf("a workspace without a name is called %q", x.Workspace)
	}
}

// Every rule says what it compared, and why it is off, in every state.
func TestExplainListsAllRules(t *testing.T) {
	rules := []lifecycle.Rule{
		lifecycle.RuleExtend, lifecycle.RuleAutostop, lifecycle.RuleAutostart, lifecycle.RuleStartRetry, lifecycle.RuleFailedCleanup,
		lifecycle.RuleDormancy, lifecycle.RuleAutodelete, lifecycle.RuleReminder, lifecycle.RuleDeleteReminder,
	}
	for _, s := range []lifecycle.Snapshot{newWorkspace(), running(deadline(monday)), stopped(), stopped(unusable("x")), stopped(asleep(monday)), {}} {
		x := lifecycle.Explain(s, monday)
		if len(x.Rules) != len(rules) {
			t.Fatalf("%d rules, want %d", len(x.Rules), len(rules))
		}
		for i, r := range x.Rules {
			if r.Rule != rules[i] || r.Verdict == lifecycle.VerdictOff && r.Because == "" || strings.Contains(r.Compared, "106751d") {
				t.Errorf("%d: %+v", i, r)
			}
		}
		if text := x.String(); strings.Count(text, "\n") != len(rules)+1 || !strings.HasPrefix(text, x.Summary) {
			t.Errorf("text is\n%s", text)
		}
	}
}

// What a rule compares says which side is how far ahead, so that nobody takes what a rule waits for as met.
func TestExplainCompared(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	day2 := monday.Add(day)
	extends := policy(func(p *lifecycle.Policy) { p.ExtendAtAutostart = true })
	for _, c := range []struct {
		rule lifecycle.Rule
		s    lifecycle.Snapshot
		now  time.Time
		want string
	}{
		{lifecycle.RuleAutostop, running(deadline(end)), monday, "now Mon 2026-03-02 09:00:00 UTC is 8h before the deadline Mon 2026-03-02 17:00:00 UTC"},
		{lifecycle.RuleAutostop, running(deadline(end)), end, "now is the deadline Mon 2026-03-02 17:00:00 UTC"},
		{lifecycle.RuleAutostop, running(deadline(end)), end.Add(time.Minute), "now Mon 2026-03-02 17:01:00 UTC is 1m after the deadline Mon 2026-03-02 17:00:00 UTC"},
		{lifecycle.RuleAutostop, running(), monday, "deadline not set"},
		{lifecycle.RuleAutostop, running(owner(lifecycle.OwnerSuspended)), monday, "owner is suspended"},
		{lifecycle.RuleAutostart, stopped(autostart("0 9 * * *")), monday, "9:00AM daily (UTC); at rest since Mon 2026-03-02 09:00:00 UTC, next allowed start Tue 2026-03-03 09:00:00 UTC, in 1d"},
		{lifecycle.RuleAutostart, stopped(autostart("0 9 * * *")), day2, "9:00AM daily (UTC); at rest since Mon 2026-03-02 09:00:00 UTC, next allowed start Tue 2026-03-03 09:00:00 UTC, now"},
		{lifecycle.RuleFailedCleanup, newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), failureTTL(time.Hour)), monday.Add(31 * time.Minute), "start failed, ended Mon 2026-03-02 09:01:00 UTC, 30m ago; cleaned up after more than 1h; failed cleanups so far 0"},
		{lifecycle.RuleDormancy, stopped(tilDormant(7 * day)), day2, "unused for 1d (since Mon 2026-03-02 09:00:00 UTC), which is 6d short of 7d"},
		{lifecycle.RuleDormancy, stopped(tilDormant(day)), day2, "unused for 1d (since Mon 2026-03-02 09:00:00 UTC), which has to be exceeded"},
		{lifecycle.RuleDormancy, stopped(tilDormant(time.Hour)), day2, "unused for 1d (since Mon 2026-03-02 09:00:00 UTC), which is more than 1h"},
		{lifecycle.RuleDormancy, stopped(), day2, "unused for 1d (since Mon 2026-03-02 09:00:00 UTC)"},
		{lifecycle.RuleAutodelete, stopped(asleep(day2), tilDeleted(day)), monday, "now Mon 2026-03-02 09:00:00 UTC is 1d before the deletion Tue 2026-03-03 09:00:00 UTC"},
		{lifecycle.RuleExtend, running(deadline(day2), ttl(8*time.Hour), autostart("0 9 * * *"), extends), end, "next autostart time Tue 2026-03-03 09:00:00 UTC, in 16h"},
		{lifecycle.RuleExtend, running(deadline(end)), end, ""},
		{lifecycle.RuleReminder, running(deadline(end), lead(time.Hour)), monday, "stop at Mon 2026-03-02 17:00:00 UTC, in 8h; reminder from 1h before it"},
		{lifecycle.RuleReminder, running(deadline(end)), monday, "reminder lead 0"},
	} {
		if got := lifecycle.Explain(c.s, c.now).Rules[c.rule-1].Compared; got != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.rule, got, c.want)
		}
	}
}

func TestExplainVerdicts(t *testing.T) {
	end := monday.Add(time.Hour)
	s := running(deadline(end), tilDormant(30*time.Minute), lead(time.Minute))
	for now, want := range map[time.Time]string{
		monday:                     "off waits off off off waits off waits off",
		end.Add(-20 * time.Minute): "off waits off off off acts off waits off",
		end.Add(-30 * time.Second): "off waits off off off acts off due off",
		end:                        "off acts off off off due off off off",
	} {
		var got []string
		for _, r := range lifecycle.Explain(s, now).Rules {
			got = append(got, string(r.Verdict))
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("at %v: %s, want %s", now, text, want)
		}
	}
}

func TestExplainAsJSON(t *testing.T) {
	text, err := json.Marshal(lifecycle.Explain(running(deadline(monday.Add(time.Hour))), monday))
	must(err)
	var back lifecycle.Explanation
	must(json.Unmarshal(text, &back))
	if back.Next != lifecycle.RuleAutostop || !back.NextAt.Equal(monday.Add(time.Hour)) || !strings.Contains(string(text), `"verdict":"waits"`) {
		t.Errorf("json %s", text)
	}
	if strings.Contains(string(text), "0001-01-01") {
		t.Errorf("an instant that is not set should be left out: %s", text)
	}
}
