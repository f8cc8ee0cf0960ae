package schedule_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
)

func dates(t *testing.T, text string) *schedule.Dates {
	t.Helper()
	d, err := schedule.ParseDates(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDatesText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                       "",
		"  ":                     "",
		"2026-12-24":             "UTC 2026-12-24",
		"2026-12-24, 2026-12-25": "UTC 2026-12-24..2026-12-25",
		"2026-12-24..2026-12-24": "UTC 2026-12-24",
		"Europe/Berlin 2027-01-01,2026-12-24..2026-12-26,2026-12-26": "Europe/Berlin 2026-12-24..2026-12-26,2027-01-01",
	} {
		d := dates(t, text)
		if got := d.String(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		b, err := d.MarshalText()
		var back schedule.Dates
		if err != nil || back.UnmarshalText(b) != nil || back.String() != want {
			t.Errorf("%q: comes back as %q (%v)", text, back.String(), err)
		}
	}
	for _, text := range []string{
		"tomorrow", "2026-02-30", "2026-12-26..2026-12-24", "2026-12-24,", ",", "Europe/Berlin", "Local 2026-12-24",
		"Mars/Olympus 2026-12-24", "2026-12-24 Europe/Berlin", "2026-12-24..", "26-12-24",
	} {
		if d, err := schedule.ParseDates(text); err == nil {
			t.Errorf("%q is accepted as %v", text, d)
		}
	}
}

func TestDatesCover(t *testing.T) {
	t.Parallel()
	berlin := dates(t, "Europe/Berlin 2026-03-28..2026-03-29,2026-04-03")
	for at, want := range map[string]string{
		"2026-03-27T22:59:59.999999Z": "",
		"2026-03-27T23:00:00Z":        "2026-03-29T22:00:00Z", // the clocks go forward in between
		"2026-03-29T21:59:59.999999Z": "2026-03-29T22:00:00Z",
		"2026-03-29T22:00:00Z":        "",
		"2026-04-03T12:00:00Z":        "2026-04-03T22:00:00Z",
		"2026-04-04T12:00:00Z":        "",
	} {
		until, held := berlin.Covering(instant(t, at))
		if held != (want != "") || held && !until.Equal(instant(t, want)) {
			t.Errorf("%s: held %t until %v, want %q", at, held, until, want)
		}
	}
	if until, held := dates(t, "Pacific/Apia 2011-12-30").Covering(instant(t, "2011-12-30T10:00:00Z")); held {
		t.Errorf("a date that never was is held until %v", until)
	}
}

// Dates on both sides of one that the zone left out are one run: nothing lies between them.
func TestDatesAroundOneThatNeverWas(t *testing.T) {
	t.Parallel()
	for text, end := range map[string]string{
		"Pacific/Apia 2011-12-29,2011-12-31":                         "2012-01-01T00:00:00+14:00",
		"Pacific/Apia 2011-12-28..2011-12-29,2011-12-31..2012-01-02": "2012-01-03T00:00:00+14:00",
		"Pacific/Apia 2011-12-29..2011-12-30":                        "2011-12-31T00:00:00+14:00",
		"Pacific/Kwajalein 1993-08-20,1993-08-22":                    "1993-08-23T00:00:00+12:00",
	} {
		d := dates(t, text)
		first := d.String()[strings.Index(d.String(), " ")+1:][:10]
		noon, err := time.ParseInLocation(time.DateTime, first+" 12:00:00", location(t, strings.Fields(text)[0]))
		if err != nil {
			t.Fatal(err)
		}
		until, held := d.Covering(noon)
		if !held || !until.Equal(instant(t, end)) || d.String() != text {
			t.Errorf("%q: on %v held %t until %v, want %s; text %q", text, noon, held, until, end, d)
		}
	}
}

// An end that is after the year 9999 could not be written.
func TestDatesEndInTheYear9999(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"UTC", "Pacific/Kiritimati", "America/Los_Angeles"} {
		until, held := dates(t, zone+" 9999-12-30..9999-12-31").Covering(instant(t, "9999-12-30T20:00:00Z"))
		if _, err := until.UTC().MarshalJSON(); !held || err != nil || until.UTC().Year() != 9999 {
			t.Errorf("%s: held %t until %v (%v)", zone, held, until, err)
		}
	}
	for _, text := range []string{"0000-01-01", "0000-12-31..0001-01-01"} {
		if d, err := schedule.ParseDates(text); err == nil {
			t.Errorf("%q is accepted as %v", text, d)
		}
	}
}

// What cannot be read covers everything, and is written back as it was.
// Stores read with this, which never fails.
func TestReadDates(t *testing.T) {
	t.Parallel()
	if d := schedule.ReadDates(""); d != nil {
		t.Errorf("empty text: %v, want nil", d)
	}
	if d := schedule.ReadDates("2026-12-24"); d.Err() != nil || d.String() != "UTC 2026-12-24" {
		t.Errorf("%q, error %v", d, d.Err())
	}
	const text = "Mars/Olympus 2026-12-24"
	if d := schedule.ReadDates(text); d.Err() == nil || d.String() != text {
		t.Errorf("%q, error %v; want the text and an error", d, d.Err())
	}
}

func TestUnusableDates(t *testing.T) {
	t.Parallel()
	const text = "Mars/Olympus 2026-12-24"
	_, err := schedule.ParseDates(text)
	d := schedule.UnusableDates(text, err)
	if d.Err() == nil || !errors.Is(d.Err(), err) || d.String() != text {
		t.Errorf("dates %q, error %v", d, d.Err())
	}
	for _, at := range []time.Time{{}, time.Unix(0, 0), instant(t, "2026-07-01T12:00:00Z"), instant(t, "9999-12-31T23:59:58Z")} {
		if until, held := d.Covering(at); !held || until.Year() != 9999 {
			t.Errorf("%v: held %t until %v", at, held, until)
		}
	}
	if err := dates(t, "2026-12-24").Err(); err != nil {
		t.Error(err)
	}
}

func TestNoDates(t *testing.T) {
	t.Parallel()
	for _, d := range []*schedule.Dates{nil, {}, dates(t, "")} {
		if _, held := d.Covering(time.Now()); held || d.String() != "" {
			t.Errorf("the empty set holds something: %v", d)
		}
	}
}
