package forecast_test

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

// monday is when most tests begin.
var monday = time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func id(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-%012x", n)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func weekly(spec string) *schedule.Cron { return must(schedule.Weekly(spec)) }

// edit is a step in the making of a snapshot.
type edit func(*lifecycle.Snapshot)

func policy(change func(*lifecycle.Policy)) edit {
	return func(s *lifecycle.Snapshot) { change(&s.Template.Policy) }
}

func autostart(spec string) edit {
	return func(s *lifecycle.Snapshot) { s.Workspace.Autostart = weekly(spec) }
}

func ttl(d time.Duration) edit {
	return func(s *lifecycle.Snapshot) { s.Workspace.TTL, s.Template.Policy.DefaultTTL = d, d }
}

// stopped is a workspace that was stopped in the night before monday, under a policy that allows everything and asks for
// nothing.
func stopped(edits ...edit) lifecycle.Snapshot {
	s := lifecycle.Snapshot{
		Workspace: lifecycle.Workspace{
			ID: id(1), OwnerID: id(2), TemplateID: id(3), Name: "api", CreatedAt: monday.Add(-60 * day),
			LastUsedAt: monday.Add(-12 * time.Hour), Revision: 3,
		},
		Build: lifecycle.Build{
			ID: id(4), Number: 4, TemplateVersionID: id(5), Transition: lifecycle.TransitionStop,
			Reason: lifecycle.ReasonAutostop, Status: lifecycle.JobSucceeded,
			CreatedAt: monday.Add(-9 * time.Hour), CompletedAt: monday.Add(-9*time.Hour + time.Minute),
		},
		Owner: lifecycle.Owner{ID: id(2), Name: "ann"},
		Template: lifecycle.Template{
			ID: id(3), Name: "go", ActiveVersionID: id(5),
			Policy: lifecycle.Policy{AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays},
		},
	}
	for _, e := range edits {
		e(&s)
	}
	return s
}

// random makes fleets from a seed. Many instants and spans are such as rules compare.
type random struct{ *rand.Rand }

func seeded(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 7))} }

func (r random) yes(percent int) bool { return r.IntN(100) < percent }

func pick[T any](r random, all ...T) T { return all[r.IntN(len(all))] }

func (r random) span() time.Duration {
	return pick(r, 0, time.Minute, 10*time.Minute, time.Hour, 4*time.Hour, 8*time.Hour, 25*time.Hour, 3*day)
}

// before is an instant up to a fortnight before monday.
func (r random) before() time.Time {
	return monday.Add(-time.Duration(r.Int64N(int64(14 * day)))).Truncate(time.Microsecond)
}

func (r random) policy() lifecycle.Policy {
	p := lifecycle.Policy{
		DefaultTTL: r.span(), ActivityBump: r.span(), FailureTTL: r.span(), TimeTilDormant: pick(r, 0, 0, 3*day, 7*day, 15*day),
		TimeTilAutodelete: pick(r, 0, day, 7*day), ReminderLead: pick(r, 0, 10*time.Minute, time.Hour),
		AutostartDays:      pick(r, schedule.AllDays, schedule.AllDays, schedule.Days(r.IntN(128))),
		AllowUserAutostart: r.yes(90), AllowUserTTL: r.yes(70), RequireActiveVersion: r.yes(20),
		MaxLateness: pick(r, 0, 0, time.Minute, time.Hour), ExtendAtAutostart: r.yes(40), Jitter: pick(r, 0, 0, time.Hour, 7*time.Second),
	}
	if r.yes(40) {
		p.Requirement = schedule.Requirement{Days: schedule.Days(1 + r.IntN(127)), Weeks: r.IntN(4)}
	}
	if r.yes(25) {
		p.Holidays = must(schedule.ParseDates(pick(r, "Europe/Berlin 2026-03-06..2026-03-09,2026-03-20", "2026-03-10")))
	}
	p.MaxRuntime, p.DeleteStopped = pick(r, 0, 0, 10*time.Hour, 2*day), pick(r, 0, 0, 0, 5*day, 12*day)
	p.DeleteAtDeadline, p.DormantWhenSuspended = r.yes(5), r.yes(20)
	if r.yes(30) {
		p.StartRetry = lifecycle.StartRetry{Max: 1 + r.IntN(3)}
	}
	p.HolidaysHold = pick(r, 0, lifecycle.HoldAll, lifecycle.HoldStops)
	if r.yes(50) {
		p.Retry = lifecycle.Retry{Max: 1 + r.IntN(4), Initial: time.Hour, MaxInterval: 2 * day}
	}
	return p
}

