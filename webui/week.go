package webui

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/schedule"
)

// weekView is the form of working hours.
type weekView struct {
	// Days are the rows of the form; nil where the schedule is none that rows can hold, and only the text is shown.
	Days []dayHours
	Text string
	// Checked: what was typed was looked at. Problem is why it cannot be, Warnings what it will not do as it seems to, and
	// Next its next starts.
	Checked  bool
	Problem  string
	Warnings []warning
	Next     string
	Note     string
	Allowed  bool
}

type dayHours struct {
	Key, Name, Long string
	On              bool
	From, To        string
	X, Width        string
	Label           string
}

// typedHours are hours that somebody typed, before they are checked.
type typedHours struct {
	given     bool
	workspace uuid.UUID
	text      string
}

// readHours reads the form of working hours, if there is one.
func readHours(w http.ResponseWriter, r *http.Request) (typedHours, error) {
	if r.Method != http.MethodPost {
		return typedHours{}, nil
	}
	if err := readForm(w, r); err != nil {
		return typedHours{}, err
	}
	id, err := uuid.Parse(r.PostForm.Get("workspace"))
	return typedHours{true, id, hoursOf(r.PostForm)}, err
}

var weekdays = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}

func dayKey(d time.Weekday) string { return strings.ToLower(d.String()[:3]) }

// hoursOf returns the hours of a form as a text: what was typed, or what the rows of the days say.
func hoursOf(form url.Values) string {
	if form.Has("hours") {
		return short(form.Get("hours"))
	}
	var parts []string
	for _, d := range weekdays {
		if key := dayKey(d); form.Has(key) {
			parts = append(parts, d.String()[:3]+" "+short(form.Get(key+"-from"))+"-"+short(form.Get(key+"-to")))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.TrimSpace(short(form.Get("zone")) + " " + strings.Join(parts, ", "))
}

// hoursVerbs are the verbs that set working hours; an empty text is none.
func hoursVerbs(text string) ([]lifecycle.Verb, error) {
	if text == "" {
		return []lifecycle.Verb{lifecycle.SetAutostart(nil), lifecycle.SetAutostop(nil)}, nil
	}
	h, err := schedule.ParseHours(text, schedule.Options{})
	if err != nil {
		return nil, err
	}
	return []lifecycle.Verb{lifecycle.SetAutostart(h.Autostart()), lifecycle.SetAutostop(h.Autostop())}, nil
}

// withHours is a workspace as it would be with other hours.
func withHours(s lifecycle.Snapshot, text string, now time.Time) (lifecycle.Snapshot, error) {
	verbs, err := hoursVerbs(text)
	if err != nil {
		return s, err
	}
	for _, v := range verbs {
		switch change, err := v(s, now); {
		case err == nil:
			s.Workspace = change.Workspace
			if change.Build.Number != 0 {
				s.Build = change.Build
			}
		case !errors.Is(err, lifecycle.ErrUnchanged):
			return s, err
		}
	}
	return s, nil
}

func (h *Handler) weekView(s lifecycle.Snapshot, c clock, typed typedHours) weekView {
	v := weekView{Allowed: s.Template.Policy.AllowUserAutostart}
	hours, isHours := hoursIn(&s)
	if isHours && !hours.IsZero() {
		v.Text = hours.String()
	} else if s.Workspace.Autostart != nil {
		v.Note = "It starts " + s.Workspace.Autostart.String() + ". Hours that you save here replace that."
	}
	if typed.is(s.Workspace.ID) {
		v.Checked, v.Text = true, typed.text
		next, err := withHours(s, typed.text, c.now)
		if err != nil {
			v.Problem = err.Error()
			return v
		}
		s = next
		hours, isHours = hoursIn(&s)
	}
	v.Warnings, v.Next = warningsOf(s, c.now), nextStarts(s, c)
	if v.Note == "" && isHours {
		v.Days = week7(hours, c)
	}
	return v
}

// hoursIn returns the working hours of a workspace, and false if its schedules are none. No schedule is no hours.
func hoursIn(s *lifecycle.Snapshot) (schedule.Hours, bool) {
	if s.Workspace.Autostart == nil && s.Workspace.Autostop == nil {
		return schedule.Hours{}, true
	}
	return schedule.HoursOf(s.Workspace.Autostart, s.Workspace.Autostop)
}

// nextStarts lists the next three starts that the rules will make.
func nextStarts(s lifecycle.Snapshot, c clock) string {
	var list []string
	for step := range forecast.Upcoming(s, c.now, time.Time{}, forecast.Assumptions{}) {
		if step.Kind == forecast.KindBuild && step.Transition == lifecycle.TransitionStart {
			if list = append(list, c.in(step.When).Format("Mon 2 Jan 15:04")); len(list) == 3 {
				break
			}
		}
	}
	if len(list) == 0 {
		return "none in four weeks"
	}
	return strings.Join(list, " · ")
}

// week7 are the rows of the form, nil if a day has more than one span or one that crosses midnight.
func week7(h schedule.Hours, c clock) []dayHours {
	zone := c.zone
	if !h.IsZero() {
		zone = h.Location()
	}
	rows := make([]dayHours, len(weekdays))
	for i, d := range weekdays {
		// A week of January has no clock change in any zone of today.
		day := time.Date(2024, time.January, 8+i, 0, 0, 0, 0, zone)
		from, to, one := spanOf(h, day)
		if !one {
			return nil
		}
		rows[i] = dayHours{Key: dayKey(d), Name: d.String()[:3], Long: d.String(), On: to > from, From: "09:00", To: "18:00", Label: d.String() + ": no working day"}
		if rows[i].On {
			f := frame{day, day.AddDate(0, 0, 1)}
			a, b := day.Add(time.Duration(from)*time.Minute), day.Add(time.Duration(to)*time.Minute)
			rows[i].From, rows[i].To = hhmm(from), hhmm(to)
			rows[i].X, rows[i].Width = f.X(a), f.Width(a, b)
			rows[i].Label = fmt.Sprintf("%s: %s to %s", d, hhmm(from), hhmm(to))
		}
	}
	return rows
}

func hhmm(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// spanOf returns the minutes of a day that hours cover, and false if that is more than one span.
func spanOf(h schedule.Hours, day time.Time) (from, to int, one bool) {
	if h.IsZero() {
		return 0, 0, true
	}
	from, spans, before := 0, 0, false
	for m := range 24 * 60 {
		covered := h.Covers(day.Add(time.Duration(m) * time.Minute))
		if covered && !before {
			from = m
			spans++
		}
		if covered {
			to = m + 1
		}
		before = covered
	}
	return from, to, spans <= 1 && to < 24*60
}

// weekOf is the form of one card.
type weekOf struct {
	Card   *card
	MayAct bool
	Zone   string
}

// Zone is the zone in which hours that are typed in rows are meant.
func (v weekView) Zone(fallback string) string {
	if zone, _, ok := strings.Cut(v.Text, " "); ok && strings.Contains(zone, "/") {
		return zone
	}
	return fallback
}
