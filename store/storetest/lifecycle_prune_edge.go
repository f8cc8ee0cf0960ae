package storetest

import (
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// testPruneEdge prunes at the very instant at which builds ended, and just after it.
func testPruneEdge(f *fixture) {
	p := skipUnless[lifecycle.Pruner](f)
	end := epoch.Add(time.Hour)
	id := f.create(1)[0].Workspace.ID
	for _, t := range []lifecycle.Transition{lifecycle.TransitionStart, lifecycle.TransitionDelete} {
		f.rule(f.commit(f.build(f.load(id), t))[0] == lifecycle.Applied, "a build is made")
		f.rule(f.commit(f.ended(f.load(id), lifecycle.JobSucceeded, end))[0] == lifecycle.Applied, "a build ends")
	}
	for _, c := range []struct {
		before time.Time
		want   int
	}{{end, 0}, {end.Add(time.Microsecond), 2}} {
		n, err := p.PruneBuilds(f.ctx, c.before, 10)
		f.must(err)
		f.rule(n == c.want, "what ended before an instant is pruned: at %v got %d, want %d", c.before, n, c.want)
	}
}

// testPruneLimit prunes builds and deleted workspaces under a limit that ends among the workspaces.
func testPruneLimit(f *fixture) {
	p := skipUnless[lifecycle.Pruner](f)
	for _, s := range f.create(5) {
		id := s.Workspace.ID
		f.rule(f.commit(f.build(s, lifecycle.TransitionDelete))[0] == lifecycle.Applied, "a build is made")
		f.rule(f.commit(f.ended(f.load(id), lifecycle.JobSucceeded, epoch))[0] == lifecycle.Applied, "a build ends")
	}
	one := f.create(1)[0].Workspace.ID
	for range 3 { // the first two are replaced
		f.rule(f.commit(f.build(f.load(one), lifecycle.TransitionStart))[0] == lifecycle.Applied, "a build is made")
		f.rule(f.commit(f.ended(f.load(one), lifecycle.JobSucceeded, epoch))[0] == lifecycle.Applied, "a build ends")
	}
	for _, want := range []int{3, 3, 1, 0} {
		n, err := p.PruneBuilds(f.ctx, epoch.Add(time.Second), 3)
		f.must(err)
		f.rule(n == want, "Prune deletes at most its limit, builds and workspaces together: got %d, want %d", n, want)
	}
}
