package lint

import (
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/internal/text"
)

// autostop warns of a schedule of stops that cannot be read.
func (l *linter) autostop() {
	if err := l.s.Workspace.Autostop.Err(); err != nil {
		l.warn(Warning{
			Code: NeverFires, Setting: "Workspace.Autostop", Value: text.Shortened(l.s.Workspace.Autostop.Text()),
			Problem: "it cannot be read, so it never fires: " + err.Error(), Cure: `write five cron fields, such as "CRON_TZ=Europe/Berlin 0 18 * * 1-5"`,
		})
	}
}

// requirement warns of required stops that never come.
func (l *linter) requirement() {
	p := &l.s.Template.Policy
	if p.Requirement.Days == 0 || l.capped(l.s) {
		return
	}
	w := Warning{
		Code: NeverFires, Setting: "Owner.QuietHours", Value: l.s.Owner.QuietHours.Text(),
		Problem: fmt.Sprintf("Policy.Requirement asks for a stop on %s in the owner's quiet hours, and the owner has none, so it never comes", p.Requirement.Days),
		Cure:    `give the owner quiet hours, such as "CRON_TZ=Europe/Berlin 0 3 * * *", or a default for everybody`,
	}
	if err := l.s.Owner.QuietHours.Err(); err != nil {
		w.Problem = "they cannot be read, so the required stop never comes: " + err.Error()
	}
	l.warn(w)
}

// capped reports whether a run that begins now has a cap.
func (l *linter) capped(s lifecycle.Snapshot) bool {
	for step := range l.run(startedByHand(s, l.now)) {
		if step.Kind == forecast.KindEnded {
			return !step.After.Build.MaxDeadline.IsZero()
		}
	}
	return false
}

// holidays warns of what is said of holidays where there are none.
func (l *linter) holidays() {
	p := &l.s.Template.Policy
	if p.HolidaysHold != 0 && p.Holidays == nil {
		l.warn(Warning{
			Code: NeverFires, Setting: "Policy.HolidaysHold", Value: p.HolidaysHold.String(),
			Problem: "there are no holidays, so it holds nothing", Cure: "set Policy.Holidays, or leave it out",
		})
	}
}

// up is the workspace when its start, asked for by hand, has succeeded.
func (l *linter) up(s lifecycle.Snapshot) lifecycle.Snapshot {
	for step := range l.run(startedByHand(s, l.now)) {
		if step.Kind == forecast.KindEnded {
			return step.After
		}
	}
	return s
}

var earlyCures = []cure{
	{
		setting: "Workspace.TTL", advice: "turn it off where the schedule stops the workspace, or make it as long as the hours",
		value: func(s *lifecycle.Snapshot) string { return text.Span(s.Workspace.TTL) },
		apply: func(s *lifecycle.Snapshot) { s.Workspace.TTL = 0 },
	},
	{
		setting: "Policy.DefaultTTL", advice: "turn it off where schedules stop the workspaces, or let owners choose (Policy.AllowUserTTL)",
		value: func(s *lifecycle.Snapshot) string { return text.Span(s.Template.Policy.DefaultTTL) },
		apply: func(s *lifecycle.Snapshot) { s.Template.Policy.DefaultTTL = 0 },
	},
	{
		setting: "Policy.MaxRuntime", advice: "make it as long as the hours",
		value: func(s *lifecycle.Snapshot) string { return text.Span(s.Template.Policy.MaxRuntime) },
		apply: func(s *lifecycle.Snapshot) { s.Template.Policy.MaxRuntime = 0 },
	},
	{
		setting: "Owner.QuietHours", advice: "choose quiet hours outside of the working hours",
		value: func(s *lifecycle.Snapshot) string { return s.Owner.QuietHours.String() },
		apply: func(s *lifecycle.Snapshot) { s.Owner.QuietHours = nil },
	},
}

// early warns of working hours that a run does not reach the end of.
func (l *linter) early() {
	if l.s.Workspace.Autostop == nil || l.s.Workspace.Autostop.Err() != nil {
		return
	}
	at, by, ok := l.firstEarly(l.awake())
	if !ok {
		return
	}
	w := Warning{
		Code: StopsEarly, Setting: "Workspace.Autostop", Value: l.s.Workspace.Autostop.String(), At: at,
		Problem: fmt.Sprintf("a run that the schedule starts ends %s before the time at which it is to stop", text.Span(by)),
		Cure:    "let it stop earlier, or run longer",
	}
	for _, c := range earlyCures {
		s := l.awake()
		c.apply(&s)
		if _, _, still := l.firstEarly(s); !still {
			w.Setting, w.Value, w.Cure = c.setting, c.value(&l.s), c.advice
			break
		}
	}
	l.warn(w)
}

