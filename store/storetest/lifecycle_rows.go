package storetest

import (
	"context"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

func testEmpty(f *fixture) {
	f.rule(len(f.due(epoch.AddDate(100, 0, 0), 10, lifecycle.Shard{})) == 0, "an empty store has nothing due")
	found, err := f.s.Load(f.ctx, uuid.New())
	f.must(err)
	f.rule(len(found) == 0, "Load leaves out unknown ids")
	found, err = f.s.Load(f.ctx)
	f.must(err)
	f.rule(len(found) == 0, "Load of nothing is nothing")
	outcomes, err := f.s.Commit(f.ctx, epoch, nil)
	f.must(err)
	f.rule(len(outcomes) == 0, "Commit of nothing is nothing")
	w := f.workspace()
	got := f.commit(lifecycle.Change{Revision: 1, Workspace: w})
	f.rule(got[0] == lifecycle.Conflict, "a change of an unknown workspace is a conflict")
	f.must(f.s.CreateWorkspaces(f.ctx, epoch))
}

// full is a workspace and a build in which every field has a value of its own.
func (f *fixture) full(s lifecycle.Snapshot) lifecycle.Change {
	at := func(n int) time.Time { return epoch.Add(time.Duration(n)*time.Hour + 123456*time.Microsecond) }
	cron, err := schedule.Weekly("CRON_TZ=Europe/Berlin 30 9 * * 1-5")
	f.must(err)
	stops, err := schedule.Weekly("CRON_TZ=Europe/Berlin 0 18 * * 1-5")
	f.must(err)
	c := lifecycle.Change{Revision: s.Workspace.Revision, Workspace: s.Workspace, NewBuild: true}
	w := &c.Workspace
	w.WakeAt, w.Autostart, w.AutostartAfter, w.TTL = at(1), cron, at(2), 8*time.Hour
	w.LastUsedAt, w.DormantAt, w.DeletingAt, w.RemindedFor = at(3), at(4), at(5), at(7)
	w.Autostop, w.StartFailures, w.Seen = stops, 4, lifecycle.Seen{Template: 5, Owner: 6}
	w.Hold = lifecycle.Hold{Until: at(6), Rules: lifecycle.HoldStarts | lifecycle.HoldDeletion, Note: "vacation '26' \u2713", By: "ann"}
	w.Floors = lifecycle.Floors{Stop: at(14), Dormancy: at(15), Delete: at(16)}
	w.AutomaticUpdates, w.Managed, w.Failures, w.AttentionAt = true, true, 3, at(8)
	w.Backoff = lifecycle.Backoff{Until: at(9), Attempts: 2, Cause: lifecycle.SkipRefused, Message: "quota: 3 of 3 'used' \u2713"}
	c.Build = lifecycle.Build{
		ID: uuid.New(), Number: 1, TemplateVersionID: uuid.New(), Transition: lifecycle.TransitionStart,
		Reason: lifecycle.ReasonAutostart, Status: lifecycle.JobSucceeded, CreatedAt: at(10), CompletedAt: at(11),
		Initiator: "ann 'a' \u2713", Error: "no room", Result: "10.0.0.1:22",
		DueAt: at(17), TTL: 3 * time.Hour, RunSince: at(18), Deadline: at(12), MaxDeadline: at(13),
	}
	return c
}

func testRoundTrip(f *fixture) {
	before := f.create(1)[0]
	c := f.full(before)
	f.commit(c)
	got := f.load(before.Workspace.ID)
	want := c.Workspace
	want.Revision = before.Workspace.Revision + 1
	sameCron(f, "Autostart", got.Workspace.Autostart, want.Autostart)
	sameCron(f, "Autostop", got.Workspace.Autostop, want.Autostop)
	want.Autostart, want.Autostop = got.Workspace.Autostart, got.Workspace.Autostop
	same(f, "workspace", got.Workspace, want)
	same(f, "build", got.Build, c.Build)
	due := f.due(c.Workspace.WakeAt, 5, lifecycle.Shard{})
	if len(due) != 1 {
		f.Fatalf("broken rule: a workspace is due from its WakeAt on: got %d", len(due))
	}
	sameCron(f, "Autostart in Due", due[0].Workspace.Autostart, want.Autostart)
	due[0].Workspace.Autostart, due[0].Workspace.Autostop = want.Autostart, want.Autostop
	same(f, "workspace in Due", due[0].Workspace, want)

	f.roundTripPolicy()
	running := c.Build
	running.Status, running.CompletedAt, running.RunSince, running.TTL = lifecycle.JobRunning, time.Time{}, time.Time{}, 0
	running.Deadline, running.MaxDeadline, running.Error, running.Result = time.Time{}, time.Time{}, "", ""
	revision := f.load(before.Workspace.ID).Workspace.Revision
	f.commit(lifecycle.Change{Revision: revision, Workspace: before.Workspace, Build: running})
	after := f.load(before.Workspace.ID)
	want = before.Workspace
	want.Revision = revision + 1
	same(f, "workspace set back to zero", after.Workspace, want)
	same(f, "build set back to zero", after.Build, running)
}

func (f *fixture) roundTripPolicy() {
	quiet, err := schedule.Daily("CRON_TZ=Asia/Kolkata 15 3 * * *")
	f.must(err)
	dates, err := schedule.ParseDates("Europe/Berlin 2026-12-24..2026-12-26,2027-01-01")
	f.must(err)
	tm, o := f.template, f.owner
	tm.Name, tm.ActiveVersionID = "renamed", uuid.New()
	tm.Hold = lifecycle.Hold{Until: epoch.Add(time.Hour), Rules: lifecycle.HoldStops, Note: "move", By: "ops"}
	tm.Terms = lifecycle.PolicyTerms{At: epoch, StopGrace: 3 * time.Hour, DeleteGrace: 48 * time.Hour, ResetDormant: true}
	tm.Policy = lifecycle.Policy{
		DefaultTTL: 1 * time.Hour, ActivityBump: 2 * time.Hour, FailureTTL: 3 * time.Hour, TimeTilDormant: 4 * time.Hour,
		TimeTilAutodelete: 5 * time.Hour, ReminderLead: 6 * time.Minute, AutostartDays: 0x15,
		Requirement:        schedule.Requirement{Days: 0x41, Weeks: 3},
		AllowUserAutostart: true, AllowUserTTL: true, RequireActiveVersion: true, MaxLateness: 7 * time.Minute,
		ExtendAtAutostart: true, Jitter: 8 * time.Minute, Holidays: dates,
		Retry:     lifecycle.Retry{Max: 9, Initial: 10 * time.Minute, MaxInterval: 11 * time.Hour},
		MinExtend: 12 * time.Minute, MaxRuntime: 13 * time.Hour, DeleteStopped: 14 * time.Hour, DeleteAtDeadline: true,
		DormantWhenSuspended: true, HolidaysHold: lifecycle.HoldStarts | lifecycle.HoldStops,
		StartRetry: lifecycle.StartRetry{Max: 15, Initial: 16 * time.Minute, MaxInterval: 17 * time.Hour},
	}
	for i := range reflect.TypeFor[lifecycle.Policy]().NumField() {
		field := reflect.TypeFor[lifecycle.Policy]().Field(i)
		if field.IsExported() && reflect.ValueOf(tm.Policy).Field(i).IsZero() {
			f.Errorf("this test stores no Policy.%s", field.Name)
		}
	}
	o.Name, o.Status, o.QuietHours = "bea", lifecycle.OwnerDormant, quiet
	was := f.template
	f.put(epoch, &tm)
	f.must(f.s.PutOwner(f.ctx, epoch, o))
	got := f.load(f.create(1)[0].Workspace.ID)
	sameCron(f, "QuietHours", got.Owner.QuietHours, quiet)
	f.rule(got.Template.Policy.Holidays.String() == dates.String(), "Holidays come back as they were: got %v", got.Template.Policy.Holidays)
	got.Owner.QuietHours, got.Template.Policy.Holidays = quiet, dates
	o.Rules = 1
	same(f, "owner", got.Owner, o)
	p := got.Template.Previous
	f.rule(p != nil && p.Rules == was.Rules && p.Policy == was.Policy, "Template.Previous is the policy before: got %+v", p)
	got.Template.Previous, tm.Rules, tm.VersionSince = nil, was.Rules+1, epoch
	same(f, "template", got.Template, tm)
	f.template.Revision = tm.Revision
}

// same compares the fields of what came back with those of what was written.
func same(f *fixture, what string, got, want any) {
	f.Helper()
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range g.NumField() {
		if !g.Type().Field(i).IsExported() {
			continue
		}
		name := g.Type().Field(i).Name
		if name == "Revision" || name == "WakeAt" {
			f.rule(reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()), "%s: %s = %v, want %v", what, name, g.Field(i), w.Field(i))
			continue
		}
		f.rule(reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()),
			"a %s comes back as it was written: %s = %v, want %v", what, name, g.Field(i), w.Field(i))
	}
}

