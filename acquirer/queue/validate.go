package queue

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// Limits of what is said about a job, in bytes. Longer texts are cut; a longer result is refused.
const (
	MaxErrorText   = 8 << 10
	MaxLine        = 16 << 10
	MaxMessageText = 1 << 10
	MaxResult      = 1 << 20
)

// Validate says what is wrong with an end, as a [*invalid.Error].
func (e End) Validate() error {
	switch e.Outcome {
	case OutcomeSucceeded, OutcomeFailed, OutcomeCanceled, OutcomeRequeued, OutcomeReleased:
	default:
		return invalid.New("End.Outcome", string(e.Outcome), "must be succeeded, failed, canceled, requeued or released")
	}
	switch {
	case len(e.Result) > MaxResult:
		return invalid.New("End.Result", len(e.Result), "must be at most %d bytes", MaxResult)
	case e.Delay < 0:
		return invalid.New("End.Delay", e.Delay, "must not be negative")
	}
	return nil
}

// Normalize returns the end as a store gets it: its delay counted from now, its error clean, its instant rounded.
func (e End) Normalize(now time.Time) End {
	if e.Delay > 0 {
		e.ReadyAt, e.Delay = now.Add(e.Delay), 0
	}
	e.Error, e.ReadyAt = CleanText(e.Error, MaxErrorText), micros.Of(e.ReadyAt)
	return e
}

// Validate says what is wrong with a report, as a [*invalid.Error].
func (r Report) Validate() error {
	if p := r.Progress; p != nil && (p.Percent < 0 || p.Percent > 100) {
		return invalid.New("Report.Progress.Percent", p.Percent, "must be between 0 and 100")
	}
	if r.Silence < 0 {
		return invalid.New("Report.Silence", r.Silence, "must not be negative")
	}
	return nil
}

// Renewal returns the report as a store gets it from a process: its texts clean, its lines dated.
func (r Report) Renewal(process uuid.UUID, now time.Time) Renewal {
	renewal := Renewal{Handout: r.Handout, Process: process}
	if r.Progress != nil {
		renewal.Progress = &Progress{Percent: r.Progress.Percent, Message: CleanText(r.Progress.Message, MaxMessageText)}
	}
	for _, line := range r.Lines {
		at := line.At
		if at.IsZero() {
			at = now
		}
		renewal.Lines = append(renewal.Lines, Line{At: micros.Of(at), Text: CleanText(line.Text, MaxLine)})
	}
	return renewal
}

// cutMark ends a text that was cut.
const cutMark = "..."

// CleanText makes a text storable in every database: valid UTF-8 without zero bytes, and at most limit bytes, cut between
// two characters. The limit must be at least 3.
func CleanText(s string, limit int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "")
	if len(s) <= limit {
		return s
	}
	cut := limit - len(cutMark)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + cutMark
}

// isText keeps out what a text column, a JSON message or a terminal cannot carry, the zero byte first of all.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
