package forecast

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// A dormant workspace does not start by schedule. So what a schedule costs, and what it spares, is decided in the time
// between somebody's work and the dormancy that follows it, and that is where arrivals are counted: how many come in an
// hour of the week, for each such hour in which the workspace would still be awake.

// cells are the hours of the week, Monday first, on somebody's clock, each from the same minute on.
type cells [7][24]float64

// arrivals are what was seen in each hour: how often somebody came who would have waited, and how long the workspace would
// have been awake without them.
type arrivals struct{ came, awake cells }

const (
	// trust is how many arrivals, trustAwake how many hours awake of somebody weigh as much as what is known of everybody.
	trust      = 0.5
	trustAwake = 10
	// The numbers here were chosen on February to May of the recorded activity. Within a factor of two of them hardly
	// anything changes.
	//
	// smoothHour is how far an arrival counts for each of the hours next to it, smoothDays for the other days of its kind:
	// who came at ten on Tuesdays may come at eleven on Wednesday.
	smoothHour = 0.25
	smoothDays = 0.7
	// fadingHours is how much less a week counts than the one after it: hours change more slowly than whether somebody comes.
	fadingHours = 0.97
	// longest is how long a workspace without dormancy is held to be awake.
	longest = 8 * 7 * 24 * time.Hour
)

// count adds somebody's arrivals, later weeks counting more.
func (p *Planner) count(a *arrivals, h *habit, minute int) {
	var next time.Time // the session after
	weight := 1.0
	for _, week := range h.weeks {
		for _, s := range slices.Backward(week) {
			p.gap(a, h, Session{s.End, next}, minute, weight)
			next = s.Begin
		}
		weight *= fadingHours
	}
}

// gap adds the time between a session and the next one; without an end there was none.
func (p *Planner) gap(a *arrivals, h *habit, gap Session, minute int, weight float64) {
	from, to := gap.Begin.Add(p.warm), gap.Begin.Add(p.dormant)
	came := !gap.End.IsZero() && !gap.End.After(to)
	switch {
	case came:
		to = gap.End
	case to.After(p.b.until):
		to = p.b.until
	}
	if !to.After(from) {
		return // it still ran
	}
	shift := -time.Duration(minute) * time.Minute
	cell := hourOfWeek(from.In(h.loc).Add(shift))
	for left := to.Sub(from); left > 0; left -= time.Hour {
		a.awake[cell/24][cell%24] += weight * min(left.Hours(), 1)
		cell = (cell + 1) % (7 * 24)
	}
	if came {
		cell = hourOfWeek(to.In(h.loc).Add(shift))
		a.came[cell/24][cell%24] += weight
	}
}

// smooth counts what was seen also for the hours next to it and for the other days of its kind.
func (c *cells) smooth() {
	var hourly cells
	for d := range c {
		for h, v := range c[d] {
			hourly[d][h] += v * (1 - 2*smoothHour)
			hourly[d][(h+1)%24] += v * smoothHour
			hourly[d][(h+23)%24] += v * smoothHour
		}
	}
	for d := range hourly {
		first, end := 0, 5 // working days lend to each other, and so do the days of a weekend
		if d >= 5 {
			first, end = 5, 7
		}
		for h := range hourly[d] {
			mean := 0.0
			for o := first; o < end; o++ {
				mean += hourly[o][h] / float64(end-first)
			}
			c[d][h] = (1-smoothDays)*hourly[d][h] + smoothDays*mean
		}
	}
}

// rates is how many come in each hour awake. Where little was seen of somebody, it is what is usual, more or less as they
// come more or less often.
func (p *Planner) rates(a arrivals) cells {
	came, expected := a.against(&p.usual)
	often := (came + trust) / (expected + trust/p.again)
	a.came.smooth()
	a.awake.smooth()
	var rates cells
	for d := range rates {
		for h := range rates[d] {
			rates[d][h] = (a.came[d][h] + trustAwake*often*p.usual[d][h]) / (a.awake[d][h] + trustAwake)
		}
	}
	return rates
}

