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

var putTemplateSQL = recorded(8, `
	INSERT INTO dormouse.templates AS t (id, organization_id, name, active_version_id, revision, rules, policy, state)
	VALUES ($1, $2, $3, $4, $5, $6, $7::text::json, $8::text::json)
	ON CONFLICT (id) DO UPDATE SET
		organization_id = excluded.organization_id, name = excluded.name, active_version_id = excluded.active_version_id,
		revision = excluded.revision, rules = excluded.rules, policy = excluded.policy, state = excluded.state
	WHERE t.revision = excluded.revision - 1`)

// PutTemplate implements [lifecycle.Registry]. The template is replaced at once, its workspaces follow a thousand at a
// time. If the process dies before all are marked, the next tick of any replica marks the rest; after an error that is a
// [lifecycle.ErrUnavailable] the template may be replaced already: read it again.
func (s *Store) PutTemplate(ctx context.Context, now time.Time, t lifecycle.Template) error {
	old, _, err := s.Template(ctx, t.ID)
	if err != nil {
		return err
	}
	if t, err = lifecycle.ReplaceTemplate(old, t, now); err != nil {
		return fmt.Errorf("put %w", err)
	}
	var state []byte
	policy, err := json.Marshal(t.Policy)
	if err == nil {
		state, err = t.MarshalState()
	}
	if err != nil {
		return fmt.Errorf("put template %s: %w", t.ID, err)
	}
	err = s.put(ctx, once, mark{subject: t.ID, dueAt: now}, lifecycle.ErrStaleTemplate, putTemplateSQL,
		key(t.ID), key(t.OrganizationID), t.Name, key(t.ActiveVersionID), t.Revision, t.Rules, string(policy), string(state))
	if errors.Is(err, lifecycle.ErrStaleTemplate) {
		if found, _, failed := s.Template(ctx, t.ID); failed == nil && found.Revision == t.Revision-1 {
			err = leftOut("the template") // it would be stale at every attempt
		}
	}
	return wrap(err, "put template %s", t.ID)
}

var putOwnerSQL = recorded(9, `
	INSERT INTO dormouse.owners AS o (id, name, status, quiet_hours, rules, autostart_after)
	VALUES ($1, $2, $3, $4, $5, $6)
	ON CONFLICT (id) DO UPDATE SET
		name = excluded.name, status = excluded.status, quiet_hours = excluded.quiet_hours,
		rules = excluded.rules, autostart_after = excluded.autostart_after
	WHERE o.rules = $7 AND o.status = $8 AND o.quiet_hours = $9`)

// errOwnerMoved says that somebody else has written the owner between reading and writing it, or that it was left out.
var errOwnerMoved = errors.New("the owner keeps changing, or a trigger keeps it from being written")

// PutOwner implements [lifecycle.Registry]; see [Store.PutTemplate].
func (s *Store) PutOwner(ctx context.Context, now time.Time, o lifecycle.Owner) error {
	var err error
	for range maxAttempts {
		if err = s.tryPutOwner(ctx, now, o); !errors.Is(err, errOwnerMoved) {
			break
		}
	}
	return wrap(err, "put owner %s", o.ID)
}

func (s *Store) tryPutOwner(ctx context.Context, now time.Time, o lifecycle.Owner) error {
	old, _, err := s.Owner(ctx, o.ID)
	if err != nil {
		return err
	}
	next, err := lifecycle.ReplaceOwner(old, o, now)
	if err != nil {
		return err
	}
	return s.put(ctx, s.repeated(), mark{subject: o.ID, owner: true, dueAt: now}, errOwnerMoved, putOwnerSQL,
		key(o.ID), form.Text(o.Name), int16(o.Status), form.Text(o.QuietHours.Text()), next.Rules, stamp(next.AutostartAfter),
		old.Rules, int16(old.Status), form.Text(old.QuietHours.Text()))
}

// put replaces a template or owner together with the mark that its workspaces are to be woken, and wakes them. If the row is
// not the expected one any more, the error is stale.
func (s *Store) put(ctx context.Context, again safety, m mark, stale error, text string, args ...any) error {
	events, err := s.eventArgs()
	if err != nil {
		return err
	}
	args = append(args, events...)
	err = s.do(ctx, again, func(ctx context.Context) error {
		var b pgx.Batch // what is sent together is one transaction
		b.Queue(s.sql(text), parameters(args))
		b.Queue(s.sql(setMarkSQL), key(m.subject), m.owner, m.dueAt)
		return s.send(ctx, &b, func(r pgx.BatchResults) error {
			var written int
			err := r.QueryRow().Scan(nil, &written)
			if err == nil && written == 0 {
				err = stale
			}
			if err != nil {
				return err
			}
			return r.QueryRow().Scan(&m.generation)
		})
	})
	if err != nil {
		return err
	}
	s.later(ctx, s.workOff(ctx, m))
	return nil
}

