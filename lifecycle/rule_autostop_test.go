package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func TestAutostop(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	runRules(t, []ruleCase{
		// A deadline exactly at the tick stops at that tick, not one later.
		{name: "at its deadline", s: running(deadline(end)), want: "autostop: stop", at: end},
		{name: "a deadline long past", s: running(deadline(monday.Add(-day))), want: "autostop: stop", at: monday},
		{name: "no deadline", s: running()},
		{name: "stopped", s: stopped(deadline(end))},
		{name: "never built", s: newWorkspace()},
		{name: "a start that failed", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed, deadline(end)))},
		{name: "a start under way", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning, deadline(end)))},
		{name: "a start being canceled", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobCanceling, deadline(end)))},
		{name: "a canceled start has no deadline", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobCanceled))},
		{name: "dormant", s: running(deadline(end), asleep(time.Time{})), want: "autostop: stop", at: end},
		{name: "the owner is dormant", s: running(deadline(end), owner(lifecycle.OwnerDormant)), want: "autostop: stop", at: end},
		{name: "only a cap", s: running(deadlines(end, end)), want: "autostop: stop", at: end},
		{name: "the cap itself is never looked at", s: running(deadlines(end.Add(time.Hour), end)), want: "autostop: stop", at: end.Add(time.Hour)},
		{name: "deleted", s: running(deadline(end), workspace(func(w *lifecycle.Workspace) { w.Deleted = true }))},
		{name: "managed", s: running(deadline(end), workspace(func(w *lifecycle.Workspace) { w.Managed = true }))},
		{name: "needs attention", s: running(deadline(end), workspace(func(w *lifecycle.Workspace) { w.AttentionAt = monday }))},
	})
}

// The pause after a failure is that of stops that nobody asked for; nothing else waits for it.
func TestOnlyAnAutomaticStopThatFailedPauses(t *testing.T) {
	ended := monday.Add(time.Minute)
	for name, c := range map[string]struct {
		of     lifecycle.Transition
		status lifecycle.JobStatus
		reason lifecycle.Reason
		pauses bool
	}{
		"an automatic stop that failed":  {lifecycle.TransitionStop, lifecycle.JobFailed, lifecycle.ReasonAutostop, true},
		"a stop by hand that failed":     {lifecycle.TransitionStop, lifecycle.JobFailed, lifecycle.ReasonManual, false},
		"an automatic stop, canceled":    {lifecycle.TransitionStop, lifecycle.JobCanceled, lifecycle.ReasonAutostop, false},
		"an automatic start that failed": {lifecycle.TransitionStart, lifecycle.JobFailed, lifecycle.ReasonAutostart, false},
		"a deletion that failed":         {lifecycle.TransitionDelete, lifecycle.JobFailed, lifecycle.ReasonAutodelete, false},
	} {
		s := newWorkspace(built(c.of, c.status), deadline(monday), build(func(b *lifecycle.Build) { b.Reason, b.RunSince = c.reason, monday.Add(-day) }),
			workspace(func(w *lifecycle.Workspace) { w.Failures = 2 }))
		if wake := lifecycle.NextWake(s, ended); wake.After(ended) != c.pauses {
			t.Errorf("%s: stops %v after its end", name, wake.Sub(ended))
		}
	}
}

func TestAutostopOfASuspendedOwner(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	suspended := owner(lifecycle.OwnerSuspended)
	failedStop, ended := built(lifecycle.TransitionStop, lifecycle.JobFailed), monday.Add(time.Minute)
	runRules(t, []ruleCase{
		{name: "at once", s: running(deadline(end), suspended), want: "autostop: stop", at: monday},
		{name: "without a deadline", s: running(suspended), want: "autostop: stop", at: monday},
		{name: "at any instant", s: running(suspended), want: "autostop: stop", at: monday.Add(17*time.Second + us), from: monday.Add(17*time.Second + us)},
		{name: "a canceled start", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobCanceled), suspended), want: "autostop: stop", at: monday},
		{name: "a failed start", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), suspended)},
		{name: "a failed stop of a canceled start", s: newWorkspace(failedStop, build(func(b *lifecycle.Build) { b.Reason = lifecycle.ReasonAutostop }), suspended), want: "autostop: stop", at: ended, from: ended},
		{name: "a failed stop by hand, of what never ran", s: newWorkspace(failedStop, suspended)},
		{name: "a canceled stop of what never ran", s: newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobCanceled), suspended)},
		{name: "a start under way ends first", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobPending), suspended)},
		{name: "stopped already", s: stopped(suspended)},
		{name: "dormant", s: running(suspended, asleep(time.Time{})), want: "autostop: stop", at: monday},
		{name: "held by nothing", s: running(suspended, heldUntil(monday.Add(time.Hour)), holidays("2026-03-02")), want: "autostop: stop", at: monday},
	})
}

