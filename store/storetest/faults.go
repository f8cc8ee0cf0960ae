package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

// Faulty is a store whose database can be made to fail.
type Faulty struct {
	Store store.Store
	// Fail has the n-th thing that the store asks of its database from now on fail, once, and returns a function that ends
	// this and says whether it came to that.
	Fail func(n int) (ended func() bool)
	// Dump is all that is stored, as text, but what a call may leave behind because it means nothing by itself.
	Dump func() string
	// Is says whether an error is what the database said. Defaults to any error.
	Is func(error) bool
}

// Faults checks that a call in which the database fails, whenever that is, is an error and has no effect. open returns an empty,
// migrated store.
func Faults(t *testing.T, open func(*testing.T) Faulty) {
	for name, run := range map[string]func(*faultFixture){
		"registry": faultyRegistry, "workspaces": faultyWorkspaces, "ticks": faultyTicks, "jobs": faultyJobs,
		"operations": faultyOperations, "members": faultyMembers, "removal": faultyRemoval, "many": faultyMany, "sweeps": faultySweeps,
		"nothing": faultyNothing, "lost": faultyLost,
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{}.withDefaults()
			within(t, o, func(t *testing.T) {
				faulty := open(t)
				run(&faultFixture{fixture: newFixture(t, faulty.Store, o), Faulty: faulty, s: faulty.Store})
			})
		})
	}
}

type faultFixture struct {
	*fixture
	Faulty
	s store.Store
	// parts: a call that fails may have done a part of what it does.
	parts bool
	// follows: something may follow the commit of a call, which is no failure of it if it fails, and which others do then.
	follows bool
}

// mostFaults is more than any call asks of a database.
const mostFaults = 500

// call makes a call with one fault after the other, until there is none any more.
func (f *faultFixture) call(name string, do func(context.Context) error) {
	f.Helper()
	before := f.Dump()
	for n := 1; ; n++ {
		if f.follows { // or what an earlier call left to follow would pass for an effect of this one
			f.settle()
			before = f.Dump()
		}
		ended := f.Fail(n)
		err := do(f.ctx)
		if !ended() {
			if err != nil {
				f.Fatalf("%s: unexpected error: %v", name, err)
			}
			return
		}
		after := f.Dump()
		if err == nil && f.follows && after != before {
			return
		}
		if err == nil {
			f.Fatalf("broken rule: a call in which the database fails is an error: %s, fault %d", name, n)
		}
		if f.Is != nil && !f.Is(err) {
			f.Fatalf("broken rule: an error is what the database said: %s, fault %d: %v", name, n, err)
		}
		if isAnswer(err) {
			f.Fatalf("broken rule: a failure of the database is no answer: %s, fault %d: %v", name, n, err)
		}
		if after != before && !f.parts {
			f.Fatalf("broken rule: a call that fails has no effect: %s, fault %d: %v\n%s\nwas\n%s", name, n, err, after, before)
		}
		if n > mostFaults {
			f.Fatalf("%s asks more than %d things of its database", name, mostFaults)
		}
		before = after
	}
}

// refused is a call as [faultFixture.call] makes it, which is refused where nothing fails.
func refused(with error, do func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := do(ctx); !errors.Is(err, with) {
			return err
		}
		return nil
	}
}

