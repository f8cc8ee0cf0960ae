package webui

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// frame is the stretch of time that a picture shows, and where an instant stands in it.
type frame struct{ from, until time.Time }

func around(now time.Time, width time.Duration) frame {
	return frame{now.Add(-width / 2), now.Add(width / 2)}
}

func (f frame) x(t time.Time) float64 {
	return float64(t.Sub(f.from)) / float64(f.until.Sub(f.from))
}

func (f frame) has(t time.Time) bool { return !t.Before(f.from) && !t.After(f.until) }

// X is where an instant stands, for attributes of SVG.
func (f frame) X(t time.Time) string { return percent(f.x(t)) }

// Width is how wide the stretch from one instant to another is.
func (f frame) Width(from, until time.Time) string {
	return percent(min(f.x(until), 1) - max(f.x(from), 0))
}

// piece is a stretch of a lane in which a workspace was or will be one thing.
type piece struct {
	Kind        string // run, stop, sleep, build, late; plan, nap, rest: planned to run, to be stopped, to be dormant
	From, Until time.Time
	X, Width    string
	X2          string // where it ends
	Title       string
}

// mark is an instant of a lane.
type mark struct {
	Kind  MarkKind
	At    time.Time
	X     string
	Title string
}

// lane is one workspace in the timeline.
type lane struct {
	ID              uuid.UUID
	Name            string
	Template, Owner string
	Status          lifecycle.Status
	Overdue         bool
	overdue         time.Time
	Held            bool
	Pieces          []piece
	Marks           []mark
	// Next says what happens next and when, in a line. Label is the whole lane in words.
	Next, Label string
	Now         string
	Selected    bool
	Href        string
}

// Word is the status as it is shown, with what overrules it.
func (l lane) Word() string {
	switch {
	case l.Overdue:
		return "overdue"
	case l.Held:
		return word(l.Status) + ", held"
	}
	return word(l.Status)
}

// Icon names its symbol.
func (l lane) Icon() string {
	switch {
	case l.Overdue:
		return "s-late"
	case l.Held:
		return "s-held"
	}
	return statusIcon(l.Status)
}

// laneMaker draws the lanes of one page.
type laneMaker struct {
	h     *Handler
	frame frame
	clock clock
	// unmatched are the workspaces whose build no worker can take: nothing is planned beyond it.
	unmatched map[uuid.UUID]bool
}

// lane draws a workspace. What is left of now comes from its builds, what is right of it from forecast.Upcoming.
func (m *laneMaker) lane(ctx context.Context, r *row) (lane, error) {
	builds, err := m.h.source.Builds(ctx, r.Workspace.ID, m.frame.from, maxBuilds)
	if err != nil {
		return lane{}, fmt.Errorf("builds of workspace %s: %w", r.Workspace.ID, err)
	}
	told, err := m.h.marks(ctx, r.Workspace.ID, m.frame.from)
	if err != nil {
		return lane{}, err
	}
	l := lane{
		ID: r.Workspace.ID, Name: nameOf(&r.Snapshot), Template: r.Template.Name, Owner: r.Owner.Name,
		Status: r.status, Overdue: !r.overdue.IsZero(), overdue: r.overdue, Now: m.frame.X(m.clock.now),
	}
	l.Pieces = append(past(builds, &r.Snapshot, m.clock.now), late(r, m.clock.now)...)
	l.Marks = append(buildMarks(builds), marksOf(told)...)
	if !slices.ContainsFunc(told, func(m Mark) bool { return m.Kind == MarkActivity }) && !r.Workspace.LastUsedAt.Equal(r.Workspace.CreatedAt) {
		l.Marks = append(l.Marks, mark{Kind: MarkActivity, At: r.Workspace.LastUsedAt, Title: "last activity"})
	}
	m.plan(&l, r)
	m.place(&l)
	l.Label = m.label(&l)
	return l, nil
}

// maxBuilds bounds the builds of a lane.
const maxBuilds = 200

