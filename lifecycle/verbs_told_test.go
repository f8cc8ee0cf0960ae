package lifecycle_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// What people do by hand is told to the audit.
func TestSettingsAreTold(t *testing.T) {
	needy := stopped(workspace(func(w *lifecycle.Workspace) { w.AttentionAt = monday }))
	for want, c := range map[string]struct {
		s lifecycle.Snapshot
		v lifecycle.Verb
	}{
		"audit/workspace.changed attention cleared":       {needy, lifecycle.ClearAttention()},
		"audit/workspace.changed ttl: 1h0m0s":             {stopped(), lifecycle.SetTTL(time.Hour)},
		"audit/workspace.changed automatic updates: true": {stopped(), lifecycle.SetAutomaticUpdates(true)},
		"audit/build.canceling ":                          {newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning)), lifecycle.CancelBuild(3)},
	} {
		change, err := c.v(c.s, monday)
		must(err)
		if len(change.Events) != 1 || told(change.Events)+change.Events[0].Message != want {
			t.Errorf("told %s, want %s", told(change.Events), want)
		}
	}
}

func TestTheLongestTTLIsAllowed(t *testing.T) {
	must(lifecycle.Policy{DefaultTTL: schedule.MaxTTL}.Validate())
	if (lifecycle.Policy{DefaultTTL: schedule.MaxTTL + time.Minute}).Validate() == nil {
		t.Error("a longer one passes")
	}
}
