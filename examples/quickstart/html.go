package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"time"

	"github.com/dormouse-go/dormouse/examples/internal/words"
	"github.com/dormouse-go/dormouse/lifecycle"
)

//go:embed page.html
var pageText string

// pageFuncs are what the page needs to show values. Its styles get numbers only, which html/template checks.
var pageFuncs = template.FuncMap{
	"grouped": words.Number,
	"hours":   hours,
	"day":     func(t time.Time) string { return t.UTC().Format("2 January 2006") },
	"pct":     func(f float64) string { return fmt.Sprintf("%.4g", f) },
	"one":     func(f float64) string { return fmt.Sprintf("%.1f", f) },
	"short":   short,
	"inc":     func(i int) int { return i + 1 },
	"path":    func(s string) template.HTMLAttr { return template.HTMLAttr(`d="` + s + `"`) }, // digits of our own
}

var pageTemplate = template.Must(template.New("page").Funcs(pageFuncs).Parse(pageText))

// pageData is what page.html shows.
type pageData struct {
	*report
	HalfYear, Week plot
	WeekOf         time.Time
	Calendar       calendar
	Scatter        scatter
	Foretold       foretold
	Late           []lateRow
	Pains          []painRow
	Start, End     time.Time
	Ticks, Idle    int
	PerTick        float64
	Reminders      int
	Asleep, Woken  int
	Gone, Helpless int
	Latest         time.Duration
	// Worked is how much work a commit stands for.
	Worked string
}

// painRow is what the developers of one template found, in parts of all their sessions.
type painRow struct {
	Name  string
	Parts []painPart
	// Per is how many of a hundred did not find it, CutOff how many lost it while they worked.
	Per    float64
	CutOff int
	Wait   time.Duration
}

type painPart struct {
	Class, Label string
	Count        int
	From, Share  float64
}

// page renders the report as one file that needs nothing else.
func (p *report) page() ([]byte, error) {
	d := pageData{
		report: p, HalfYear: p.halfYear(), Calendar: p.calendar(), Late: p.lateRows(),
		Start: p.start, End: p.end, Ticks: p.ticks.n, Idle: p.ticks.idle, PerTick: float64(p.ticks.evaluated) / float64(max(p.ticks.n, 1)),
		Reminders: p.events[lifecycle.EventReminder], Asleep: p.marks[lifecycle.EventDormant], Woken: p.marks[lifecycle.EventAwake],
		Gone: p.marks[lifecycle.EventDeleted], Helpless: p.events[lifecycle.EventNeedsAttention], Latest: p.latest.Round(time.Second), Worked: short(p.Worked),
	}
	d.Week, d.WeekOf = p.week()
	d.Scatter = p.scatter()
	if len(p.Foresight.actual) > 0 {
		d.Foretold = p.Foresight.plot()
	}
	for i := range p.Plans {
		d.Pains = append(d.Pains, newPainRow(p.Plans[i]))
	}
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, d); err != nil {
		return nil, fmt.Errorf("render the page: %w", err)
	}
	return b.Bytes(), nil
}

// newPainRow leaves out the first sessions, for which there was nothing to find.
func newPainRow(p *planReport) painRow {
	f := &p.found
	from, met := 0.0, float64(p.sessions-f[foundNothing])
	row := painRow{Name: p.Name, Per: p.PainShare(), CutOff: p.interrupted, Wait: p.Wait()}
	for _, part := range []painPart{
		{Class: "ready", Label: "running", Count: f[foundReady]},
		{Class: "starting", Label: "starting", Count: f[foundStarting]},
		{Class: "stopped", Label: "stopped", Count: f[foundStopped]},
		{Class: "broken", Label: "broken", Count: f[foundBroken]},
		{Class: "dormant", Label: "asleep", Count: f[foundDormant]},
		{Class: "deleted", Label: "deleted", Count: f[foundDeleted]},
	} {
		part.From, part.Share = from, percent(float64(part.Count), met)
		from += part.Share
		row.Parts = append(row.Parts, part)
	}
	return row
}
