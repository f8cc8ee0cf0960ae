package postgres

import (
	"slices"
	"strconv"
	"strings"
)

// columns are how rows of a type in Go become rows of a statement: the one place that knows their names, their types and
// their order. Each column is one parameter, an array with a value for each row; the statement turns them into rows with
// [columns.rows], and names them everywhere else.
type columns[R any] []column[R]

type column[R any] struct {
	name string
	// kind is the type in the database.
	kind string
	// values are the values of n rows, as a slice.
	values func(n int, row func(int) *R) any
}

// col is a column whose values are read by a function.
func col[R, V any](name, kind string, of func(*R) V) column[R] {
	return column[R]{name, kind, func(n int, row func(int) *R) any {
		values := make([]V, n)
		for i := range values {
			values[i] = of(row(i))
		}
		return values
	}}
}

// within are columns of a part of each row, with a prefix to their names.
func within[R, Part any](prefix string, part columns[Part], of func(*R) *Part) columns[R] {
	out := make(columns[R], len(part))
	for i, c := range part {
		out[i] = column[R]{prefix + c.name, c.kind, func(n int, row func(int) *R) any {
			return c.values(n, func(i int) *Part { return of(row(i)) })
		}}
	}
	return out
}

// args are the parameters for rows.
func (c columns[R]) args(rows []R) []any {
	args := make([]any, len(c))
	for i := range c {
		args[i] = c[i].values(len(rows), func(i int) *R { return &rows[i] })
	}
	return args
}

// rows are the parameters from $first on as rows of a FROM clause with a name. With a last name they are numbered by it.
func (c columns[R]) rows(first int, name, number string) string {
	parameters := c.list(func(i int) string { return "$" + strconv.Itoa(first+i) + "::" + c[i].kind + "[]" })
	text := "unnest(" + parameters + "\n\t\t)"
	names := c.names("", "")
	if number != "" {
		text, names = text+" WITH ORDINALITY", names+", "+number
	}
	return text + " AS " + name + " (" + names + "\n\t\t)"
}

// names are the columns, each behind a qualifier ("c.") and prefixes of names.
func (c columns[R]) names(qualifier, prefix string) string {
	return c.list(func(i int) string { return qualifier + prefix + c[i].name })
}

// set assigns to each column an expression in which % stands for its name.
func (c columns[R]) set(expression string) string {
	return c.list(func(i int) string { return c[i].name + " = " + strings.ReplaceAll(expression, "%", c[i].name) })
}

// lineWidth is where lines of a list are broken, for those who read the statement in a log.
const lineWidth = 100

// list joins what is said of each column.
func (c columns[R]) list(of func(i int) string) string {
	var b strings.Builder
	width := lineWidth
	for i := range c {
		item := of(i)
		if i > 0 {
			b.WriteString(",")
		}
		if width+len(item) > lineWidth {
			b.WriteString("\n\t\t\t")
			width = 0
		} else {
			b.WriteString(" ")
		}
		b.WriteString(item)
		width += len(item) + 2
	}
	return b.String()
}

// concat are columns one behind the other.
func concat[R any](parts ...columns[R]) columns[R] { return slices.Concat(parts...) }
