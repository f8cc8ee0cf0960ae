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
)

// queueView is the jobs that wait.
type queueView struct {
	Missing   string
	Total     int
	Listed    int
	Columns   []string
	Rows      []heatRow
	Unmatched []jobView
	Waiting   []jobView
	byID      map[uuid.UUID]Job
}

type heatRow struct {
	Work  string
	Cells []heatCell
}

type heatCell struct {
	N     int
	Class string
}

type jobView struct {
	Name, Work, Age, Text string
	Missing               []string
	Workspace             uuid.UUID
}

// listedJobs is how many jobs are asked for.
const listedJobs = 500

// shownJobs is how many of them the list of the page has.
const shownJobs = 50

var ages = []struct {
	under time.Duration
	text  string
}{
	{10 * time.Second, "10 s"},
	{time.Minute, "1 min"},
	{5 * time.Minute, "5 min"},
	{15 * time.Minute, "15 min"},
	{time.Hour, "1 h"},
	{6 * time.Hour, "6 h"},
	{1<<63 - 1, "more"},
}

func (h *Handler) queueView(ctx context.Context, c clock) queueView {
	source, ok := h.source.(Queue)
	if !ok {
		return queueView{Missing: "This host does not tell of its queue."}
	}
	jobs, total, err := source.WaitingJobs(ctx, listedJobs)
	if err != nil {
		return queueView{Missing: h.unread(ctx, "the queue", err)}
	}
	v := queueView{Total: total, Listed: len(jobs), byID: make(map[uuid.UUID]Job)}
	for _, a := range ages {
		v.Columns = append(v.Columns, a.text)
	}
	for _, j := range jobs {
		v.byID[j.Workspace] = j
		v.count(j, c.now)
		switch view := jobOf(j, c); {
		case j.Unmatched:
			v.Unmatched = append(v.Unmatched, view)
		case len(v.Waiting) < shownJobs:
			v.Waiting = append(v.Waiting, view)
		}
	}
	return v
}

func jobOf(j Job, c clock) jobView {
	return jobView{
		Name: j.Name, Work: j.Work, Age: span(max(0, c.now.Sub(j.CreatedAt))), Text: j.Text, Missing: j.Missing, Workspace: j.Workspace,
	}
}

// count puts a job into the strip of ages.
func (v *queueView) count(j Job, now time.Time) {
	i := slices.IndexFunc(v.Rows, func(r heatRow) bool { return r.Work == j.Work })
	if i < 0 {
		i = len(v.Rows)
		v.Rows = append(v.Rows, heatRow{j.Work, make([]heatCell, len(ages))})
	}
	for k := range ages {
		if now.Sub(j.CreatedAt) < ages[k].under {
			v.Rows[i].Cells[k].add(j.Unmatched)
			break
		}
	}
}

func (c *heatCell) add(unmatched bool) {
	c.N++
	switch {
	case unmatched || c.Class == "u":
		c.Class = "u"
	case c.N == 1:
		c.Class = "h1"
	default:
		c.Class = "h2"
	}
}

// unmatched are the workspaces whose build nobody can take.
func (v *queueView) unmatched() map[uuid.UUID]bool {
	set := make(map[uuid.UUID]bool)
	for id, j := range v.byID {
		if j.Unmatched {
			set[id] = true
		}
	}
	return set
}

// unread tells the log why a part of the page is missing, and the page that it is.
func (h *Handler) unread(ctx context.Context, what string, err error) string {
	if ctx.Err() == nil {
		h.cfg.Logger.WarnContext(ctx, "a part of the page is missing", "part", what, "error", err)
	}
	return "Could not read " + what + " at the moment; the log says why."
}

// workersView is who carries jobs out.
type workersView struct {
	Missing            string
	Workers            []workerView
	Slots, Busy        int
	Closed, Idle       int
	PoolsMissing       string
	Pools              []poolView
	Ready, Desired     int
	HasPools, HasCount bool
}

type workerView struct {
	Worker
	Squares []square
	Width   int
	Label   string
	Doing   string
}

type square struct {
	X     int
	Class string
	Title string
}

// shownSlots bounds the squares of one worker; the label says how many there are.
const shownSlots = 16

