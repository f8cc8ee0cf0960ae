package storetest

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// settle has whatever follows the calls before happen.
func (f *faultFixture) settle() {
	f.Helper()
	_, err := f.s.Due(f.ctx, lifecycle.DueQuery{Now: epoch, Limit: 1})
	f.must(err)
}

// faultyMany makes calls that a store may make a few statements of, each for many rows.
func faultyMany(f *faultFixture) {
	const n = 12
	k := newJobKit(f.T, f.s, f.o)
	for _, postings := range [][]queue.Posting{k.postings(n), append(k.postings(n-1), queue.Posting{Organization: uuid.New(), Type: "other"})} {
		f.call("Enqueue", failing(func(ctx context.Context) ([]queue.Job, error) { return f.s.Enqueue(ctx, k.now, postings) }))
	}
	all := f.create(n)
	changes := make([]lifecycle.Change, n)
	commit := func(name string, of func(lifecycle.Snapshot) lifecycle.Change) {
		f.Helper()
		for i := range all {
			changes[i] = of(f.load(all[i].Workspace.ID))
		}
		f.call(name, failing(func(ctx context.Context) ([]lifecycle.Outcome, error) { return f.s.Commit(ctx, epoch, changes) }))
	}
	commit("Commit of first builds", func(s lifecycle.Snapshot) lifecycle.Change { return f.build(s, lifecycle.TransitionStart) })
	commit("Commit of ends", func(s lifecycle.Snapshot) lifecycle.Change { return f.ended(s, lifecycle.JobSucceeded, epoch) })
	commit("Commit of second builds", func(s lifecycle.Snapshot) lifecycle.Change { return f.build(s, lifecycle.TransitionStop) })
	f.call("Load", failing(func(ctx context.Context) ([]lifecycle.Snapshot, error) {
		ids := make([]uuid.UUID, n)
		for i := range ids {
			ids[i] = all[i].Workspace.ID
		}
		return f.s.Load(ctx, ids...)
	}))
}

// faultySweeps leaves what follows a change to whoever asks what is due: however often that fails, no workspace is passed over.
func faultySweeps(f *faultFixture) {
	all := f.create(3)
	t, o := f.template, f.owner
	t.Policy.DefaultTTL, o.Name = time.Hour, "bob"
	f.follows = true // and the first thing that follows fails
	for _, c := range []struct {
		name string
		put  func(context.Context) error
	}{
		{"PutTemplate", func(ctx context.Context) error { return f.s.PutTemplate(ctx, epoch, t) }},
		{"PutOwner", func(ctx context.Context) error { return f.s.PutOwner(ctx, epoch, o) }},
		{"PutEngine", func(ctx context.Context) error { return f.s.PutEngine(ctx, epoch, lifecycle.Engine{}) }},
	} {
		for i := range all {
			f.rule(f.commit(wakeAt(f.load(all[i].Workspace.ID), epoch.Add(time.Hour)))[0] == lifecycle.Applied, "a wake is written")
		}
		f.call(c.name, c.put)
		for n := 1; ; n++ {
			ended := f.Fail(n)
			_, _ = f.s.Due(f.ctx, lifecycle.DueQuery{Now: epoch, Limit: 10})
			if !ended() {
				break
			}
		}
		due := f.due(epoch, 10, lifecycle.Shard{})
		f.rule(len(due) == len(all), "whatever fails after a change, all workspaces are due: after %s got %d, want %d", c.name, len(due), len(all))
	}
}
