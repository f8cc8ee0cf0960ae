package schedule

import (
	"errors"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// ErrNoAllowedAutostart is returned when a schedule never fires on an allowed day.
var ErrNoAllowedAutostart = errors.New("no allowed autostart")

// NextAutostart returns the first time after at that a weekly schedule fires, in
// the schedule's zone, and whether its weekday in that zone is among days: 23:00
// on a Friday in New York is a Friday, whatever day it is elsewhere.
func NextAutostart(at time.Time, spec string, days Days) (next time.Time, allowed bool, err error) {
	c, err := autostartOf(spec, days)
	if err != nil {
		return time.Time{}, false, err
	}
	next = c.Next(at)
	return next, !next.IsZero() && days.Has(next.Weekday()), nil
}

// NextAllowedAutostart returns the first time after at that a weekly schedule
// fires on one of days, in the schedule's zone; see [Cron.NextAllowed]. The error wraps
// [ErrNoAllowedAutostart] when there is none.
//
// It parses the text each time; keep a [Cron] or an [Interner] to ask often.
func NextAllowedAutostart(at time.Time, spec string, days Days) (time.Time, error) {
	c, err := autostartOf(spec, days)
	if err != nil {
		return time.Time{}, err
	}
	next, ok := c.NextAllowed(at, days)
	if !ok {
		return time.Time{}, fmt.Errorf("%w: %s on days %v", ErrNoAllowedAutostart, c.Humanize(), days)
	}
	return next, nil
}

func autostartOf(spec string, days Days) (*Cron, error) {
	if err := days.Validate(); err != nil {
		return nil, invalid.As("days", err)
	}
	return Weekly(spec)
}
