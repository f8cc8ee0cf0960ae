// Command plot draws figures of the benchmark program as bars, with a mark where each has to be.
//
//	go run ./bench -only rendercache/ -json | go run ./bench/rendercache/plot -prefix rendercache/hit/ -title "..." > hit.svg
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
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
		return fmt.Errorf("no figure begins with %q", prefix)
	}
	_, err = io.WriteString(out, draw(figures, prefix, title))
	return err
}

func read(in io.Reader, prefix string) (figures []figure.Figure, err error) {
	for d := json.NewDecoder(in); ; {
		var f figure.Figure
		switch err := d.Decode(&f); {
		case errors.Is(err, io.EOF):
			return figures, nil
		case err != nil:
			return nil, fmt.Errorf("read figures: %w", err)
		}
		if strings.HasPrefix(f.Name, prefix) {
			figures = append(figures, f)
		}
	}
}

// The picture's measures, in pixels.
const (
	width, left, right = 720, 150, 70
	top, row           = 44, 22
)

const style = `<style>text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:15px;font-weight:600}.b{fill:#0b6bcb}.n{fill:#c2410c}` +
	`.p{fill:#7c8aa0}.m{stroke:#333;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#ddd}.m{stroke:#ddd}}</style>`

func draw(figures []figure.Figure, prefix, title string) string {
	low, high := 0.0, 0.0
	for _, f := range figures {
		low, high = min(low, f.Value, f.Reach), max(high, f.Value, f.Reach)
	}
	x := func(v float64) float64 { return left + (width-left-right)*(v-low)/(high-low) }
	height := top + row*len(figures) + 16
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n%s\n",
		width, height, width, height, html.EscapeString(title), style)
	fmt.Fprintf(&b, `<text class="t" x="8" y="24">%s</text>`+"\n", html.EscapeString(title))
	for i, f := range figures {
		bar(&b, f, strings.TrimPrefix(f.Name, prefix), top+row*i, x)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// bar draws one figure: blue where it is met, orange where not, grey without a target.
func bar(b *strings.Builder, f figure.Figure, label string, y int, x func(float64) float64) {
	gated := f.Reach != 0 || f.Less
	class := "b"
	switch {
	case !gated:
		class = "p"
	case !f.Met:
		class = "n"
	}
	from, to := x(min(0, f.Value)), x(max(0, f.Value))
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+14, html.EscapeString(label))
	fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"/>`, class, from, y+3, max(1, to-from), row-8)
	fmt.Fprintf(b, `<text x="%.1f" y="%d">%.2f</text>`, max(to, x(max(0, f.Reach)))+6, y+14, f.Value)
	if gated {
		fmt.Fprintf(b, `<line class="m" x1="%.1f" x2="%.1f" y1="%d" y2="%d"><title>reach %g</title></line>`, x(f.Reach), x(f.Reach), y, y+row-2, f.Reach)
	}
	b.WriteByte('\n')
}
