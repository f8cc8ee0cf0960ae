package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func testDueOrder(f *fixture) {
	all := f.create(6)
	wakes := []time.Duration{3 * time.Minute, time.Minute, time.Minute, 0, 5 * time.Minute, 0}
	for i, s := range all {
		at := epoch.Add(wakes[i])
		if i == 5 {
			at = time.Time{}
		}
		f.commit(wakeAt(s, at))
	}
	due := f.due(epoch.Add(3*time.Minute), 100, lifecycle.Shard{})
	want := []uuid.UUID{all[3].Workspace.ID, all[1].Workspace.ID, all[2].Workspace.ID, all[0].Workspace.ID}
	f.rule(slices.Equal(ids(due), want),
		"Due returns what has a WakeAt not after now, ordered by WakeAt and id, and nothing else: got %v, want %v", ids(due), want)
	before := f.due(epoch.Add(3*time.Minute-time.Microsecond), 100, lifecycle.Shard{})
	f.rule(slices.Equal(ids(before), want[:3]), "a workspace is due from its WakeAt on, not a microsecond sooner: got %v", ids(before))
	for _, limit := range []int{1, 2, 3} {
		paged := f.due(epoch.Add(3*time.Minute), limit, lifecycle.Shard{})
		f.rule(slices.Equal(ids(paged), want), "paging by %d shows every due row once, in order: got %v", limit, ids(paged))
	}
}

// testDuePaging changes rows between the pages: what was done leaves, what stays due is neither skipped nor repeated.
func testDuePaging(f *fixture) {
	all := f.create(20)
	seen := map[uuid.UUID]int{}
	q := lifecycle.DueQuery{Now: epoch, Limit: 3}
	for {
		page, err := f.s.Due(f.ctx, q)
		f.must(err)
		if len(page) == 0 {
			break
		}
		q.After = lifecycle.CursorOf(page[len(page)-1])
		for i, s := range page {
			seen[s.Workspace.ID]++
			if i%2 == 0 {
				f.commit(wakeAt(s, epoch.Add(time.Hour)))
			}
		}
	}
	for _, s := range all {
		f.rule(seen[s.Workspace.ID] == 1, "paging shows each row that stays due exactly once, whatever is committed between pages: %s %d times",
			s.Workspace.ID, seen[s.Workspace.ID])
	}
}

func testDueShare(f *fixture) {
	all := f.create(40)
	seen := map[uuid.UUID]int{}
	for i := range 3 {
		share := lifecycle.Shard{Index: i, Count: 3}
		for _, s := range f.due(epoch, 7, share) {
			f.rule(share.Holds(s.Workspace.ID), "Due returns only what its share holds: %s is not in %v", s.Workspace.ID, share)
			seen[s.Workspace.ID]++
		}
	}
	for _, s := range all {
		f.rule(seen[s.Workspace.ID] == 1, "the shares divide the workspaces: %s was in %d", s.Workspace.ID, seen[s.Workspace.ID])
	}
}

func testPolicyWakes(f *fixture) {
	all := f.create(3)
	other := f.template
	other.ID, other.Revision = uuid.New(), 0
	f.put(epoch, &other)
	elsewhere := f.workspace()
	elsewhere.TemplateID = other.ID
	f.must(f.s.CreateWorkspaces(f.ctx, epoch, elsewhere))
	for _, s := range append(slices.Clone(all), f.load(elsewhere.ID)) {
		f.commit(wakeAt(s, time.Time{}))
	}
	later := epoch.Add(time.Hour)
	f.template.Policy.TimeTilDormant = 42 * time.Hour
	f.put(later, &f.template)
	f.rule(slices.Equal(ids(f.due(later, 100, lifecycle.Shard{})), ids(all)),
		"a new policy makes all workspaces of the template due, and no other: got %v", ids(f.due(later, 100, lifecycle.Shard{})))
	s := f.load(all[0].Workspace.ID)
	f.rule(s.Template.Policy.TimeTilDormant == 42*time.Hour, "a snapshot has the new policy")
	f.rule(s.Workspace.WakeAt.Equal(later), "a new policy wakes at its instant: got %v", s.Workspace.WakeAt)
	f.rule(f.commit(wakeAt(all[0], epoch))[0] == lifecycle.Conflict, "what was decided on the old policy is a conflict")
	f.rule(f.commit(wakeAt(s, epoch))[0] == lifecycle.Applied, "what was decided on the new policy is applied")
}

