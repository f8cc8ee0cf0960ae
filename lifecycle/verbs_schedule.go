package lifecycle

import (
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// SetAutostart sets the schedule, nil for none. Occurrences up to now do not count. The audit event, and Explain, name the
// days of the schedule that the template forbids.
func SetAutostart(autostart *schedule.Cron) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := autostartable(&s, autostart, now); err != nil {
			return Change{}, err
		}
		e := edit(&s, now)
		e.s.Workspace.Autostart, e.s.Workspace.AutostartAfter = autostart, e.now
		text := "none"
		if autostart != nil {
			text = autostart.String()
		}
		if days := ForbiddenDays(autostart, s.Template.Policy.AutostartDays, now); days != 0 {
			text += fmt.Sprintf("; the template forbids %s", days)
		}
		e.emit(Event{Kind: EventChanged, Message: cutMessage("autostart: " + text)}, TopicAudit)
		return e.change(), nil
	}
}

// ForbiddenDays returns the days on which a schedule fires, within a week from now, and which are not among the allowed
// ones, so that a host can say so when a schedule is set.
func ForbiddenDays(autostart *schedule.Cron, allowed schedule.Days, now time.Time) schedule.Days {
	var days schedule.Days
	for from, end := now, now.Add(7*24*time.Hour); ; {
		next := autostart.Next(from)
		if next.IsZero() || next.After(end) {
			return days
		}
		if day := schedule.DaysOf(next.Weekday()); !allowed.Has(next.Weekday()) {
			days |= day
		}
		from = time.Date(next.Year(), next.Month(), next.Day()+1, 0, 0, 0, -1, next.Location()) // one of each day will do
	}
}

// SetAutostop sets the times of day at which the workspace stops by itself, nil for none. A workspace that runs gets the
// next one as its deadline if that is sooner, but leaves at least two hours.
func SetAutostop(autostop *schedule.Cron) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch err := settable(&s); {
		case err != nil:
			return Change{}, err
		case !s.Template.Policy.AllowUserTTL:
			return Change{}, fmt.Errorf("autostop: %w: Policy.AllowUserTTL is off", ErrForbidden)
		case autostop.Err() != nil:
			return Change{}, invalid.As("autostop", autostop.Err())
		}
		e := edit(&s, now)
		before := deadlines(&s)
		e.s.Workspace.Autostop = autostop
		if runs(&s) {
			e.moveAutostop(before.Deadline)
		}
		text := "none"
		if autostop != nil {
			text = autostop.String()
		}
		e.emit(Event{Kind: EventChanged, Message: cutMessage("autostop: " + text)}, TopicAudit)
		return e.change(), nil
	}
}

// moveAutostop moves the deadline of a run after its schedule of stops has changed: to the next one, or, if the deadline was
// that of the schedule before, to what is left without it.
func (e *editor) moveAutostop(before time.Time) {
	b, grace := &e.s.Build, e.grace(HoldStops)
	next := micros.Of(e.s.Workspace.Autostop.Next(e.now))
	switch {
	case !next.IsZero() && (b.Deadline.IsZero() || next.Before(b.Deadline)):
		b.Deadline = withGrace(next, b.Deadline, grace)
	case b.Deadline.Equal(before):
		if b.Deadline = deadlines(&e.s).Deadline; !b.Deadline.IsZero() {
			b.Deadline = micros.Later(b.Deadline, grace)
		}
	}
	e.capDeadline()
}

func autostartable(s *Snapshot, c *schedule.Cron, now time.Time) error {
	switch err := settable(s); {
	case err != nil:
		return err
	case c == nil:
		return nil
	case !s.Template.Policy.AllowUserAutostart:
		return fmt.Errorf("autostart: %w: Policy.AllowUserAutostart is off", ErrForbidden)
	case c.Err() != nil:
		return invalid.As("autostart", c.Err())
	}
	if _, ok := c.NextAllowed(now, s.Template.Policy.AutostartDays); !ok {
		return invalid.New("autostart", c.Text(), "must fire on a day that the template allows (%s, by Policy.AutostartDays)", s.Template.Policy.AutostartDays)
	}
	return nil
}
