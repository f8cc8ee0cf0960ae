package webui

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// functions are those of the templates.
func (h *Handler) functions() template.FuncMap {
	return template.FuncMap{
		"asset": h.asset, "prefix": func() string { return h.cfg.Prefix },
		"count": text.Number, "plural": text.Count,
		"join":    strings.Join,
		"actions": actionsOf, "week": func(c card, mayAct bool, zone string) weekOf { return weekOf{&c, mayAct, zone} },
	}
}

// clock writes instants of one page: in one zone, as near as they need to be.
type clock struct {
	now  time.Time
	zone *time.Location
}

// stamp writes an instant: the time of today, a day of this week, else a date, with the year only if it is another.
func (c clock) stamp(t time.Time) string {
	t, now := t.In(c.zone), c.now.In(c.zone)
	days := dayNumber(t) - dayNumber(now)
	switch {
	case days == 0:
		return t.Format("15:04")
	case days > -7 && days < 7:
		return t.Format("Mon 15:04")
	case t.Year() == now.Year():
		return t.Format("Mon 2 Jan 15:04")
	}
	return t.Format("2 Jan 2006")
}

func dayNumber(t time.Time) int64 {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60)
}

// from writes how far away an instant is: "in 23 min", "2 h ago".
func (c clock) from(t time.Time) string {
	switch d := t.Sub(c.now); {
	case d > -time.Minute && d < time.Minute:
		return "now"
	case d < 0:
		return span(-d) + " ago"
	default:
		return "in " + span(d)
	}
}

// full writes the instant of a page.
func (c clock) full() string { return c.now.In(c.zone).Format("Mon 2 January 2006, 15:04") }

// span writes a duration in its two largest units.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 24*time.Hour:
		return two(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "min")
	case d < 14*24*time.Hour:
		return two(int(d/(24*time.Hour)), "d", int(d%(24*time.Hour)/time.Hour), "h")
	}
	return fmt.Sprintf("%d d", d/(24*time.Hour))
}

func two(a int, of string, b int, than string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, of)
	}
	return fmt.Sprintf("%d %s %d %s", a, of, b, than)
}

// sum writes parts that are not zero: "4 stops, 1 deletion".
func sum(parts ...counted) string {
	var texts []string
	for _, p := range parts {
		if p.n > 0 {
			texts = append(texts, text.Count(p.n, p.one, p.many))
		}
	}
	return strings.Join(texts, ", ")
}

type counted struct {
	n         int
	one, many string
}

// sentence makes a sentence of a phrase.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(s[size:], ".") + "."
}

// lower puts a sentence after its subject.
func lower(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(first)) + s[size:]
}

// word writes a name of the engine as people do.
func word(name fmt.Stringer) string { return strings.ReplaceAll(name.String(), "_", " ") }

// statusIcon names the symbol of a status.
func statusIcon(s lifecycle.Status) string {
	switch s {
	case lifecycle.StatusRunning:
		return "s-run"
	case lifecycle.StatusDormant:
		return "s-sleep"
	case lifecycle.StatusStarting, lifecycle.StatusStopping, lifecycle.StatusDeleting, lifecycle.StatusCanceling:
		return "s-build"
	case lifecycle.StatusFailed, lifecycle.StatusCanceled, lifecycle.StatusNeedsAttention:
		return "s-fail"
	}
	return "s-stop"
}

// percent writes where something is on a picture, exact to a thousandth of its width.
func percent(f float64) string { return strconv.FormatFloat(min(max(f, 0), 1)*100, 'f', 3, 64) + "%" }

// zoneName says the zone to people: that of the machine has no name but its abbreviation.
func (c clock) zoneName() string {
	if c.zone == time.Local {
		name, _ := c.in(c.now).Zone()
		return name
	}
	return c.zone.String()
}
