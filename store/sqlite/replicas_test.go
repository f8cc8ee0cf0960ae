package sqlite_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// Two pools on one file tick at once, as two processes would: every workspace is stopped exactly once.
func TestTwoTickOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	first := migrated(t, openFile(t, path))
	ids := seed(t, first, 300)
	all, err := first.Load(t.Context(), ids...)
	must(t, err)
	changes := make([]lifecycle.Change, len(all))
	for i, s := range all {
		s.Workspace.WakeAt = killEpoch
		changes[i] = lifecycle.Change{Revision: s.Workspace.Revision, Workspace: s.Workspace, NewBuild: true, Build: lifecycle.Build{
			ID: uuid.New(), Number: 1, Transition: lifecycle.TransitionStart, Status: lifecycle.JobSucceeded,
			CompletedAt: killEpoch.Add(-time.Hour), Deadline: killEpoch,
		}}
	}
	_, err = first.Commit(t.Context(), killEpoch, changes)
	must(t, err)

	second, err := sqlite.New(openFile(t, path), sqlite.Config{})
	must(t, err)
	var g sync.WaitGroup
	stats := make([]lifecycle.Stats, 2)
	for i, s := range []*sqlite.Store{first, second} {
		e, err := lifecycle.New(s, lifecycle.Config{BatchSize: 10})
		must(t, err)
		g.Go(func() { stats[i] = e.Tick(t.Context(), killEpoch) })
	}
	g.Wait()
	must(t, stats[0].Err)
	must(t, stats[1].Err)
	if n := len(stats[0].Transitions) + len(stats[1].Transitions); n != len(ids) {
		t.Errorf("%d transitions were reported: must be %d, each once", n, len(ids))
	}
	for _, id := range ids {
		builds, err := first.Builds(t.Context(), id, 0, 10)
		must(t, err)
		if len(builds) != 2 || builds[0].Transition != lifecycle.TransitionStop {
			t.Fatalf("workspace %s has %d builds: must have its start and one stop", id, len(builds))
		}
	}
}
