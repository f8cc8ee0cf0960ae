package lifecycle_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// firstTransition is the first one that the rules make of a workspace that nobody touches, within two months.
func firstTransition(t *testing.T, s lifecycle.Snapshot, from time.Time) (lifecycle.Transition, time.Time) {
	t.Helper()
	for now := from; now.Before(from.Add(60 * day)); {
		d := lifecycle.Decide(s, now)
		if d.Transition != lifecycle.TransitionNone {
			return d.Transition, now
		}
		wake := lifecycle.NextWake(s, now)
		if wake.IsZero() {
			return lifecycle.TransitionNone, time.Time{}
		}
		now = wake
		if d.Acts() {
			c := lifecycle.Apply(s, d, now)
			s.Workspace, s.Build = c.Workspace, c.Build
		}
		if !now.After(from) {
			now = now.Add(time.Second)
		}
	}
	return lifecycle.TransitionNone, time.Time{}
}

func TestObserveAdoptsARun(t *testing.T) {
	s := newWorkspace(workspace(func(w *lifecycle.Workspace) { w.TTL = 8 * time.Hour }))
	for _, c := range []struct {
		name  string
		since time.Duration
		stops time.Duration
	}{
		{"young", time.Hour, 7 * time.Hour},
		{"overdue", 30 * day, 2 * time.Hour},
	} {
		got := do(t, s, monday, lifecycle.Observe(lifecycle.Observation{Running: true, Since: monday.Add(-c.since)}))
		if got.Status() != lifecycle.StatusRunning || got.Build.Number != 1 || got.Build.Reason != lifecycle.ReasonObserved {
			t.Errorf("%s: %v, build %+v", c.name, got.Status(), got.Build)
		}
		if want := monday.Add(8*time.Hour - c.since); !got.Build.Deadline.Equal(want) {
			t.Errorf("%s: deadline %v, want %v: it counts from the beginning of the run", c.name, got.Build.Deadline, want)
		}
		if what, at := firstTransition(t, got, monday); what != lifecycle.TransitionStop || at.Sub(monday).Truncate(time.Minute) != c.stops {
			t.Errorf("%s: %v after %v, want a stop after %v", c.name, what, at.Sub(monday), c.stops)
		}
	}
}

func TestObserveAdoptsWhatStandsStill(t *testing.T) {
	s := newWorkspace(policy(func(p *lifecycle.Policy) { p.DeleteStopped = 7 * day }), autostart("0 8 * * *"))
	got := do(t, s, monday, lifecycle.Observe(lifecycle.Observation{Since: monday.Add(-30 * day)}))
	if got.Status() != lifecycle.StatusStopped {
		t.Errorf("it is %v", got.Status())
	}
	what, at := firstTransition(t, got, monday)
	if what != lifecycle.TransitionStart || !at.Equal(monday.Add(23*time.Hour)) {
		t.Errorf("%v at %v, want tomorrow's autostart: that of today is the other scheduler's", what, at)
	}
	got.Workspace.Autostart = nil
	if what, at := firstTransition(t, got, monday); what != lifecycle.TransitionDelete || at.Sub(monday) < 24*time.Hour {
		t.Errorf("%v after %v, want a deletion that waits for its grace", what, at.Sub(monday))
	}
}

func TestObserveAProcessThatIsGone(t *testing.T) {
	s := running(policy(func(p *lifecycle.Policy) { p.DeleteStopped = 7 * day }))
	now := monday.Add(2 * time.Hour)
	gone := lifecycle.Observe(lifecycle.Observation{Since: monday.Add(time.Hour), BuildID: s.Build.ID})
	got := do(t, s, now, gone)
	b := got.Build
	if got.Status() != lifecycle.StatusStopped || b.Number != s.Build.Number+1 || !b.Deadline.IsZero() || !b.RunSince.IsZero() {
		t.Errorf("%v, build %+v", got.Status(), b)
	}
	if want := monday.Add(time.Hour + 7*day); !got.Workspace.DeletingAt.Equal(want) {
		t.Errorf("deleted at %v, want %v", got.Workspace.DeletingAt, want)
	}
	refuse(t, "told again", got, now, gone, lifecycle.ErrUnchanged)
	refuse(t, "told again of the build", got, now, lifecycle.Observe(lifecycle.Observation{BuildID: b.ID}), lifecycle.ErrUnchanged)
}

