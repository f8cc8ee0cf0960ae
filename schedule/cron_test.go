package schedule_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/schedule"
)

// The methods that hosts call on a schedule.
var _ interface {
	Next(time.Time) time.Time
	String() string
	Location() *time.Location
	Spec() string
	DaysOfWeek() string
	Time() string
	Min() time.Duration
	Matches(time.Time) bool
} = (*schedule.Cron)(nil)

func TestNext(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, spec, at, want string }{
		{"before", "30 9 * * 1-5", "2022-04-01T09:29:00Z", "2022-04-01T09:30:00Z"},
		{"strictly after", "30 9 * * 1-5", "2022-04-01T09:30:00Z", "2022-04-04T09:30:00Z"},
		{"a nanosecond before", "30 9 * * 1-5", "2022-04-01T09:29:59.999999999Z", "2022-04-01T09:30:00Z"},
		{"a nanosecond after", "30 9 * * 1-5", "2022-04-01T09:30:00.000000001Z", "2022-04-04T09:30:00Z"},
		{"over the weekend", "CRON_TZ=US/Central */5 12-18 * * 1,3,6", "2022-04-01T14:29:00Z", "2022-04-02T17:00:00Z"},
		{"the same minute next week", "0 0 * * 0", "2024-01-07T00:00:00Z", "2024-01-14T00:00:00Z"},
		{"year one", "0 0 * * *", "0001-01-01T00:00:00Z", "0001-01-02T00:00:00Z"},
		{"year 9999", "CRON_TZ=Europe/Berlin 0 9 * * *", "9999-07-01T00:00:00Z", "9999-07-01T07:00:00Z"},
		{"last day of a leap year", "CRON_TZ=America/New_York 0 9 * * *", "2040-12-31T12:00:00Z", "2040-12-31T14:00:00Z"},
		{"New Year in the south", "CRON_TZ=Australia/Sydney 0 9 * * *", "2040-12-31T12:00:00Z", "2040-12-31T22:00:00Z"},
		{"local mean time", "CRON_TZ=Europe/Amsterdam 0 9 * * *", "1850-06-01T00:00:00Z", "1850-06-01T08:40:28Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := weekly(t, tt.spec)
			got := c.Next(instant(t, tt.at))
			if !got.Equal(instant(t, tt.want)) || got.Location() != c.Location() {
				t.Errorf("got %v, want %s in the schedule's zone", got, tt.want)
			}
		})
	}
}

