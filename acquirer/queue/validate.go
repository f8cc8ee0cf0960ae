package queue

import (
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/invalid"
)

// Limits of what is said about a job, in bytes. Longer texts are cut; a longer result is refused.
const (
	MaxErrorText   = 8 << 10
	MaxLine        = 16 << 10
	MaxMessageText = 1 << 10
	MaxResult      = 1 << 20
)

// Limits of one report. Whoever has more to say sends several.
const (
	MaxReportLines = 1000
	MaxReportBytes = 1 << 20
)

// Limits of the instants and delays that a worker says.
const (
	// MaxDelay bounds for how long an end puts off the next attempt; a longer one is cut.
	MaxDelay = 30 * 24 * time.Hour
	// maxLineAge is how old a line may claim to be.
	maxLineAge = 24 * time.Hour
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
	if latest := micros.Of(now.Add(MaxDelay)); e.ReadyAt.After(latest) {
		e.ReadyAt = latest
	}
	return e
}

// Validate says what is wrong with a report, as a [*invalid.Error].
func (r Report) Validate() error {
	if p := r.Progress; p != nil && (p.Percent < 0 || p.Percent > 100) {
		return invalid.New("Report.Progress.Percent", p.Percent, "must be between 0 and 100")
	}
	bytes := 0
	for _, line := range r.Lines {
		bytes += len(line.Text)
	}
	switch {
	case r.Silence < 0:
		return invalid.New("Report.Silence", r.Silence, "must not be negative")
	case len(r.Lines) > MaxReportLines:
		return invalid.New("Report.Lines", len(r.Lines), "must be at most %d lines", MaxReportLines)
	case bytes > MaxReportBytes:
		return invalid.New("Report.Lines", bytes, "must be at most %d bytes", MaxReportBytes)
	}
	return nil
}

// Renewal returns the report as a store gets it from a process: its texts clean, its lines dated.
func (r Report) Renewal(process uuid.UUID, now time.Time) Renewal {
	renewal := Renewal{Handout: r.Handout, Process: process}
	if r.Progress != nil {
		renewal.Progress = &Progress{Percent: r.Progress.Percent, Message: CleanText(r.Progress.Message, MaxMessageText)}
	}
	for _, line := range splitLines(r.Lines) {
		at := line.At
		if at.IsZero() || at.After(now) { // a worker's clock is believed within limits
			at = now
		}
		if oldest := now.Add(-maxLineAge); at.Before(oldest) {
			at = oldest
		}
		renewal.Lines = append(renewal.Lines, Line{At: micros.Of(at), Text: CleanText(line.Text, MaxLine)})
	}
	return renewal
}

// isText keeps out what a text column, a JSON message or a terminal cannot carry, the zero byte first of all, and what does
// not show or turns the text around: also joiners, so that no two types or tags look the same because of one.
func isText(s string) bool {
	return text.Clear(s) && !strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Cf, r) })
}
