package tick

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/dormouse-go/dormouse/store/sqlite"
)

// sqliteTables are those that a tick writes.
var sqliteTables = []string{"dormouse_builds", "dormouse_workspaces", "dormouse_lanes", "dormouse_jobs", "dormouse_turns"}

// rowsOf is what has to be written to a table.
type rowsOf struct {
	statement string
	args      [][]any
	prepared  *sql.Stmt
}

// limit measures one transaction that writes what a tick has left behind.
func (b *sqliteBench) limit(ctx context.Context, before, path string, writes []rowsOf) (c cost, err error) {
	if err := copyFile(before, path); err != nil {
		return c, err
	}
	db, err := opened(ctx, path)
	if err != nil {
		return c, err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return c, err
	}
	defer conn.Close()
	for i := range writes {
		if err := writes[i].prepare(ctx, conn); err != nil {
			return c, err
		}
		defer writes[i].prepared.Close()
	}
	c = measured(func() { err = writeAll(ctx, conn, writes) })
	return c, err
}

func (w *rowsOf) prepare(ctx context.Context, conn *sql.Conn) (err error) {
	w.prepared, err = conn.PrepareContext(ctx, w.statement)
	return err
}

// writeAll is the limit: one transaction, prepared statements, values that are known beforehand.
func writeAll(ctx context.Context, conn *sql.Conn, writes []rowsOf) error {
	if _, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	for _, w := range writes {
		for _, args := range w.args {
			if _, err := w.prepared.ExecContext(ctx, args...); err != nil {
				return fmt.Errorf("%s: %w", w.statement, err)
			}
		}
	}
	_, err := conn.ExecContext(ctx, `COMMIT`)
	return err
}

// both returns a pool of one connection to a file, with a second one attached as other.
func both(ctx context.Context, path, other string) (*sql.DB, error) {
	db, err := sqlite.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // the other file is attached to a connection
	if _, err := db.ExecContext(ctx, `ATTACH ? AS other`, other); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// left reads the rows that a tick has left and that were not there before, and how each is written.
func (b *sqliteBench) left(ctx context.Context, before, ticked string) ([]rowsOf, error) {
	db, err := both(ctx, ticked, before)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var all []rowsOf
	b.rows = 0
	for _, name := range sqliteTables {
		columns, args, err := table(ctx, db, fmt.Sprintf(`SELECT * FROM main.%[1]s EXCEPT SELECT * FROM other.%[1]s`, name))
		if err != nil {
			return nil, err
		}
		w := rowsOf{statement: `INSERT INTO ` + name + ` VALUES (?` + strings.Repeat(`, ?`, len(columns)-1) + `)`, args: args}
		if name == "dormouse_workspaces" {
			w = updates(name, columns, args)
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

// table reads what a query finds whole.
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

// sameTables refuses to compare what did not write the same rows.
func sameTables(ctx context.Context, ticked, written string) error {
	db, err := both(ctx, ticked, written)
	if err != nil {
		return err
	}
	defer db.Close()
	var errs []error
	for _, name := range sqliteTables {
		var missing, extra int
		err := db.QueryRowContext(ctx, fmt.Sprintf(`SELECT
			(SELECT count(*) FROM (SELECT * FROM main.%[1]s EXCEPT SELECT * FROM other.%[1]s)),
			(SELECT count(*) FROM (SELECT * FROM other.%[1]s EXCEPT SELECT * FROM main.%[1]s))`, name)).Scan(&missing, &extra)
		if err == nil && missing+extra > 0 {
			err = fmt.Errorf("%s: the limit left %d rows out and wrote %d others", name, missing, extra)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
