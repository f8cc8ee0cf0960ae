package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// union checks what holds between the parts of one store: a build and its job are one commit.
func union(t *testing.T, open func(*testing.T) store.Store, o Options) {
	for name, run := range map[string]func(*fixture, store.Store){
		"migrate again":          func(f *fixture, s store.Store) { f.must(s.Migrate(f.ctx)) },
		"job with build":         testJobWithBuild,
		"no job of a conflict":   testNoJobOfConflict,
		"unacceptable job":       testUnacceptableJob,
		"job can be acquired":    testJobCanBeAcquired,
		"member with workspace":  testMemberWithWorkspace,
		"member race":            testMemberRace,
		"member beside a change": testMemberBesideAChange,
		"forget":                 testForget,
		"forget outdates":        testForgetOutdates,
		"forget unread":          testForgetUnread,
		"refused workspaces":     func(f *fixture, _ store.Store) { testRefusedWorkspaces(f) },
		"texts":                  func(f *fixture, _ store.Store) { testTexts(f) },
	} {
		t.Run(name, func(t *testing.T) {
			within(t, o.withDefaults(), func(t *testing.T) {
				s := open(t)
				run(newFixture(t, s, o.withDefaults()), s)
			})
		})
	}
}

// withJob is the change that makes a build and its job.
func (f *fixture) withJob(s lifecycle.Snapshot, tags map[string]string) lifecycle.Change {
	c := f.build(s, lifecycle.TransitionStart)
	c.Job = &lifecycle.Job{
		ID: c.Build.ID, OrganizationID: s.Workspace.OrganizationID, OwnerID: s.Workspace.OwnerID, WorkspaceID: s.Workspace.ID,
		BuildNumber: c.Build.Number, Transition: c.Build.Transition, Tags: tags, Payload: []byte("p"), CreatedAt: epoch,
	}
	return c
}

func stored(f *fixture, s store.Store, ids ...uuid.UUID) []queue.Job {
	f.Helper()
	jobs, err := s.Jobs(f.ctx, queue.Filter{IDs: ids})
	f.must(err)
	return jobs
}

func testJobWithBuild(f *fixture, s store.Store) {
	c := f.withJob(f.create(1)[0], map[string]string{"os": "linux"})
	f.commit(c)
	jobs := stored(f, s, c.Build.ID)
	if len(jobs) != 1 {
		f.Fatalf("broken rule: the job of a build is written in its commit: got %d", len(jobs))
	}
	j := jobs[0]
	f.rule(j.Type == lifecycle.JobType && j.State == queue.Pending, "the job of a build is pending: got %+v", j)
	f.rule(j.Tenant == f.owner.ID && j.Organization == f.template.OrganizationID, "its tenant is the owner")
	f.rule(j.Tags.Map()["os"] == "linux", "it has the tags of the builder")
	b, err := buildjobs.BuildOf(j)
	f.must(err)
	f.rule(b.WorkspaceID == c.Workspace.ID && b.BuildNumber == 1 && string(b.Payload) == "p", "its payload is the build: got %+v", b)
}

func testNoJobOfConflict(f *fixture, s store.Store) {
	all := f.create(2)
	f.commit(wakeAt(all[0], epoch))
	late, good := f.withJob(all[0], nil), f.withJob(all[1], nil)
	got := f.commit(late, good)
	f.rule(got[0] == lifecycle.Conflict && got[1] == lifecycle.Applied, "an old revision is a conflict: got %v", got)
	f.rule(len(stored(f, s, late.Build.ID)) == 0, "a conflict enqueues no job")
	f.rule(len(stored(f, s, good.Build.ID)) == 1, "a conflict keeps no other job back")
}

func testUnacceptableJob(f *fixture, s store.Store) {
	all := f.create(2)
	bad, good := f.withJob(all[0], map[string]string{"k": strings.Repeat("x", 10_000)}), f.withJob(all[1], nil)
	_, err := s.Commit(f.ctx, epoch, []lifecycle.Change{good, bad})
	var blame *lifecycle.ChangeError
	f.rule(errors.As(err, &blame) && blame.WorkspaceID == all[0].Workspace.ID, "a job that cannot be accepted is a ChangeError of its workspace: got %v", err)
	f.rule(len(stored(f, s, good.Build.ID)) == 0 && f.load(all[1].Workspace.ID).Build.Number == 0, "a commit that fails applies nothing")
}

