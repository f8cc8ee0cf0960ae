package schedule

import (
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// quietLeeway is how long before quiet hours a workspace is no longer stopped by
// them on the same day: someone who starts to work late in the evening is not cut off.
const quietLeeway = 2 * time.Hour

// AutostopInput is everything that the deadlines of a build depend on.
type AutostopInput struct {
	// CompletedAt is when the build's job completed. Deadlines count from it and
	// never from the current time, so computing them again later gives the same.
	CompletedAt time.Time

	// TTL is how long the workspace may run: its own, or the template's default
	// where users may not choose. Zero: no limit.
	TTL time.Duration

	// Autostart is the workspace's schedule, nil for none. An unusable one counts as none.
	Autostart *Cron
	// AutostartDays are the weekdays on which autostart is allowed.
	AutostartDays Days

	// Requirement is the template's. The zero value requires nothing.
	Requirement Requirement
	// QuietHours is the owner's daily schedule, or the host's default. Nil: the
	// requirement has no effect. An unusable one is an error.
	QuietHours *Cron
}

// Deadlines are the instants at which a running workspace is stopped. Zero is none.
type Deadlines struct {
	// Deadline is when the workspace is stopped. Activity and people move it.
	Deadline time.Time
	// MaxDeadline is the instant past which Deadline cannot be moved.
	MaxDeadline time.Time
}

// Autostop returns the deadlines of a build whose job has completed, in UTC.
//
// The deadline is completion plus TTL. If that is later than the next autostart and
// its day is allowed, the workspace would be stopped in the middle of the day that
// the autostart is for; the deadline is then the autostart plus TTL.
//
// The max deadline is the owner's quiet time on the first required day, in the
// zone of the quiet hours. A day whose quiet time is less than two hours after
// completion does not count; exactly two hours do. With a requirement of every n
// weeks only days of such weeks count. The weekday is that of the date on which the quiet time falls, even in
// the last minutes before midnight.
//
// The deadline is never after the max deadline.
func Autostop(in AutostopInput) (Deadlines, error) {
	if err := in.validate(); err != nil {
		return Deadlines{}, fmt.Errorf("compute deadlines: %w", err)
	}
	in.CompletedAt = in.CompletedAt.Round(0).UTC()
	limit, err := in.maxDeadline()
	if err != nil {
		return Deadlines{}, fmt.Errorf("compute max deadline: %w", err)
	}
	d := Deadlines{Deadline: in.deadline(), MaxDeadline: limit}
	if !limit.IsZero() && (d.Deadline.IsZero() || limit.Before(d.Deadline)) {
		d.Deadline = limit
	}
	if !withinLimit(d.Deadline.Unix()) || !withinLimit(limit.Unix()) {
		return Deadlines{}, fmt.Errorf("compute deadlines: %w", invalid.New("AutostopInput.CompletedAt",
			in.CompletedAt.Format(time.RFC3339), "must leave room for deadlines until the year 9999"))
	}
	return d, nil
}

func (in AutostopInput) validate() error {
	if in.CompletedAt.IsZero() {
		return invalid.New("AutostopInput.CompletedAt", in.CompletedAt, "must be set")
	}
	if err := ValidateInstant("AutostopInput.CompletedAt", in.CompletedAt); err != nil {
		return err
	}
	if in.TTL < 0 {
		return invalid.New("AutostopInput.TTL", in.TTL, "must not be negative")
	}
	if err := in.AutostartDays.Validate(); err != nil {
		return invalid.As("AutostopInput.AutostartDays", err)
	}
	return invalid.Within("AutostopInput", in.Requirement.Validate())
}

func (in AutostopInput) deadline() time.Time {
	if in.TTL == 0 {
		return time.Time{}
	}
	deadline := in.CompletedAt.Add(in.TTL)
	next := in.Autostart.Next(in.CompletedAt)
	if !next.IsZero() && in.AutostartDays.Has(next.Weekday()) && deadline.After(next) {
		return next.Add(in.TTL).UTC()
	}
	return deadline
}

func (in AutostopInput) maxDeadline() (time.Time, error) {
	if in.Requirement.Days == 0 || in.QuietHours == nil {
		return time.Time{}, nil
	}
	if err := in.QuietHours.Err(); err != nil {
		return time.Time{}, invalid.As("AutostopInput.QuietHours", err)
	}
	if !in.QuietHours.fires() {
		return time.Time{}, invalid.New("AutostopInput.QuietHours", "", "must be a schedule that fires")
	}
	earliest := in.CompletedAt.Add(quietLeeway)
	day, err := in.Requirement.firstDay(in.QuietHours.zone.day(earliest))
	if err != nil {
		return time.Time{}, err
	}
	if in.QuietHours.onDay(day).Before(earliest) {
		if day, err = in.Requirement.firstDay(day + 1); err != nil {
			return time.Time{}, err
		}
	}
	return in.QuietHours.onDay(day).UTC(), nil
}
