package sqlite_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// Whoever watches hears of a wake that comes before all others, also where there was none.
func TestWatchOfTheFirstWake(t *testing.T) {
	s := newStore(t)
	ids := seed(t, s, 2)
	write(t, s.DB(), `UPDATE dormouse_workspaces SET wake_at = NULL`)
	heard := 0
	defer s.Subscribe(func() { heard++ })()
	for i, at := range []time.Time{killEpoch.Add(time.Hour), killEpoch} {
		all, err := s.Load(t.Context(), ids...)
		must(t, err)
		c := lifecycle.Change{Revision: all[0].Workspace.Revision, Workspace: all[0].Workspace}
		c.Workspace.WakeAt = at
		outcomes, err := s.Commit(t.Context(), killEpoch, []lifecycle.Change{c})
		must(t, err)
		if heard != i+1 {
			t.Errorf("%d wakes are heard of, want that at %v, too: %v", heard, at, outcomes)
		}
	}
}

// A change whose member is not current moves nothing aside, however many stand beside it.
func TestMembersOfManyBuilds(t *testing.T) {
	s := newStore(t)
	ids := seed(t, s, 12)
	build(t, s, ids, lifecycle.JobSucceeded)
	members := make([]prewarm.Member, len(ids))
	changes := make([]prewarm.Change, len(ids))
	for i := range ids {
		members[i] = prewarm.Member{ID: uuid.New(), Resource: ids[i], Pool: "a", State: prewarm.Ready}
		changes[i].Member = members[i]
		members[i].Revision = 1
	}
	_, err := s.PutMembers(t.Context(), nil, changes)
	must(t, err)
	members[3].Revision = 7
	outcomes, err := s.CommitMembers(t.Context(), killEpoch, builds(t, s, ids, lifecycle.JobPending), members)
	must(t, err)
	for i, id := range ids {
		want, made := lifecycle.Applied, 2
		if i == 3 {
			want, made = lifecycle.Conflict, 1
		}
		all, err := s.Builds(t.Context(), id, 0, 10)
		must(t, err)
		if outcomes[i] != want || len(all) != made {
			t.Errorf("change %d: %v and %d builds, want %v and %d", i, outcomes[i], len(all), want, made)
		}
	}
}
