package postgres_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// TestUnreadablePolicy spoils the stored policy of one of two templates. Its workspaces stay as they are, with the reason
// for all to see; those of the other template go on; and so do all when the policy is put again, with the grace of a change.
func TestUnreadablePolicy(t *testing.T) {
	s, pool := open(t)
	good, bad := newFleet(t, s, 1), newFleet(t, s, 1)
	for _, f := range []*fleet{good, bad} { // each runs, and its deadline is an hour away
		id := f.ids[0]
		c := started(t, load(t, s, id)[0])
		commit(t, s, c)
		ended, err := lifecycle.JobEnded(lifecycle.JobResult{BuildID: c.Build.ID, Status: lifecycle.JobSucceeded})(load(t, s, id)[0], epoch)
		must(t, err)
		ended.Build.Deadline, ended.Workspace.WakeAt = epoch.Add(time.Hour), epoch.Add(time.Hour)
		commit(t, s, ended)
	}
	exec(t, pool, `UPDATE dormouse.templates SET policy = '{"default_ttl": "until tea"}' WHERE id = $1`, bad.template.ID.String())
	e, err := executor.New(s, executor.Config{Logger: slog.New(slog.DiscardHandler)})
	must(t, err)

	now := epoch.Add(time.Hour)
	stats := e.Tick(t.Context(), now)
	must(t, stats.Err)
	if _, stopped := stats.Transitions[good.ids[0]]; !stopped || len(stats.Transitions) != 1 {
		t.Errorf("transitions %v, want only that of the template that can be read", stats.Transitions)
	}
	if stats.Errors[bad.ids[0]] == nil {
		t.Error("the policy that cannot be read is no error of its workspace")
	}
	if wake := load(t, s, bad.ids[0])[0].Workspace.WakeAt; !wake.After(now) || wake.After(now.Add(24*time.Hour)) {
		t.Errorf("looked at again at %v, want within a day", wake)
	}
	bad.template.Revision = 1
	must(t, s.PutTemplate(t.Context(), now, bad.template))
	if stats = e.Tick(t.Context(), now); len(stats.Transitions) > 0 || len(stats.Errors) > 0 {
		t.Errorf("transitions %v, errors %v: want the grace of a policy that changes", stats.Transitions, stats.Errors)
	}
	if stats = e.Tick(t.Context(), now.Add(2*time.Hour)); stats.Transitions[bad.ids[0]] != lifecycle.TransitionStop {
		t.Errorf("transitions %v, errors %v: want the stop that was held back", stats.Transitions, stats.Errors)
	}
}

func commit(t *testing.T, s lifecycle.Store, c lifecycle.Change) {
	t.Helper()
	_, err := s.Commit(t.Context(), epoch, []lifecycle.Change{c})
	must(t, err)
}