// isAnswer reports whether an error says something about what is stored.
func isAnswer(err error) bool {
	for _, answer := range []error{
		queue.ErrLeaseLost, queue.ErrProcessLost, lifecycle.ErrInUse, lifecycle.ErrStaleTemplate, lifecycle.ErrBuildActive, prewarm.ErrConflict, invalid.Err,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// failing is a call as [faultFixture.call] makes it, whose other answer does not matter.
func failing[T any](do func(context.Context) (T, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := do(ctx)
		return err
	}
}

func faultyRegistry(f *faultFixture) {
	t, o := f.template, f.owner
	f.create(2)
	later := epoch.Add(time.Hour)
	t.Policy.DefaultTTL = time.Hour
	f.follows = true // the workspaces are woken
	f.call("PutTemplate", func(ctx context.Context) error { return f.s.PutTemplate(ctx, later, t) })
	o.Name = "bob"
	f.call("PutOwner", func(ctx context.Context) error { return f.s.PutOwner(ctx, later, o) })
	f.call("PutEngine", func(ctx context.Context) error { return f.s.PutEngine(ctx, later, lifecycle.Engine{}) })
	t.ID, t.Revision, o.ID = uuid.New(), 0, uuid.New()
	e := lifecycle.Event{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch}
	w := f.s.Recording(e)
	f.call("Recording: PutTemplate", func(ctx context.Context) error { return w.PutTemplate(ctx, later, t) })
	f.call("Recording: PutOwner", func(ctx context.Context) error { return w.PutOwner(ctx, later, o) })
	f.follows = false
	one, two := f.workspace(), f.workspace()
	f.call("CreateWorkspaces", func(ctx context.Context) error { return f.s.CreateWorkspaces(ctx, epoch, one, two) })
	nobodys := f.workspace()
	nobodys.OwnerID = uuid.New()
	for _, w := range []lifecycle.Workspace{one, nobodys} {
		f.call("CreateWorkspaces that is refused", refused(invalid.Err, func(ctx context.Context) error { return f.s.CreateWorkspaces(ctx, epoch, w) }))
	}
	f.call("Template", func(ctx context.Context) error { _, _, err := f.s.Template(ctx, t.ID); return err })
	f.call("Owner", func(ctx context.Context) error { _, _, err := f.s.Owner(ctx, o.ID); return err })
	f.call("Engine", failing(f.s.Engine))
	f.call("Templates", failing(func(ctx context.Context) ([]lifecycle.Template, error) {
		return f.s.Templates(ctx, lifecycle.TemplateQuery{Limit: 10})
	}))
	f.call("Owners", failing(func(ctx context.Context) ([]lifecycle.Owner, error) {
		return f.s.Owners(ctx, lifecycle.OwnerQuery{Limit: 10})
	}))
	for _, q := range []lifecycle.CountQuery{{}, {OwnerID: f.owner.ID}, {TemplateID: f.template.ID}, {Organizations: []uuid.UUID{t.OrganizationID}}} {
		f.call("CountStatuses", failing(func(ctx context.Context) (map[lifecycle.Status]int, error) { return f.s.CountStatuses(ctx, q) }))
	}
	for _, q := range []lifecycle.ListQuery{
		{}, {OwnerID: f.owner.ID}, {TemplateID: f.template.ID}, {Order: lifecycle.ListByName}, {Order: lifecycle.ListByWake}, {Building: true},
	} {
		q.Limit = 10
		f.call(fmt.Sprintf("List(%+v)", q), failing(func(ctx context.Context) ([]lifecycle.Snapshot, error) { return f.s.List(ctx, q) }))
	}
}

func faultyWorkspaces(f *faultFixture) {
	all := f.create(4)
	commit := func(name string, changes ...lifecycle.Change) {
		f.Helper()
		f.call(name, failing(func(ctx context.Context) ([]lifecycle.Outcome, error) { return f.s.Commit(ctx, epoch, changes) }))
	}
	id := all[0].Workspace.ID
	commit("Commit of wakes", wakeAt(all[0], epoch.Add(time.Hour)), wakeAt(all[1], epoch))
	build := f.withJob(f.load(id), map[string]string{"a": "b"})
	build.Events = []lifecycle.Event{event(build, lifecycle.TopicNotice, "one"), event(build, lifecycle.TopicAudit, "two")}
	commit("Commit of a build", build, f.withJob(all[2], nil), f.withJob(all[3], nil))
	commit("Commit of an end", f.ended(f.load(id), lifecycle.JobSucceeded, epoch))
	commit("Commit of a second build", f.withJob(f.load(id), nil))
	commit("Commit beside a conflict", f.ended(f.load(id), lifecycle.JobFailed, epoch), wakeAt(all[3], epoch))
	f.call("Load", failing(func(ctx context.Context) ([]lifecycle.Snapshot, error) { return f.s.Load(ctx, id, all[1].Workspace.ID) }))
	f.call("Builds", failing(func(ctx context.Context) ([]lifecycle.Build, error) { return f.s.Builds(ctx, id, 0, 10) }))
	f.call("FleetBuilds", failing(func(ctx context.Context) ([]lifecycle.FleetBuild, error) {
		return f.s.FleetBuilds(ctx, lifecycle.BuildQuery{Limit: 10})
	}))
	topics := []lifecycle.Topic{lifecycle.TopicNotice, lifecycle.TopicAudit}
	claimed := []lifecycle.Event{{}}
	f.call("ClaimEvents", func(ctx context.Context) (err error) {
		claimed, err = f.s.ClaimEvents(ctx, epoch, topics, time.Minute, 10)
		return err
	})
	f.call("SettleEvents", func(ctx context.Context) error {
		return f.s.SettleEvents(ctx, epoch, []lifecycle.Delivery{{Seq: claimed[0].Seq, RetryAt: epoch.Add(time.Minute)}})
	})
	f.call("SettleEvents", func(ctx context.Context) error {
		return f.s.SettleEvents(ctx, epoch, []lifecycle.Delivery{{Seq: claimed[0].Seq}})
	})
	later := epoch.AddDate(1, 0, 0)
	before, err := f.s.Backlog(f.ctx, later)
	f.must(err)
	pruned := 0
	f.parts = true // the events of one topic after those of the other, and builds of one kind after those of the other
	f.call("PruneEvents", func(ctx context.Context) error {
		events, err := f.s.PruneEvents(ctx, later, topics, 10)
		pruned += len(events)
		return err
	})
	after, err := f.s.Backlog(f.ctx, later)
	f.must(err)
	f.rule(pruned > 0 && pruned == before.Events-after.Events, "PruneEvents returns what it has removed, also before an error: got %d, of %d are left %d", pruned, before.Events, after.Events)
	f.call("PruneBuilds", failing(func(ctx context.Context) (int, error) { return f.s.PruneBuilds(ctx, later, 10) }))
	f.parts = false
	f.call("Backlog", failing(func(ctx context.Context) (lifecycle.Backlog, error) { return f.s.Backlog(ctx, later) }))
}

func faultyTicks(f *faultFixture) {
	f.template.Policy.DefaultTTL = time.Hour
	all := f.create(30)
	for _, share := range []lifecycle.Shard{{}, {Index: 1, Count: 2}} {
		f.call("Due", failing(func(ctx context.Context) ([]lifecycle.Snapshot, error) {
			return f.s.Due(ctx, lifecycle.DueQuery{Now: epoch, Limit: 10, Shard: share})
		}))
		f.call("NextWake", failing(func(ctx context.Context) (time.Time, error) { return f.s.NextWake(ctx, share) }))
	}
	if s, ok := f.s.(lifecycle.Sharder); ok {
		for range 2 {
			f.call("Shard", failing(func(ctx context.Context) (lifecycle.Shard, error) {
				return s.Shard(ctx, epoch, f.owner.ID, time.Minute)
			}))
		}
	}
	if s, ok := f.s.(lifecycle.Settler); ok {
		for hour := range 3 {
			f.call("Ticked", failing(func(ctx context.Context) (time.Time, error) {
				return s.Ticked(ctx, epoch.Add(time.Duration(hour*hour)*time.Hour), time.Minute, time.Hour)
			}))
		}
	}
	if s, ok := f.s.(lifecycle.Braker); ok {
		for range 2 {
			f.call("AdmitDeletions", failing(func(ctx context.Context) ([]uuid.UUID, error) {
				return s.AdmitDeletions(ctx, epoch, lifecycle.Brake{Max: 5}, dueDeletions(all))
			}))
		}
	}
	if s, ok := f.s.(lifecycle.Subscriber); ok {
		f.call("ChangeTopics", func(ctx context.Context) error { return s.ChangeTopics(ctx, 1, 0) })
	}
	f.follows = true
	if s, ok := f.s.(lifecycle.ZoneKeeper); ok {
		for n := range int64(2) {
			f.call("KeepZones", failing(func(ctx context.Context) ([]string, error) {
				return s.KeepZones(ctx, epoch, []string{"UTC", "Europe/Berlin"}, func(string) int64 { return n })
			}))
		}
	}
}

func faultyJobs(f *faultFixture) {
	k := newJobKit(f.T, f.s, f.o)
	tenant := uuid.New()
	unseen, err := queue.NewTagSet(map[string]string{"seen": "by nobody"})
	f.must(err)
	some := append(k.postings(2, ofTenant(tenant), withTags(map[string]string{"os": "linux"})), k.posting(notBefore(k.now.Add(time.Minute))), k.posting(ofType("other")))
	var jobs []queue.Job
	f.call("Enqueue", func(ctx context.Context) (err error) { jobs, err = f.s.Enqueue(ctx, k.now, some); return err })
	f.call("Enqueue again", failing(func(ctx context.Context) ([]queue.Job, error) { return f.s.Enqueue(ctx, k.now, some) }))
	unique := []queue.Posting{k.posting(func(p *queue.Posting) { p.Unique = "one" })}
	f.call("Enqueue under a key", failing(func(ctx context.Context) ([]queue.Job, error) { return f.s.Enqueue(ctx, k.now, unique) }))
	unique[0].ID = uuid.New()
	f.call("Enqueue under a key again", failing(func(ctx context.Context) ([]queue.Job, error) { return f.s.Enqueue(ctx, k.now, unique) }))
	k.pass(2 * time.Minute)
	f.parts = true // what has turned ready is ready, and the call then asks for less
	for range 2 {
		f.call("Ready", failing(func(ctx context.Context) (queue.Listing, error) {
			return f.s.Ready(ctx, k.now, queue.ReadyQuery{CountTo: 10, Whole: true})
		}))
		f.parts = false
	}
	f.call("Ready of an organization", failing(func(ctx context.Context) (queue.Listing, error) {
		return f.s.Ready(ctx, k.now, queue.ReadyQuery{CountTo: 10, Organizations: []uuid.UUID{k.org}})
	}))
	f.call("Ahead", failing(func(ctx context.Context) ([]queue.ReadyLane, error) { return f.s.Ahead(ctx, jobs[1].ID, 10) }))
	nowhere := k.ask(1, jobs[0])
	nowhere.Probes[0].Lane.Tags = unseen
	f.call("Claim from a lane that nobody has seen", failing(func(ctx context.Context) (queue.Claimed, error) { return f.s.Claim(ctx, nowhere) }))
	ask := k.ask(2, jobs...)
	ask.Limits = queue.Limits{PerTenant: 1, Types: map[string]int{"other": 3}}
	var claimed queue.Claimed
	f.call("Claim", func(ctx context.Context) (err error) { claimed, err = f.s.Claim(ctx, ask); return err })
	if len(claimed.Jobs) != 2 {
		f.Fatalf("claimed %d jobs", len(claimed.Jobs))
	}
	first, second := claimed.Jobs[0], claimed.Jobs[1]
	for range 2 {
		f.call("Heartbeat", failing(func(ctx context.Context) (queue.Fleet, error) {
			return f.s.Heartbeat(ctx, queue.Heartbeat{Process: k.process, Now: k.now, Name: "a"})
		}))
	}
	other := uuid.New()
	k.heartbeat(other)
	f.call("Renew", failing(func(ctx context.Context) ([]queue.Renewed, error) {
		return f.s.Renew(ctx, k.now, []queue.Renewal{
			{Handout: k.handout(first), Process: other, Progress: &queue.Progress{Percent: 5}, Lines: []queue.Line{{At: k.now, Text: "a"}, {At: k.now, Text: "b"}}},
			{Handout: k.handout(second), Process: other, Lines: []queue.Line{{At: k.now, Text: "c"}}, MaxLog: 1},
		})
	}))
	f.call("Jobs", failing(func(ctx context.Context) ([]queue.Job, error) { return f.s.Jobs(ctx, queue.Filter{Process: other}) }))
	f.call("Jobs of a lane", failing(func(ctx context.Context) ([]queue.Job, error) {
		lane := jobs[1].Lane()
		return f.s.Jobs(ctx, queue.Filter{Lane: &lane})
	}))
	f.call("Jobs of a lane that nobody has seen", failing(func(ctx context.Context) ([]queue.Job, error) {
		lane := queue.Lane{Organization: k.org, Type: "build", Tags: unseen}
		return f.s.Jobs(ctx, queue.Filter{Lane: &lane})
	}))
	f.call("Lines", failing(func(ctx context.Context) ([]queue.Line, error) { return f.s.Lines(ctx, first.ID, 0, 10) }))
	f.call("Reassign", failing(func(ctx context.Context) ([]bool, error) {
		return f.s.Reassign(ctx, []queue.Reassignment{{Lease: second.Lease(), Process: other, Worker: second.Worker}})
	}))
	f.call("Processes", failing(func(ctx context.Context) ([]queue.Process, error) {
		return f.s.Processes(ctx, queue.ProcessQuery{Limit: 10})
	}))
	f.call("End", failing(func(ctx context.Context) ([]queue.Ended, error) {
		return f.s.End(ctx, k.now, []queue.End{
			{Handout: k.handout(first), Outcome: queue.OutcomeSucceeded, Result: []byte("r")},
			{Handout: k.handout(second), Outcome: queue.OutcomeRequeued, Error: "e"},
		})
	}))
	f.call("Attempts", failing(func(ctx context.Context) ([]queue.Attempt, error) { return f.s.Attempts(ctx, second.ID) }))
	f.call("Cancel", failing(func(ctx context.Context) ([]queue.Job, error) {
		return f.s.Cancel(ctx, queue.Cancellation{Now: k.now, IDs: []uuid.UUID{second.ID, jobs[1].ID}, Reason: "why"})
	}))
}

func faultyOperations(f *faultFixture) {
	k := newJobKit(f.T, f.s, f.o)
	held, over := k.running(withTags(map[string]string{"os": "linux"})), k.running()
	k.renew(queue.Renewal{Handout: k.handout(over), Process: k.process, Lines: []queue.Line{{At: k.now, Text: "a"}}})
	k.end(queue.End{Handout: k.handout(over), Outcome: queue.OutcomeFailed, Error: "e"})
	q := queue.JobQuery{Organization: k.org, Tag: queue.Tag{Key: "os", Value: "linux"}}
	f.call("ListJobs", failing(func(ctx context.Context) (queue.JobPage, error) { return f.s.ListJobs(ctx, q) }))
	q.Tag = queue.Tag{}
	for _, tag := range []queue.Tag{{}, {Key: "os", Value: "linux"}} {
		q.Tag = tag
		f.call("CountJobs", failing(func(ctx context.Context) (queue.JobCounts, error) { return f.s.CountJobs(ctx, q, 10) }))
	}
	f.call("RetryJobs", failing(func(ctx context.Context) ([]queue.Job, error) {
		return f.s.RetryJobs(ctx, queue.Retry{Now: k.now, IDs: []uuid.UUID{over.ID}, By: "ann"})
	}))
	p := queue.Pause{Scope: queue.Scope{Organization: k.org}, At: k.now, By: "ann"}
	for range 2 {
		f.call("PauseJobs", func(ctx context.Context) error { return f.s.PauseJobs(ctx, p) })
	}
	f.call("Pauses", failing(func(ctx context.Context) ([]queue.Pause, error) { return f.s.Pauses(ctx, k.now) }))
	f.call("ResumeJobs", failing(func(ctx context.Context) (bool, error) { return f.s.ResumeJobs(ctx, p.Scope) }))
	beats := int64(1)
	for _, p := range k.heartbeat(uuid.New()).Processes {
		if p.ID == k.process {
			beats = p.Heartbeats
		}
	}
	f.call("Reap", failing(func(ctx context.Context) (queue.Reaped, error) {
		return f.s.Reap(ctx, queue.ReapRequest{Now: k.now, Process: k.process, Heartbeats: beats, Limit: 10})
	}))
	k.cancel("why", over)
	_, err := f.s.End(f.ctx, k.now, []queue.End{{Handout: queue.Handout{Lease: held.Lease()}, Process: k.process, Outcome: queue.OutcomeFailed}})
	f.must(err)
	f.parts = true                       // it says how many it has deleted
	for _, limit := range []int{1, 10} { // and there are fewer than ten
		before := k.now.Add(time.Hour)
		f.call("PruneJobs", failing(func(ctx context.Context) (int, error) {
			before = before.Add(24 * time.Hour) // else what nobody uses is not looked for again
			return f.s.PruneJobs(ctx, before, limit)
		}))
	}
}

func faultyMembers(f *faultFixture) {
	k := newMemberKit(f.T, f.s)
	pick := k.pick()
	a, b, c := k.ready(3), k.ready(2), k.ready(1, inState(prewarm.Starting))
	put := func(name string, state *prewarm.PoolState, members ...prewarm.Member) {
		f.Helper()
		changes := make([]prewarm.Change, len(members))
		for i := range members {
			changes[i].Member = members[i]
		}
		f.call(name, failing(func(ctx context.Context) ([]bool, error) { return f.s.PutMembers(ctx, state, changes) }))
	}
	put("PutMembers", &prewarm.PoolState{Pool: memberPool, Paused: true}, a, b, c)
	c.Revision, c.State = 1, prewarm.Gone
	put("PutMembers again", &prewarm.PoolState{Pool: memberPool, Revision: 1}, c)
	f.call("ClaimMembers", failing(func(ctx context.Context) ([]prewarm.Grant, error) {
		return f.s.ClaimMembers(ctx, k.now, k.pick(), []prewarm.Claim{claimOf("one"), claimOf("two")})
	}))
	f.call("ClaimMembers again", failing(func(ctx context.Context) ([]prewarm.Grant, error) {
		return f.s.ClaimMembers(ctx, k.now, k.pick(), []prewarm.Claim{claimOf("one"), claimOf("three")})
	}))
	for _, q := range []prewarm.Query{{Pool: memberPool}, {Pool: memberPool, IDs: []uuid.UUID{a.ID}}, {Pool: memberPool, DueBy: k.now}, {Pool: memberPool, Pick: &pick}} {
		f.call("Members", failing(func(ctx context.Context) ([]prewarm.Member, error) { return f.s.Members(ctx, q) }))
	}
	f.call("PoolState", failing(func(ctx context.Context) (prewarm.PoolState, error) { return f.s.PoolState(ctx, memberPool) }))
	all, bob := f.pooled(2), f.putOwner("bob")
	var changes []lifecycle.Change
	var members []prewarm.Member
	for i, w := range all {
		changes = append(changes, f.claim(w, bob, fmt.Sprint("w", i)))
		members = append(members, taken(memberOf(f.fixture, f.s, w.Workspace.ID), fmt.Sprint("k", i)))
	}
	f.call("CommitMembers", failing(func(ctx context.Context) ([]lifecycle.Outcome, error) {
		return f.s.CommitMembers(ctx, epoch, changes, members)
	}))
}

func faultyRemoval(f *faultFixture) {
	if forgetter, ok := f.s.(store.Forgetter); ok {
		k := &forgetKit{fixture: f.fixture, s: f.s, f: forgetter, zoe: lifecycle.Owner{ID: uuid.New(), Name: "zoe"}}
		k.must(f.s.PutOwner(f.ctx, epoch, k.zoe))
		k.p = store.Person{ID: k.zoe.ID, Names: []string{"zoe", "zoe@example.com"}, Pseudonym: uuid.New()}
		k.refusals()
		k.leaveTraces()
		f.call("Forget", func(ctx context.Context) error { return forgetter.Forget(ctx, k.p) })
	}
	if remover, ok := f.s.(lifecycle.Remover); ok {
		t, o := f.template, f.owner
		t.ID, t.Revision, o.ID = uuid.New(), 0, uuid.New()
		f.must(f.s.PutTemplate(f.ctx, epoch, t))
		f.must(f.s.PutOwner(f.ctx, epoch, o))
		f.create(1)
		f.call("DeleteTemplate in use", refused(lifecycle.ErrInUse, func(ctx context.Context) error { return remover.DeleteTemplate(ctx, f.template.ID) }))
		f.call("DeleteOwner in use", refused(lifecycle.ErrInUse, func(ctx context.Context) error { return remover.DeleteOwner(ctx, f.owner.ID) }))
		f.call("DeleteTemplate", func(ctx context.Context) error { return remover.DeleteTemplate(ctx, t.ID) })
		f.call("DeleteOwner", func(ctx context.Context) error { return remover.DeleteOwner(ctx, o.ID) })
	}
}