func sameCron(f *fixture, what string, got, want *schedule.Cron) {
	f.Helper()
	f.rule(got.Text() == want.Text() && (got.Err() == nil) == (want.Err() == nil),
		"%s comes back as it was written: got %q (%v), want %q (%v)", what, got.Text(), got.Err(), want.Text(), want.Err())
}

func testPrecision(f *fixture) {
	s := f.create(1)[0]
	berlin := time.FixedZone("CET", 3600)
	c := wakeAt(s, epoch.In(berlin).Add(999*time.Nanosecond))
	c.Workspace.LastUsedAt = epoch.Add(1500 * time.Nanosecond)
	c.Workspace.Hold.Until = time.Unix(0, 0).UTC()
	f.commit(c)
	w := f.load(s.Workspace.ID).Workspace
	f.rule(w.WakeAt.Equal(epoch), "instants are kept in whole microseconds, cut: got %v", w.WakeAt)
	f.rule(w.WakeAt.Location() == time.UTC, "instants come back in UTC: got %v", w.WakeAt.Location())
	f.rule(w.LastUsedAt.Equal(epoch.Add(time.Microsecond)), "instants are kept in whole microseconds: got %v", w.LastUsedAt)
	f.rule(w.Hold.Until.Equal(time.Unix(0, 0)) && !w.Hold.Until.IsZero(), "the beginning of 1970 is an instant like others: got %v", w.Hold.Until)
	f.rule(w.DormantAt.IsZero(), "the zero instant stays zero: got %v", w.DormantAt)
}

