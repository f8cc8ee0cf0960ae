package replay

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// The picture's size and the room for its axes, in pixels.
const (
	plotWidth, plotHeight         = 720, 380
	plotLeft, plotRight           = 56, 32
	plotTop, plotBottom           = 44, 48
	plotInnerWidth, plotInnerHigh = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotBottom
)

// PlotSVG writes hit ratio over capacity, the capacity on a logarithmic axis, as an SVG picture that needs nothing from
// elsewhere and follows the reader's light or dark scheme. The points must be in order of capacity, as from [Replay]
// with [Capacities].
func PlotSVG(w io.Writer, title string, points []Point) error {
	title = escaped(title)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		plotWidth, plotHeight, plotWidth, plotHeight, title)
	b.WriteString(`<style>text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:15px;font-weight:600}.g{stroke:#ddd}` +
		`.l{fill:none;stroke:#0b6bcb;stroke-width:2}.d{fill:#0b6bcb}` +
		`@media(prefers-color-scheme:dark){text{fill:#ddd}.g{stroke:#444}.l{stroke:#6cb4ff}.d{fill:#6cb4ff}}</style>` + "\n")
	fmt.Fprintf(&b, `<text class="t" x="%d" y="24">%s</text>`+"\n", plotLeft, title)
	plotGrid(&b)
	plotCurve(&b, points)
	b.WriteString("</svg>\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("replay: write plot: %w", err)
	}
	return nil
}

// escaped is a text as XML takes it, which has no control characters, escaped or not.
func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a builder takes everything
	return b.String()
}

func plotGrid(b *strings.Builder) {
	for percent := 0; percent <= 100; percent += 20 {
		y := plotY(float64(percent) / 100)
		fmt.Fprintf(b, `<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, plotLeft, plotWidth-plotRight, y, y)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%d %%</text>`+"\n", plotLeft-8, y+4, percent)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">capacity</text>`+"\n", plotLeft+plotInnerWidth/2, plotHeight-8)
}

func plotCurve(b *strings.Builder, points []Point) {
	if len(points) == 0 {
		return
	}
	low, high := math.Log(float64(max(1, points[0].Capacity))), math.Log(float64(max(1, points[len(points)-1].Capacity)))
	x := func(p Point) float64 {
		if high <= low {
			return plotLeft + plotInnerWidth/2
		}
		return plotLeft + plotInnerWidth*(math.Log(float64(max(1, p.Capacity)))-low)/(high-low)
	}
	b.WriteString(`<polyline class="l" points="`)
	for _, p := range points {
		fmt.Fprintf(b, "%.1f,%.1f ", x(p), plotY(p.HitRatio()))
	}
	b.WriteString(`"/>` + "\n")
	step := max(1, (len(points)+7)/8) // labels that do not overlap
	for i, p := range points {
		fmt.Fprintf(b, `<circle class="d" cx="%.1f" cy="%.1f" r="3"><title>%s: %.1f %%</title></circle>`,
			x(p), plotY(p.HitRatio()), short(p.Capacity), 100*p.HitRatio())
		if i%step == 0 || i == len(points)-1 {
			fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, x(p), plotHeight-plotBottom+18, short(p.Capacity))
		}
		b.WriteByte('\n')
	}
}

func plotY(ratio float64) float64 { return plotTop + plotInnerHigh*(1-ratio) }

// short writes a number with a binary prefix: 1536 is "1.5Ki".
func short(n int64) string {
	value, prefixes := float64(n), []string{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"}
	for value >= 1024 && len(prefixes) > 1 {
		value, prefixes = value/1024, prefixes[1:]
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + prefixes[0]
}
