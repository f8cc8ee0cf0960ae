package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func tilDormant(d time.Duration) edit {
	return policy(func(p *lifecycle.Policy) { p.TimeTilDormant = d })
}

func tilDeleted(d time.Duration) edit {
	return policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = d })
}

func TestDormancy(t *testing.T) {
	const mark, stop = "dormancy: dormant", "dormancy: stop, dormant"
	due := monday.Add(7*day + us)
	week := tilDormant(7 * day)
	of := func(t lifecycle.Transition, status lifecycle.JobStatus) lifecycle.Snapshot {
		return newWorkspace(built(t, status), week)
	}
	runRules(t, []ruleCase{
		{name: "stopped", s: stopped(week), want: mark, at: due},
		{name: "running", s: running(week), want: stop, at: due},
		{name: "never built", s: newWorkspace(week), want: mark, at: due},
		{name: "never used counts from creation", s: stopped(week, workspace(func(w *lifecycle.Workspace) { w.LastUsedAt = time.Time{} })), want: mark, at: due},
		{name: "used later", s: stopped(week, workspace(func(w *lifecycle.Workspace) { w.LastUsedAt = monday.Add(day) })), want: mark, at: due.Add(day)},
		// A stop that did not succeed may have left compute running: stopped first, marked in the same commit.
		{name: "failed start", s: of(lifecycle.TransitionStart, lifecycle.JobFailed), want: stop, at: due},
		{name: "canceled start", s: of(lifecycle.TransitionStart, lifecycle.JobCanceled), want: stop, at: due},
		{name: "failed stop", s: of(lifecycle.TransitionStop, lifecycle.JobFailed), want: stop, at: due},
		{name: "canceled stop", s: of(lifecycle.TransitionStop, lifecycle.JobCanceled), want: stop, at: due},
		{name: "failed delete", s: of(lifecycle.TransitionDelete, lifecycle.JobFailed), want: mark, at: due},
		{name: "failed delete of one that runs", s: newWorkspace(built(lifecycle.TransitionDelete, lifecycle.JobFailed), week, build(func(b *lifecycle.Build) { b.RunSince = monday })), want: stop, at: due},
		{name: "a build under way ends first", s: of(lifecycle.TransitionStart, lifecycle.JobRunning)},
		{name: "owner suspended", s: stopped(week, owner(lifecycle.OwnerSuspended)), want: mark, at: due},
		{name: "owner dormant", s: stopped(week, owner(lifecycle.OwnerDormant)), want: mark, at: due},
		{name: "dormant already", s: stopped(week, asleep(time.Time{}))},
		{name: "off", s: stopped()},
		{name: "use and creation unknown", s: stopped(week, workspace(func(w *lifecycle.Workspace) { w.LastUsedAt, w.CreatedAt = time.Time{}, time.Time{} }))},
		{name: "grace of a policy change", s: stopped(week, set(func(s *lifecycle.Snapshot) { s.Template.Floors.Dormancy = monday.Add(8 * day) })), want: mark, at: monday.Add(8 * day)},
	})
}

func TestDormancyStopsAndMarksInOneChange(t *testing.T) {
	now := monday.Add(8 * day)
	s := running(tilDormant(7*day), tilDeleted(30*day))
	c := lifecycle.Apply(s, lifecycle.Decide(s, now), now)
	w := c.Workspace
	if !w.DormantAt.Equal(now) || !w.DeletingAt.Equal(now.Add(30*day)) || !w.LastUsedAt.Equal(monday) {
		t.Errorf("dormant %v, deleting %v, used %v", w.DormantAt, w.DeletingAt, w.LastUsedAt)
	}
	if !c.NewBuild || c.Build.Transition != lifecycle.TransitionStop || c.Build.Reason != lifecycle.ReasonDormancy {
		t.Errorf("build %+v", c.Build)
	}
	if got := told(c.Events); got != "audit/build.queued audit/workspace.dormant notice/workspace.dormant " {
		t.Errorf("told %s", got)
	}
	if u := c.Events[2].Until; !u.Equal(w.DeletingAt) {
		t.Errorf("the notice says deletion at %v", u)
	}
	expect(t, apply(s, c), now, "nothing")
	s = finish(t, apply(s, c), now.Add(time.Minute), lifecycle.JobSucceeded)
	ruleCase{s: s, from: now.Add(time.Minute), want: "autodelete: delete", at: now.Add(30*day + us)}.check(t)
}