// What was seen of an earlier run says nothing about this one, and while a build is active its end tells.
func TestObserveThatIsNoNews(t *testing.T) {
	s := running()
	for name, o := range map[string]lifecycle.Observation{
		"runs, as is known":        {Running: true},
		"seen before the run":      {Since: monday.Add(-time.Hour)},
		"seen of another build":    {BuildID: uuid.New()},
		"the run of another build": {Running: true, BuildID: uuid.New()},
	} {
		refuse(t, name, s, monday.Add(time.Hour), lifecycle.Observe(o), lifecycle.ErrUnchanged)
	}
	stopping := newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobRunning))
	refuse(t, "a build is active", stopping, monday.Add(time.Hour), lifecycle.Observe(lifecycle.Observation{}), lifecycle.ErrUnchanged)
	gone := newWorkspace(workspace(func(w *lifecycle.Workspace) { w.Deleted = true }))
	refuse(t, "deleted", gone, monday, lifecycle.Observe(lifecycle.Observation{}), lifecycle.ErrDeleted)
	refuse(t, "from the future", s, monday.Add(time.Hour), lifecycle.Observe(lifecycle.Observation{Since: monday.Add(3 * time.Hour)}), nil)
	refuse(t, "no instant", s, monday, lifecycle.Observe(lifecycle.Observation{Since: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}), nil)
}

// What became of a managed workspace is written down, and no rule acts on it because of that.
func TestObserveOfAManagedWorkspace(t *testing.T) {
	s := running()
	s.Workspace.Managed = true
	s.Build.Deadline, s.Build.MaxDeadline = time.Time{}, time.Time{}
	got := do(t, s, monday.Add(time.Hour), lifecycle.Observe(lifecycle.Observation{BuildID: s.Build.ID}))
	if b := got.Build; b.Transition != lifecycle.TransitionStop || b.Status != lifecycle.JobSucceeded || b.Reason != lifecycle.ReasonObserved || !b.RunSince.IsZero() {
		t.Errorf("the build is %+v", b)
	}
	if got.Status() != lifecycle.StatusManaged || !got.Workspace.WakeAt.IsZero() {
		t.Errorf("it is %v and looked at again at %v", got.Status(), got.Workspace.WakeAt)
	}
}

func TestObserveADeletion(t *testing.T) {
	for name, s := range map[string]lifecycle.Snapshot{"running": running(), "stopped": stopped(), "new": newWorkspace()} {
		got := do(t, s, monday.Add(time.Hour), lifecycle.Observe(lifecycle.Observation{Deleted: true}))
		if got.Status() != lifecycle.StatusDeleted || !got.Workspace.WakeAt.IsZero() {
			t.Errorf("%s: it is %v, wakes %v", name, got.Status(), got.Workspace.WakeAt)
		}
	}
	refuse(t, "what runs and is deleted", running(), monday, lifecycle.Observe(lifecycle.Observation{Running: true, Deleted: true}), nil)
}

// A failed start, or a failed stop, may have left something or nothing; what is seen decides.
func TestObserveAfterAFailure(t *testing.T) {
	failed := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed))
	now := monday.Add(time.Hour)
	if got := do(t, failed, now, lifecycle.Observe(lifecycle.Observation{})); got.Status() != lifecycle.StatusStopped {
		t.Errorf("a failed start that left nothing is %v", got.Status())
	}
	if got := do(t, failed, now, lifecycle.Observe(lifecycle.Observation{Running: true})); got.Status() != lifecycle.StatusRunning {
		t.Errorf("a failed start that left a process is %v", got.Status())
	}
	asleep := newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobSucceeded), workspace(func(w *lifecycle.Workspace) {
		w.DormantAt, w.DeletingAt = monday, monday.Add(day)
	}))
	got := do(t, asleep, now, lifecycle.Observe(lifecycle.Observation{Running: true}))
	if got.Status() != lifecycle.StatusRunning || !got.Workspace.DeletingAt.IsZero() {
		t.Errorf("a dormant one that was started behind the engine's back is %v, deleted at %v", got.Status(), got.Workspace.DeletingAt)
	}
}

