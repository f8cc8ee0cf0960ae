package lifecycle

import (
	"errors"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// ErrStaleTemplate says that a template was written by somebody else since it was read.
var ErrStaleTemplate = errors.New("template was changed meanwhile")

// ReplaceTemplate returns what a store writes when a host puts a template in the place of old, the zero Template if there is
// none. It is for stores. The error is that of validation, [ErrStaleTemplate] if next does not name old's revision, or [ErrUnreadable]
// if a state that this version cannot read would have to change: another hold, policy or active version.
//
// The engine's own state comes from old. A policy that differs in any way begins new rules, which each workspace follows
// with the graces of the terms; see [PlanPolicy]. A hold that ends early leaves what the end of every hold leaves.
func ReplaceTemplate(old, next Template, now time.Time) (Template, error) {
	if next.Revision != old.Revision {
		return Template{}, fmt.Errorf("template %s: revision %d, not %d: %w", next.ID, old.Revision, next.Revision, ErrStaleTemplate)
	}
	if err := next.validate(&old); err != nil {
		return Template{}, fmt.Errorf("template %s: %w", next.ID, err)
	}
	next.Hold, next.Terms = next.Hold.inPlaceOf(old.Hold), next.Terms.inPlaceOf(old.Terms)
	t, now := old, stamped(now)
	if old.Revision > 0 && next.ActiveVersionID != old.ActiveVersionID {
		t.VersionSince = now
	}
	t.ID, t.OrganizationID, t.Name, t.ActiveVersionID = next.ID, next.OrganizationID, next.Name, next.ActiveVersionID
	if old.Revision == 0 {
		t.Policy, t.Terms = next.Policy, PolicyTerms{}
	} else {
		t = t.withPolicy(next.Policy, next.Terms)
	}
	t.Floors, t.AutostartAfter = old.Floors.leave(&old.Hold, &next.Hold, old.AutostartAfter, now, 0)
	t.Hold = next.Hold
	t.Revision++
	if err := t.keeps(); err != nil {
		return Template{}, fmt.Errorf("template %s: %w", t.ID, err)
	}
	return t, nil
}

// validate refuses what [Policy.Validate] and [Hold.Validate] refuse. A policy that is stored already, and that a host only
// passes through, is not looked at again: it must not stand in the way of a new version or a hold.
func (t *Template) validate(old *Template) error {
	if err := validName("Template.Name", t.Name); err != nil {
		return err
	}
	if err := t.Hold.Validate(); err != nil {
		return err
	}
	if old.Revision > 0 && t.Policy.Equal(old.Policy) {
		return t.Terms.Validate()
	}
	if err := t.Policy.Validate(); err != nil {
		return err
	}
	return t.Terms.Validate()
}

// stamped is what is stored of an instant that a clock shows: a host's may stand where no store keeps it.
func stamped(now time.Time) time.Time { return micros.Within(micros.Of(now)) }

// withPolicy is the template with another policy. Terms that were those of the change before are not meant for this one.
func (t Template) withPolicy(p Policy, terms PolicyTerms) Template {
	if t.Policy.Equal(p) && terms == t.Terms {
		return t
	}
	if terms == t.Terms {
		terms = PolicyTerms{}
	}
	t.Previous = (&Superseded{Rules: t.Rules, Policy: t.Policy, Terms: t.Terms, Previous: t.Previous}).cut(maxSuperseded)
	t.Policy, t.Terms = p, terms
	t.Rules++
	return t
}

// maxSuperseded is how many policies a template remembers. A workspace that follows an older one still is treated as if nobody
// knew it, which leaves the graces of every change.
const maxSuperseded = 4

// cut returns the latest n policies. The terms of those that are forgotten go on with the oldest that is not: a workspace that
// has skipped them keeps what they gave it, and one that has not gets it once more.
func (p *Superseded) cut(n int) *Superseded {
	if p == nil {
		return nil
	}
	kept := *p
	if n > 1 {
		kept.Previous = p.Previous.cut(n - 1)
		return &kept
	}
	for old := p.Previous; old != nil; old = old.Previous {
		kept.Terms = kept.Terms.and(old.Terms)
	}
	kept.Previous = nil
	return &kept
}

// policyAt returns the policy that applied at a count of rules, if anybody remembers it.
func (t *Template) policyAt(rules int64) (Policy, bool) {
	if rules == t.Rules {
		return t.Policy, true
	}
	for p := t.Previous; p != nil; p = p.Previous {
		if p.Rules == rules {
			return p.Policy, p.Policy.Holidays.Err() == nil
		}
	}
	return Policy{}, false
}

// termsSince are the terms for a workspace that follows the rules of a count: those of every change that it has skipped, of
// resets each, of graces the longest.
func (t *Template) termsSince(rules int64) PolicyTerms {
	terms := t.Terms.withDefaults()
	for p := t.Previous; p != nil && p.Rules > rules; p = p.Previous {
		terms = terms.and(p.Terms)
	}
	return terms
}

// ReplaceOwner returns what a store writes when a host puts an owner in the place of old, the zero Owner if there is none.
// It is for stores. An owner who becomes active again starts with the next occurrence, and new quiet hours reach the
// workspaces that run, with the grace of a policy change.
func ReplaceOwner(old, next Owner, now time.Time) (Owner, error) {
	_, err := next.Status.MarshalText()
	if err == nil {
		err = validName("Owner.Name", next.Name)
	}
	if err != nil {
		return Owner{}, fmt.Errorf("owner %s: %w", next.ID, err)
	}
	next.Rules, next.AutostartAfter = old.Rules, old.AutostartAfter
	if old.ID != next.ID {
		return next, nil // new
	}
	if old.QuietHours.Text() != next.QuietHours.Text() {
		next.Rules++
	}
	if old.Status != OwnerActive && next.Status != old.Status {
		next.AutostartAfter = stamped(now)
	}
	return next, nil
}

// ReplaceEngine returns what a store writes when a host puts an Engine in the place of old. It is for stores. A hold that
// ends early leaves what the end of every hold leaves; SettleUntil stays as it is, and Interval is not stored. The error is that of
// validation, or [ErrUnreadable] if old could not be read and would have to change.
func ReplaceEngine(old, next Engine, now time.Time) (Engine, error) {
	if err := next.Hold.Validate(); err != nil {
		return Engine{}, invalid.Within("Engine", err)
	}
	if err := validInstant("Engine.DeletionsReleasedUntil", next.DeletionsReleasedUntil); err != nil {
		return Engine{}, err
	}
	e := old
	e.Hold, e.DeletionsReleasedUntil, e.Interval = next.Hold.inPlaceOf(old.Hold), micros.Of(next.DeletionsReleasedUntil), 0
	e.Floors, e.AutostartAfter = old.Floors.leave(&old.Hold, &e.Hold, old.AutostartAfter, stamped(now), 0)
	if err := e.keeps(); err != nil {
		return Engine{}, fmt.Errorf("engine: %w", err)
	}
	return e, nil
}

// maxName bounds the names that stores keep in an index.
const maxName = 128

// Validate refuses a workspace that cannot be created: without an id, a name of more than 500 bytes, instants outside the
// years 1 to 9999, a TTL out of range, negative counts, a hold that is none.
func (w *Workspace) Validate() error {
	if err := validName("Workspace.Name", w.Name); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		at   time.Time
	}{
		{"Workspace.CreatedAt", w.CreatedAt},
		{"Workspace.WakeAt", w.WakeAt},
		{"Workspace.AutostartAfter", w.AutostartAfter},
		{"Workspace.LastUsedAt", w.LastUsedAt},
		{"Workspace.DormantAt", w.DormantAt},
		{"Workspace.DeletingAt", w.DeletingAt},
		{"Workspace.RemindedFor", w.RemindedFor},
		{"Workspace.AttentionAt", w.AttentionAt},
		{"Workspace.Backoff.Until", w.Backoff.Until},
		{"Workspace.Floors.Stop", w.Floors.Stop},
		{"Workspace.Floors.Dormancy", w.Floors.Dormancy},
		{"Workspace.Floors.Delete", w.Floors.Delete},
	} {
		if err := validInstant(f.name, f.at); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		name string
		n    int
	}{
		{"Workspace.Failures", w.Failures},
		{"Workspace.StartFailures", w.StartFailures},
		{"Workspace.Backoff.Attempts", w.Backoff.Attempts},
	} {
		if f.n < 0 {
			return invalid.New(f.name, f.n, "must not be negative")
		}
	}
	if err := w.Hold.Validate(); err != nil {
		return invalid.Within("Workspace", err)
	}
	if err := validTTL("Workspace.TTL", w.TTL); err != nil {
		return err
	}
	if w.ID == [16]byte{} { // before every page of a list
		return invalid.New("Workspace.ID", w.ID, "must be set")
	}
	return nil
}
