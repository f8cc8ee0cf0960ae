package memory

import (
	"context"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

var _ lifecycle.ZoneKeeper = (*Store)(nil)

// KeepZones implements [lifecycle.ZoneKeeper]. Within one process zone data do not change; a dump goes on to another one.
func (s *Store) KeepZones(ctx context.Context, now time.Time, zones []string, fingerprint func(string) int64) (changed []string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	for name, known := range s.zones {
		if is := fingerprint(name); is != known {
			s.zones[name] = is
			changed = append(changed, name)
		}
	}
	for _, name := range zones {
		if _, known := s.zones[name]; !known {
			s.zones[name] = fingerprint(name)
		}
	}
	if len(changed) > 0 {
		s.wakeEverything(now)
	}
	s.mu.Unlock()
	if len(changed) > 0 {
		s.watchers.Notify()
	}
	slices.Sort(changed)
	return changed, nil
}

// wakeEverything makes all workspaces due. The caller holds the lock.
func (s *Store) wakeEverything(now time.Time) {
	for i := range s.templates.rows {
		s.fleet.wakeAll(s.templates.rows[i].members, ofTemplate, now)
	}
}
