package lifecycle

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Decision is what is due for a workspace at an instant, and why. The zero value is "nothing".
type Decision struct {
	// Rule is the rule that acts, RuleNone if nothing is due.
	Rule Rule
	// Transition is the build to make, TransitionNone if the rule needs none.
	Transition Transition
	// Reason labels the build, empty without a rule.
	Reason Reason
	// Dormant says that the workspace is marked dormant, in the same commit as the build, if there is one.
	Dormant bool
	// Missed says that an autostart is given up because it is later than the policy allows.
	Missed bool
	// DueAt is when the rule became due: when its condition was met, or when the hold or back-off that delayed it ended.
	// A suspended owner's workspace is due since its WakeAt, because the instant of the suspension is not known.
	DueAt time.Time
	// Err is what is wrong with the stored values of this workspace, nil if nothing is. It may be set beside any decision:
	// rules that do not need the value act as usual.
	Err error
}

// Acts reports whether anything is due.
func (d Decision) Acts() bool { return d.Rule != RuleNone }

// Decide says what is due for the workspace at now. It reads nothing but its arguments: the same arguments give the same
// answer, so after a lost race one simply asks again. It does not allocate.
//
// The rules are asked in the order of their constants and the first that fires wins. The order is that of Coder's
// lifecycle executor (coderd/autobuild), which users of this kind of system know.
func Decide(s Snapshot, now time.Time) Decision {
	return decide(&s, now)
}

func decide(s *Snapshot, now time.Time) Decision {
	v := look(s, now)
	for r := RuleNone + 1; r < ruleEnd && v.why == none; r++ {
		if a, acts := v.fires(r, s); acts <= v.now {
			return act(r, a, s, now)
		}
	}
	return Decision{Err: fault(s)}
}

// act describes what a rule that fires does.
func act(r Rule, a armed, s *Snapshot, now time.Time) Decision {
	d := Decision{Rule: r, DueAt: dueSince(r, a, s, now), Err: fault(s)}
	switch r {
	case RuleAutostop:
		d.Transition, d.Reason = TransitionStop, ReasonAutostop
	case RuleAutostart:
		d.Reason = ReasonAutostart
		if d.Missed = tooLate(s, a.at, at(now)); !d.Missed {
			d.Transition = TransitionStart
		}
	case RuleFailedCleanup:
		d.Transition, d.Reason = TransitionStop, ReasonFailedCleanup
	case RuleDormancy:
		d.Reason, d.Dormant = ReasonDormancy, true
		if stopsBeforeDormancy(&s.Build) {
			d.Transition = TransitionStop
		}
	case RuleAutodelete:
		d.Transition, d.Reason = TransitionDelete, ReasonAutodelete
	}
	return d
}

// dueSince returns the instant from which the rule fired: where it was armed, or where what suspended it ended.
func dueSince(r Rule, a armed, s *Snapshot, now time.Time) time.Time {
	switch {
	case r == RuleReminder:
		return a.at.time()
	case a.at == always && s.Workspace.WakeAt.IsZero():
		return now
	case a.at == always:
		return release(s, at(micros.Earlier(s.Workspace.WakeAt, now))).time()
	}
	return release(s, a.at).time()
}

// NextWake returns the earliest instant, not before now, at which [Decide] could find something due if the snapshot stays
// as it is, and zero if it never will. If something is due at now, that is now. The answer may be too early but never too
// late: a tick that finds nothing asks again. It does not allocate.
func NextWake(s Snapshot, now time.Time) time.Time {
	return nextWake(&s, now)
}

func nextWake(s *Snapshot, now time.Time) time.Time {
	wake := never
	v := look(s, now)
	for r := RuleNone + 1; r < ruleEnd && v.why == none; r++ {
		_, acts := v.fires(r, s)
		wake = min(wake, acts)
	}
	if fault(s) != nil {
		wake = min(wake, at(scheduleRecheck(s, now)))
	}
	if wake == v.now {
		return now.UTC() // which may be between two instants
	}
	return wake.time()
}
