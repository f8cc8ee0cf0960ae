package lifecycle

import (
	"github.com/dormouse-go/dormouse/internal/micros"
)

func armExtend(s *Snapshot) armed {
	b, d := &s.Build, ttl(s)
	switch {
	case !s.Template.Policy.ExtendAtAutostart:
		return not(thresholdOff)
	case !runs(s):
		return not(notRunning)
	case b.Deadline.IsZero():
		return not(noDeadline)
	case dormant(s):
		return not(isDormant)
	case s.Owner.Status == OwnerSuspended:
		return not(ownerNotActive)
	case s.Workspace.Autostart == nil:
		return not(noSchedule)
	case s.Workspace.Autostart.Err() != nil:
		return not(badSchedule)
	case d <= 0 || b.Deadline.Equal(b.MaxDeadline):
		return not(nothingToExtend)
	}
	// Only an occurrence that moves the deadline counts.
	rest := micros.Later(micros.Later(b.runSince(), missedUntil(s)), b.Deadline.Add(-d))
	next := nextOccurrence(s, rest, 0)
	if next == never {
		return not(noAllowedDay)
	}
	return reached(next, 0)
}
