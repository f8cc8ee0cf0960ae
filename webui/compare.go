package webui

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// compareView is one template's fleet under its policy and under another. Nothing is written.
type compareView struct {
	Templates []choice
	Fields    []policyField
	Problem   string
	Done      bool
	Name      string
	Now, New  string // paths in a picture of 1000 by 100
	Saved     string
	Grid      []gridLine
	Days      []tickMark
	Table     []compareRow
	Label     string
	Moves     string
	Frontier  *frontierView
}

type choice struct {
	Value, Text string
	Selected    bool
}

// policyField is a value of a policy that can be tried.
type policyField struct {
	Key, Label, Value, Was string
	Bad                    string
	of                     func(*lifecycle.Policy) *time.Duration
}

type compareRow struct{ What, Now, New string }

func policyFields() []policyField {
	return []policyField{
		{Key: "ttl", Label: "Runs for", of: func(p *lifecycle.Policy) *time.Duration { return &p.DefaultTTL }},
		{Key: "bump", Label: "Activity adds", of: func(p *lifecycle.Policy) *time.Duration { return &p.ActivityBump }},
		{Key: "max", Label: "At most", of: func(p *lifecycle.Policy) *time.Duration { return &p.MaxRuntime }},
		{Key: "jitter", Label: "Spread over", of: func(p *lifecycle.Policy) *time.Duration { return &p.Jitter }},
		{Key: "dormant", Label: "Dormant after", of: func(p *lifecycle.Policy) *time.Duration { return &p.TimeTilDormant }},
		{Key: "delete", Label: "Deleted after", of: func(p *lifecycle.Policy) *time.Duration { return &p.TimeTilAutodelete }},
	}
}

func (h *Handler) compareView(ctx context.Context, s *survey, values url.Values, c clock) compareView {
	templates, n := s.templates()
	var v compareView
	if len(templates) == 0 {
		return v
	}
	chosen, _ := uuid.Parse(values.Get("t"))
	t := templates[0]
	for i := range templates {
		if templates[i].ID == chosen {
			t = templates[i]
		}
	}
	for _, o := range templates {
		v.Templates = append(v.Templates, choice{o.ID.String(), fmt.Sprintf("%s (%d)", o.Name, n[o.ID]), o.ID == t.ID})
	}
	v.Name = t.Name
	next := v.read(t, values)
	if v.Problem == "" && values.Has("compare") {
		rows, from := s.having(t), topOfHour(s.at, c.zone)
		if v.Problem = v.simulate(rows, t, next, from, c); v.Problem == "" {
			v.Frontier = h.frontierOr(ctx, rows, next, from)
		}
	}
	return v
}

// having returns the rows of a template.
func (s *survey) having(t lifecycle.Template) (rows []*row) {
	for _, r := range s.rows {
		if r.Template.ID == t.ID {
			rows = append(rows, r)
		}
	}
	return rows
}

// frontierOr is the frontier, or says that it could not be made: the rest of the page stands without it.
func (h *Handler) frontierOr(ctx context.Context, rows []*row, next lifecycle.Policy, from time.Time) *frontierView {
	v, err := h.frontier(ctx, rows, next, from)
	if err != nil {
		return &frontierView{Missing: h.unread(ctx, "when people worked", err)}
	}
	return v
}

// read fills the form with the policy and what was typed over it, and returns the policy that this makes.
func (v *compareView) read(t lifecycle.Template, values url.Values) lifecycle.Policy {
	next := t.Policy
	same := values.Get("t") == t.ID.String() // else the template was changed, and the values are those of another
	for _, f := range policyFields() {
		was := *f.of(&t.Policy)
		f.Value, f.Was = duration(was), "now "+duration(was)
		if typed := strings.TrimSpace(values.Get(f.Key)); same && typed != "" {
			f.Value = short(typed)
			d, err := parseDuration(typed)
			if err != nil {
				f.Bad = `like "8h", "1h30m" or "30d"`
				v.Problem = fmt.Sprintf("%s: %q is no duration; write it %s.", f.Label, short(typed), f.Bad)
			}
			*f.of(&next) = d
		}
		v.Fields = append(v.Fields, f)
	}
	if err := next.Validate(); v.Problem == "" && err != nil {
		v.Problem = err.Error()
	}
	return next
}

