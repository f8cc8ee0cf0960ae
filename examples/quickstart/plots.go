package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/examples/internal/words"
)

// The plots are drawn in a square of 1000 by 100 that the page stretches to any width; what must not be stretched, the
// labels, is put on top by the page.
const (
	plotWidth  = 1000.0
	plotHeight = 100.0
)

// plot is a chart over time: areas stacked on each other, a line over them, and labels in percent of the frame.
type plot struct {
	Areas  []area
	Line   string
	YTicks []label
	XTicks []label
	Hovers []hover
}

// area is one template's share of a chart: its number chooses the colour.
type area struct {
	Plan int
	Path string
}

// label is a text at a place between 0 and 100, with more of it where there is room.
type label struct {
	At         float64
	Text, More string
}

// timeline stacks the running workspaces of all templates, and draws a line of the people at work.
func timeline(samples []sample, plans int, line bool) plot {
	top := 1
	for _, s := range samples {
		top = max(top, sum(s.running), s.present)
	}
	ticks, limit := niceTicks(top)
	x := func(i int) float64 { return plotWidth * float64(i) / float64(max(len(samples)-1, 1)) }
	y := func(n int) float64 { return plotHeight * (1 - float64(n)/limit) }

	p := plot{YTicks: ticks}
	below := make([]int, len(samples))
	for plan := range plans {
		above := make([]int, len(samples))
		for i, s := range samples {
			above[i] = below[i] + s.running[plan]
		}
		p.Areas = append(p.Areas, area{plan, band(above, below, x, y)})
		below = above
	}
	if line {
		present := make([]int, len(samples))
		for i, s := range samples {
			present[i] = s.present
		}
		p.Line = "M" + strings.TrimPrefix(points(present, x, y, false), "L")
	}
	return p
}

// band is the path between two series: along the upper one, back along the lower one.
func band(upper, lower []int, x func(int) float64, y func(int) float64) string {
	return "M" + strings.TrimPrefix(points(upper, x, y, false), "L") + points(lower, x, y, true) + "Z"
}

// points are the corners of a series. What lies between two equal ones is left out.
func points(series []int, x func(int) float64, y func(int) float64, back bool) string {
	var b strings.Builder
	for k := range series {
		i := k
		if back {
			i = len(series) - 1 - k
		}
		if i > 0 && i < len(series)-1 && series[i-1] == series[i] && series[i] == series[i+1] {
			continue
		}
		fmt.Fprintf(&b, "L%.1f %.1f", x(i), y(series[i]))
	}
	return b.String()
}

// niceTicks are round numbers up to a value, and the end of the axis.
func niceTicks(top int) ([]label, float64) {
	step := math.Pow(10, math.Floor(math.Log10(float64(top))))
	for _, f := range []float64{0.2, 0.25, 0.5, 1, 2} {
		if float64(top)/(step*f) <= 5 {
			step *= f
			break
		}
	}
	step = max(step, 1)
	limit := step * math.Ceil(float64(top)/step)
	var all []label
	for v := 0.0; v <= limit; v += step {
		all = append(all, label{At: 100 * v / limit, Text: words.Number(int(v))})
	}
	return all, limit
}

// hourly keeps one sample an hour: the one with most running, so that the peaks stay.
func hourly(samples []sample) []sample {
	const n = int(time.Hour / sampleEvery)
	var all []sample
	for chunk := range slices.Chunk(samples, n) {
		all = append(all, slices.MaxFunc(chunk, func(a, b sample) int { return sum(a.running) - sum(b.running) }))
	}
	return all
}

// halfYear is the whole replay by the hour, with the months.
func (l *ledger) halfYear() plot {
	samples := hourly(l.samples)
	p := timeline(samples, len(l.plans), false)
	p.Hovers = daysOf(samples, l.start, time.Hour)
	for m := time.Date(l.start.Year(), l.start.Month(), 1, 0, 0, 0, 0, time.UTC); m.Before(l.end); m = m.AddDate(0, 1, 0) {
		if at := percent(float64(m.Sub(l.start)), float64(l.end.Sub(l.start))); at >= 0 {
			p.XTicks = append(p.XTicks, label{At: at, Text: m.Format("Jan")})
		}
	}
	return p
}

// week is the seven days from the Monday before the busiest moment, and when that Monday is.
func (l *ledger) week() (plot, time.Time) {
	busiest, most := 0, -1
	for i, s := range l.samples {
		if n := sum(s.running); n > most {
			busiest, most = i, n
		}
	}
	monday := l.at(busiest).Truncate(24 * time.Hour)
	monday = monday.AddDate(0, 0, -(int(monday.Weekday())+6)%7)
	from := max(0, int(monday.Sub(l.start)/sampleEvery))
	to := min(len(l.samples), from+int(7*24*time.Hour/sampleEvery)+1)
	p := timeline(l.samples[from:to], len(l.plans), true)
	first, last := l.at(from), l.at(to-1)
	p.Hovers = daysOf(l.samples[from:to], first, sampleEvery)
	for d := first.Truncate(24 * time.Hour); d.Before(last); d = d.AddDate(0, 0, 1) {
		if at := percent(float64(d.Sub(first)), float64(last.Sub(first))); at >= 0 {
			p.XTicks = append(p.XTicks, label{At: at, Text: d.Format("Mon"), More: d.Format("2 January")})
		}
	}
	return p, first
}

// at is the instant of a sample.
func (l *ledger) at(i int) time.Time { return l.start.Add(time.Duration(i) * sampleEvery) }

// heatLevels is how many shades the calendar has.
const heatLevels = 8

// calendar is a map of the fleet, a column for each day and a row for each hour of it (UTC): one path for each shade.
type calendar struct {
	Days   int
	Shades []string
	XTicks []label
	Hovers []hover
	Most   int
}

func (l *ledger) calendar() calendar {
	first := l.start.Truncate(24 * time.Hour)
	offset := int(l.start.Sub(first).Hours())
	samples := hourly(l.samples)
	c := calendar{Days: (offset + len(samples) + 23) / 24, Most: 1}
	for _, s := range samples {
		c.Most = max(c.Most, sum(s.running))
	}
	shades := make([]strings.Builder, heatLevels)
	for i, s := range samples {
		n := sum(s.running)
		if n == 0 {
			continue
		}
		hour := offset + i
		fmt.Fprintf(&shades[(n*heatLevels-1)/c.Most%heatLevels], "M%d %dh1v1h-1z", hour/24, hour%24)
	}
	for _, h := range daysOf(samples, l.start, time.Hour) {
		h.X, h.Width = float64(len(c.Hovers)), 1
		c.Hovers = append(c.Hovers, h)
	}
	for i := range shades {
		c.Shades = append(c.Shades, shades[i].String())
	}
	for m := time.Date(first.Year(), first.Month(), 1, 0, 0, 0, 0, time.UTC); m.Before(l.end); m = m.AddDate(0, 1, 0) {
		if !m.Before(first) {
			c.XTicks = append(c.XTicks, label{At: percent(m.Sub(first).Hours()/24, float64(c.Days)), Text: m.Format("Jan")})
		}
	}
	return c
}
