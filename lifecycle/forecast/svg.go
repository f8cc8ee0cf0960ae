package forecast

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// The measures of a picture, in pixels.
const (
	svgWidth, svgHeight = 900, 320
	svgLeft, svgRight   = 56, 16
	svgTop, svgBottom   = 44, 44
)

const svgFrame = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">
<style>text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:15px;font-weight:600}.g{stroke:#ccd;stroke-width:1}` +
	`.f{fill:none;stroke:#0b6bcb;stroke-width:1.5}.a{fill:none;stroke:#c2410c;stroke-width:1.2}.b{fill:#0b6bcb;opacity:.22}` +
	`.d{fill:#0b6bcb}.o{fill:#7c8aa0}.c{stroke:#c2410c;stroke-width:1.5;stroke-dasharray:6 4}` +
	`@media(prefers-color-scheme:dark){text{fill:#ddd}.g{stroke:#445}}</style>
<text class="t" x="8" y="24">%s</text>
%s</svg>
`

// chart is a picture with two axes.
type chart struct {
	b                strings.Builder
	minX, maxX, maxY float64
}

func newChart(minX, maxX, maxY float64) *chart {
	c := &chart{minX: minX, maxX: maxX, maxY: niceTop(maxY)}
	for i := range 5 {
		v := c.maxY * float64(i) / 4
		fmt.Fprintf(&c.b, `<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, svgLeft, svgWidth-svgRight, c.y(v), c.y(v))
		fmt.Fprintf(&c.b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", svgLeft-6, c.y(v)+4, short(v))
	}
	return c
}

// niceTop is the end of an axis that can be divided by four.
func niceTop(v float64) float64 {
	if v <= 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 4
	}
	step := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10} {
		if m*step >= v {
			return m * step
		}
	}
	return 10 * step
}

func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4gM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.4gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}

func (c *chart) x(v float64) float64 {
	return svgLeft + (v-c.minX)/max(c.maxX-c.minX, 1e-9)*(svgWidth-svgLeft-svgRight)
}

func (c *chart) y(v float64) float64 {
	return svgHeight - svgBottom - v/c.maxY*(svgHeight-svgTop-svgBottom)
}

// line draws values that follow each other.
func (c *chart) line(class string, values []float64) {
	fmt.Fprintf(&c.b, `<path class="%s" d="%s"/>`+"\n", class, c.path("M", values, false))
}

func (c *chart) path(begin string, values []float64, back bool) string {
	var b strings.Builder
	for k := range values {
		i := k
		if back {
			i = len(values) - 1 - k
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", begin, c.x(float64(i)), c.y(values[i]))
		begin = "L"
	}
	return b.String()
}

// band fills what lies between two lines.
func (c *chart) band(low, high []float64) {
	fmt.Fprintf(&c.b, `<path class="b" d="%s%sZ"/>`+"\n", c.path("M", high, false), c.path("L", low, true))
}

func (c *chart) text(x, y float64, anchor, s string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(s))
}

func (c *chart) svg(title string) string {
	title = html.EscapeString(title)
	return fmt.Sprintf(svgFrame, svgWidth, svgHeight, svgWidth, svgHeight, title, title, c.b.String())
}

// SVG draws the running workspaces of the outlook: the mean, the band, and, where it is known by now, what they really
// were, hour by hour. A capacity above 0 is a line.
func (o Outlook) SVG(title string, actual []float64, capacity int) string {
	var low, mean, high []float64
	top := float64(capacity)
	for i, h := range o.Hours {
		low, mean, high = append(low, h.Running.Low), append(mean, h.Running.Mean), append(high, h.Running.High)
		if top = max(top, h.Running.High); i < len(actual) {
			top = max(top, actual[i])
		}
	}
	c := newChart(0, float64(max(len(o.Hours)-1, 1)), top)
	c.days(o.From, len(o.Hours))
	c.band(low, high)
	c.line("f", mean)
	lines := 1
	if n := min(len(actual), len(o.Hours)); n > 0 {
		c.line("a", actual[:n])
		lines = 2
	}
	c.legend([]string{"f", "a"}[:lines], []string{fmt.Sprintf("foretold, with a band of %.0f %%", o.Band*100), "what then happened"}[:lines])
	if capacity > 0 {
		y := c.y(float64(capacity))
		fmt.Fprintf(&c.b, `<line class="c" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, svgLeft, svgWidth-svgRight, y, y)
		c.text(svgWidth-svgRight, y-4, "end", fmt.Sprintf("capacity %d", capacity))
	}
	return c.svg(title)
}

// days writes the days below, at most ten of them.
func (c *chart) days(from time.Time, hours int) {
	every := (hours + 239) / 240 // rounded up
	n := 0
	for i := range hours {
		at := from.Add(time.Duration(i) * time.Hour)
		if at.Hour() != 0 {
			continue
		}
		if n%every == 0 {
			x := c.x(float64(i))
			fmt.Fprintf(&c.b, `<line class="g" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, x, x, svgTop, svgHeight-svgBottom)
			if x < svgWidth-svgRight-60 { // the text has to fit
				c.text(x+3, svgHeight-svgBottom+16, "start", at.Format("Mon 2 Jan"))
			}
		}
		n++
	}
}

// legend says below what the lines of some classes are, from left to right.
func (c *chart) legend(classes, texts []string) {
	y := float64(svgHeight - 8)
	for i, class := range classes {
		x := svgLeft + 240*i
		fmt.Fprintf(&c.b, `<line class="%s" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, class, x, x+20, y-4, y-4)
		c.text(float64(x+26), y, "start", texts[i])
	}
}

// SVG draws the candidates by hours and pain; those of the frontier are joined.
func (s Simulation) SVG(title string) string {
	hours, pain := 0.0, 0.0
	for _, r := range s.Results {
		hours, pain = max(hours, r.Hours+r.PoolHours), max(pain, r.Pain())
	}
	c := newChart(0, niceTop(hours), pain*100)
	for i, anchor := range [...]string{"start", "middle", "middle", "middle", "end"} {
		v := c.maxX * float64(i) / 4
		c.text(c.x(v), svgHeight-svgBottom+16, anchor, short(v)+" h")
	}
	c.text(svgLeft, svgHeight-10, "start", "across: hours run; up: sessions that had to wait or were cut off, in %")
	path := "M"
	var b strings.Builder
	for _, r := range s.Frontier() {
		fmt.Fprintf(&b, "%s%.1f %.1f", path, c.x(r.Hours+r.PoolHours), c.y(r.Pain()*100))
		path = "L"
	}
	fmt.Fprintf(&c.b, `<path class="f" d="%s"/>`+"\n", b.String())
	on := map[string]bool{}
	for _, r := range s.Frontier() {
		on[r.Name] = true
	}
	var names names
	for _, r := range s.Results {
		class := "o"
		if on[r.Name] {
			class = "d"
		}
		x, y := c.x(r.Hours+r.PoolHours), c.y(r.Pain()*100)
		fmt.Fprintf(&c.b, `<circle class="%s" cx="%.1f" cy="%.1f" r="3.5"><title>%s</title></circle>`+"\n", class, x, y,
			html.EscapeString(fmt.Sprintf("%s: %.0f h, pain %.1f %%", r.Name, r.Hours+r.PoolHours, 100*r.Pain())))
		if at, anchor, ok := names.place(x, y-4, r.Name); ok && len(s.Results) <= 12 {
			c.text(at, y-4, anchor, r.Name)
		}
	}
	return c.svg(title)
}

// names are the places that are taken by the names of points. What finds no place is left to the title of its point.
type names []struct{ left, right, y float64 }

// place puts a name beside a point, on the right of it or, where the picture ends or another name is, on the left.
func (n *names) place(x, y float64, name string) (at float64, anchor string, ok bool) {
	const gap, height, letter = 6, 14, 6.6
	width := letter * float64(len([]rune(name)))
	for _, c := range []struct {
		left   float64
		at     float64
		anchor string
	}{{x + gap, x + gap, "start"}, {x - gap - width, x - gap, "end"}} {
		free := c.left >= 0 && c.left+width <= svgWidth
		for _, o := range *n {
			free = free && (c.left > o.right || c.left+width < o.left || math.Abs(y-o.y) > height)
		}
		if free {
			*n = append(*n, struct{ left, right, y float64 }{c.left, c.left + width, y})
			return c.at, c.anchor, true
		}
	}
	return 0, "", false
}
