package lifecycle

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// Rule is one of the things the engine does by itself. The order of the constants is the order in which the rules are
// asked: the first that is due acts.
type Rule uint8

// The rules. RuleNone is the zero value.
const (
	RuleNone Rule = iota
	// RuleExtend moves the deadline of a workspace that runs at its own autostart time.
	RuleExtend
	// RuleAutostop stops a workspace at its deadline, or at once if its owner is suspended.
	RuleAutostop
	// RuleAutostart starts a workspace by its schedule.
	RuleAutostart
	// RuleStartRetry tries an automatic start that failed again.
	RuleStartRetry
	// RuleFailedCleanup stops what a failed start or stop, or a canceled start, may have left behind.
	RuleFailedCleanup
	// RuleDormancy marks an unused workspace dormant, stopping it first if it may be running.
	RuleDormancy
	// RuleAutodelete deletes a workspace that was dormant or stopped for long enough.
	RuleAutodelete
	// RuleReminder notifies the owner of an autostop that is near.
	RuleReminder
	// RuleDeleteReminder notifies the owner of a deletion that is near, where nothing else did.
	RuleDeleteReminder

	ruleEnd
)

var ruleNames = names[Rule]{
	"none", "extend", "autostop", "autostart", "start_retry", "failed_cleanup", "dormancy", "autodelete", "reminder", "delete_reminder",
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
	// at is the instant from which the rule fires, before anything that suspends it is considered. It is later than since
	// and wait alone say if the rule also waits for something else, such as the pause after a failure.
	at       instant
	obstacle obstacle
}

// not is the answer of a rule that does not fire.
func not(why obstacle) armed { return armed{obstacle: why} }

// reached is for limits that are met when they are reached.
func reached(since instant, wait time.Duration) armed {
	return armed{since: since, wait: wait, at: since.plus(wait)}
}

// exceeded is for thresholds that must be exceeded, and which do not fire before another instant was exceeded either.
func exceeded(since instant, wait time.Duration, other instant) armed {
	return armed{since: since, wait: wait, at: max(since.plus(wait), other).plus(micros.Tick)}
}

// is reports whether the rule fires at some time.
func (a armed) is() bool { return a.obstacle == none }

// met is when what the rule compares is met, whatever else it waits for.
func (a armed) met() instant { return a.since.plus(a.wait) }

// view is what concerns all rules of a workspace at an instant, worked out once.
type view struct {
	now instant
	// why is what keeps every rule from firing.
	why obstacle
	// free says that nothing is set that could suspend single rules, once it is known: it is asked for armed rules only.
	known, free bool
}

func look(s *Snapshot, now time.Time) view {
	return view{now: at(now), why: suspended(s)}
}

// free reports whether there is no hold, holiday, floor or back-off, which is the usual state.
func free(s *Snapshot) bool {
	w, t, e := &s.Workspace, &s.Template, &s.Engine
	return w.Hold.Until.IsZero() && t.Hold.Until.IsZero() && e.Hold.Until.IsZero() && t.Policy.Holidays == nil &&
		w.Backoff.Until.IsZero() && e.SettleUntil.IsZero() && w.Floors.none() && t.Floors.none() && e.Floors.none()
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
	case r >= RuleReminder:
		return remindAt(a, v.now)
	case !v.known:
		v.known, v.free = true, free(s)
	}
	if v.free {
		return a, max(a.at, v.now)
	}
	return a, actsAfter(r, a, s, v.now)
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

func arm(r Rule, s *Snapshot) armed {
	switch r {
	case RuleExtend:
		return armExtend(s)
	case RuleAutostop:
		return armAutostop(s)
	case RuleAutostart:
		return armAutostart(s)
	case RuleStartRetry:
		return armStartRetry(s)
	case RuleFailedCleanup:
		return armFailedCleanup(s)
	case RuleDormancy:
		return armDormancy(s)
	case RuleAutodelete:
		return armAutodelete(s)
	case RuleReminder:
		return armReminder(s)
	case RuleDeleteReminder:
		return armDeleteReminder(s)
	}
	return not(unknownRule)
}

