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
		if runs(&s) {
			e.moveAutostop(autostop)
		}
		e.s.Workspace.Autostop = autostop
		text := "none"
		if autostop != nil {
			text = autostop.String()
		}
		e.emit(Event{Kind: EventChanged, Message: cutMessage("autostop: " + text)}, TopicAudit)
		return e.change(), nil
	}
}

// moveAutostop moves the deadline of a run whose schedule of stops changes: to the next stop, if nothing else comes before it. A
// deadline that is a stop of the old schedule gives way to what the run has without one.
func (e *editor) moveAutostop(next *schedule.Cron) {
	b, old, grace := &e.s.Build, e.s.Build.Deadline, e.grace(HoldStops)
	if old.Equal(e.s.Workspace.Autostop.Next(old.Add(-1))) {
		without := e.s
		without.Workspace.Autostop = nil
		if b.Deadline = deadlines(&without).Deadline; !b.Deadline.IsZero() && !b.Deadline.Equal(old) {
			b.Deadline = micros.Later(b.Deadline, grace)
		}
	}
	if at := micros.Of(next.Next(e.now)); !at.IsZero() && (b.Deadline.IsZero() || at.Before(b.Deadline)) {
		b.Deadline = withGrace(at, old, grace)
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