func testJobCanBeAcquired(f *fixture, s store.Store) {
	c := f.withJob(f.create(1)[0], nil)
	f.commit(c)
	process := uuid.New()
	_, err := s.Heartbeat(f.ctx, queue.Heartbeat{Process: process, Now: epoch})
	f.must(err)
	listing, err := s.Ready(f.ctx, epoch, queue.ReadyQuery{CountTo: 10})
	f.must(err)
	if len(listing.Lanes) != 1 {
		f.Fatalf("broken rule: the job of a build is ready after its commit: got %d lanes", len(listing.Lanes))
	}
	claimed, err := s.Claim(context.WithoutCancel(f.ctx), queue.Claim{
		Token: uuid.New(), Process: process, Now: epoch, Probes: []queue.Probe{{Lane: listing.Lanes[0].Lane}}, Workers: []uuid.UUID{uuid.New()},
	})
	f.must(err)
	f.rule(len(claimed.Jobs) == 1 && claimed.Jobs[0].ID == c.Build.ID, "the job of a build can be claimed: got %+v", claimed.Jobs)
}

// A text that a column of a database does not take as it is, and what every store makes of it.
const (
	spoilt   = "a\x00b\xff\u2713\x1b[2J\u202e\u3164\r\nc\td"
	unspoilt = "a\uFFFDb\uFFFD\u2713\uFFFD[2J\uFFFD\uFFFD c\td"
)

// testTexts writes texts that a column of a database does not take as they are.
func testTexts(f *fixture) {
	t, o, w := f.template, f.owner, f.workspace()
	for _, bad := range []string{spoilt, "a\nb", "\x1b[2J", "a\u202eb", "a\u200bb", strings.Repeat("x", 129)} {
		t.Name, o.Name, w.Name = bad, bad, bad
		for what, err := range map[string]error{
			"Template.Name": f.s.PutTemplate(f.ctx, epoch, t), "Owner.Name": f.s.PutOwner(f.ctx, epoch, o),
			"Workspace.Name": f.s.CreateWorkspaces(f.ctx, epoch, w),
		} {
			f.rule(field(err) == what, "a name that a log or a page would act on is refused as %s: %q, %v", what, bad, err)
		}
	}
	w.Name = strings.Repeat("x", 128)
	f.must(f.s.CreateWorkspaces(f.ctx, epoch, w))
	c := f.build(f.load(w.ID), lifecycle.TransitionStart)
	c.Build.Reason, c.Workspace.Backoff = spoilt, lifecycle.Backoff{Cause: spoilt, Message: spoilt}
	c.Build.Initiator, c.Build.Error, c.Build.Result = spoilt, spoilt, spoilt
	hold := lifecycle.Hold{Until: epoch.AddDate(1, 0, 0), Note: spoilt, By: spoilt}
	c.Workspace.Hold = hold
	f.commit(c)
	t = f.template
	t.Hold = hold
	f.put(epoch, &t)
	if engines, ok := f.s.(lifecycle.Holder); ok {
		f.must(engines.PutEngine(f.ctx, epoch, lifecycle.Engine{Hold: hold}))
		e, err := engines.Engine(f.ctx)
		f.must(err)
		f.rule(e.Hold.Note == unspoilt && e.Hold.By == unspoilt, "and so do those of the engine's hold: %q", e.Hold)
	}
	got := f.load(w.ID)
	for what, text := range map[string]string{
		"note of a hold": got.Workspace.Hold.Note, "who holds": got.Workspace.Hold.By,
		"note of a template's hold": got.Template.Hold.Note, "who holds a template": got.Template.Hold.By,
		"reason": string(got.Build.Reason),
		"cause":  string(got.Workspace.Backoff.Cause), "message": got.Workspace.Backoff.Message,
		"initiator": got.Build.Initiator, "error": got.Build.Error, "result": got.Build.Result,
	} {
		f.rule(text == unspoilt, "what is no UTF-8 in a text, a control character or a hidden one, comes back as U+FFFD, a line break as a blank: %s is %q, want %q", what, text, unspoilt)
	}
}

// testRefusedWorkspaces sees that all stores refuse a workspace with the same errors.
func testRefusedWorkspaces(f *fixture) {
	good, exists, orphan, bare := f.workspace(), f.create(1)[0].Workspace, f.workspace(), f.workspace()
	orphan.OwnerID, bare.TemplateID = uuid.New(), uuid.New()
	for _, c := range []struct {
		bad  lifecycle.Workspace
		want string
	}{
		{exists, "Workspace.ID"}, {good, "Workspace.ID"}, {orphan, "Workspace.OwnerID"}, {bare, "Workspace.TemplateID"},
	} {
		err := f.s.CreateWorkspaces(f.ctx, epoch, good, c.bad)
		f.rule(field(err) == c.want && strings.Contains(err.Error(), c.bad.ID.String()),
			"a workspace that cannot be created is refused by name, for its %s: got %v", c.want, err)
	}
}
