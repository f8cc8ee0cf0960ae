package sqlite

import (
	"strings"

	"github.com/dormouse-go/dormouse/store/sqltext"
)

// columns are how a value in Go becomes a row: the one place that knows their names and their order. What is written of
// them in a statement ([columns.names], [columns.set], [columns.marks]) has their order, and so have [columns.args].
type columns[R any] []column[R]

type column[R any] struct {
	name  string
	value func(*R) any
}

// within are columns of a part of a value, with a prefix to their names.
func within[R, Part any](prefix string, part columns[Part], of func(*R) *Part) columns[R] {
	out := make(columns[R], len(part))
	for i, c := range part {
		out[i] = column[R]{prefix + c.name, func(r *R) any { return c.value(of(r)) }}
	}
	return out
}

// args appends the parameters for a row.
func (c columns[R]) args(args []any, row *R) []any {
	for i := range c {
		args = append(args, c[i].value(row))
	}
	return args
}

// names are the columns, each behind a qualifier ("w.") or the beginning of a name.
func (c columns[R]) names(prefix string) string {
	return sqltext.List(len(c), func(i int) string { return prefix + c[i].name })
}

// as are the columns under the names of others.
func (c columns[R]) as(others columns[R]) string {
	return sqltext.List(len(c), func(i int) string { return c[i].name + " AS " + others[i].name })
}

// set assigns a parameter to each column.
func (c columns[R]) set() string {
	return sqltext.List(len(c), func(i int) string { return c[i].name + " = ?" })
}

// marks are as many parameters as there are columns.
func (c columns[R]) marks() string { return placeholders(len(c)) }

// placeholders returns n question marks.
func placeholders(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

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
