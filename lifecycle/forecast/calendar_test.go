package forecast_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// The clocks of Berlin go forward on 29 March 2026: the feed says what UTC it is, before and after.
func TestCalendarAcrossAClockChange(t *testing.T) {
	s := stopped(autostart("CRON_TZ=Europe/Berlin 0 9 * * *"), ttl(4*time.Hour))
	from := time.Date(2026, 3, 28, 0, 0, 0, 0, time.UTC)
	s.Build.CreatedAt = from // whatever was due before is over
	feed := string(forecast.Calendar("ann", from, 4, forecast.Upcoming(s, from, time.Time{}, forecast.Assumptions{})))
	var starts []string
	for line := range strings.SplitSeq(feed, "\r\n") {
		if at, ok := strings.CutPrefix(line, "DTSTART:"); ok {
			starts = append(starts, at)
		}
	}
	want := "20260328T080000Z 20260328T120100Z 20260329T070000Z 20260329T110100Z"
	if got := strings.Join(starts, " "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCalendarLines(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), ttl(time.Hour))
	s.Workspace.Name = strings.Repeat("Größe, mit; \\ und\nZeile ", 9) + "\x00\xff"
	feed := string(forecast.Calendar(s.Workspace.Name, monday, 9, forecast.Upcoming(s, monday, time.Time{}, forecast.Assumptions{})))
	lines := strings.Split(strings.TrimSuffix(feed, "\r\n"), "\r\n")
	for _, l := range lines {
		if len(l) > 75 || strings.ContainsAny(l, "\r\n\x00") || !utf8.ValidString(l) {
			t.Errorf("line %q", l)
		}
	}
	if strings.Count(feed, "BEGIN:VEVENT") != 9 || strings.Count(feed, "UID:") != 9 {
		t.Error("9 events were asked for")
	}
	if empty := forecast.Calendar("", monday, 9, forecast.Upcoming(stopped(), monday, time.Time{}, forecast.Assumptions{})); strings.Contains(string(empty), "VEVENT") {
		t.Errorf("nothing happens, yet %s", empty)
	}
}
