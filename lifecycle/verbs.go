package lifecycle

import (
	"errors"
	"fmt"
	"time"
)

// Verb is something that happens to a workspace besides the rules, as a pure function from a snapshot to a change. The
// executor's Update loads, calls and commits, and starts over when another commit was faster, so a verb may run several
// times. It returns [ErrUnchanged] if there is nothing to do, and an [*invalid.Error] that names the argument if one is bad.
type Verb func(s Snapshot, now time.Time) (Change, error)

// Errors of verbs.
var (
	// ErrUnchanged says that the workspace already is as the verb wants it.
	ErrUnchanged = errors.New("nothing to change")
	// ErrBuildActive says that a build is pending or running and has to end first.
	ErrBuildActive = errors.New("a build is active")
	// ErrStaleBuild says that the build is not the latest one, or has already ended in another way.
	ErrStaleBuild = errors.New("not the latest active build")
	// ErrDeleted says that the workspace is deleted.
	ErrDeleted = errors.New("workspace is deleted")
	// ErrManaged says that something else controls the workspace; its lifecycle begins when it is handed out.
	ErrManaged = errors.New("workspace is managed by something else")
	// ErrForbidden says that the template's policy does not allow it.
	ErrForbidden = errors.New("not allowed by the template's policy")
)

// settable reports why the lifecycle of a workspace cannot be changed by hand.
func settable(s *Snapshot) error {
	switch {
	case s.Workspace.Deleted:
		return ErrDeleted
	case s.Workspace.Managed:
		return ErrManaged
	}
	return nil
}

// MarkDormant marks a workspace dormant by hand, stopping it first if it may be running. With notify its owner gets the
// notice that the rule would have sent.
func MarkDormant(notify bool) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch err := settable(&s); {
		case err != nil:
			return Change{}, err
		case dormant(&s):
			return Change{}, ErrUnchanged
		case s.Build.Status.Active():
			return Change{}, fmt.Errorf("build %d is %s: %w", s.Build.Number, s.Build.Status, ErrBuildActive)
		}
		e := edit(&s, now)
		if stopsBeforeDormancy(&s) {
			e.endRun()
			e.queue(TransitionStop, ReasonManual, time.Time{})
		}
		e.goDormant()
		if !notify {
			e.events = dropTopic(e.events, TopicNotice)
		}
		return e.change(), nil
	}
}

// EndDormancy makes a dormant workspace an ordinary one again. Autostarts missed meanwhile are not caught up.
func EndDormancy() Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch err := settable(&s); {
		case err != nil:
			return Change{}, err
		case !dormant(&s):
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.endDormancy()
		return e.change(), nil
	}
}

// SetHold suspends rules for the workspace; the zero Hold, or one that has ended, ends what was held. Autostarts that fall
// into a hold are not caught up, stops happen when it ends, dormancy waits for two more hours and deletion for a day.
func SetHold(h Hold) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := settable(&s); err != nil {
			return Change{}, err
		}
		if err := h.Validate(); err != nil {
			return Change{}, err
		}
		h := h.stored()
		e := edit(&s, now)
		if !h.Until.After(e.now) {
			h = Hold{}
		}
		w := &e.s.Workspace
		if h == w.Hold {
			return Change{}, ErrUnchanged
		}
		w.Floors, w.AutostartAfter = w.Floors.leave(&w.Hold, &h, w.AutostartAfter, e.now, jitter(&e.s))
		w.Hold = h
		text := "hold ended"
		if !h.Until.IsZero() {
			text = "hold: " + h.describe()
		}
		e.emit(Event{Kind: EventChanged, Until: h.Until, Message: text}, TopicAudit)
		return e.change(), nil
	}
}

// ClearAttention lets automatic transitions go on after somebody has looked.
func ClearAttention() Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if s.Workspace.AttentionAt.IsZero() {
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.s.Workspace.AttentionAt, e.s.Workspace.Failures = time.Time{}, 0
		e.emit(Event{Kind: EventChanged, Message: "attention cleared"}, TopicAudit)
		return e.change(), nil
	}
}

// SetAutomaticUpdates chooses whether starts use the template's active version.
func SetAutomaticUpdates(on bool) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch {
		case s.Workspace.Deleted:
			return Change{}, ErrDeleted
		case s.Workspace.AutomaticUpdates == on:
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.s.Workspace.AutomaticUpdates = on
		e.emit(Event{Kind: EventChanged, Message: fmt.Sprintf("automatic updates: %t", on)}, TopicAudit)
		return e.change(), nil
	}
}

// dropTopic removes the events of a topic, in place.
func dropTopic(events []Event, t Topic) []Event {
	kept := events[:0]
	for _, e := range events {
		if e.Topic != t {
			kept = append(kept, e)
		}
	}
	return kept
}
