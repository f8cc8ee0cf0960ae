package lifecycle

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
)

// Rule is one of the things the engine does by itself. The order of the constants is the order in which the rules are
// asked: the first that is due acts.
type Rule uint8

// The rules. RuleNone is the zero value.
const (
	RuleNone Rule = iota
	// RuleAutostop stops a workspace at its deadline, or at once if its owner is suspended.
	RuleAutostop
	// RuleAutostart starts a workspace by its schedule.
	RuleAutostart
	// RuleFailedCleanup stops what a failed start or stop, or a canceled start, may have left behind.
	RuleFailedCleanup
	// RuleDormancy marks an unused workspace dormant, stopping it first if it may be running.
	RuleDormancy
	// RuleAutodelete deletes a dormant workspace.
	RuleAutodelete
	// RuleExtend moves the deadline of a workspace that runs at its own autostart time.
	RuleExtend
	// RuleReminder notifies the owner of an autostop that is near.
	RuleReminder

	ruleEnd
)

var ruleNames = names[Rule]{
	"none", "autostop", "autostart", "failed_cleanup", "dormancy", "autodelete", "extend", "reminder",
}

// String returns the name in lower case.
func (r Rule) String() string { return ruleNames.name(r) }

// MarshalText implements encoding.TextMarshaler.
func (r Rule) MarshalText() ([]byte, error) { return ruleNames.marshal("Rule", r) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rule) UnmarshalText(b []byte) error { return ruleNames.unmarshal("Rule", r, b) }

// Limits of the rules.
const (
	// recentUse is how long after activity no reminder is given, because activity moves the deadline.
	recentUse = 15 * time.Minute
	// deleteRetryFloor is the shortest pause between two deletions of one workspace.
	deleteRetryFloor = 24 * time.Hour
	// maxOccurrences bounds the search for an autostart that is not held.
	maxOccurrences = 400
)

// always is before any clock: a rule that fires from then on is due whenever it is asked.
const always instant = 0

// armed is a rule's answer about a workspace: what it compares and the instant that follows from that, or the obstacle
// that keeps it from firing whatever the time. It is all that [Decide], [NextWake] and [Explain] know of a rule. (Four
// words and value receivers: the compiler keeps that in registers, and a tick does little else.)
type armed struct {
	// since is the instant the rule counts from, wait how long after it the rule is met.
	since instant
	wait  time.Duration
	// at is the instant from which the rule fires, before anything that suspends all rules is considered. It is later
	// than since and wait alone say if the rule also waits for something else (see floor).
	at       instant
	obstacle obstacle
}

// not is the answer of a rule that does not fire.
func not(why obstacle) armed { return armed{obstacle: why} }

// reached is for limits that are met when they are reached.
func reached(since instant, wait time.Duration) armed {
	return armed{since: since, wait: wait, at: since.plus(wait)}
}

// exceeded is for thresholds that must be exceeded, and which do not fire before a floor has been exceeded either.
func exceeded(since instant, wait time.Duration, floor instant) armed {
	return armed{since: since, wait: wait, at: max(since.plus(wait), floor) + 1}
}

// is reports whether the rule fires at some time.
func (a armed) is() bool { return a.obstacle == none }

// met is when what the rule compares is met, whatever else it waits for.
func (a armed) met() instant { return a.since.plus(a.wait) }

// view is what concerns all rules of a workspace at an instant, worked out once.
type view struct {
	now instant
	// gate is now, or where the holds that are set end.
	gate instant
	// why is what keeps every rule from firing.
	why obstacle
}

func look(s *Snapshot, now time.Time) view {
	n := at(now)
	return view{now: n, gate: max(n, holdsEnd(s)), why: suspended(s)}
}

