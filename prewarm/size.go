package prewarm

import (
	"fmt"
	"math"
	"time"
)

// Target is the size a pool shall have, and what asks for it.
type Target struct {
	// Size is the number of unclaimed members: what is missing is created.
	Size int
	// Keep is the number above which members are too many. It is above Size for a while after demand asked for more,
	// here or in another process: else replicas that see different claims would create and remove in turns.
	Keep int
	// Floor, Schedule, Demand and Reserves are what each of them asks for; Waiting are claims that wait and are added to
	// the largest.
	Floor, Schedule, Demand, Reserves, Waiting int
	// Capped says that the ceiling is what keeps Size down.
	Capped bool
}

// Extra is what demand and waiting claims ask for beyond the rest.
func (t Target) Extra() int { return max(t.base(), t.Demand) + t.Waiting - t.base() }

func (t Target) base() int { return max(t.Floor, t.Schedule, t.Reserves) }

// Size returns the size that a pool shall have at an instant: the largest of floor, schedule, demand and reserves, and
// one more for each claim that waits, within the ceiling. Schedule and forecast count from the time that a build takes
// before they begin, so that members are ready by then.
func Size(spec Spec, now time.Time) Target {
	return spec.withDefaults().target(now)
}

func (s Spec) target(now time.Time) Target {
	t := Target{Floor: s.Floor, Reserves: s.reserved(), Waiting: s.Demand.Waiting}
	rate := s.Demand.PerHour
	for _, at := range [...]time.Time{now, now.Add(s.Demand.BuildTime)} {
		for _, w := range s.Windows {
			if w.open(at) {
				t.Schedule = max(t.Schedule, w.Size)
			}
		}
		rate = max(rate, s.Demand.Forecast.At(at))
	}
	t.Demand = SizeFor(rate, s.Demand.BuildTime, s.HitRate)
	wanted := t.base() + t.Extra()
	t.Size = min(wanted, s.Ceiling)
	t.Keep = min(t.base()+max(t.Extra(), s.Demand.Recent), s.Ceiling)
	t.Capped = wanted > s.Ceiling
	return t
}

// String says what the size comes from.
func (t Target) String() string {
	text := fmt.Sprintf("%d wanted: floor %d, schedule %d, demand %d, reserves %d, waiting %d",
		t.Size, t.Floor, t.Schedule, t.Demand, t.Reserves, t.Waiting)
	if t.Keep > t.Size {
		text += fmt.Sprintf(", up to %d kept after recent demand", t.Keep)
	}
	if t.Capped {
		text += ", capped by the ceiling"
	}
	return text
}

// maxPerHour keeps what is computed from rates finite.
const maxPerHour = 1e7

// SizeFor returns the smallest pool that serves at least the given share of claims at once, if they come at random at a
// rate (a Poisson process) and each is followed by the building of another member. It is 0 for no claims.
//
// A claim is served if fewer members than the pool's size are being built, and with a replacement started at each claim
// those are the claims of the last build time. Above a thousand of them the normal distribution stands in, which is off
// by one at most.
func SizeFor(perHour float64, build time.Duration, hitRate float64) int {
	if !(perHour > 0) || !(hitRate > 0) {
		return 0
	}
	hitRate = min(hitRate, 1-1e-9)
	mean := claimsWhile(perHour, build)
	if mean > manyClaims {
		deviations := math.Sqrt2 * math.Erfinv(2*hitRate-1)
		return max(1, int(math.Ceil(mean+deviations*math.Sqrt(mean)+0.5)))
	}
	size := 1
	for p := newPoisson(mean); p.sum < hitRate && p.n < 2*manyClaims; size++ {
		p.next()
	}
	return size
}

// HitRateOf returns the share of claims that a pool of a size serves at once, under the assumptions of [SizeFor].
func HitRateOf(size int, perHour float64, build time.Duration) float64 {
	if size <= 0 {
		return 0
	}
	if !(perHour > 0) {
		return 1
	}
	mean := claimsWhile(perHour, build)
	if mean > manyClaims {
		return math.Erfc((mean-float64(size)+0.5)/math.Sqrt(2*mean)) / 2
	}
	p := newPoisson(mean)
	for range min(size-1, 2*manyClaims) {
		p.next()
	}
	return min(p.sum, 1)
}

const manyClaims = 1000

// claimsWhile is the number of claims to be expected while one member is built.
func claimsWhile(perHour float64, build time.Duration) float64 {
	return min(perHour, maxPerHour) * max(build, 0).Hours()
}

// poisson sums the probabilities of 0, 1, 2 .. events. It works with logarithms: e^-mean is 0 above 745.
type poisson struct {
	mean, log, sum float64
	n              int
}

func newPoisson(mean float64) *poisson {
	return &poisson{mean: mean, log: -mean, sum: math.Exp(-mean)}
}

func (p *poisson) next() {
	p.n++
	if p.mean > 0 {
		p.log += math.Log(p.mean / float64(p.n))
		p.sum += math.Exp(p.log)
	}
}
