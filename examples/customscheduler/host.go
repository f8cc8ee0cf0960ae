package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// What follows is the host's own business with its tables. The engine asks one thing of it: whoever changes a person or a
// blueprint makes their desks due at once, with a new edition, so that no decision made of the old values is committed.

// What the engine keeps of both is computed by the engine: lifecycle.ReplaceOwner and lifecycle.ReplaceTemplate.

func (d *Desks) savePerson(ctx context.Context, now time.Time, o lifecycle.Owner) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		var old lifecycle.Owner
		err := read(ctx, tx, "people", o.ID, d.person(&old))
		if err == nil {
			o, err = lifecycle.ReplaceOwner(old, o, now)
		}
		if err != nil {
			return err
		}
		return save(ctx, tx, now, "people", "person", o.ID, d.person(&o))
	})
}

func (d *Desks) saveBlueprint(ctx context.Context, now time.Time, t lifecycle.Template) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		var old lifecycle.Template
		err := read(ctx, tx, "blueprints", t.ID, blueprint(&old))
		if err == nil {
			t, err = lifecycle.ReplaceTemplate(old, t, now)
		}
		if err != nil {
			return err
		}
		return save(ctx, tx, now, "blueprints", "blueprint", t.ID, blueprint(&t))
	})
}

// read reads a row of a table, if there is one.
func read(ctx context.Context, tx *sql.Tx, table string, id uuid.UUID, columns []column) error {
	row := tx.QueryRowContext(ctx, "SELECT "+namesOf(columns, "%s", ", ")+" FROM "+table+" WHERE id = ?", id)
	if err := row.Scan(valuesOf(columns)...); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read from %s: %w", table, err)
	}
	return nil
}

// save writes a row of a table, and wakes the desks that refer to it.
func save(ctx context.Context, tx *sql.Tx, now time.Time, table, reference string, id uuid.UUID, columns []column) error {
	insert := insertion(table, columns) + " ON CONFLICT (id) DO UPDATE SET " + namesOf(columns, "%[1]s = excluded.%[1]s", ", ")
	if _, err := tx.ExecContext(ctx, insert, valuesOf(columns)...); err != nil {
		return fmt.Errorf("save into %s: %w", table, err)
	}
	_, err := tx.ExecContext(ctx, `UPDATE desks SET edition = edition + 1, look_at = min(ifnull(look_at, ?1), ?1) WHERE gone = 0 AND `+reference+` = ?2`, now.UnixMicro(), id)
	return err
}

// addDesks makes new desks, all or none. They are due at once: only the engine knows when to look at them next.
func (d *Desks) addDesks(ctx context.Context, now time.Time, desks ...lifecycle.Workspace) error {
	return d.inTx(ctx, func(tx *sql.Tx) error {
		for _, w := range desks {
			if err := w.Validate(); err != nil {
				return fmt.Errorf("add desk %s: %w", w.ID, err)
			}
			w.Revision, w.WakeAt = 1, now
			err := tx.QueryRowContext(ctx, `SELECT b.rules_no, p.nights_no FROM blueprints b, people p WHERE b.id = ? AND p.id = ?`, w.TemplateID, w.OwnerID).
				Scan(&w.Seen.Template, &w.Seen.Owner)
			if err != nil {
				return fmt.Errorf("add desk %s: %w", w.ID, err)
			}
			part := shard(w.ID)
			columns := append(append(fixed(&w), d.living(&w)...), running(&lifecycle.Build{})...)
			columns = append(columns, column{"shard", &part})
			if _, err := tx.ExecContext(ctx, insertion("desks", columns), valuesOf(columns)...); err != nil {
				return fmt.Errorf("add desk %s: %w", w.ID, err)
			}
		}
		return nil
	})
}

func insertion(table string, columns []column) string {
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	return "INSERT INTO " + table + " (" + namesOf(columns, "%s", ", ") + ") VALUES (" + marks + ")"
}

func (d *Desks) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// task is a row of the host's queue.
type task struct {
	run, desk uuid.UUID
	label     string
	what, why string
	ready     time.Time
}

// tasks returns those that are waiting or under way, the one that is ready first.
func (d *Desks) tasks(ctx context.Context) ([]task, error) {
	rows, err := d.db.QueryContext(ctx, `SELECT t.run, t.desk, d.label, t.what, t.why, t.ready
		FROM tasks t JOIN desks d ON d.id = t.desk ORDER BY t.ready, d.label`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []task
	for rows.Next() {
		var t task
		if err := rows.Scan(&t.run, &t.desk, &t.label, &t.what, &t.why, instant{&t.ready}); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

func (d *Desks) forget(ctx context.Context, t task) error {
	_, err := d.db.ExecContext(ctx, `DELETE FROM tasks WHERE run = ?`, t.run)
	return err
}

// earliest is when the next desk wants to be looked at, zero for never.
func (d *Desks) earliest(ctx context.Context) (at time.Time, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT min(look_at) FROM desks`).Scan(instant{&at})
	return at, err
}
