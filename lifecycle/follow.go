package lifecycle

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/schedule"
)

// This file brings a workspace in line with rules of its template and owner that are newer than its stored instants. It is
// the one place where a change of a policy reaches a workspace, whoever made the change and in whatever way: it happens
// before anything else is decided or changed, so the graces count from the commit that writes it, and what a change brings
// closer acts on no workspace that does not follow it yet.

// follows reports whether the stored instants follow the rules of template and owner.
func follows(s *Snapshot) bool {
	return s.Workspace.Seen.Template == s.Template.Rules && s.Workspace.Seen.Owner == s.Owner.Rules
}

// follow makes them do so.
func (e *editor) follow() {
	w := &e.s.Workspace
	if !w.Deleted && !w.Managed {
		before, known := e.before()
		e.moveStored(before, known)
		e.leaveGraces(before, known)
	}
	w.Seen = Seen{Template: e.s.Template.Rules, Owner: e.s.Owner.Rules} // last: the terms depend on it
}

// before returns the workspace under the policy that it follows; known is false if nobody remembers that one, because the
// policy has changed too often since.
func (e *editor) before() (s *Snapshot, known bool) {
	before := e.s
	policy, known := before.Template.policyAt(before.Workspace.Seen.Template)
	if known {
		before.Template.Policy = policy
	}
	return &before, known
}

// moveStored moves the stored values that depend on a changed one.
func (e *editor) moveStored(before *Snapshot, known bool) {
	w, t := &e.s.Workspace, &e.s.Template
	if w.Seen.Template != t.Rules {
		if !t.Policy.AllowUserTTL {
			w.TTL = t.Policy.DefaultTTL
		}
		terms := t.termsSince(w.Seen.Template)
		if terms.ResetLastUsed {
			w.LastUsedAt = micros.Later(w.LastUsedAt, e.now)
		}
		if terms.ResetDormant && dormant(&e.s) {
			w.DormantAt = micros.Later(w.DormantAt, e.now)
		}
		e.moveDeletion(before, known)
	}
	if runs(&e.s) {
		e.moveDeadline(before)
	}
}

// moveDeletion moves the deletion of a workspace at rest.
func (e *editor) moveDeletion(before *Snapshot, known bool) {
	w := &e.s.Workspace
	old, want := w.DeletingAt, deletion(&e.s)
	if known && want.Equal(deletion(before)) {
		return
	}
	if w.DeletingAt = want; !want.IsZero() {
		w.DeletingAt = withGrace(want, old, e.grace(HoldDeletion))
	}
	switch {
	case w.DeletingAt.Equal(old):
	case w.DeletingAt.IsZero():
		e.emit(Event{Kind: EventDeletionOff}, TopicNotice, TopicAudit)
	default:
		e.emit(Event{Kind: EventDeletionMoved, Until: w.DeletingAt}, TopicNotice, TopicAudit)
	}
}

// grace is the instant before which a change brings no rule of a kind closer.
func (e *editor) grace(kind HoldRules) time.Time {
	terms := e.s.Template.termsSince(e.s.Workspace.Seen.Template)
	if kind == HoldDeletion {
		return e.now.Add(terms.DeleteGrace)
	}
	return e.now.Add(terms.StopGrace)
}

// withGrace returns an instant, but one that comes sooner than the old one not before the grace has passed.
func withGrace(at, old, grace time.Time) time.Time {
	if sooner := old.IsZero() || at.Before(old); !sooner || !at.Before(grace) {
		return at
	}
	return micros.Earlier(old, grace)
}

// moveDeadline moves the deadlines of a run. The cap is computed from the completion of the start, so that doing it again
// moves nothing; the deadline stays, unless the cap is sooner or gone, or the TTL has begun or ended.
func (e *editor) moveDeadline(before *Snapshot) {
	b := &e.s.Build
	was := *b
	d := deadlines(&e.s)
	b.MaxDeadline = e.movedCap(d.MaxDeadline)
	begins := ttl(&e.s) > 0 && was.Deadline.IsZero()
	ends := ttl(before) > 0 && ttl(&e.s) == 0
	uncapped := !was.MaxDeadline.IsZero() && was.Deadline.Equal(was.MaxDeadline) // if the cap has moved, that is
	switch grace := e.grace(HoldStops); {
	case uncapped && d.Deadline.IsZero():
		b.Deadline = time.Time{}
	case ends && d.Deadline.IsZero():
		b.Deadline = time.Time{}
	case ends:
		b.Deadline = withGrace(d.Deadline, was.Deadline, grace)
	case begins:
		b.Deadline = micros.Later(d.Deadline, grace)
	case uncapped:
		b.Deadline = micros.Later(was.Deadline, d.Deadline)
	}
	e.capDeadline()
}

// movedCap leaves the grace where a cap comes sooner: a required stop then waits for the next quiet hours.
func (e *editor) movedCap(limit time.Time) time.Time {
	old, grace := e.s.Build.MaxDeadline, e.grace(HoldStops)
	if limit.IsZero() || !old.IsZero() && !limit.Before(old) || !limit.Before(grace) {
		return limit
	}
	next := grace
	if limit.Equal(requiredStop(&e.s)) {
		fromThen := e.s
		fromThen.Build.RunSince = grace.Add(-quietLeeway)
		next = requiredStop(&fromThen)
	}
	return micros.Earlier(old, next)
}

