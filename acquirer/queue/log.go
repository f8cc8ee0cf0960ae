package queue

import (
	"fmt"
	"math"
	"time"
)

// lineOverhead is what a line counts in addition to its text, so that empty lines are not free.
const lineOverhead = 32

// LogSize is what a line counts in its job's log.
func LogSize(text string) int64 { return int64(len(text)) + lineOverhead }

// LogBound is the bound of a renewal's log, with none as the highest.
func (r Renewal) LogBound() int64 {
	if r.MaxLog <= 0 {
		return math.MaxInt64
	}
	return r.MaxLog
}

// LogEnd is the last line of a log that has reached its bound.
func (r Renewal) LogEnd() string {
	return fmt.Sprintf("The log ends here: it has reached %d bytes, and further lines are dropped.", r.MaxLog)
}

// AdmitLines says which lines of a renewal a job's log still takes that has the given size, and its size afterwards. Lines
// are taken in order until one would exceed the bound; in its place stands a line that says so, and from then on the size
// is above the bound and nothing more is taken. Every store decides by this rule.
func AdmitLines(size int64, r Renewal, now time.Time) (admitted []Line, after int64) {
	bound := r.LogBound()
	if size > bound {
		return nil, size
	}
	after = size
	for _, line := range r.Lines {
		after += LogSize(line.Text)
	}
	for _, line := range r.Lines {
		if size += LogSize(line.Text); size > bound {
			return append(admitted, Line{At: now, Text: r.LogEnd()}), after
		}
		admitted = append(admitted, line)
	}
	return admitted, after
}
