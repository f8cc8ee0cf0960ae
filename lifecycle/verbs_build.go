package lifecycle

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// RequestBuild makes a build by hand. A start ends dormancy and counts as use. Version is the template version of a start
// or a delete; uuid.Nil leaves the choice to the policy and the workspace, as for automatic builds.
func RequestBuild(transition Transition, version uuid.UUID) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := requestable(&s, transition, version); err != nil {
			return Change{}, err
		}
		e := edit(&s, now)
		e.request(transition, version)
		return e.change(), nil
	}
}

// StartFor makes a start by hand, as [RequestBuild] does, whose run has a TTL of its own, in whole minutes from 1 minute to
// 30 days. The template has to let owners choose their TTL.
func StartFor(ttl time.Duration, version uuid.UUID) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := requestable(&s, TransitionStart, version); err != nil {
			return Change{}, err
		}
		d, err := schedule.ValidateTTL(ttl)
		switch {
		case err != nil:
			return Change{}, err
		case d == 0:
			return Change{}, invalid.New("ttl", ttl, "must be at least %v", schedule.MinTTL)
		case !s.Template.Policy.AllowUserTTL:
			return Change{}, fmt.Errorf("ttl: %w: Policy.AllowUserTTL is off", ErrForbidden)
		}
		e := edit(&s, now)
		e.request(TransitionStart, version)
		e.s.Build.TTL = d
		return e.change(), nil
	}
}

func (e *editor) request(transition Transition, version uuid.UUID) {
	if transition == TransitionStart {
		if dormant(&e.s) {
			e.endDormancy()
		}
		e.s.Workspace.LastUsedAt = micros.Later(e.s.Workspace.LastUsedAt, e.now)
	}
	if version == uuid.Nil {
		e.queue(transition, ReasonManual, time.Time{})
	} else {
		e.queueVersion(transition, ReasonManual, version, time.Time{})
	}
}

func requestable(s *Snapshot, t Transition, version uuid.UUID) error {
	switch {
	case t != TransitionStart && t != TransitionStop && t != TransitionDelete:
		return invalid.New("transition", t, "must be start, stop or delete")
	case s.Workspace.Deleted:
		return ErrDeleted
	case s.Build.Status.Active():
		return fmt.Errorf("build %d is %s: %w", s.Build.Number, s.Build.Status, ErrBuildActive)
	case version != uuid.Nil && t == TransitionStop:
		return invalid.New("version", version, "can only be chosen for a start or a delete")
	case version != uuid.Nil && t == TransitionStart && s.Template.Policy.RequireActiveVersion && version != s.Template.ActiveVersionID:
		return fmt.Errorf("version %s is not the active version: %w", version, ErrForbidden)
	}
	return nil
}

// WorkerReturned ends a back-off that waits for a worker: what was put off is due at once. [ErrUnchanged] if the workspace
// waits for nothing, or for something else.
func WorkerReturned() Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if s.Workspace.Backoff.Cause != SkipNoWorker {
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.s.Workspace.Backoff = Backoff{}
		return e.change(), nil
	}
}
