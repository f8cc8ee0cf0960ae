package schedule_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
)

func workingHours(t testing.TB, text string) schedule.Hours {
	t.Helper()
	h, err := schedule.ParseHours(text, schedule.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHours(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want, start, stop, human string }{
		{
			"Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00", "Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00",
			"CRON_TZ=Europe/Berlin 0 9 * * 1-4; 30 7 * * 5", "CRON_TZ=Europe/Berlin 0 18 * * 1-4; 0 14 * * 5",
			"9:00AM-6:00PM Mon-Thu; 7:30AM-2:00PM Fri (Europe/Berlin)",
		},
		{
			"mon-fri 9 – 17:30", "UTC Mon-Fri 09:00-17:30",
			"CRON_TZ=UTC 0 9 * * 1-5", "CRON_TZ=UTC 30 17 * * 1-5", "9:00AM-5:30PM Mon-Fri (UTC)",
		},
		{
			"Mon-Fri 22:00-06:00", "UTC Mon-Fri 22:00-06:00",
			"CRON_TZ=UTC 0 22 * * 1-5", "CRON_TZ=UTC 0 6 * * 2-6", "10:00PM-6:00AM Mon-Fri (UTC)",
		},
		{
			"Sun 22:00-06:00", "UTC Sun 22:00-06:00",
			"CRON_TZ=UTC 0 22 * * 7", "CRON_TZ=UTC 0 6 * * 1", "10:00PM-6:00AM Sun (UTC)",
		},
		{
			"Mon 09:00-17:00\nTue 09:00-17:00\nThu 09:00-17:00, Wed 09:00-17:00", "UTC Mon-Thu 09:00-17:00",
			"CRON_TZ=UTC 0 9 * * 1-4", "CRON_TZ=UTC 0 17 * * 1-4", "9:00AM-5:00PM Mon-Thu (UTC)",
		},
		{
			"all 13:00-17:00, 08:00-12:00", "UTC Mon-Sun 08:00-12:00 13:00-17:00",
			"CRON_TZ=UTC 0 8 * * *; 0 13 * * *", "CRON_TZ=UTC 0 12 * * *; 0 17 * * *", "8:00AM-12:00PM, 1:00PM-5:00PM daily (UTC)",
		},
		{
			"Fri-Mon 9-10, Mon Wed 12:00-13:00", "UTC Mon 09:00-10:00 12:00-13:00, Wed 12:00-13:00, Fri-Sun 09:00-10:00",
			"CRON_TZ=UTC 0 9 * * 1,5-7; 0 12 * * 1,3", "CRON_TZ=UTC 0 10 * * 1,5-7; 0 13 * * 1,3",
			"9:00AM-10:00AM, 12:00PM-1:00PM Mon; 12:00PM-1:00PM Wed; 9:00AM-10:00AM Fri-Sun (UTC)",
		},
		{
			"Sat,Sun 00:00-24:00", "UTC Sat,Sun 00:00-24:00",
			"CRON_TZ=UTC 0 0 * * 6", "CRON_TZ=UTC 0 0 * * 1", "all day Sat,Sun (UTC)",
		},
		{
			"Sun 12:00-24:00, Mon 00:00-12:00, Wed 9-12, Wed 12-17", "UTC Mon 00:00-12:00, Wed 09:00-17:00, Sun 12:00-24:00",
			"CRON_TZ=UTC 0 9 * * 3; 0 12 * * 7", "CRON_TZ=UTC 0 12 * * 1; 0 17 * * 3",
			"12:00AM-12:00PM Mon; 9:00AM-5:00PM Wed; 12:00PM-12:00AM Sun (UTC)",
		},
		{
			"Sun 12:00-24:00, Mon 00:00-13:00", "UTC Mon 00:00-13:00, Sun 12:00-24:00",
			"CRON_TZ=UTC 0 12 * * 7", "CRON_TZ=UTC 0 13 * * 1", "12:00AM-1:00PM Mon; 12:00PM-12:00AM Sun (UTC)",
		},
		{"", "", "", "", ""},
		{" , ", "", "", "", ""},
	} {
		h := workingHours(t, tt.text)
		if h.String() != tt.want || h.Autostart().String() != tt.start || h.Autostop().String() != tt.stop || h.Humanize() != tt.human {
			t.Errorf("%q:\n%q\n%q\n%q\n%q; want\n%q\n%q\n%q\n%q", tt.text, h.String(), h.Autostart(), h.Autostop(), h.Humanize(), tt.want, tt.start, tt.stop, tt.human)
		}
		if h.IsZero() != (tt.want == "") {
			t.Errorf("%q: IsZero %t", tt.text, h.IsZero())
		}
		if back, ok := schedule.HoursOf(h.Autostart(), h.Autostop()); ok == h.IsZero() || back.String() != tt.want {
			t.Errorf("%q: recognised as %q, %t", tt.text, back, ok)
		}
	}
}

func TestHoursRefused(t *testing.T) {
	t.Parallel()
	for text, rule := range map[string]string{
		"Mon":                                    "times such as",
		"UTC":                                    "times such as",
		"Mon 09:00-17:00, Tue":                   "times such as",
		"09:00-17:00":                            "weekdays before",
		"UTC 09:00-17:00":                        "weekdays before",
		"Mon 09:00-09:00":                        "is empty",
		"Mon 00:00-00:00":                        "is empty",
		"Mon 09:00":                              "neither a weekday",
		"Mon 09:60-17:00":                        "neither a weekday",
		"Mon 9:5-17:00":                          "neither a weekday",
		"Mon 24:00-25:00":                        "neither a weekday",
		"Mon 24:00-06:00":                        "neither a weekday",
		"Mon 09:00-17:00-18:00":                  "neither a weekday",
		"Mon 09:00-24:01":                        "neither a weekday",
		"Mon +9:00-17:00":                        "neither a weekday",
		"none 09:00-17:00":                       "neither a weekday",
		"UTC Montag 09:00-17:00":                 "neither a weekday",
		"Montag 09:00-17:00":                     "time zone database",
		"Local Mon 09:00-17:00":                  "the host's own",
		"Mon 09:00-17:00, Mon 16:00-18:00":       "Mon 09:00-17:00 and Mon 16:00-18:00 overlap",
		"Mon 09:00-17:00, Mon 09:00-17:00":       "overlap",
		"Mon 22:00-06:00, Tue 05:00-08:00":       "Mon 22:00-06:00 and Tue 05:00-08:00 overlap",
		"Sun 22:00-06:00, Mon 05:00-08:00":       "Sun 22:00-06:00 and Mon 05:00-08:00 overlap",
		"Mon-Sun 00:00-24:00":                    "must end",
		"Mon-Sun 22:00-06:00 06:00-22:00":        "must end",
		"Mon 1-2 3-4 5-6 7-8 9-10":               "more than 4 times",
		strings.Repeat("Mon 09:00-17:00, ", 100): "longer than",
	} {
		h, err := schedule.ParseHours(text, schedule.Options{})
		if err == nil || !h.IsZero() || !strings.Contains(err.Error(), rule) {
			t.Errorf("%q: %v, %v; want an error about %q", text, h, err, rule)
			continue
		}
		if value := text; len(value) <= 80 {
			checkField(t, err, "text", value)
		}
	}
	_, err := schedule.ParseHours("Mon 9-17", schedule.Options{DST: 7})
	checkField(t, err, "Options.DST", "7")
	_, err = schedule.ParseHours("Mon 9-17", schedule.Options{Zone: "Mars/Olympus"})
	checkField(t, err, "Options.Zone", "Mars/Olympus")
}

func TestHoursOptions(t *testing.T) {
	t.Parallel()
	h, err := schedule.ParseHours("Mon-Fri 9-17", schedule.Options{Zone: "Asia/Tokyo", DST: schedule.DSTCompat})
	if err != nil || h.String() != "Asia/Tokyo Mon-Fri 09:00-17:00" || h.Location().String() != "Asia/Tokyo" {
		t.Errorf("%v, %v", h, err)
	}
	compat, err := schedule.ParseHours("Europe/Berlin Sun 02:30-06:00", schedule.Options{DST: schedule.DSTCompat})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := compat.Autostart().Next(instant(t, "2026-03-28T12:00:00Z")), instant(t, "2026-04-05T00:30:00Z"); !got.Equal(want) {
		t.Errorf("a start in a gap is at %v, want %v", got, want)
	}
	back, ok := schedule.HoursOf(compat.Autostart(), compat.Autostop())
	if next := back.Autostart().Next(instant(t, "2026-03-28T12:00:00Z")); !ok || !next.Equal(instant(t, "2026-04-05T00:30:00Z")) {
		t.Errorf("recognised as %v (%t), starting at %v", back, ok, next)
	}
}

func TestHoursOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ start, stop, want string }{
		{"0 9 * * 1-5", "0 17 * * 1-5", "UTC Mon-Fri 09:00-17:00"},
		{"0 9 * * 1-5", "0 17 * * 1,2,3; 0 17 * * 4-5", "UTC Mon-Fri 09:00-17:00"},
		{"0 9,13 * * MON-FRI", "0 12,17 * * 1-5", "UTC Mon-Fri 09:00-12:00 13:00-17:00"},
		{"0 22 * * 1-5", "0 6 * * 2-6", "UTC Mon-Fri 22:00-06:00"},
		{"0 22 * * *", "0 6 * * *", "UTC Mon-Sun 22:00-06:00"},
		{"0 9 * * 1", "0 17 * * 5", "UTC Mon 09:00-24:00, Tue-Thu 00:00-24:00, Fri 00:00-17:00"},
		{"0 9 * * 6", "0 8 * * 6", "UTC Mon-Fri,Sun 00:00-24:00, Sat 00:00-08:00 09:00-24:00"},
		{"0 9 * * 1-5", "0 17 * * 1-4", ""},                                   // Friday has no end
		{"0 9 * * 1-5", "0 17 * * 1-6", ""},                                   // one end more
		{"0 9 * * 1,2", "0 17 * * 2,3", ""},                                   // begins twice
		{"0 9,10 * * 1", "0 17,18 * * 1", ""},                                 // begins twice
		{"0 9 * * 1-5", "0 9 * * 1-5", ""},                                    // no length
		{"0 9,17 * * 1", "0 17,18 * * 1", ""},                                 // touch
		{"CRON_TZ=Asia/Tokyo 0 9 * * 1-5", "0 17 * * 1-5", ""},                // two zones
		{"0 * * * 1", "30 * * * 1", ""},                                       // hourly
		{"0 1,2,3,4,5 * * 1", "30 1,2,3,4,5 * * 1", ""},                       // five on a day
		{"0 1 * * 1; 0 2 * * 1; 0 3,4,5 * * 1", "30 1-5 * * 1", ""},           // five on a day
		{"* * * * *", "* * * * *", ""},                                        // always
		{"0 9 * * 1-5; 0 9 * * 1", "0 17 * * 1-5", "UTC Mon-Fri 09:00-17:00"}, // the same said twice
	} {
		h, ok := schedule.HoursOf(weekly(t, tt.start), weekly(t, tt.stop))
		if ok != (tt.want != "") || h.String() != tt.want {
			t.Errorf("%s to %s: %q, %t; want %q", tt.start, tt.stop, h, ok, tt.want)
		}
	}
	var i schedule.Interner
	good := weekly(t, "0 9 * * 1")
	for _, bad := range []*schedule.Cron{nil, {}, i.Weekly("nonsense"), weeklyWith(t, "0 17 * * 1", schedule.Options{DST: schedule.DSTCompat})} {
		if h, ok := schedule.HoursOf(good, bad); ok {
			t.Errorf("until %v: %v", bad, h)
		}
		if h, ok := schedule.HoursOf(bad, good); ok {
			t.Errorf("from %v: %v", bad, h)
		}
	}
}