func testCreate(f *fixture) {
	s := f.create(1)[0]
	f.rule(s.Workspace.Revision == 1, "a new workspace has revision 1: got %d", s.Workspace.Revision)
	f.rule(s.Workspace.WakeAt.Equal(epoch), "a new workspace is due at once: wakes %v", s.Workspace.WakeAt)
	f.rule(s.Build == lifecycle.Build{}, "a new workspace has no build: got %+v", s.Build)
	f.rule(s.Owner.ID == f.owner.ID && s.Template.ID == f.template.ID, "a snapshot has its owner and its template")

	again, other := s.Workspace, f.workspace()
	f.rule(f.s.CreateWorkspaces(f.ctx, epoch, other, again) != nil, "an id that exists cannot be created again")
	nobody := f.workspace()
	nobody.OwnerID = uuid.New()
	f.rule(f.s.CreateWorkspaces(f.ctx, epoch, other, nobody) != nil, "a workspace needs a known owner")
	nothing := f.workspace()
	nothing.TemplateID = uuid.New()
	f.rule(f.s.CreateWorkspaces(f.ctx, epoch, other, nothing) != nil, "a workspace needs a known template")
	found, err := f.s.Load(f.ctx, other.ID, nobody.ID, nothing.ID)
	f.must(err)
	f.rule(len(found) == 0, "if one workspace cannot be created, none is: got %d", len(found))
}

func testAliasing(f *fixture) {
	s := f.create(1)[0]
	c := f.build(s, lifecycle.TransitionStart)
	c.Job = &lifecycle.Job{
		ID: c.Build.ID, WorkspaceID: s.Workspace.ID, BuildNumber: 1, Transition: lifecycle.TransitionStart,
		Tags: map[string]string{"os": "linux"}, Payload: []byte("as it was"),
	}
	c.Events = []lifecycle.Event{{Topic: lifecycle.TopicPost, Kind: lifecycle.EventBuildQueued, WorkspaceID: s.Workspace.ID, Job: c.Job}}
	outbox, ok := f.s.(lifecycle.Outbox)
	if !ok {
		c.Events = nil
	}
	f.commit(c)
	c.Job.Tags["os"], c.Job.Payload[0] = "changed", 'X'
	c.Workspace.Name = "changed"
	if !ok {
		return
	}
	events, err := outbox.ClaimEvents(f.ctx, epoch, []lifecycle.Topic{lifecycle.TopicPost}, time.Minute, 10)
	f.must(err)
	if len(events) != 1 || events[0].Job == nil {
		f.Fatalf("broken rule: an event is claimable after its commit, with its job: got %+v", events)
	}
	job := events[0].Job
	f.rule(job.Tags["os"] == "linux" && string(job.Payload) == "as it was", "what is written is a copy: got %v %q", job.Tags, job.Payload)
	job.Tags["os"] = "changed"
	events, err = outbox.ClaimEvents(f.ctx, epoch.Add(time.Hour), []lifecycle.Topic{lifecycle.TopicPost}, time.Minute, 10)
	f.must(err)
	f.rule(len(events) == 1 && events[0].Job.Tags["os"] == "linux", "what is read is a copy")
}

func testUnusableSchedule(f *fixture) {
	var i schedule.Interner
	all := f.create(2)
	c := wakeAt(all[0], epoch)
	c.Workspace.Autostart = i.Weekly("CRON_TZ=Mars/Olympus 0 9 * * *")
	f.commit(c)
	got := f.load(all[0].Workspace.ID)
	sameCron(f, "an unusable schedule", got.Workspace.Autostart, c.Workspace.Autostart)
	f.rule(len(f.due(epoch, 10, lifecycle.Shard{})) == 2, "an unusable schedule hides no workspace from Due")
	f.rule(f.load(all[1].Workspace.ID).Workspace.Autostart == nil, "no schedule comes back as nil")
}

func testCanceled(f *fixture) {
	s := f.create(1)[0]
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, err := f.s.Commit(ctx, epoch, []lifecycle.Change{wakeAt(s, epoch.Add(time.Hour))})
	f.rule(err != nil, "Commit under a context that has ended is an error")
	f.rule(f.load(s.Workspace.ID).Workspace.Revision == 1, "Commit under a context that has ended writes nothing")
	_, err = f.s.Due(ctx, lifecycle.DueQuery{Now: epoch, Limit: 1})
	f.rule(err != nil, "Due under a context that has ended is an error")
}

// skipUnless skips the case of an ability that the store does not have.
func skipUnless[I any](f *fixture) I {
	f.Helper()
	i, ok := f.s.(I)
	if !ok {
		f.Skipf("%T is no %v", f.s, reflect.TypeFor[I]())
	}
	return i
}
