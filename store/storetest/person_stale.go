package storetest

import (
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// testForgetOutdates forgets who has asked for the builds of others' workspaces. Whoever has read the latest of them before must not
// write it back.
func testForgetOutdates(f *fixture, s store.Store) {
	forgetter, ok := s.(store.Forgetter)
	if !ok {
		f.Skip("the store forgets nobody")
	}
	all := f.create(2)
	build := func(i int, by string, t lifecycle.Transition) {
		f.Helper()
		id := all[i].Workspace.ID
		c := f.build(f.load(id), t)
		c.Build.Initiator = by
		f.rule(f.commit(c)[0] == lifecycle.Applied, "a build is made")
		f.rule(f.commit(f.ended(f.load(id), lifecycle.JobSucceeded, epoch))[0] == lifecycle.Applied, "a build ends")
	}
	build(0, "zoe", lifecycle.TransitionStart)
	build(1, "zoe", lifecycle.TransitionStart)
	build(1, "ann", lifecycle.TransitionStop) // so that what zoe asked for is not the latest
	before := []lifecycle.Snapshot{f.load(all[0].Workspace.ID), f.load(all[1].Workspace.ID)}
	p := store.Person{Names: []string{"zoe"}, Pseudonym: uuid.New()}
	f.must(forgetter.Forget(f.ctx, p))
	f.rule(f.load(all[0].Workspace.ID).Build.Initiator == p.Pseudonym.String(), "who asked for a build is forgotten")
	got := f.commit(wakeAt(before[0], epoch), wakeAt(before[1], epoch))
	f.rule(got[0] == lifecycle.Conflict, "a workspace whose latest build has changed has another revision: got %v", got[0])
	f.rule(got[1] == lifecycle.Applied, "a workspace whose latest build is as it was has its revision: got %v", got[1])
}