// fires returns a rule's answer and the first instant not before now at which it acts if nothing else changes. It is
// the only place where the rules meet the clock: [Decide] acts on the first rule that fires now, [NextWake] is the
// earliest instant of all of them, [Explain] shows each.
//
// The snapshot is passed by pointer for speed and never changed; being no part of the view, and with a switch in arm
// instead of a table of functions, it stays on the caller's stack.
func (v *view) fires(r Rule, s *Snapshot) (armed, instant) {
	if v.why != none {
		return not(v.why), never
	}
	a := arm(r, s)
	switch {
	case !a.is():
		return a, never
	case r == RuleReminder:
		return remindAt(a, v.now)
	}
	return a, outsideHolidays(s, max(a.at, v.gate))
}

// actsAt asks one rule when it acts, zero for never; whoever asks several makes a view.
func actsAt(r Rule, s *Snapshot, now time.Time) time.Time {
	v := look(s, now)
	_, acts := v.fires(r, s)
	return acts.time()
}

// suspended says what keeps every rule from firing until something other than time changes.
func suspended(s *Snapshot) obstacle {
	switch w := &s.Workspace; {
	case w.Deleted:
		return workspaceDeleted
	case w.Managed:
		return workspaceManaged
	case s.Build.Status.Active():
		return buildActive
	case !w.AttentionAt.IsZero():
		return needsAttention
	case s.Template.Policy.Holidays.Err() != nil:
		return badHolidays
	}
	return none
}

// release returns the first instant not before t at which automatic transitions are neither held nor backing off.
func release(s *Snapshot, t instant) instant { return outsideHolidays(s, max(t, holdsEnd(s))) }

// holdsEnd returns where the holds and the back-off that are set end.
func holdsEnd(s *Snapshot) instant {
	return max(at(s.Workspace.HoldUntil), at(s.Template.HoldUntil), at(s.Workspace.Backoff.Until))
}

// outsideHolidays returns t, or the end of the holidays that cover it.
func outsideHolidays(s *Snapshot, t instant) instant {
	if s.Template.Policy.Holidays == nil {
		return t
	}
	if end, held := s.Template.Policy.Holidays.Covering(t.time()); held {
		return at(end)
	}
	return t
}

// heldUntil returns when the hold that covers t ends, and whether there is one.
func heldUntil(s *Snapshot, t time.Time) (time.Time, bool) {
	end := micros.Later(s.Workspace.HoldUntil, s.Template.HoldUntil)
	if until, held := s.Template.Policy.Holidays.Covering(micros.Later(t, end)); held {
		return until, true
	}
	return end, end.After(t)
}

func arm(r Rule, s *Snapshot) armed {
	switch r {
	case RuleAutostop:
		return armAutostop(s)
	case RuleAutostart:
		return armAutostart(s)
	case RuleFailedCleanup:
		return armFailedCleanup(s)
	case RuleDormancy:
		return armDormancy(s)
	case RuleAutodelete:
		return armAutodelete(s)
	case RuleExtend:
		return armExtend(s)
	case RuleReminder:
		return armReminder(s)
	}
	return not(unknownRule)
}

func armAutostop(s *Snapshot) armed {
	switch b := &s.Build; {
	case b.Transition != TransitionStart:
		return not(notStarted)
	case b.Status == JobFailed:
		return not(lastBuildFailed)
	case dormant(s):
		return not(isDormant)
	case s.Owner.Status == OwnerSuspended:
		return reached(always, 0)
	case b.Deadline.IsZero():
		return not(noDeadline)
	default:
		return reached(at(b.Deadline), jitter(s))
	}
}

func armAutostart(s *Snapshot) armed {
	switch {
	case s.Workspace.Autostart == nil:
		return not(noSchedule)
	case s.Workspace.Autostart.Err() != nil:
		return not(badSchedule)
	case s.Build.Number == 0:
		return not(neverBuilt)
	case s.Build.Transition != TransitionStop:
		return not(notStopped)
	case s.Build.Status == JobFailed:
		return not(lastBuildFailed)
	case dormant(s):
		return not(isDormant)
	case s.Owner.Status != OwnerActive:
		return not(ownerNotActive)
	case !s.Template.Policy.AllowUserAutostart:
		return not(autostartForbidden)
	}
	spread := jitter(s)
	next, ok := nextOccurrence(s, restedSince(s), spread)
	if !ok {
		return not(noAllowedDay)
	}
	return reached(at(next), spread)
}

