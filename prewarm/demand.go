package prewarm

import (
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// Traffic measures the rate of claims in constant space. The zero value with a Window is ready; it is not safe for
// concurrent use.
type Traffic struct {
	// Window is over which claims are counted. A rate that was reached holds for one to two windows: that is the
	// cool-down, so that a pool does not shrink in every lull.
	Window time.Duration

	begun             time.Time
	current, previous int
}

// Count adds claims at an instant; instants should not go back.
func (t *Traffic) Count(n int, now time.Time) {
	t.turn(now)
	t.current += n
}

// PerHour returns the rate: the higher of this window's and the last one's.
func (t *Traffic) PerHour(now time.Time) float64 {
	t.turn(now)
	if t.Window <= 0 {
		return 0
	}
	return float64(max(t.current, t.previous)) / t.Window.Hours()
}

func (t *Traffic) turn(now time.Time) {
	switch since := now.Sub(t.begun); {
	case t.begun.IsZero(), since >= 2*t.Window:
		t.begun, t.current, t.previous = now, 0, 0
	case since >= t.Window:
		t.begun, t.current, t.previous = t.begun.Add(t.Window), 0, t.current
	}
}

const hoursPerWeek = 7 * 24

// Forecast is the rate of claims to be expected by hour of the week. A nil Forecast expects none.
type Forecast struct {
	// PerHour are the rates from Monday 0:00 on.
	PerHour [hoursPerWeek]float64
	// Location is the zone of the hours, nil for UTC.
	Location *time.Location
}

// At returns the rate to be expected at an instant.
func (f *Forecast) At(t time.Time) float64 {
	if f == nil {
		return 0
	}
	return f.PerHour[hourOfWeek(t, f.Location)]
}

func hourOfWeek(t time.Time, loc *time.Location) int {
	if loc == nil {
		loc = time.UTC
	}
	t = t.In(loc)
	return (int(t.Weekday())+6)%7*24 + t.Hour()
}

// Learn returns the forecast from the claims of some weeks before now. A week counts half of the one after it, so that
// habits may change. The claims may be in any order; those outside the weeks are ignored.
func Learn(claims []time.Time, weeks int, now time.Time, loc *time.Location) (*Forecast, error) {
	if weeks < 1 {
		return nil, invalid.New("weeks", weeks, "must be at least 1")
	}
	f := &Forecast{Location: loc}
	weight, total := make([]float64, weeks), 0.0
	for i := range weight {
		weight[i] = 1 / float64(uint64(1)<<min(i, 62))
		total += weight[i]
	}
	for _, at := range claims {
		if age := now.Sub(at); age >= 0 && age < time.Duration(weeks)*week {
			f.PerHour[hourOfWeek(at, loc)] += weight[age/week] / total
		}
	}
	return f, nil
}

// Advice is the size for one hour of the week.
type Advice struct {
	// Hour of the week, from Monday 0:00.
	Hour int
	Size int
	// HitRate is the share of claims to be expected to find a ready member.
	HitRate float64
	// Idle is the number of members to be expected idle on average: the cost, in members, of that hour.
	Idle float64
}

// Advise returns the size for each hour of the week by a forecast, with what it will give and cost.
func Advise(f *Forecast, build time.Duration, hitRate float64) []Advice {
	advice := make([]Advice, hoursPerWeek)
	for h := range advice {
		rate := f.PerHour[h]
		size := SizeFor(rate, build, hitRate)
		advice[h] = Advice{
			Hour: h, Size: size, HitRate: HitRateOf(size, rate, build),
			Idle: max(0, float64(size)-claimsWhile(rate, build)),
		}
	}
	return advice
}
