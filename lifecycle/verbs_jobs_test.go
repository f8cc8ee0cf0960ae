package lifecycle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// refuse checks that a verb fails with a certain error and changes nothing.
func refuse(t *testing.T, name string, s lifecycle.Snapshot, now time.Time, v lifecycle.Verb, want error) {
	t.Helper()
	c, err := v(s, now)
	var input *invalid.Error
	ok := errors.Is(err, want) || want == errAny && err != nil //nolint:errorlint // errAny is a mark of this test, never wrapped
	if want == nil {
		ok = errors.As(err, &input)
	}
	if !ok || c.NewBuild || c.Workspace != (lifecycle.Workspace{}) {
		t.Errorf("%s: error %v, want %v; change %+v", name, err, want, c)
	}
}

func job(build int, status lifecycle.JobStatus) lifecycle.Verb {
	return lifecycle.JobEnded(lifecycle.JobResult{BuildID: id(build), Status: status})
}

func TestJobStarted(t *testing.T) {
	s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobPending))
	s = do(t, s, monday, lifecycle.JobStarted(id(0xb1)))
	if s.Build.Status != lifecycle.JobRunning || !s.Build.CompletedAt.IsZero() {
		t.Errorf("build %+v", s.Build)
	}
	refuse(t, "again", s, monday, lifecycle.JobStarted(id(0xb1)), lifecycle.ErrUnchanged)
	refuse(t, "another build", s, monday, lifecycle.JobStarted(id(0xb2)), lifecycle.ErrStaleBuild)
	refuse(t, "ended", running(), monday, lifecycle.JobStarted(id(0xb1)), lifecycle.ErrStaleBuild)
}

func TestJobEndedRefuses(t *testing.T) {
	s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning))
	for _, status := range []lifecycle.JobStatus{lifecycle.JobNone, lifecycle.JobPending, lifecycle.JobRunning, lifecycle.JobCanceling} {
		refuse(t, status.String(), s, monday, job(0xb1, status), nil)
	}
	refuse(t, "another build", s, monday, job(0xb2, lifecycle.JobSucceeded), lifecycle.ErrStaleBuild)
	refuse(t, "told again", running(), monday, job(0xb1, lifecycle.JobSucceeded), lifecycle.ErrUnchanged)
	refuse(t, "ended otherwise", running(), monday, job(0xb1, lifecycle.JobFailed), lifecycle.ErrStaleBuild)
}

// errAny is any error at all.
var errAny anyError

type anyError struct{}

func (anyError) Error() string { return "any" }

