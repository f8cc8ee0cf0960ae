package main

import (
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
)

const (
	targetLeft, targetWidth = 215, 370
	targetLine              = targetLeft + 3*targetWidth/4
	decades                 = 2.5 // shown to the left of the target
)

// targets draws how much of its target each figure uses. What has none other than nothing at all is left out.
func targets(b *strings.Builder, figures []figure.Figure, top int) int {
	const row = 20
	n := 0
	for _, f := range figures {
		if f.Reach > 0 {
			target(b, f, top+n*row)
			n++
		}
	}
	end := top + n*row
	fmt.Fprintf(b, `<line class="m" x1="%d" x2="%d" y1="%d" y2="%d"/>`, targetLine, targetLine, top-6, end)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle">target</text>`, targetLine, end+18)
	return n*row + 28
}

func target(b *strings.Builder, f figure.Figure, y int) {
	used, sign := f.Value/f.Reach, "at most"
	if !f.Less {
		used, sign = f.Reach/f.Value, "at least"
	}
	end := float64(targetLeft)
	if used > 0 {
		end = min(max(targetLeft+2, targetLine+math.Log10(used)*(targetLine-targetLeft)/decades), targetLeft+targetWidth)
	}
	label(b, targetLeft-8, f.Name, y)
	bar(b, f, targetLeft, end, y)
	fmt.Fprintf(b, `<text x="%.1f" y="%d">%.4g %s, %s %g</text>`+"\n", max(end, targetLine)+6, y+11, f.Value, html.EscapeString(f.Unit), sign, f.Reach)
}