// A suspended owner's workspace is due since it was woken for that.
func TestAutostopOfASuspendedOwnerIsDueSinceItsWake(t *testing.T) {
	s := running(owner(lifecycle.OwnerSuspended), workspace(func(w *lifecycle.Workspace) { w.WakeAt = monday }))
	if d := lifecycle.Decide(s, monday.Add(time.Hour)); !d.DueAt.Equal(monday) {
		t.Errorf("due since %v, want %v", d.DueAt, monday)
	}
}

func TestAutostopMakesOneStop(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	s := running(deadline(end), set(func(s *lifecycle.Snapshot) {
		s.Template.Policy.RequireActiveVersion = true
		s.Workspace.Backoff = lifecycle.Backoff{Until: monday, Attempts: 3, Cause: lifecycle.SkipRefused}
	}))
	d := lifecycle.Decide(s, end)
	c := lifecycle.Apply(s, d, end)
	want := lifecycle.Build{
		Number: 4, TemplateVersionID: oldVersion, Transition: lifecycle.TransitionStop, Reason: lifecycle.ReasonAutostop,
		Status: lifecycle.JobPending, CreatedAt: end, DueAt: end, RunSince: s.Build.RunSince, Deadline: end,
	}
	if c.Build != want || !c.NewBuild || c.Job != nil {
		t.Errorf("build %+v, new %t, job %v\nwant %+v", c.Build, c.NewBuild, c.Job, want)
	}
	if c.Revision != 7 || c.Workspace.Backoff != (lifecycle.Backoff{}) || !c.Workspace.WakeAt.IsZero() {
		t.Errorf("change of revision %d, back-off %+v, wake %v", c.Revision, c.Workspace.Backoff, c.Workspace.WakeAt)
	}
	if got := told(c.Events); got != "audit/build.queued " {
		t.Errorf("told %s", got)
	}
	if e := c.Events[0]; !e.DueAt.Equal(end) || e.BuildNumber != 4 || e.Reason != lifecycle.ReasonAutostop || e.Revision != 7 || e.WorkspaceID != s.Workspace.ID {
		t.Errorf("event %+v", e)
	}
	expect(t, apply(s, c), end.Add(day), "nothing")
}

// A stop that is done leaves nothing to stop.
func TestAutostopIsNotRepeated(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	s := finish(t, after(t, running(deadline(end)), end), end.Add(time.Minute), lifecycle.JobSucceeded)
	expect(t, s, end.Add(30*day), "nothing")
	if b := s.Build; !b.RunSince.IsZero() || !b.Deadline.IsZero() {
		t.Errorf("after the stop there is a run since %v with a deadline %v", b.RunSince, b.Deadline)
	}
}

func TestJitterSpreadsStops(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	const spread = 10 * time.Minute
	seen := map[time.Time]bool{}
	for n := range 50 {
		s := running(deadline(end), policy(func(p *lifecycle.Policy) { p.Jitter = spread }), workspace(func(w *lifecycle.Workspace) { w.ID = id(n) }))
		wake := lifecycle.NextWake(s, monday)
		if wake.Before(end) || !wake.Before(end.Add(spread)) || !wake.Equal(wake.Truncate(us)) {
			t.Fatalf("workspace %d stops at %v, want within %v of %v", n, wake, spread, end)
		}
		if again := lifecycle.NextWake(s, monday.Add(time.Hour)); !again.Equal(wake) {
			t.Fatalf("workspace %d moved from %v to %v", n, wake, again)
		}
		ruleCase{s: s, want: "autostop: stop", at: wake}.check(t)
		seen[wake] = true
	}
	if len(seen) < 45 {
		t.Errorf("50 workspaces stop at %d instants", len(seen))
	}
	s := running(owner(lifecycle.OwnerSuspended), policy(func(p *lifecycle.Policy) { p.Jitter = spread }))
	ruleCase{s: s, want: "autostop: stop", at: monday}.check(t)
}
