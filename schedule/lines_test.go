package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
)

func TestSeveralLinesAcceptedAndRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		spec    string
		want    string // canonical text when accepted
		refused string // part of the rule when not
	}{
		{spec: "0 9 * * 1-4; 30 7 * * 5", want: "CRON_TZ=UTC 0 9 * * 1-4; 30 7 * * 5"},
		{spec: "0 9 * * 1-4\r\n30  7 * * 5\r\n", want: "CRON_TZ=UTC 0 9 * * 1-4; 30 7 * * 5"},
		{spec: "\n\n;CRON_TZ=Asia/Tokyo 0 9 * * 1-4;;\n 30 7 * * 5;", want: "CRON_TZ=Asia/Tokyo 0 9 * * 1-4; 30 7 * * 5"},
		{spec: "CRON_TZ=Asia/Tokyo\n0 9 * * 1-4\n30 7 * * 5", want: "CRON_TZ=Asia/Tokyo 0 9 * * 1-4; 30 7 * * 5"},
		{spec: "CRON_TZ=Asia/Tokyo 0 9 * * 1-4\nCRON_TZ=Asia/Tokyo 30 7 * * 5", want: "CRON_TZ=Asia/Tokyo 0 9 * * 1-4; 30 7 * * 5"},
		{spec: "0 9 * * 1; 0  9 * * 1;0 8 * * 2", want: "CRON_TZ=UTC 0 9 * * 1; 0 8 * * 2"},
		{spec: manyLines(32), want: "CRON_TZ=UTC " + manyLines(32)},

		{spec: manyLines(33), refused: "more than 32 lines"},
		{spec: ";", refused: "not 0"},
		{spec: "\n", refused: "not 0"},
		{spec: "CRON_TZ=Asia/Tokyo\n", refused: "not 0"},
		{spec: "0 9 * * 1; 0 9 * *", refused: "line 2: must have five fields"},
		{spec: "0 9 * * 1; 0 25 * * 1", refused: "line 2: end of range (25)"},
		{spec: "0 9 * * 1; 0 9 1 * 1", refused: `line 2: day-of-month must be "*"`},
		{spec: "CRON_TZ=Asia/Tokyo 0 9 * * 1; CRON_TZ=UTC 0 9 * * 2", refused: "one zone"},
		{spec: "0 9 * * 1; CRON_TZ=Asia/Tokyo 0 9 * * 2", refused: "one zone"},
		{spec: "CRON_TZ=Asia/Tokyo; CRON_TZ=UTC 0 9 * * 2", refused: "one zone"},
		{spec: "0 9 * * 1; CRON_TZ=UTC", refused: "one zone"},
	}
	for _, tt := range tests {
		c, err := schedule.Weekly(tt.spec)
		if tt.refused != "" {
			checkRefused(t, tt.spec, err, tt.refused)
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.spec, err)
			continue
		}
		if c.String() != tt.want || c.Text() != tt.spec || zoneOf(c)+c.Spec() != tt.want {
			t.Errorf("%q: String %q, Text %q, Spec %q; want String %q", tt.spec, c.String(), c.Text(), c.Spec(), tt.want)
		}
	}
	_, err := schedule.Daily("0 22 * * *; 0 23 * * *")
	checkRefused(t, "0 22 * * *; 0 23 * * *", err, "one line")
}

func zoneOf(c *schedule.Cron) string { return "CRON_TZ=" + c.Location().String() + " " }

func manyLines(n int) string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("%d 9 * * *", i)
	}
	return strings.Join(lines, "; ")
}