func nameOf(s *lifecycle.Snapshot) string { return cmp.Or(s.Workspace.Name, s.Workspace.ID.String()) }

func (h *Handler) marks(ctx context.Context, id uuid.UUID, since time.Time) ([]Mark, error) {
	r, ok := h.source.(Recorder)
	if !ok {
		return nil, nil
	}
	marks, err := r.Marks(ctx, id, since)
	if err != nil {
		return nil, fmt.Errorf("marks of workspace %s: %w", id, err)
	}
	return marks, nil
}

func marksOf(told []Mark) []mark {
	list := make([]mark, len(told))
	for i, t := range told {
		list[i] = mark{Kind: t.Kind, At: t.At, Title: t.Text}
	}
	return list
}

// past returns what a workspace was up to now: running from the end of a start that succeeded to the end of a stop or
// delete that did, and dormant since it is. Of the time before the builds that are known nothing is said.
func past(builds []lifecycle.Build, s *lifecycle.Snapshot, now time.Time) []piece {
	var pieces []piece
	to := func(kind string, at time.Time) {
		if n := len(pieces); n > 0 {
			pieces[n-1].Until = at
			if pieces[n-1].Kind == kind {
				return
			}
		}
		pieces = append(pieces, piece{Kind: kind, From: at})
	}
	for _, b := range slices.Backward(builds) {
		switch {
		case b.Status != lifecycle.JobSucceeded:
		case b.Transition == lifecycle.TransitionStart:
			to("run", b.CompletedAt)
		default:
			to("stop", b.CompletedAt)
		}
	}
	if at := s.Workspace.DormantAt; !at.IsZero() {
		if n := len(pieces); n > 0 && pieces[n-1].From.After(at) {
			at = pieces[n-1].From // the stop that dormancy made ended after it was marked
		}
		to("sleep", at)
	}
	if b := &s.Build; b.Status.Active() && b.CreatedAt.Before(now) {
		to("build", b.CreatedAt)
	}
	if n := len(pieces); n > 0 {
		pieces[n-1].Until = now
	}
	return pieces
}

// late is the stretch from the instant at which something was due to now.
func late(r *row, now time.Time) []piece {
	if r.overdue.IsZero() {
		return nil
	}
	return []piece{{Kind: "late", From: r.overdue, Until: now}}
}

// buildMarks are builds that were asked for by hand, and those that failed.
func buildMarks(builds []lifecycle.Build) (marks []mark) {
	for _, b := range slices.Backward(builds) {
		if b.Reason == lifecycle.ReasonManual {
			marks = append(marks, mark{Kind: MarkManual, At: b.CreatedAt, Title: b.Transition.String() + ", by hand"})
		}
		switch {
		case b.Status == lifecycle.JobFailed:
			marks = append(marks, mark{Kind: MarkFailed, At: b.CompletedAt, Title: b.Transition.String() + " failed"})
		case b.Status == lifecycle.JobSucceeded && b.Transition == lifecycle.TransitionDelete:
			marks = append(marks, mark{Kind: MarkDeleted, At: b.CompletedAt, Title: "deleted"})
		}
	}
	return marks
}

// plan adds what forecast.Upcoming says will happen.
func (m *laneMaker) plan(l *lane, r *row) {
	now, kind, since := m.clock.now, planned(&r.Snapshot), m.clock.now
	end := func(at time.Time) {
		if kind != "" && at.After(since) {
			l.Pieces = append(l.Pieces, piece{Kind: kind, From: since, Until: at})
		}
	}
	first := true
	for step := range forecast.Upcoming(r.Snapshot, now, time.Time{}, m.assumptions(r)) {
		if first && m.happens(l, step) {
			first = false
		}
		if !step.At.Before(m.frame.until) {
			if !first {
				break
			}
			continue
		}
		if step.Kind == forecast.KindMissed {
			l.Marks = append(l.Marks, mark{Kind: MarkSkipped, At: step.When, Title: "will be skipped: too late"})
		}
		if next := planned(&step.After); next != kind && !step.After.Build.Status.Active() {
			end(step.When)
			kind, since = next, step.When
			if step.After.Workspace.Deleted {
				l.Marks = append(l.Marks, mark{Kind: MarkDeleted, At: step.When, Title: "will be deleted"})
			}
		}
	}
	end(m.frame.until)
	if first {
		l.Next = m.quiet(r)
	}
	m.held(l, r)
}

