package memory_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
)

// What a pool knows comes back with the rest: a key that was used is known, and a ready member can be claimed.
func TestDumpAndRestoreOfMembers(t *testing.T) {
	s, ids := lived(t)
	ctx := t.Context()
	members := make([]prewarm.Change, len(ids))
	for i, id := range ids {
		members[i].Member = prewarm.Member{ID: id, Resource: id, Pool: "go", Version: "v1", State: prewarm.Ready, ReadyAt: monday}
	}
	reused := uuid.New()
	members[2].Member.Deadline = monday
	members = append(members, prewarm.Change{Member: prewarm.Member{ID: reused, Resource: ids[0], Pool: "go", State: prewarm.Cleaning}})
	_, err := s.PutMembers(ctx, &prewarm.PoolState{Pool: "go", Paused: true, PausedBy: "ops"}, members)
	must(t, err)
	pick := prewarm.Pick{Pool: "go", Version: "v1"}
	grants, err := s.ClaimMembers(ctx, monday, pick, []prewarm.Claim{{Key: "k", Owner: "ann", Details: "d"}})
	must(t, err)

	back := restored(t, s)
	if lines(t, back) != lines(t, s) {
		t.Errorf("dumped again:\n%s\nwant:\n%s", lines(t, back), lines(t, s))
	}
	again, err := back.ClaimMembers(ctx, monday, pick, []prewarm.Claim{{Key: "k", Owner: "ann"}, {Key: "l", Owner: "bob"}})
	must(t, err)
	if again[0].Result != prewarm.GrantAgain || again[0].Member != grants[0].Member || again[1].Result != prewarm.GrantNew {
		t.Errorf("claims after the restore: %+v, want %+v again and a new one", again, grants[0].Member)
	}
	state, err := back.PoolState(ctx, "go")
	must(t, err)
	if state.Revision != 1 || state.PausedBy != "ops" {
		t.Errorf("state %+v", state)
	}
	found, err := back.Members(ctx, prewarm.Query{Pool: "go", Resources: ids[:1]})
	must(t, err)
	if len(found) != 2 {
		t.Errorf("%d members of a reused resource", len(found))
	}
}
