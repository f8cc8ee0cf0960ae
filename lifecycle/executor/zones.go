package executor

import (
	"context"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// zones has the store remember what this process knows of time zones. The first tick of a process compares it with what the
// processes before it knew; after that only zones that were not seen before are told.
type zones struct {
	keeper    lifecycle.ZoneKeeper // nil if the store keeps none
	schedules schedule.Interner    // what it parses it remembers

	mu    sync.Mutex
	known map[string]bool
	fresh []string
	// compared: the store has compared the zones that it knows with those of this process.
	compared bool
}

func newZones(store *bounded) *zones {
	z := &zones{known: map[string]bool{}}
	if store != nil && store.keeper != nil {
		z.keeper = store
	}
	return z
}

// see notes the zones of a workspace.
func (z *zones) see(s *lifecycle.Snapshot) {
	if z.keeper == nil {
		return
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	s.Zones(func(zone string) {
		if !z.known[zone] {
			z.known[zone] = true
			z.fresh = append(z.fresh, zone)
		}
	})
}

// tell tells the store of zones that are new, and compares all of them when a process ticks for the first time. Nobody waits
// for a lock while the store takes its time.
func (z *zones) tell(ctx context.Context, now time.Time, compare bool) (changed []string, err error) {
	fresh, needed := z.take(compare)
	if !needed {
		return nil, nil
	}
	changed, err = z.keeper.KeepZones(ctx, now, fresh, z.fingerprint)
	z.told(fresh, err)
	return changed, err
}

// take takes what the store has to be told, if anything.
func (z *zones) take(compare bool) (fresh []string, needed bool) {
	if z.keeper == nil {
		return nil, false
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	fresh, z.fresh = z.fresh, nil
	return fresh, len(fresh) > 0 || compare && !z.compared
}

// told notes that the store was told, or puts back what it was not.
func (z *zones) told(fresh []string, err error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if err != nil {
		z.fresh = append(z.fresh, fresh...)
		return
	}
	z.compared = true
}

// fingerprint stands for what this process knows of a zone, 0 for nothing.
func (z *zones) fingerprint(zone string) int64 {
	return z.schedules.Weekly("CRON_TZ=" + zone + " 0 0 * * *").ZoneFingerprint()
}

// keepZones tells the store, which matters to no tick or verb that works already.
func (c *Client) keepZones(ctx context.Context, now time.Time, compare bool) {
	changed, err := c.zones.tell(ctx, now, compare)
	if err != nil {
		warn(ctx, c.logger, "compare time zones", err)
	}
	if len(changed) > 0 {
		c.logger.InfoContext(ctx, "executor: time zones have other rules now; all workspaces are looked at", "zones", changed)
	}
}