// The nights that made somebody file a bug: what fires, by policy.
func TestClockChanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, zone, fields, from, to string
		once, compat                 []string // compat nil: not looked at
	}{
		{
			"gap, fixed time", "Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"},
			[]string{"2026-03-30T02:30:00+02:00"},
		},
		{
			"gap, weekly", "Europe/Berlin", "30 2 * * 0", "2026-03-28T12:00:00Z", "2026-04-06T12:00:00Z",
			[]string{"2026-03-29T03:00:00+02:00", "2026-04-05T02:30:00+02:00"},
			[]string{"2026-04-05T02:30:00+02:00"},
		},
		{
			"gap, several times and its end fire once", "Europe/Berlin", "*/20 2,3 * * *", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00", "2026-03-29T03:40:00+02:00"},
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00", "2026-03-29T03:40:00+02:00"},
		},
		{
			"gap, every two hours", "Europe/Berlin", "0 */2 * * *", "2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"},
			[]string{"2026-03-29T04:00:00+02:00"},
		},
		{
			"gap, hourly goes on", "Europe/Berlin", "30 * * * *", "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z",
			[]string{"2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"},
			[]string{"2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"},
		},
		{
			"repeat, fixed time", "Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"},
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"},
		},
		{
			"repeat, every half hour of one hour", "America/New_York", "*/30 1 * * *", "2026-11-01T04:00:00Z", "2026-11-01T12:00:00Z",
			[]string{"2026-11-01T01:00:00-04:00", "2026-11-01T01:30:00-04:00"},
			[]string{"2026-11-01T01:00:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-01T01:00:00-05:00", "2026-11-01T01:30:00-05:00"},
		},
		{
			"repeat, hourly goes on", "America/New_York", "0 * * * *", "2026-11-01T04:30:00Z", "2026-11-01T07:30:00Z",
			[]string{"2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00", "2026-11-01T02:00:00-05:00"},
			[]string{"2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00", "2026-11-01T02:00:00-05:00"},
		},
		{
			"gap at midnight", "America/Sao_Paulo", "15 0 * * *", "2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z",
			[]string{"2018-11-04T01:00:00-02:00", "2018-11-05T00:15:00-02:00"},
			[]string{"2018-11-05T00:15:00-02:00"},
		},
		{
			"gap at midnight, weekly", "Asia/Beirut", "0 0 * * 0", "2022-03-26T12:00:00Z", "2022-04-03T12:00:00Z",
			[]string{"2022-03-27T01:00:00+03:00", "2022-04-03T00:00:00+03:00"},
			[]string{"2022-04-03T00:00:00+03:00"},
		},
		{
			"gap at midnight, Cairo", "Africa/Cairo", "59 0 * * 5", "2024-04-25T12:00:00Z", "2024-05-03T12:00:00Z",
			[]string{"2024-04-26T01:00:00+03:00", "2024-05-03T00:59:00+03:00"},
			[]string{"2024-05-03T00:59:00+03:00"},
		},
		{
			"repeat of midnight", "America/Havana", "30 0 * * *", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z",
			[]string{"2026-11-01T00:30:00-04:00", "2026-11-02T00:30:00-05:00"},
			[]string{"2026-11-01T00:30:00-04:00", "2026-11-01T00:30:00-05:00", "2026-11-02T00:30:00-05:00"},
		},
		{
			"gap of half an hour", "Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00:00Z", "2026-10-04T18:00:00Z",
			[]string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"},
			[]string{"2026-10-05T02:15:00+11:00"},
		},
		{
			"repeat of half an hour", "Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00:00Z", "2026-04-05T18:00:00Z",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"},
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30", "2026-04-06T01:45:00+10:30"},
		},
		{
			"a date left out", "Pacific/Apia", "0 9 * * 5", "2011-12-29T12:00:00Z", "2012-01-07T00:00:00Z",
			[]string{"2011-12-31T00:00:00+14:00", "2012-01-06T09:00:00+14:00"},
			[]string{"2012-01-06T09:00:00+14:00"}, // where the library does not return
		},
		{
			// Alaska came from the other side of the date line: the 19th came twice.
			"a date lived twice", "America/Sitka", "0 9 * * *", "1867-10-17T00:00:00Z", "1867-10-21T00:00:00Z",
			[]string{"1867-10-17T18:01:13Z", "1867-10-18T18:01:13Z", "1867-10-20T18:01:13Z"},
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec := "CRON_TZ=" + tt.zone + " " + tt.fields
			from, to := instant(t, tt.from), instant(t, tt.to)
			compareFires(t, weekly(t, spec), from, to, instants(t, tt.once))
			if tt.compat != nil {
				compareFires(t, weeklyWith(t, spec, schedule.Options{DST: schedule.DSTCompat}), from, to, instants(t, tt.compat))
			}
		})
	}
}

func instants(t *testing.T, list []string) []time.Time {
	t.Helper()
	times := make([]time.Time, len(list))
	for i, s := range list {
		times[i] = instant(t, s)
	}
	return times
}

func TestMatches(t *testing.T) {
	t.Parallel()
	office := weekly(t, "* 9-18 * * 1-5")
	tests := map[string]bool{
		"2025-06-02T08:59:59Z": false, "2025-06-02T09:00:00Z": true, "2025-06-02T09:01:00Z": true,
		"2025-06-02T18:59:59Z": true, "2025-06-02T18:59:59.999999999Z": true, "2025-06-02T19:00:00Z": false,
		"2025-06-07T14:00:00Z": false, "2025-06-08T14:00:00Z": false,
	}
	for at, want := range tests {
		if got := office.Matches(instant(t, at)); got != want {
			t.Errorf("Matches(%s) = %v", at, got)
		}
	}
	if !weekly(t, "CRON_TZ=Europe/Berlin 30 2 * * *").Matches(instant(t, "2026-03-29T03:00:30+02:00")) {
		t.Error("a time moved to the end of its gap does not match there")
	}
}

// Next is strictly later, the same every time, for a schedule fresh or used, and
// nothing between a time and its next one matches.
func TestNextIsTheNextMatch(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(7, 8))
	zones := allZones()
	for range 4000 {
		spec := "CRON_TZ=" + zones[rnd.IntN(len(zones))] + " " + sweepSpecs[rnd.IntN(len(sweepSpecs))]
		checkNext(t, weekly(t, spec), time.Unix(rnd.Int64N(1<<33)-1<<31, rnd.Int64N(1e9)), rnd)
	}
}

