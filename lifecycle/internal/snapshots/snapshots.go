// Package snapshots makes workspaces for the tests of package lifecycle and of those below it.
package snapshots

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// Monday is when most tests happen.
var Monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// Tick is the precision of stored instants.
const Tick = time.Microsecond

// Day is what most rules count in.
const Day = 24 * time.Hour

var (
	OldVersion    = uuid.MustParse("00000000-0000-7000-8000-0000000000aa")
	ActiveVersion = uuid.MustParse("00000000-0000-7000-8000-0000000000bb")
)

// ID returns the n-th workspace id of a test.
func ID(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-%012x", n))
}

// Edit is a step in the making of a snapshot.
type Edit func(*lifecycle.Snapshot)

// With is edits in one.
func With(edits ...Edit) Edit {
	return func(s *lifecycle.Snapshot) {
		for _, e := range edits {
			e(s)
		}
	}
}

// Set is any change.
func Set(change func(s *lifecycle.Snapshot)) Edit { return change }

// New is a workspace that was created on Monday and never built, under a policy that does nothing by itself.
func New(edits ...Edit) lifecycle.Snapshot {
	s := lifecycle.Snapshot{
		Workspace: lifecycle.Workspace{
			ID: ID(1), OrganizationID: ID(0x0f), OwnerID: ID(0xee), TemplateID: ID(0xff), Name: "dev",
			CreatedAt: Monday, LastUsedAt: Monday, Revision: 7,
		},
		Owner: lifecycle.Owner{ID: ID(0xee), Name: "ann"},
		Template: lifecycle.Template{
			ID: ID(0xff), OrganizationID: ID(0x0f), Name: "go", ActiveVersionID: ActiveVersion,
			Policy: lifecycle.Policy{AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays},
		},
	}
	With(edits...)(&s)
	return s
}

// Built sets the latest build, made on Monday and ended a minute later if its status is an end.
func Built(t lifecycle.Transition, status lifecycle.JobStatus, edits ...Edit) Edit {
	return func(s *lifecycle.Snapshot) {
		s.Build = lifecycle.Build{
			ID: ID(0xb1), Number: 3, TemplateVersionID: OldVersion, Transition: t,
			Reason: lifecycle.ReasonManual, Status: status, CreatedAt: Monday,
		}
		if !status.Active() {
			s.Build.CompletedAt = Monday.Add(time.Minute)
		}
		if t == lifecycle.TransitionStart && status == lifecycle.JobSucceeded {
			s.Build.RunSince = s.Build.CompletedAt
		}
		With(edits...)(s)
	}
}

// Running is a workspace that was started on Monday.
func Running(edits ...Edit) lifecycle.Snapshot {
	return New(Built(lifecycle.TransitionStart, lifecycle.JobSucceeded), With(edits...))
}

// Stopped is a workspace that was stopped on Monday.
func Stopped(edits ...Edit) lifecycle.Snapshot {
	return New(Built(lifecycle.TransitionStop, lifecycle.JobSucceeded), With(edits...))
}

// Policy changes the policy of its template.
func Policy(change func(p *lifecycle.Policy)) Edit {
	return func(s *lifecycle.Snapshot) { change(&s.Template.Policy) }
}

// Workspace changes the workspace itself.
func Workspace(change func(w *lifecycle.Workspace)) Edit {
	return func(s *lifecycle.Snapshot) { change(&s.Workspace) }
}

// Build changes the latest build.
func Build(change func(b *lifecycle.Build)) Edit {
	return func(s *lifecycle.Snapshot) { change(&s.Build) }
}

// Deadline sets the deadline.
func Deadline(at time.Time) Edit { return Build(func(b *lifecycle.Build) { b.Deadline = at }) }

// Deadlines sets the deadline and its limit.
func Deadlines(at, limit time.Time) Edit {
	return Build(func(b *lifecycle.Build) { b.Deadline, b.MaxDeadline = at, limit })
}

// Owner gives the owner a status.
func Owner(status lifecycle.OwnerStatus) Edit {
	return func(s *lifecycle.Snapshot) { s.Owner.Status = status }
}

// Asleep makes the workspace dormant since Monday, to be deleted at an instant (zero: never).
func Asleep(deleting time.Time) Edit {
	return Workspace(func(w *lifecycle.Workspace) { w.DormantAt, w.DeletingAt = Monday, deleting })
}

// Autostart sets a schedule of starts.
func Autostart(spec string) Edit {
	return Workspace(func(w *lifecycle.Workspace) { w.Autostart = Weekly(spec) })
}

// Unusable sets a schedule that cannot be read.
func Unusable(spec string) Edit {
	var i schedule.Interner
	return Workspace(func(w *lifecycle.Workspace) { w.Autostart = i.Weekly(spec) })
}

// QuietHours demands a stop in quiet hours on some days.
func QuietHours(spec string, days schedule.Days, weeks int) Edit {
	c, err := schedule.Daily(spec)
	must(err)
	return func(s *lifecycle.Snapshot) {
		s.Owner.QuietHours = c
		s.Template.Policy.Requirement = schedule.Requirement{Days: days, Weeks: weeks}
	}
}

// Holidays sets days that are none of work.
func Holidays(text string) Edit {
	dates, err := schedule.ParseDates(text)
	must(err)
	return Policy(func(p *lifecycle.Policy) { p.Holidays = dates })
}

// HeldUntil holds all rules.
func HeldUntil(at time.Time) Edit {
	return Workspace(func(w *lifecycle.Workspace) { w.Hold.Until = at })
}

// Weekly parses a schedule.
func Weekly(spec string) *schedule.Cron {
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
