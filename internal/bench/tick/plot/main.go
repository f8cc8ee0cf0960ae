// Command plot measures what it costs to find nothing due on PostgreSQL, over the size of the fleet, and draws it.
//
//	go run ./internal/bench/tick/plot > docs/performance/tick-postgres-idle.svg
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/tick"
)

func main() {
	builds := flag.Int("builds", 10, "builds of each workspace")
	largest := flag.Int("largest", 100_000, "workspaces of the largest fleet")
	flag.Parse()
	if err := run(*builds, *largest); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(builds, largest int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var fleets []int
	for n := 1000; n <= largest; n *= 10 {
		fleets = append(fleets, n)
		if 3*n <= largest {
			fleets = append(fleets, 3*n)
		}
	}
	points, err := tick.IdleCurve(ctx, &figure.Recorder{Out: io.Discard, Progress: os.Stderr}, builds, fleets...)
	if err != nil {
		return err
	}
	for _, p := range points {
		fmt.Fprintf(os.Stderr, "%8d workspaces: tick %v, query %v\n", p.Fleet, p.Tick, p.Query)
	}
	_, err = io.WriteString(os.Stdout, draw(points))
	return err
}

// The picture's measures, in pixels.
const (
	width, height = 720, 400
	left, right   = 70, 150
	top, bottom   = 44, 48
)

const style = `<style>text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:15px;font-weight:600}.g{stroke:#ddd}` +
	`.a,.b{fill:none;stroke-width:2}.a{stroke:#0b6bcb}.b{stroke:#c2410c}` +
	`@media(prefers-color-scheme:dark){text{fill:#ddd}.g{stroke:#444}.a{stroke:#6cb4ff}.b{stroke:#fb923c}}</style>`

// axis maps values to pixels by their logarithm.
type axis struct{ low, high, from, to float64 }

func (a axis) at(v float64) float64 {
	return a.from + (a.to-a.from)*(math.Log10(v)-a.low)/(a.high-a.low)
}

// decades is an axis of whole powers of ten around the values.
func decades(from, to float64, values ...float64) axis {
	a := axis{math.Inf(1), math.Inf(-1), from, to}
	for _, v := range values {
		a.low, a.high = min(a.low, math.Floor(math.Log10(v))), max(a.high, math.Ceil(math.Log10(v)))
	}
	a.high = max(a.high, a.low+1)
	return a
}

// draw returns an SVG picture that needs nothing from elsewhere and follows the reader's light or dark scheme.
func draw(points []tick.IdlePoint) string {
	var sizes, times []float64
	for _, p := range points {
		sizes, times = append(sizes, float64(p.Fleet)), append(times, p.Tick.Seconds(), p.Query.Seconds())
	}
	x, y := decades(left, width-right, sizes...), decades(height-bottom, top, times...)
	const title = "Finding nothing due on PostgreSQL"
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n%s\n",
		width, height, width, height, title, style)
	fmt.Fprintf(&b, `<text class="t" x="8" y="24">%s</text>`+"\n", title)
	grid(&b, x, y)
	curve(&b, "a", "idle tick", x, y, points, func(p tick.IdlePoint) time.Duration { return p.Tick })
	curve(&b, "b", "reference's query", x, y, points, func(p tick.IdlePoint) time.Duration { return p.Query })
	b.WriteString("</svg>\n")
	return b.String()
}

func grid(b *strings.Builder, x, y axis) {
	for e := y.low; e <= y.high; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(b, `<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%v</text>`+"\n",
			left, width-right, y.at(v), y.at(v), left-8, y.at(v)+4, time.Duration(math.Round(v*1e9)))
	}
	for e := x.low; e <= x.high; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f</text>`+"\n", x.at(v), height-bottom+18, v)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">workspaces</text>`+"\n", (left+width-right)/2, height-8)
}

func curve(b *strings.Builder, class, name string, x, y axis, points []tick.IdlePoint, value func(tick.IdlePoint) time.Duration) {
	fmt.Fprintf(b, `<polyline class="%s" points="`, class)
	for _, p := range points {
		fmt.Fprintf(b, "%.1f,%.1f ", x.at(float64(p.Fleet)), y.at(value(p).Seconds()))
	}
	last := points[len(points)-1]
	fmt.Fprintf(b, `"/><text x="%d" y="%.1f">%s, %v</text>`+"\n",
		width-right+8, y.at(value(last).Seconds())+4, name, short(value(last)))
}

// short rounds to two digits.
func short(d time.Duration) time.Duration {
	digit := time.Duration(1)
	for d/digit >= 100 {
		digit *= 10
	}
	return d.Round(digit)
}
