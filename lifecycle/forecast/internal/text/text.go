// Package text words instants, spans and counts, for the texts of forecasts.
package text

import (
	"fmt"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// Stamp shows an instant to the minute, on the clock that it carries.
func Stamp(t time.Time) string { return t.Format("Mon 2006-01-02 15:04 MST") }

// SameDay leaves out the date where it is that of another instant.
func SameDay(t, other time.Time) string {
	if t.Format(time.DateOnly) == other.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return Stamp(t)
}

// Span shows a duration in its two largest units.
func Span(d time.Duration) string {
	var parts []string
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / u.size; n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.name))
			d -= n * u.size
		}
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, " ")
}

// Count is [text.Count] of the whole library.
func Count(n int, one, many string) string { return text.Count(n, one, many) }

// Name is what people call a workspace.
func Name(s *lifecycle.Snapshot) string {
	if s.Workspace.Name != "" {
		return s.Workspace.Name
	}
	return s.Workspace.ID.String()
}

// Zone is the one in which instants of a workspace are told: that of its schedules, else of its owner's quiet hours, else UTC,
// as [lifecycle.Explain] chooses it.
func Zone(s *lifecycle.Snapshot) *time.Location {
	for _, c := range [...]*schedule.Cron{s.Workspace.Autostart, s.Workspace.Autostop, s.Owner.QuietHours} {
		if c != nil && c.Err() == nil {
			return c.Location()
		}
	}
	return time.UTC
}

// Shortened cuts a text that would fill a line.
func Shortened(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