func TestDormancyWithoutDeletion(t *testing.T) {
	now := monday.Add(8 * day)
	s := after(t, stopped(tilDormant(7*day)), now)
	if !s.Workspace.DeletingAt.IsZero() || s.Build.Number != 3 {
		t.Errorf("deleting %v, build %d", s.Workspace.DeletingAt, s.Build.Number)
	}
	ruleCase{s: s, from: now}.checkNever(t)
}

// An autostart is no use: a workspace that only ever starts by itself still goes dormant.
func TestAutostartIsNotUse(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), tilDormant(36*time.Hour))
	start := monday.Add(day)
	s = finish(t, after(t, s, start), start, lifecycle.JobSucceeded)
	ruleCase{s: s, from: start, want: "dormancy: stop, dormant", at: monday.Add(36*time.Hour + us)}.check(t)
}

func TestAutodelete(t *testing.T) {
	const del = "autodelete: delete"
	promised := monday.Add(10 * day)
	month := tilDeleted(30 * day)
	failedDelete := built(lifecycle.TransitionDelete, lifecycle.JobFailed)
	ended := monday.Add(time.Minute)
	runRules(t, []ruleCase{
		{name: "after the promise", s: stopped(month, asleep(promised)), want: del, at: promised.Add(us)},
		{name: "running and dormant is stopped first", s: running(month, asleep(promised)), want: "autostop: stop", at: monday},
		{name: "owner suspended", s: stopped(month, asleep(promised), owner(lifecycle.OwnerSuspended)), want: del, at: promised.Add(us)},
		{name: "awake", s: stopped(month, workspace(func(w *lifecycle.Workspace) { w.DeletingAt = promised }))},
		{name: "no promise", s: stopped(month, asleep(time.Time{}))},
		{name: "switched off since", s: stopped(asleep(promised))},
		{name: "a build under way ends first", s: newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobPending), month, asleep(promised))},
		{name: "grace of a policy change", s: stopped(month, asleep(promised), reminded(promised.Add(day)), set(func(s *lifecycle.Snapshot) { s.Template.Floors.Delete = promised.Add(day) })), want: del, at: promised.Add(day)},
		{name: "failed delete", s: newWorkspace(failedDelete, month, asleep(monday.Add(-day))), want: del, at: ended.Add(day + us)},
		{name: "failed delete before the promise", s: newWorkspace(failedDelete, month, asleep(promised)), want: del, at: promised.Add(us)},
		{name: "failed delete of one awake", s: newWorkspace(failedDelete, month)},
		{name: "canceled delete", s: newWorkspace(built(lifecycle.TransitionDelete, lifecycle.JobCanceled), month, asleep(monday.Add(-day))), want: del, at: ended.Add(day + us)},
	})
}

func TestAutodeleteEndsTheWorkspace(t *testing.T) {
	now := monday.Add(40 * day)
	s := after(t, stopped(tilDeleted(day), asleep(monday.Add(day))), now)
	if s.Build.Reason != lifecycle.ReasonAutodelete || s.Workspace.Deleted {
		t.Fatalf("build %+v, deleted %t", s.Build, s.Workspace.Deleted)
	}
	c, err := lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: lifecycle.JobSucceeded})(s, now)
	must(err)
	if got := told(c.Events); got != "audit/build.succeeded audit/workspace.deleted " || !c.Workspace.Deleted || !c.Workspace.WakeAt.IsZero() {
		t.Errorf("told %s; deleted %t, wake %v", got, c.Workspace.Deleted, c.Workspace.WakeAt)
	}
	ruleCase{s: apply(s, c), from: now}.checkNever(t)
}