func (h *Handler) workersView(ctx context.Context) workersView {
	var v workersView
	if source, ok := h.source.(Workers); !ok {
		v.Missing = "This host does not tell of its workers."
	} else if list, err := source.Workers(ctx); err != nil {
		v.Missing = h.unread(ctx, "the workers", err)
	} else {
		for _, w := range list {
			v.add(w)
		}
	}
	if source, ok := h.source.(Pools); ok {
		list, err := source.Pools(ctx)
		v.HasPools = len(list) > 0 || err != nil
		if err != nil {
			v.PoolsMissing = h.unread(ctx, "the warm pools", err)
		}
		for _, p := range list {
			v.Ready, v.Desired = v.Ready+p.Ready, v.Desired+p.Desired
			v.Pools = append(v.Pools, poolOf(p))
		}
	}
	return v
}

func (v *workersView) add(w Worker) {
	view := workerView{Worker: w, Doing: strings.Join(w.Jobs, ", ")}
	for i := range min(max(w.Slots, len(w.Jobs)), shownSlots) {
		s := square{X: 1 + 24*(i%4), Class: "sq-i", Title: "idle"}
		switch {
		case i < len(w.Jobs):
			s.Class, s.Title = "sq-b", w.Jobs[i]
		case w.Closed:
			s.Class, s.Title = "sq-c", "closed"
		}
		view.Squares = append(view.Squares, s)
	}
	view.Width = 24 * min(4, max(1, len(view.Squares)))
	view.Label = fmt.Sprintf("%s: %d of %d busy", w.Name, len(w.Jobs), w.Slots)
	if w.Closed {
		view.Label += ", closed"
		v.Closed += max(0, w.Slots-len(w.Jobs))
	} else {
		v.Idle += max(0, w.Slots-len(w.Jobs))
	}
	v.Slots, v.Busy = v.Slots+w.Slots, v.Busy+len(w.Jobs)
	v.Workers = append(v.Workers, view)
}

// Y puts the squares of a worker into rows of four.
func (v workerView) Y(i int) int { return 1 + 24*(i/4) }

// Height is that of all its rows.
func (v workerView) Height() int { return 24 * max(1, (len(v.Squares)+3)/4) }

type poolView struct {
	Pool
	Parts []poolPart
	Label string
	Since string
}

type poolPart struct{ X, Width, Class, Title string }

// poolOf draws a pool as one stack: a member wanted is one piece, and of many members the pieces are parts of the whole.
func poolOf(p Pool) poolView {
	v := poolView{Pool: p, Label: fmt.Sprintf("%s: %d desired, %d ready, %d starting, %d failed", p.Name, p.Desired, p.Ready, p.Starting, p.Failed)}
	all := max(p.Desired, p.Ready+p.Starting+p.Failed)
	at := 0
	for _, part := range []struct {
		n             int
		class, titled string
	}{{p.Ready, "goodp", "ready"}, {p.Starting, "startp", "starting"}, {p.Failed, "failp", "failed"}} {
		v.Parts = append(v.Parts, pieces(part.n, at, all, part.class, part.titled)...)
		at += part.n
	}
	return v
}

func pieces(n, at, all int, class, title string) (parts []poolPart) {
	if n == 0 {
		return nil
	}
	if all > 24 {
		return []poolPart{{percent(float64(at) / float64(all)), percent(float64(n) / float64(all)), class, text.Count(n, title, title)}}
	}
	for i := range n {
		parts = append(parts, poolPart{percent((float64(at+i) + .04) / float64(all)), percent(.92 / float64(all)), class, title})
	}
	return parts
}

// HitRate writes how many claims were served at once.
func (p Pool) HitRate() string {
	if p.Claims == 0 {
		return "no claims yet"
	}
	return fmt.Sprintf("%s of %s hit (%.0f %%)", text.Number(p.Hits), text.Count(p.Claims, "claim", "claims"), 100*float64(p.Hits)/float64(p.Claims))
}

// holdRow is a hold that is in force or planned.
type holdRow struct {
	On, Kind, Until, By, Note string
	Rules                     []string
	until                     time.Time
}

