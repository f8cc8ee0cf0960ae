package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// Transaction is a transaction of the host.
type Transaction struct {
	// Store is the store within it.
	Store            store.Tx
	Commit, Rollback func() error
}

// Transactions checks a store that works within transactions of its host. open returns an empty, migrated store, and a
// function that begins a transaction of its database; other is another store over that. With one connection it leaves out
// what needs another one.
func Transactions(t *testing.T, oneConnection bool, open func(*testing.T) (s, other store.Store, begin func() Transaction)) {
	for _, c := range []struct {
		name  string
		run   func(*txFixture)
		needs bool // another connection
	}{
		{"commit leaves all", testTxCommit, false},
		{"rollback leaves nothing", testTxRollback, false},
		{"recorded", testTxRecorded, false},
		{"rolled back templates", testTxTemplates, false},
		{"failing call", testTxFailingCall, false},
		{"conflict", testTxConflict, false},
		{"concurrent tick", testTxConcurrent, true},
		{"concurrent tick after a rollback", testTxConcurrentRollback, true},
		{"announced", testTxAnnounced, true},
		{"canceled", testTxCanceled, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if oneConnection && c.needs {
				t.Skip("needs another connection")
			}
			o := Options{}.withDefaults()
			within(t, o, func(t *testing.T) {
				s, other, begin := open(t)
				c.run(&txFixture{fixture: newFixture(t, s, o), s: s, other: other, begin: begin})
			})
		})
	}
}

type txFixture struct {
	*fixture
	s     store.Store
	other store.Store // remembers nothing that s does
	begin func() Transaction
}

// everything writes one of each kind within a transaction, and returns the new workspace, the job of its build, and a job
// of the host.
func (f *txFixture) everything(tx Transaction) (w lifecycle.Workspace, build, job uuid.UUID) {
	f.Helper()
	t, o := f.template, f.owner
	t.ID, t.Revision, o.ID = uuid.New(), 0, uuid.New()
	f.must(tx.Store.PutTemplate(f.ctx, epoch, t))
	f.must(tx.Store.PutOwner(f.ctx, epoch, o))
	w = f.workspace()
	w.TemplateID, w.OwnerID = t.ID, o.ID
	f.must(tx.Store.CreateWorkspaces(f.ctx, epoch, w))
	found, err := tx.Store.Load(f.ctx, w.ID)
	f.must(err)
	if len(found) != 1 || found[0].Owner.ID != o.ID || found[0].Template.ID != t.ID {
		f.Fatalf("broken rule: a transaction reads what it has written: got %+v", found)
	}
	c := f.withJob(found[0], map[string]string{"made": w.ID.String()})
	outcomes, err := tx.Store.Commit(f.ctx, epoch, []lifecycle.Change{c})
	f.must(err)
	f.rule(len(outcomes) == 1 && outcomes[0] == lifecycle.Applied, "a change of what the transaction has made is applied: got %v", outcomes)
	jobs, err := tx.Store.Enqueue(f.ctx, epoch, []queue.Posting{f.posting(w.ID)})
	f.must(err)
	f.rule(len(jobs) == 1 && jobs[0].State == queue.Pending, "a job is enqueued within a transaction: got %+v", jobs)
	return w, c.Build.ID, jobs[0].ID
}

// posting asks for a job with tags that nobody has asked for before.
func (f *txFixture) posting(tag uuid.UUID) queue.Posting {
	return queue.Posting{ID: uuid.New(), Organization: f.template.OrganizationID, Tenant: f.owner.ID, Type: "t", Tags: map[string]string{"of": tag.String()}}
}

// claimable claims everything that is ready, and returns the ids.
func (f *txFixture) claimable() map[uuid.UUID]queue.Job {
	f.Helper()
	process, all := uuid.New(), map[uuid.UUID]queue.Job{}
	_, err := f.s.Heartbeat(f.ctx, queue.Heartbeat{Process: process, Now: epoch})
	f.must(err)
	listing, err := f.s.Ready(f.ctx, epoch, queue.ReadyQuery{CountTo: 10})
	f.must(err)
	for _, l := range listing.Lanes {
		claimed, err := f.s.Claim(f.ctx, queue.Claim{
			Token: uuid.New(), Process: process, Now: epoch, Probes: []queue.Probe{{Lane: l.Lane}}, Workers: []uuid.UUID{uuid.New(), uuid.New()},
		})
		f.must(err)
		for _, j := range claimed.Jobs {
			all[j.ID] = j
		}
	}
	return all
}

