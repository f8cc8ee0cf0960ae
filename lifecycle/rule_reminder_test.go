package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func lead(d time.Duration) edit { return policy(func(p *lifecycle.Policy) { p.ReminderLead = d }) }

func bump(d time.Duration) edit { return policy(func(p *lifecycle.Policy) { p.ActivityBump = d }) }

func used(at time.Time) edit {
	return workspace(func(w *lifecycle.Workspace) { w.LastUsedAt = at })
}

func TestReminder(t *testing.T) {
	const remind = "reminder"
	end := monday.Add(8 * time.Hour)
	half := lead(30 * time.Minute)
	due := end.Add(-30 * time.Minute)
	justUsed := with(half, bump(time.Hour), used(due.Add(-5*time.Minute)))
	runRules(t, []ruleCase{
		{name: "the lead before the deadline", s: running(half, deadline(end)), want: remind, at: due},
		{name: "a lead longer than the life", s: running(lead(100*time.Hour), deadline(end)), want: remind, at: monday},
		{name: "done", s: running(half, deadline(end), workspace(func(w *lifecycle.Workspace) { w.RemindedFor = end })), want: "autostop: stop", at: end},
		{name: "done for another deadline", s: running(half, deadline(end), workspace(func(w *lifecycle.Workspace) { w.RemindedFor = end.Add(-us) })), want: remind, at: due},
		{name: "off", s: running(deadline(end)), want: "autostop: stop", at: end},
		{name: "no deadline", s: running(half)},
		{name: "dormant", s: running(half, deadline(end), asleep(time.Time{})), want: "autostop: stop", at: end},
		{name: "a canceled start", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobCanceled), half)},
		{name: "stopped", s: stopped(half, deadline(end))},
		// Who is active sees the deadline move, and is not disturbed for 15 minutes.
		{name: "just used", s: running(justUsed, deadline(end)), want: remind, at: due.Add(10 * time.Minute)},
		{name: "just used, and nothing moves the deadline", s: running(justUsed, bump(0), deadline(end)), want: remind, at: due},
		{name: "just used, but the cap stops them", s: running(justUsed, deadlines(end, end)), want: remind, at: due},
		{name: "just used, and the cap is further", s: running(justUsed, deadlines(end, end.Add(time.Minute))), want: remind, at: due.Add(time.Minute)},
		{name: "used until the stop", s: running(justUsed, used(end.Add(-15*time.Minute)), deadline(end)), want: "autostop: stop", at: end},
		{name: "used until just before", s: running(justUsed, used(end.Add(-15*time.Minute-us)), deadline(end)), want: remind, at: end.Add(-us)},
	})
}

// A suspended owner is stopped, not reminded.
func TestNoReminderForASuspendedOwner(t *testing.T) {
	s := running(lead(time.Hour), deadline(monday.Add(time.Minute)), owner(lifecycle.OwnerSuspended))
	ruleCase{s: s, want: "autostop: stop", at: monday}.check(t)
}

// After the deadline has passed there is only the stop.
func TestNoReminderAfterTheDeadline(t *testing.T) {
	end := monday.Add(time.Hour)
	s := running(lead(30*time.Minute), deadline(end))
	expect(t, s, end.Add(-us), "reminder")
	expect(t, s, end, "autostop: stop")
}

func TestReminderOncePerDeadline(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	now := end.Add(-30 * time.Minute)
	s := running(lead(30*time.Minute), deadline(end))
	c := lifecycle.Apply(s, lifecycle.Decide(s, now), now)
	if got := told(c.Events); got != "notice/workspace.stop_upcoming " || c.NewBuild || !c.Workspace.RemindedFor.Equal(end) {
		t.Errorf("told %s, new build %t, marker %v", got, c.NewBuild, c.Workspace.RemindedFor)
	}
	if e := c.Events[0]; !e.Until.Equal(end) || !e.DueAt.Equal(now) {
		t.Errorf("the notice says %v, due %v", e.Until, e.DueAt)
	}
	s = apply(s, c)
	ruleCase{s: s, from: now, want: "autostop: stop", at: end}.check(t)
	// Any change of the deadline arms it again.
	moved := end.Add(2 * time.Hour)
	s = do(t, s, now, lifecycle.Extend(moved))
	ruleCase{s: s, from: now, want: "reminder", at: moved.Add(-30 * time.Minute)}.check(t)
}

// What the notice announces is when the workspace really stops.
func TestReminderAnnouncesTheEffectiveStop(t *testing.T) {
	end, hold := monday.Add(8*time.Hour), monday.Add(20*time.Hour)
	s := running(lead(30*time.Minute), deadline(end), heldUntil(hold))
	now := hold.Add(-30 * time.Minute)
	ruleCase{s: s, want: "reminder", at: now}.check(t)
	if c := lifecycle.Apply(s, lifecycle.Decide(s, now), now); !c.Events[0].Until.Equal(hold) {
		t.Errorf("announces %v, want %v", c.Events[0].Until, hold)
	}
}

// A stop that is put off, because no worker or no room was there, comes at the next try. Whoever was told of the deadline is not
// told again, and whoever was not is told of that.
func TestReminderOfAStopThatIsPutOff(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	now, next := end.Add(time.Minute), end.Add(6*time.Minute)
	putOff := workspace(func(w *lifecycle.Workspace) {
		w.Backoff = lifecycle.Backoff{Until: next, Attempts: 1, Message: "no room"}
	})
	s := running(lead(30*time.Minute), deadline(end), putOff)
	told := with(func(s *lifecycle.Snapshot) { s.Workspace.RemindedFor = end })
	ruleCase{name: "told before", s: running(lead(30*time.Minute), deadline(end), putOff, told), from: now, want: "autostop: stop", at: next}.check(t)
	expect(t, s, now, "reminder")
	c := lifecycle.Apply(s, lifecycle.Decide(s, now), now)
	if got := c.Events[0].Until; !got.Equal(next) {
		t.Errorf("it announces a stop at %v, want that of the next try, %v", got, next)
	}
	ruleCase{name: "told now", s: apply(s, c), from: now, want: "autostop: stop", at: next}.check(t)
}