// holds lists the holds of engine, templates and workspaces, the ones that end first at the top.
func (s *survey) holds(state EngineState, c clock) (rows []holdRow) {
	add := func(on, kind string, h lifecycle.Hold) {
		if h.Until.After(c.now) {
			rows = append(rows, holdRow{on, kind, c.stamp(h.Until) + ", " + c.from(h.Until), h.By, h.Note, ruleNames(h.Rules), h.Until})
		}
	}
	engine := state.Hold
	for i := range s.rows {
		r := s.rows[i]
		add(nameOf(&r.Snapshot), "workspace", r.Workspace.Hold)
		if r.Engine.Hold.Until.After(engine.Until) {
			engine = r.Engine.Hold
		}
	}
	add("everything", "engine", engine)
	templates, _ := s.templates()
	for _, t := range templates {
		add(t.Name, "template", t.Hold)
		if until, held := t.Policy.Holidays.Covering(c.now); held && t.Policy.Holidays.Err() == nil {
			rules := t.Policy.HolidaysHold
			if rules == 0 {
				rules = lifecycle.HoldStarts
			}
			add(t.Name, "template, holidays", lifecycle.Hold{Until: until, Rules: rules, Note: "holidays of the policy"})
		}
	}
	slices.SortStableFunc(rows, func(a, b holdRow) int { return cmp.Or(a.until.Compare(b.until), strings.Compare(a.On, b.On)) })
	return rows
}

func ruleNames(r lifecycle.HoldRules) []string {
	if r == 0 {
		r = lifecycle.HoldAll
	}
	var names []string
	for _, k := range []struct {
		rule lifecycle.HoldRules
		name string
	}{
		{lifecycle.HoldStarts, "starts"},
		{lifecycle.HoldStops, "stops"},
		{lifecycle.HoldDormancy, "dormancy"},
		{lifecycle.HoldDeletion, "deletion"},
	} {
		if r.Includes(k.rule) {
			names = append(names, k.name)
		}
	}
	return names
}

// attentionItem is something that a person has to look at.
type attentionItem struct {
	Workspace uuid.UUID // uuid.Nil for what is none
	Name      string
	Icon      string
	Text      string
}

// attention lists what needs a person: workspaces whose retries ended, deletions behind the brake, and an engine that does
// not decide.
func (s *survey) attention(state EngineState, c clock) (items []attentionItem) {
	if state.Err != "" {
		items = append(items, attentionItem{Icon: "s-fail", Name: "The engine", Text: "cannot reach its store: " + state.Err})
	}
	for i := range s.rows {
		r := s.rows[i]
		if text := trouble(r, c); text != "" {
			items = append(items, attentionItem{r.Workspace.ID, nameOf(&r.Snapshot), "s-fail", text})
		}
	}
	slices.SortStableFunc(items, func(a, b attentionItem) int { return strings.Compare(a.Name, b.Name) })
	if n := s.braked(); n > 0 {
		items = append(items, attentionItem{
			Icon: "s-held", Name: text.Count(n, "deletion", "deletions"),
			Text: "wait behind the brake, until there is room within an hour or somebody releases them. They are not counted as overdue.",
		})
	}
	return items
}

// braked counts the deletions behind the brake.
func (s *survey) braked() (n int) {
	for i := range s.rows {
		if r := s.rows[i]; braked(&r.Snapshot) && !r.Build.Status.Active() {
			n++
		}
	}
	return n
}

// trouble says why a person has to look at a workspace, "" if nobody has to.
func trouble(r *row, c clock) string {
	why := ""
	if r.Workspace.Backoff.Message != "" {
		why = ": " + text.Quoted(r.Workspace.Backoff.Message)
	}
	switch {
	case r.attention():
		left := "is not deleted"
		if runs(&r.Snapshot) {
			left = "may still be running"
		}
		return fmt.Sprintf("%s: %s failed; nothing more is tried by itself since %s%s.",
			left, text.Count(r.Workspace.Failures, "automatic build", "automatic builds"), c.stamp(r.Workspace.AttentionAt), why)
	case r.retriesEnded():
		return fmt.Sprintf("did not start: %s failed, the last at %s%s. The next occurrence of its schedule stands.",
			text.Count(r.Workspace.StartFailures, "try", "tries"), c.stamp(r.Build.CompletedAt), why)
	}
	return ""
}

// retriesEnded reports whether an automatic start failed as often as the policy tries it.
func (r *row) retriesEnded() bool {
	return r.status == lifecycle.StatusFailed && r.Workspace.StartFailures > 0 && r.Build.Transition == lifecycle.TransitionStart &&
		r.Workspace.StartFailures > r.Template.Policy.StartRetry.Max
}

// HasWhy reports whether there are reasons to show.
func (i attentionItem) HasWhy() bool { return i.Workspace != uuid.Nil }