var specs = []string{
	"0 9 * * *", "CRON_TZ=Europe/Berlin 30 8 * * 1-5", "CRON_TZ=America/New_York 15 7,13 * * 1-4", "CRON_TZ=Europe/Berlin 30 2 * * *",
	"CRON_TZ=Asia/Kolkata 0 10 * * 6,0", "17 */6 * * *", "59 23 * * 5",
}

var interner schedule.Interner

func (r random) snapshot(n int) lifecycle.Snapshot {
	s := stopped()
	w, b := &s.Workspace, &s.Build
	w.ID, w.OwnerID, w.TemplateID, w.Name = id(16*n), id(16*n+1), id(16*n+2), fmt.Sprintf("ws-%d", n)
	s.Owner.ID, s.Template.ID, b.ID, b.Number = w.OwnerID, w.TemplateID, id(16*n+3), 1
	w.CreatedAt, w.TTL = r.before(), r.span()
	w.LastUsedAt = w.CreatedAt
	if r.yes(80) {
		w.Autostart = interner.Weekly(pick(r, specs...))
	}
	if r.yes(3) {
		w.Autostart = interner.Weekly("never")
	}
	if r.yes(20) {
		w.Autostop = interner.Weekly(pick(r, "0 17 * * *", "CRON_TZ=Europe/Berlin 0 18 * * 1-5"))
	}
	s.Owner.Status = pick(r, lifecycle.OwnerActive, lifecycle.OwnerActive, lifecycle.OwnerActive, lifecycle.OwnerActive, lifecycle.OwnerDormant, lifecycle.OwnerSuspended)
	s.Owner.QuietHours = pick(r, nil, interner.Daily("CRON_TZ=Europe/Berlin 30 2 * * *"), interner.Daily("50 23 * * *"))
	s.Template.Policy = r.policy()
	if r.yes(10) {
		s.Template.Hold.Until = monday.Add(pick(r, time.Hour, 3*day))
	}
	if r.yes(10) {
		w.Hold = lifecycle.Hold{Until: monday.Add(pick(r, 90*time.Minute, 5*day)), Rules: pick(r, 0, lifecycle.HoldStops, lifecycle.HoldStarts|lifecycle.HoldDormancy)}
	}
	r.build(&s)
	return s
}

// build gives the workspace its latest build.
func (r random) build(s *lifecycle.Snapshot) {
	b := &s.Build
	b.Transition = pick(r, lifecycle.TransitionStart, lifecycle.TransitionStart, lifecycle.TransitionStop)
	b.Status = pick(r, lifecycle.JobSucceeded, lifecycle.JobSucceeded, lifecycle.JobSucceeded, lifecycle.JobFailed, lifecycle.JobCanceled, lifecycle.JobPending)
	b.CreatedAt = s.Workspace.CreatedAt.Add(time.Second)
	b.CompletedAt = time.Time{}
	if b.Status == lifecycle.JobPending {
		b.CreatedAt = monday.Add(-time.Second)
	} else {
		b.CompletedAt = b.CreatedAt.Add(time.Minute)
	}
	if b.Transition == lifecycle.TransitionStart && b.Status == lifecycle.JobSucceeded && r.yes(80) {
		b.Deadline = monday.Add(pick(r, 0, time.Minute, time.Hour, -time.Hour, 30*time.Hour))
	}
	if b.Status == lifecycle.JobSucceeded && r.yes(15) {
		s.Workspace.DormantAt = monday.Add(-day)
		s.Workspace.DeletingAt = monday.Add(pick(r, time.Hour, 4*day))
	}
}

// builds draws how jobs go, by workspace and build alone.
func (r random) builds(fail int) func(lifecycle.Snapshot) (time.Duration, lifecycle.JobStatus) {
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

// sessions draws when somebody works in the weeks from monday on.
func (r random) sessions(weeks int) [][2]time.Time {
	var all [][2]time.Time
	for t := monday.Add(time.Duration(r.IntN(3000)) * time.Minute); t.Before(monday.Add(time.Duration(weeks) * 7 * day)); {
		end := t.Add(time.Duration(1+r.IntN(300))*time.Minute + time.Duration(r.IntN(60))*time.Second)
		all = append(all, [2]time.Time{t, end})
		t = end.Add(time.Duration(1+r.IntN(6000)) * time.Minute)
	}
	return all
}

// first returns the first n steps.
func first(n int, steps iter.Seq[forecast.Step]) []forecast.Step {
	var all []forecast.Step
	for s := range steps {
		if len(all) == n {
			break
		}
		all = append(all, s)
	}
	return all
}
