package forecast

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// How the width of bands is learned: on so many of the last weeks, with so many draws of each.
const (
	triedWeeks = 8
	triedDraws = 10
)

// widening says how much wider than the draws a band has to be. The draws hold what chance makes of single people and how
// much weeks differ as a whole, but not what is not known of the people themselves. So the last weeks are foretold from those
// before them, and how far off the number of people at work was is compared with how far apart the draws are.
func (b *Behavior) widening(seed uint64) float64 {
	var off, spread float64
	for back := 1; back <= triedWeeks; back++ {
		o, s := b.before(back).tried(b, back, seed)
		off, spread = off+o, spread+s
	}
	if spread == 0 {
		return 1
	}
	return max(math.Sqrt(off/spread), 1)
}

// before is what would have been learned some weeks earlier.
func (b *Behavior) before(weeks int) *Behavior {
	old := &Behavior{until: b.until.AddDate(0, 0, -7*weeks), habits: map[uuid.UUID]*habit{}}
	for who, h := range b.habits {
		if len(h.weeks) > weeks {
			old.habits[who] = &habit{h.loc, h.weeks[weeks:]}
		}
	}
	old.comes, old.swing = countReturns(old.habits), countSwing(old.habits)
	return old
}

// weekHours is how many people are at work in each hour of a week.
type weekHours [7*24 + 2]float64 // a change of the clock moves some by an hour

func (w *weekHours) add(from time.Time, all []Session) {
	for _, s := range all {
		first, last := int(s.Begin.Sub(from).Hours()), int(math.Ceil(s.End.Sub(from).Hours()))
		for h := max(first, 0); h < min(last, len(w)); h++ {
			w[h]++
		}
	}
}

// tried foretells a week and returns, summed over its hours, the square of how far off the mean of the draws is and of how
// far apart they are.
func (b *Behavior) tried(later *Behavior, back int, seed uint64) (off, spread float64) {
	var actual weekHours
	var drawn [triedDraws]weekHours
	var moods [triedDraws][]float64
	for draw := range moods {
		moods[draw] = []float64{b.mood(seed, draw, back)}
	}
	until := b.until.AddDate(0, 0, 7)
	for who, h := range b.habits {
		actual.add(b.until, later.habits[who].weeks[back-1])
		for draw := range drawn {
			r := rand.New(rand.NewPCG(seed^mix(who), uint64(draw*triedWeeks+back)))
			drawn[draw].add(b.until, b.draw(h, until, moods[draw], r))
		}
	}
	for hour := range actual {
		var sum, squares float64
		for draw := range drawn {
			v := drawn[draw][hour]
			sum, squares = sum+v, squares+v*v
		}
		const n = triedDraws
		mean := sum / n
		variance := (squares - n*mean*mean) / (n - 1)
		d := actual[hour] - mean
		off, spread = off+d*d, spread+variance*(1+1.0/n) // the mean of the draws is off by chance, too
	}
	return off, spread
}
