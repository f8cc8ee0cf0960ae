// Command plot draws the figures of a suite against their targets, from the program's JSON lines:
//
//	go run ./bench -only tick/ -json | go run ./bench/plot -prefix tick/ -title "Ticks" > docs/performance/tick.svg
//
// Each bar is how much of its target a figure uses, on a logarithmic scale; what ends left of the line is met.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"strings"

	"github.com/dormouse-go/dormouse/bench/figure"
)

func main() {
	prefix := flag.String("prefix", "", "which figures to draw, by the beginning of their name")
	title := flag.String("title", "", "what stands above")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *prefix, *title); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, prefix, title string) error {
	figures, err := read(in, prefix)
	if err != nil {
		return err
	}
	if len(figures) == 0 {
		return fmt.Errorf("no figure with a target begins with %q", prefix)
	}
	_, err = io.WriteString(out, draw(figures, prefix, title))
	return err
}

// read returns the figures that have a target other than none at all.
func read(in io.Reader, prefix string) (figures []figure.Figure, err error) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var f figure.Figure
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return nil, err
		}
		if f.Reach > 0 && strings.HasPrefix(f.Name, prefix) {
			figures = append(figures, f)
		}
	}
	return figures, lines.Err()
}

const (
	row, left, width = 20, 190, 400
	top              = 44
	target           = left + 3*width/4
	decades          = 2.5 // shown to the left of the target
)

const style = `<style>text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:15px;font-weight:600}.b{fill:#0b6bcb}` +
	`.n{fill:#c2410c}.m{stroke:#333;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#ddd}.m{stroke:#ddd}}</style>`

func draw(figures []figure.Figure, prefix, title string) string {
	var b strings.Builder
	height := top + row*len(figures) + 28
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 %d" width="720" height="%d" role="img" aria-label="%s">`,
		height, height, html.EscapeString(title))
	fmt.Fprintf(&b, style+`<text class="t" x="8" y="24">%s</text>`, html.EscapeString(title))
	for i, f := range figures {
		bar(&b, f, strings.TrimPrefix(f.Name, prefix), top+i*row)
	}
	end := top + row*len(figures)
	fmt.Fprintf(&b, `<line class="m" x1="%d" x2="%d" y1="%d" y2="%d"/>`, target, target, top-6, end)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">target</text></svg>`, target, end+18)
	return b.String() + "\n"
}

// bar draws one figure: blue where it is met, orange where not.
func bar(b *strings.Builder, f figure.Figure, name string, y int) {
	used := f.Value / f.Reach
	if !f.Less {
		used = f.Reach / f.Value
	}
	end := float64(left)
	if used > 0 {
		end = min(max(left+2, target+math.Log10(used)*(target-left)/decades), left+width)
	}
	class := "b"
	if !f.Met {
		class = "n"
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+11, html.EscapeString(name))
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"><title>%s</title></rect>`,
		class, left, y, end-left, row-6, html.EscapeString(f.Note))
	sign := "at least"
	if f.Less {
		sign = "at most"
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%d">%.4g %s, %s %g</text>`, max(end, target)+6, y+11, f.Value, html.EscapeString(f.Unit), sign, f.Reach)
}
