// Package sqltext is for authors of SQL stores whose statements are put together from lists of columns: it keeps those
// statements readable in a log and in a golden file.
package sqltext

import "strings"

// lineWidth is where lines are broken.
const lineWidth = 100

// List joins n items with commas, on lines of their own.
func List(n int, item func(i int) string) string {
	var b strings.Builder
	width := lineWidth
	for i := range n {
		text := item(i)
		if i > 0 {
			b.WriteString(",")
		}
		if width+len(text) > lineWidth {
			b.WriteString("\n\t\t\t")
			width = 0
		} else {
			b.WriteString(" ")
		}
		b.WriteString(text)
		width += len(text) + 2
	}
	return b.String()
}

// InParentheses puts a [List] between parentheses, on one line if it fits.
func InParentheses(list string) string {
	if strings.Count(list, "\n") <= 1 {
		return "(" + strings.TrimSpace(list) + ")"
	}
	return "(" + list + "\n\t\t)"
}