// Deadlines count from the completion of the job, not from when it is told.
func TestJobEndedComputesDeadlines(t *testing.T) {
	done, told := monday, monday.Add(3*time.Hour)
	start := built(lifecycle.TransitionStart, lifecycle.JobRunning)
	required := quietHours("CRON_TZ=Europe/Berlin 0 22 * * *", schedule.DaysOf(time.Wednesday), 1)
	wednesday := at("2026-03-04 21:00")
	for _, c := range []struct {
		name            string
		s               lifecycle.Snapshot
		deadline, limit time.Time
	}{
		{"no TTL", newWorkspace(start), time.Time{}, time.Time{}},
		{"own TTL", newWorkspace(start, ttl(8*time.Hour)), done.Add(8 * time.Hour), time.Time{}},
		{"own TTL, the template's is not looked at", newWorkspace(start, policy(func(p *lifecycle.Policy) { p.DefaultTTL = time.Hour })), time.Time{}, time.Time{}},
		{"the template's TTL", newWorkspace(start, ttl(8*time.Hour), policy(func(p *lifecycle.Policy) { p.DefaultTTL, p.AllowUserTTL = time.Hour, false })), done.Add(time.Hour), time.Time{}},
		{"over the next autostart", newWorkspace(start, ttl(25*time.Hour), autostart("0 9 * * *")), done.Add(day + 25*time.Hour), time.Time{}},
		{"up to the next autostart", newWorkspace(start, ttl(24*time.Hour), autostart("0 9 * * *")), done.Add(24 * time.Hour), time.Time{}},
		{"over an autostart on a forbidden day", newWorkspace(start, ttl(25*time.Hour), autostart("0 9 * * *"), policy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.DaysOf(time.Monday) })), done.Add(25 * time.Hour), time.Time{}},
		{"over an autostart that the template forbids", newWorkspace(start, ttl(25*time.Hour), autostart("0 9 * * *"), policy(func(p *lifecycle.Policy) { p.AllowUserAutostart = false })), done.Add(day + 25*time.Hour), time.Time{}},
		{"an unusable schedule", newWorkspace(start, ttl(25*time.Hour), unusable("no")), done.Add(25 * time.Hour), time.Time{}},
		{"required stop", newWorkspace(start, required), wednesday, wednesday},
		{"required stop, TTL first", newWorkspace(start, ttl(time.Hour), required), done.Add(time.Hour), wednesday},
		{"required stop before the TTL", newWorkspace(start, ttl(100*time.Hour), required), wednesday, wednesday},
		{"a stop", newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobRunning), ttl(time.Hour)), time.Time{}, time.Time{}},
		{"managed", newWorkspace(start, ttl(time.Hour), workspace(func(w *lifecycle.Workspace) { w.Managed = true })), time.Time{}, time.Time{}},
	} {
		c.s = do(t, c.s, told, lifecycle.JobEnded(lifecycle.JobResult{BuildID: id(0xb1), Status: lifecycle.JobSucceeded, CompletedAt: done.Add(999)}))
		if b := c.s.Build; !b.Deadline.Equal(c.deadline) || !b.MaxDeadline.Equal(c.limit) || !b.CompletedAt.Equal(done) {
			t.Errorf("%s: deadline %v, max %v, completed %v\nwant %v, %v, %v", c.name, b.Deadline, b.MaxDeadline, b.CompletedAt, c.deadline, c.limit, done)
		}
	}
}

// A job that fails or is canceled leaves the deadlines as they were, and by itself does nothing more.
func TestJobEndedWithoutSuccess(t *testing.T) {
	for status, want := range map[lifecycle.JobStatus]string{
		lifecycle.JobFailed: "audit/build.failed ", lifecycle.JobCanceled: "audit/build.canceled ",
	} {
		s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobCanceling), ttl(time.Hour))
		c, err := lifecycle.JobEnded(lifecycle.JobResult{BuildID: id(0xb1), Status: status, Message: "out of disk"})(s, monday)
		must(err)
		if b := c.Build; !b.Deadline.IsZero() || b.Status != status || !b.CompletedAt.Equal(monday) {
			t.Errorf("%s: build %+v", status, b)
		}
		if got := told(c.Events); got != want || c.Events[0].Message != "out of disk" {
			t.Errorf("%s: told %s: %q", status, got, c.Events[0].Message)
		}
	}
	// The owner is told of a build nobody asked for.
	s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning, build(func(b *lifecycle.Build) { b.Reason = lifecycle.ReasonAutostart })))
	c, err := job(0xb1, lifecycle.JobFailed)(s, monday)
	must(err)
	if got := told(c.Events); got != "audit/build.failed notice/build.failed " {
		t.Errorf("told %s", got)
	}
}

// A start that succeeds ends the count of those that failed, whoever asked for it.
func TestAStartThatSucceedsCounts(t *testing.T) {
	s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning), workspace(func(w *lifecycle.Workspace) { w.StartFailures = 2 }))
	if n := do(t, s, monday, job(0xb1, lifecycle.JobSucceeded)).Workspace.StartFailures; n != 0 {
		t.Errorf("%d starts have failed", n)
	}
	stops := newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobRunning))
	c, err := job(0xb1, lifecycle.JobSucceeded)(stops, monday)
	must(err)
	if told(c.Events) != "audit/build.succeeded " {
		t.Errorf("a stop that nothing follows is told as %s", told(c.Events))
	}
}

