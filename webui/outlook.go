package webui

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// outlook is the next seven days of a fleet.
type outlook struct {
	made time.Time
	took time.Duration
	from time.Time
	// hours are what schedules and deadlines make of it, band where people would put it, nil if nothing was learned, and
	// before what was a week earlier, as far as that is known.
	hours  []forecast.Hour
	band   map[time.Time]forecast.Band // by the hour
	before []int
	advice *advice
}

const (
	week  = 7 * 24 * time.Hour
	hours = int(week / time.Hour)
)

// outlook returns the forecast. It is made at most once a minute, and for large fleets less often: a twentieth of the time
// at most is spent on it.
func (c *cache) outlook(ctx context.Context, s *survey) (*outlook, error) {
	if err := c.foretelling.enter(ctx); err != nil {
		return nil, err
	}
	defer c.foretelling.leave()
	from := topOfHour(s.at, c.h.cfg.Zone)
	if o := c.future; o != nil && o.from.Equal(from) && s.at.Sub(o.made) < max(time.Minute, 20*o.took) {
		return o, nil
	}
	began := c.h.now()
	o, err := c.h.foretell(ctx, s, from)
	if err == nil {
		o.made, o.took, c.future = s.at, c.h.now().Sub(began), o
	}
	return o, err
}

func topOfHour(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	return t.Add(-time.Duration(t.Minute())*time.Minute - time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond())).UTC()
}

// foretell runs the fleet from the top of the hour on, so that bars stand for hours of the clock. Between then and now
// nothing happens that has not happened, so it makes no difference to what follows.
func (h *Handler) foretell(ctx context.Context, s *survey, from time.Time) (*outlook, error) {
	o := &outlook{from: from}
	until := from.Add(week)
	r, err := simulate(s.rows, from, until, forecast.Candidate{Name: asItIs})
	if err != nil {
		return nil, err
	}
	o.hours = r[0].ByHour
	if err := h.oracle(ctx, o); err != nil {
		return nil, err
	}
	o.advice, err = h.advise(s, o, from, until)
	return o, err
}

func simulate(rows []*row, from, until time.Time, candidates ...forecast.Candidate) ([]forecast.Result, error) {
	sim, err := forecast.Simulate(members(rows), from, until, candidates, forecast.SimulateConfig{})
	if err != nil {
		return nil, fmt.Errorf("simulate: %w", err)
	}
	return sim.Results, nil
}

func members(rows []*row) iter.Seq[forecast.Member] {
	return func(yield func(forecast.Member) bool) {
		for i := range rows {
			if !yield(forecast.Member{Snapshot: rows[i].Snapshot}) {
				return
			}
		}
	}
}

// oracle asks for what lies around the forecast. Hours of another grid count for the hour of the clock that they are most in.
func (h *Handler) oracle(ctx context.Context, o *outlook) error {
	source, ok := h.source.(Oracle)
	if !ok {
		return nil
	}
	var err error
	if o.before, err = source.Ran(ctx, o.from.Add(-week), hours); err != nil {
		return fmt.Errorf("last week: %w", err)
	}
	known, err := source.Outlook(ctx)
	if err != nil || known == nil {
		return err
	}
	o.band = make(map[time.Time]forecast.Band)
	for _, b := range known.Hours {
		o.band[b.At.Add(30*time.Minute-o.offset()).Truncate(time.Hour).Add(o.offset())] = b.Most
	}
	return nil
}

// offset is how far the hours of the zone are from those of UTC.
func (o *outlook) offset() time.Duration { return o.from.Sub(o.from.Truncate(time.Hour)) }

// advice is what to do about the highest peak above capacity.
type advice struct {
	At       time.Time
	Most     int
	Template string
	Starts   int
	// Spread is the shortest spread of that template's starts that was tried and keeps the week within capacity, zero if
	// none does, and Then the most with it; without Spread, Then is the lowest that was reached.
	Spread time.Duration
	Then   int
	Tried  time.Duration
}

var spreads = []time.Duration{10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour}

// advise tries to spread the starts of the template that starts most in the hours up to the highest one.
func (h *Handler) advise(s *survey, o *outlook, from, until time.Time) (*advice, error) {
	peak := highest(o.hours)
	if h.cfg.Capacity == 0 || peak == nil || peak.Most <= h.cfg.Capacity {
		return nil, nil
	}
	a := &advice{At: peak.At, Most: peak.Most, Then: peak.Most}
	id, n := mostStarts(s.rows, from, peak.At)
	if a.Starts = n; n == 0 {
		return a, nil
	}
	var candidates []forecast.Candidate
	for _, d := range spreads {
		candidates = append(candidates, forecast.Candidate{Name: d.String(), Set: func(s *lifecycle.Snapshot) {
			if s.Template.ID == id {
				s.Template.Policy.Jitter = d
			}
		}})
	}
	results, err := simulate(s.rows, from, until, candidates...)
	if err != nil {
		return nil, err
	}
	for i := range s.rows {
		if s.rows[i].Template.ID == id {
			a.Template = s.rows[i].Template.Name
		}
	}
	a.Tried = spreads[len(spreads)-1]
	for i, r := range results {
		most := highest(r.ByHour).Most
		a.Then = min(a.Then, most)
		if most <= h.cfg.Capacity {
			a.Spread, a.Then = spreads[i], most
			break
		}
	}
	return a, nil
}

