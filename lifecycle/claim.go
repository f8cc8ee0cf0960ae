package lifecycle

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/schedule"
)

// Errors of claims.
var (
	// ErrClaimed says that the workspace was handed out to somebody else.
	ErrClaimed = errors.New("workspace is claimed by somebody else")
	// ErrNotClaimable says that the workspace does not run.
	ErrNotClaimable = errors.New("workspace is not ready to be claimed")
	// ErrNameTaken says that its new owner has another workspace of that name.
	ErrNameTaken = errors.New("the owner has another workspace of that name")
)

// Handover is what a managed workspace gets when it is claimed.
type Handover struct {
	// Owner gets the workspace. Its quiet hours count for the deadlines. Required; it must not be suspended.
	Owner Owner
	// Name is the workspace's new name, "" to keep the old one.
	Name string
	// Autostart is its schedule, nil for none.
	Autostart *schedule.Cron
	// TTL is its run time before autostop, 0 for the template's default.
	TTL time.Duration
}

// Claim hands a managed workspace that runs to its owner. From then on it is a workspace like any other: its lifecycle
// begins at now, as if it had started then, whatever it was before. Claiming it again for the same owner changes nothing.
//
// The change says that it [Change.Claims]. A name that the owner has given to another workspace is refused by the commit,
// with [NameTaken].
func Claim(h Handover) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		if err := claimable(&s, h); err != nil {
			return Change{}, err
		}
		e := edit(&s, now)
		e.handOver(h)
		if err := autostartable(&e.s, h.Autostart, now); err != nil {
			return Change{}, err
		}
		e.beginRun(e.now)
		e.emit(Event{Kind: EventClaimed, Until: e.s.Build.Deadline, Message: "claimed by " + h.Owner.Name}, TopicAudit)
		c := e.change()
		c.Claims = true
		if h.Owner.Status != OwnerActive {
			c.Workspace.WakeAt = e.now // who may be active again by the commit; then the rules say something else
		}
		return c, nil
	}
}

// GiveBack makes a workspace managed again, under an owner who stands for whatever manages it, as if it had never been
// claimed: nobody used it meanwhile. It is for a claim whose claimer left before the workspace was handed out. One that is
// managed by that owner already is [ErrUnchanged].
func GiveBack(manager Owner, name string) Verb {
	return func(s Snapshot, now time.Time) (Change, error) {
		switch w := &s.Workspace; {
		case manager.ID == uuid.Nil:
			return Change{}, invalid.New("manager", manager.ID, "must be somebody")
		case w.Deleted:
			return Change{}, ErrDeleted
		case w.Managed && w.OwnerID == manager.ID:
			return Change{}, ErrUnchanged
		}
		e := edit(&s, now)
		e.handOver(Handover{Owner: manager, Name: name})
		e.s.Workspace.Managed = true
		if runs(&e.s) {
			e.beginRun(e.now)
		}
		e.emit(Event{Kind: EventClaimed, Message: "given back to " + manager.Name}, TopicAudit)
		c := e.change()
		c.Claims = true
		return c, nil
	}
}

func claimable(s *Snapshot, h Handover) error {
	w := &s.Workspace
	switch {
	case h.Owner.ID == uuid.Nil:
		return invalid.New("Handover.Owner", h.Owner.ID, "must be somebody")
	case h.Owner.Status == OwnerSuspended:
		return invalid.New("Handover.Owner", h.Owner.Status, "must not be suspended")
	case w.Deleted:
		return ErrDeleted
	case !w.Managed && w.OwnerID == h.Owner.ID:
		return ErrUnchanged
	case !w.Managed:
		return ErrClaimed
	case s.Build.Transition != TransitionStart || s.Build.Status != JobSucceeded:
		return fmt.Errorf("build %d, a %s, is %s: %w", s.Build.Number, s.Build.Transition, s.Build.Status, ErrNotClaimable)
	case h.TTL != 0 && !s.Template.Policy.AllowUserTTL:
		return fmt.Errorf("ttl: %w: Policy.AllowUserTTL is off", ErrForbidden)
	}
	_, err := schedule.ValidateTTL(h.TTL)
	return err
}

// handOver forgets all that was the pool's.
func (e *editor) handOver(h Handover) {
	w := &e.s.Workspace
	e.s.Owner = h.Owner
	w.Managed = false
	w.OwnerID = h.Owner.ID
	if h.Name != "" {
		w.Name = h.Name
	}
	if w.TTL = h.TTL; h.TTL == 0 {
		w.TTL = e.s.Template.Policy.DefaultTTL
	}
	w.Autostart, w.AutostartAfter = h.Autostart, e.now
	w.LastUsedAt = micros.Later(w.LastUsedAt, e.now)
	w.DormantAt, w.DeletingAt, w.RemindedFor = time.Time{}, time.Time{}, time.Time{}
	w.Hold, w.Floors, w.Autostop = Hold{}, Floors{}, nil
	w.Failures, w.StartFailures, w.AttentionAt, w.Backoff = 0, 0, time.Time{}, Backoff{}
	w.Seen.Owner = h.Owner.Rules
}