// The end of a job takes away what was put off before it, the end of a delete its run, and that of a canceled stop nothing of what
// does not run.
func TestJobEndedLeaves(t *testing.T) {
	end := monday.Add(time.Hour)
	put := workspace(func(w *lifecycle.Workspace) {
		w.Backoff = lifecycle.Backoff{Until: end, Attempts: 1, Cause: lifecycle.SkipError}
	})
	runs := build(func(b *lifecycle.Build) { b.RunSince, b.Deadline, b.MaxDeadline = monday, end, end })
	s := finish(t, newWorkspace(built(lifecycle.TransitionDelete, lifecycle.JobRunning), runs, put), monday, lifecycle.JobSucceeded)
	if b := s.Build; !b.RunSince.IsZero() || !b.Deadline.IsZero() || !b.MaxDeadline.IsZero() || s.Workspace.Backoff != (lifecycle.Backoff{}) {
		t.Errorf("deleted, with a run since %v until %v, back-off %+v", b.RunSince, b.Deadline, s.Workspace.Backoff)
	}
	because := func(r lifecycle.Reason) edit { return build(func(b *lifecycle.Build) { b.Reason = r }) }
	for name, c := range map[string]struct {
		s    lifecycle.Snapshot
		want time.Time
		told string
	}{
		"a stop of what runs":   {newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobCanceling), because(lifecycle.ReasonAutostop), build(func(b *lifecycle.Build) { b.RunSince = monday })), end, "audit/build.canceled audit/workspace.extended "},
		"a stop of nothing":     {newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobCanceling), because(lifecycle.ReasonFailedCleanup)), time.Time{}, "audit/build.canceled "},
		"a deletion":            {newWorkspace(built(lifecycle.TransitionDelete, lifecycle.JobCanceling), because(lifecycle.ReasonAutodelete), build(func(b *lifecycle.Build) { b.RunSince = monday })), time.Time{}, "audit/build.canceled "},
		"a stop that was asked": {newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobCanceling), build(func(b *lifecycle.Build) { b.RunSince = monday })), time.Time{}, "audit/build.canceled "},
	} {
		change, err := job(0xb1, lifecycle.JobCanceled)(c.s, monday)
		must(err)
		if !change.Build.Deadline.Equal(c.want) || told(change.Events) != c.told {
			t.Errorf("%s: deadline %v, told %s", name, change.Build.Deadline, told(change.Events))
		}
	}
}

// A start that succeeded before runs were stored began its run when it was completed.
func TestARunThatIsNotStoredBeganWithItsStart(t *testing.T) {
	s := running(build(func(b *lifecycle.Build) { b.RunSince = time.Time{} }))
	if b := do(t, s, monday.Add(time.Hour), lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil)).Build; !b.RunSince.Equal(s.Build.CompletedAt) {
		t.Errorf("runs since %v, want %v", b.RunSince, s.Build.CompletedAt)
	}
}

func TestCancelBuild(t *testing.T) {
	pending := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobPending), failureTTL(time.Hour))
	s := do(t, pending, monday, lifecycle.CancelBuild(3))
	if s.Build.Status != lifecycle.JobCanceled || !s.Build.CompletedAt.Equal(monday) {
		t.Errorf("pending: %+v", s.Build)
	}
	// Nobody picked it up, yet it may have left something: cleaned up like a failed one.
	ruleCase{s: s, want: "failed_cleanup: stop", at: monday.Add(time.Hour + us)}.check(t)

	s = do(t, newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning)), monday, lifecycle.CancelBuild(3))
	if s.Build.Status != lifecycle.JobCanceling || !s.Build.CompletedAt.IsZero() {
		t.Errorf("running: %+v", s.Build)
	}
	refuse(t, "canceling", s, monday, lifecycle.CancelBuild(3), lifecycle.ErrUnchanged)
	refuse(t, "ended", running(), monday, lifecycle.CancelBuild(3), lifecycle.ErrStaleBuild)
	refuse(t, "another", pending, monday, lifecycle.CancelBuild(2), lifecycle.ErrStaleBuild)
}