// assumptions are those of the plan: builds succeed after a minute, but one that nobody can take never does.
func (m *laneMaker) assumptions(r *row) forecast.Assumptions {
	if !m.unmatched[r.Workspace.ID] {
		return forecast.Assumptions{}
	}
	return forecast.Assumptions{Build: func(lifecycle.Snapshot) forecast.Outcome {
		return forecast.Outcome{Took: 10 * 365 * 24 * time.Hour, Status: lifecycle.JobSucceeded}
	}}
}

// planned is the piece that stands for a workspace to come. While a build runs, and after one that failed, what was before
// it goes on.
func planned(s *lifecycle.Snapshot) string {
	switch {
	case s.Workspace.Deleted:
		return ""
	case runs(s):
		return "plan"
	case !s.Workspace.DormantAt.IsZero():
		return "rest"
	}
	return "nap"
}

// runs reports whether compute of a workspace may be running.
func runs(s *lifecycle.Snapshot) bool {
	b := &s.Build
	return !b.RunSince.IsZero() || b.Transition == lifecycle.TransitionStart && b.Status == lifecycle.JobSucceeded
}

// happens says what comes next, if a step is something that people see.
func (m *laneMaker) happens(l *lane, step forecast.Step) bool {
	what := stepWords(step)
	if what == "" {
		return false
	}
	if l.Overdue {
		l.Next = fmt.Sprintf("%s due since %s, for %s", dueWords[step.Transition], m.clock.stamp(l.overdue), span(m.clock.now.Sub(l.overdue)))
		return true
	}
	l.Next = fmt.Sprintf("%s %s, %s", what, m.clock.stamp(step.When), m.clock.from(step.When))
	return true
}

// stepWords is what a step does to the workspace, "" if people see nothing of it.
func stepWords(step forecast.Step) string {
	switch step.Kind {
	case forecast.KindDormant:
		return "Goes dormant"
	case forecast.KindMissed:
		return "Start skipped"
	case forecast.KindBuild:
		switch {
		case step.Rule == lifecycle.RuleDormancy:
			return "Stops and goes dormant"
		case step.Transition == lifecycle.TransitionStart:
			return "Starts"
		case step.Transition == lifecycle.TransitionStop:
			return "Stops"
		}
		return "Is deleted"
	}
	return ""
}

var dueWords = map[lifecycle.Transition]string{
	lifecycle.TransitionNone: "Dormancy", lifecycle.TransitionStart: "Start", lifecycle.TransitionStop: "Stop",
	lifecycle.TransitionDelete: "Deletion",
}

// quiet says why nothing comes next.
func (m *laneMaker) quiet(r *row) string {
	switch {
	case m.unmatched[r.Workspace.ID]:
		return "Waits for a worker that can"
	case r.Build.Status.Active():
		return "In a build since " + m.clock.stamp(r.Build.CreatedAt)
	case r.attention():
		return "Retries ended " + m.clock.stamp(r.Workspace.AttentionAt)
	}
	return "Nothing happens by itself in four weeks"
}

// held marks where a hold that covers now ends.
func (m *laneMaker) held(l *lane, r *row) {
	for _, hold := range []lifecycle.Hold{r.Workspace.Hold, r.Template.Hold, r.Engine.Hold} {
		if !hold.Until.After(m.clock.now) {
			continue
		}
		l.Held = true
		if m.frame.has(hold.Until) {
			l.Marks = append(l.Marks, mark{Kind: MarkHeld, At: hold.Until, Title: "hold ends: " + holdWords(hold)})
		}
	}
}

