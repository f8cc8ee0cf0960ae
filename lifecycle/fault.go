package lifecycle

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// scheduleRecheck returns when an unusable schedule is looked at again: pauses that double from an hour to a day, counted
// from the last build, so that the error stays visible without costing a tick each time. It needs no state.
func scheduleRecheck(s *Snapshot, now time.Time) time.Time {
	const first, limit = time.Hour, 24 * time.Hour
	since := micros.Later(micros.Later(s.Workspace.CreatedAt, s.Build.CreatedAt), always.time())
	for n := range 5 { // 1, 2, 4, 8, 16 hours
		if since = since.Add(backoff.Doubled(first, n, limit)); since.After(now) {
			return since
		}
	}
	days := now.Sub(since)/limit + 1
	return since.Add(days * limit)
}

// fault returns what is wrong with the stored values of a workspace, nil if they can be used.
func fault(s *Snapshot) error { return faultUnder(suspended(s), s) }

// faultUnder is for who knows already what keeps every rule from firing.
func faultUnder(why obstacle, s *Snapshot) error {
	switch why {
	case none:
	case badHolidays:
		return s.Template.Policy.Holidays.Err()
	default:
		return nil
	}
	w, p := &s.Workspace, &s.Template.Policy
	switch {
	case w.Autostart.Err() != nil:
		return w.Autostart.Err()
	case w.Autostop.Err() != nil:
		return w.Autostop.Err()
	case w.Hold.Rules > HoldAll:
		return invalid.Within("Workspace", w.Hold.Validate())
	case p.AutostartDays > schedule.AllDays:
		return invalid.As("Policy.AutostartDays", p.AutostartDays.Validate())
	case !ttlAllowed(w.TTL):
		return validTTL("Workspace.TTL", w.TTL)
	case !ttlAllowed(p.DefaultTTL):
		return validTTL("Policy.DefaultTTL", p.DefaultTTL)
	case p.Requirement == (schedule.Requirement{}):
		return nil
	case p.Requirement.Days > schedule.AllDays || p.Requirement.Weeks < 0 || p.Requirement.Weeks > schedule.MaxRequirementWeeks:
		return invalid.Within("Policy", p.Requirement.Validate())
	}
	return s.Owner.QuietHours.Err() // the required stop cannot be computed without them
}
