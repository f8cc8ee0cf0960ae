// Package figure records the figures of a benchmark run: a name, a value, and what the value has to reach.
//
// A figure is a ratio, or a count, measured side by side with its peer or limit in one run; a time alone says nothing on
// a shared machine.
package figure

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Figure is one result.
type Figure struct {
	// Name is a path: suite, then what was measured, such as "tick/postgres/idle".
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	// Unit is "x" for a ratio, else the unit of the value.
	Unit string `json:"unit"`
	// Reach is the target, 0 for a figure without one.
	Reach float64 `json:"reach,omitempty"`
	// Less says that the value must be at most Reach; otherwise it must be at least Reach.
	Less bool `json:"less,omitempty"`
	// Met says whether it is.
	Met bool `json:"met"`
	// Note says against what, at what size, and the absolute values behind a ratio.
	Note string `json:"note,omitempty"`
}

// Suite is a part of the program.
type Suite struct {
	// Name is the first part of the names of its figures.
	Name string
	// Run measures and records. It skips what the recorder does not want.
	Run func(ctx context.Context, r *Recorder) error
}

// Recorder collects the figures of a run and prints each as it comes. It is not safe for concurrent use.
type Recorder struct {
	// Full asks for the sizes of the targets; without it a suite uses sizes that finish in a fraction of two minutes.
	Full bool
	// Only is the prefix of the names to measure, empty for all.
	Only string
	// JSON prints a line of JSON for each figure instead of the table.
	JSON bool
	// Out receives the figures, Progress what is being done.
	Out, Progress io.Writer

	figures []Figure
	start   time.Time
}

// Wants reports whether a figure, or any figure below a prefix, is to be measured.
func (r *Recorder) Wants(name string) bool {
	return strings.HasPrefix(name, r.Only) || strings.HasPrefix(r.Only, strings.TrimSuffix(name, "/")+"/")
}

// Step says what is being done, for whoever waits.
func (r *Recorder) Step(format string, args ...any) {
	if r.start.IsZero() {
		r.start = time.Now()
	}
	fmt.Fprintf(r.Progress, "%6.1fs  %s\n", time.Since(r.start).Seconds(), fmt.Sprintf(format, args...))
}

// AtMost records a figure that must not be above reach.
func (r *Recorder) AtMost(reach float64, name string, value float64, unit, note string) {
	r.add(Figure{Name: name, Value: value, Unit: unit, Reach: reach, Less: true, Met: value <= reach, Note: note})
}

// AtLeast records a figure that must not be below reach.
func (r *Recorder) AtLeast(reach float64, name string, value float64, unit, note string) {
	r.add(Figure{Name: name, Value: value, Unit: unit, Reach: reach, Met: value >= reach, Note: note})
}

// Plain records a figure without a target.
func (r *Recorder) Plain(name string, value float64, unit, note string) {
	r.add(Figure{Name: name, Value: value, Unit: unit, Met: true, Note: note})
}

func (r *Recorder) add(f Figure) {
	if !strings.HasPrefix(f.Name, r.Only) {
		return
	}
	r.figures = append(r.figures, f)
	if r.JSON {
		_ = json.NewEncoder(r.Out).Encode(f)
		return
	}
	r.Step("%s = %.4g %s", f.Name, f.Value, f.Unit)
}

// Figures returns what was recorded so far.
func (r *Recorder) Figures() []Figure { return r.figures }

// Table prints all figures.
func (r *Recorder) Table() error {
	w := tabwriter.NewWriter(r.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tvalue\treach\tmet\tnote")
	for _, f := range r.figures {
		fmt.Fprintf(w, "%s\t%.4g %s\t%s\t%s\t%s\n", f.Name, f.Value, f.Unit, f.target(), f.verdict(), f.Note)
	}
	return w.Flush()
}

func (f Figure) target() string {
	switch {
	case f.Reach == 0 && !f.Less:
		return "-"
	case f.Less:
		return fmt.Sprintf("<= %.4g", f.Reach)
	}
	return fmt.Sprintf(">= %.4g", f.Reach)
}

func (f Figure) verdict() string {
	switch {
	case f.Reach == 0 && !f.Less:
		return "-"
	case f.Met:
		return "yes"
	}
	return "NO"
}
