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
	if err := s.ready(ctx); err != nil {
		return unavailable(err, "put owner %s", o.ID)
	}
	err := s.write(ctx, func(t *tx) error {
		old, _, err := s.ownerOf(o.ID, t.queryRow)
		if err != nil {
			return err
		}
		next, err := lifecycle.ReplaceOwner(old, o, now)
		if err != nil {
			return err
		}
		_, err = t.exec(`
			INSERT INTO {owners} (id, revision, sweep_at, name, status, quiet_hours, rules, autostart_after) VALUES (?, 0, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET revision = {owners}.revision + 1, sweep_at = excluded.sweep_at, sweep_after = x'',
				name = excluded.name, status = excluded.status, quiet_hours = excluded.quiet_hours,
				rules = excluded.rules, autostart_after = excluded.autostart_after`,
			blob(o.ID), micros(now), form.Text(o.Name), int64(o.Status), form.Text(o.QuietHours.Text()), next.Rules, micros(next.AutostartAfter))
		return err
	})
	if err == nil {
		err = s.sweep(ctx)
	}
	return unavailable(err, "put owner %s", o.ID)
}

// Owner implements [lifecycle.Registry].
func (s *Store) Owner(ctx context.Context, id uuid.UUID) (o lifecycle.Owner, ok bool, err error) {
	if err = s.ready(ctx); err == nil {
		o, ok, err = s.ownerOf(id, func(text string, args []any, dest ...any) (bool, error) { return s.queryRow(ctx, text, args, dest...) })
	}
	return o, ok, unavailable(err, "owner %s", id)
}

// ownerOf reads an owner, within a transaction or outside.
func (s *Store) ownerOf(id uuid.UUID, queryRow func(string, []any, ...any) (bool, error)) (o lifecycle.Owner, ok bool, err error) {
	var quietHours string
	ok, err = queryRow(`SELECT id, name, status, quiet_hours, rules, autostart_after FROM {owners} WHERE id = ?`, []any{blob(id)},
		&o.ID, &o.Name, &o.Status, &quietHours, &o.Rules, into(&o.AutostartAfter))
	if err != nil || !ok {
		return lifecycle.Owner{}, false, err
	}
	o.QuietHours = s.schedules.Daily(quietHours)
	return o, true, nil
}
