package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
)

const putTemplateSQL = `
	INSERT INTO dormouse.templates AS t (id, organization_id, name, active_version_id, hold_until, stop_floor, delete_floor, policy)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::json)
	ON CONFLICT (id) DO UPDATE SET
		organization_id = excluded.organization_id, name = excluded.name, active_version_id = excluded.active_version_id,
		hold_until = excluded.hold_until, stop_floor = excluded.stop_floor, delete_floor = excluded.delete_floor,
		policy = excluded.policy`

// PutTemplate implements [lifecycle.Registry]. The template is replaced at once, its workspaces follow a thousand at a
// time. If the process dies before all are marked, the next tick of any replica marks the rest; an error means that the
// template may be replaced already, and the call should be repeated.
func (s *Store) PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error {
	policy, err := json.Marshal(t.Policy)
	if err != nil {
		return fmt.Errorf("put template %s: %w", t.ID, err)
	}
	err = s.put(ctx, mark{subject: t.ID, dueAt: now}, putTemplateSQL,
		key(t.ID), key(t.OrganizationID), form.Text(t.Name), key(t.ActiveVersionID),
		stamp(t.HoldUntil), stamp(t.StopFloor), stamp(t.DeleteFloor), string(policy))
	if err != nil {
		return fmt.Errorf("put template %s: %w", t.ID, err)
	}
	return nil
}

const putOwnerSQL = `
	INSERT INTO dormouse.owners AS o (id, name, status, quiet_hours)
	VALUES ($1, $2, $3, $4)
	ON CONFLICT (id) DO UPDATE SET name = excluded.name, status = excluded.status, quiet_hours = excluded.quiet_hours`

// PutOwner implements [lifecycle.Registry]; see [Store.PutTemplate].
func (s *Store) PutOwner(ctx context.Context, now time.Time, o lifecycle.Owner) error {
	err := s.put(ctx, mark{subject: o.ID, owner: true, dueAt: now}, putOwnerSQL,
		key(o.ID), form.Text(o.Name), int16(o.Status), form.Text(o.QuietHours.Text()))
	if err != nil {
		return fmt.Errorf("put owner %s: %w", o.ID, err)
	}
	return nil
}

// put replaces a template or owner together with the mark that its workspaces are to be woken, and wakes them.
func (s *Store) put(ctx context.Context, m mark, text string, args ...any) error {
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		var b pgx.Batch // what is sent together is one transaction
		b.Queue(s.sql(text), args...)
		b.Queue(s.sql(setMarkSQL), key(m.subject), m.owner, m.dueAt)
		return s.send(ctx, &b, func(r pgx.BatchResults) error {
			if _, err := r.Exec(); err != nil {
				return err
			}
			return r.QueryRow().Scan(&m.generation)
		})
	})
	if err != nil {
		return err
	}
	return s.workOff(ctx, m)
}

const templateSQL = `
	SELECT id, organization_id, name, active_version_id, hold_until, stop_floor, delete_floor, policy
	FROM dormouse.templates WHERE id = $1`

// Template implements [lifecycle.Registry].
func (s *Store) Template(ctx context.Context, id uuid.UUID) (t lifecycle.Template, ok bool, err error) {
	var policy []byte
	ok, err = s.one(ctx, templateSQL, id, toID(&t.ID), toID(&t.OrganizationID), &t.Name, toID(&t.ActiveVersionID),
		toTime(&t.HoldUntil), toTime(&t.StopFloor), toTime(&t.DeleteFloor), (*rawJSON)(&policy))
	if err != nil || !ok {
		return lifecycle.Template{}, false, wrap(err, "read template %s", id)
	}
	normalize(&t.HoldUntil, &t.StopFloor, &t.DeleteFloor)
	t.Policy = s.policies.get(policy)
	return t, true, nil
}

const ownerSQL = `SELECT id, name, status, quiet_hours FROM dormouse.owners WHERE id = $1`

// Owner implements [lifecycle.Registry].
func (s *Store) Owner(ctx context.Context, id uuid.UUID) (o lifecycle.Owner, ok bool, err error) {
	var status int16
	var quiet string
	ok, err = s.one(ctx, ownerSQL, id, toID(&o.ID), &o.Name, &status, &quiet)
	if err != nil || !ok {
		return lifecycle.Owner{}, false, wrap(err, "read owner %s", id)
	}
	o.Status, o.QuietHours = lifecycle.OwnerStatus(status), s.schedules.Daily(quiet)
	return o, true, nil
}

// one reads the row of an id; ok is false if there is none.
func (s *Store) one(ctx context.Context, text string, id uuid.UUID, targets ...any) (ok bool, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		err := s.pool.QueryRow(ctx, s.sql(text), key(id)).Scan(targets...)
		if ok = err == nil; errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return ok, err
}

// wrap says what was attempted, if there is an error.
func wrap(err error, doing string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(doing+": %w", append(args, err)...)
}

var listSQL = `
	SELECT` + snapshotColumns + `
	FROM (
		SELECT * FROM dormouse.workspaces w
		WHERE w.id > $1 AND NOT w.deleted %s
		ORDER BY w.id
		LIMIT $2
	) w` + snapshotJoins + `
	ORDER BY w.id`

// List implements [lifecycle.Registry].
func (s *Store) List(ctx context.Context, q lifecycle.ListQuery) ([]lifecycle.Snapshot, error) {
	where, args := "", []any{key(q.After), q.Limit}
	if q.TemplateID != uuid.Nil {
		args = append(args, key(q.TemplateID))
		where += fmt.Sprintf(" AND w.template_id = $%d", len(args))
	}
	if q.OwnerID != uuid.Nil {
		args = append(args, key(q.OwnerID))
		where += fmt.Sprintf(" AND w.owner_id = $%d", len(args))
	}
	return s.read(ctx, "list workspaces", fmt.Sprintf(listSQL, where), args...)
}