// firstEarly returns the first stop of a run from an autostart that comes before the schedule of stops.
func (l *linter) firstEarly(s lifecycle.Snapshot) (at time.Time, by time.Duration, ok bool) {
	var meant time.Time
	for step := range l.run(s) {
		switch {
		case step.Kind == forecast.KindEnded && step.Transition == lifecycle.TransitionStart:
			meant = time.Time{}
			if step.Status == lifecycle.JobSucceeded && step.Reason == lifecycle.ReasonAutostart {
				meant = s.Workspace.Autostop.Next(step.At)
			}
		case step.Kind == forecast.KindBuild && step.Transition == lifecycle.TransitionStop && !meant.IsZero():
			if by := meant.Sub(step.At); by > rightAfter {
				return step.At, by, true
			}
		}
	}
	return time.Time{}, 0, false
}

// reminder warns of a reminder that comes as soon as the workspace is up.
func (l *linter) reminder() {
	p := &l.s.Template.Policy
	if p.ReminderLead <= 0 || l.short {
		return // runs that are too short have a warning
	}
	up := l.up(l.awake())
	b := &up.Build
	if run := b.Deadline.Sub(b.CompletedAt); b.Deadline.IsZero() || run > p.ReminderLead || run < rightAfter {
		return // what runs for minutes has nobody who waits for a reminder
	}
	if l.s.Workspace.Autostop.Next(b.CompletedAt).Equal(b.Deadline) {
		return // it depends on when somebody starts it
	}
	l.warn(Warning{
		Code: RemindsAtOnce, Setting: "Policy.ReminderLead", Value: text.Span(p.ReminderLead), At: b.CompletedAt,
		Problem: fmt.Sprintf("a run takes %s, so its owner is reminded of the stop as soon as it is up", text.Span(b.Deadline.Sub(b.CompletedAt))),
		Cure:    "make it shorter than the run",
	})
}

// extension warns of a cap that leaves no room for the shortest extension that is allowed.
func (l *linter) extension() {
	p := &l.s.Template.Policy
	up := l.up(l.awake())
	b := &up.Build
	if p.MaxRuntime <= 0 || b.MaxDeadline.IsZero() || b.Deadline.Equal(b.MaxDeadline) {
		return // it runs to the cap anyway
	}
	if _, err := lifecycle.Extend(b.MaxDeadline)(up, b.CompletedAt); err == nil {
		return
	}
	if p.MinExtend <= 0 {
		return
	}
	l.warn(Warning{
		Code: NeverFires, Setting: "Policy.MinExtend", Value: text.Span(p.MinExtend),
		Problem: fmt.Sprintf("a run takes at most %s, so nobody is able to extend one by as much", text.Span(b.MaxDeadline.Sub(b.CompletedAt))),
		Cure:    "make it shorter than Policy.MaxRuntime",
	})
}

// uncapped warns of a TTL that never counts, because the cap ends every run sooner.
func (l *linter) uncapped() {
	p := &l.s.Template.Policy
	if p.MaxRuntime <= 0 {
		return
	}
	s := l.awake()
	s.Workspace.Autostart = nil // a run that begins before it lasts longer
	before := l.up(s).Build
	s.Template.Policy.MaxRuntime = 0
	after := l.up(s).Build
	if after.Deadline.IsZero() || !before.Deadline.Before(after.Deadline) {
		return
	}
	setting, ttl := "Workspace.TTL", l.s.Workspace.TTL
	if !p.AllowUserTTL {
		setting, ttl = "Policy.DefaultTTL", p.DefaultTTL
	}
	if after.Deadline.Sub(after.CompletedAt) != ttl {
		return
	}
	l.warn(Warning{
		Code: NeverFires, Setting: setting, Value: text.Span(ttl),
		Problem: fmt.Sprintf("Policy.MaxRuntime ends every run after %s, so no run takes as long", text.Span(p.MaxRuntime)),
		Cure:    "make it shorter than Policy.MaxRuntime, or that longer",
	})
}

// retry warns of retries of failed starts that the next start of the schedule always forestalls.
func (l *linter) retry() {
	r := l.s.Template.Policy.StartRetry
	if r.Max <= 0 || l.s.Workspace.Autostart == nil || !l.starts(l.awake()) {
		return
	}
	failing := func(s lifecycle.Snapshot) forecast.Outcome {
		status := lifecycle.JobSucceeded
		if s.Build.Transition == lifecycle.TransitionStart {
			status = lifecycle.JobFailed
		}
		return forecast.Outcome{Took: time.Minute, Status: status}
	}
	for step := range forecast.Upcoming(l.awake(), l.now, l.now.AddDate(0, 0, 28), forecast.Assumptions{Build: failing}) {
		if step.Rule == lifecycle.RuleStartRetry {
			return
		}
	}
	l.warn(Warning{
		Code: NeverFires, Setting: "Policy.StartRetry.Initial", Value: text.Span(r.Initial),
		Problem: "the next start of the schedule comes before a failed one is tried again", Cure: "choose a shorter pause, such as 1m",
	})
}
