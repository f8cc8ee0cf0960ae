package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/examples/internal/words"
)

// hover is a strip of a chart that says its values where the pointer rests.
type hover struct {
	X, Width float64
	Text     string
}

// daysOf are the strips of the days of some samples, with what a day had at most.
func daysOf(samples []sample, first time.Time, every time.Duration) []hover {
	var all []hover
	for from := 0; from < len(samples); {
		day := first.Add(time.Duration(from) * every)
		end := int(day.Truncate(24*time.Hour).Add(24*time.Hour).Sub(first) / every)
		to := min(end, len(samples))
		most, at, people := 0, day, 0
		for i := from; i < to; i++ {
			if n := sum(samples[i].running); n >= most {
				most, at = n, first.Add(time.Duration(i)*every)
			}
			people = max(people, samples[i].present)
		}
		x := plotWidth * float64(from) / float64(max(len(samples)-1, 1))
		all = append(all, hover{
			X: x, Width: min(plotWidth*float64(to-from)/float64(max(len(samples)-1, 1)), plotWidth-x),
			Text: fmt.Sprintf("%s: at most %s running at %s UTC, at most %s people at work", day.Format("Mon 2 January"), words.Number(most), at.Format("15:04"), words.Number(people)),
		})
		from = to
	}
	return all
}

// scatter is what policies save and whom they keep waiting: points in percent of the frame.
type scatter struct {
	Points         []scatterPoint
	Line           string
	XTicks, YTicks []label
}

type scatterPoint struct {
	policyPoint
	X, Y float64
	// Left puts the name on the left of the point, where the frame ends on the right.
	Left bool
}

// Title says the point in words.
func (p scatterPoint) Title() string {
	return fmt.Sprintf("%s: %.1f %% of the hours saved, %.1f %% of those who came were kept waiting", p.Name, p.Saved, p.Waits)
}

func (p *report) scatter() scatter {
	least, most := 100.0, 0.0
	for _, x := range p.Points {
		least, most = min(least, x.Saved), max(most, x.Waits)
	}
	left := max(10*math.Floor(least/10), 0)
	if left >= 100 {
		left = 90
	}
	ticks, top := niceTicks(max(int(math.Ceil(most)), 1))
	for i := range ticks {
		ticks[i].Text += " %"
	}
	s := scatter{YTicks: ticks}
	for v := left; v <= 100; v += (100 - left) / 5 {
		s.XTicks = append(s.XTicks, label{At: percent(v-left, 100-left), Text: fmt.Sprintf("%.0f %%", v)})
	}
	var line strings.Builder
	for _, x := range slices.SortedFunc(slices.Values(p.Points), byHours) {
		at := scatterPoint{policyPoint: x, X: percent(x.Saved-left, 100-left), Y: 100 * x.Waits / top}
		at.Left = at.X > 60
		if x.Best {
			fmt.Fprintf(&line, "L%.1f %.1f", plotWidth*at.X/100, plotHeight-at.Y)
		}
		s.Points = append(s.Points, at)
	}
	s.Line = "M" + strings.TrimPrefix(line.String(), "L")
	return s
}

// foretold is what was foretold and what then happened.
type foretold struct {
	Band, Mean, Actual string
	XTicks, YTicks     []label
	Hovers             []hover
}

func (f *foresight) plot() foretold {
	hours := f.outlook.Hours
	top := 1.0
	for i, h := range hours {
		top = max(top, h.Running.High, f.actual[i])
	}
	ticks, limit := niceTicks(int(math.Ceil(top)))
	p := foretold{YTicks: ticks}
	x := func(i int) float64 { return plotWidth * float64(i) / float64(max(len(hours)-1, 1)) }
	y := func(v float64) float64 { return plotHeight * (1 - v/limit) }
	path := func(begin string, back bool, value func(i int) float64) string {
		var b strings.Builder
		for k := range hours {
			i := k
			if back {
				i = len(hours) - 1 - k
			}
			fmt.Fprintf(&b, "%s%.1f %.1f", begin, x(i), y(value(i)))
			begin = "L"
		}
		return b.String()
	}
	p.Mean = path("M", false, func(i int) float64 { return hours[i].Running.Mean })
	p.Actual = path("M", false, func(i int) float64 { return f.actual[i] })
	p.Band = path("M", false, func(i int) float64 { return hours[i].Running.High }) + path("L", true, func(i int) float64 { return hours[i].Running.Low }) + "Z"
	for i := 0; i < len(hours); i += 24 {
		if d := hours[i].At; d.Weekday() == time.Monday {
			p.XTicks = append(p.XTicks, label{At: x(i) / plotWidth * 100, Text: d.Format("2 Jan")})
		}
		p.Hovers = append(p.Hovers, f.dayHover(i, x))
	}
	return p
}

// dayHover says the hour of a day with the most, and how far off the day was.
func (f *foresight) dayHover(first int, x func(int) float64) hover {
	hours := f.outlook.Hours
	end := min(first+24, len(hours))
	most, off := first, 0.0
	for i := first; i < end; i++ {
		if f.actual[i] > f.actual[most] {
			most = i
		}
		off += abs(f.actual[i]-hours[i].Running.Mean) / float64(end-first)
	}
	b := hours[most].Running
	return hover{X: x(first), Width: min(x(end)-x(first), plotWidth-x(first)), Text: fmt.Sprintf(
		"%s: at %s UTC %.0f ran, foretold %.0f (%.0f to %.0f); %.1f off in the mean of the day",
		hours[first].At.Format("Mon 2 January"), hours[most].At.Format("15:04"), f.actual[most], b.Mean, b.Low, b.High, off)}
}
