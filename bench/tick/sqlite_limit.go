package tick

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/dormouse-go/dormouse/store/sqlite"
)

// sqliteTables are those that a tick writes, and how a row of each is written.
var sqliteTables = []struct {
	name string
	// changed selects the rows that a tick has left, beside those that were there.
	changed string
	update  bool
}{
	{name: "dormouse_builds", changed: `SELECT * FROM dormouse_builds`},
	{name: "dormouse_workspaces", changed: `SELECT * FROM dormouse_workspaces WHERE build_number = 2`, update: true},
	{name: "dormouse_lanes", changed: `SELECT * FROM dormouse_lanes`},
	{name: "dormouse_jobs", changed: `SELECT * FROM dormouse_jobs`},
	{name: "dormouse_turns", changed: `SELECT * FROM dormouse_turns`},
}

// rowsOf is what has to be written to a table.
type rowsOf struct {
	statement string
	args      [][]any
}

// limit measures one transaction that writes what a tick has left behind.
func (b *sqliteBench) limit(ctx context.Context, ticked, path string) (cost, error) {
	writes, err := b.left(ctx, ticked)
	if err != nil {
		return cost{}, err
	}
	db, err := b.copied(ctx, path)
	if err != nil {
		return cost{}, err
	}
	defer db.Close()
	c := measured(func() { err = writeAll(ctx, db, writes) })
	return c, err
}

// left reads the rows that a tick has left.
func (b *sqliteBench) left(ctx context.Context, path string) ([]rowsOf, error) {
	db, err := sqlite.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var all []rowsOf
	b.rows = 0
	for _, t := range sqliteTables {
		columns, args, err := table(ctx, db, t.changed)
		if err != nil {
			return nil, err
		}
		w := rowsOf{statement: `INSERT INTO ` + t.name + ` VALUES (?` + strings.Repeat(`, ?`, len(columns)-1) + `)`, args: args}
		if t.update {
			w = updates(t.name, columns, args)
		}
		all = append(all, w)
		b.rows += len(args)
	}
	return all, nil
}

// updates writes the columns that can change, found by the id, which is the first one.
func updates(name string, columns []string, args [][]any) rowsOf {
	fixed := map[string]bool{
		"id": true, "share": true, "organization_id": true, "owner_id": true, "template_id": true, "name": true, "created_at": true,
	}
	var set []string
	rows := make([][]any, len(args))
	for i, c := range columns {
		if fixed[c] {
			continue
		}
		set = append(set, c+` = ?`)
		for k := range args {
			rows[k] = append(rows[k], args[k][i])
		}
	}
	for k := range args {
		rows[k] = append(rows[k], args[k][0])
	}
	return rowsOf{statement: `UPDATE ` + name + ` SET ` + strings.Join(set, `, `) + ` WHERE id = ?`, args: rows}
}

// table reads a table whole.
func table(ctx context.Context, db *sql.DB, query string) (columns []string, rows [][]any, err error) {
	found, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	defer found.Close()
	if columns, err = found.Columns(); err != nil {
		return nil, nil, err
	}
	for found.Next() {
		row, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			dest[i] = &row[i]
		}
		if err := found.Scan(dest...); err != nil {
			return nil, nil, err
		}
		rows = append(rows, row)
	}
	return columns, rows, found.Err()
}

// writeAll is the limit: one transaction, prepared statements, values that are known beforehand.
func writeAll(ctx context.Context, db *sql.DB, writes []rowsOf) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after the commit there is nothing to roll back
	for _, w := range writes {
		st, err := tx.PrepareContext(ctx, w.statement)
		if err != nil {
			return err
		}
		for _, args := range w.args {
			if _, err := st.ExecContext(ctx, args...); err != nil {
				return fmt.Errorf("%s: %w", w.statement, err)
			}
		}
	}
	return tx.Commit()
}

// sameTables refuses to compare what did not write the same rows.
func sameTables(ctx context.Context, ticked, written string) error {
	db, err := sqlite.Open("sqlite", ticked)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1) // the other file is attached to a connection
	defer db.Close()
	if _, err := db.ExecContext(ctx, `ATTACH ? AS other`, written); err != nil {
		return err
	}
	var errs []error
	for _, t := range sqliteTables {
		var missing, extra int
		err := db.QueryRowContext(ctx, fmt.Sprintf(`SELECT
			(SELECT count(*) FROM (SELECT * FROM main.%[1]s EXCEPT SELECT * FROM other.%[1]s)),
			(SELECT count(*) FROM (SELECT * FROM other.%[1]s EXCEPT SELECT * FROM main.%[1]s))`, t.name)).Scan(&missing, &extra)
		if err == nil && missing+extra > 0 {
			err = fmt.Errorf("%s: the limit left %d rows out and wrote %d others", t.name, missing, extra)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
