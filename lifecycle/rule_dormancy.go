package lifecycle

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

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
	if p.TimeTilAutodelete > 0 {
		when = later(s.Workspace.DormantAt, p.TimeTilAutodelete) // zero of one that is awake
	}
	if b.Transition != TransitionStop || b.Status != JobSucceeded {
		return when
	}
	if p.DeleteStopped > 0 {
		when = micros.Earlier(when, later(b.CompletedAt, p.DeleteStopped))
	}
	if p.DeleteAtDeadline && stoppedAtDeadline(s) {
		when = micros.Earlier(when, b.CompletedAt)
	}
	return when
}

// stoppedAtDeadline reports whether the latest build is a stop that the deadline asked for. That of a suspended owner's workspace
// is none, also if the owner is no longer suspended, up to the instant at which that ends: what the deadline throws away stays.
func stoppedAtDeadline(s *Snapshot) bool {
	b := &s.Build
	return b.Reason == ReasonAutostop && s.Owner.Status != OwnerSuspended && b.CreatedAt.After(s.Owner.AutostartAfter)
}

func dormant(s *Snapshot) bool { return !s.Workspace.DormantAt.IsZero() }
