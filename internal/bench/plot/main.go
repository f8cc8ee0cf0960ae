// Command plot draws figures as bars, from the program's lines of JSON:
//
//	go run ./internal/bench -only tick/ -json | go run ./internal/bench/plot -prefix tick/ -title "Ticks" > docs/performance/tick.svg
//
// Figures of all kinds are drawn by how much of its target each uses, on a logarithmic scale: what ends left of the line is
// met. With -values, figures of one unit are drawn by their value, with a mark where each has to be.
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

	"github.com/dormouse-go/dormouse/internal/bench/figure"
)

func main() {
	prefix := flag.String("prefix", "", "which figures to draw, by the beginning of their name")
	title := flag.String("title", "", "what stands above")
	values := flag.Bool("values", false, "draw values instead of parts of targets")
	flag.Parse()
	bars := targets
	if *values {
		bars = valued
	}
	if err := run(os.Stdin, os.Stdout, *prefix, *title, bars); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

// bars draws the figures below a height and returns how much height that took. Names are without the prefix.
type bars func(b *strings.Builder, figures []figure.Figure, top int) int

func run(in io.Reader, out io.Writer, prefix, title string, draw bars) error {
	figures, err := read(in, prefix)
	if err != nil {
		return err
	}
	if len(figures) == 0 {
		return fmt.Errorf("no figure begins with %q", prefix)
	}
	var body strings.Builder
	height := top + draw(&body, figures, top)
	title = html.EscapeString(title)
	_, err = fmt.Fprintf(out, frame, width, height, width, height, title, title, body.String())
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
		var ours bool
		if f.Name, ours = strings.CutPrefix(f.Name, prefix); ours {
			figures = append(figures, f)
		}
	}
}

// The picture's measures, in pixels.
const width, top = 720, 44

const frame = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">
<style>text{font:12px system-ui,sans-serif;fill:#333}.t{font-size:15px;font-weight:600}.b{fill:#0b6bcb}.n{fill:#c2410c}` +
	`.p{fill:#7c8aa0}.m{stroke:#333;stroke-width:2}@media(prefers-color-scheme:dark){text{fill:#ddd}.m{stroke:#ddd}}</style>
<text class="t" x="8" y="24">%s</text>
%s</svg>
`

// class is blue where a figure is met, orange where not, grey without a target.
func class(f figure.Figure) string {
	switch {
	case !gated(f):
		return "p"
	case !f.Met:
		return "n"
	}
	return "b"
}

func gated(f figure.Figure) bool { return f.Reach != 0 || f.Less }

func bar(b *strings.Builder, f figure.Figure, from, to float64, y int) {
	fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="14" rx="2"><title>%s</title></rect>`,
		class(f), from, y, max(0, to-from), html.EscapeString(f.Note))
}

func label(b *strings.Builder, right int, name string, y int) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, right, y+11, html.EscapeString(name))
}
