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
	// free says that nothing is set that could suspend single rules.
	free bool
}

func look(s *Snapshot, now time.Time) view {
	v := view{now: at(now), why: suspended(s)}
	v.free = free(s) && at(s.Engine.SettleUntil) <= v.now
	return v
}

// free reports whether there is no hold, holiday, floor or back-off, which is the usual state. (Settling, which is over at some
// instant and then stays written, is compared with now.)
func free(s *Snapshot) bool {
	w, t, e := &s.Workspace, &s.Template, &s.Engine
	return w.Hold.Until.IsZero() && t.Hold.Until.IsZero() && e.Hold.Until.IsZero() && t.Policy.Holidays == nil &&
		w.Backoff.Until.IsZero() && w.Floors.none() && t.Floors.none() && e.Floors.none()
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
	case v.free:
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
	panic("lifecycle: no condition of rule " + r.String())
}

// runs reports whether compute of the workspace may be running: a start succeeded, and no stop or delete has since.
func runs(s *Snapshot) bool { return s.Build.started() || !s.Build.RunSince.IsZero() }

// started reports whether the build is a start that succeeded.
func (b *Build) started() bool { return b.Transition == TransitionStart && b.Status == JobSucceeded }

// runSince is when the run began. Of a start that succeeded it follows from the start alone.
func (b *Build) runSince() time.Time {
	if b.RunSince.IsZero() && b.started() {
		return micros.Later(b.CompletedAt, always.time())
	}
	return b.RunSince
}

// automatic reports whether a rule made the build.
func automatic(b *Build) bool { return b.Reason != ReasonManual && b.Reason != "" }

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
