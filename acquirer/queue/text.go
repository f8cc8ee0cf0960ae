package queue

import (
	"strings"

	"github.com/dormouse-go/dormouse/internal/text"
)

// CleanText makes a text of anybody's storable in every database and safe to show: valid UTF-8 without control characters but
// tab, line breaks as blanks, and at most limit bytes, cut between two characters. The limit must be at least 3.
func CleanText(s string, limit int) string { return text.Clean(s, limit) }

// splitLines makes lines of texts with line breaks in them, as long as a report may have so many.
func splitLines(lines []Line) []Line {
	room := MaxReportLines - len(lines)
	var split []Line
	for i, line := range lines {
		parts := strings.SplitN(strings.TrimRight(line.Text, "\r\n"), "\n", room+1)
		if len(parts) > 1 && split == nil {
			split = append(split, lines[:i]...)
		}
		if len(parts) == 1 {
			if split != nil {
				split = append(split, line)
			}
			continue
		}
		room -= len(parts) - 1
		for _, part := range parts {
			split = append(split, Line{At: line.At, Text: strings.TrimSuffix(part, "\r")})
		}
	}
	if split == nil {
		return lines
	}
	return split
}

// Quoted is a stored text as it may stand within a sentence: as it is if it cannot be mistaken for the sentence, and quoted
// otherwise, with all that a terminal would act on or not show written out.
func Quoted(s string) string { return text.Quoted(s) }
