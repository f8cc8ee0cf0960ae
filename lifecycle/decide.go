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
	// Missed says that an autostart is given up, because it is later than the policy allows, or because the stop of its schedule
	// has come.
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
// The rules are asked in the order of their constants and the first that fires wins. But for the extension, which moves
// the deadline that the next rule compares, the order is that of Coder's lifecycle executor (coderd/autobuild), which users
// of this kind of system know.
func Decide(s Snapshot, now time.Time) Decision {
	d, _ := Evaluate(&s, now)
	return d
}

// Evaluate answers both questions at once, for callers that have many: what is due, as [Decide] does, and when to look
// again if nothing is, as [NextWake] does; the wake is now if something is due. It does not change the snapshot.
func Evaluate(s *Snapshot, now time.Time) (Decision, time.Time) {
	if !follows(s) {
		return evaluateBehind(s, now)
	}
	v, wake := look(s, now), never
	for set := v.candidates(s); set != 0; set &= set - 1 {
		r := set.first()
		a, acts := v.fires(r, s)
		if acts <= v.now {
			return act(r, a, s, now), now.UTC() // which may be between two instants
		}
		wake = min(wake, acts)
	}
	err := faultUnder(v.why, s)
	if err != nil {
		wake = min(wake, at(scheduleRecheck(s, now)))
	}
	return Decision{Err: err}, wake.time()
}

// evaluateBehind evaluates a workspace whose template or owner has newer rules. It has to be looked at now in any case, so
// that its instants follow them.
func evaluateBehind(s *Snapshot, now time.Time) (Decision, time.Time) {
	e := editFor(s, now, 0)
	return Evaluate(&e.s, now)
}

// builds are what the rules build and why; the others build nothing.
var builds = [ruleEnd]struct {
	transition Transition
	reason     Reason
}{
	RuleAutostop:      {TransitionStop, ReasonAutostop},
	RuleAutostart:     {TransitionStart, ReasonAutostart},
	RuleStartRetry:    {TransitionStart, ReasonStartRetry},
	RuleFailedCleanup: {TransitionStop, ReasonFailedCleanup},
	RuleDormancy:      {TransitionStop, ReasonDormancy},
	RuleAutodelete:    {TransitionDelete, ReasonAutodelete},
}

// act describes what a rule that fires does.
func act(r Rule, a armed, s *Snapshot, now time.Time) Decision {
	d := Decision{
		Rule: r, Transition: builds[r].transition, Reason: builds[r].reason, Dormant: r == RuleDormancy,
		DueAt: dueSince(r, a, s, now), Err: fault(s),
	}
	d.Missed = d.Transition == TransitionStart && missed(s, a, now)
	if d.Missed || d.Dormant && !stopsBeforeDormancy(s) {
		d.Transition = TransitionNone
	}
	return d
}

// missed reports whether it is too late for an automatic start.
func missed(s *Snapshot, a armed, now time.Time) bool {
	return tooLate(s, a.at, at(now)) || !endedBy(s, a.at.time(), now).IsZero()
}

// dueSince returns the instant from which the rule fired: where it was armed, or where what suspended it ended.
func dueSince(r Rule, a armed, s *Snapshot, now time.Time) time.Time {
	from := a.at
	switch {
	case r >= RuleReminder:
		return a.at.time()
	case a.since == always && s.Workspace.WakeAt.IsZero():
		return now
	case a.since == always:
		from = at(micros.Earlier(s.Workspace.WakeAt, now))
	}
	b := &s.Workspace.Backoff
	if b.Cause == SkipBrake && r == RuleAutodelete {
		return released(s, HoldDeletion, a.at).time() // what the brake holds keeps its place among the others
	}
	due := actsAfter(r, a, s, from)
	if until := at(b.Until); until > due && until <= at(now) && b.Cause != SkipBrake {
		due = until
	}
	return due.time()
}

// dueAtFirst is dueSince without the back-off that may have delayed it since.
func dueAtFirst(r Rule, s *Snapshot, now time.Time) time.Time {
	if s.Workspace.Backoff == (Backoff{}) {
		return dueSince(r, arm(r, s), s, now)
	}
	before := *s
	before.Workspace.Backoff = Backoff{}
	return dueAtFirst(r, &before, now)
}

// dueFrom returns the instant that an automatic stop counts as due from, for the starts that follow it: the deadline, or the
// end of what held it, but without what only delays it, the spread of the herd and pauses after failures.
func dueFrom(s *Snapshot, due time.Time) time.Time {
	if s.Owner.Status == OwnerSuspended || s.Build.Deadline.IsZero() {
		return micros.Of(due)
	}
	end := max(at(s.Build.Deadline), holdsEnd(s, HoldStops))
	return micros.Earlier(micros.Of(due), outsideHolidays(s, HoldStops, end, 0).time())
}

// NextWake returns the earliest instant, not before now, at which [Decide] could find something due if the snapshot stays
// as it is, and zero if it never will. If something is due at now, that is now. The answer may be too early but never too
// late: a tick that finds nothing asks again. It does not allocate.
func NextWake(s Snapshot, now time.Time) time.Time {
	_, wake := Evaluate(&s, now)
	return wake
}
