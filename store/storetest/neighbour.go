package storetest

import (
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// Every case of the suites has a neighbour: another organization, or another pool, with things of the same types, tags, names and keys.
// Whatever the case does with its own ids, the neighbour's things are the same afterwards.

// alone are the cases that are about everything a store has.
var alone = setOf(
	// What is listed without an organization, or of several that the case makes itself.
	"jobs/Enqueue/RepeatedAfterEnd", "jobs/Ready/EmptyStore", "jobs/Ready/OneEntryForEachLane", "jobs/Ready/Organizations",
	"jobs/Ready/CountTo", "jobs/Ready/FirstInLine", "jobs/Ready/OnlyReady", "jobs/Ready/DelayedTurnReady", "jobs/Claim/WhatIsListed",
	"jobs/Cancel/Delayed", "jobs/Pause/Listing", "jobs/Pause/Until", "jobs/Values/TagSets",
	"lifecycle/empty", "lifecycle/list", "lifecycle/lists", "lifecycle/list templates and owners", "lifecycle/fleet builds",
	"lifecycle/one of each organization",
	// What is deleted by its age.
	"jobs/Registry/PruneJobs", "jobs/Registry/PruneProcesses", "jobs/Registry/PruneUnused", "jobs/Registry/PruneReturning",
	"jobs/Registry/PrunedOrganizationBeginsAnew", "jobs/Log/PruneLong", "jobs/Retry/NotPruned", "jobs/Pause/Pruned", "lifecycle/prune", "lifecycle/prune at the instant",
	// What an operator changes for all, and what ticks over all do.
	"lifecycle/engine held", "lifecycle/hold texts", "lifecycle/instants", "lifecycle/brake released", "lifecycle/ticked", "lifecycle/ticked by many", "lifecycle/brake on executors",
	"lifecycle/executors after an outage", "lifecycle/time zones", "lifecycle/time zones on executors", "lifecycle/recorded",
	"lifecycle/wake only sooner", "lifecycle/topics", "lifecycle/engine that cannot be read",
)

func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// neighbourJobs gives another organization a job that waits and one that is over, and returns what checks that they are as they were.
func (k *jobKit) neighbourJobs() (check func()) {
	org, tenant := uuid.New(), uuid.New()
	same := func(p *queue.Posting) {
		p.Organization, p.Tenant, p.Unique, p.Payload = org, tenant, "a", []byte("theirs")
	}
	over := k.running(same)
	k.renew(queue.Renewal{Handout: k.handout(over), Process: k.process, Lines: []queue.Line{{At: k.now, Text: "theirs"}}})
	k.must(k.end(queue.End{Handout: k.handout(over), Outcome: queue.OutcomeFailed}).Err == nil, "End ends a running job", "it does not")
	waits := k.enqueue(k.posting(same))[0]
	ids := idsOfJobs([]queue.Job{over, waits})
	seen := func() map[uuid.UUID]queue.Job {
		found := make(map[uuid.UUID]queue.Job)
		for _, j := range k.jobs(queue.Filter{IDs: ids, Organization: &org}) {
			found[j.ID] = j
		}
		return found
	}
	before := seen()
	return func() {
		k.t.Helper()
		after := seen()
		k.must(reflect.DeepEqual(before, after), "what is done to the jobs of one organization leaves those of another as they were", "before %+v\n\tafter  %+v", before, after)
		k.must(len(k.lines(over.ID, 0, 9)) == 1 && len(k.history(over)) == 1, "and their logs and histories", "they are %+v, %+v", k.lines(over.ID, 0, 9), k.history(over))
	}
}

// neighbour gives another organization a template, an owner and a workspace of the names that the case has, and returns what checks that
// they are as they were. Nothing of it is ever due.
func (f *fixture) neighbour() (check func()) {
	f.Helper()
	t, o := f.template, f.owner
	t.ID, t.OrganizationID, t.Revision, o.ID = uuid.New(), uuid.New(), 0, uuid.New()
	f.put(epoch, &t)
	f.must(f.s.PutOwner(f.ctx, epoch, o))
	w := f.workspace()
	w.OrganizationID, w.TemplateID, w.OwnerID, w.Name = t.OrganizationID, t.ID, o.ID, "w"
	f.must(f.s.CreateWorkspaces(f.ctx, epoch, w))
	f.commit(f.build(f.load(w.ID), lifecycle.TransitionStart))
	f.commit(f.ended(f.load(w.ID), lifecycle.JobSucceeded, epoch))
	f.commit(wakeAt(f.load(w.ID), time.Time{}))
	before := f.load(w.ID)
	return func() {
		f.Helper()
		after := f.load(w.ID)
		f.rule(reflect.DeepEqual(before, after), "what is done to the workspaces of one organization leaves those of another as they were\n\tbefore %+v\n\tafter  %+v", before, after)
	}
}

// neighbourMembers gives another pool members of the same version, tenants and keys, and returns what checks that they are as they were.
func (k *memberKit) neighbourMembers() (check func()) {
	const pool = "neighbour"
	in := func(m *prewarm.Member) { m.Pool = pool }
	k.insert(k.ready(9, in), k.ready(8, in), k.ready(7, in))
	p := k.pick()
	p.Pool = pool
	k.claim(p, claimOf("key"), claimOf("1"))
	before := k.members(prewarm.Query{Pool: pool})
	return func() {
		k.t.Helper()
		after := k.members(prewarm.Query{Pool: pool})
		k.must(reflect.DeepEqual(before, after), "what is done in one pool leaves the members of another as they were", "before %+v\n\tafter  %+v", before, after)
	}
}

// testOrganizationStays sees that no commit moves a workspace, or what came of it, to another organization.
func testOrganizationStays(f *fixture) {
	s := f.create(1)[0]
	other := f.template
	other.ID, other.OrganizationID, other.Revision = uuid.New(), uuid.New(), 0
	f.put(epoch, &other)
	c := f.build(s, lifecycle.TransitionStart)
	c.Workspace.OrganizationID, c.Workspace.TemplateID, c.Workspace.OwnerID = other.OrganizationID, other.ID, uuid.New()
	f.commit(c)
	got := f.load(s.Workspace.ID)
	f.rule(got.Workspace.OrganizationID == s.Workspace.OrganizationID && got.Workspace.TemplateID == s.Workspace.TemplateID && got.Workspace.OwnerID == s.Workspace.OwnerID,
		"a commit keeps organization, template and owner of a workspace: got %+v", got.Workspace)
	f.rule(got.Build.ID == c.Build.ID && got.Template.OrganizationID == f.template.OrganizationID, "and the build is of that workspace: got %+v", got)
	lists, ok := f.s.(lifecycle.Registry)
	if !ok {
		return
	}
	for org, want := range map[uuid.UUID]int{s.Workspace.OrganizationID: 1, other.OrganizationID: 0} {
		found, err := lists.List(f.ctx, lifecycle.ListQuery{Organizations: []uuid.UUID{org}, Limit: 9})
		f.must(err)
		f.rule(len(found) == want, "a list of an organization has its workspaces alone: got %d, want %d", len(found), want)
	}
}

// testListsOfOrganizations asks for what one of two organizations has: also with the template and the owner of the other one, and after
// places in its lists.
func testListsOfOrganizations(f *fixture) {
	lists := skipUnless[lister](f)
	mine := f.create(1)[0]
	theirs := f.template
	theirs.ID, theirs.OrganizationID, theirs.Revision = uuid.New(), uuid.New(), 0
	f.put(epoch, &theirs)
	w := f.workspace()
	w.OrganizationID, w.TemplateID = theirs.OrganizationID, theirs.ID
	f.must(f.s.CreateWorkspaces(f.ctx, epoch, w))
	f.fill(mine.Workspace.ID, 2)
	f.fill(w.ID, 2)
	last := f.load(w.ID)
	last.Workspace.WakeAt = epoch
	org := []uuid.UUID{mine.Workspace.OrganizationID}

	for _, order := range []lifecycle.ListOrder{lifecycle.ListByID, lifecycle.ListByName, lifecycle.ListByWake} {
		q := lifecycle.ListQuery{Organizations: org, Order: order, Limit: 9}
		for _, q := range []lifecycle.ListQuery{q, q.Following(&last)} {
			found, err := lists.List(f.ctx, q)
			f.must(err)
			for _, s := range found {
				f.rule(s.Workspace.ID == mine.Workspace.ID, "List has workspaces of the organization alone, also after a place of another's: got %+v", s.Workspace)
			}
		}
		q.TemplateID = theirs.ID
		found, err := lists.List(f.ctx, q)
		f.must(err)
		f.rule(len(found) == 0, "List has no workspaces of another organization's template: got %+v", found)
	}
	counts, err := lists.CountStatuses(f.ctx, lifecycle.CountQuery{Organizations: org, TemplateID: theirs.ID})
	f.must(err)
	f.rule(len(counts) == 0, "CountStatuses counts nothing of another organization's template: got %v", counts)
	templates, err := lists.Templates(f.ctx, lifecycle.TemplateQuery{Organizations: org, Limit: 9})
	f.must(err)
	f.rule(len(templates) == 1 && templates[0].ID == f.template.ID, "Templates has those of the organization: got %+v", templates)
	q := lifecycle.BuildQuery{Organizations: org, Limit: 9}
	for _, q := range []lifecycle.BuildQuery{q, q.Following(&last.Build)} {
		made, err := lists.FleetBuilds(f.ctx, q)
		f.must(err)
		for _, b := range made {
			f.rule(b.WorkspaceID == mine.Workspace.ID, "FleetBuilds has builds of the organization alone, also after a place of another's: got %+v", b)
		}
	}
}
