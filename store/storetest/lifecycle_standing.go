package storetest

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

func testLoadOnce(f *fixture) {
	s := f.create(2)
	a, b := s[0].Workspace.ID, s[1].Workspace.ID
	found, err := f.s.Load(f.ctx, a, b, a, a, uuid.New(), b)
	f.must(err)
	f.rule(len(found) == 2 && found[0].Workspace.ID != found[1].Workspace.ID, "Load returns each known workspace once: got %d for 2", len(found))
}

func testTwoChangesOfOne(f *fixture) {
	s := f.create(2)
	twice := []lifecycle.Change{wakeAt(s[0], epoch.Add(time.Hour)), wakeAt(s[1], epoch.Add(time.Hour)), wakeAt(s[0], epoch.Add(2*time.Hour))}
	_, err := f.s.Commit(f.ctx, epoch, twice)
	f.rule(err != nil, "two changes of one workspace in a commit are an error")
	for _, before := range s {
		now := f.load(before.Workspace.ID).Workspace
		f.rule(now.Revision == before.Workspace.Revision, "a commit with an error has no effect: revision %d after %d", now.Revision, before.Workspace.Revision)
	}
}

// testWakeOnlySooner: whoever puts a template or owner may have a clock that is ahead.
func testWakeOnlySooner(f *fixture) {
	s := f.create(1)[0]
	ahead := epoch.Add(6 * time.Hour)
	f.put(ahead, &f.template)
	f.rule(f.load(s.Workspace.ID).Workspace.WakeAt.Equal(epoch), "a template makes its workspaces due at now, or leaves them due before: wakes %v", f.load(s.Workspace.ID).Workspace.WakeAt)
	f.owner.Name = "bob"
	f.must(f.s.PutOwner(f.ctx, ahead, f.owner))
	f.rule(f.load(s.Workspace.ID).Workspace.WakeAt.Equal(epoch), "an owner makes their workspaces due at now, or leaves them due before: wakes %v", f.load(s.Workspace.ID).Workspace.WakeAt)
	if h, ok := f.s.(lifecycle.Holder); ok {
		f.must(h.PutEngine(f.ctx, ahead, lifecycle.Engine{}))
		f.rule(f.load(s.Workspace.ID).Workspace.WakeAt.Equal(epoch), "an engine makes all workspaces due at now, or leaves them due before: wakes %v", f.load(s.Workspace.ID).Workspace.WakeAt)
	}
}

func testFarInstants(f *fixture) {
	s := f.create(1)[0]
	c := wakeAt(s, time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC))
	c.Workspace.Hold = lifecycle.Hold{Until: time.Unix(1<<60, 0), Rules: lifecycle.HoldStarts}
	c.Workspace.LastUsedAt = time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)
	f.commit(c)
	w := f.load(s.Workspace.ID).Workspace
	f.rule(w.WakeAt.Equal(store.LastInstant) && w.Hold.Until.Equal(store.LastInstant), "an instant behind the range is its end: got %v and %v", w.WakeAt, w.Hold.Until)
	f.rule(w.LastUsedAt.Equal(store.FirstInstant), "an instant before the range is its beginning: got %v", w.LastUsedAt)
	f.rule(len(f.due(epoch, 10, lifecycle.Shard{})) == 0, "it is not due before")
}

func testDueLimit(f *fixture) {
	f.create(2)
	for _, limit := range []int{0, -1} {
		page, err := f.s.Due(f.ctx, lifecycle.DueQuery{Now: epoch, Limit: limit})
		f.must(err)
		f.rule(len(page) == 0, "Due returns at most Limit rows: got %d of %d", len(page), limit)
	}
}

func testNilWorkspace(f *fixture) {
	w := f.workspace()
	w.ID = uuid.Nil
	f.rule(f.s.CreateWorkspaces(f.ctx, epoch, w) != nil, "a workspace needs an id: it would be before every page")
}

// testNilOwner: an owner may be of the zero id, and would be before every page: what follows it would be the first page again.
func testNilOwner(f *fixture) {
	c := skipUnless[lifecycle.Catalog](f)
	f.must(f.s.PutOwner(f.ctx, epoch, lifecycle.Owner{Name: "nobody"}))
	page, err := c.Owners(f.ctx, lifecycle.OwnerQuery{Limit: 1})
	f.must(err)
	f.rule(len(page) == 1 && page[0].ID != uuid.Nil, "the owner of the zero id is on no page: got %+v", page)
}

// testReplicaFromTheFuture: a replica that once ticked far ahead keeps no share until then.
func testReplicaFromTheFuture(f *fixture) {
	s := skipUnless[lifecycle.Sharder](f)
	a, b := uuid.New(), uuid.New()
	_, err := s.Shard(f.ctx, epoch.AddDate(1, 0, 0), b, time.Minute)
	f.must(err)
	share, err := s.Shard(f.ctx, epoch, a, time.Minute)
	f.must(err)
	f.rule(share.Count <= 1, "a replica seen in the future has no share: got %v", share)
	_, err = s.Shard(f.ctx, epoch.Add(time.Second), b, time.Minute)
	f.must(err)
	share, err = s.Shard(f.ctx, epoch.Add(2*time.Second), a, time.Minute)
	f.must(err)
	f.rule(share.Count == 2, "when it is seen in time again, it has one: got %v", share)
}

// testReplicaEdges looks at a replica at the very end of the time in which it counts, on either side of now, and just within it.
func testReplicaEdges(f *fixture) {
	s := skipUnless[lifecycle.Sharder](f)
	const ttl = time.Minute
	for _, c := range []struct {
		seen time.Duration
		want int
	}{{-ttl, 1}, {-ttl + time.Microsecond, 2}, {0, 2}, {ttl - time.Microsecond, 2}, {ttl, 1}} {
		_, err := s.Shard(f.ctx, epoch.Add(c.seen), f.owner.ID, ttl)
		f.must(err)
		share, err := s.Shard(f.ctx, epoch, f.template.ID, ttl)
		f.must(err)
		f.rule(share.Count == c.want, "a replica counts within less than a TTL of now: seen %s from it, the count is %d, want %d", c.seen, share.Count, c.want)
	}
}
