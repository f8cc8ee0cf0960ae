package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
)

var _ lifecycle.ZoneKeeper = (*Store)(nil)

const (
	zonesSQL     = `SELECT name, fingerprint FROM dormouse.zones ORDER BY name`
	keepZonesSQL = `
	INSERT INTO dormouse.zones (name, fingerprint)
	SELECT name, fingerprint FROM unnest($1::text[], $2::bigint[]) AS z (name, fingerprint) ORDER BY name
	ON CONFLICT (name) DO UPDATE SET fingerprint = excluded.fingerprint`
)

// KeepZones implements [lifecycle.ZoneKeeper]. Two processes that find the same change at once wake everything twice, which
// does no harm.
func (s *Store) KeepZones(ctx context.Context, now time.Time, zones []string, fingerprint func(string) int64) (changed []string, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) (err error) {
			changed, err = s.keepZones(ctx, tx, now, zones, fingerprint)
			return err
		})
	})
	if err == nil && len(changed) > 0 {
		s.later(ctx, s.resumeMarks(ctx))
	}
	return changed, wrap(err, "compare time zones")
}

func (s *Store) keepZones(ctx context.Context, tx pgx.Tx, now time.Time, zones []string, fingerprint func(string) int64) (changed []string, err error) {
	rows, _ := tx.Query(ctx, s.sql(zonesSQL))
	var name string
	var known int64
	_, err = pgx.ForEachRow(rows, []any{&name, &known}, func() error {
		if fingerprint(name) != known {
			changed = append(changed, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	kept := slices.Concat(zones, changed)
	slices.Sort(kept)
	kept = slices.Compact(kept)
	fingerprints := make([]int64, len(kept))
	for i, name := range kept {
		fingerprints[i] = fingerprint(name)
	}
	if _, err := tx.Exec(ctx, s.sql(keepZonesSQL), kept, fingerprints); err != nil || len(changed) == 0 {
		return changed, err
	}
	_, err = tx.Exec(ctx, s.sql(markAllSQL), now)
	return changed, err
}