func testOwnerWakes(f *fixture) {
	all := f.create(2)
	for _, s := range all {
		f.commit(wakeAt(s, time.Time{}))
	}
	stale := f.load(all[0].Workspace.ID)
	later := epoch.Add(time.Hour)
	f.owner.Status = lifecycle.OwnerSuspended
	f.must(f.s.PutOwner(f.ctx, later, f.owner))
	f.rule(len(f.due(later, 100, lifecycle.Shard{})) == 2, "a change of the owner makes all of their workspaces due")
	f.rule(f.load(all[0].Workspace.ID).Owner.Status == lifecycle.OwnerSuspended, "a snapshot has the new owner")
	f.rule(f.commit(wakeAt(stale, epoch))[0] == lifecycle.Conflict, "what was decided on the old owner is a conflict")
}

func testNextWake(f *fixture) {
	w := skipUnless[lifecycle.Waker](f)
	at, err := w.NextWake(f.ctx, lifecycle.Shard{})
	f.must(err)
	f.rule(at.IsZero(), "without workspaces there is no next wake: got %v", at)
	all := f.create(4)
	for i, s := range all {
		f.commit(wakeAt(s, epoch.Add(time.Duration(i+1)*time.Hour)))
	}
	at, err = w.NextWake(f.ctx, lifecycle.Shard{})
	f.must(err)
	f.rule(at.Equal(epoch.Add(time.Hour)), "NextWake is the earliest WakeAt: got %v", at)
	for i := range 2 {
		share, want := lifecycle.Shard{Index: i, Count: 2}, time.Time{}
		for k, s := range all {
			if want.IsZero() && share.Holds(s.Workspace.ID) {
				want = epoch.Add(time.Duration(k+1) * time.Hour)
			}
		}
		at, err = w.NextWake(f.ctx, share)
		f.must(err)
		f.rule(at.Equal(want), "NextWake is that of the share: got %v, want %v", at, want)
	}
}

func testBacklog(f *fixture) {
	g := skipUnless[lifecycle.Gauges](f)
	all := f.create(3)
	f.commit(wakeAt(all[0], epoch.Add(time.Minute)))
	b, err := g.Backlog(f.ctx, epoch)
	f.must(err)
	f.rule(b.Due == 2 && b.OldestDue.Equal(epoch), "Backlog counts what is due: got %+v", b)
	if _, ok := f.s.(lifecycle.Outbox); ok {
		c := wakeAt(all[1], time.Time{})
		c.Events = []lifecycle.Event{{WorkspaceID: all[1].Workspace.ID, Kind: lifecycle.EventChanged}}
		f.commit(c)
		b, err = g.Backlog(f.ctx, epoch)
		f.must(err)
		f.rule(b.Events == 1, "Backlog counts undelivered events: got %+v", b)
		f.deliverAll()
		b, err = g.Backlog(f.ctx, epoch)
		f.must(err)
		f.rule(b.Events == 0, "Backlog counts no event that is delivered: got %+v", b)
	}
}

// deliverAll delivers every event that waits.
func (f *fixture) deliverAll() {
	f.Helper()
	o := f.s.(lifecycle.Outbox)
	for {
		events, err := o.ClaimEvents(f.ctx, epoch, lifecycle.AllTopics.List(), time.Minute, 100)
		f.must(err)
		if len(events) == 0 {
			return
		}
		var all []lifecycle.Delivery
		for _, e := range events {
			all = append(all, lifecycle.Delivery{Seq: e.Seq})
		}
		f.must(o.SettleEvents(f.ctx, epoch, all))
	}
}
