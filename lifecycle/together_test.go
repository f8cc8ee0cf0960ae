package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func TestTogether(t *testing.T) {
	start := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)
	both := lifecycle.Together(
		lifecycle.SetAutostart(weekly("0 9 * * *")), lifecycle.ClearAttention(), lifecycle.SetAutostop(weekly("0 18 * * *")), start,
	)
	s := stopped()
	c, err := both(s, monday)
	if err != nil || !c.NewBuild || c.Build.Number != s.Build.Number+1 || c.Revision != s.Workspace.Revision {
		t.Fatalf("change %+v, error %v", c, err)
	}
	if c.Workspace.Autostart == nil || c.Workspace.Autostop == nil {
		t.Error("not all was changed")
	}
	keys := map[string]bool{}
	for _, e := range c.Events {
		if keys[e.Key()] {
			t.Errorf("two events of one change have the key %s", e.Key())
		}
		keys[e.Key()] = true
		if e.Kind == lifecycle.EventChanged && (!strings.Contains(e.Message, "autostart") || !strings.Contains(e.Message, "autostop")) {
			t.Errorf("the event says %q of two changes", e.Message)
		}
	}
	alone, err := start(s, monday)
	if err != nil || alone.Build != c.Build {
		t.Errorf("the build is %+v, alone %+v", c.Build, alone.Build)
	}
	refuse(t, "nothing", s, monday, lifecycle.Together(), lifecycle.ErrUnchanged)
	refuse(t, "nothing new", s, monday, lifecycle.Together(lifecycle.ClearAttention(), lifecycle.EndDormancy()), lifecycle.ErrUnchanged)
	refuse(t, "two builds", s, monday, lifecycle.Together(start, start), lifecycle.ErrBuildActive)
	refuse(t, "two observations", newWorkspace(), monday,
		lifecycle.Together(lifecycle.Observe(lifecycle.Observation{}), lifecycle.Observe(lifecycle.Observation{Running: true})), nil)
	refuse(t, "no verb", s, monday, lifecycle.Together(start, nil), nil)
	refuse(t, "one that fails", s, monday, lifecycle.Together(start, lifecycle.Extend(monday)), errAny)
}

func TestDeadlineFrom(t *testing.T) {
	eight := workspace(func(w *lifecycle.Workspace) { w.TTL = 8 * time.Hour })
	for _, c := range []struct {
		want lifecycle.DeadlineSource
		s    lifecycle.Snapshot
		move time.Duration
	}{
		{lifecycle.DeadlineNone, newWorkspace(), 0},
		{lifecycle.DeadlineTTL, newWorkspace(eight), 0},
		{lifecycle.DeadlineMoved, newWorkspace(eight), time.Hour},
		{lifecycle.DeadlineAutostop, newWorkspace(eight, workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("0 12 * * *") })), 0},
		{lifecycle.DeadlineMaxRuntime, newWorkspace(eight, policy(func(p *lifecycle.Policy) { p.MaxRuntime = time.Hour })), 0},
		{lifecycle.DeadlineAutostart, newWorkspace(eight, autostart("30 9 * * *")), 0},
		{lifecycle.DeadlineRequirement, newWorkspace(
			workspace(func(w *lifecycle.Workspace) { w.TTL = 72 * time.Hour }), quietHours("0 10 * * *", 127, 0)), 0},
	} {
		s := do(t, c.s, monday, lifecycle.Observe(lifecycle.Observation{Running: true}))
		s.Build.Deadline = map[bool]time.Time{true: s.Build.Deadline, false: s.Build.Deadline.Add(c.move)}[c.move == 0]
		if got := s.DeadlineFrom(); got != c.want {
			t.Errorf("deadline %v is from %q, want %q", s.Build.Deadline, got, c.want)
		}
	}
}