// Whatever the stored instant says, the time of stopped workspaces deletes none that is neither stopped nor dormant.
func TestOnlyWhatIsStoppedIsDeleted(t *testing.T) {
	due := with(policy(func(p *lifecycle.Policy) { p.DeleteStopped = day }), workspace(func(w *lifecycle.Workspace) { w.DeletingAt = monday }))
	failed := built(lifecycle.TransitionDelete, lifecycle.JobFailed)
	since := build(func(b *lifecycle.Build) { b.RunSince = monday })
	ended := monday.Add(time.Minute)
	runRules(t, []ruleCase{
		{name: "running", s: running(due)},
		{name: "running, as a delete failed", s: newWorkspace(failed, since, due)},
		{name: "a start that failed", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), due)},
		{name: "never built", s: newWorkspace(due)},
		// Nobody is reminded of a deletion that was tried already.
		{name: "stopped, as a delete failed", s: newWorkspace(failed, due), from: ended, want: "autodelete: delete", at: ended.Add(day + us)},
	})
	for status, want := range map[lifecycle.JobStatus]time.Time{lifecycle.JobSucceeded: ended.Add(9 * day), lifecycle.JobFailed: {}, lifecycle.JobCanceled: {}} {
		s := followed(t, newWorkspace(built(lifecycle.TransitionStop, status)), monday.Add(time.Hour), func(p *lifecycle.Policy) { p.DeleteStopped = 9 * day })
		if got := s.Workspace.DeletingAt; !got.Equal(want) {
			t.Errorf("a stop that is %s: deleted at %v, want %v", status, got, want)
		}
	}
}

// A stop at the instant at which a suspension ends may be the suspension's: what the deadline throws away stays.
func TestAStopAsASuspensionEndsDeletesNothing(t *testing.T) {
	away := policy(func(p *lifecycle.Policy) { p.DeleteAtDeadline = true })
	for after, deleted := range map[time.Duration]bool{0: false, us: true} {
		s := newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobRunning), away, build(func(b *lifecycle.Build) { b.Reason = lifecycle.ReasonAutostop }))
		s.Owner.AutostartAfter = monday.Add(-after)
		if s = finish(t, s, monday.Add(time.Minute), lifecycle.JobSucceeded); s.Workspace.DeletingAt.IsZero() == deleted {
			t.Errorf("made %v after it: deleted at %v", after, s.Workspace.DeletingAt)
		}
	}
}

// Failed deletions keep a floor of 24 hours, however short the policy's pauses, and end in attention.
func TestAutodeleteRetries(t *testing.T) {
	s := stopped(tilDeleted(day), asleep(monday), policy(func(p *lifecycle.Policy) {
		p.Retry = lifecycle.Retry{Max: 3, Initial: time.Minute, MaxInterval: time.Hour}
	}))
	now := monday.Add(us)
	for range 2 {
		expect(t, s, now, "autodelete: delete")
		ended := now.Add(time.Hour)
		s = finish(t, after(t, s, now), ended, lifecycle.JobFailed)
		now = ended.Add(day + us)
		ruleCase{s: s, from: ended, want: "autodelete: delete", at: now}.check(t)
	}
	s = finish(t, after(t, s, now), now, lifecycle.JobFailed)
	if s.Workspace.AttentionAt.IsZero() {
		t.Error("three failed deletions should call for attention")
	}
	ruleCase{s: s, from: now}.checkNever(t)
}

// A pause longer than the floor holds too.
func TestAutodeleteBacksOffBeyondTheFloor(t *testing.T) {
	s := newWorkspace(built(lifecycle.TransitionDelete, lifecycle.JobFailed), tilDeleted(day), asleep(monday),
		workspace(func(w *lifecycle.Workspace) { w.Failures = 2 }),
		policy(func(p *lifecycle.Policy) {
			p.Retry = lifecycle.Retry{Initial: 48 * time.Hour, MaxInterval: 200 * time.Hour}
		}))
	if got := lifecycle.NextWake(s, monday).Sub(s.Build.CompletedAt); got < 96*time.Hour || got > 120*time.Hour+us {
		t.Errorf("pause %v, want 96h and up to a quarter more", got)
	}
}
