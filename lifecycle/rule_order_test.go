package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// The first rule that is due acts, the others wait for the next look.
func TestRuleOrder(t *testing.T) {
	now := monday.Add(10 * day)
	everything := with(
		policy(func(p *lifecycle.Policy) {
			p.FailureTTL, p.TimeTilDormant, p.TimeTilAutodelete, p.ReminderLead = time.Hour, time.Hour, time.Hour, time.Hour
			p.ExtendAtAutostart = true
		}),
		autostart("0 9 * * *"), ttl(time.Hour),
	)
	for _, c := range []struct {
		name string
		s    lifecycle.Snapshot
		want string
	}{
		{"extension before autostop", running(everything, deadline(now)), "extend"},
		{"autostop before dormancy", running(everything, ttl(0), deadline(now)), "autostop: stop"},
		{"autostart before dormancy", stopped(everything), "autostart: start"},
		{"autostart before cleanup", newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), everything), "autostart: start"},
		{"cleanup before dormancy", newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), everything, owner(lifecycle.OwnerDormant)), "failed_cleanup: stop"},
		{"cleanup before deletion", newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobFailed), everything, asleep(monday)), "failed_cleanup: stop"},
		{"suspension before cleanup", newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobCanceled), everything, owner(lifecycle.OwnerSuspended)), "autostop: stop"},
		{"dormancy before reminder", running(everything, ttl(0), deadline(now.Add(time.Minute))), "dormancy: stop, dormant"},
		{"extension before reminder", running(everything, tilDormant(0), deadline(now.Add(time.Minute))), "extend"},
		{"reminder last", running(everything, tilDormant(0), autostart("0 9 * * 0"), deadline(now.Add(time.Minute)), workspace(func(w *lifecycle.Workspace) { w.AutostartAfter = now })), "reminder"},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, c.s, now, c.want)
			checkExplained(t, c.s, now)
		})
	}
}

// A workspace that nobody looked at for long gets all that is due, one step after the other, and each once.
func TestOverdueStepsHappenInOrder(t *testing.T) {
	now := monday.Add(100 * day)
	s := running(deadline(monday.Add(time.Hour)), tilDormant(7*day), tilDeleted(7*day), failureTTL(time.Hour))
	var steps []string
	for range 10 {
		d := lifecycle.Decide(s, now)
		if !d.Acts() {
			if s.Workspace.WakeAt.IsZero() {
				break
			}
			now = lifecycle.NextWake(s, now)
			continue
		}
		steps = append(steps, words(d))
		if s = after(t, s, now); s.Build.Status.Active() {
			s = finish(t, s, now.Add(time.Minute), lifecycle.JobSucceeded)
		}
		now = now.Add(time.Minute)
	}
	want := []string{"autostop: stop", "dormancy: dormant", "autodelete: delete"}
	if len(steps) != 3 || steps[0] != want[0] || steps[1] != want[1] || steps[2] != want[2] {
		t.Errorf("steps %q, want %q", steps, want)
	}
}
