package main

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// The plots are drawn in a frame of 1000 by 200.
const (
	width  = 1000.0
	height = 200.0
)

// plot is a chart of lines, or of lines with dots.
type plot struct {
	Title, X, Y string
	Top         string // the value at the upper edge
	End         string // the value at the right edge
	Series      []series
}

type series struct {
	Name string
	Path string
	Dots []dot
}

type dot struct {
	X, Y float64
	Text string
}

func writePage(w io.Writer, o options, l *live, curves []curve) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return page.Execute(w, map[string]any{
		"Options": fmt.Sprintf("%d ready, builds of %v, a claim every %v, used for %v", o.size, o.build, o.every, o.hold),
		"Live":    []plot{membersPlot(l), hitPlot(l), latencyPlot(l)},
		"Trace":   tracePlot(curves),
		"Curves":  curves,
	})
}

// path draws values over the samples' times.
func path(l *live, top float64, value func(s sample) float64) string {
	var b strings.Builder
	end := l.end().Seconds()
	for i, s := range l.samples {
		command := 'L'
		if i == 0 {
			command = 'M'
		}
		fmt.Fprintf(&b, "%c%.1f %.1f", command, width*s.at.Seconds()/end, height*(1-value(s)/top))
	}
	return b.String()
}

func (l *live) end() time.Duration {
	if len(l.samples) == 0 {
		return time.Second
	}
	return l.samples[len(l.samples)-1].at
}

func membersPlot(l *live) plot {
	top := 1
	for _, s := range l.samples {
		top = max(top, s.idle, s.used, s.starting)
	}
	line := func(of func(s sample) int) string {
		return path(l, float64(top), func(s sample) float64 { return float64(of(s)) })
	}
	return plot{
		Title: "Processes", Y: "processes", X: "time", Top: fmt.Sprint(top), End: l.end().Round(time.Second).String(),
		Series: []series{
			{Name: "idle", Path: line(func(s sample) int { return s.idle })},
			{Name: "used", Path: line(func(s sample) int { return s.used })},
			{Name: "starting", Path: line(func(s sample) int { return s.starting })},
		},
	}
}

func hitPlot(l *live) plot {
	return plot{
		Title: "Hit rate so far", Y: "share of claims", X: "time", Top: "100 %", End: l.end().Round(time.Second).String(),
		Series: []series{{Name: "hit rate", Path: path(l, 1, func(s sample) float64 {
			return float64(s.hits) / math.Max(1, float64(s.hits+s.misses))
		})}},
	}
}

// latencyPlot shows each claim's time from request to process, on a logarithmic scale from 10 microseconds to 10 seconds.
func latencyPlot(l *live) plot {
	place := func(i, n int, t time.Duration) dot {
		decades := math.Log10(math.Max(t.Seconds(), 1e-5)/1e-5) / 6
		return dot{X: width * (float64(i) + 0.5) / float64(n), Y: height * (1 - math.Min(decades, 1)), Text: t.String()}
	}
	p := plot{Title: "From request to process", Y: "10 us to 10 s, logarithmic", X: "claims, in order", Top: "10s"}
	for _, s := range []struct {
		name  string
		times []time.Duration
	}{{"warm", l.warm}, {"cold", l.cold}} {
		out := series{Name: s.name}
		for i, t := range s.times {
			out.Dots = append(out.Dots, place(i, len(s.times), t))
		}
		p.Series = append(p.Series, out)
	}
	return p
}

// tracePlot shows the hit rate over the idle hours of a day.
func tracePlot(curves []curve) plot {
	most := 1.0
	for _, c := range curves {
		for _, p := range c.Points {
			most = math.Max(most, p.IdleHours)
		}
	}
	out := plot{
		Title: "Half a year of recorded activity: hit rate against idle hours", Y: "share of claims that found one ready",
		X: "idle hours a day", Top: "100 %", End: fmt.Sprintf("%.0f", most),
	}
	for _, c := range curves {
		s := series{Name: c.Name}
		for i, p := range c.Points {
			command := 'L'
			if i == 0 {
				command = 'M'
			}
			d := dot{X: width * p.IdleHours / most, Y: height * (1 - p.HitRate), Text: fmt.Sprintf("%s %s: %.1f %%, %.1f hours", c.Name, p.Label, 100*p.HitRate, p.IdleHours)}
			s.Path += fmt.Sprintf("%c%.1f %.1f", command, d.X, d.Y)
			s.Dots = append(s.Dots, d)
		}
		out.Series = append(out.Series, s)
	}
	return out
}