// restedSince is when the workspace last came to rest on purpose: occurrences up to then are over.
func restedSince(s *Snapshot) time.Time {
	return micros.Later(s.Build.CreatedAt, s.Workspace.AutostartAfter)
}

// nextOccurrence returns the first occurrence of the autostart schedule after rest, on an allowed day and outside every
// hold, as it is and as far as the spread of the herd moves it: what falls into a hold is not caught up when the hold
// ends, because nobody wants a fleet to start at the midnight that ends a holiday.
func nextOccurrence(s *Snapshot, rest time.Time, spread time.Duration) (time.Time, bool) {
	for range maxOccurrences {
		next, ok := s.Workspace.Autostart.NextAllowed(rest, s.Template.Policy.AutostartDays)
		if !ok {
			return time.Time{}, false
		}
		end, held := heldUntil(s, next)
		if !held && spread > 0 {
			end, held = heldUntil(s, next.Add(spread))
		}
		if !held {
			return next, true
		}
		rest = end.Add(-micros.Tick)
	}
	return time.Time{}, false
}

// tooLate reports whether an autostart due at the given instant is past the policy's bound. It counts in ticks, as the
// instant that gives the occurrence up is stored in ticks.
func tooLate(s *Snapshot, due, now instant) bool {
	bound := s.Template.Policy.MaxLateness
	return bound > 0 && now > due.plus(bound)
}

func armFailedCleanup(s *Snapshot) armed {
	ttl := s.Template.Policy.FailureTTL
	switch b := &s.Build; {
	case ttl <= 0:
		return not(thresholdOff)
	case !unclean(b):
		return not(lastBuildClean)
	default:
		pause := max(ttl, retryPause(s, s.Workspace.Failures))
		return exceeded(at(b.CompletedAt), pause, at(s.Template.StopFloor))
	}
}

// unclean reports whether the build may have left something running: a start or stop that failed, a start that was
// canceled. (A canceled stop was somebody's wish to go on.)
func unclean(b *Build) bool {
	switch b.Transition {
	case TransitionStart:
		return b.Status == JobFailed || b.Status == JobCanceled
	case TransitionStop:
		return b.Status == JobFailed
	}
	return false
}

func armDormancy(s *Snapshot) armed {
	switch threshold, used := s.Template.Policy.TimeTilDormant, lastUsed(s); {
	case threshold <= 0:
		return not(thresholdOff)
	case dormant(s):
		return not(isDormant)
	case used == unset:
		return not(useUnknown)
	default:
		return exceeded(used, threshold, at(s.Template.StopFloor))
	}
}

// lastUsed returns when the workspace was last used: its creation counts.
func lastUsed(s *Snapshot) instant { return max(at(s.Workspace.CreatedAt), at(s.Workspace.LastUsedAt)) }

// stopsBeforeDormancy reports whether dormancy has to stop the workspace first: it is started, or the last stop did not
// succeed, so that compute may be running.
func stopsBeforeDormancy(b *Build) bool {
	return b.Transition == TransitionStart || b.Transition == TransitionStop && b.Status != JobSucceeded
}

func armAutodelete(s *Snapshot) armed {
	switch {
	case s.Template.Policy.TimeTilAutodelete <= 0:
		return not(thresholdOff)
	case !dormant(s):
		return not(notDormant)
	case s.Workspace.DeletingAt.IsZero():
		return not(noDeletion)
	}
	floor := at(s.Template.DeleteFloor)
	if b := &s.Build; b.Transition == TransitionDelete {
		floor = max(floor, at(b.CompletedAt).plus(max(deleteRetryFloor, retryPause(s, s.Workspace.Failures))))
	}
	return exceeded(at(s.Workspace.DeletingAt), jitter(s), floor)
}