func holdWords(h lifecycle.Hold) string {
	parts := []string{h.Rules.String()}
	if h.Note != "" {
		parts = append(parts, text.Quoted(h.Note))
	}
	if h.By != "" {
		parts = append(parts, "by "+text.Quoted(h.By))
	}
	return strings.Join(parts, ", ")
}

// place cuts pieces and marks to the frame and says where they stand.
func (m *laneMaker) place(l *lane) {
	l.Pieces = slices.DeleteFunc(l.Pieces, func(p piece) bool {
		return !p.Until.After(m.frame.from) || !p.From.Before(m.frame.until)
	})
	l.Marks = slices.DeleteFunc(l.Marks, func(k mark) bool { return !m.frame.has(k.At) })
	slices.SortStableFunc(l.Marks, func(a, b mark) int { return a.At.Compare(b.At) })
	for i := range l.Pieces {
		p := &l.Pieces[i]
		p.X, p.Width, p.X2 = m.frame.X(p.From), m.frame.Width(p.From, p.Until), m.frame.X(p.Until)
		p.Title = m.title(p)
	}
	for i := range l.Marks {
		k := &l.Marks[i]
		k.X, k.Title = m.frame.X(k.At), m.clock.stamp(k.At)+" "+k.Title
	}
}

var pieceWords = map[string]string{
	"run": "running", "stop": "stopped", "sleep": "dormant", "build": "in a build", "late": "due and not done",
	"plan": "planned to run", "nap": "planned to be stopped", "rest": "will be dormant",
}

func (m *laneMaker) title(p *piece) string {
	from, until := m.clock.stamp(p.From), m.clock.stamp(p.Until)
	if p.From.Before(m.frame.from) {
		from = "before " + m.clock.stamp(m.frame.from)
	}
	if p.Until.Equal(m.frame.until) {
		until = "after " + until
	}
	return pieceWords[p.Kind] + " " + from + " to " + until
}

// label says the whole lane in words, for who cannot see it.
func (m *laneMaker) label(l *lane) string {
	parts := make([]string, 0, len(l.Pieces)+len(l.Marks)+1)
	for _, p := range l.Pieces {
		parts = append(parts, p.Title)
	}
	for _, k := range l.Marks {
		parts = append(parts, k.Title)
	}
	return text.Quoted(l.Name) + ", " + l.Word() + ": " + strings.Join(append(parts, l.Next), "; ")
}

// tick is a line of an axis.
type tickMark struct {
	X, Text string
	Day     bool
	at      float64
}

// axis are the hours or days of a frame.
func axis(f frame, zone *time.Location) []tickMark {
	width := f.until.Sub(f.from)
	step, layout := 6, "15:04"
	switch {
	case width <= 12*time.Hour:
		step = 1
	case width > 4*24*time.Hour:
		step, layout = 24, "Mon 2"
	}
	var marks []tickMark
	t := f.from.In(zone)
	for t = time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, zone); t.Before(f.until); t = nextHour(t, step) {
		if x := f.x(t); x >= 0 {
			day := t.Hour() == 0
			text := t.Format(layout)
			if day && step < 24 {
				text = t.Format("Mon 2")
			}
			marks = append(marks, tickMark{percent(x), text, day, x})
		}
	}
	return marks
}

// unlabeled takes the text of lines that the label of now would cover.
func unlabeled(marks []tickMark) []tickMark {
	for i := range marks {
		if x := marks[i].at; x > 0.43 && x < 0.53 {
			marks[i].Text = ""
		}
	}
	return marks
}

// nextHour goes by the clock on the wall, so that a day with a clock change has its midnight where it is.
func nextHour(t time.Time, hours int) time.Time {
	next := time.Date(t.Year(), t.Month(), t.Day(), t.Hour()+hours, 0, 0, 0, t.Location())
	if !next.After(t) {
		return t.Add(time.Duration(hours) * time.Hour)
	}
	return next
}