func TestSeveralLinesForPeople(t *testing.T) {
	t.Parallel()
	tests := []struct{ spec, time, days, whole, min string }{
		{"0 9 * * 1-4; 30 7 * * 5", "9:00AM, 7:30AM", "Mon-Fri", "9:00AM Mon-Thu; 7:30AM Fri (UTC)", "22h30m"},
		{"0 9 * * 1-4; 0 9 * * 6", "9:00AM", "Mon-Thu,Sat", "9:00AM Mon-Thu; 9:00AM Sat (UTC)", "24h"},
		{"CRON_TZ=Europe/Berlin 0 9,17 * * 1-5; 0 12 * * 0,6", "cron(0 9,17), 12:00PM", "daily", "9:00AM, 5:00PM Mon-Fri; 12:00PM Sun,Sat (Europe/Berlin)", "8h"},
		{"0 9 * * 1; 1 9 * * 1", "9:00AM, 9:01AM", "Mon", "9:00AM Mon; 9:01AM Mon (UTC)", "1m"},
		{"0 9 * * 1; 0 * * * 1", "9:00AM, cron(0 *)", "Mon", "9:00AM Mon; cron(0 *) Mon (UTC)", "1h"},
	}
	for _, tt := range tests {
		c := weekly(t, tt.spec)
		if c.Time() != tt.time || c.DaysOfWeek() != tt.days || c.Humanize() != tt.whole || c.Min() != duration(t, tt.min) {
			t.Errorf("%q: %q, %q, %q, %v; want %+v", tt.spec, c.Time(), c.DaysOfWeek(), c.Humanize(), c.Min(), tt)
		}
	}
}

// A schedule of several lines fires exactly when one of its lines does, and each time once.
func TestSeveralLinesAreTheirUnion(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(21, 22))
	aroundShifts(t, rnd, func(name string, _ *time.Location, s shift) {
		specs := make([]string, 2+rnd.IntN(3))
		for i := range specs {
			specs[i] = sweepSpecs[rnd.IntN(len(sweepSpecs))]
		}
		from, to := s.at.Add(-26*time.Hour), s.at.Add(50*time.Hour)
		var want []time.Time
		for _, spec := range specs {
			want = slices.AppendSeq(want, weekly(t, "CRON_TZ="+name+" "+spec).Occurrences(from, to))
		}
		slices.SortFunc(want, time.Time.Compare)
		want = slices.CompactFunc(want, time.Time.Equal)
		compareFires(t, weekly(t, "CRON_TZ="+name+" "+strings.Join(specs, "; ")), from, to, want)
	})
}

// In compatibility mode the union is one of the library's answers, wherever a search begins.
func TestSeveralLinesInCompatibilityMode(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(23, 24))
	aroundShifts(t, rnd, func(name string, _ *time.Location, s shift) {
		one, two := sweepSpecs[rnd.IntN(len(sweepSpecs))], sweepSpecs[rnd.IntN(len(sweepSpecs))]
		c := weeklyWith(t, "CRON_TZ="+name+" "+one+"; "+two, schedule.Options{DST: schedule.DSTCompat})
		for range 4 {
			checkCompat(t, c, s.at.Add(time.Duration(rnd.IntN(9*24*3600)-6*24*3600)*time.Second))
		}
	})
}

func TestSeveralLinesAllowedDays(t *testing.T) {
	t.Parallel()
	c := weekly(t, "CRON_TZ=Europe/Berlin 0 9 * * 1-4; 30 7 * * 5; * * * * 6")
	at := instant(t, "2026-03-05T12:00:00Z") // a Thursday
	for days, want := range map[schedule.Days]string{
		schedule.AllDays:                 "2026-03-06T06:30:00Z",
		schedule.DaysOf(time.Saturday):   "2026-03-06T23:00:00Z",
		schedule.DaysOf(time.Monday):     "2026-03-09T08:00:00Z",
		schedule.DaysOf(time.Wednesday):  "2026-03-11T08:00:00Z",
		schedule.DaysOf(time.Thursday):   "2026-03-12T08:00:00Z",
		schedule.DaysOf(time.Sunday):     "",
		schedule.DaysOf(time.Friday) | 4: "2026-03-06T06:30:00Z",
	} {
		next, ok := c.NextAllowed(at, days)
		if ok != (want != "") || ok && !next.Equal(instant(t, want)) {
			t.Errorf("%v: %v, %t; want %q", days, next, ok, want)
		}
	}
	for at, want := range map[string]bool{"2026-03-06T06:30:30Z": true, "2026-03-06T08:00:00Z": false, "2026-03-07T08:13:00Z": true} {
		if got := c.Matches(instant(t, at)); got != want {
			t.Errorf("Matches(%s) = %t", at, got)
		}
	}
}

func TestEmptyZoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"CRON_TZ= 0 9 * * *", "CRON_TZ=\n0 9 * * *", "CRON_TZ=\t0 9 * * *"} {
		_, weeklyErr := schedule.Weekly(text)
		_, dailyErr := schedule.Daily(text)
		_, withErr := schedule.WeeklyWith(text, schedule.Options{DST: schedule.DSTCompat})
		for _, err := range []error{weeklyErr, dailyErr, withErr} {
			checkRefused(t, text, err, "must not be empty")
		}
		var i schedule.Interner
		if i.Weekly(text).Err() == nil || i.Daily(text).Err() == nil {
			t.Errorf("%q: the interner takes it", text)
		}
	}
}

func TestWeekdaysPastSunday(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]struct {
		days  schedule.Days
		human string
	}{
		"7":       {schedule.DaysOf(time.Sunday), "Sun"},
		"0,7":     {schedule.DaysOf(time.Sunday), "Sun,Sun"},
		"5-7":     {schedule.DaysOf(time.Friday, time.Saturday, time.Sunday), "Fri-Sun"},
		"6-1":     {schedule.DaysOf(time.Saturday, time.Sunday, time.Monday), "Sat-Mon"},
		"Fri-Mon": {0x71, "Fri-Mon"},
		"fri-7":   {0x70, "Fri-Sun"},
		"Mon-Sun": {schedule.AllDays, "daily"},
		"1-7":     {schedule.AllDays, "daily"},
		"0-7":     {schedule.AllDays, "daily"},
		"5-1/2":   {schedule.DaysOf(time.Friday, time.Sunday), "Fri,Sun"},
		"7-2":     {schedule.DaysOf(time.Sunday, time.Monday, time.Tuesday), "Sun-Tue"},
		"7-7":     {schedule.DaysOf(time.Sunday), "Sun-Sun"},
		"7/3":     {schedule.DaysOf(time.Sunday, time.Wednesday, time.Saturday), "Sun,Wed,Sat"},
		"6-1,3":   {schedule.DaysOf(time.Saturday, time.Sunday, time.Monday, time.Wednesday), "Sat-Mon,Wed"},
	} {
		spec := "0 9 * * " + field
		for _, o := range []schedule.Options{{}, {DST: schedule.DSTCompat}} {
			c, err := schedule.WeeklyWith(spec, o)
			if err != nil {
				t.Error(err)
				continue
			}
			var days schedule.Days
			for at := range c.Occurrences(instant(t, "2026-03-02T00:00:00Z"), instant(t, "2026-03-09T00:00:00Z")) {
				days |= schedule.DaysOf(at.Weekday())
			}
			if days != want.days || c.DaysOfWeek() != want.human || c.Spec() != spec {
				t.Errorf("%q: fires on %v, %q, Spec %q; want %v, %q", field, days, c.DaysOfWeek(), c.Spec(), want.days, want.human)
			}
		}
	}
	for field, rule := range map[string]string{
		"8": "above maximum", "5-8": "above maximum", "7-5-1": "too many hyphens", "6-1/0": "positive number", "6-1/x": "failed to parse",
		"6-1/2/3": "too many slashes", "7-": "failed to parse", "-7": "failed to parse", "5-sunday": "failed to parse",
	} {
		_, err := schedule.Weekly("0 9 * * " + field)
		checkRefused(t, "0 9 * * "+field, err, rule)
	}
}
