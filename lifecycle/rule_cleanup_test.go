package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func failureTTL(d time.Duration) edit {
	return policy(func(p *lifecycle.Policy) { p.FailureTTL = d })
}

func TestFailedCleanup(t *testing.T) {
	const stop = "failed_cleanup: stop"
	ttl := failureTTL(time.Hour)
	// The job ended a minute past nine; more than an hour must pass.
	due := monday.Add(time.Minute + time.Hour + us)
	of := func(t lifecycle.Transition, status lifecycle.JobStatus, edits ...edit) lifecycle.Snapshot {
		return newWorkspace(built(t, status), ttl, with(edits...))
	}
	runRules(t, []ruleCase{
		{name: "failed start", s: of(lifecycle.TransitionStart, lifecycle.JobFailed), want: stop, at: due},
		{name: "failed stop", s: of(lifecycle.TransitionStop, lifecycle.JobFailed), want: stop, at: due},
		{name: "canceled start", s: of(lifecycle.TransitionStart, lifecycle.JobCanceled), want: stop, at: due},
		{name: "dormant too", s: of(lifecycle.TransitionStart, lifecycle.JobFailed, asleep(time.Time{})), want: stop, at: due},
		{name: "owner suspended too", s: of(lifecycle.TransitionStart, lifecycle.JobFailed, owner(lifecycle.OwnerSuspended)), want: stop, at: due},
		{name: "canceled stop", s: of(lifecycle.TransitionStop, lifecycle.JobCanceled)},
		{name: "failed delete", s: of(lifecycle.TransitionDelete, lifecycle.JobFailed)},
		{name: "start that went well", s: of(lifecycle.TransitionStart, lifecycle.JobSucceeded)},
		{name: "start under way", s: of(lifecycle.TransitionStart, lifecycle.JobRunning)},
		{name: "off", s: of(lifecycle.TransitionStart, lifecycle.JobFailed, failureTTL(0))},
		{name: "grace of a policy change", s: of(lifecycle.TransitionStart, lifecycle.JobFailed, set(func(s *lifecycle.Snapshot) { s.Template.Floors.Stop = monday.Add(2 * time.Hour) })), want: stop, at: monday.Add(2 * time.Hour)},
	})
}

// A failed start does not cost the starts that follow: cleaned up or not, the next occurrence stands.
func TestFailedStartLeavesTheNextOccurrence(t *testing.T) {
	s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), autostart("0 * * * *"), failureTTL(30*time.Minute))
	cleanup := monday.Add(time.Minute + 30*time.Minute + us)
	ruleCase{s: s, want: "failed_cleanup: stop", at: cleanup}.check(t)
	cleaned := finish(t, after(t, s, cleanup), cleanup.Add(time.Minute), lifecycle.JobSucceeded)
	ruleCase{s: cleaned, from: cleanup.Add(time.Minute), want: "autostart: start", at: monday.Add(time.Hour)}.check(t)
	failureTTL(3 * time.Hour)(&s)
	ruleCase{s: s, want: "autostart: start", at: monday.Add(time.Hour)}.check(t)
}

