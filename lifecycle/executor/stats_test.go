package executor_test

import (
	"context"
	"testing"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// A tick after an outage finds the whole fleet due. Its Stats count everything and name so many.
func TestStatsOfAWholeFleet(t *testing.T) {
	const beyond = 50
	for name, c := range map[string]struct {
		available bool
		want      executor.Counts
	}{
		"done":    {true, executor.Counts{Transitions: executor.MaxNamed + beyond}},
		"skipped": {false, executor.Counts{Skipped: executor.MaxNamed + beyond}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.add(dueStops(executor.MaxNamed + beyond)...)
			e := f.executor(executor.Config{Available: func(context.Context, executor.Group) (bool, error) { return c.available, nil }}, nil)
			s := e.Tick(f.ctx, monday)
			if s.Count != c.want || s.Err != nil {
				t.Errorf("counted %+v, error %v, want %+v", s.Count, s.Err, c.want)
			}
			if named := len(s.Transitions) + len(s.Skipped); named != executor.MaxNamed {
				t.Errorf("%d workspaces are named", named)
			}
		})
	}
}

// An error counts once for a workspace, whatever else goes wrong with it.
func TestStatsCountWorkspaces(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(3)...)
	store := &hooked{Store: f.store, commit: refusing(func(c *lifecycle.Change) bool { return c.Workspace.ID != id(3) })}
	s := f.executor(executor.Config{}, store).Tick(f.ctx, monday)
	if want := (executor.Counts{Transitions: 1, Errors: 2, Skipped: 2}); s.Count != want {
		t.Errorf("counted %+v, want %+v", s.Count, want)
	}
	if _, named := s.Errors[id(1)]; !named || len(s.Errors) != 2 || len(s.Skipped) != 2 {
		t.Errorf("errors %v, skipped %v", s.Errors, s.Skipped)
	}
}