func testTxCommit(f *txFixture) {
	tx := f.begin()
	w, build, job := f.everything(tx)
	f.must(tx.Commit())
	tx.Store.Committed()
	s := f.load(w.ID)
	f.rule(s.Build.ID == build && s.Build.Status == lifecycle.JobPending, "the commit of the host is that of the workspace and its build: got %+v", s.Build)
	jobs := f.claimable()
	f.rule(jobs[build].Tags.Map()["made"] == w.ID.String(), "the job of a build is ready after the commit of the host, with its tags: got %+v", jobs)
	f.rule(jobs[job].Tags.Map()["of"] == w.ID.String(), "a job is ready after the commit of the host, with its tags: got %+v", jobs)
}

func testTxRollback(f *txFixture) {
	tx := f.begin()
	w, build, job := f.everything(tx)
	f.must(tx.Rollback())
	found, err := f.s.Load(f.ctx, w.ID)
	f.must(err)
	f.rule(len(found) == 0, "a rollback leaves no workspace")
	f.rule(len(stored(f.fixture, f.s, build, job)) == 0, "a rollback leaves no job")
	_, ok, err := f.s.Template(f.ctx, w.TemplateID)
	f.must(err)
	f.rule(!ok, "a rollback leaves no template")
	_, ok, err = f.s.Owner(f.ctx, w.OwnerID)
	f.must(err)
	f.rule(!ok, "a rollback leaves no owner")
	// What the store remembers of lanes and tags must not be what was rolled back.
	p := f.posting(w.ID)
	_, err = f.s.Enqueue(f.ctx, epoch, []queue.Posting{p})
	f.must(err)
	jobs, err := f.other.Jobs(f.ctx, queue.Filter{IDs: []uuid.UUID{p.ID}})
	f.must(err)
	f.rule(len(jobs) == 1 && jobs[0].Tags.Map()["of"] == w.ID.String(), "tags that a rollback took away are made again: got %+v", jobs)
}

// testTxTemplates replaces a template in a transaction that is rolled back, and then otherwise.
func testTxTemplates(f *txFixture) {
	w := f.create(1)[0].Workspace
	tx := f.begin()
	t := f.template
	t.Policy.DefaultTTL = time.Hour
	f.must(tx.Store.PutTemplate(f.ctx, epoch, t))
	found, err := tx.Store.Load(f.ctx, w.ID)
	f.must(err)
	f.rule(len(found) == 1 && found[0].Template.Policy.DefaultTTL == time.Hour, "a transaction reads the template that it has put")
	f.must(tx.Rollback())
	f.rule(f.load(w.ID).Template.Policy.DefaultTTL == 0, "a template that was rolled back is not read")
	t.Policy.DefaultTTL = 2 * time.Hour
	f.must(f.s.PutTemplate(f.ctx, epoch, t))
	f.rule(f.load(w.ID).Template.Policy.DefaultTTL == 2*time.Hour, "a template is read as it was put, whatever was rolled back before: got %v", f.load(w.ID).Template.Policy.DefaultTTL)
}

// testTxFailingCall has calls fail, and goes on.
func testTxFailingCall(f *txFixture) {
	old := f.create(1)[0]
	tx := f.begin()
	good := f.workspace()
	err := tx.Store.CreateWorkspaces(f.ctx, epoch, good, old.Workspace)
	f.rule(field(err) == "Workspace.ID", "a workspace that exists is refused: got %v", err)
	bad := f.build(old, lifecycle.TransitionStart)
	bad.Build.Number = 7
	_, err = tx.Store.Commit(f.ctx, epoch, []lifecycle.Change{bad})
	var blame *lifecycle.ChangeError
	f.rule(errors.As(err, &blame) && blame.WorkspaceID == old.Workspace.ID, "a bad change is a ChangeError: got %v", err)
	p := f.posting(uuid.New())
	p.Type = ""
	_, err = tx.Store.Enqueue(f.ctx, epoch, []queue.Posting{f.posting(uuid.New()), p})
	f.rule(err != nil, "an invalid posting is refused")
	f.must(tx.Store.CreateWorkspaces(f.ctx, epoch, good))
	f.must(tx.Commit())
	f.load(good.ID)
	f.rule(f.load(old.Workspace.ID).Build.Number == 0, "a call that fails within a transaction has no effect, and the transaction goes on")
	f.rule(len(f.claimable()) == 0, "a call that fails within a transaction stores no job")
}