// runs reports whether compute of the workspace may be running: a start succeeded, and no stop or delete has since.
func runs(s *Snapshot) bool { return !s.Build.runSince().IsZero() }

// runSince is when the run began. Of a start that succeeded it follows from the start alone.
func (b *Build) runSince() time.Time {
	if b.RunSince.IsZero() && b.Transition == TransitionStart && b.Status == JobSucceeded {
		return micros.Later(b.CompletedAt, always.time())
	}
	return b.RunSince
}

// automatic reports whether a rule made the build.
func automatic(b *Build) bool { return b.Reason != ReasonManual && b.Reason != "" }

func armAutostop(s *Snapshot) armed {
	b := &s.Build
	var a armed
	switch suspended := s.Owner.Status == OwnerSuspended; {
	case !runs(s) && !(suspended && halfStarted(b)):
		return not(notRunning)
	case suspended:
		a = reached(always, 0)
	case !b.Deadline.IsZero():
		a = reached(at(b.Deadline), jitter(s))
	case dormant(s):
		a = reached(at(s.Workspace.DormantAt), 0) // the stop that it was to be put to sleep with did not succeed
	default:
		return not(noDeadline)
	}
	if b.Transition == TransitionStop && b.Status == JobFailed && automatic(b) {
		a.at = max(a.at, at(b.CompletedAt).plus(retryPause(s, s.Workspace.Failures)))
	}
	return a
}

// halfStarted reports whether a start that was canceled may have left something, and no stop after it has succeeded.
func halfStarted(b *Build) bool {
	return b.Transition == TransitionStart && b.Status == JobCanceled ||
		b.Transition == TransitionStop && b.Status == JobFailed && b.Reason == ReasonAutostop
}

func armAutostart(s *Snapshot) armed {
	if why := startable(s); why != none {
		return not(why)
	}
	spread := jitter(s)
	next, ok := nextOccurrence(s, restedSince(s), spread)
	if !ok {
		return not(noAllowedDay)
	}
	return reached(at(next), spread)
}

// startable says what keeps a workspace from starting by itself. A start that failed or was canceled does not: the next
// occurrence stands.
func startable(s *Snapshot) obstacle {
	switch b := &s.Build; {
	case s.Workspace.Autostart == nil:
		return noSchedule
	case s.Workspace.Autostart.Err() != nil:
		return badSchedule
	case b.Number == 0:
		return neverBuilt
	case runs(s) || b.Transition == TransitionDelete:
		return notStopped
	case b.Transition == TransitionStop && b.Status == JobFailed:
		return lastBuildFailed
	case dormant(s):
		return isDormant
	case s.Owner.Status != OwnerActive:
		return ownerNotActive
	case !s.Template.Policy.AllowUserAutostart:
		return autostartForbidden
	}
	return none
}

// restedSince is when the workspace last came to rest: occurrences up to then are over. A stop that somebody asked for
// counts from the request; an automatic one from the instant at which it was due, so that however late it was made, an
// occurrence at or after that instant is not lost.
func restedSince(s *Snapshot) time.Time {
	b := &s.Build
	rest := b.CreatedAt
	if b.Transition == TransitionStop && automatic(b) && !b.DueAt.IsZero() && !b.DueAt.After(rest) {
		rest = b.DueAt.Add(-micros.Tick)
	}
	return micros.Later(rest, missedUntil(s))
}

// missedUntil is the instant up to which occurrences do not count whatever the builds say.
func missedUntil(s *Snapshot) time.Time {
	after := micros.Later(s.Workspace.AutostartAfter, s.Owner.AutostartAfter)
	return micros.Later(after, micros.Later(s.Template.AutostartAfter, s.Engine.AutostartAfter))
}

// nextOccurrence returns the first occurrence of the autostart schedule after rest, on an allowed day and outside every
// hold, as it is and as far as the spread of the herd moves it: what falls into a hold is not caught up when the hold
// ends, because nobody wants a fleet to start at the midnight that ends a holiday.
func nextOccurrence(s *Snapshot, rest time.Time, spread time.Duration) (time.Time, bool) {
	for range maxOccurrences {
		next, ok := s.Workspace.Autostart.NextAllowed(rest, s.Template.Policy.AutostartDays)
		if !ok || free(s) {
			return next, ok
		}
		end, held := heldUntil(s, HoldStarts, next)
		if !held && spread > 0 {
			end, held = heldUntil(s, HoldStarts, next.Add(spread))
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
	return s.Template.Policy.MaxLateness > 0 && now > due.plus(lateness(s))
}

// lateness is how late an autostart may be. The first tick after its due instant is always in time.
func lateness(s *Snapshot) time.Duration {
	return max(s.Template.Policy.MaxLateness, schedule.MinThreshold, s.Engine.Interval)
}

// armStartRetry counts the pause from the end of the failed start, or of the stop that cleaned up after it.
func armStartRetry(s *Snapshot) armed {
	n, b := s.Workspace.StartFailures, &s.Build
	switch why := startable(s); {
	case s.Template.Policy.StartRetry.Max <= 0:
		return not(thresholdOff)
	case why != none:
		return not(why)
	case n <= 0 || b.Transition == TransitionStop && b.Status != JobSucceeded:
		return not(noFailedStart)
	case n > s.Template.Policy.StartRetry.Max:
		return not(retriesEnded)
	}
	a := reached(at(b.CompletedAt), startPause(s, n))
	if _, held := heldUntil(s, HoldStarts, a.at.time()); held {
		return not(retryHeld)
	}
	return a
}

func armFailedCleanup(s *Snapshot) armed {
	ttl := s.Template.Policy.FailureTTL
	switch b := &s.Build; {
	case ttl <= 0:
		return not(thresholdOff)
	case !unclean(b):
		return not(lastBuildClean)
	default:
		return exceeded(at(b.CompletedAt), max(ttl, retryPause(s, s.Workspace.Failures)), unset)
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
	threshold, used := s.Template.Policy.TimeTilDormant, lastUsed(s)
	atOnce := s.Template.Policy.DormantWhenSuspended && s.Owner.Status == OwnerSuspended
	switch {
	case threshold <= 0 && !atOnce:
		return not(thresholdOff)
	case dormant(s):
		return not(isDormant)
	case atOnce:
		return reached(always, 0)
	case used == unset:
		return not(useUnknown)
	default:
		return exceeded(used, threshold, unset)
	}
}

// lastUsed returns when the workspace was last used: its creation counts.
func lastUsed(s *Snapshot) instant { return max(at(s.Workspace.CreatedAt), at(s.Workspace.LastUsedAt)) }

// stopsBeforeDormancy reports whether dormancy has to stop the workspace first: it runs, or the last start or stop may have
// left something running.
func stopsBeforeDormancy(s *Snapshot) bool {
	b := &s.Build
	return runs(s) || b.Transition == TransitionStart || b.Transition == TransitionStop && b.Status != JobSucceeded
}

func armAutodelete(s *Snapshot) armed {
	b, p := &s.Build, &s.Template.Policy
	ofStopped := p.DeleteStopped > 0 || p.DeleteAtDeadline
	switch {
	case !ofStopped && p.TimeTilAutodelete <= 0:
		return not(thresholdOff)
	case !dormant(s) && !ofStopped:
		return not(notDormant)
	case !dormant(s) && (runs(s) || b.Transition == TransitionStart || b.Number == 0):
		return not(notAtRest)
	case s.Workspace.DeletingAt.IsZero():
		return not(noDeletion)
	}
	retry := unset
	if b.Transition == TransitionDelete {
		retry = at(b.CompletedAt).plus(max(deleteRetryFloor, retryPause(s, s.Workspace.Failures)))
	}
	return exceeded(at(s.Workspace.DeletingAt), jitter(s), retry)
}

// deletion returns when a workspace is deleted as it is, before any grace: the earliest of what the policy says of dormant
// and of stopped ones. Zero for never.
func deletion(s *Snapshot) time.Time {
	var when time.Time
	p, b := &s.Template.Policy, &s.Build
	if dormant(s) && p.TimeTilAutodelete > 0 {
		when = later(s.Workspace.DormantAt, p.TimeTilAutodelete)
	}
	if b.Transition != TransitionStop || b.Status != JobSucceeded {
		return when
	}
	if p.DeleteStopped > 0 {
		when = micros.Earlier(when, later(b.CompletedAt, p.DeleteStopped))
	}
	if p.DeleteAtDeadline && b.Reason == ReasonAutostop {
		when = micros.Earlier(when, b.CompletedAt)
	}
	return when
}

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
	next, ok := nextOccurrence(s, rest, 0)
	if !ok {
		return not(noAllowedDay)
	}
	return reached(at(next), 0)
}

func armReminder(s *Snapshot) armed {
	switch b := &s.Build; {
	case s.Template.Policy.ReminderLead <= 0:
		return not(thresholdOff)
	case !runs(s):
		return not(notRunning)
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
func stopAt(s *Snapshot) instant {
	a := armAutostop(s)
	return actsAfter(RuleAutostop, a, s, a.at)
}

// armDeleteReminder is for deletions that nobody was told of when they were set for good: those of stopped workspaces, and
// those that the end of a hold or another grace moved. The owner of a dormant one was told when it went dormant.
func armDeleteReminder(s *Snapshot) armed {
	a := armAutodelete(s)
	if !a.is() {
		return a
	}
	deleted := actsAfter(RuleAutodelete, a, s, a.at)
	switch {
	case s.Build.Transition == TransitionDelete || dormant(s) && deleted == a.at:
		return not(alreadyTold)
	case at(s.Workspace.RemindedFor) == deleted:
		return not(alreadyReminded)
	}
	return reached(deleted, -deleteGrace)
}

// remindAt bounds a reminder by what it counts back from. A hold does not silence it: it warns of what follows.
func remindAt(a armed, now instant) (armed, instant) {
	if remind := max(a.at, now); remind < a.since {
		return a, remind
	}
	a.obstacle = tooLateToRemind
	return a, never
}

func dormant(s *Snapshot) bool { return !s.Workspace.DormantAt.IsZero() }

// ttl returns the run time that rules a workspace: that of this run, or its own, if the template lets owners choose.
func ttl(s *Snapshot) time.Duration {
	switch {
	case !s.Template.Policy.AllowUserTTL:
		return s.Template.Policy.DefaultTTL
	case s.Build.TTL > 0:
		return s.Build.TTL
	}
	return s.Workspace.TTL
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

// startPause is how long after its n-th failure an automatic start is tried again.
func startPause(s *Snapshot, n int) time.Duration {
	r := s.Template.Policy.StartRetry.withDefaults()
	pause := backoff.Doubled(r.Initial, n-1, r.MaxInterval)
	return (pause + backoff.Spread(pause, s.Workspace.ID, uint64(n))).Truncate(micros.Tick)
}

func (r StartRetry) withDefaults() StartRetry {
	if r.Initial == 0 {
		r.Initial = time.Minute
	}
	if r.MaxInterval == 0 {
		r.MaxInterval = max(time.Hour, r.Initial)
	}
	return r
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
	w, p := &s.Workspace, &s.Template.Policy
	switch {
	case w.Autostart.Err() != nil:
		return w.Autostart.Err()
	case w.Autostop.Err() != nil:
		return w.Autostop.Err()
	case p.AutostartDays > schedule.AllDays:
		return invalid.As("Policy.AutostartDays", p.AutostartDays.Validate())
	case w.TTL < 0 || w.TTL > maxSpan:
		return invalid.New("Workspace.TTL", w.TTL, "must be 0 (off) or between %v and %v", schedule.MinTTL, schedule.MaxTTL)
	case p.DefaultTTL < 0 || p.DefaultTTL > maxSpan:
		return invalid.New("Policy.DefaultTTL", p.DefaultTTL, "must be 0 (off) or between %v and %v", schedule.MinTTL, schedule.MaxTTL)
	case p.Requirement == (schedule.Requirement{}):
		return nil
	case p.Requirement.Days > schedule.AllDays || p.Requirement.Weeks < 0 || p.Requirement.Weeks > schedule.MaxRequirementWeeks:
		return invalid.Within("Policy", p.Requirement.Validate())
	}
	return s.Owner.QuietHours.Err() // the required stop cannot be computed without them
}