func highest(list []forecast.Hour) *forecast.Hour {
	if len(list) == 0 {
		return nil
	}
	i := 0
	for j := range list {
		if list[j].Most > list[i].Most {
			i = j
		}
	}
	return &list[i]
}

// climb is how long before a peak the starts are counted that lead to it.
const climb = 3 * time.Hour

// mostStarts returns the template with the most starts in the hours up to the end of one, and their number.
func mostStarts(rows []*row, from, hour time.Time) (best uuid.UUID, n int) {
	starts := make(map[uuid.UUID]int)
	for i := range rows {
		for step := range forecast.Upcoming(rows[i].Snapshot, from, hour.Add(time.Hour), forecast.Assumptions{}) {
			if step.Kind == forecast.KindBuild && step.Transition == lifecycle.TransitionStart && !step.At.Before(hour.Add(time.Hour-climb)) {
				starts[rows[i].Template.ID]++
			}
		}
	}
	for id, k := range starts {
		if k > n || k == n && slices.Compare(id[:], best[:]) < 0 {
			best, n = id, k
		}
	}
	return best, n
}

// forecastView is the strip as it is drawn.
type forecastView struct {
	Missing  string // why there is none
	Bars     []bar
	Ghost    string // last week, a path in a picture of 1000 by 100
	CapY     string
	Capacity int
	Grid     []gridLine
	Days     []tickMark
	Table    []dayRow
	Band     bool
	Advice   string
	Calm     bool
	From     string
	Highest  string
}

type bar struct {
	X, Width, Y, Height string
	// BandY and BandHeight are the band, empty without one; OverY where the part of it within the bar begins.
	BandY, BandHeight string
	Over              bool
	Title             string
	Label             string
	Most              int
	At                time.Time
}

type gridLine struct {
	Y    string
	Text string
}

type dayRow struct {
	Day, Most, Least, Band, Before, Over string
}

func (h *Handler) forecastView(ctx context.Context, s *survey, c clock) forecastView {
	o, err := h.cache.outlook(ctx, s)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			h.cfg.Logger.ErrorContext(ctx, "no forecast", "error", err)
		}
		return forecastView{Missing: "The forecast could not be made; the log says why."}
	}
	top := scaleTop(o, h.cfg.Capacity)
	v := forecastView{
		Capacity: h.cfg.Capacity, CapY: percent(1 - float64(h.cfg.Capacity)/float64(top)), Band: o.band != nil,
		From: c.in(o.from).Format("Monday 2 January 15:04"), Ghost: ghost(o.before, top), Grid: grid(top),
		Days: days(o.from, c.zone),
	}
	peak := highest(o.hours)
	for i := range o.hours {
		b := o.bar(i, top, h.cfg.Capacity, c)
		if b.Over && o.hours[i].At.Equal(peak.At) {
			b.Label = fmt.Sprintf("%d at %s", b.Most, c.in(b.At).Format("Mon 15:04"))
		}
		v.Bars = append(v.Bars, b)
	}
	v.Table = o.table(h.cfg.Capacity, c)
	v.Highest = fmt.Sprintf("%s on %s", text.Number(peak.Most), c.in(peak.At).Format("Monday 2 January at 15:04"))
	v.Advice, v.Calm = o.advice.words(h.cfg.Capacity, peak, c)
	return v
}

func (c clock) in(t time.Time) time.Time { return t.In(c.zone) }

// scaleTop is the number at the upper edge of the picture.
func scaleTop(o *outlook, capacity int) int {
	top := float64(max(capacity, 4))
	for i := range o.hours {
		top = max(top, float64(o.hours[i].Most))
		top = max(top, o.band[o.hours[i].At].High)
		if i < len(o.before) {
			top = max(top, float64(o.before[i]))
		}
	}
	step := gridStep(top)
	return int(math.Ceil((top*1.06)/float64(step))) * step
}

func gridStep(top float64) int {
	for step := 1; ; step *= 10 {
		for _, k := range []int{1, 2, 5} {
			if float64(k*step)*4 >= top {
				return k * step
			}
		}
	}
}

func grid(top int) (lines []gridLine) {
	step := gridStep(float64(top))
	for n := 0; n <= top; n += step {
		lines = append(lines, gridLine{percent(1 - float64(n)/float64(top)), text.Number(n)})
	}
	return lines
}

