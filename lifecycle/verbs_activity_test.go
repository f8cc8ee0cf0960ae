package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

func TestUsedMovesTheDeadline(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	hour := bump(time.Hour)
	// 5 % of the hour must be used up: at end-57m exactly it is not yet.
	early := end.Add(-57 * time.Minute)
	for _, c := range []struct {
		name string
		s    lifecycle.Snapshot
		at   time.Time
		want time.Time
	}{
		{"an hour from now", running(hour, deadline(end)), end.Add(-10 * time.Minute), end.Add(50 * time.Minute)},
		{"not yet 5 %", running(hour, deadline(end)), early, end},
		{"just over 5 %", running(hour, deadline(end)), early.Add(us), early.Add(us + time.Hour)},
		{"up to the cap", running(hour, deadlines(end, end.Add(10*time.Minute))), end, end.Add(10 * time.Minute)},
		{"at the cap", running(hour, deadlines(end, end)), end, end},
		{"past the deadline, not stopped yet", running(hour, deadline(end)), end.Add(time.Minute), end.Add(time.Hour + time.Minute)},
		{"off", running(deadline(end)), end, end},
		{"no deadline", running(hour), end, time.Time{}},
		{"starting", newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning), hour), end, time.Time{}},
		{"stopped", stopped(hour, deadline(end)), end, end},
	} {
		s := do(t, c.s, c.at, lifecycle.Used(c.at))
		if !s.Build.Deadline.Equal(c.want) || !s.Workspace.LastUsedAt.Equal(c.at) {
			t.Errorf("%s: deadline %v, want %v; used %v", c.name, s.Build.Deadline, c.want, s.Workspace.LastUsedAt)
		}
	}
}

// Activity that would reach over the next autostart gives the time that start would have given.
func TestUsedBeforeTheNextAutostart(t *testing.T) {
	now := at("2026-03-03 08:30")
	end := now.Add(20 * time.Minute)
	nine := with(autostart("0 9 * * *"), ttl(8*time.Hour), bump(time.Hour), deadline(end))
	for _, c := range []struct {
		name string
		s    lifecycle.Snapshot
		want time.Time
	}{
		{"the TTL after it", running(nine), at("2026-03-03 17:00")},
		{"the template's TTL", running(nine, policy(func(p *lifecycle.Policy) { p.AllowUserTTL, p.DefaultTTL = false, 2*time.Hour })), at("2026-03-03 11:00")},
		{"no TTL, nothing", running(nine, ttl(0)), end},
		{"reaches up to it", running(nine, bump(30*time.Minute)), at("2026-03-03 09:00")},
		{"forbidden day", running(nine, policy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.DaysOf(time.Monday) })), now.Add(time.Hour)},
		{"unusable schedule", running(nine, unusable("nine")), now.Add(time.Hour)},
	} {
		if s := do(t, c.s, now, lifecycle.Used(now)); !s.Build.Deadline.Equal(c.want) {
			t.Errorf("%s: deadline %v, want %v", c.name, s.Build.Deadline, c.want)
		}
	}
}

// Activity that is told late, after later one, still moves the deadline that it was before.
func TestUsedOutOfOrder(t *testing.T) {
	end := monday.Add(2 * time.Hour)
	s := running(bump(time.Hour), deadline(end), used(end.Add(-time.Minute)))
	at := end.Add(-10 * time.Minute)
	is := do(t, s, end, lifecycle.Used(at))
	if !is.Build.Deadline.Equal(at.Add(time.Hour)) || !is.Workspace.LastUsedAt.Equal(end.Add(-time.Minute)) {
		t.Errorf("deadline %v, last used %v", is.Build.Deadline, is.Workspace.LastUsedAt)
	}
	active := newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobRunning), bump(time.Hour), deadline(end), build(func(b *lifecycle.Build) { b.RunSince = monday }))
	if is = do(t, active, end, lifecycle.Used(end)); !is.Build.Deadline.Equal(end) {
		t.Errorf("a stop under way: deadline %v", is.Build.Deadline)
	}
}

func TestUsedAtOtherInstants(t *testing.T) {
	s := running(used(monday.Add(time.Hour)))
	now := monday.Add(2 * time.Hour)
	if w := do(t, s, now, lifecycle.Used(now.Add(day))).Workspace; !w.LastUsedAt.Equal(now) {
		t.Errorf("use in the future counts as now, but: %v", w.LastUsedAt)
	}
	refuse(t, "never moved back", s, now, lifecycle.Used(monday), lifecycle.ErrUnchanged)
	refuse(t, "told again", s, now, lifecycle.Used(monday.Add(time.Hour)), lifecycle.ErrUnchanged)
}

// What only postpones leaves the wake alone; what brings something forward does not.
func TestUsedKeepsAnEarlyWake(t *testing.T) {
	now, end := monday.Add(time.Hour), monday.Add(90*time.Minute)
	s := running(bump(time.Hour), deadline(end))
	s = apply(s, lifecycle.Rearm(s, monday))
	if s = do(t, s, now, lifecycle.Used(now)); !s.Workspace.WakeAt.Equal(end) || !s.Build.Deadline.Equal(monday.Add(2*time.Hour)) {
		t.Errorf("wakes %v, want still %v; deadline %v", s.Workspace.WakeAt, end, s.Build.Deadline)
	}
	expect(t, s, end, "nothing") // the tick that comes too early re-arms
	if c := lifecycle.Rearm(s, end); !c.Workspace.WakeAt.Equal(monday.Add(2 * time.Hour)) {
		t.Errorf("re-armed to %v", c.Workspace.WakeAt)
	}
	// A wake that was wrongly late, or never, is put right.
	for _, wrong := range []time.Time{monday.Add(1000 * day), {}} {
		s = running(tilDormant(day), workspace(func(w *lifecycle.Workspace) { w.WakeAt = wrong }))
		if s = do(t, s, now, lifecycle.Used(now)); !s.Workspace.WakeAt.Equal(now.Add(day + us)) {
			t.Errorf("wakes %v, want %v", s.Workspace.WakeAt, now.Add(day+us))
		}
	}
}
