package lifecycle

import "time"

// maxPostpone is the longest pause of [Postpone]. A back-off that ends further away was set by a clock that was ahead, and
// holds nothing until then.
const maxPostpone = 75 * time.Minute

// kindOf says which holds and floors concern a rule.
func kindOf(r Rule, s *Snapshot) HoldRules {
	switch r {
	case RuleAutostop, RuleFailedCleanup:
		return HoldStops
	case RuleDormancy:
		if stopsBeforeDormancy(s) && s.Owner.Status != OwnerSuspended { // whose stop nothing holds
			return HoldDormancy | HoldStops
		}
		return HoldDormancy
	case RuleAutodelete:
		return HoldDeletion
	}
	return HoldStarts
}

// graceOf is how long a kind of rules waits after what held it has ended.
func graceOf(kind HoldRules) time.Duration {
	switch {
	case kind&HoldDeletion != 0:
		return deleteGrace
	case kind&HoldDormancy != 0:
		return dormancyGrace
	}
	return 0
}

// actsAfter returns the first instant, not before now, at which an armed rule acts. What holds the rule moves it to the end
// of the hold, spread like a herd, and with a grace if it is dormancy or a deletion. So far that depends on the snapshot
// alone; then come now, and holidays and back-offs that it falls into.
func actsAfter(r Rule, a armed, s *Snapshot, now instant) instant {
	if r == RuleAutostop && a.since == always {
		return postponed(s, HoldStops, max(a.at, now)) // a suspended owner: nothing holds it
	}
	kind := kindOf(r, s)
	t := max(released(s, kind, a.at), now)
	for {
		u := outsideHolidays(s, kind, postponed(s, kind, t), 0)
		if u == t {
			return t
		}
		t = u
	}
}

// released returns t, or where all that holds rules of a kind has let go: what can be known beforehand, and told to people. A
// back-off is no part of it.
func released(s *Snapshot, kind HoldRules, t instant) instant {
	if free(s) && s.Engine.SettleUntil.IsZero() {
		return t
	}
	return moved(s, kind, max(t, floor(s, kind)))
}

// floor is the instant before which no rule of a kind acts.
func floor(s *Snapshot, kind HoldRules) instant {
	f := s.Workspace.Floors.of(kind)
	if shared := max(s.Template.Floors.of(kind), s.Engine.Floors.of(kind)); shared != unset {
		f = max(f, shared.plus(jitter(s)))
	}
	if kind&(HoldStops|HoldDormancy) != 0 {
		f = max(f, at(s.Engine.SettleUntil))
	}
	return f
}

// moved returns t, or where the holds and holidays that cover it let go. It is asked of every rule in every decision, and nearly
// always there is neither, nor a back-off: that is looked at first, here and in what it calls.
func moved(s *Snapshot, kind HoldRules, t instant) instant {
	grace := graceOf(kind)
	if end := holdsEnd(s, kind); end != unset && t < end.plus(grace) {
		t = end.plus(grace + jitter(s))
	}
	return outsideHolidays(s, kind, t, grace+jitter(s))
}

// holdsEnd returns where the holds of any of the kinds end.
func holdsEnd(s *Snapshot, kind HoldRules) instant {
	return max(s.Workspace.Hold.end(kind), s.Template.Hold.end(kind), s.Engine.Hold.end(kind))
}

// outsideHolidays returns t, or the end of the holidays that cover it and hold the kind, and some time more. The loop ends:
// each round is at least a day later, and the dates do.
func outsideHolidays(s *Snapshot, kind HoldRules, t instant, more time.Duration) instant {
	p := &s.Template.Policy
	if p.Holidays == nil || t == never || p.holidaysHold()&kind == 0 {
		return t
	}
	for range maxOccurrences {
		end, held := p.Holidays.Covering(t.time())
		if !held {
			return t
		}
		t = at(end).plus(more)
	}
	return t
}

func (p *Policy) holidaysHold() HoldRules {
	if p.HolidaysHold == 0 {
		return HoldStarts
	}
	return p.HolidaysHold
}

// postponed returns t, or the end of the back-off that covers it. A new version of the template ends one that was set before:
// what could not be built may be possible now.
func postponed(s *Snapshot, kind HoldRules, t instant) instant {
	b := &s.Workspace.Backoff
	if b.Until.IsZero() {
		return t
	}
	until := at(b.Until)
	if t >= until || t < until.plus(-maxPostpone) {
		return t
	}
	if b.Cause == SkipBrake {
		if kind&HoldDeletion == 0 || t < at(s.Engine.DeletionsReleasedUntil) {
			return t
		}
	} else if outdated(s) {
		return t
	}
	return until
}

// outdated reports whether the back-off was set before the template got its active version.
func outdated(s *Snapshot) bool {
	b := &s.Workspace.Backoff
	if s.Template.VersionSince.IsZero() || b.Attempts == 0 {
		return false
	}
	set := at(b.Until).plus(-postponement(s, b.Cause, b.Attempts-1))
	return set < at(s.Template.VersionSince)
}

// heldUntil returns when the hold of a kind of rules that covers t ends, and whether there is one.
func heldUntil(s *Snapshot, kind HoldRules, t instant) (instant, bool) {
	end := holdsEnd(s, kind)
	if p := &s.Template.Policy; p.Holidays != nil && p.holidaysHold()&kind != 0 {
		if until, held := p.Holidays.Covering(max(t, end).time()); held {
			return at(until), true
		}
	}
	return end, end > t
}