// duration writes what parseDuration reads.
func duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return "0"
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	text := strings.TrimSuffix(d.String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// parseDuration reads durations as people write them, with days and with spaces.
func parseDuration(text string) (time.Duration, error) {
	text = strings.ReplaceAll(strings.ReplaceAll(text, " ", ""), "min", "m")
	var days time.Duration
	if before, after, found := strings.Cut(text, "d"); found {
		d, err := time.ParseDuration(before + "h")
		if err != nil || d > 36500*time.Hour || d < 0 {
			return 0, fmt.Errorf("no number of days: %q", before)
		}
		if days = 24 * d; after == "" {
			return days, nil
		}
		text = after
	}
	d, err := time.ParseDuration(text)
	return days + d, err
}

// simulate runs the fleet of a template under both policies. It returns why it cannot.
func (v *compareView) simulate(rows []*row, t lifecycle.Template, next lifecycle.Policy, from time.Time, c clock) string {
	change, err := forecast.WithPolicy(withChange, next, from)
	if err != nil {
		return err.Error()
	}
	results, err := simulate(rows, from, from.Add(week), forecast.Candidate{Name: asItIs}, change)
	if err != nil {
		return err.Error()
	}
	v.Done = true
	v.draw(results[0], results[1], from, c)
	v.Table = compareTable(results[0], results[1], c)
	v.Moves = moves(rows, t, next, c.now)
	return ""
}

func (v *compareView) draw(now, next forecast.Result, from time.Time, c clock) {
	top := 4
	for i := range now.ByHour {
		top = max(top, now.ByHour[i].Most, next.ByHour[i].Most)
	}
	step := gridStep(float64(top))
	top = (top + step - 1) / step * step
	v.Grid, v.Days = grid(top), days(from, c.zone)
	v.Now, v.New = line(now.ByHour, top), line(next.ByHour, top)
	v.Saved = v.Now + "L" + strings.TrimPrefix(backwards(next.ByHour, top), "L") + "Z"
	v.Label = fmt.Sprintf("The most workspaces of %s at once for seven days: as it is, %s hours run; with the change, %s",
		v.Name, text.Number(int(now.Hours+.5)), text.Number(int(next.Hours+.5)))
}

// line is a path of steps, an hour each.
func line(list []forecast.Hour, top int) string {
	var b strings.Builder
	for i, h := range list {
		letter := 'L'
		if i == 0 {
			letter = 'M'
		}
		y := 100 - 100*float64(h.Most)/float64(top)
		fmt.Fprintf(&b, "%c%.1f %.1fL%.1f %.1f", letter, hourX(i, list), y, hourX(i+1, list), y)
	}
	return b.String()
}

func backwards(list []forecast.Hour, top int) string {
	var b strings.Builder
	for i := len(list) - 1; i >= 0; i-- {
		y := 100 - 100*float64(list[i].Most)/float64(top)
		fmt.Fprintf(&b, "L%.1f %.1fL%.1f %.1f", hourX(i+1, list), y, hourX(i, list), y)
	}
	return b.String()
}

func hourX(i int, list []forecast.Hour) float64 { return 1000 * float64(i) / float64(len(list)) }

func compareTable(now, next forecast.Result, c clock) []compareRow {
	row := func(what string, of func(forecast.Result) string) compareRow {
		return compareRow{what, of(now), of(next)}
	}
	return []compareRow{
		row("hours run in seven days", func(r forecast.Result) string { return text.Number(int(r.Hours + .5)) }),
		row(fmt.Sprintf("saved against always on (%s h)", text.Number(int(now.AlwaysHours+.5))), func(r forecast.Result) string {
			return fmt.Sprintf("%.1f %%", 100*r.Saved())
		}),
		row("most at once", func(r forecast.Result) string {
			h := highest(r.ByHour)
			return fmt.Sprintf("%s, %s", text.Number(h.Most), c.in(h.At).Format("Mon 15:04"))
		}),
		row("most builds in a minute", func(r forecast.Result) string { return text.Number(r.Herd) }),
		row("builds", func(r forecast.Result) string { return text.Number(r.Builds) }),
		row("go dormant", func(r forecast.Result) string { return text.Number(r.Dormancies) }),
		row("are deleted", func(r forecast.Result) string { return text.Number(r.Deletions) }),
	}
}

// moves says what the change moves at once, with its graces, as a policy plan would.
func moves(rows []*row, t lifecycle.Template, next lifecycle.Policy, now time.Time) string {
	plan, err := lifecycle.NewPolicyPlan(t, lifecycle.PolicyChange{Policy: next}, now)
	if err != nil {
		return err.Error()
	}
	for i := range rows {
		plan.Add(rows[i].Snapshot)
	}
	var sooner, later, never int
	for _, shift := range plan.Shifts {
		sooner, later, never = sooner+shift.Sooner+shift.Begins, later+shift.Later, never+shift.Ends
	}
	if sooner+later+never == 0 {
		return "Nothing that is planned now would move; the change acts from the next starts on."
	}
	return fmt.Sprintf("Of what is planned now, %s sooner, %d later, and %d would not happen any more.",
		text.Count(sooner, "instant comes", "instants come"), later, never)
}
