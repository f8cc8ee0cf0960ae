package storetest

import (
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

// testMemberBesideAChange commits a member with a change that claims nothing: the two are one all the same.
func testMemberBesideAChange(f *fixture, s store.Store) {
	w := f.create(1)[0]
	m := memberOf(f, s, w.Workspace.ID)
	commit := func(m prewarm.Member) lifecycle.Outcome {
		f.Helper()
		m.State, m.Reason = prewarm.Held, prewarm.ReasonReturned
		got, err := s.CommitMembers(f.ctx, epoch, []lifecycle.Change{wakeAt(f.load(w.Workspace.ID), epoch)}, []prewarm.Member{m})
		f.must(err)
		return got[0]
	}
	stale := m
	stale.Revision++
	revision := f.load(w.Workspace.ID).Workspace.Revision
	f.rule(commit(stale) == lifecycle.Conflict, "a member that is not current is a conflict, whatever its change is")
	f.rule(f.load(w.Workspace.ID).Workspace.Revision == revision, "the change of a member that is not current is not written")
	f.rule(commit(m) == lifecycle.Applied && readMember(f, s, m.ID).State == prewarm.Held, "a member is written with any change")
}
