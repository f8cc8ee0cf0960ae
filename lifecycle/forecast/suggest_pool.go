package forecast

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

// PoolSuggestion is how many ready workspaces should wait in each hour of the week, with what they would have done.
type PoolSuggestion struct {
	Sizes PoolSizes `json:"sizes"`
	// Claims and Hits are those of the time looked at, PoolHours what the pool would have cost.
	Claims    int     `json:"claims"`
	Hits      int     `json:"hits"`
	PoolHours float64 `json:"pool_hours"`
	// Even is the smallest pool of one size for all hours that would have served as many, and EvenHours its cost.
	Even      int     `json:"even"`
	EvenHours float64 `json:"even_hours"`
	// Met says that no larger share than asked for was missed.
	Met bool `json:"met"`
}

// String argues for the sizes in a sentence.
func (p PoolSuggestion) String() string {
	return fmt.Sprintf("%d to %d by hour: serves %d of %d starts by hand for %.0f pool hours; the same size at all hours would take %d and %.0f",
		slices.Min(p.Sizes[:]), slices.Max(p.Sizes[:]), p.Hits, p.Claims, p.PoolHours, p.Even, p.EvenHours)
}

// SuggestPool proposes sizes so that no larger share than misses of those who would wait for a start by hand finds the
// pool empty (0.05: one in twenty). Claims are taken as calls that are lost if no line is free (Erlang's formula), at the
// rate of each hour of the week and for the time that a start takes; then the sizes are tried on what was recorded, and
// raised until they hold.
func SuggestPool(fleet iter.Seq[Member], misses float64, from, until time.Time, c SimulateConfig) (PoolSuggestion, error) {
	if !(misses > 0 && misses < 1) { // not the other way round: that would let NaN pass
		return PoolSuggestion{}, invalid.New("misses", misses, "must be between 0 and 1")
	}
	if err := cmp.Or(c.validate(), validSpan(from, until)); err != nil {
		return PoolSuggestion{}, err
	}
	t := &trial{
		candidate: Candidate{Pool: &PoolSizes{}}, from: from.UTC(), until: until.UTC(),
		a: c.Assumptions.withDefaults(), series: newSeries(from.UTC(), until.UTC()),
	}
	parallel(fleet, processors(c.Parallel), t.live)
	claims := t.total.claims
	slices.SortFunc(claims, claim.compare)
	var s PoolSuggestion
	for _, safety := range []float64{1, 1.5, 2, 3, 4, 6, 8} {
		sizes := sized(claims, from, until, misses, safety)
		s = tryPool(sizes, claims, from, until)
		if s.Met = float64(s.Claims-s.Hits) <= misses*float64(s.Claims); s.Met {
			break
		}
	}
	for n := range slices.Max(s.Sizes[:]) + 1 {
		even := tryPool(evenPool(n), claims, from, until)
		if s.Even, s.EvenHours = n, even.PoolHours; even.Hits >= s.Hits {
			break
		}
	}
	return s, nil
}

// tryPool lets a pool serve claims.
func tryPool(sizes PoolSizes, claims []claim, from, until time.Time) PoolSuggestion {
	s := PoolSuggestion{Sizes: sizes, Claims: len(claims)}
	p := newPool(&sizes, from)
	for _, c := range claims {
		if p.claim(c) {
			s.Hits++
		}
	}
	p.advance(until)
	s.PoolHours = p.idle.Hours()
	return s
}

// sized chooses the size of each hour by its rate of claims, times a safety.
func sized(claims []claim, from, until time.Time, misses, safety float64) PoolSizes {
	var count, passed [7 * 24]float64
	var waited time.Duration
	for _, c := range claims {
		count[hourOfWeek(c.at.UTC())]++
		waited += c.waited
	}
	for at := from.UTC().Truncate(time.Hour); at.Before(until); at = at.Add(time.Hour) {
		passed[hourOfWeek(at)]++
	}
	var sizes PoolSizes
	for i := range sizes {
		// Few weeks make an hour's count rough: its neighbours say something of it too.
		n := count[i] + (count[(i+1)%len(count)]+count[(i+len(count)-1)%len(count)])/2
		if n == 0 || passed[i] == 0 {
			continue
		}
		takes := waited.Hours() / float64(len(claims))
		sizes[i] = lines(n/2/passed[i]*takes*safety, misses)
	}
	return sizes
}

// lines is the smallest number of lines at which no larger part of calls is lost under a load, by Erlang's formula.
func lines(load, lost float64) int {
	b := 1.0
	for n := 0; ; n++ {
		if b <= lost {
			return n
		}
		b = load * b / (float64(n+1) + load*b)
	}
}
