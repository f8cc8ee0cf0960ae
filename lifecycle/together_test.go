package lifecycle_test

import (
	"strings"
	"testing"

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
