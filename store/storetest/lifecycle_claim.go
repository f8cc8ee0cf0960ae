package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// putOwner stores an owner with a name and returns it.
func (f *fixture) putOwner(name string) lifecycle.Owner {
	f.Helper()
	o := lifecycle.Owner{ID: uuid.New(), Name: name}
	f.must(f.s.PutOwner(f.ctx, epoch, o))
	return o
}

// pooled stores n managed workspaces that run. It skips the test if the store refuses that they change hands.
func (f *fixture) pooled(n int) []lifecycle.Snapshot {
	f.Helper()
	probe := wakeAt(f.create(1)[0], epoch)
	probe.Claims = true
	if _, err := f.s.Commit(f.ctx, epoch, []lifecycle.Change{probe}); errors.Is(err, errors.ErrUnsupported) {
		f.Skipf("the store hands nothing over: %v", err)
	}
	var all []lifecycle.Snapshot
	for range n {
		w := f.workspace()
		w.Managed = true
		f.must(f.s.CreateWorkspaces(f.ctx, epoch, w))
		f.fill(w.ID, 1)
		all = append(all, f.load(w.ID))
	}
	return all
}

// claim is the change that hands a workspace to an owner.
func (f *fixture) claim(s lifecycle.Snapshot, o lifecycle.Owner, name string) lifecycle.Change {
	f.Helper()
	c, err := lifecycle.Claim(lifecycle.Handover{Owner: o, Name: name})(s, epoch.Add(time.Hour))
	f.must(err)
	c.Events = nil
	return c
}

func testClaim(f *fixture) {
	s, bob := f.pooled(1)[0], f.putOwner("bob")
	// The revisions that stores may add up rise at different paces.
	for range 5 {
		f.must(f.s.PutOwner(f.ctx, epoch, f.owner))
	}
	s = f.load(s.Workspace.ID)
	f.rule(f.commit(f.claim(s, bob, "api"))[0] == lifecycle.Applied, "a claim is applied")
	got := f.load(s.Workspace.ID)
	w := got.Workspace
	f.rule(w.OwnerID == bob.ID && got.Owner.Name == "bob" && w.Name == "api" && !w.Managed,
		"a change that Claims writes the owner and the name: got %+v of %+v", w, got.Owner)
	f.rule(w.Revision == s.Workspace.Revision+1, "a claim raises the revision by one, whoever had it: got %d after %d", w.Revision, s.Workspace.Revision)
	f.rule(f.commit(wakeAt(s, epoch))[0] == lifecycle.Conflict, "a change from before a claim is a conflict")

	f.must(f.s.PutOwner(f.ctx, epoch.Add(2*time.Hour), f.owner))
	f.rule(f.load(w.ID).Workspace.Revision == w.Revision, "an owner from before no longer changes the revision")
	f.must(f.s.PutOwner(f.ctx, epoch.Add(3*time.Hour), bob))
	w = f.load(w.ID).Workspace
	f.rule(w.Revision > s.Workspace.Revision+1 && w.WakeAt.Equal(epoch.Add(3*time.Hour)), "the new owner's change reaches it: got %+v", w)

	back, err := lifecycle.GiveBack(f.owner, "pool-1")(f.load(w.ID), epoch.Add(4*time.Hour))
	f.must(err)
	back.Events = nil
	f.rule(f.commit(back)[0] == lifecycle.Applied, "a workspace is given back")
	now := f.load(w.ID).Workspace
	f.rule(now.OwnerID == f.owner.ID && now.Name == "pool-1" && now.Managed && now.Revision == w.Revision+1,
		"what is given back is the pool's again, at the next revision: got %+v after %+v", now, w)
}

// testClaimLists sees that lists by owner follow a claim.
func testClaimLists(f *fixture) {
	r := skipUnless[lifecycle.Registry](f)
	s, bob := f.pooled(1)[0], f.putOwner("bob")
	f.commit(f.claim(s, bob, "api"))
	for owner, want := range map[uuid.UUID]int{f.owner.ID: 1, bob.ID: 1} {
		found, err := r.List(f.ctx, lifecycle.ListQuery{OwnerID: owner, Limit: 10})
		f.must(err)
		f.rule(len(found) == want, "a claimed workspace is listed under its new owner, not under the one before: got %d, want %d", len(found), want)
	}
}

