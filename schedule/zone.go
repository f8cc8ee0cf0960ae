package schedule

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	secondsPerDay = 24 * 60 * 60

	// settled is how long after a change of offset nothing of it is left to see:
	// offsets differ by at most 27 hours in the tz database.
	settled = 4 * secondsPerDay

	// A page answers for 2^22 seconds, 48 days. 64 of them keep eight years at hand.
	pageBits  = 22
	pageCount = 64
)

// zone is a time zone cut into spans of one UTC offset each, found on demand
// and kept. It is safe for concurrent use: a page, once published, never changes, and
// two goroutines that find the same one build the same page.
type zone struct {
	loc   *time.Location
	pages [pageCount]atomic.Pointer[page]
	sum   atomic.Int64 // the fingerprint, 0 as long as nobody has asked
}

// page holds the spans that touch the seconds [id<<pageBits, (id+1)<<pageBits),
// in order, and as many after them as were found on the way.
type page struct {
	id    int64
	spans []span
}

// span is a stretch of time in which the zone keeps one offset: UTC seconds
// [start, end), offset seconds east of UTC.
//
// end may also be a mere limit of the search, with no change behind it. start
// is math.MinInt64 when the offset has been the same for at least [settled].
type span struct {
	start, end, offset int64

	// first is the first local minute that belongs to this span, by reading.
	first [2]int64
}

// reading is how local minutes are mapped to instants.
type reading uint8

const (
	// once gives a minute to the first span in which the clock shows it or has
	// passed it: minutes of a gap go to the span after it, and a minute that is
	// shown twice goes to the earlier.
	once reading = iota
	// clock gives a minute to every span in which the clock shows it.
	clock
)

func newZone(loc *time.Location) *zone { return &zone{loc: loc} }

// page returns the page that holds sec.
func (z *zone) page(sec int64) *page {
	id := sec >> pageBits
	slot := &z.pages[id&(pageCount-1)]
	if p := slot.Load(); p != nil && p.id == id {
		return p
	}
	p := z.build(id)
	slot.Store(p)
	return p
}

// span returns the span that holds sec.
func (z *zone) span(sec int64) *span {
	p := z.page(sec)
	for i := range p.spans {
		if sec < p.spans[i].end {
			return &p.spans[i]
		}
	}
	panic("schedule: a page of a time zone ends too early") // build goes past the page's end
}

// build finds the spans of a page. It begins early enough before the page to
// know how far the clock had come when the page's first span began.
func (z *zone) build(id int64) *page {
	from, limit := id<<pageBits, (id+1)<<pageBits+settled
	at := from - 2*settled
	start, reached := int64(math.MinInt64), int64(math.MinInt64) // reached: the latest local second that was passed
	p := &page{id: id}
	for at < limit {
		s := span{start: start, offset: z.offset(at)}
		s.end = z.change(at, s.offset, limit)
		if start != math.MinInt64 {
			s.first = [2]int64{once: ceilMinute(reached), clock: ceilMinute(start + s.offset)}
		} else {
			s.first = [2]int64{math.MinInt64, math.MinInt64}
		}
		if s.end > from {
			p.spans = append(p.spans, s)
		}
		reached = max(reached, s.end+s.offset)
		start, at = s.end, s.end
	}
	return p
}

func (z *zone) offset(sec int64) int64 {
	_, offset := time.Unix(sec, 0).In(z.loc).Zone()
	return int64(offset)
}

// change returns the first second after at whose offset is another one, or limit.
//
// It trusts only the end that ZoneBounds reports, and that not blindly: beyond
// the explicit transitions of a zone, package time cuts years at New Year
// without a change, and ends the last stretch of a leap year a day early.
func (z *zone) change(at, offset, limit int64) int64 {
	for at < limit {
		next := limit
		if _, end := time.Unix(at, 0).In(z.loc).ZoneBounds(); !end.IsZero() {
			next = min(end.Unix(), limit)
		}
		if next <= at {
			next = min(at+60*60, limit)
		}
		if z.offset(next) != offset {
			return z.bisect(at, next, offset)
		}
		at = next
	}
	return limit
}

// bisect returns the second in (at, other] from which the offset of at is left.
func (z *zone) bisect(at, other, offset int64) int64 {
	if z.offset(other-1) == offset {
		return other
	}
	for other-at > 1 {
		if mid := at + (other-at)/2; z.offset(mid) == offset {
			at = mid
		} else {
			other = mid
		}
	}
	return other
}

// reach returns the first second at which the zone's clock shows the local
// minute, or has passed it.
func (z *zone) reach(minute int64) int64 {
	at := minute*60 - settled
	for {
		s := z.span(at)
		if sec := max(minute*60-s.offset, s.start); sec < s.end {
			return sec
		}
		at = s.end
	}
}

// day returns the date that the zone's clock shows at t, as days since 1970-01-01.
func (z *zone) day(t time.Time) int64 {
	sec := t.Unix()
	return floorDiv(sec+z.span(sec).offset, secondsPerDay)
}

// midnight returns the first instant of a date. Where a change of the clock
// skips 00:00 that is the instant of the change.
func (z *zone) midnight(day int64) int64 { return z.reach(day * minutesPerDay) }

func weekdayOf(day int64) time.Weekday { return time.Weekday(floorMod(day+4, 7)) }

func ceilMinute(sec int64) int64 { return -floorDiv(-sec, 60) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }
