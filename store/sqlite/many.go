package sqlite

import "strings"

// manySizes are the numbers of rows for which a statement over many rows is prepared, largest first. A statement for a row
// costs SQLite's drivers as much again as the row.
var manySizes = [...]int{100, 10, 1}

// many is a statement over a list of rows, for each of the sizes.
type many [len(manySizes)]string

// newMany makes the statements from one that has %s where the list of rows stands: (?, ?), (?, ?), ... for two columns.
func newMany(statement string, columns int) (m many) {
	row := "(" + placeholders(columns) + ")"
	for i, size := range manySizes {
		m[i] = strings.Replace(statement, "%s", row+strings.Repeat(", "+row, size-1), 1)
	}
	return m
}

// each divides n rows among the statements.
func (m *many) each(n int, do func(statement string, from, to int) error) error {
	from := 0
	for i, size := range manySizes {
		for ; n-from >= size; from += size {
			if err := do(m[i], from, from+size); err != nil {
				return err
			}
		}
	}
	return nil
}
