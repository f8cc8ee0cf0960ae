// Command plot draws the figures of the job hand-off against their targets, from the program's JSON lines:
//
//	go run ./bench -only acquirer/ -json | go run ./bench/acquirer/plot > docs/performance/acquirer.svg
//
// Each bar is how much of its target a figure uses, on a logarithmic scale; what ends left of the line is met.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/dormouse-go/dormouse/bench/figure"
)

func main() {
	if err := draw(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

const (
	row, left, width = 18, 150, 520
	decades          = 2.5 // shown to the left of the target
)

func draw(in io.Reader, out io.Writer) error {
	var figures []figure.Figure
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var f figure.Figure
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			return err
		}
		if f.Reach > 0 {
			figures = append(figures, f)
		}
	}
	height := row*len(figures) + 40
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`, left+width+60, height)
	fmt.Fprintf(out, `<title>Figures of the job hand-off against their targets</title><rect width="100%%" height="100%%" fill="#fff"/>`)
	target := left + width*0.75
	for i, f := range figures {
		used := f.Value / f.Reach
		if !f.Less {
			used = f.Reach / f.Value
		}
		end := max(left+2, min(target+math.Log10(used)*(target-left)/decades, left+width))
		colour := "#2a7f62"
		if !f.Met {
			colour = "#c2542d"
		}
		y := 20 + i*row
		fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+11, f.Name[len("acquirer/"):])
		fmt.Fprintf(out, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, left, y, end-left, row-5, colour)
		fmt.Fprintf(out, `<text x="%.1f" y="%d">%.3g %s</text>`, max(end, 0)+4, y+11, f.Value, f.Unit)
	}
	fmt.Fprintf(out, `<line x1="%.1f" y1="12" x2="%.1f" y2="%d" stroke="#333"/><text x="%.1f" y="%d" text-anchor="middle">target</text></svg>`, target, target, height-22, target, height-8)
	return nil
}