// Nights on which clocks change: when the hours begin and end.
func TestHoursOnNightsOfChange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ hours, from, start, stop string }{
		{"Europe/Berlin Sat 22:00-06:00", "2026-03-28T12:00:00Z", "2026-03-28T22:00:00+01:00", "2026-03-29T06:00:00+02:00"},     // seven hours
		{"Europe/Berlin Sat 22:00-06:00", "2026-10-24T12:00:00Z", "2026-10-24T22:00:00+02:00", "2026-10-25T06:00:00+01:00"},     // nine
		{"Europe/Berlin Sun 02:30-06:00", "2026-03-28T12:00:00Z", "2026-03-29T03:00:00+02:00", "2026-03-29T06:00:00+02:00"},     // begins in the gap
		{"Europe/Berlin Sun 00:00-02:30", "2026-03-28T12:00:00Z", "2026-03-29T00:00:00+01:00", "2026-03-29T03:00:00+02:00"},     // ends in the gap
		{"Europe/Berlin Sun 02:30-06:00", "2026-10-24T12:00:00Z", "2026-10-25T02:30:00+02:00", "2026-10-25T06:00:00+01:00"},     // begins the first time
		{"Europe/Berlin Sun 00:00-02:30", "2026-10-24T12:00:00Z", "2026-10-25T00:00:00+02:00", "2026-10-25T02:30:00+02:00"},     // ends the first time
		{"America/Sao_Paulo Sun 00:00-08:00", "2018-11-03T12:00:00Z", "2018-11-04T01:00:00-02:00", "2018-11-04T08:00:00-02:00"}, // no midnight
		{"Pacific/Apia Thu 22:00-24:00, Fri 9-17, Sat 9-10", "2011-12-29T12:00:00Z", "2011-12-29T22:00:00-10:00", "2011-12-31T00:00:00+14:00"},
	} {
		h := workingHours(t, tt.hours)
		start := h.Autostart().Next(instant(t, tt.from))
		stop := h.Autostop().Next(start)
		if !start.Equal(instant(t, tt.start)) || !stop.Equal(instant(t, tt.stop)) {
			t.Errorf("%v: from %v to %v, want %s to %s", h, start, stop, tt.start, tt.stop)
		}
		for at, want := range map[time.Time]bool{start.Add(-1): false, start: true, stop.Add(-1): true, stop: false} {
			if h.Covers(at) != want {
				t.Errorf("%v: covers %v: %t", h, at.In(h.Location()), !want)
			}
		}
	}
	// The hour that is shown twice does not begin or end anything twice.
	second := instant(t, "2026-10-25T02:15:00+01:00")
	if workingHours(t, "Europe/Berlin Sun 00:00-02:30").Covers(second) || !workingHours(t, "Europe/Berlin Sun 02:30-06:00").Covers(second) {
		t.Error("the second time that the clock shows 02:15 counts as the first")
	}
	compat, err := schedule.ParseHours("Europe/Berlin Sun 00:00-02:30", schedule.Options{DST: schedule.DSTCompat})
	if err != nil || !compat.Covers(second) || compat.Covers(second.Add(-45*time.Minute)) {
		t.Errorf("compatibility mode does not go by what the clock shows (%v)", err)
	}
	// All in the gap: they begin and end in one instant.
	h, at := workingHours(t, "Europe/Berlin Sun 02:15-02:45"), instant(t, "2026-03-29T03:00:00+02:00")
	if !h.Autostart().Matches(at) || !h.Autostop().Matches(at) || h.Covers(at) || h.Covers(at.Add(-1)) {
		t.Error("hours that a gap leaves out last")
	}
}