// markAllSQL marks every template, so that all workspaces are woken.
const markAllSQL = `
	INSERT INTO dormouse.marks AS m (subject, owner, due_at, touched_at)
	SELECT id, false, $1, '-infinity' FROM dormouse.templates
	ON CONFLICT (subject) DO UPDATE SET
		due_at = excluded.due_at, generation = m.generation + 1, touched_at = excluded.touched_at`

var recordAllSQL = `
	WITH told AS (` + recordSQL(1, `true`) + `)
	SELECT NULL::uuid FROM told` + unrecordedSQL(1, 0, `true`)

// PutEngine implements [lifecycle.Holder]; its workspaces follow as in [Store.PutTemplate].
func (s *Store) PutEngine(ctx context.Context, now time.Time, e lifecycle.Engine) error {
	events, err := s.eventArgs()
	if err != nil {
		return wrap(err, "put engine")
	}
	err = s.do(ctx, s.repeated(), func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
			old, err := s.lockEngine(ctx, tx)
			if err != nil {
				return err
			}
			next, err := lifecycle.ReplaceEngine(old, e, now)
			if err != nil {
				return err
			}
			if err := s.writeEngine(ctx, tx, next); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, s.sql(recordAllSQL), parameters(events)); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, s.sql(markAllSQL), now)
			return err
		})
	})
	if err == nil {
		s.later(ctx, s.resumeMarks(ctx))
	}
	return wrap(err, "put engine")
}

// Engine implements [lifecycle.Holder].
func (s *Store) Engine(ctx context.Context) (e lifecycle.Engine, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) (err error) {
		e, err = s.engineOf(ctx, s.db, engineSQL)
		return err
	})
	return e, wrap(err, "read engine")
}

// templateRow is where a template is read into.
type templateRow struct {
	t             lifecycle.Template
	policy, state []byte
}

var templateFields = fields[templateRow]{
	{"id", func(r *templateRow) any { return toID(&r.t.ID) }},
	{"organization_id", func(r *templateRow) any { return toID(&r.t.OrganizationID) }},
	{"name", func(r *templateRow) any { return &r.t.Name }},
	{"active_version_id", func(r *templateRow) any { return toID(&r.t.ActiveVersionID) }},
	{"revision", func(r *templateRow) any { return &r.t.Revision }},
	{"rules", func(r *templateRow) any { return &r.t.Rules }},
	{"policy", func(r *templateRow) any { return (*rawJSON)(&r.policy) }},
	{"state", func(r *templateRow) any { return (*rawJSON)(&r.state) }},
}

var templateSQL = `
	SELECT` + templateFields.names() + `
	FROM dormouse.templates WHERE id = $1`

// template returns what was read into the row.
func (s *Store) template(r *templateRow) lifecycle.Template {
	r.t.Policy = s.policies.get(r.policy)
	s.states.into(&r.t, r.state)
	return r.t
}

// Template implements [lifecycle.Registry].
func (s *Store) Template(ctx context.Context, id uuid.UUID) (t lifecycle.Template, ok bool, err error) {
	var r templateRow
	ok, err = s.one(ctx, templateSQL, id, templateFields.targets(&r)...)
	if err != nil || !ok {
		return lifecycle.Template{}, false, wrap(err, "read template %s", id)
	}
	return s.template(&r), true, nil
}

// ownerRow is where an owner is read into.
type ownerRow struct {
	o      lifecycle.Owner
	status int16
	quiet  string
}

var ownerFields = fields[ownerRow]{
	{"id", func(r *ownerRow) any { return toID(&r.o.ID) }},
	{"name", func(r *ownerRow) any { return &r.o.Name }},
	{"status", func(r *ownerRow) any { return &r.status }},
	{"quiet_hours", func(r *ownerRow) any { return &r.quiet }},
	{"rules", func(r *ownerRow) any { return &r.o.Rules }},
	{"autostart_after", func(r *ownerRow) any { return toTime(&r.o.AutostartAfter) }},
}

var ownerSQL = `
	SELECT` + ownerFields.names() + `
	FROM dormouse.owners WHERE id = $1`

// owner returns what was read into the row.
func (s *Store) owner(r *ownerRow) lifecycle.Owner {
	normalize(&r.o.AutostartAfter)
	r.o.Status, r.o.QuietHours = lifecycle.OwnerStatus(r.status), s.schedules.Daily(r.quiet)
	return r.o
}

// Owner implements [lifecycle.Registry].
func (s *Store) Owner(ctx context.Context, id uuid.UUID) (o lifecycle.Owner, ok bool, err error) {
	var r ownerRow
	ok, err = s.one(ctx, ownerSQL, id, ownerFields.targets(&r)...)
	if err != nil || !ok {
		return lifecycle.Owner{}, false, wrap(err, "read owner %s", id)
	}
	return s.owner(&r), true, nil
}

// one reads the row of an id; ok is false if there is none.
func (s *Store) one(ctx context.Context, text string, id uuid.UUID, targets ...any) (ok bool, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		err := s.db.QueryRow(ctx, s.sql(text), key(id)).Scan(targets...)
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