// days are the midnights of the strip, with the days that they begin.
func days(from time.Time, zone *time.Location) []tickMark {
	marks := slices.DeleteFunc(axis(frame{from, from.Add(week)}, zone), func(m tickMark) bool { return !m.Day })
	if n := len(marks); n > 0 && marks[n-1].at > 0.92 {
		marks[n-1].Text = "" // it would stand beside the picture
	}
	return marks
}

func (o *outlook) bar(i, top, capacity int, c clock) bar {
	hour, n := o.hours[i], float64(len(o.hours))
	share := float64(hour.Most) / float64(top)
	b := bar{
		X: percent((float64(i) + 0.06) / n), Width: percent(0.88 / n), Y: percent(1 - share), Height: percent(share),
		Over: capacity > 0 && hour.Most > capacity, Most: hour.Most, At: hour.At,
		Title: fmt.Sprintf("%s: %d", c.in(hour.At).Format("Mon 2 15:04"), hour.Most),
	}
	if k, ok := o.band[hour.At]; ok {
		b.BandY, b.BandHeight = percent(1-k.High/float64(top)), percent((k.High-k.Low)/float64(top))
		b.Title += fmt.Sprintf("; with people %.0f to %.0f", k.Low, k.High)
	}
	if i < len(o.before) {
		b.Title += fmt.Sprintf("; last week %d", o.before[i])
	}
	return b
}

// ghost is the line of last week.
func ghost(before []int, top int) string {
	path := ""
	for i, n := range before {
		x, next := float64(i)*1000/float64(hours), float64(i+1)*1000/float64(hours)
		y := 100 - 100*float64(n)/float64(top)
		letter := "L"
		if i == 0 {
			letter = "M"
		}
		path += fmt.Sprintf("%s%.1f %.1fL%.1f %.1f", letter, x, y, next, y)
	}
	return path
}

func (o *outlook) table(capacity int, c clock) (rows []dayRow) {
	for i := 0; i < len(o.hours); {
		day, end := c.in(o.hours[i].At).Format("Mon 2 Jan"), i
		most, least := i, i
		for ; end < len(o.hours) && c.in(o.hours[end].At).Format("Mon 2 Jan") == day; end++ {
			if o.hours[end].Most > o.hours[most].Most {
				most = end
			}
			if o.hours[end].Most < o.hours[least].Most {
				least = end
			}
		}
		rows = append(rows, o.dayRow(day, most, least, capacity, c))
		i = end
	}
	return rows
}

func (o *outlook) dayRow(day string, most, least, capacity int, c clock) dayRow {
	at := func(i int) string {
		return fmt.Sprintf("%s at %s", text.Number(o.hours[i].Most), c.in(o.hours[i].At).Format("15:04"))
	}
	r := dayRow{Day: day, Most: at(most), Least: at(least), Band: "not known", Before: "not known", Over: "no capacity set"}
	if k, ok := o.band[o.hours[most].At]; ok {
		r.Band = fmt.Sprintf("%.0f to %.0f", k.Low, k.High)
	}
	if most < len(o.before) {
		r.Before = text.Number(o.before[most])
	}
	if capacity > 0 {
		r.Over = text.Number(max(0, o.hours[most].Most-capacity))
	}
	return r
}

// words says what to do, with what it gives; calm if there is nothing to do.
func (a *advice) words(capacity int, peak *forecast.Hour, c clock) (what string, calm bool) {
	switch {
	case capacity == 0:
		return "", true
	case a == nil && peak.Most == capacity:
		return fmt.Sprintf("The most is %s, on %s: as many as the capacity.", text.Number(peak.Most), c.in(peak.At).Format("Mon 2 Jan at 15:04")), true
	case a == nil:
		return fmt.Sprintf("The most is %s, on %s: %s below the capacity of %s.",
			text.Number(peak.Most), c.in(peak.At).Format("Mon 2 Jan at 15:04"), text.Number(capacity-peak.Most), text.Number(capacity)), true
	}
	what = fmt.Sprintf("%s: %s, %s over the capacity.", c.in(a.At).Format("Monday 15:04"), text.Number(a.Most), text.Number(a.Most-capacity))
	switch {
	case a.Template == "":
		return what + fmt.Sprintf(" Nothing starts in the %s up to it: what runs then was started before. Runs that end sooner, or more capacity, are what helps.", span(climb)), false
	case a.Spread > 0:
		return what + fmt.Sprintf(" Spread the %s of %s up to it over %s (Policy.Jitter) and the most in the week is %s; the last of them starts up to %s late.",
			text.Count(a.Starts, "start", "starts"), a.Template, span(a.Spread), text.Number(a.Then), span(a.Spread)), false
	}
	return what + fmt.Sprintf(" %s up to it. Spread over %s, the most in the week is still %s: their runs overlap whenever they start. Runs that end sooner, or more capacity, are what helps.",
		text.Count(a.Starts, "start of "+a.Template+" leads", "starts of "+a.Template+" lead"), span(a.Tried), text.Number(a.Then)), false
}