// quietLeeway is how long after a start quiet hours leave it alone; see [schedule.Autostop].
const quietLeeway = 2 * time.Hour

// capDeadline keeps the deadline within its cap.
func (e *editor) capDeadline() {
	b := &e.s.Build
	if b.Deadline.IsZero() {
		b.Deadline = b.MaxDeadline
	}
	b.Deadline = capped(b.Deadline, b.MaxDeadline)
}

// leaveGraces compares when each rule acts before and after, whatever made the difference, and sets floors where it would
// act sooner. What is not known counts as never.
func (e *editor) leaveGraces(before *Snapshot, known bool) {
	w := &e.s.Workspace
	f := &w.Floors
	f.Stop = e.floorOf(before, known, HoldStops, f.Stop, RuleAutostop, RuleFailedCleanup)
	f.Dormancy = e.floorOf(before, known, HoldDormancy, f.Dormancy, RuleDormancy)
	f.Delete = e.floorOf(before, known, HoldDeletion, f.Delete, RuleAutodelete)
	if e.startsNow(before, known, RuleAutostart) {
		w.AutostartAfter = micros.Later(w.AutostartAfter, e.now)
	}
	if e.startsNow(before, known, RuleStartRetry) {
		w.StartFailures = 0
	}
}

// floorOf returns the floor of a kind of rules.
func (e *editor) floorOf(before *Snapshot, known bool, kind HoldRules, floor time.Time, rules ...Rule) time.Time {
	limit := at(e.grace(kind)).plus(jitter(&e.s))
	for _, r := range rules {
		was, is := never, acting(r, &e.s, e.now)
		if known {
			was = acting(r, before, e.now)
		}
		if is < was && is < limit {
			floor = micros.Later(floor, min(was, limit).time())
		}
	}
	return floor
}

// acting returns when a rule would act from now on if only its own condition and holds counted. A deletion that waits for
// another rule counts from when that one acts.
func acting(r Rule, s *Snapshot, now time.Time) instant {
	a := arm(r, s)
	switch {
	case r == RuleAutodelete && !a.is():
		return deletionAhead(s, now)
	case !a.is():
		return never
	}
	return actsAfter(r, a, s, at(now))
}

// deletionAhead returns when a workspace that is not to be deleted yet will be, if all that happens to it until then is what
// the rules do: it is stopped at its deadline or after a failure, or it becomes dormant.
func deletionAhead(s *Snapshot, now time.Time) instant {
	p, ahead := &s.Template.Policy, never
	sleeps, deadline, cleanup := acting(RuleDormancy, s, now), acting(RuleAutostop, s, now), acting(RuleFailedCleanup, s, now)
	if p.TimeTilAutodelete > 0 {
		ahead = sleeps.plus(p.TimeTilAutodelete)
	}
	if p.DeleteAtDeadline && deadline <= sleeps && s.Owner.Status != OwnerSuspended { // see stoppedAtDeadline
		ahead = min(ahead, deadline)
	}
	if stops := min(deadline, cleanup); p.DeleteStopped > 0 && stops <= sleeps {
		ahead = min(ahead, stops.plus(p.DeleteStopped))
	}
	ahead = ahead.plus(jitter(s) + micros.Tick)
	return released(s, HoldDeletion, max(ahead, at(now)))
}

// startsNow reports whether a change makes a start due that was not: what counts as an occurrence has grown, and nobody
// wants a fleet to start at the minute of the change.
func (e *editor) startsNow(before *Snapshot, known bool, r Rule) bool {
	now := at(e.now)
	return acting(r, &e.s, e.now) <= now && !(known && acting(r, before, e.now) <= now)
}

// deadlines computes what a run gets from workspace, policy and owner. It counts from the completion of the start, so that
// computing again later moves nothing. What cannot be computed is left out: [fault] reports it.
func deadlines(s *Snapshot) schedule.Deadlines {
	since := s.Build.runSince()
	d := schedule.Deadlines{MaxDeadline: requiredStop(s)}
	if run := s.Template.Policy.MaxRuntime; run > 0 {
		d.MaxDeadline = micros.Earlier(d.MaxDeadline, later(since, run))
	}
	d.Deadline = autostopOf(s, schedule.AutostopInput{
		TTL: min(ttl(s), maxSpan), Autostart: s.Workspace.Autostart, AutostartDays: s.Template.Policy.AutostartDays & schedule.AllDays,
	}).Deadline
	if next := s.Workspace.Autostop.Next(since); !next.IsZero() {
		d.Deadline = micros.Earlier(d.Deadline, micros.Of(next))
	}
	if !d.MaxDeadline.IsZero() && (d.Deadline.IsZero() || d.MaxDeadline.Before(d.Deadline)) {
		d.Deadline = d.MaxDeadline
	}
	return d
}

// requiredStop is the cap of the autostop requirement, zero for none.
func requiredStop(s *Snapshot) time.Time {
	return autostopOf(s, schedule.AutostopInput{Requirement: s.Template.Policy.Requirement, QuietHours: s.Owner.QuietHours}).MaxDeadline
}

func autostopOf(s *Snapshot, in schedule.AutostopInput) schedule.Deadlines {
	in.CompletedAt = s.Build.runSince()
	d, _ := schedule.Autostop(in) // none with an error
	return schedule.Deadlines{Deadline: at(d.Deadline).time(), MaxDeadline: at(d.MaxDeadline).time()}
}