func TestHoursCover(t *testing.T) {
	t.Parallel()
	h := workingHours(t, "Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00, Sun 22:00-06:00")
	for at, want := range map[string]bool{
		"2026-03-02T09:00:00+01:00": true, "2026-03-02T08:59:59.999999999+01:00": false, "2026-03-02T18:00:00+01:00": false,
		"2026-03-06T07:30:00+01:00": true, "2026-03-06T14:00:00+01:00": false, "2026-03-07T12:00:00+01:00": false,
		"2026-03-01T22:00:00+01:00": true, "2026-03-02T05:59:00+01:00": true, "2026-03-02T06:00:00+01:00": false,
	} {
		if h.Covers(instant(t, at)) != want {
			t.Errorf("%s: %t", at, !want)
		}
	}
	if (schedule.Hours{}).Covers(time.Now()) || h.Covers(time.Unix(1<<60, 0)) {
		t.Error("nothing covers something")
	}
}

// randomHours are one to three groups of times that may overlap.
func randomHours(rnd *rand.Rand) string {
	var groups []string
	for range 1 + rnd.IntN(3) {
		from, to := rnd.IntN(96)*15, rnd.IntN(97)*15
		groups = append(groups, fmt.Sprintf("%v %d:%02d-%d:%02d", schedule.Days(1+rnd.IntN(127)), from/60, from%60, to/60, to%60))
	}
	return strings.Join(groups, ", ")
}

