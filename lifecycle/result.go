package lifecycle

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Result returns what a store has of a workspace after the change was applied to s: what a change does not write is as it was,
// and every instant is in UTC and whole microseconds, whatever a verb of the host has made. Owner and Template are those of s.
func (c *Change) Result(s Snapshot) Snapshot {
	was, w := &s.Workspace, c.Workspace
	w.ID, w.OrganizationID, w.TemplateID, w.CreatedAt = was.ID, was.OrganizationID, was.TemplateID, was.CreatedAt
	if !c.Claims {
		w.OwnerID, w.Name = was.OwnerID, was.Name
	}
	w.Revision = c.Revision + 1
	toMicros(&w.WakeAt, &w.AutostartAfter, &w.LastUsedAt, &w.DormantAt, &w.DeletingAt, &w.RemindedFor, &w.AttentionAt,
		&w.Hold.Until, &w.Backoff.Until, &w.Floors.Stop, &w.Floors.Dormancy, &w.Floors.Delete)
	s.Workspace = w
	b := c.Build
	toMicros(&b.CreatedAt, &b.CompletedAt, &b.DueAt, &b.RunSince, &b.Deadline, &b.MaxDeadline)
	if b.Number > 0 {
		s.Build = b
	}
	return s
}

func toMicros(times ...*time.Time) {
	for _, t := range times {
		*t = micros.Of(*t)
	}
}
