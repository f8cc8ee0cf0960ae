package prewarm

import (
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Apply returns the members as they are when a decision is carried out, those that change only: the changes to put into
// the store. The members are the ones that were decided on. newID gives the ids of new members.
func (d Decision) Apply(spec Spec, members []Member, now time.Time, newID func() uuid.UUID) []Change {
	spec, now = spec.withDefaults(), micros.Of(now)
	changes := make([]Change, 0, len(d.Actions))
	for _, a := range d.Actions {
		if a.Kind == ActionCreate {
			m := NewMember(spec, newID(), a.Reason, now)
			m.For = a.For
			changes = append(changes, Change{Member: m})
			continue
		}
		changes = append(changes, Change{Member: a.apply(spec, members[a.index], now)})
	}
	return changes
}

func (a Action) apply(spec Spec, m Member, now time.Time) Member {
	switch a.Kind {
	case ActionDestroy:
		return m.destroyed(spec, a.Reason, now)
	case ActionQuarantine:
		return m.quarantined(spec, a.Reason, "", now)
	case ActionForget:
		// A tombstone without a deadline is one that the store removes.
		return m.to(Gone, a.Reason, time.Time{})
	}
	m.For = a.For
	return m
}

// quarantined returns the member as nobody may have it for a while, or on its way out if the spec has no quarantine.
func (m Member) quarantined(spec Spec, why Reason, message string, now time.Time) Member {
	m.Message = message
	if spec.Quarantine == 0 {
		return m.destroyed(spec, why, now)
	}
	m.For = ""
	return m.to(Quarantined, why, now.Add(spec.Quarantine))
}
