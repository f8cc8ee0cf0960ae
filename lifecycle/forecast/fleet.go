package forecast

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// ForecastConfig says how a fleet is foretold. The zero value works.
type ForecastConfig struct {
	// Assumptions are used as for [Upcoming], except Work, which is drawn from behavior, and Build, which defaults to what
	// was learned.
	Assumptions
	// Draws is how many times the future is drawn. Defaults to 30. The time is linear in it.
	Draws int
	// Band is how likely what happens lies between Low and High, from 0 to 1. Defaults to 0.8.
	Band float64
	// Seed chooses the draws. The same seed gives the same forecast.
	Seed uint64
	// NoNewcomers leaves out workspaces that do not exist yet. Without it as many are made as in the four weeks before.
	NoNewcomers bool
	// Parallel is how many goroutines work. Defaults to the number of processors.
	Parallel int
}

func (c ForecastConfig) withDefaults() ForecastConfig {
	if c.Draws == 0 {
		c.Draws = 30
	}
	if c.Band == 0 {
		c.Band = 0.8
	}
	return c
}

// trial is one draw of the future.
func (c ForecastConfig) trial(draw int, b *Behavior, from, until time.Time) *trial {
	a := c.Assumptions
	if a.Build == nil {
		a.Build = b.Builds(c.Seed + uint64(draw))
	}
	return &trial{from: from, until: until, a: a.withDefaults(), series: newSeries(from, until)}
}

func (c ForecastConfig) validate() error {
	if !(c.Band >= 0 && c.Band <= 1) {
		return invalid.New("ForecastConfig.Band", c.Band, "must be between 0 and 1")
	}
	return cmp.Or(invalid.Count("ForecastConfig.Draws", c.Draws), c.Assumptions.Validate())
}

// Band is a number that is not known yet: its mean, and between what it lies with the probability that was asked for.
type Band struct {
	Low  float64 `json:"low"`
	Mean float64 `json:"mean"`
	High float64 `json:"high"`
}

// Outlook is what a fleet will do.
type Outlook struct {
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Draws and Band are those of the configuration.
	Draws int     `json:"draws"`
	Band  float64 `json:"band"`
	// Hours has one entry for each hour; see [Hour] for what is counted.
	Hours []HourBand `json:"hours"`
}

// HourBand is what a fleet may do in one hour.
type HourBand struct {
	At      time.Time `json:"at"`
	Running Band      `json:"running"`
	Most    Band      `json:"most"`
	Starts  Band      `json:"starts"`
	Stops   Band      `json:"stops"`
	Herd    Band      `json:"herd"`
	Workers Band      `json:"workers"`
}

// Forecast says what a fleet will do from its present state on: running workspaces, starts and stops, the most builds in
// a minute, and how many workers they take, hour by hour. People come as they are drawn from behavior; what the
// workspaces then do is decided by the rules. Workspaces of whom no behavior is known do what their schedules say.
//
// Behavior should have been learned up to from. If it was learned up to an earlier instant it is carried on from there, which
// is less exact. The bands are as far apart as the draws, times what was learned by foretelling the last eight weeks of people's
// work from the weeks before them.
//
// The time is linear in workspaces, draws, and what happens; the memory is 16 bytes for each minute and draw.
func Forecast(fleet iter.Seq[lifecycle.Snapshot], b *Behavior, from, until time.Time, c ForecastConfig) (Outlook, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return Outlook{}, err
	}
	from, until = from.UTC(), until.UTC()
	if err := validSpan(from, until); err != nil {
		return Outlook{}, err
	}
	trials := make([]*trial, c.Draws)
	for i := range trials {
		trials[i] = c.trial(i, b, from, until)
	}
	moods := b.moods(until, &c)
	parallel(fleet, processors(c.Parallel), func(s lifecycle.Snapshot) {
		for draw, t := range trials {
			r := rand.New(rand.NewPCG(c.Seed^mix(s.Workspace.ID), uint64(draw)))
			for _, m := range b.futures(s, from, until, moods[draw], r, &c) {
				t.live(m)
			}
		}
	})
	o := Outlook{From: from, Until: until, Draws: c.Draws, Band: c.Band}
	o.sum(trials, b.widening(c.Seed))
	return o, nil
}

// moods are those of each draw and week, up to the one that holds the end. A week may be some hours longer or shorter for
// some, so there is one to spare.
func (b *Behavior) moods(until time.Time, c *ForecastConfig) [][]float64 {
	weeks := int(until.Sub(b.until)/(7*24*time.Hour)) + 2
	all := make([][]float64, c.Draws)
	for draw := range all {
		for week := range weeks {
			all[draw] = append(all[draw], b.mood(c.Seed, draw, week))
		}
	}
	return all
}

