package executor_test

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// monday is when most tests happen.
var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// us is the precision of stored instants.
const us = time.Microsecond

const day = 24 * time.Hour

var (
	oldVersion    = uuid.MustParse("00000000-0000-7000-8000-0000000000aa")
	activeVersion = uuid.MustParse("00000000-0000-7000-8000-0000000000bb")
)

// id returns the n-th workspace id of a test.
func id(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-%012x", n))
}

// edit is a step in the making of a snapshot.
type edit func(*lifecycle.Snapshot)

// with is edits in one.
func with(edits ...edit) edit {
	return func(s *lifecycle.Snapshot) {
		for _, e := range edits {
			e(s)
		}
	}
}

func set(change func(s *lifecycle.Snapshot)) edit { return change }

// newWorkspace is a workspace that was created on monday and never built, under a policy that does nothing by itself.
func newWorkspace(edits ...edit) lifecycle.Snapshot {
	s := lifecycle.Snapshot{
		Workspace: lifecycle.Workspace{
			ID: id(1), OrganizationID: id(0x0f), OwnerID: id(0xee), TemplateID: id(0xff), Name: "dev",
			CreatedAt: monday, LastUsedAt: monday, Revision: 7,
		},
		Owner: lifecycle.Owner{ID: id(0xee), Name: "ann"},
		Template: lifecycle.Template{
			ID: id(0xff), OrganizationID: id(0x0f), Name: "go", ActiveVersionID: activeVersion,
			Policy: lifecycle.Policy{AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays},
		},
	}
	with(edits...)(&s)
	return s
}

// built sets the latest build, made on monday and ended a minute later if its status is an end.
func built(t lifecycle.Transition, status lifecycle.JobStatus, edits ...edit) edit {
	return func(s *lifecycle.Snapshot) {
		s.Build = lifecycle.Build{
			ID: id(0xb1), Number: 3, TemplateVersionID: oldVersion, Transition: t,
			Reason: lifecycle.ReasonManual, Status: status, CreatedAt: monday,
		}
		if !status.Active() {
			s.Build.CompletedAt = monday.Add(time.Minute)
		}
		with(edits...)(s)
	}
}

// running is a workspace started on monday, stopped one that was stopped on monday.
func running(edits ...edit) lifecycle.Snapshot {
	return newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobSucceeded), with(edits...))
}

func stopped(edits ...edit) lifecycle.Snapshot {
	return newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobSucceeded), with(edits...))
}

func policy(change func(p *lifecycle.Policy)) edit {
	return func(s *lifecycle.Snapshot) { change(&s.Template.Policy) }
}

func workspace(change func(w *lifecycle.Workspace)) edit {
	return func(s *lifecycle.Snapshot) { change(&s.Workspace) }
}

func build(change func(b *lifecycle.Build)) edit {
	return func(s *lifecycle.Snapshot) { change(&s.Build) }
}

func deadline(at time.Time) edit { return build(func(b *lifecycle.Build) { b.Deadline = at }) }

// asleep makes the workspace dormant since monday, to be deleted at an instant (zero: never).
func asleep(deleting time.Time) edit {
	return workspace(func(w *lifecycle.Workspace) { w.DormantAt, w.DeletingAt = monday, deleting })
}

func autostart(spec string) edit {
	return workspace(func(w *lifecycle.Workspace) { w.Autostart = weekly(spec) })
}

func unusable(spec string) edit {
	var i schedule.Interner
	return workspace(func(w *lifecycle.Workspace) { w.Autostart = i.Weekly(spec) })
}

func weekly(spec string) *schedule.Cron {
	c, err := schedule.Weekly(spec)
	must(err)
	return c
}

// must is for what a test writes itself: it cannot fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func tilDormant(d time.Duration) edit {
	return policy(func(p *lifecycle.Policy) { p.TimeTilDormant = d })
}
