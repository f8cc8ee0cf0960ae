package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/dormouse-go/dormouse/schedule"
)

// The specs of the sweeps: times in and around every usual gap, several in one
// gap, intervals, single weekdays.
var sweepSpecs = []string{
	"30 2 * * *", "0 2,3 * * *", "*/15 1-3 * * *", "* 2 * * *", "15 3 * * *", "10,40 0-23/2 * * 1-5",
	"0 0 * * *", "30 0 * * *", "1 0 * * 0", "59 23 * * *", "45 23 * * 6", "0 9 * * 5", "7 12 * * 1,3",
	"0 * * * *", "*/15 * * * *", "* * * * *", "30 0-23 * * 6,0",
}

// ruleOf is a schedule as the oracle sees it: sets of numbers, nothing shared
// with the code under test.
type ruleOf struct {
	fields *cron.SpecSchedule
}

func newRule(t testing.TB, spec string) ruleOf {
	t.Helper()
	s, err := cron.ParseStandard(spec)
	if err != nil {
		t.Fatal(err)
	}
	return ruleOf{s.(*cron.SpecSchedule)}
}

func (r ruleOf) everyHour() bool { return r.fields.Hour&(1<<24-1) == 1<<24-1 }

// due reports whether a wall-clock time, written as if it were UTC, is in the rule.
func (r ruleOf) due(wall time.Time) bool {
	return r.fields.Minute>>wall.Minute()&1 != 0 && r.fields.Hour>>wall.Hour()&1 != 0 &&
		r.fields.Dow>>int(wall.Weekday())&1 != 0 && wall.Second() == 0
}

// walk says when the rule fires after from and not after to, by watching the
// zone's clock step by step and applying the policy in words: a time fires when the clock first
// shows it or has passed it; every hour's times fire whenever the clock shows them.
func (r ruleOf) walk(loc *time.Location, from, to time.Time, step time.Duration) []time.Time {
	wallAt := func(t time.Time) time.Time {
		return t.UTC().Add(time.Duration(offsetAt(loc, t)) * time.Second)
	}
	const lead = 30 * time.Hour // what was shown before from must be known
	high := wallAt(from.Add(-lead))
	var fires []time.Time
	for at := from.Add(step - lead); !at.After(to); at = at.Add(step) {
		wall := wallAt(at)
		fire := r.due(wall)
		if !r.everyHour() {
			fire = r.dueIn(high, wall, step)
		}
		if wall.After(high) {
			high = wall
		}
		if fire && at.After(from) {
			fires = append(fires, at)
		}
	}
	return fires
}

func (r ruleOf) dueIn(after, upTo time.Time, step time.Duration) bool {
	for wall := after.Add(step); !wall.After(upTo); wall = wall.Add(step) {
		if r.due(wall) {
			return true
		}
	}
	return false
}

// wholeShifts are the changes of offset of every zone whose offsets and instants are whole minutes. Looking for them takes
// longer than what the tests do with them.
var wholeShifts = sync.OnceValue(func() map[string][]shift {
	from := time.Date(1930, 1, 1, 0, 0, 0, 0, time.UTC)
	to := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	all := map[string][]shift{}
	for _, name := range allZones() {
		loc, err := time.LoadLocation(name)
		if err != nil {
			panic(err)
		}
		all[name] = slices.DeleteFunc(shifts(loc, from, to), func(s shift) bool {
			return s.before%60 != 0 || s.after%60 != 0 || s.at.Unix()%60 != 0
		})
	}
	return all
})

// aroundShifts calls check for a few changes of offset in every zone: the largest gap and overlap, and a random one.
func aroundShifts(t *testing.T, rnd *rand.Rand, check func(name string, loc *time.Location, s shift)) {
	t.Helper()
	byGap := func(a, b shift) int { return a.gap() - b.gap() }
	for _, name := range allZones() {
		found := wholeShifts()[name]
		if len(found) == 0 {
			continue
		}
		loc := location(t, name)
		for _, s := range []shift{slices.MinFunc(found, byGap), slices.MaxFunc(found, byGap), found[rnd.IntN(len(found))]} {
			check(name, loc, s)
		}
	}
}

func TestOnceFollowsTheClockAroundEveryKindOfShift(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	aroundShifts(t, rnd, func(name string, loc *time.Location, s shift) {
		spec := sweepSpecs[rnd.IntN(len(sweepSpecs))]
		from, to := s.at.Add(-26*time.Hour), s.at.Add(50*time.Hour)
		want := newRule(t, spec).walk(loc, from, to, time.Minute)
		compareFires(t, weekly(t, "CRON_TZ="+name+" "+spec), from, to, want)
	})
}

func TestOnceFollowsTheClockWhenOffsetsHaveSeconds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/Amsterdam", "America/New_York", "Africa/Monrovia", "Asia/Kathmandu", "America/Sitka", "Asia/Manila"} {
		loc := location(t, name)
		found := slices.DeleteFunc(
			shifts(loc, time.Date(1840, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1975, 1, 1, 0, 0, 0, 0, time.UTC)),
			func(s shift) bool { return s.before%60 == 0 && s.after%60 == 0 })
		if len(found) == 0 {
			t.Errorf("%s: no offset with seconds", name)
		}
		for i, s := range found[:min(3, len(found))] {
			spec := []string{"*/7 * * * *", "*/9 0-12 * * *", "30 23 * * *"}[i]
			from, to := s.at.Add(-2*time.Hour), s.at.Add(30*time.Hour)
			want := newRule(t, spec).walk(loc, from, to, time.Second)
			compareFires(t, weekly(t, "CRON_TZ="+name+" "+spec), from, to, want)
		}
	}
}