func testClaimNames(f *fixture) {
	all, bob := f.pooled(4), f.putOwner("bob")
	got := f.commit(f.claim(all[0], bob, "api"), f.claim(all[1], bob, "api"), f.claim(all[2], bob, "web"))
	f.rule(got[0] == lifecycle.Applied && got[1] == lifecycle.NameTaken && got[2] == lifecycle.Applied,
		"of claims of one name in a batch the first gets it: got %v", got)
	f.rule(f.load(all[1].Workspace.ID) == all[1], "a claim whose name is taken writes nothing")
	f.rule(f.commit(f.claim(all[1], bob, "api"))[0] == lifecycle.NameTaken, "a name that the owner has given to another workspace is taken")
	f.rule(f.commit(f.claim(all[1], f.putOwner("cy"), "api"))[0] == lifecycle.Applied, "names of other owners are free")

	mine := f.load(all[0].Workspace.ID)
	again := wakeAt(mine, epoch)
	again.Claims = true
	f.rule(f.commit(again)[0] == lifecycle.Applied, "a workspace's own name is not taken from it")

	gone := f.build(f.load(all[0].Workspace.ID), lifecycle.TransitionDelete)
	f.commit(gone)
	f.commit(f.ended(f.load(all[0].Workspace.ID), lifecycle.JobSucceeded, epoch.Add(time.Hour)))
	f.rule(f.commit(f.claim(all[3], bob, "api"))[0] == lifecycle.Applied, "the name of a deleted workspace is free")
}

func testClaimOwners(f *fixture) {
	s, bob := f.pooled(1)[0], f.putOwner("bob")
	c := f.claim(s, lifecycle.Owner{ID: uuid.New(), Name: "nobody"}, "api")
	_, err := f.s.Commit(f.ctx, epoch, []lifecycle.Change{c})
	var blame *lifecycle.ChangeError
	f.rule(errors.As(err, &blame) && blame.WorkspaceID == s.Workspace.ID && field(err) == "Workspace.OwnerID",
		"a claim for an owner who is unknown is a ChangeError about the owner: got %v", err)
	c.Revision--
	f.rule(f.commit(c)[0] == lifecycle.Conflict, "a claim of another revision is a conflict, whoever it is for")

	c = f.claim(s, bob, "api")
	quiet := bob
	quiet.QuietHours, err = schedule.Daily("0 22 * * *")
	f.must(err)
	f.must(f.s.PutOwner(f.ctx, epoch, quiet))
	f.rule(f.commit(c)[0] == lifecycle.Conflict, "a claim that was computed from other rules of the owner is a conflict")

	c.Workspace.Seen.Owner++
	quiet.Status = lifecycle.OwnerSuspended
	f.must(f.s.PutOwner(f.ctx, epoch, quiet))
	f.rule(f.commit(c)[0] == lifecycle.Conflict, "a claim for an owner who is suspended by now is a conflict")
	f.rule(f.load(s.Workspace.ID) == s, "a claim that is a conflict writes nothing")
}

// testClaimRace has many claim the same workspaces for one owner, under two names.
func testClaimRace(f *fixture) {
	all, bob := f.pooled(6), f.putOwner("bob")
	var applied atomic.Int64
	var wg sync.WaitGroup
	for g := range f.o.Goroutines {
		wg.Go(func() {
			var changes []lifecycle.Change
			for i := range all {
				s := all[(g+i)%len(all)]
				changes = append(changes, f.claim(s, bob, []string{"api", "web"}[i%2]))
			}
			for _, c := range changes {
				outcomes, err := f.s.Commit(f.ctx, epoch, []lifecycle.Change{c})
				if err != nil {
					f.Errorf("broken rule: claims at the same time disturb each other no more than by conflicts: %v", err)
					return
				}
				if outcomes[0] == lifecycle.Applied {
					applied.Add(1)
				}
			}
		})
	}
	wg.Wait()
	names := map[string]int{}
	for _, s := range all {
		if w := f.load(s.Workspace.ID).Workspace; w.OwnerID == bob.ID {
			names[w.Name]++
		}
	}
	f.rule(applied.Load() == 2 && names["api"] == 1 && names["web"] == 1, "of claims of one name at the same time one gets it: %d applied, %v", applied.Load(), names)
}