// against compares how many came with how many would have at the usual rates.
func (a *arrivals) against(usual *cells) (came, expected float64) {
	for d := range usual {
		for h := range usual[d] {
			came += a.came[d][h]
			expected += a.awake[d][h] * usual[d][h]
		}
	}
	return came, expected
}

// learnUsual finds at which rates people come who have come often, and which part of that those have who came once.
func (p *Planner) learnUsual() {
	var all arrivals
	people := slices.SortedFunc(maps.Keys(p.b.habits), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range people {
		p.count(&all, p.b.habits[id], 0)
	}
	all.came.smooth()
	all.awake.smooth()
	for d := range p.usual {
		for h := range p.usual[d] {
			p.usual[d][h] = all.came[d][h] / max(all.awake[d][h], 1)
		}
	}
	var firsts arrivals
	for _, id := range people {
		h := p.b.habits[id]
		var both []Session
		for _, week := range slices.Backward(h.weeks) {
			both = append(both, week[:min(len(week), 2-len(both))]...)
		}
		p.gap(&firsts, h, Session{both[0].End, append(both, Session{})[1].Begin}, 0, 1)
	}
	came, expected := firsts.against(&p.usual)
	p.again = min(max(came, 1)/max(expected, 1), 1)
}

// worth is what hours are worth at a price: waits that are spared, in hours one would run for each, less the hours run.
func (c *cells) worth(days schedule.Days, hours uint32, price float64) float64 {
	total := 0.0
	for d := range c {
		for h := range c[d] {
			if days&(1<<d) != 0 && hours&(1<<h) != 0 {
				total += price*c[d][h] - 1
			}
		}
	}
	return total
}

// best chooses days and hours so that neither another day nor another hour would pay, beginning with some days.
func (c *cells) best(days schedule.Days, price float64) (schedule.Days, uint32) {
	var hours uint32
	for range 8 {
		var nextHours uint32
		for h := range 24 {
			if c.worth(days, 1<<h, price) > 0 {
				nextHours |= 1 << h
			}
		}
		var nextDays schedule.Days
		for d := range 7 {
			if c.worth(1<<d, nextHours, price) > 0 {
				nextDays |= 1 << d
			}
		}
		if nextHours == hours && nextDays == days {
			break
		}
		hours, days = nextHours, nextDays
	}
	if hours == 0 || days == 0 {
		return 0, 0
	}
	return days, hours
}

// Planner suggests working hours from what was learned.
type Planner struct {
	b *Behavior
	// dormant is how long after somebody's work the workspace goes dormant, warm how long after it the workspace still runs.
	dormant, warm time.Duration
	// usual is how many of those who come often come in each hour awake, again the part of it for those who came once.
	usual cells
	again float64
}

// Planner returns a planner for workspaces under a policy, of which the time to dormancy and the activity bump matter. It
// is immutable and may be used concurrently. Making it takes time linear in what was learned.
func (b *Behavior) Planner(policy lifecycle.Policy) *Planner {
	p := &Planner{b: b, dormant: policy.TimeTilDormant, warm: policy.ActivityBump}
	if p.dormant <= 0 || p.dormant > longest {
		p.dormant = longest
	}
	p.learnUsual()
	return p
}

// WorkingHours returns the hours in which it pays to have the workspace of somebody running, in their zone, if one spared
// wait is worth price hours of running. A higher price gives longer hours and fewer waits. For somebody unknown they are
// the hours of everybody, in UTC.
func (p *Planner) WorkingHours(who uuid.UUID, price float64) WorkingHours {
	h := p.b.habits[who]
	if h == nil {
		h = &habit{loc: time.UTC}
	}
	w := p.hours(h, price)
	w.Who = who
	return w
}

func (p *Planner) hours(h *habit, price float64) WorkingHours {
	w := WorkingHours{Zone: h.loc}
	most := 0.0
	for minute := 0; minute < 60; minute += 10 {
		var a arrivals
		p.count(&a, h, minute)
		rates := p.rates(a)
		for _, days := range []schedule.Days{0x1f, schedule.AllDays, 0x60} {
			d, hours := rates.best(days, price)
			if worth := rates.worth(d, hours, price); worth > most {
				most, w.Days, w.Hours, w.Minute = worth, d, hours, minute
			}
		}
	}
	return w
}
