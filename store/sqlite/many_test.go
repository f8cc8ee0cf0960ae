package sqlite_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// What is written by statements over many rows is what one call for each row would have written, also if some are known,
// in lanes that nobody has seen.
func TestEnqueueManyIsEnqueueEach(t *testing.T) {
	together, apart := newStore(t), newStore(t)
	postings := make([]queue.Posting, 237)
	for i := range postings {
		postings[i] = queue.Posting{
			ID: uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, i)), Type: fmt.Sprint("type", i%3),
			Tenant: uuid.NewSHA1(uuid.NameSpaceURL, fmt.Append(nil, i%41)), Priority: int16(i % 2), Weight: 1 + i%3,
		}
	}
	postings[230].ID = postings[17].ID
	postings[60].ID = postings[50].ID
	for round, all := range [][]queue.Posting{postings[150:153], postings, postings} {
		got, err := together.Enqueue(t.Context(), killEpoch, all)
		must(t, err)
		for i := range all {
			want, err := apart.Enqueue(t.Context(), killEpoch, all[i:i+1])
			must(t, err)
			if got[i].ID != want[0].ID || got[i].Order != want[0].Order || got[i].Type != want[0].Type {
				t.Fatalf("round %d: job %d is %v of type %q at %d: must be %v of type %q at %d, as if enqueued alone",
					round, i, got[i].ID, got[i].Type, got[i].Order, want[0].ID, want[0].Type, want[0].Order)
			}
		}
	}
	lanes, err := together.Ready(t.Context(), killEpoch, queue.ReadyQuery{CountTo: 1000})
	must(t, err)
	ready := 0
	for _, s := range lanes.Lanes {
		ready += s.Count
	}
	if want := len(postings) - 2; ready != want || len(lanes.Lanes) != 6 {
		t.Errorf("%d jobs in %d lanes are ready: must be %d in 6", ready, len(lanes.Lanes), want)
	}
}

// In a large commit every change has its own outcome.
func TestCommitManyIsCommitEach(t *testing.T) {
	s := newStore(t)
	ids := seed(t, s, 237)
	build(t, s, ids, lifecycle.JobSucceeded)
	stale := []int{0, 42, 136, 230}
	changes := builds(t, s, ids, lifecycle.JobPending)
	for _, i := range stale {
		changes[i].Revision--
	}
	outcomes, err := s.Commit(t.Context(), killEpoch, changes)
	must(t, err)
	for i, id := range ids {
		want, archived := lifecycle.Applied, 2
		if slices.Contains(stale, i) {
			want, archived = lifecycle.Conflict, 1
		}
		all, err := s.Builds(t.Context(), id, 0, 10)
		must(t, err)
		if outcomes[i] != want || len(all) != archived {
			t.Errorf("change %d has outcome %v and its workspace %d builds: must be %v and %d", i, outcomes[i], len(all), want, archived)
		}
	}
}

// One change of a large commit that cannot be is named, and nothing of the commit is written.
func TestCommitManyNamesTheBadOne(t *testing.T) {
	s := newStore(t)
	ids := seed(t, s, 237)
	build(t, s, ids[:137], lifecycle.JobSucceeded)
	build(t, s, ids[137:138], lifecycle.JobRunning)
	build(t, s, ids[138:], lifecycle.JobSucceeded)
	_, err := s.Commit(t.Context(), killEpoch, builds(t, s, ids, lifecycle.JobPending))
	var change *lifecycle.ChangeError
	if !errors.As(err, &change) || change.WorkspaceID != ids[137] {
		t.Fatalf("error %v: must name workspace %s, whose build is active", err, ids[137])
	}
	for _, id := range ids {
		all, err := s.Builds(t.Context(), id, 0, 10)
		must(t, err)
		if len(all) != 1 {
			t.Fatalf("workspace %s has %d builds: must have the one from before", id, len(all))
		}
	}
}

// build gives each workspace its next build.
func build(t *testing.T, s lifecycle.Store, ids []uuid.UUID, status lifecycle.JobStatus) {
	t.Helper()
	_, err := s.Commit(t.Context(), killEpoch, builds(t, s, ids, status))
	must(t, err)
}

// builds are the changes that give each workspace its next build, with its job, in the order of the ids.
func builds(t *testing.T, s lifecycle.Store, ids []uuid.UUID, status lifecycle.JobStatus) []lifecycle.Change {
	t.Helper()
	all, err := s.Load(t.Context(), ids...)
	must(t, err)
	changes := make([]lifecycle.Change, len(ids))
	for i := range all {
		c := nextBuild(&all[i])
		c.Build.Status = status
		if status != lifecycle.JobSucceeded {
			c.Build.CompletedAt = time.Time{}
		}
		c.Events = nil
		changes[slices.Index(ids, all[i].Workspace.ID)] = c
	}
	return changes
}

// Members are found by ids and resources together, however many of either there are.
func TestMembersByManyNames(t *testing.T) {
	s := newStore(t)
	several := make([]prewarm.Change, 3)
	for i := range several {
		several[i].Member = prewarm.Member{ID: uuid.New(), Resource: uuid.New(), Pool: "p", State: prewarm.Ready}
	}
	_, err := s.PutMembers(t.Context(), nil, several)
	must(t, err)
	one, two := several[0].Member, several[1].Member
	more := func(n int, some ...uuid.UUID) []uuid.UUID {
		for len(some) < n {
			some = append(some, uuid.New())
		}
		return some
	}
	for name, q := range map[string]prewarm.Query{
		"few of both":    {IDs: more(2, one.ID, two.ID), Resources: more(1, one.Resource)},
		"many ids":       {IDs: more(33_000, one.ID, two.ID), Resources: more(1, one.Resource)},
		"many resources": {IDs: more(1, one.ID), Resources: more(33_000, two.Resource, one.Resource)},
		"many of both":   {IDs: more(17_000, one.ID), Resources: more(17_000, one.Resource, two.Resource)},
	} {
		q.Pool = "p"
		found, err := s.Members(t.Context(), q)
		if err != nil || len(found) != 1 || found[0].ID != one.ID {
			t.Errorf("%s: %d found, error %v", name, len(found), err)
		}
	}
}
