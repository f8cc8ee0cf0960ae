package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

// memberOf stores the ready member that stands for a workspace.
func memberOf(f *fixture, s store.Store, id uuid.UUID) prewarm.Member {
	f.Helper()
	m := prewarm.Member{
		ID: id, Resource: id, Pool: memberPool, Version: "v1", State: prewarm.Ready, Reason: prewarm.ReasonReady,
		CreatedAt: epoch, ReadyAt: epoch,
	}
	applied, err := s.PutMembers(f.ctx, nil, []prewarm.Change{{Member: m}})
	f.must(err)
	f.rule(applied[0], "a new member is inserted")
	m.Revision = 1
	return m
}

// taken is a member as a claim has it, before it is written.
func taken(m prewarm.Member, key string) prewarm.Member {
	m = prewarm.Claim{Key: key, Owner: "bob", Details: "d"}.Take(m, epoch)
	m.Revision--
	return m
}

func readMember(f *fixture, s store.Store, id uuid.UUID) prewarm.Member {
	f.Helper()
	found, err := s.Members(f.ctx, prewarm.Query{Pool: memberPool, IDs: []uuid.UUID{id}})
	f.must(err)
	if len(found) != 1 {
		f.Fatalf("broken rule: a member is read by its id: got %d", len(found))
	}
	return found[0]
}

// both reports whether workspace and member are claimed, and complains if they disagree.
func both(f *fixture, s store.Store, id uuid.UUID, key string) bool {
	f.Helper()
	w, m := f.load(id).Workspace, readMember(f, s, id)
	f.rule(w.Managed == (m.State == prewarm.Ready), "a workspace and its member change in one commit: managed %v, member %s", w.Managed, m.State)
	return !w.Managed && m.Claim.Key == key && m.Claim.Details == "d"
}

func testMemberWithWorkspace(f *fixture, s store.Store) {
	all, bob := f.pooled(5), f.putOwner("bob")
	var changes []lifecycle.Change
	var members []prewarm.Member
	for i, w := range all {
		changes = append(changes, f.claim(w, bob, fmt.Sprint("w", i)))
		members = append(members, taken(memberOf(f, s, w.Workspace.ID), fmt.Sprint("k", i)))
	}
	members[1].Revision++            // not the member's
	changes[2].Revision--            // not the workspace's
	changes[3].Workspace.Name = "w0" // taken
	got, err := s.CommitMembers(f.ctx, epoch, changes, members)
	f.must(err)
	want := []lifecycle.Outcome{lifecycle.Applied, lifecycle.Conflict, lifecycle.Conflict, lifecycle.NameTaken, lifecycle.Applied}
	for i := range want {
		f.rule(got[i] == want[i], "a pair is applied if both are current: %d is %v, want %v", i, got[i], want[i])
		f.rule(both(f, s, all[i].Workspace.ID, members[i].Claim.Key) == (want[i] == lifecycle.Applied), "what is applied is written, nothing else: %d", i)
	}
	// The key is known by now: another member must not get it.
	changes[1].Workspace.Name = "w7"
	again := taken(readMember(f, s, all[1].Workspace.ID), "k0")
	got, err = s.CommitMembers(f.ctx, epoch, changes[1:2], []prewarm.Member{again})
	f.must(err)
	f.rule(got[0] == lifecycle.Conflict && !both(f, s, again.ID, "k0"), "a key that another member has makes a conflict: got %v", got)
	// A change that is refused takes its whole batch along, members included.
	bad := changes[1]
	bad.NewBuild, bad.Build.Number = true, 9
	_, err = s.CommitMembers(f.ctx, epoch, []lifecycle.Change{bad}, []prewarm.Member{taken(readMember(f, s, all[1].Workspace.ID), "k8")})
	f.rule(err != nil && !both(f, s, again.ID, "k8"), "a commit that fails writes no member: %v", err)
	if _, err = s.CommitMembers(f.ctx, epoch, changes, members[:1]); err == nil {
		f.Errorf("broken rule: CommitMembers takes a member for each change")
	}
}

// testMemberRace has many claim all members, each under keys of its own, while their workspaces change.
func testMemberRace(f *fixture, s store.Store) {
	all, bob := f.pooled(8), f.putOwner("bob")
	for _, w := range all {
		memberOf(f, s, w.Workspace.ID)
	}
	var wg sync.WaitGroup
	for g := range f.o.Goroutines {
		wg.Go(func() {
			for i := range all {
				id := all[(g+i)%len(all)].Workspace.ID
				if g == 0 {
					_, _ = s.Commit(f.ctx, epoch, []lifecycle.Change{wakeAt(f.load(id), epoch.Add(time.Duration(i)*time.Hour))})
					continue
				}
				now, m := f.load(id), readMember(f, s, id)
				if !now.Workspace.Managed || m.State != prewarm.Ready {
					continue
				}
				c := f.claim(now, bob, fmt.Sprint("w", g, i))
				if _, err := s.CommitMembers(f.ctx, epoch, []lifecycle.Change{c}, []prewarm.Member{taken(m, fmt.Sprint("k", g, i))}); err != nil {
					f.Errorf("broken rule: claims at the same time disturb each other no more than by conflicts: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for _, w := range all {
		both(f, s, w.Workspace.ID, "")
	}
}
