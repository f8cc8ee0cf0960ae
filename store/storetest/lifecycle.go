package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// LifecycleStore is what the suite needs: the store, and a way to fill it, which is part of [lifecycle.Registry]. A host
// whose templates, owners and workspaces come from elsewhere writes these three methods for its test.
type LifecycleStore interface {
	lifecycle.Store
	PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error
	PutOwner(ctx context.Context, now time.Time, o lifecycle.Owner) error
	CreateWorkspaces(ctx context.Context, now time.Time, workspaces ...lifecycle.Workspace) error
}

// Lifecycle checks what the lifecycle engine needs of a store, and those of its optional abilities that the store has.
func Lifecycle(t *testing.T, open func(*testing.T) LifecycleStore, o Options) {
	o = o.withDefaults()
	for _, c := range []struct {
		name string
		run  func(*fixture)
	}{
		{"empty", testEmpty},
		{"round trip", testRoundTrip},
		{"precision", testPrecision},
		{"create", testCreate},
		{"due order", testDueOrder},
		{"due paging", testDuePaging},
		{"due share", testDueShare},
		{"compare and swap", testCompareAndSwap},
		{"organization stays", testOrganizationStays},
		{"lists of organizations", testListsOfOrganizations},
		{"all or nothing", testAllOrNothing},
		{"two bad changes", testTwoBad},
		{"builds", testBuilds},
		{"build left alone", testBuildLeftAlone},
		{"build that is not the latest", testBuildNotLatest},
		{"aliasing", testAliasing},
		{"policy wakes", testPolicyWakes},
		{"stale template", testStaleTemplate},
		{"policy refused", testPolicyRefused},
		{"policy followed", testPolicyFollowed},
		{"policies skipped", testPolicySkipped},
		{"plans in any order", testPlans},
		{"owner returns", testOwnerReturns},
		{"engine held", testEngineHeld},
		{"engine refused", testEngineRefused},
		{"hold texts", testHoldTexts},
		{"instants", testInstants},
		{"clocks", testClocks},
		{"owner wakes", testOwnerWakes},
		{"brake", testBrake},
		{"brake per template", testBrakePerTemplate},
		{"brake released", testBrakeReleased},
		{"brake of many", testBrakeRace},
		{"ticked", testTicked},
		{"ticked by many", testTickedRace},
		{"brake on executors", testBrakeTicks},
		{"executors after an outage", testSettleTicks},
		{"update returns what is stored", testUpdateReturns},
		{"time zones", testZones},
		{"time zones on executors", testZoneTicks},
		{"unusable schedule", testUnusableSchedule},
		{"unusable holidays", testUnusableHolidays},
		{"policy of a later version", testLaterPolicy},
		{"policy that cannot be read", testUnreadablePolicy},
		{"claim", testClaim},
		{"claim lists", testClaimLists},
		{"claim names", testClaimNames},
		{"claim owners", testClaimOwners},
		{"claim race", testClaimRace},
		{"claim of nothing", testClaimNothing},
		{"build without a number", testBuildWithoutNumber},
		{"corrupt rows", testCorruptRows},
		{"corrupt holds", testCorruptHolds},
		{"state that cannot be read", testUnreadableState},
		{"engine that cannot be read", testUnreadableEngine},
		{"canceled", testCanceled},
		{"race on one", testRaceOnOne},
		{"race of batches", testRaceOfBatches},
		{"outbox order", testOutboxOrder},
		{"outbox lease", testOutboxLease},
		{"outbox age", testOutboxAge},
		{"outbox without an age", testOutboxWithoutAge},
		{"outbox prune topics", testPruneTopics},
		{"outbox precision", testOutboxPrecision},
		{"outbox race", testOutboxRace},
		{"outbox fair", testOutboxFair},
		{"outbox fair of topics", testOutboxFairOfTopics},
		{"outbox untried", testOutboxUntried},
		{"outbox lines", testOutboxLines},
		{"recorded", testRecorded},
		{"next wake", testNextWake},
		{"history", testHistory},
		{"list", testList},
		{"lists", testLists},
		{"list meanwhile", testListMeanwhile},
		{"list refusals", testListRefusals},
		{"one of each organization", testOneEach},
		{"schedules return", testSchedulesReturn},
		{"refusals are no outages", testRefusalsAreNoOutages},
		{"list templates and owners", testListTemplatesAndOwners},
		{"fleet builds", testFleetBuilds},
		{"backlog", testBacklog},
		{"prune", testPrune},
		{"prune what has no end", testPruneEndless},
		{"prune at the instant", testPruneEdge},
		{"prune up to a limit", testPruneLimit},
		{"watch", testWatch},
		{"watch everything", testWatchEverything},
		{"shares", testShares},
		{"replica from the future", testReplicaFromTheFuture},
		{"replicas at the edge", testReplicaEdges},
		{"load once", testLoadOnce},
		{"remove", testRemove},
		{"two changes of one", testTwoChangesOfOne},
		{"wake only sooner", testWakeOnlySooner},
		{"far instants", testFarInstants},
		{"due limit", testDueLimit},
		{"nil workspace", testNilWorkspace},
		{"owner of the zero id", testNilOwner},
		{"two executors", testTwoExecutors},
		{"topics", testTopics},
		{"topics of another process", testTopicsTicks},
	} {
		t.Run(c.name, func(t *testing.T) {
			within(t, o, func(t *testing.T) {
				f := newFixture(t, open(t), o)
				if alone["lifecycle/"+c.name] {
					c.run(f)
					return
				}
				check := f.neighbour()
				c.run(f)
				check()
			})
		})
	}
}