func TestRequest(t *testing.T) {
	now := monday.Add(day)
	for transition, s := range map[lifecycle.Transition]lifecycle.Snapshot{
		lifecycle.TransitionStart: stopped(), lifecycle.TransitionStop: running(), lifecycle.TransitionDelete: running(),
	} {
		c, err := lifecycle.RequestBuild(transition, uuid.Nil)(s, now)
		must(err)
		want := lifecycle.Build{
			Number: 4, TemplateVersionID: oldVersion, Transition: transition, Reason: lifecycle.ReasonManual,
			Status: lifecycle.JobPending, CreatedAt: now,
		}
		want.RunSince = s.Build.RunSince
		if c.Build != want || !c.NewBuild || told(c.Events) != "audit/build.queued " {
			t.Errorf("%s: build %+v, told %s", transition, c.Build, told(c.Events))
		}
		if used := c.Workspace.LastUsedAt.Equal(now); used != (transition == lifecycle.TransitionStart) {
			t.Errorf("%s: last used %v", transition, c.Workspace.LastUsedAt)
		}
	}
	if first := do(t, newWorkspace(), now, lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)).Build; first.Number != 1 || first.TemplateVersionID != activeVersion {
		t.Errorf("first build %+v", first)
	}
	if chosen := do(t, stopped(), now, lifecycle.RequestBuild(lifecycle.TransitionStart, id(5))).Build; chosen.TemplateVersionID != id(5) {
		t.Errorf("chosen version: %+v", chosen)
	}
}

func TestRequestRefuses(t *testing.T) {
	deleted := running(workspace(func(w *lifecycle.Workspace) { w.Deleted = true }))
	required := stopped(policy(func(p *lifecycle.Policy) { p.RequireActiveVersion = true }))
	start := lifecycle.TransitionStart
	refuse(t, "no transition", running(), monday, lifecycle.RequestBuild(lifecycle.TransitionNone, uuid.Nil), nil)
	refuse(t, "unknown transition", running(), monday, lifecycle.RequestBuild(9, uuid.Nil), nil)
	refuse(t, "deleted", deleted, monday, lifecycle.RequestBuild(start, uuid.Nil), lifecycle.ErrDeleted)
	refuse(t, "version of a stop", running(), monday, lifecycle.RequestBuild(lifecycle.TransitionStop, id(5)), nil)
	refuse(t, "not the active version", required, monday, lifecycle.RequestBuild(start, id(5)), lifecycle.ErrForbidden)
	do(t, required, monday, lifecycle.RequestBuild(start, activeVersion))
	for _, status := range []lifecycle.JobStatus{lifecycle.JobPending, lifecycle.JobRunning, lifecycle.JobCanceling} {
		refuse(t, status.String(), newWorkspace(built(start, status)), monday, lifecycle.RequestBuild(start, uuid.Nil), lifecycle.ErrBuildActive)
	}
}

// A start by hand wakes a dormant workspace; a stop or a delete leaves it asleep.
func TestRequestAndDormancy(t *testing.T) {
	now := monday.Add(3 * day)
	sleeping := stopped(asleep(monday.Add(10*day)), autostart("0 9 * * *"), tilDeleted(day))
	c, err := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)(sleeping, now)
	must(err)
	w := c.Workspace
	if !w.DormantAt.IsZero() || !w.DeletingAt.IsZero() || !w.LastUsedAt.Equal(now) || told(c.Events) != "audit/workspace.awake audit/build.queued " {
		t.Errorf("started: %+v, told %s", w, told(c.Events))
	}
	for _, transition := range []lifecycle.Transition{lifecycle.TransitionStop, lifecycle.TransitionDelete} {
		if s := do(t, sleeping, now, lifecycle.RequestBuild(transition, uuid.Nil)); s.Workspace.DormantAt.IsZero() || s.Workspace.DeletingAt.IsZero() {
			t.Errorf("%s woke it", transition)
		}
	}
}