// Around every kind of change of a clock: starts and stops take turns, Covers is true exactly between them, and the text
// and the pair of schedules give the hours back.
func TestHoursTakeTurns(t *testing.T) {
	t.Parallel()
	rnd, checked := rand.New(rand.NewPCG(31, 32)), 0
	aroundShifts(t, rnd, func(name string, _ *time.Location, s shift) {
		h, err := schedule.ParseHours(name+" "+randomHours(rnd), schedule.Options{})
		if err != nil {
			return // overlapping
		}
		checked++
		checkHours(t, h)
		checkTurns(t, h, s.at.Add(-8*24*time.Hour), s.at.Add(8*24*time.Hour))
	})
	if checked < 200 {
		t.Errorf("only %d hours were valid", checked)
	}
}

// checkHours checks that the text and the pair of schedules give the hours back.
func checkHours(t *testing.T, h schedule.Hours) {
	t.Helper()
	text, err := h.MarshalText()
	var back schedule.Hours
	if err != nil || back.UnmarshalText(text) != nil || back.String() != h.String() {
		t.Fatalf("%q comes back as %q (%v)", text, back, err)
	}
	pair, ok := schedule.HoursOf(h.Autostart(), h.Autostop())
	if ok == h.IsZero() || pair.String() != h.String() {
		t.Fatalf("%q: the pair %q, %q comes back as %q", text, h.Autostart(), h.Autostop(), pair)
	}
	if back.Autostart().String() != h.Autostart().String() || back.Autostop().String() != h.Autostop().String() {
		t.Fatalf("%q: %q, %q come back as %q, %q", text, h.Autostart(), h.Autostop(), back.Autostart(), back.Autostop())
	}
}

