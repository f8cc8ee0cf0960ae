package postgres

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dormouse-go/dormouse/store/sqltext"
)

// columns are how rows of a type in Go become rows of a statement: the one place that knows their names, their types and
// their order. Each column is one parameter, an array with a value for each row; the statement turns them into rows with
// [columns.rows], and names them everywhere else.
type columns[R any] []column[R]

type column[R any] struct {
	name string
	// kind is the type in the database.
	kind string
	// write writes the values of rows into a buffer.
	write write[R]
}

// col is a column whose values are read by a function.
func col[R, V any](name, kind string, of func(*R) V) column[R] {
	return column[R]{name, kind, writeOf[R](of)}
}

// within are columns of a part of each row, with a prefix to their names.
func within[R, Part any](prefix string, part columns[Part], of func(*R) *Part) columns[R] {
	out := make(columns[R], len(part))
	for i, c := range part {
		out[i] = column[R]{prefix + c.name, c.kind, func(buf []byte, n int, row func(int) *R) []byte {
			return c.write(buf, n, func(i int) *Part { return of(row(i)) })
		}}
	}
	return out
}

// args are the parameters for rows, to be sent among those of a statement as [parameters].
func (c columns[R]) args(rows []R) []any {
	const empty, each = 20, 16 // bytes of an array, and about those of a value
	w := written{args: make(parameters, 0, len(c)), buf: make([]byte, 0, len(c)*(empty+each*len(rows)))}
	c.add(&w, rows)
	return w.args
}

// add writes the parameters for rows.
func (c columns[R]) add(w *written, rows []R) {
	for i := range c {
		start := len(w.buf)
		w.buf = c[i].write(w.buf, len(rows), func(i int) *R { return &rows[i] })
		w.args = append(w.args, binaryArray{bytes: w.buf[start:]})
	}
}

// rows are the parameters from $first on as rows of a FROM clause with a name. With a last name they are numbered by it. The
// first column must be one that is never NULL: its array alone is sure to be as long as there are rows, see [write]. The
// arrays are taken apart side by side in a select list, where each value is handed on as it comes; a function in a FROM
// clause first stores all of its values.
func (c columns[R]) rows(first int, name, number string) string {
	parameter := func(i int) string { return "$" + strconv.Itoa(first+i) + "::" + c[i].kind + "[]" }
	n := len(c)
	if number != "" {
		n++
	}
	return "(SELECT" + sqltext.List(n, func(i int) string {
		if i == len(c) {
			return "generate_subscripts(" + parameter(0) + ", 1) AS " + number
		}
		return "unnest(" + parameter(i) + ") AS " + c[i].name
	}) + ") AS " + name
}

// row is the only row of the parameters from $first on, in a FROM clause with a name. A statement of a single row is begun faster with it than
// with [columns.rows], and needs no step to take anything apart.
func (c columns[R]) row(first int, name string) string {
	return "(SELECT" + sqltext.List(len(c), func(i int) string {
		return "($" + strconv.Itoa(first+i) + "::" + c[i].kind + "[])[1] AS " + c[i].name
	}) + ") AS " + name
}

// names are the columns, each behind a qualifier ("c.") or the beginning of a name.
func (c columns[R]) names(prefix string) string {
	return sqltext.List(len(c), func(i int) string { return prefix + c[i].name })
}

// as are the columns behind a qualifier, each under its name with a prefix.
func (c columns[R]) as(qualifier, prefix string) string {
	return sqltext.List(len(c), func(i int) string { return qualifier + c[i].name + " AS " + prefix + c[i].name })
}

// set assigns to each column an expression in which % stands for its name.
func (c columns[R]) set(expression string) string {
	return sqltext.List(len(c), func(i int) string { return c[i].name + " = " + strings.ReplaceAll(expression, "%", c[i].name) })
}

// concat are columns one behind the other.
func concat[R any](parts ...columns[R]) columns[R] { return slices.Concat(parts...) }

// fields are the columns that a query returns, and where each is read into: the one place that knows their order.
type fields[R any] []field[R]

type field[R any] struct {
	// name is the column, or an expression.
	name string
	into func(*R) any
}

func (f fields[R]) names() string {
	return sqltext.List(len(f), func(i int) string { return f[i].name })
}

// targets are where a row is read into.
func (f fields[R]) targets(row *R) []any {
	targets := make([]any, len(f))
	for i := range f {
		targets[i] = f[i].into(row)
	}
	return targets
}

// without are the fields but those of some names.
func (f fields[R]) without(names ...string) fields[R] {
	return slices.DeleteFunc(slices.Clone(f), func(one field[R]) bool { return slices.Contains(names, one.name) })
}
