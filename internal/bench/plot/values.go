package main

import (
	"fmt"
	"strings"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
)

const valueLeft, valueRight = 150, 70

// valued draws the values of the figures on one scale.
func valued(b *strings.Builder, figures []figure.Figure, top int) int {
	const row = 22
	low, high := 0.0, 0.0
	for _, f := range figures {
		low, high = min(low, f.Value, f.Reach), max(high, f.Value, f.Reach)
	}
	x := func(v float64) float64 { return valueLeft + (width-valueLeft-valueRight)*(v-low)/(high-low) }
	for i, f := range figures {
		value(b, f, x, top+row*i)
	}
	return row*len(figures) + 16
}

func value(b *strings.Builder, f figure.Figure, x func(float64) float64, y int) {
	from, to := x(min(0, f.Value)), x(max(0, f.Value))
	label(b, valueLeft-8, f.Name, y+3)
	bar(b, f, from, max(to, from+1), y+3)
	fmt.Fprintf(b, `<text x="%.1f" y="%d">%.2f</text>`, max(to, x(max(0, f.Reach)))+6, y+14, f.Value)
	if gated(f) {
		fmt.Fprintf(b, `<line class="m" x1="%.1f" x2="%.1f" y1="%d" y2="%d"><title>reach %g</title></line>`, x(f.Reach), x(f.Reach), y, y+20, f.Reach)
	}
	b.WriteByte('\n')
}
