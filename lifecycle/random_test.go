package lifecycle_test

import (
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// random makes snapshots, policies and verbs from a seed. Instants lie around the night in which Berlin's clocks go
// forward, and often on the very instants that rules compare.
type random struct{ *rand.Rand }

func seeded(seed uint64) random { return random{rand.New(rand.NewPCG(seed, 42))} }

func (r random) yes(percent int) bool { return r.IntN(100) < percent }

func pick[T any](r random, all ...T) T { return all[r.IntN(len(all))] }

var shift = at("2026-03-29 01:00")

// instant is in the fortnight around the shift; sometimes it is not set.
func (r random) instant() time.Time {
	switch r.IntN(6) {
	case 0:
		return time.Time{}
	case 1:
		return shift.Add(pick(r, -us, 0, us, -time.Hour, time.Hour, -day, day))
	case 2:
		return shift.Truncate(time.Hour).Add(time.Duration(r.IntN(14*24)-7*24) * time.Hour)
	}
	return shift.Add(time.Duration(r.Int64N(int64(14*day))) - 7*day).Truncate(us)
}

func (r random) set() time.Time {
	for {
		if t := r.instant(); !t.IsZero() {
			return t
		}
	}
}

func (r random) span() time.Duration {
	return pick[time.Duration](r, 0, 0, time.Minute, 10*time.Minute, time.Hour, 8*time.Hour, 25*time.Hour, 3*day)
}

// threshold is often off, so that the rules behind have their turn.
func (r random) threshold() time.Duration {
	if r.yes(60) {
		return 0
	}
	return r.span()
}

var (
	specs = []string{
		"0 9 * * *", "30 2 * * *", "CRON_TZ=Europe/Berlin 30 2 * * *", "CRON_TZ=Europe/Berlin 0 2,3 * * *",
		"CRON_TZ=Europe/Berlin */20 * * * *", "CRON_TZ=America/New_York 59 23 * * 5", "CRON_TZ=Australia/Lord_Howe 0 2 * * 6,0", "* * * * *",
	}
	interner  schedule.Interner
	holidayed = []string{"Europe/Berlin 2026-03-29", "2026-03-27..2026-03-30,2026-04-02", "Pacific/Apia 2026-03-30"}
)

func (r random) policy() lifecycle.Policy {
	p := lifecycle.Policy{
		DefaultTTL: r.span(), ActivityBump: r.span(), FailureTTL: r.threshold(), TimeTilDormant: r.threshold(),
		TimeTilAutodelete: r.span(), ReminderLead: r.span(), AutostartDays: pick(r, schedule.AllDays, schedule.AllDays, schedule.Days(r.IntN(128))),
		AllowUserAutostart: r.yes(85), AllowUserTTL: r.yes(70), RequireActiveVersion: r.yes(20),
		MaxLateness: r.span(), ExtendAtAutostart: r.yes(40), Jitter: pick[time.Duration](r, 0, 0, time.Hour, 7*time.Second),
	}
	if r.yes(30) {
		p.Requirement = schedule.Requirement{Days: schedule.Days(r.IntN(128)), Weeks: r.IntN(4)}
	}
	if r.yes(25) {
		p.Holidays, _ = schedule.ParseDates(pick(r, holidayed...))
	}
	if r.yes(25) {
		p.HolidaysHold = lifecycle.HoldRules(r.IntN(16))
		p.DeleteStopped, p.DeleteAtDeadline = r.threshold(), r.yes(30)
		p.MaxRuntime, p.DormantWhenSuspended = r.threshold(), r.yes(30)
	}
	if r.yes(80) {
		p.StartRetry = lifecycle.StartRetry{Max: r.IntN(6), Initial: time.Minute, MaxInterval: pick(r, 0, time.Hour)}
	}
	if r.yes(50) {
		p.Retry = lifecycle.Retry{Max: 1 + r.IntN(4), Initial: r.span(), MaxInterval: 3 * day}
	}
	return p
}

func (r random) build() lifecycle.Build {
	b := lifecycle.Build{
		ID: id(0xb1), Number: 3, TemplateVersionID: oldVersion, Transition: pick(r, lifecycle.TransitionStart, lifecycle.TransitionStart, lifecycle.TransitionStop, lifecycle.TransitionDelete),
		Reason: pick(r, lifecycle.ReasonManual, lifecycle.ReasonAutostop, lifecycle.ReasonAutostart), Status: pick(r, lifecycle.JobSucceeded, lifecycle.JobSucceeded, lifecycle.JobFailed, lifecycle.JobCanceled, lifecycle.JobRunning),
		CreatedAt: r.set(),
	}
	if b.Transition == lifecycle.TransitionDelete && b.Status == lifecycle.JobSucceeded {
		b.Status = lifecycle.JobFailed
	}
	if !b.Status.Active() {
		b.CompletedAt = b.CreatedAt.Add(r.span())
	}
	if b.Transition == lifecycle.TransitionStart && b.Status == lifecycle.JobSucceeded || r.yes(30) {
		b.RunSince = r.set()
		b.Deadline = r.instant()
		if !b.Deadline.IsZero() && r.yes(30) {
			b.MaxDeadline = b.Deadline.Add(r.span())
		}
	}
	return b
}

func (r random) snapshot() lifecycle.Snapshot {
	s := newWorkspace()
	w := &s.Workspace
	w.ID, w.CreatedAt, w.LastUsedAt, w.TTL = id(r.IntN(1000)), r.set(), r.instant(), r.span()
	w.AutostartAfter, w.WakeAt = r.instant(), r.instant()
	if r.yes(80) {
		w.Autostart = interner.Weekly(pick(r, specs...))
	}
	if r.yes(3) {
		w.Autostart = interner.Weekly("never")
	}
	if r.yes(30) {
		w.DormantAt, w.DeletingAt = r.set(), r.instant()
	}
	if r.yes(20) {
		w.Hold = lifecycle.Hold{Until: r.instant(), Rules: lifecycle.HoldRules(r.IntN(16))}
	}
	if r.yes(10) {
		w.Floors = lifecycle.Floors{Stop: r.instant(), Dormancy: r.instant(), Delete: r.instant()}
	}
	if r.yes(30) {
		w.Autostop = interner.Weekly(pick(r, specs...))
	}
	w.StartFailures = max(0, r.IntN(6)-3)
	if r.yes(20) {
		w.Backoff = lifecycle.Backoff{Until: r.set(), Attempts: r.IntN(5), Cause: pick(r, lifecycle.SkipRefused, lifecycle.SkipNoWorker, lifecycle.SkipBrake), Message: "no"}
		s.Template.VersionSince, s.Engine.DeletionsReleasedUntil = r.instant(), r.instant()
	}
	w.Failures, w.AutomaticUpdates = max(0, r.IntN(6)-3), r.yes(20)
	if r.yes(90) {
		s.Build = r.build()
		w.RemindedFor = pick(r, time.Time{}, s.Build.Deadline)
	}
	s.Owner.Status = pick(r, lifecycle.OwnerActive, lifecycle.OwnerActive, lifecycle.OwnerActive, lifecycle.OwnerDormant, lifecycle.OwnerSuspended)
	s.Owner.QuietHours = pick(r, nil, interner.Daily("CRON_TZ=Europe/Berlin 30 2 * * *"), interner.Daily("50 23 * * *"))
	s.Template.Policy = r.policy()
	if r.yes(10) {
		s.Template.Hold = lifecycle.Hold{Until: r.instant(), Rules: lifecycle.HoldRules(r.IntN(16))}
		s.Template.Floors, s.Template.AutostartAfter = lifecycle.Floors{Dormancy: r.instant(), Delete: r.instant()}, r.instant()
	}
	if r.yes(10) {
		s.Engine.Hold = lifecycle.Hold{Until: r.instant(), Rules: lifecycle.HoldRules(r.IntN(16))}
		s.Engine.SettleUntil, s.Engine.AutostartAfter = r.instant(), r.instant()
	}
	return s
}

// verb is anything that may happen to a workspace, valid or not.
func (r random) verb(s lifecycle.Snapshot) lifecycle.Verb {
	n, b := s.Build.Number, s.Build.ID
	return pick(r,
		lifecycle.JobStarted(b), lifecycle.CancelBuild(n),
		lifecycle.JobEnded(lifecycle.JobResult{BuildID: b, Status: pick(r, lifecycle.JobSucceeded, lifecycle.JobFailed, lifecycle.JobCanceled)}),
		lifecycle.RequestBuild(pick(r, lifecycle.TransitionStart, lifecycle.TransitionStop), uuid.Nil),
		lifecycle.SetAutostart(pick(r, nil, interner.Weekly(pick(r, specs...)))), lifecycle.SetTTL(r.span()), lifecycle.Extend(r.set()),
		lifecycle.Used(r.set()), lifecycle.MarkDormant(true), lifecycle.EndDormancy(), lifecycle.WorkerReturned(), lifecycle.SetHold(lifecycle.Hold{Until: r.instant(), Rules: lifecycle.HoldRules(r.IntN(16))}),
		lifecycle.SetAutostop(pick(r, nil, interner.Weekly(pick(r, specs...)))), lifecycle.StartFor(time.Hour, uuid.Nil), lifecycle.SetDeadline(r.set()),
		lifecycle.ClearAttention(), lifecycle.SetAutomaticUpdates(r.yes(50)),
	)
}

// moments are the instants in [from, to) at which something may change: those of the snapshot, fires of its schedule,
// the shift of the clocks, each with its neighbours, and some others.
func (r random) moments(s lifecycle.Snapshot, from, to time.Time) []time.Time {
	w, b, p := &s.Workspace, &s.Build, &s.Template.Policy
	marks := []time.Time{
		w.AutostartAfter, w.LastUsedAt, w.DormantAt, w.DeletingAt, w.Hold.Until, w.Backoff.Until, b.CreatedAt, b.CompletedAt,
		b.Deadline, b.MaxDeadline, s.Template.Hold.Until, s.Engine.Hold.Until, s.Engine.SettleUntil, w.Floors.Stop, w.Floors.Dormancy, w.Floors.Delete,
		s.Template.Floors.Dormancy, w.Hold.Until.Add(2 * time.Hour), w.Hold.Until.Add(day), w.Backoff.Until.Add(-75 * time.Minute), s.Engine.DeletionsReleasedUntil, s.Template.Floors.Stop, s.Template.Floors.Delete, shift, from, to,
		w.LastUsedAt.Add(15 * time.Minute), w.LastUsedAt.Add(p.TimeTilDormant), w.CreatedAt.Add(p.TimeTilDormant),
		b.CompletedAt.Add(p.FailureTTL), b.CompletedAt.Add(day), b.Deadline.Add(-p.ReminderLead), b.MaxDeadline.Add(-p.ReminderLead),
		nextHoliday(p.Holidays, from),
	}
	for fire := range w.Autostart.Occurrences(from, from.Add(9*day)) {
		if marks = append(marks, fire); len(marks) > 60 {
			break
		}
	}
	if to.IsZero() {
		to = from.Add(60 * day)
	}
	for range 20 {
		marks = append(marks, from.Add(time.Duration(r.Int64N(int64(to.Sub(from))+1))))
	}
	var all []time.Time
	for _, m := range marks {
		for _, near := range []time.Duration{-us, 0, us} {
			if t := m.Add(near); !t.Before(from) && t.Before(to) {
				all = append(all, t)
			}
		}
	}
	return all
}

// nextHoliday is the first instant in the next nine days at which a holiday begins, to the quarter of an hour: no zone
// of today has its midnight in between.
func nextHoliday(d *schedule.Dates, from time.Time) time.Time {
	_, was := d.Covering(from)
	for t := from.Truncate(15 * time.Minute).Add(15 * time.Minute); t.Before(from.Add(9 * day)); t = t.Add(15 * time.Minute) {
		_, is := d.Covering(t)
		if is && !was {
			return t
		}
		was = is
	}
	return time.Time{}
}
