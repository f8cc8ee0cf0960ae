package sqlite

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

var _ lifecycle.ZoneKeeper = (*Store)(nil)

// KeepZones implements [lifecycle.ZoneKeeper].
func (s *Store) KeepZones(ctx context.Context, now time.Time, zones []string, fingerprint func(string) int64) (changed []string, err error) {
	err = s.write(ctx, func(t *tx) (err error) {
		changed, err = t.keepZones(now, zones, fingerprint)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "compare time zones")
	}
	if len(changed) > 0 {
		s.sweepAfter(ctx)
	}
	return changed, nil
}

func (t *tx) keepZones(now time.Time, zones []string, fingerprint func(string) int64) (changed []string, err error) {
	err = t.query(`SELECT name, fingerprint FROM {zones} ORDER BY name`, func(r rows) error {
		var name string
		var known int64
		err := r.Scan(&name, &known)
		if err == nil && fingerprint(name) != known {
			changed = append(changed, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range append(zones, changed...) {
		_, err := t.exec(`INSERT INTO {zones} (name, fingerprint) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET fingerprint = excluded.fingerprint`,
			name, fingerprint(name))
		if err != nil {
			return nil, err
		}
	}
	if len(changed) > 0 {
		err = t.wakeEverything(now)
	}
	return changed, err
}

// wakeEverything outdates all decisions, and has all workspaces swept.
func (t *tx) wakeEverything(now time.Time) error {
	_, err := t.exec(`UPDATE {templates} SET revision = revision + 1, sweep_at = ?, sweep_after = x''`, micros(now))
	return err
}
