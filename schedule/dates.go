package schedule

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// maxDates bounds the text of a set of dates: decades of holidays.
const maxDates = 16 << 10

// Dates is a set of calendar dates in one zone, such as holidays. It is
// immutable and safe for concurrent use. Nil and the zero value are the empty set.
type Dates struct {
	loc  *time.Location
	zone *zone // nil if err is not nil
	runs []run // in order, neither touching nor overlapping

	text string // as submitted, if err is not nil
	err  error  // why text is unusable
}

// run is a stretch of dates without a break: as days since 1970-01-01, both
// included, and as UTC seconds [start, end). A date that the zone left out has none,
// and end is that of the next run where nothing lies between the two.
type run struct {
	first, last int64
	start, end  int64
}

// ParseDates reads a set of dates: a zone, UTC without it, then dates and ranges
// of dates separated by commas, such as
//
//	Europe/Berlin 2026-12-24..2026-12-26,2027-01-01
//
// "" is the empty set. The years are 1 to 9999. The host's own zone "Local" is refused.
func ParseDates(text string) (*Dates, error) {
	if len(text) > maxDates {
		return nil, invalid.New("text", text, "must not be longer than %d bytes", maxDates)
	}
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return &Dates{}, nil
	}
	name := "UTC"
	if first := fields[0]; first[0] < '0' || first[0] > '9' {
		name, fields = first, fields[1:]
	}
	loc, err := loadZone("text", text, name)
	if err != nil {
		return nil, err
	}
	runs, err := parseRuns(text, strings.Join(fields, ""))
	if err != nil {
		return nil, err
	}
	return newDates(loc, runs), nil
}

// ReadDates is [ParseDates] for stores. It never fails: a text that cannot be read
// becomes [UnusableDates], and an empty one nil.
func ReadDates(text string) *Dates {
	if text == "" {
		return nil
	}
	d, err := ParseDates(text)
	if err != nil {
		return UnusableDates(text, fmt.Errorf("stored dates: %w", err))
	}
	return d
}

// UnusableDates stands for a stored text that cannot be read because of err. It is
// for stores: one bad row is then an error of that row alone. It covers every
// instant until the end of the year 9999: as long as nobody knows which dates were
// meant, any day may be one. Err is err, and String the text, so that writing the
// value back changes nothing.
func UnusableDates(text string, err error) *Dates {
	return &Dates{loc: time.UTC, runs: []run{{start: math.MinInt64, end: lastSecond}}, text: text, err: err}
}

// Err returns nil, or why the dates cannot be read. Only [UnusableDates] have one.
func (d *Dates) Err() error {
	if d == nil {
		return nil
	}
	return d.err
}

func parseRuns(text, list string) ([]run, error) {
	var runs []run
	for item := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(item, "..")
		if !isRange {
			to = from
		}
		first, err1 := parseDate(from)
		last, err2 := parseDate(to)
		switch {
		case err1 != nil || err2 != nil:
			return nil, invalid.New("text", text, "%q is not a date such as 2026-12-24, or a range such as 2026-12-24..2026-12-26", item)
		case last < first:
			return nil, invalid.New("text", text, "the range %q ends before it begins", item)
		}
		runs = append(runs, run{first: first, last: last})
	}
	return runs, nil
}

func parseDate(s string) (int64, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err == nil {
		err = ValidateInstant("date", t) // there was no year 0
	}
	return floorDiv(t.Unix(), secondsPerDay), err
}

func newDates(loc *time.Location, runs []run) *Dates {
	slices.SortFunc(runs, func(a, b run) int { return int(a.first - b.first) })
	merged := runs[:1]
	for _, r := range runs[1:] {
		if tail := &merged[len(merged)-1]; r.first <= tail.last+1 {
			tail.last = max(tail.last, r.last)
		} else {
			merged = append(merged, r)
		}
	}
	z := newZone(loc)
	for i := range merged {
		r := &merged[i]
		r.start, r.end = z.midnight(r.first), min(z.midnight(r.last+1), lastSecond)
	}
	// Where the zone left a date out, the dates on both sides of it follow each other.
	for i := len(merged) - 2; i >= 0; i-- {
		if merged[i].end == merged[i+1].start {
			merged[i].end = merged[i+1].end
		}
	}
	return &Dates{loc: loc, zone: z, runs: merged}
}

// Covering reports whether t is on one of the dates, in their zone, and when the
// run of dates it is in ends: the first instant of the day after the last, but no
// later than the year 9999.
func (d *Dates) Covering(t time.Time) (until time.Time, held bool) {
	if d == nil {
		return time.Time{}, false
	}
	sec := t.Unix()
	i := d.firstEndingAfter(sec)
	if i == len(d.runs) || sec < d.runs[i].start {
		return time.Time{}, false
	}
	return d.at(d.runs[i].end), true
}

func (d *Dates) firstEndingAfter(sec int64) int {
	return sort.Search(len(d.runs), func(i int) bool { return d.runs[i].end > sec })
}

// Location returns the zone of the dates, UTC when there are none.
func (d *Dates) Location() *time.Location {
	if d == nil || d.loc == nil {
		return time.UTC
	}
	return d.loc
}

func (d *Dates) at(sec int64) time.Time { return time.Unix(sec, 0).In(d.loc) }

// String returns the canonical text: the zone, then the dates in order, runs of
// them as ranges. The empty set is "". Parsed again it gives an equal set, unless
// the set has an Err.
func (d *Dates) String() string {
	switch {
	case d == nil || len(d.runs) == 0:
		return ""
	case d.err != nil:
		return d.text
	}
	items := make([]string, len(d.runs))
	for i, r := range d.runs {
		items[i] = dateOf(r.first)
		if r.last > r.first {
			items[i] += ".." + dateOf(r.last)
		}
	}
	return d.loc.String() + " " + strings.Join(items, ",")
}
