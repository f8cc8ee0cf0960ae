package memory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
)

// A call of the lifecycle's and the pools' whose context has ended says so, and has no effect.
func TestEndedContext(t *testing.T) {
	s, ids := lived(t)
	before := lines(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	errs := map[string]error{
		"PutTemplate": s.PutTemplate(ctx, monday, lifecycle.Template{ID: uuid.New()}), "PutOwner": s.PutOwner(ctx, monday, lifecycle.Owner{ID: uuid.New()}),
		"PutEngine": s.PutEngine(ctx, monday, lifecycle.Engine{}), "SettleEvents": s.SettleEvents(ctx, monday, []lifecycle.Delivery{{Seq: 1}}),
		"ChangeTopics": s.ChangeTopics(ctx, 0, lifecycle.AllTopics),
	}
	read := func(name string) func(any, error) { return func(_ any, err error) { errs[name] = err } }
	read("Due")(s.Due(ctx, lifecycle.DueQuery{Now: monday, Limit: 1}))
	read("Load")(s.Load(ctx, ids...))
	read("Commit")(s.Commit(ctx, monday, []lifecycle.Change{{Revision: 1, Workspace: lifecycle.Workspace{ID: ids[0]}}}))
	read("NextWake")(s.NextWake(ctx, lifecycle.Shard{}))
	read("Backlog")(s.Backlog(ctx, monday))
	read("List")(s.List(ctx, lifecycle.ListQuery{Limit: 1}))
	read("Templates")(s.Templates(ctx, lifecycle.TemplateQuery{Limit: 1}))
	read("Owners")(s.Owners(ctx, lifecycle.OwnerQuery{Limit: 1}))
	read("CountStatuses")(s.CountStatuses(ctx, lifecycle.CountQuery{}))
	read("Builds")(s.Builds(ctx, ids[0], 0, 1))
	read("ClaimEvents")(s.ClaimEvents(ctx, monday, lifecycle.AllTopics.List(), time.Minute, 1))
	read("PruneEvents")(s.PruneEvents(ctx, monday.AddDate(1, 0, 0), lifecycle.AllTopics.List(), 1))
	read("PruneBuilds")(s.PruneBuilds(ctx, monday.AddDate(1, 0, 0), 1))
	read("Ticked")(s.Ticked(ctx, monday, time.Minute, time.Hour))
	read("ClaimMembers")(s.ClaimMembers(ctx, monday, prewarm.Pick{Pool: "a"}, []prewarm.Claim{{Key: "k"}}))
	read("PoolState")(s.PoolState(ctx, "of nobody"))
	read("PutMembers")(s.PutMembers(ctx, &prewarm.PoolState{Pool: "a"}, nil))
	read("Members")(s.Members(ctx, prewarm.Query{Pool: "a"}))
	for name, err := range errs {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want that of the context", name, err)
		}
	}
	if after := lines(t, s); after != before {
		t.Errorf("a call whose context has ended has had an effect:\n%s\nwant\n%s", after, before)
	}
}

// Who is restricted to an organization is in use by what belongs to it, and by pools, and by nothing else.
func TestForgetWithinAnOrganization(t *testing.T) {
	s, ctx := memory.New(), t.Context()
	who := store.Person{ID: uuid.New(), Organization: uuid.New(), Names: []string{"zoe"}, Pseudonym: uuid.New()}
	member := prewarm.Member{ID: uuid.New(), Pool: "a", State: prewarm.Claimed, Claim: prewarm.Claim{Key: "k", Owner: "ann"}}
	put := func() {
		applied, err := s.PutMembers(ctx, nil, []prewarm.Change{{Member: member}})
		must(t, err)
		if !applied[0] {
			t.Fatal("not applied")
		}
		member.Revision++
	}
	put()
	job := []queue.Posting{{Organization: uuid.New(), Tenant: who.ID, Type: "build"}}
	_, err := s.Enqueue(ctx, monday, job)
	must(t, err)
	must(t, s.Forget(ctx, who)) // the job is another organization's, the member is ann's
	member.Claim.Owner = "zoe"
	put()
	if err := s.Forget(ctx, who); !errors.Is(err, lifecycle.ErrInUse) {
		t.Errorf("who has a member is forgotten: %v", err)
	}
	member.State, member.Deadline = prewarm.Gone, monday
	put()
	must(t, s.Forget(ctx, who))
	who.Organization = job[0].Organization
	if err := s.Forget(ctx, who); !errors.Is(err, lifecycle.ErrInUse) {
		t.Errorf("who has a job is forgotten: %v", err)
	}
}
