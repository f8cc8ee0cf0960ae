package lifecycle_test

import (
	"testing"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func TestStatus(t *testing.T) {
	managed := workspace(func(w *lifecycle.Workspace) { w.Managed = true })
	deleted := workspace(func(w *lifecycle.Workspace) { w.Deleted = true })
	attention := workspace(func(w *lifecycle.Workspace) { w.AttentionAt = monday })
	for _, c := range []struct {
		want string
		s    lifecycle.Snapshot
	}{
		{"new", newWorkspace()},
		{"new", lifecycle.Snapshot{}},
		{"starting", newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobPending))},
		{"starting", newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning))},
		{"running", running()},
		{"stopping", newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobRunning))},
		{"stopped", stopped()},
		{"deleting", newWorkspace(built(lifecycle.TransitionDelete, lifecycle.JobPending))},
		{"deleted", newWorkspace(built(lifecycle.TransitionDelete, lifecycle.JobSucceeded))},
		{"canceling", newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobCanceling))},
		{"canceled", newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobCanceled))},
		{"failed", newWorkspace(built(lifecycle.TransitionDelete, lifecycle.JobFailed))},
		// The order of precedence: each of these would also be what comes after it.
		{"dormant", newWorkspace(asleep(monday), built(lifecycle.TransitionStop, lifecycle.JobFailed))},
		{"needs_attention", newWorkspace(asleep(monday), attention, built(lifecycle.TransitionStop, lifecycle.JobFailed))},
		{"stopping", newWorkspace(asleep(monday), attention, built(lifecycle.TransitionStop, lifecycle.JobRunning))},
		{"managed", newWorkspace(asleep(monday), attention, managed, built(lifecycle.TransitionStop, lifecycle.JobRunning))},
		{"deleted", newWorkspace(asleep(monday), attention, managed, deleted, built(lifecycle.TransitionStop, lifecycle.JobRunning))},
	} {
		if got := c.s.Status(); got.String() != c.want {
			t.Errorf("%v, want %s: %+v", got, c.want, c.s.Build)
		}
		if x := lifecycle.Explain(c.s, monday); x.Status != c.s.Status() {
			t.Errorf("explained as %v, is %v", x.Status, c.s.Status())
		}
	}
}