// What is observed ends what was counted of failures, and leaves the graces of a change that nobody announced.
func TestObserveEndsWhatWasCounted(t *testing.T) {
	now := monday.Add(time.Hour)
	s := newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobFailed), workspace(func(w *lifecycle.Workspace) {
		w.Failures, w.StartFailures, w.AttentionAt = 3, 2, monday
		w.Backoff = lifecycle.Backoff{Until: now.Add(day), Attempts: 7, Cause: lifecycle.SkipError, Message: "broken"}
	}))
	c := must1(lifecycle.Observe(lifecycle.Observation{Since: monday.Add(30*time.Minute + 1)})(s, now))
	w := c.Workspace
	if w.Failures != 0 || w.StartFailures != 0 || !w.AttentionAt.IsZero() || w.Backoff != (lifecycle.Backoff{}) {
		t.Errorf("still counted: %+v", w)
	}
	if want := (lifecycle.Floors{Stop: now.Add(2 * time.Hour), Dormancy: now.Add(2 * time.Hour), Delete: now.Add(day)}); w.Floors != want {
		t.Errorf("floors %+v, want %+v", w.Floors, want)
	}
	if told(c.Events) != "audit/workspace.observed " || c.Events[0].Message != "stopped since 2026-03-02T09:30:00Z" {
		t.Errorf("told %s: %+v", told(c.Events), c.Events)
	}
	for name, o := range map[string]struct {
		o    lifecycle.Observation
		says string
	}{
		"runs":       {lifecycle.Observation{Running: true}, "running since 2026-03-02T10:00:00Z"},
		"is deleted": {lifecycle.Observation{Deleted: true}, "deleted since 2026-03-02T10:00:00Z"},
	} {
		if c := must1(lifecycle.Observe(o.o)(s, now)); c.Events[0].Message != o.says {
			t.Errorf("%s: says %q", name, c.Events[0].Message)
		}
	}
}

// The version that runs is the one that was seen, or that of the build before, or the active one.
func TestObserveNamesTheVersion(t *testing.T) {
	now := monday.Add(time.Hour)
	for name, c := range map[string]struct {
		s    lifecycle.Snapshot
		o    lifecycle.Observation
		want uuid.UUID
	}{
		"seen":       {stopped(), lifecycle.Observation{Running: true, Version: id(0x77)}, id(0x77)},
		"the last":   {stopped(), lifecycle.Observation{Running: true}, oldVersion},
		"the active": {newWorkspace(), lifecycle.Observation{Running: true}, activeVersion},
	} {
		if got := must1(lifecycle.Observe(c.o)(c.s, now)).Build.TemplateVersionID; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// A clock may be a minute ahead; what was seen at the instant of the last build's end is news.
func TestObserveAtTheEdges(t *testing.T) {
	now := monday.Add(time.Hour)
	s := running()
	do(t, s, now, lifecycle.Observe(lifecycle.Observation{Since: now.Add(time.Minute)}))
	refuse(t, "a minute and more ahead", s, now, lifecycle.Observe(lifecycle.Observation{Since: now.Add(time.Minute + us)}), nil)
	do(t, s, now, lifecycle.Observe(lifecycle.Observation{Since: s.Build.CompletedAt}))
	refuse(t, "before its end", s, now, lifecycle.Observe(lifecycle.Observation{Since: s.Build.CompletedAt.Add(-us)}), lifecycle.ErrUnchanged)
	var refused *invalid.Error
	if _, err := lifecycle.Observe(lifecycle.Observation{Since: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)})(newWorkspace(), now); !errors.As(err, &refused) || refused.Field != "Observation.Since" {
		t.Errorf("an instant that is none: %v", err)
	}
	kept := stopped(workspace(func(w *lifecycle.Workspace) { w.DeletingAt = now.Add(9 * day) }))
	if got := do(t, kept, now, lifecycle.Observe(lifecycle.Observation{Running: true})); !got.Workspace.DeletingAt.IsZero() {
		t.Errorf("what runs is deleted at %v", got.Workspace.DeletingAt)
	}
}
