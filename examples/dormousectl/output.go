package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// out writes for people.
type out struct {
	w   io.Writer
	err error
}

// table writes rows under their headings.
func (o *out) table(headings []string, rows [][]string) {
	t := tabwriter.NewWriter(o.w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(headings, "\t"))
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush()
}

func (o *out) line(format string, args ...any) { fmt.Fprintf(o.w, format+"\n", args...) }

// shown is stored text as a terminal may show it: what a terminal would act on, or not show, is written out.
func shown(s string) string {
	if s == "" {
		return "-"
	}
	return queue.Quoted(s)
}

// sentence is text of the library, in which stored text is quoted already. It may have several lines.
func sentence(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, queue.CleanText(strings.TrimRight(line, "\n"), 4096))
	}
	return strings.Join(lines, "\n")
}

// when is an instant in the zone of this machine.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("Mon 2006-01-02 15:04 MST")
}
