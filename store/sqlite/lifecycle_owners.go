package sqlite

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// PutOwner implements [lifecycle.Registry].
func (s *Store) PutOwner(ctx context.Context, now time.Time, o lifecycle.Owner) error {
	err := s.write(ctx, func(t *tx) error {
		old, _, err := s.ownerOf(o.ID, t.query)
		if err != nil {
			return err
		}
		next, err := lifecycle.ReplaceOwner(old, o, now)
		if err != nil {
			return err
		}
		err = t.execOne(`
			INSERT INTO {owners} (id, revision, sweep_at, name, status, quiet_hours, rules, autostart_after) VALUES (?, 0, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET revision = {owners}.revision + 1, sweep_at = excluded.sweep_at, sweep_after = x'',
				name = excluded.name, status = excluded.status, quiet_hours = excluded.quiet_hours,
				rules = excluded.rules, autostart_after = excluded.autostart_after`,
			blob(o.ID), micros(now), form.Text(o.Name), int64(o.Status), form.Text(o.QuietHours.Text()), next.Rules, micros(next.AutostartAfter))
		if err != nil {
			return err
		}
		return s.record(t)
	})
	if err == nil {
		s.sweepAfter(ctx)
	}
	return unavailable(err, "put owner %s", o.ID)
}

// Owner implements [lifecycle.Registry].
func (s *Store) Owner(ctx context.Context, id uuid.UUID) (o lifecycle.Owner, ok bool, err error) {
	if err = s.ready(ctx); err == nil {
		o, ok, err = s.ownerOf(id, s.querying(ctx))
	}
	return o, ok, unavailable(err, "owner %s", id)
}

const (
	ownerColumns = `id, name, status, quiet_hours, rules, autostart_after`

	selectOwner = `SELECT ` + ownerColumns + ` FROM {owners} WHERE id = ?`
	listOwners  = `SELECT ` + ownerColumns + ` FROM {owners} WHERE id > ? ORDER BY id LIMIT ?`
)

// ownerOf reads an owner, within a transaction or outside.
func (s *Store) ownerOf(id uuid.UUID, query querying) (o lifecycle.Owner, ok bool, err error) {
	err = query(selectOwner, func(r rows) error {
		ok = true
		return s.readOwner(r, &o)
	}, blob(id))
	return o, ok, err
}

// readOwner reads a row of ownerColumns.
func (s *Store) readOwner(r rows, o *lifecycle.Owner) error {
	var quietHours string
	err := r.Scan(&o.ID, &o.Name, &o.Status, &quietHours, &o.Rules, into(&o.AutostartAfter))
	if err == nil {
		o.QuietHours = s.schedules.Daily(quietHours)
	}
	return err
}

// Owners implements [lifecycle.Catalog].
func (s *Store) Owners(ctx context.Context, q lifecycle.OwnerQuery) (found []lifecycle.Owner, err error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if err = s.ready(ctx); err == nil {
		err = s.query(ctx, listOwners, func(r rows) error {
			var o lifecycle.Owner
			err := s.readOwner(r, &o)
			found = append(found, o)
			return err
		}, blob(q.After), q.Limit)
	}
	return found, unavailable(err, "list owners")
}