// Failed cleanups are tried again with growing pauses, and not for ever.
func TestFailedCleanupRetries(t *testing.T) {
	s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), failureTTL(time.Minute), policy(func(p *lifecycle.Policy) {
		p.Retry = lifecycle.Retry{Max: 4, Initial: 10 * time.Minute, MaxInterval: 30 * time.Minute}
	}))
	now := lifecycle.NextWake(s, monday)
	expect(t, s, now, "failed_cleanup: stop")
	for n, pause := range []time.Duration{10 * time.Minute, 20 * time.Minute, 30 * time.Minute} {
		s = finish(t, after(t, s, now), now.Add(time.Minute), lifecycle.JobFailed)
		if s.Workspace.Failures != n+1 {
			t.Fatalf("%d failures, want %d", s.Workspace.Failures, n+1)
		}
		next := lifecycle.NextWake(s, now.Add(time.Minute))
		waited := next.Sub(now.Add(time.Minute))
		if waited <= pause || waited > pause+pause/4+us {
			t.Fatalf("after failure %d the pause is %v, want more than %v and at most a quarter more", n+1, waited, pause)
		}
		ruleCase{s: s, from: now.Add(time.Minute), want: "failed_cleanup: stop", at: next}.check(t)
		now = next
	}
	s = after(t, s, now)
	c, err := lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: lifecycle.JobFailed, Message: "no disk"})(s, now)
	must(err)
	if got := told(c.Events); got != "audit/build.failed notice/build.failed audit/workspace.needs_attention notice/workspace.needs_attention " {
		t.Errorf("told %s", got)
	}
	if e := c.Events[3]; e.Message != "no disk" {
		t.Errorf("notice says %q", e.Message)
	}
	s = apply(s, c)
	ruleCase{s: s, from: now}.checkNever(t)
	if x := lifecycle.Explain(s, now); x.Rules[lifecycle.RuleFailedCleanup-1].Because == "" {
		t.Errorf("Explain gives no reason:\n%v", x)
	}
	s = do(t, s, now.Add(time.Hour), lifecycle.ClearAttention())
	if s.Workspace.Failures != 0 || !s.Workspace.WakeAt.Equal(now.Add(time.Hour)) {
		t.Errorf("cleared: %d failures, wakes %v", s.Workspace.Failures, s.Workspace.WakeAt)
	}
	expect(t, s, now.Add(time.Hour), "failed_cleanup: stop")
}

// The pause is never shorter than the policy's failure TTL, whatever the retries say.
func TestFailedCleanupRetriesKeepTheFailureTTL(t *testing.T) {
	s := newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobFailed), failureTTL(6*time.Hour), workspace(func(w *lifecycle.Workspace) { w.Failures = 1 }))
	ruleCase{s: s, want: "failed_cleanup: stop", at: monday.Add(time.Minute + 6*time.Hour + us)}.check(t)
}

func TestRetryDefaults(t *testing.T) {
	s := newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobFailed), failureTTL(time.Second))
	for n, least := range []time.Duration{time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute} {
		s.Workspace.Failures = n
		if got := lifecycle.NextWake(s, monday).Sub(s.Build.CompletedAt); got <= least || got > least+least/4+us {
			t.Errorf("pause after %d failures = %v, want just over %v", n, got, least)
		}
	}
	s.Workspace.Failures, s.Build.Reason, s.Build.Status = 4, lifecycle.ReasonFailedCleanup, lifecycle.JobRunning
	if s = finish(t, s, monday, lifecycle.JobFailed); !s.Workspace.AttentionAt.Equal(monday) {
		t.Error("the fifth failure should call for attention")
	}
	s = newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobFailed), failureTTL(time.Second), workspace(func(w *lifecycle.Workspace) { w.Failures = 60 }),
		policy(func(p *lifecycle.Policy) { p.Retry.Max = 100 }))
	if got := lifecycle.NextWake(s, monday).Sub(s.Build.CompletedAt); got < day || got > day+day/4+us {
		t.Errorf("pause after 60 failures = %v, want a day", got)
	}
}

// Only builds nobody asked for count; success forgets all failures.
func TestFailuresCounted(t *testing.T) {
	for reason, want := range map[lifecycle.Reason]int{
		lifecycle.ReasonFailedCleanup: 3, lifecycle.ReasonAutodelete: 3, lifecycle.ReasonAutostop: 3, lifecycle.ReasonDormancy: 3,
		lifecycle.ReasonManual: 2, "": 2,
	} {
		s := newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobRunning, build(func(b *lifecycle.Build) { b.Reason = reason })),
			workspace(func(w *lifecycle.Workspace) { w.Failures = 2 }))
		if got := finish(t, s, monday, lifecycle.JobFailed).Workspace.Failures; got != want {
			t.Errorf("%s that failed: %d failures, want %d", reason, got, want)
		}
		if got := finish(t, s, monday, lifecycle.JobCanceled).Workspace.Failures; got != 2 {
			t.Errorf("%s that was canceled: %d failures, want 2", reason, got)
		}
		s.Workspace.AttentionAt = monday
		if w := finish(t, s, monday, lifecycle.JobSucceeded).Workspace; w.Failures != 0 || !w.AttentionAt.IsZero() {
			t.Errorf("%s that went well: %d failures, attention %v", reason, w.Failures, w.AttentionAt)
		}
	}
}
