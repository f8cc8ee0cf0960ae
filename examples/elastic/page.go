//go:build linux

package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"os"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// plot is a chart over time in a box of 1000 by 200, in percent labels.
type plot struct {
	Title, Note string
	// Running, Idle, Booting and Ending are areas stacked on each other, Waiting and Cost lines.
	Running, Idle, Booting, Ending, Waiting, Cost string
	Y, X                                          []label
	MostWaiting                                   int
	TotalCost                                     string
}

type label struct {
	At   float64
	Text string
}

const plotWidth, plotHeight = 1000.0, 200.0

// writePage writes the plots.
func writePage(path string, ramp, trouble []sample, days []*replay) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data := struct {
		Ramp, Trouble plot
		Days          []plot
	}{
		Ramp: draw(ramp, "Two bursts of jobs, real workers", "", 10*time.Second, func(d time.Duration) string { return fmt.Sprintf("%.0f s", d.Seconds()) }),
		Trouble: draw(trouble, "A provider that throttles, runs out and recovers", fmt.Sprintf("ideal %.1f minutes", ideal.Seconds()/minute.Seconds()),
			5*minute, func(d time.Duration) string { return fmt.Sprintf("%.0f min", d.Seconds()/minute.Seconds()) }),
	}
	for _, d := range days {
		note := fmt.Sprintf("mean wait %.0f s, 95 %% within %.0f s, %.0f %% of the cost idle", d.meanWait().Seconds(), d.waitAt(.95).Seconds(), 100*d.idleShare())
		data.Days = append(data.Days, draw(d.samples, d.policy.name, note, 3*time.Hour, func(d time.Duration) string { return fmt.Sprintf("%02.0f:00", d.Hours()) }))
	}
	if err := page.Execute(f, data); err != nil {
		return err
	}
	return f.Close()
}

func draw(samples []sample, title, note string, tick time.Duration, text func(time.Duration) string) plot {
	p := plot{Title: title, Note: note}
	if len(samples) == 0 {
		return p
	}
	most, waiting := 1, 1
	for _, s := range samples {
		most, waiting = max(most, s.running+s.idle+s.booting+s.ending), max(waiting, s.waiting)
	}
	last := samples[len(samples)-1]
	x := func(s sample) float64 { return plotWidth * s.at.Seconds() / max(last.at.Seconds(), 1) }
	below := make([]int, len(samples))
	layer := func(of func(sample) int) string {
		above := make([]int, len(samples))
		for i, s := range samples {
			above[i] = below[i] + of(s)
		}
		path := area(samples, x, above, below, most)
		below = above
		return path
	}
	p.Running = layer(func(s sample) int { return s.running })
	p.Idle = layer(func(s sample) int { return s.idle })
	p.Booting = layer(func(s sample) int { return s.booting })
	p.Ending = layer(func(s sample) int { return s.ending })
	p.Waiting = line(samples, x, func(s sample) float64 { return float64(s.waiting) / float64(waiting) })
	p.Cost = line(samples, x, func(s sample) float64 { return s.cost / max(last.cost, 1e-9) })
	p.MostWaiting, p.TotalCost = waiting, fmt.Sprintf("%.2f", last.cost)
	every := int(math.Ceil(float64(most) / 4))
	for n := 0; n <= most; n += every {
		p.Y = append(p.Y, label{100 - 100*float64(n)/float64(most), fmt.Sprint(n)})
	}
	for at := time.Duration(0); at <= last.at; at += tick {
		p.X = append(p.X, label{100 * at.Seconds() / max(last.at.Seconds(), 1), text(at)})
	}
	return p
}

// area is the path between two series.
func area(samples []sample, x func(sample) float64, above, below []int, most int) string {
	y := func(n int) float64 { return plotHeight * (1 - float64(n)/float64(most)) }
	var b strings.Builder
	for i, s := range samples {
		fmt.Fprintf(&b, "%s%.1f %.1f", move(i), x(s), y(above[i]))
	}
	for i := len(samples) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "L%.1f %.1f", x(samples[i]), y(below[i]))
	}
	return b.String() + "Z"
}

func line(samples []sample, x func(sample) float64, part func(sample) float64) string {
	var b strings.Builder
	for i, s := range samples {
		fmt.Fprintf(&b, "%s%.1f %.1f", move(i), x(s), plotHeight*(1-part(s)))
	}
	return b.String()
}

func move(i int) string {
	if i == 0 {
		return "M"
	}
	return "L"
}
