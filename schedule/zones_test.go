package schedule_test

import (
	_ "embed"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that every zone is there, whatever the host has

	"github.com/dormouse-go/dormouse/schedule"
)

// zoneList names every zone of the tz database, as Go's own zoneinfo.zip does.
//
//go:embed testdata/zones.txt
var zoneList string

func allZones() []string { return strings.Fields(zoneList) }

// A shift is one change of a zone's UTC offset.
type shift struct {
	at            time.Time // the first instant of the new offset
	before, after int       // seconds east of UTC
}

func (s shift) gap() int { return s.after - s.before }

// shifts finds the changes of offset between two instants by looking every few
// days, without help of the code under test or of ZoneBounds. One that is undone before the next look is missed.
func shifts(loc *time.Location, from, to time.Time) []shift {
	var found []shift
	for at := from; at.Before(to); {
		next := at.Add(4 * 24 * time.Hour)
		if offsetAt(loc, at) != offsetAt(loc, next) {
			found = append(found, shiftIn(loc, at, next))
		}
		at = next
	}
	return found
}

func shiftIn(loc *time.Location, at, next time.Time) shift {
	before := offsetAt(loc, at)
	for next.Sub(at) > time.Second {
		mid := at.Add(next.Sub(at) / 2).Truncate(time.Second)
		if offsetAt(loc, mid) == before {
			at = mid
		} else {
			next = mid
		}
	}
	return shift{at: next, before: before, after: offsetAt(loc, next)}
}

func offsetAt(loc *time.Location, t time.Time) int {
	_, offset := t.In(loc).Zone()
	return offset
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func weekly(t testing.TB, spec string) *schedule.Cron {
	t.Helper()
	return weeklyWith(t, spec, schedule.Options{})
}

func weeklyWith(t testing.TB, spec string, o schedule.Options) *schedule.Cron {
	t.Helper()
	c, err := schedule.WeeklyWith(spec, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func daily(t testing.TB, spec string) *schedule.Cron {
	t.Helper()
	c, err := schedule.Daily(spec)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func instant(t testing.TB, rfc3339 string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, rfc3339)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func duration(t testing.TB, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
