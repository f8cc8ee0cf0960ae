package lifecycle

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
)

// ZoneKeeper remembers what is known of the time zones that schedules name, so that new zone data reach the wakes that were
// computed with old ones.
type ZoneKeeper interface {
	// KeepZones notes the given zones, and compares all zones noted before with the data of this process, as fingerprint
	// returns them. It stores what is new. Where a zone was noted with other data, it makes all workspaces due at now, with a
	// new revision, as [Holder.PutEngine] does, and returns the zone's name.
	KeepZones(ctx context.Context, now time.Time, zones []string, fingerprint func(zone string) int64) (changed []string, err error)
}

// Zones calls yield with each zone that the instants of a workspace depend on.
func (s *Snapshot) Zones(yield func(zone string)) {
	for _, c := range [...]*schedule.Cron{s.Workspace.Autostart, s.Workspace.Autostop, s.Owner.QuietHours} {
		if c != nil && c.Err() == nil {
			yield(c.Location().String())
		}
	}
	if d := s.Template.Policy.Holidays; d != nil && d.Err() == nil {
		yield(d.Location().String())
	}
}