func checkTurns(t *testing.T, h schedule.Hours, from, to time.Time) {
	t.Helper()
	stops := h.Autostop()
	for start := range h.Autostart().Occurrences(from, to) {
		next := h.Autostart().Next(start)
		stop := stops.Next(start)
		if !h.Covers(start) { // all of it in a gap
			stop = stops.Next(start.Add(-1))
		}
		if stop.Before(start) || stop.After(next) {
			t.Fatalf("%v: starts at %v and then at %v, but stops at %v", h, start, next, stop)
		}
		middle, after := stop.Add(-stop.Sub(start)/2), stop.Add(next.Sub(stop)/2)
		if h.Covers(middle) != (middle.Before(stop) && !middle.Before(start)) || after.Before(next) && h.Covers(after) {
			t.Fatalf("%v: from %v to %v, then from %v: covers the middle %t, the pause %t", h, start, stop, next, h.Covers(middle), h.Covers(after))
		}
		for at, want := range map[time.Time]bool{start: stop.After(start), stop.Add(-1): stop.After(start), stop: stop.Equal(next) && h.Covers(next)} {
			if at.Equal(start) || !at.Before(start) {
				if h.Covers(at) != want {
					t.Fatalf("%v: from %v to %v, but covers %v: %t", h, start, stop, at.In(h.Location()), !want)
				}
			}
		}
	}
}

func FuzzHours(f *testing.F) {
	for _, text := range []string{
		"Europe/Berlin Mon-Thu 09:00-18:00, Fri 07:30-14:00", "mon-fri 9 – 17:30", "Sun 22:00-06:00", "all 0-24", "Sat,Sun 00:00-24:00", "Mon-Fri 9-12 13-17",
		"Pacific/Apia Fri-Mon 23:59-24:00", "Mon 1-2 3-4 5-6 7-8 9-10", "", "UTC", "-", "Mon -", "Mon-Fri 9-17\nSat;Sun 10:00-9:59", "none 9-17",
	} {
		f.Add(text)
	}
	at := time.Date(2026, 3, 25, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := schedule.ParseHours(text, schedule.Options{})
		if err != nil {
			if !h.IsZero() {
				t.Fatalf("%q: %v and %v", text, h, err)
			}
			return
		}
		checkHours(t, h)
		checkTurns(t, h, at, at.AddDate(0, 0, 8))
		_ = h.Humanize()
	})
}

func TestHoursAsJSON(t *testing.T) {
	t.Parallel()
	type form struct{ Hours schedule.Hours }
	b, err := json.Marshal(form{workingHours(t, "Mon-Fri 9-17")})
	if err != nil || string(b) != `{"Hours":"UTC Mon-Fri 09:00-17:00"}` {
		t.Errorf("%s, %v", b, err)
	}
	var back form
	if err := json.Unmarshal(b, &back); err != nil || back.Hours.String() != "UTC Mon-Fri 09:00-17:00" {
		t.Errorf("%v, %v", back.Hours, err)
	}
	if err := json.Unmarshal([]byte(`{"Hours":"Mon-Fri"}`), &back); err == nil || back.Hours.IsZero() {
		t.Errorf("%v, %v: a refusal leaves the value as it was", back.Hours, err)
	}
}
