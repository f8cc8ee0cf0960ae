package dormouse

import (
	"errors"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// Schedule is when a workspace starts and stops by itself. Either Hours are set, or the schedules that they stand for, or
// nothing for never.
type Schedule struct {
	// Hours are working hours, such as "Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00".
	Hours string `json:"hours,omitempty"`
	// Autostart and Autostop are cron schedules, such as "CRON_TZ=Europe/Berlin 0 9 * * 1-5".
	Autostart string `json:"autostart,omitempty"`
	Autostop  string `json:"autostop,omitempty"`
}

// scheduleOf returns the schedule as people write it: working hours where it is some.
func scheduleOf(start, stop *schedule.Cron) Schedule {
	if h, ok := schedule.HoursOf(start, stop); ok && !h.IsZero() {
		return Schedule{Hours: h.String()}
	}
	return Schedule{Autostart: textOf(start), Autostop: textOf(stop)}
}

// parse returns the two schedules, nil for none. The error names the field of the struct in which the host gave it.
func (s Schedule) parse(in string) (start, stop *schedule.Cron, err error) {
	if s.Hours != "" {
		if s.Autostart != "" || s.Autostop != "" {
			return nil, nil, invalid.New(in+".Hours", s.Hours, "must not be set together with Autostart or Autostop")
		}
		h, err := schedule.ParseHours(s.Hours, schedule.Options{})
		return h.Autostart(), h.Autostop(), invalid.As(in+".Hours", err)
	}
	if start, err = parseCron(in+".Autostart", s.Autostart); err == nil {
		stop, err = parseCron(in+".Autostop", s.Autostop)
	}
	return start, stop, err
}

func parseCron(field, text string) (*schedule.Cron, error) {
	if text == "" {
		return nil, nil
	}
	c, err := schedule.Weekly(text)
	return c, invalid.As(field, err)
}

// verb sets both schedules in one change.
func (s Schedule) verb(in string) (lifecycle.Verb, error) {
	start, stop, err := s.parse(in)
	if err != nil {
		return nil, err
	}
	return func(old lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		var steps []lifecycle.Verb
		if textOf(start) != textOf(old.Workspace.Autostart) {
			steps = append(steps, s.naming(in, "Autostart", lifecycle.SetAutostart(start)))
		}
		if textOf(stop) != textOf(old.Workspace.Autostop) {
			steps = append(steps, s.naming(in, "Autostop", lifecycle.SetAutostop(stop)))
		}
		return lifecycle.Together(steps...)(old, now)
	}, nil
}

// naming lets a verb refuse the field that the host has set.
func (s Schedule) naming(in, field string, v lifecycle.Verb) lifecycle.Verb {
	if s.Hours != "" {
		field = "Hours"
	}
	return func(old lifecycle.Snapshot, now time.Time) (lifecycle.Change, error) {
		c, err := v(old, now)
		var refused *invalid.Error
		if s.Hours != "" && errors.As(err, &refused) { // the schedule is made of the hours: show what was given
			return c, invalid.New(in+".Hours", s.Hours, "%s", refused.Rule)
		}
		return c, invalid.As(in+"."+field, err)
	}
}