// epoch is when the tests happen: a Monday morning.
var epoch = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// fixture is a store with one template and one owner.
type fixture struct {
	*testing.T
	s        LifecycleStore
	o        Options
	ctx      context.Context
	template lifecycle.Template
	owner    lifecycle.Owner
}

func newFixture(t *testing.T, s LifecycleStore, o Options) *fixture {
	f := &fixture{T: t, s: s, o: o, ctx: t.Context()}
	f.template = lifecycle.Template{
		ID: uuid.New(), OrganizationID: uuid.New(), Name: "go", ActiveVersionID: uuid.New(),
		Policy: lifecycle.Policy{AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays},
	}
	f.owner = lifecycle.Owner{ID: uuid.New(), Name: "ann"}
	f.put(epoch, &f.template)
	f.must(s.PutOwner(f.ctx, epoch, f.owner))
	return f
}

// put puts a template, and notes its new revision.
func (f *fixture) put(now time.Time, t *lifecycle.Template) {
	f.Helper()
	f.must(f.s.PutTemplate(f.ctx, now, *t))
	t.Revision++
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("unexpected error: %v", err)
	}
}

// rule reports that a rule is broken.
func (f *fixture) rule(ok bool, rule string, args ...any) {
	f.Helper()
	if !ok {
		f.Errorf("broken rule: "+rule, args...)
	}
}

// workspace is one of the fixture's owner and template.
func (f *fixture) workspace() lifecycle.Workspace {
	id, err := uuid.NewV7()
	f.must(err)
	return lifecycle.Workspace{
		ID: id, OrganizationID: f.template.OrganizationID, OwnerID: f.owner.ID, TemplateID: f.template.ID,
		Name: "w-" + id.String()[24:], CreatedAt: epoch,
	}
}

// create stores n workspaces, due at epoch.
func (f *fixture) create(n int) []lifecycle.Snapshot {
	f.Helper()
	var ids []uuid.UUID
	var ws []lifecycle.Workspace
	for range n {
		w := f.workspace()
		ws, ids = append(ws, w), append(ids, w.ID)
	}
	f.must(f.s.CreateWorkspaces(f.ctx, epoch, ws...))
	var all []lifecycle.Snapshot
	for _, id := range ids {
		all = append(all, f.load(id))
	}
	return all
}

func (f *fixture) load(id uuid.UUID) lifecycle.Snapshot {
	f.Helper()
	found, err := f.s.Load(f.ctx, id)
	f.must(err)
	if len(found) != 1 {
		f.Fatalf("broken rule: Load returns each known workspace once: got %d for %s", len(found), id)
	}
	return found[0]
}

// commit applies changes and returns their outcomes.
func (f *fixture) commit(changes ...lifecycle.Change) []lifecycle.Outcome {
	f.Helper()
	outcomes, err := f.s.Commit(f.ctx, epoch, changes)
	f.must(err)
	if len(outcomes) != len(changes) {
		f.Fatalf("broken rule: Commit reports one outcome for each change: got %d for %d", len(outcomes), len(changes))
	}
	return outcomes
}

// wakeAt is the change that only sets the wake.
func wakeAt(s lifecycle.Snapshot, at time.Time) lifecycle.Change {
	c := lifecycle.Change{Revision: s.Workspace.Revision, Workspace: s.Workspace, Build: s.Build}
	c.Workspace.WakeAt = at
	return c
}

// build is the change that makes a new build, with a job if asked for.
func (f *fixture) build(s lifecycle.Snapshot, t lifecycle.Transition) lifecycle.Change {
	f.Helper()
	c, err := lifecycle.RequestBuild(t, uuid.Nil)(s, epoch)
	f.must(err)
	c.Build.ID, err = uuid.NewV7()
	f.must(err)
	c.Events = nil
	return c
}

// ended is the change that ends the active build.
func (f *fixture) ended(s lifecycle.Snapshot, status lifecycle.JobStatus, at time.Time) lifecycle.Change {
	f.Helper()
	c, err := lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: status, CompletedAt: at})(s, at)
	f.must(err)
	c.Events = nil
	return c
}

// due reads all that is due, page by page.
func (f *fixture) due(now time.Time, limit int, share lifecycle.Shard) []lifecycle.Snapshot {
	f.Helper()
	q := lifecycle.DueQuery{Now: now, Limit: limit, Shard: share}
	var all []lifecycle.Snapshot
	seen := map[uuid.UUID]bool{}
	for {
		page, err := f.s.Due(f.ctx, q)
		f.must(err)
		f.rule(len(page) <= limit, "Due returns at most Limit rows: got %d of %d", len(page), limit)
		all = append(all, page...)
		if len(page) == 0 {
			return all
		}
		last := page[len(page)-1].Workspace.ID
		if seen[last] {
			f.Fatalf("broken rule: Due returns what comes after the cursor: %s came twice", last)
		}
		seen[last] = true
		q.After = lifecycle.CursorOf(page[len(page)-1])
	}
}

func ids(all []lifecycle.Snapshot) []uuid.UUID {
	var list []uuid.UUID
	for _, s := range all {
		list = append(list, s.Workspace.ID)
	}
	return list
}
