// Package kit makes workspaces and fleets for the tests of forecasts. It is imported by tests only.
package kit

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

// Monday is when most tests begin.
var Monday = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

// Day is a day without a clock change.
const Day = 24 * time.Hour

// ID is the id of a number.
func ID(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-%012x", n)) }

// Must panics on an error.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Weekly parses a schedule.
func Weekly(spec string) *schedule.Cron { return Must(schedule.Weekly(spec)) }

// Edit is a step in the making of a snapshot.
type Edit func(*lifecycle.Snapshot)

// Policy edits the policy.
func Policy(change func(*lifecycle.Policy)) Edit {
	return func(s *lifecycle.Snapshot) { change(&s.Template.Policy) }
}

// Autostart sets the schedule.
func Autostart(spec string) Edit {
	return func(s *lifecycle.Snapshot) { s.Workspace.Autostart = Weekly(spec) }
}

// TTL sets the run time, of the workspace and of its template.
func TTL(d time.Duration) Edit {
	return func(s *lifecycle.Snapshot) { s.Workspace.TTL, s.Template.Policy.DefaultTTL = d, d }
}

// Stopped is a workspace that was stopped in the night before Monday, under a policy that allows everything and asks for
// nothing.
func Stopped(edits ...Edit) lifecycle.Snapshot {
	s := lifecycle.Snapshot{
		Workspace: lifecycle.Workspace{
			ID: ID(1), OwnerID: ID(2), TemplateID: ID(3), Name: "api", CreatedAt: Monday.Add(-60 * Day),
			LastUsedAt: Monday.Add(-12 * time.Hour), Revision: 3,
		},
		Build: lifecycle.Build{
			ID: ID(4), Number: 4, TemplateVersionID: ID(5), Transition: lifecycle.TransitionStop,
			Reason: lifecycle.ReasonAutostop, Status: lifecycle.JobSucceeded,
			CreatedAt: Monday.Add(-9 * time.Hour), CompletedAt: Monday.Add(-9*time.Hour + time.Minute),
		},
		Owner: lifecycle.Owner{ID: ID(2), Name: "ann"},
		Template: lifecycle.Template{
			ID: ID(3), Name: "go", ActiveVersionID: ID(5),
			Policy: lifecycle.Policy{AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays},
		},
	}
	for _, e := range edits {
		e(&s)
	}
	return s
}

// Random makes fleets from a seed. Many instants and spans are such as rules compare.
type Random struct{ *rand.Rand }

// Seeded begins at a seed.
func Seeded(seed uint64) Random { return Random{rand.New(rand.NewPCG(seed, 7))} }

// Yes is true in so many of a hundred cases.
func (r Random) Yes(percent int) bool { return r.IntN(100) < percent }

// Pick chooses one of several.
func Pick[T any](r Random, all ...T) T { return all[r.IntN(len(all))] }

// Span is a duration, or none.
func (r Random) Span() time.Duration {
	return Pick(r, 0, time.Minute, 10*time.Minute, time.Hour, 4*time.Hour, 8*time.Hour, 25*time.Hour, 3*Day)
}

// Before is an instant up to a fortnight before Monday.
func (r Random) Before() time.Time {
	return Monday.Add(-time.Duration(r.Int64N(int64(14 * Day)))).Truncate(time.Microsecond)
}

// Policy is one with random rules of all kinds.
func (r Random) Policy() lifecycle.Policy {
	p := lifecycle.Policy{
		DefaultTTL: r.Span(), ActivityBump: r.Span(), FailureTTL: r.Span(), TimeTilDormant: Pick(r, 0, 0, 3*Day, 7*Day, 15*Day),
		TimeTilAutodelete: Pick(r, 0, Day, 7*Day), ReminderLead: Pick(r, 0, 10*time.Minute, time.Hour),
		AutostartDays:      Pick(r, schedule.AllDays, schedule.AllDays, schedule.Days(r.IntN(128))),
		AllowUserAutostart: r.Yes(90), AllowUserTTL: r.Yes(70), RequireActiveVersion: r.Yes(20),
		MaxLateness: Pick(r, 0, 0, time.Minute, time.Hour), ExtendAtAutostart: r.Yes(40), Jitter: Pick(r, 0, 0, time.Hour, 7*time.Second),
	}
	if r.Yes(40) {
		p.Requirement = schedule.Requirement{Days: schedule.Days(1 + r.IntN(127)), Weeks: r.IntN(4)}
	}
	if r.Yes(25) {
		p.Holidays = Must(schedule.ParseDates(Pick(r, "Europe/Berlin 2026-03-06..2026-03-09,2026-03-20", "2026-03-10")))
	}
	p.MaxRuntime, p.DeleteStopped = Pick(r, 0, 0, 10*time.Hour, 2*Day), Pick(r, 0, 0, 0, 5*Day, 12*Day)
	p.DeleteAtDeadline, p.DormantWhenSuspended = r.Yes(5), r.Yes(20)
	if r.Yes(30) {
		p.StartRetry = lifecycle.StartRetry{Max: 1 + r.IntN(3)}
	}
	p.HolidaysHold = Pick(r, 0, lifecycle.HoldAll, lifecycle.HoldStops)
	if r.Yes(50) {
		p.Retry = lifecycle.Retry{Max: 1 + r.IntN(4), Initial: time.Hour, MaxInterval: 2 * Day}
	}
	return p
}

// Specs are schedules.
var Specs = []string{
	"0 9 * * *", "CRON_TZ=Europe/Berlin 30 8 * * 1-5", "CRON_TZ=America/New_York 15 7,13 * * 1-4", "CRON_TZ=Europe/Berlin 30 2 * * *",
	"CRON_TZ=Asia/Kolkata 0 10 * * 6,0", "17 */6 * * *", "59 23 * * 5",
}

// Interner parses what was stored.
var Interner schedule.Interner

// Snapshot is the n-th workspace of a random fleet.
func (r Random) Snapshot(n int) lifecycle.Snapshot {
	s := Stopped()
	w, b := &s.Workspace, &s.Build
	w.ID, w.OwnerID, w.TemplateID, w.Name = ID(16*n), ID(16*n+1), ID(16*n+2), fmt.Sprintf("ws-%d", n)
	s.Owner.ID, s.Template.ID, b.ID, b.Number = w.OwnerID, w.TemplateID, ID(16*n+3), 1
	w.CreatedAt, w.TTL = r.Before(), r.Span()
	w.LastUsedAt = w.CreatedAt
	if r.Yes(80) {
		w.Autostart = Interner.Weekly(Pick(r, Specs...))
	}
	if r.Yes(3) {
		w.Autostart = Interner.Weekly("never")
	}
	if r.Yes(20) {
		w.Autostop = Interner.Weekly(Pick(r, "0 17 * * *", "CRON_TZ=Europe/Berlin 0 18 * * 1-5"))
	}
	s.Owner.Status = Pick(r, lifecycle.OwnerActive, lifecycle.OwnerActive, lifecycle.OwnerActive, lifecycle.OwnerActive, lifecycle.OwnerDormant, lifecycle.OwnerSuspended)
	s.Owner.QuietHours = Pick(r, nil, Interner.Daily("CRON_TZ=Europe/Berlin 30 2 * * *"), Interner.Daily("50 23 * * *"))
	s.Template.Policy = r.Policy()
	if r.Yes(10) {
		s.Template.Hold.Until = Monday.Add(Pick(r, time.Hour, 3*Day))
	}
	if r.Yes(10) {
		w.Hold = lifecycle.Hold{Until: Monday.Add(Pick(r, 90*time.Minute, 5*Day)), Rules: Pick(r, 0, lifecycle.HoldStops, lifecycle.HoldStarts|lifecycle.HoldDormancy)}
	}
	r.Build(&s)
	return s
}

// Build gives the workspace its latest build.
func (r Random) Build(s *lifecycle.Snapshot) {
	b := &s.Build
	b.Transition = Pick(r, lifecycle.TransitionStart, lifecycle.TransitionStart, lifecycle.TransitionStop)
	b.Status = Pick(r, lifecycle.JobSucceeded, lifecycle.JobSucceeded, lifecycle.JobSucceeded, lifecycle.JobFailed, lifecycle.JobCanceled, lifecycle.JobPending)
	b.CreatedAt = s.Workspace.CreatedAt.Add(time.Second)
	b.CompletedAt = time.Time{}
	if b.Status == lifecycle.JobPending {
		b.CreatedAt = Monday.Add(-time.Second)
	} else {
		b.CompletedAt = b.CreatedAt.Add(time.Minute)
	}
	if b.Transition == lifecycle.TransitionStart && b.Status == lifecycle.JobSucceeded && r.Yes(80) {
		b.Deadline = Monday.Add(Pick(r, 0, time.Minute, time.Hour, -time.Hour, 30*time.Hour))
	}
	if b.Status == lifecycle.JobSucceeded && r.Yes(15) {
		s.Workspace.DormantAt = Monday.Add(-Day)
		s.Workspace.DeletingAt = Monday.Add(Pick(r, time.Hour, 4*Day))
	}
}

// Builds draws how jobs go, by workspace and build alone.
func (r Random) Builds(fail int) func(lifecycle.Snapshot) (time.Duration, lifecycle.JobStatus) {
	salt := r.Uint64()
	return func(s lifecycle.Snapshot) (time.Duration, lifecycle.JobStatus) {
		w := s.Workspace.ID
		one := rand.New(rand.NewPCG(salt^uint64(w[15])^uint64(w[14])<<8, uint64(s.Build.Number)))
		took := time.Duration(1+one.IntN(600)) * time.Second
		switch n := one.IntN(100); {
		case n < fail:
			return took, lifecycle.JobFailed
		case n < fail+fail/3:
			return took, lifecycle.JobCanceled
		}
		return took, lifecycle.JobSucceeded
	}
}

// Sessions draws when somebody works in the weeks from Monday on.
func (r Random) Sessions(weeks int) [][2]time.Time {
	var all [][2]time.Time
	for t := Monday.Add(time.Duration(r.IntN(3000)) * time.Minute); t.Before(Monday.Add(time.Duration(weeks) * 7 * Day)); {
		end := t.Add(time.Duration(1+r.IntN(300))*time.Minute + time.Duration(r.IntN(60))*time.Second)
		all = append(all, [2]time.Time{t, end})
		t = end.Add(time.Duration(1+r.IntN(6000)) * time.Minute)
	}
	return all
}

// First returns the first n steps.
func First(n int, steps iter.Seq[forecast.Step]) []forecast.Step {
	var all []forecast.Step
	for s := range steps {
		if len(all) == n {
			break
		}
		all = append(all, s)
	}
	return all
}
