package forecast

import (
	"cmp"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Past is when somebody worked: the recorded sessions of a workspace or of an owner, in order.
type Past struct {
	// Who is the id of a workspace, or of an owner whose workspaces have no past of their own. Of two pasts of one id the
	// later one counts.
	Who uuid.UUID
	// Location is where they live: a habit is one of the clock on the wall. Defaults to UTC.
	Location *time.Location
	Sessions []Session
}

// Behavior is what was learned from the past: who comes back, at which hours of the week they work, how long builds take
// and how often they fail. It is immutable and may be used concurrently.
type Behavior struct {
	until  time.Time
	habits map[uuid.UUID]*habit
	comes  returns
	// swing is how much weeks differ as a whole (a release, a holiday): the standard deviation of the logarithm of how many
	// work, beyond what chance makes of single people.
	swing  float64
	builds map[buildKey]*buildStats
}

// memory is how many weeks back counts for whether somebody comes.
const memory = 8

// returns is the probability that somebody works in a week, by the weeks since the last one in which they did (0 for the
// week before, memory for longer) and by how many of the last memory weeks had work.
type returns [memory + 1][memory + 1]float64

// habit is what is known of somebody.
type habit struct {
	loc *time.Location
	// weeks are the sessions of each week back from the end, the latest first. A week is seven days on the wall's clock.
	weeks [][]Session
}

// maxWeeks bounds how far back a habit goes.
const maxWeeks = 52

// Learn learns from what was recorded before an instant. Whatever is after it is not looked at. Builds are those that
// ended, of any workspace; both sequences may be empty, and are read once.
//
// It learns two things of people. Whether somebody works next week is taken from how it went with everybody who had worked
// as lately and as often. When they then work is taken from their own weeks, the later ones more often than the early
// ones. So one commit is not taken for a habit, and a habit keeps its hours.
func Learn(until time.Time, people iter.Seq[Past], builds iter.Seq[lifecycle.Build]) *Behavior {
	b := &Behavior{until: until.UTC(), habits: map[uuid.UUID]*habit{}, builds: map[buildKey]*buildStats{}}
	for p := range people {
		if h := newHabit(p, until); len(h.weeks) > 0 {
			b.habits[p.Who] = h
		}
	}
	b.comes, b.swing = countReturns(b.habits), countSwing(b.habits)
	for build := range builds {
		b.learnBuild(&build)
	}
	for _, s := range b.builds {
		slices.Sort(s.took)
	}
	return b
}

func newHabit(p Past, until time.Time) *habit {
	h := &habit{loc: cmp.Or(p.Location, time.UTC)}
	for _, s := range p.Sessions {
		if !s.Begin.Before(until) {
			continue
		}
		if s.End.After(until) {
			s.End = until
		}
		k := h.weekOf(s.Begin, until)
		for len(h.weeks) <= k && k < maxWeeks {
			h.weeks = append(h.weeks, nil)
		}
		if k < maxWeeks {
			h.weeks[k] = append(h.weeks[k], s)
		}
	}
	return h
}

// weekOf counts the weeks from an instant to the end.
func (h *habit) weekOf(t, until time.Time) int {
	k := int(until.Sub(t) / (7 * 24 * time.Hour))
	for h.shifted(t, k+1).Before(until) { // a change of the clock makes a week longer or shorter
		k++
	}
	for k > 0 && !h.shifted(t, k).Before(until) {
		k--
	}
	return k
}

// shifted is the same time on the wall's clock some weeks later.
func (h *habit) shifted(t time.Time, weeks int) time.Time {
	return t.In(h.loc).AddDate(0, 0, 7*weeks).UTC()
}

// seen is what whether somebody comes depends on, at the beginning of the week that is k weeks back.
func (h *habit) seen(k int) (since, often int) {
	since = memory
	for i := range memory {
		if at := k + 1 + i; at < len(h.weeks) && len(h.weeks[at]) > 0 {
			since = min(since, i)
			often++
		}
	}
	return since, often
}

// countReturns looks at every week of everybody since they first came.
func countReturns(habits map[uuid.UUID]*habit) returns {
	var weeks, active [memory + 1][memory + 1]float64
	for _, h := range habits {
		for k := range len(h.weeks) - 1 {
			since, often := h.seen(k)
			weeks[since][often]++
			if len(h.weeks[k]) > 0 {
				active[since][often]++
			}
		}
	}
	var r returns
	for since := range r {
		// Where few were seen, those who were away as long say more than nothing.
		var n, a float64
		for often := range r[since] {
			n, a = n+weeks[since][often], a+active[since][often]
		}
		usual := (a + 0.5) / (n + 2)
		const trust = 4
		for often := range r[since] {
			r[since][often] = (active[since][often] + trust*usual) / (weeks[since][often] + trust)
		}
	}
	return r
}

// countSwing compares each of the last weeks with the one before it.
func countSwing(habits map[uuid.UUID]*habit) float64 {
	var people [memory + 1]float64
	for _, h := range habits {
		for k := range min(len(h.weeks), len(people)) {
			if len(h.weeks[k]) > 0 {
				people[k]++
			}
		}
	}
	total, n := 0.0, 0.0
	for k := range memory {
		if a, b := people[k], people[k+1]; a > 0 && b > 0 {
			d := math.Log(a / b)
			total += (d*d - 1/a - 1/b) / 2 // the difference of two weeks has twice the variance of one
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return math.Sqrt(max(total/n, 0))
}

// mood is how many more people than usual work in a week of a draw, the same for everybody.
func (b *Behavior) mood(seed uint64, draw, week int) float64 {
	r := rand.New(rand.NewPCG(seed^uint64(draw)<<32, uint64(week)))
	return math.Exp(b.swing * r.NormFloat64())
}

// habitOf is what is known of a workspace's people, nil for nothing.
func (b *Behavior) habitOf(s *lifecycle.Snapshot) *habit {
	if h := b.habits[s.Workspace.ID]; h != nil {
		return h
	}
	return b.habits[s.Workspace.OwnerID]
}

// draw returns sessions of somebody for the time up to an instant, as they may turn out. The moods are those of the weeks.
func (b *Behavior) draw(h *habit, until time.Time, moods []float64, r *rand.Rand) []Session {
	var all []Session
	recent := make([]bool, memory, memory+8) // weeks with work, the latest last
	for i := range memory {
		at := memory - 1 - i
		recent[i] = at < len(h.weeks) && len(h.weeks[at]) > 0
	}
	for week := range moods {
		if !h.shifted(b.until, week).Before(until) {
			break
		}
		since, often := memory, 0
		for i, worked := range recent[len(recent)-memory:] {
			if worked {
				since, often = memory-1-i, often+1
			}
		}
		works := r.Float64() < b.comes[since][often]*moods[week]
		recent = append(recent, works)
		if works {
			k := h.pick(r)
			for _, s := range h.weeks[k] {
				all = append(all, Session{h.shifted(s.Begin, k+1+week), h.shifted(s.End, k+1+week)})
			}
		}
	}
	return merged(all)
}

// fading is how much less a week counts than the one after it.
const fading = 0.85

// pick chooses one of the weeks with work, later ones more often.
func (h *habit) pick(r *rand.Rand) int {
	total, weight := 0.0, 1.0
	chosen := 0
	for k := range h.weeks {
		if len(h.weeks[k]) > 0 {
			if total += weight; r.Float64()*total < weight {
				chosen = k
			}
		}
		weight *= fading
	}
	return chosen
}

// merged sorts sessions and joins those that overlap, where two weeks meet.
func merged(all []Session) []Session {
	slices.SortFunc(all, func(a, b Session) int { return a.Begin.Compare(b.Begin) })
	kept := all[:0]
	for _, s := range all {
		if n := len(kept); n > 0 && !s.Begin.After(kept[n-1].End) {
			if s.End.After(kept[n-1].End) {
				kept[n-1].End = s.End
			}
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// HourOfWeek returns how many hours somebody works in each hour of a week on the clock of where they live, from Monday
// 00:00 on, averaged over the weeks that are known, later ones counting more. ok is false if nothing is known.
func (b *Behavior) HourOfWeek(who uuid.UUID) (hours [7 * 24]float64, loc *time.Location, ok bool) {
	h := b.habits[who]
	if h == nil {
		return hours, time.UTC, false
	}
	total, weight := 0.0, 1.0
	for _, week := range h.weeks {
		for _, s := range week {
			addHours(&hours, s, h.loc, weight)
		}
		total += weight
		weight *= fading
	}
	for i := range hours {
		hours[i] /= total
	}
	return hours, h.loc, true
}

// addHours spreads a session over the hours of the week.
func addHours(hours *[7 * 24]float64, s Session, loc *time.Location, weight float64) {
	for at := s.Begin; at.Before(s.End); {
		next := at.Truncate(15 * time.Minute).Add(15 * time.Minute) // offsets of zones are whole quarters
		if next.After(s.End) {
			next = s.End
		}
		hours[hourOfWeek(at.In(loc))] += weight * next.Sub(at).Hours()
		at = next
	}
}