func checkNext(t *testing.T, c *schedule.Cron, at time.Time, rnd *rand.Rand) {
	t.Helper()
	next := c.Next(at)
	if !next.After(at) || !c.Next(at).Equal(next) || !c.Matches(next) {
		t.Fatalf("%v after %v: %v, which is not after it, not the same twice, or no match", c, at, next)
	}
	again := weekly(t, c.String())
	if !again.Next(at).Equal(next) || again.String() != c.String() {
		t.Fatalf("%v: read back it is %v and fires at %v instead of %v", c, again, again.Next(at), next)
	}
	if next.Sub(at) > 15*24*time.Hour {
		t.Fatalf("%v after %v: only at %v", c, at, next)
	}
	// Whole minutes on the way, those next to both ends among them.
	first, last := at.Truncate(time.Minute).Add(2*time.Minute), next.Add(-time.Minute)
	for i := range 8 {
		between := first.Add(time.Duration(rnd.Int64N(max(1, int64(last.Sub(first))))).Truncate(time.Minute))
		if i == 0 {
			between = first
		}
		if between.Before(next) && c.Matches(between) {
			t.Fatalf("%v matches %v, between %v and its next, %v", c, between, at, next)
		}
	}
}

// Schedules answer for the years 1 to 9999 and within them: no other instant can be stored.
func TestNextFarAway(t *testing.T) {
	t.Parallel()
	first, last := instant(t, "0001-01-01T00:00:00Z"), instant(t, "9999-12-31T23:59:59.999999999Z")
	for _, o := range []schedule.Options{{}, {DST: schedule.DSTCompat}} {
		c := weeklyWith(t, "CRON_TZ=Europe/Berlin 0 9 * * 1", o)
		for _, at := range []time.Time{
			first.Add(-1), last.Add(1), time.Unix(math.MinInt64, 0), time.Unix(-1<<45, 0), time.Unix(1<<45, 0), time.Unix(math.MaxInt64, 0),
			last, last.AddDate(0, 0, -4), // the last Monday was the 27th
		} {
			if got := c.Next(at); !got.IsZero() {
				t.Errorf("%v: after %v: %v, want never", o.DST, at, got)
			}
		}
		for _, at := range []time.Time{first, last.AddDate(0, 0, -5), last.AddDate(0, 0, -12)} {
			got := c.Next(at)
			if !got.After(at) || got.After(last) || got.Weekday() != time.Monday || got.Hour() != 9 || got.Sub(at) > 8*24*time.Hour {
				t.Errorf("%v: after %v: %v", o.DST, at, got)
			}
		}
	}
}

func TestOccurrences(t *testing.T) {
	t.Parallel()
	c := weekly(t, "0 9 * * *")
	from, to := instant(t, "2026-01-01T09:00:00Z"), instant(t, "2026-01-04T09:00:00Z")
	want := instants(t, []string{"2026-01-02T09:00:00Z", "2026-01-03T09:00:00Z", "2026-01-04T09:00:00Z"})
	seq := c.Occurrences(from, to)
	for range 2 {
		if got := slices.Collect(seq); !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("got %v, want %v: without from, with to", got, want)
		}
	}
	for at := range seq {
		if !at.Equal(want[0]) {
			t.Errorf("first is %v", at)
		}
		break
	}
	if got := slices.Collect(c.Occurrences(to, from)); len(got) != 0 {
		t.Errorf("a range that ends before it begins gave %v", got)
	}
}

func TestNoSchedule(t *testing.T) {
	t.Parallel()
	at := instant(t, "2026-01-01T00:00:00Z")
	for name, c := range map[string]*schedule.Cron{"nil": nil, "zero": {}} {
		next, ok := c.NextAllowed(at, schedule.AllDays)
		if !c.Next(at).IsZero() || ok || !next.IsZero() || c.Matches(at) || c.Min() != 0 || c.Err() != nil {
			t.Errorf("%s schedule fires or fails", name)
		}
		if texts := c.String() + c.Text() + c.Spec() + c.Time() + c.DaysOfWeek() + c.Humanize(); texts != "" {
			t.Errorf("%s schedule has text %q", name, texts)
		}
		if c.Location() != time.UTC || len(slices.Collect(c.Occurrences(at, at.AddDate(1, 0, 0)))) != 0 {
			t.Errorf("%s schedule has a zone or occurrences", name)
		}
	}
}

// One schedule asked by many goroutines, all over its zone's history.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	shared := weekly(t, "CRON_TZ=America/New_York 30 1-2 * * *")
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 0))
			own := weekly(t, shared.String())
			for range 2000 {
				at := time.Unix(rnd.Int64N(1<<32), 0)
				if got, want := shared.Next(at), own.Next(at); !got.Equal(want) {
					t.Errorf("after %v: %v shared, %v alone", at, got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestNextDoesNotAllocate(t *testing.T) {
	c := weekly(t, benchSpec)
	times := benchTimes()
	for _, at := range times {
		c.Next(at)
	}
	i := 0
	if n := testing.AllocsPerRun(len(times), func() { i++; sink = c.Next(times[i%len(times)]) }); n != 0 {
		t.Errorf("%v allocations per call", n)
	}
}
