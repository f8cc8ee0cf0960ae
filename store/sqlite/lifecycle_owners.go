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
		_, err := t.exec(`
			INSERT INTO {owners} (id, revision, sweep_at, name, status, quiet_hours) VALUES (?, 0, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET revision = {owners}.revision + 1, sweep_at = excluded.sweep_at, sweep_after = x'',
				name = excluded.name, status = excluded.status, quiet_hours = excluded.quiet_hours`,
			blob(o.ID), micros(now), form.Text(o.Name), int64(o.Status), form.Text(o.QuietHours.Text()))
		return err
	})
	if err == nil {
		err = s.sweep(ctx)
	}
	return unavailable(err, "put owner %s", o.ID)
}

// Owner implements [lifecycle.Registry].
func (s *Store) Owner(ctx context.Context, id uuid.UUID) (o lifecycle.Owner, ok bool, err error) {
	var quietHours string
	if err = s.ready(ctx); err == nil {
		ok, err = s.queryRow(ctx, `SELECT id, name, status, quiet_hours FROM {owners} WHERE id = ?`, []any{blob(id)},
			&o.ID, &o.Name, &o.Status, &quietHours)
	}
	if err != nil || !ok {
		return lifecycle.Owner{}, false, unavailable(err, "owner %s", id)
	}
	o.QuietHours = s.schedules.Daily(quietHours)
	return o, true, nil
}