func compareFires(t *testing.T, c *schedule.Cron, from, to time.Time, want []time.Time) {
	t.Helper()
	got := slices.Collect(c.Occurrences(from, to))
	if slices.EqualFunc(got, want, time.Time.Equal) {
		return
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !got[i].Equal(want[i]) {
			t.Fatalf("%v after %v: fire %d differs\n got %v\nwant %v", c, from.In(c.Location()), i, show(got, i), show(want, i))
		}
	}
}

func show(times []time.Time, i int) string {
	return strings.Trim(fmt.Sprint(times[max(0, min(i-1, len(times))):min(i+2, len(times))]), "[]")
}

// libraryNext asks robfig/cron. It reports false where the library would not
// return: when it steps by days over a date that the zone has left out.
func libraryNext(s *cron.SpecSchedule, at, ours time.Time) (time.Time, bool) {
	if s.Dow&(1<<7-1) != 1<<7-1 {
		for t := at.Add(-48 * time.Hour); t.Before(ours.Add(48 * time.Hour)); t = t.Add(30 * time.Minute) {
			if offsetAt(s.Location, t.Add(30*time.Minute))-offsetAt(s.Location, t) >= 11*60*60 {
				return time.Time{}, false
			}
		}
	}
	return s.Next(at.In(s.Location)), true
}

// librariesOf reads each line with robfig/cron, with weekdays written out one by one where the library does not know them.
func librariesOf(t *testing.T, c *schedule.Cron) []*cron.SpecSchedule {
	t.Helper()
	var all []*cron.SpecSchedule
	for line := range strings.SplitSeq(c.Spec(), "; ") {
		i := strings.LastIndex(line, " ")
		s, err := cron.ParseStandard("CRON_TZ=" + c.Location().String() + " " + line[:i] + " " + writtenOut(line[i+1:]))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s.(*cron.SpecSchedule))
	}
	return all
}

func writtenOut(field string) string {
	var days []string
	for item := range strings.SplitSeq(field, ",") {
		span, step, stepped := strings.Cut(item, "/")
		from, to, isRange := strings.Cut(span, "-")
		first, last := oracleDay(from), oracleDay(to)
		if first < 0 || (isRange && last < 0) {
			days = append(days, item) // a star, or nothing
			continue
		}
		if !isRange {
			last = first
		}
		if stepped && !isRange {
			last = 6 // to Saturday, also from 7
		}
		every, err := strconv.Atoi(step)
		if !stepped || err != nil {
			every = 1
		}
		for n, d := 0, first; ; n, d = n+1, d+1 {
			if n%every == 0 {
				days = append(days, strconv.Itoa(d%7))
			}
			// 7 at the end is the Sunday after the first day, 0 at the end also the first day itself.
			if d == last || d == last+7 {
				break
			}
		}
	}
	return strings.Join(days, ",")
}

func oracleDay(name string) int {
	if i := slices.Index([]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}, strings.ToLower(name)); i >= 0 {
		return i
	}
	if n, err := strconv.Atoi(name); err == nil && n <= 7 {
		return n
	}
	return -1
}

func checkCompat(t *testing.T, c *schedule.Cron, at time.Time) {
	t.Helper()
	got, want := c.Next(at), time.Time{}
	libraries := librariesOf(t, c)
	for _, library := range libraries {
		until := got
		if len(libraries) > 1 {
			until = at.Add(9 * 24 * time.Hour) // the other lines may fire later
		}
		next, returns := libraryNext(library, at, until)
		if !returns {
			return
		}
		if want.IsZero() || next.Before(want) {
			want = next
		}
	}
	if !got.Equal(want) {
		t.Fatalf("%v after %v:\n got %v\nwant %v", c, at.In(c.Location()), got, want.In(c.Location()))
	}
}

func TestCompatEqualsTheLibraryAroundEveryKindOfShift(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	aroundShifts(t, rnd, func(name string, _ *time.Location, s shift) {
		c := weeklyWith(t, "CRON_TZ="+name+" "+sweepSpecs[rnd.IntN(len(sweepSpecs))], schedule.Options{DST: schedule.DSTCompat})
		for range 6 {
			checkCompat(t, c, s.at.Add(time.Duration(rnd.IntN(9*24*3600)-6*24*3600)*time.Second))
		}
		checkCompat(t, c, s.at)
		checkCompat(t, c, s.at.Add(-time.Nanosecond))
	})
}

func TestCompatEqualsTheLibraryAtAnyTime(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	from := time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	to := time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	for _, name := range allZones() {
		c := weeklyWith(t, "CRON_TZ="+name+" "+sweepSpecs[rnd.IntN(len(sweepSpecs))], schedule.Options{DST: schedule.DSTCompat})
		for range 15 {
			checkCompat(t, c, time.Unix(from+rnd.Int64N(to-from), rnd.Int64N(1e9)))
		}
	}
}