func armExtend(s *Snapshot) armed {
	switch b := &s.Build; {
	case !s.Template.Policy.ExtendAtAutostart:
		return not(thresholdOff)
	case b.Transition != TransitionStart || b.Status != JobSucceeded:
		return not(notStarted)
	case b.Deadline.IsZero():
		return not(noDeadline)
	case dormant(s):
		return not(isDormant)
	case s.Workspace.Autostart == nil:
		return not(noSchedule)
	case s.Workspace.Autostart.Err() != nil:
		return not(badSchedule)
	}
	next, ok := nextOccurrence(s, micros.Later(s.Build.CompletedAt, s.Workspace.AutostartAfter), 0)
	if !ok {
		return not(noAllowedDay)
	}
	return reached(at(next), 0)
}

func armReminder(s *Snapshot) armed {
	switch b := &s.Build; {
	case s.Template.Policy.ReminderLead <= 0:
		return not(thresholdOff)
	case b.Transition != TransitionStart || b.Status != JobSucceeded:
		return not(notStarted)
	case b.Deadline.IsZero():
		return not(noDeadline)
	case dormant(s):
		return not(isDormant)
	case s.Owner.Status == OwnerSuspended:
		return not(ownerNotActive)
	case s.Workspace.RemindedFor.Equal(b.Deadline):
		return not(alreadyReminded)
	}
	lead := s.Template.Policy.ReminderLead
	a := reached(stopAt(s), -lead)
	if s.Template.Policy.ActivityBump > 0 {
		// Somebody who is active will see the deadline move; unless the cap is what stops them.
		quiet := at(s.Workspace.LastUsedAt).plus(recentUse)
		if !s.Build.MaxDeadline.IsZero() {
			quiet = min(quiet, at(s.Build.MaxDeadline).plus(-lead))
		}
		a.at = max(a.at, quiet)
	}
	return a
}

// stopAt returns when the deadline will take effect, holds included.
func stopAt(s *Snapshot) instant { return release(s, at(s.Build.Deadline).plus(jitter(s))) }

// remindAt bounds the reminder by the stop that it counts back from. A hold does not silence it: it warns of the stop
// that follows.
func remindAt(a armed, now instant) (armed, instant) {
	if remind := max(a.at, now); remind < a.since {
		return a, remind
	}
	a.obstacle = tooLateToRemind
	return a, never
}

func dormant(s *Snapshot) bool { return !s.Workspace.DormantAt.IsZero() }

// ttl returns the run time that rules a workspace: its own, if the template lets owners choose.
func ttl(s *Snapshot) time.Duration {
	if s.Template.Policy.AllowUserTTL {
		return s.Workspace.TTL
	}
	return s.Template.Policy.DefaultTTL
}

// jitter returns the workspace's fixed part of the policy's jitter.
func jitter(s *Snapshot) time.Duration {
	spread := s.Template.Policy.Jitter
	if spread <= 0 {
		return 0
	}
	return time.Duration(backoff.Hash(s.Workspace.ID, 0) % uint64(spread)).Truncate(micros.Tick)
}

// retryPause returns how long to wait after the n-th failure in a row: doubling from the policy's Initial to its
// MaxInterval, plus up to a quarter, fixed for the workspace and the attempt so that a herd spreads. Zero failures need
// no pause.
func retryPause(s *Snapshot, n int) time.Duration {
	if n <= 0 {
		return 0
	}
	r := s.Template.Policy.Retry.withDefaults()
	pause := backoff.Doubled(r.Initial, n-1, r.MaxInterval)
	return (pause + backoff.Spread(pause, s.Workspace.ID, uint64(n))).Truncate(micros.Tick)
}

func (r Retry) withDefaults() Retry {
	if r.Max == 0 {
		r.Max = 5
	}
	if r.Initial == 0 {
		r.Initial = time.Minute
	}
	if r.MaxInterval == 0 {
		r.MaxInterval = 24 * time.Hour
	}
	return r
}

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
func fault(s *Snapshot) error {
	switch suspended(s) {
	case none:
	case badHolidays:
		return s.Template.Policy.Holidays.Err()
	default:
		return nil
	}
	if err := s.Workspace.Autostart.Err(); err != nil {
		return err
	}
	if s.Template.Policy.Requirement.Days == 0 {
		return nil
	}
	return s.Owner.QuietHours.Err() // the required stop cannot be computed without them
}