func testTxConflict(f *txFixture) {
	s := f.create(1)[0]
	f.commit(wakeAt(s, epoch.Add(time.Hour)))
	tx := f.begin()
	c := f.withJob(s, nil)
	outcomes, err := tx.Store.Commit(f.ctx, epoch, []lifecycle.Change{c})
	f.must(err)
	f.rule(len(outcomes) == 1 && outcomes[0] == lifecycle.Conflict, "an old revision is a conflict within a transaction: got %v", outcomes)
	f.must(tx.Commit())
	f.rule(len(stored(f.fixture, f.s, c.Build.ID)) == 0 && f.load(s.Workspace.ID).Build.Number == 0, "a conflict writes nothing")
}

// testTxConcurrent has a tick decide the workspace that the host's transaction is changing.
func testTxConcurrent(f *txFixture) {
	f.concurrent(func(tx Transaction) error { return tx.Commit() }, lifecycle.Conflict, "a tick that decided before the commit of the host conflicts with it")
}

func testTxConcurrentRollback(f *txFixture) {
	f.concurrent(func(tx Transaction) error { return tx.Rollback() }, lifecycle.Applied, "a rollback is in no tick's way")
}

func (f *txFixture) concurrent(end func(Transaction) error, want lifecycle.Outcome, rule string) {
	s := f.create(1)[0]
	tx := f.begin()
	outcomes, err := tx.Store.Commit(f.ctx, epoch, []lifecycle.Change{f.build(s, lifecycle.TransitionStart)})
	f.must(err)
	f.rule(outcomes[0] == lifecycle.Applied, "the host's change is applied: got %v", outcomes)
	f.rule(f.isolated(s), "nothing of a transaction is seen before its commit")
	type answer struct {
		outcomes []lifecycle.Outcome
		err      error
	}
	commit := func() answer {
		outcomes, err := f.s.Commit(f.ctx, epoch, []lifecycle.Change{wakeAt(s, epoch.Add(time.Hour))})
		return answer{outcomes, err}
	}
	tick := make(chan answer, 1)
	go func() { tick <- commit() }()
	f.must(end(tx))
	got := <-tick
	f.must(got.err)
	if got.outcomes[0] == lifecycle.Conflict { // it may have met the row while the transaction held it; the next does not
		got = commit()
		f.must(got.err)
	}
	f.rule(len(got.outcomes) == 1 && got.outcomes[0] == want, "%s: got %v", rule, got.outcomes)
}

// isolated reports whether the store still has a workspace as it was.
func (f *txFixture) isolated(s lifecycle.Snapshot) bool {
	now := f.load(s.Workspace.ID)
	return now.Workspace.Revision == s.Workspace.Revision && now.Build == s.Build
}

// testTxAnnounced waits for what the host has committed.
func testTxAnnounced(f *txFixture) {
	w, ok := f.s.(lifecycle.Watcher)
	if !ok {
		f.Skipf("%T is no lifecycle.Watcher", f.s)
	}
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	wakes := make(chan struct{}, 100)
	ended := make(chan error, 1)
	go func() { ended <- w.WatchWakes(ctx, func() { wakes <- struct{}{} }) }()
	f.create(1)
	for heard := false; !heard; { // watching has begun when it hears what is written
		select {
		case <-wakes:
			heard = true
		case <-time.After(100 * time.Millisecond):
			f.create(1)
		}
	}
	for len(wakes) > 0 {
		<-wakes
	}
	tx := f.begin()
	f.must(tx.Store.CreateWorkspaces(f.ctx, epoch, f.workspace()))
	f.must(tx.Commit())
	tx.Store.Committed()
	select {
	case <-wakes:
	case <-time.After(watchTimeout):
		f.Error("broken rule: Committed wakes those who watch")
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		f.Errorf("broken rule: WatchWakes returns ctx.Err() when ctx ends: got %v", err)
	}
}

func testTxCanceled(f *txFixture) {
	tx := f.begin()
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, err := tx.Store.Commit(ctx, epoch, []lifecycle.Change{wakeAt(lifecycle.Snapshot{Workspace: f.workspace()}, epoch)})
	f.rule(err != nil, "a call under a context that has ended is an error")
	_ = tx.Rollback()
}
