package lifecycle

import (
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// SetTTL sets the run time before autostop, 0 for none, else whole minutes from 1 minute to 30 days. A running workspace
// keeps its deadline. Without one it gets it, at least two hours from now; and without a TTL only what the schedule of stops
// and the cap ask for is left of it.
func SetTTL(ttl time.Duration) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := settable(&s); err != nil {
			return Change{}, err
		}
		d, err := schedule.ValidateTTL(ttl)
		switch {
		case !s.Template.Policy.AllowUserTTL:
			return Change{}, fmt.Errorf("ttl: %w: Policy.AllowUserTTL is off", ErrForbidden)
		case err != nil:
			return Change{}, err
		}
		e := edit(&s, now)
		e.s.Workspace.TTL = d
		if runs(&s) {
			e.s.Build.TTL = 0
			e.moveTTL(d)
		}
		e.emit(Event{Kind: EventChanged, Message: fmt.Sprintf("ttl: %v", d)}, TopicAudit)
		return e.change(), nil
	}
}

func (e *editor) moveTTL(ttl time.Duration) {
	b := &e.s.Build
	switch d := deadlines(&e.s).Deadline; {
	case ttl > 0 && b.Deadline.IsZero():
		b.Deadline = micros.Later(d, e.grace(HoldStops))
	case ttl == 0 && !d.IsZero():
		b.Deadline = micros.Later(d, b.Deadline)
		if d.After(e.now) {
			b.Deadline = d
		}
	case ttl == 0:
		b.Deadline = time.Time{}
	}
	e.capDeadline()
}

// Extend moves the deadline of a running workspace to a later instant: at least as far from now as the policy says (29
// minutes by default), at most its maximum, and at most the longest TTL from now. It never shortens the time that is left;
// see [SetDeadline]. It is allowed even where owners may not choose their TTL.
func Extend(deadline time.Time) Verb {
	return moveDeadline(deadline, func(s *Snapshot) time.Time { return s.Build.Deadline })
}

// SetDeadline moves the deadline of a running workspace like [Extend], and may make it earlier.
func SetDeadline(deadline time.Time) Verb {
	return moveDeadline(deadline, func(*Snapshot) time.Time { return time.Time{} })
}

// moveDeadline moves the deadline, but not before the instant that least returns.
func moveDeadline(deadline time.Time, least func(*Snapshot) time.Time) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := settable(&s); err != nil {
			return Change{}, err
		}
		e := edit(&s, now)
		if err := extendable(&e.s, deadline, e.now); err != nil {
			return Change{}, err
		}
		if old := least(&e.s); deadline.Before(old) {
			return Change{}, invalid.New("deadline", deadline.UTC().Format(time.RFC3339), "must not be before the deadline that it extends, %s", old.Format(time.RFC3339))
		}
		e.s.Build.Deadline = micros.Of(deadline)
		e.emit(Event{Kind: EventExtended, Until: e.s.Build.Deadline}, TopicAudit)
		return e.change(), nil
	}
}

func extendable(s *Snapshot, deadline, now time.Time) error {
	b, least := &s.Build, s.Template.Policy.MinExtend
	if least <= 0 {
		least = schedule.MinExtend
	}
	show := deadline.UTC().Format(time.RFC3339)
	switch latest := now.Add(schedule.MaxTTL); {
	case !runs(s) || b.Status.Active() || b.Deadline.IsZero():
		return invalid.New("deadline", show, "can only be moved while the workspace runs with a deadline")
	case deadline.Before(now.Add(least)):
		return invalid.New("deadline", show, "must be at least %v from now, %s", least, now.Add(least).Format(time.RFC3339))
	case deadline.Before(b.runSince()):
		return invalid.New("deadline", show, "must not be before the start completed, %s", b.runSince().Format(time.RFC3339))
	case !b.MaxDeadline.IsZero() && deadline.After(b.MaxDeadline):
		return invalid.New("deadline", show, "must not be after the max deadline, %s", b.MaxDeadline.Format(time.RFC3339))
	case deadline.After(latest):
		return invalid.New("deadline", show, "must not be more than the longest TTL, %v, from now", schedule.MaxTTL)
	}
	return nil
}

// Used records activity at an instant: the workspace was last used then, and the policy's bump moves its deadline. An
// instant in the future counts as now. WakeAt is left alone unless it would be too late.
//
// The executor collects activity and applies it in batches.
func Used(at time.Time) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if s.Workspace.Deleted || s.Workspace.Managed {
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		if at = micros.Of(at); at.After(e.now) {
			at = e.now
		}
		deadline, bumped := bump(&e.s, at)
		if !bumped && !at.After(s.Workspace.LastUsedAt) {
			return Change{}, ErrUnchanged
		}
		e.s.Workspace.LastUsedAt = micros.Later(s.Workspace.LastUsedAt, at)
		e.s.Build.Deadline = deadline
		e.lazily()
		return e.change(), nil
	}
}

// bump returns the deadline after activity at an instant.
func bump(s *Snapshot, at time.Time) (time.Time, bool) {
	b := &s.Build
	if !runs(s) || b.Status.Active() {
		return b.Deadline, false
	}
	in := schedule.BumpInput{
		Now: at, Deadline: b.Deadline, MaxDeadline: b.MaxDeadline, Bump: s.Template.Policy.ActivityBump, TTL: ttl(s),
	}
	// Only a first occurrence on an allowed day is one the workspace may run into.
	if next := s.Workspace.Autostart.Next(at); s.Template.Policy.AutostartDays.Has(next.Weekday()) {
		in.NextAutostart = next
	}
	deadline, changed := schedule.Bump(in)
	return micros.Of(deadline), changed
}