// futures is a workspace with its people's work as it may turn out, and the newcomers that it stands for.
func (b *Behavior) futures(s lifecycle.Snapshot, from, until time.Time, moods []float64, r *rand.Rand, c *ForecastConfig) []Member {
	m := Member{Snapshot: s}
	h := b.habitOf(&s)
	if h != nil {
		m.Sessions = b.draw(h, until, moods, r)
	}
	all := []Member{m}
	if c.NoNewcomers || h == nil {
		return all
	}
	return append(all, b.newcomers(&s, h, from, until, moods, r)...)
}

// recently is how far back newcomers are looked for: as many as came within come in as many weeks ahead.
const recently = 4

// newcomers are the workspaces that stand for those not yet made: each that was made lately may come again in each week
// ahead, on the same day of the week and with the same first weeks.
func (b *Behavior) newcomers(s *lifecycle.Snapshot, h *habit, from, until time.Time, moods []float64, r *rand.Rand) []Member {
	created := s.Workspace.CreatedAt
	if created.Before(b.until.AddDate(0, 0, -7*recently)) || !created.Before(b.until) {
		return nil
	}
	var all []Member
	for week := 1; h.shifted(created, week).Before(until); week++ {
		at := h.shifted(created, week)
		ahead := max(int(at.Sub(b.until)/(7*24*time.Hour)), 0)
		for n := range poisson(r, moods[min(ahead, len(moods)-1)]/recently) {
			if !at.Before(from) {
				all = append(all, twin(s, h, at, week, n))
			}
		}
	}
	return all
}

// twin is a new workspace with the settings and the first weeks of another.
func twin(s *lifecycle.Snapshot, h *habit, at time.Time, week, n int) Member {
	old := &s.Workspace
	m := Member{Snapshot: *s}
	w := lifecycle.NewWorkspace(uuid.NewSHA1(old.ID, fmt.Append(nil, week, n)), s.Template, old.OwnerID, old.Name, at)
	w.Autostart, w.Autostop, w.TTL, w.AutomaticUpdates = old.Autostart, old.Autostop, old.TTL, old.AutomaticUpdates
	m.Snapshot.Workspace, m.Snapshot.Build = w, lifecycle.Build{}
	for _, past := range slices.Backward(h.weeks) {
		for _, p := range past {
			m.Sessions = append(m.Sessions, Session{h.shifted(p.Begin, week), h.shifted(p.End, week)})
		}
	}
	return m
}

// poisson draws how often something happens that happens so often on average, which is small.
func poisson(r *rand.Rand, mean float64) int {
	n := 0
	for p, limit := r.Float64(), math.Exp(-mean); p > limit; p *= r.Float64() {
		n++
	}
	return n
}

// sum turns the draws into bands.
func (o *Outlook) sum(trials []*trial, wider float64) {
	draws := make([][]Hour, len(trials))
	for i, t := range trials {
		draws[i] = t.series.hours()
	}
	values := make([]float64, len(draws))
	band := func(hour int, of func(*Hour) float64) Band {
		for i := range draws {
			values[i] = of(&draws[i][hour])
		}
		return bandOf(values, o.Band).wider(wider)
	}
	for hour := range draws[0] {
		o.Hours = append(o.Hours, HourBand{
			At:      draws[0][hour].At,
			Running: band(hour, func(h *Hour) float64 { return h.Running }),
			Most:    band(hour, func(h *Hour) float64 { return float64(h.Most) }),
			Starts:  band(hour, func(h *Hour) float64 { return float64(h.Starts) }),
			Stops:   band(hour, func(h *Hour) float64 { return float64(h.Stops) }),
			Herd:    band(hour, func(h *Hour) float64 { return float64(h.Herd) }),
			Workers: band(hour, func(h *Hour) float64 { return float64(h.Workers) }),
		})
	}
}

// bandOf sorts the values.
func bandOf(values []float64, part float64) Band {
	slices.Sort(values)
	total := 0.0
	for _, v := range values {
		total += v
	}
	out := (1 - part) / 2
	return Band{Low: quantile(values, out), Mean: total / float64(len(values)), High: quantile(values, 1-out)}
}

// wider widens a band on both sides of the mean. What is counted is never below zero.
func (b Band) wider(by float64) Band {
	b.Low = max(b.Mean-by*(b.Mean-b.Low), min(b.Low, 0))
	b.High = b.Mean + by*(b.High-b.Mean)
	return b
}

// quantile reads the value below which another draw lies with a probability, between two draws where it lies between: n draws
// cut what is possible into n+1 parts that are equally likely.
func quantile(sorted []float64, q float64) float64 {
	at := min(max(q*float64(len(sorted)+1)-1, 0), float64(len(sorted)-1))
	i := int(at)
	next := min(i+1, len(sorted)-1)
	return sorted[i] + (at-float64(i))*(sorted[next]-sorted[i])
}
