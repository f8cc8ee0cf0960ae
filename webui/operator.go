package webui

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// operatorView is everything on the operator's page.
type operatorView struct {
	Title  string
	Viewer Viewer
	MayAct bool
	Total  int
	// Cut says that the fleet has more workspaces than the page tells of.
	Cut       bool
	Now, Zone string
	Clock     string
	Digest    uint64
	Alive     string
	AliveIcon string
	Numbers   []number
	Attention []attentionItem
	Forecast  forecastView
	Timeline  timelineView
	Why       *whyView
	Queue     queueView
	Workers   workersView
	Holds     []holdRow
	Compare   compareView
	Query     query
}

// number is one of the four at the top.
type number struct {
	N       int
	What    string
	Of      string
	Href    string
	Trouble bool
}

func (h *Handler) serveOperator(w http.ResponseWriter, r *http.Request, who Viewer) {
	if !who.Operator {
		http.Redirect(w, r, h.cfg.Prefix+"/mine", http.StatusSeeOther)
		return
	}
	s, err := h.cache.survey(r.Context())
	if err == nil {
		var v operatorView
		if v, err = h.operatorView(r.Context(), s, r, who); err == nil {
			h.render(w, r, "operator.html", v)
			return
		}
	}
	h.fail(w, r, err)
}

func (h *Handler) operatorView(ctx context.Context, s *survey, r *http.Request, who Viewer) (operatorView, error) {
	c, q, state := clock{s.at, h.cfg.Zone}, parseQuery(r.URL.Query()), h.engineState(ctx)
	v := operatorView{
		Viewer: who, MayAct: h.mayAct(who), Total: len(s.rows), Cut: s.cut, Query: q, Digest: digest(s.rows, s.at),
		Now: c.full(), Zone: c.zoneName(), Clock: c.in(c.now).Format("15:04"),
		Attention: s.attention(state, c), Holds: s.holds(state, c),
	}
	v.Alive, v.AliveIcon = alive(state, c)
	v.Queue, v.Workers = h.queueView(ctx, c), h.workersView(ctx)
	v.Forecast, v.Compare = h.forecastView(ctx, s, c), h.compareView(ctx, s, r.URL.Query(), c)
	v.Numbers = h.numbers(s, len(v.Attention), q, c)
	v.Title = fmt.Sprintf("%s running, %s overdue, %s", text.Number(v.Numbers[0].N), text.Number(v.Numbers[2].N),
		text.Count(len(v.Attention), "needs attention", "need attention"))
	var err error
	if v.Timeline, err = h.timeline(ctx, s, q, c, v.Queue.unmatched()); err != nil {
		return v, err
	}
	if id := v.Timeline.chosen(q); id != uuid.Nil {
		why := h.whyView(ctx, id, v.Queue, c, who)
		v.Why = &why
	}
	return v, nil
}

func (h *Handler) engineState(ctx context.Context) EngineState {
	source, ok := h.source.(Engine)
	if !ok {
		return EngineState{}
	}
	state, err := source.Engine(ctx)
	if err != nil {
		h.unread(ctx, "the state of the engine", err)
	}
	return state
}

// alive says whether the engine decides.
func alive(state EngineState, c clock) (text, icon string) {
	switch {
	case state.Err != "":
		return "The engine cannot reach its store", "s-fail"
	case state.LastTick.IsZero():
		return "", ""
	case c.now.Sub(state.LastTick) > 5*time.Minute:
		return "Nothing has been decided since " + c.stamp(state.LastTick), "s-late"
	}
	return "Last decided " + c.in(state.LastTick).Format("15:04:05"), "s-ok"
}

func (h *Handler) numbers(s *survey, attention int, q query, c clock) []number {
	n := s.counts()
	of := "no capacity is set"
	if h.cfg.Capacity > 0 {
		of = "of a capacity of " + text.Number(h.cfg.Capacity)
	}
	due, what := s.due(c.now, time.Hour)
	overdue, since := s.overdue(c)
	return []number{
		{N: n[lifecycle.StatusRunning], What: "running now", Of: of, Href: q.With("state", "running") + "#timeline"},
		{N: due, What: "due in the next hour", Of: what, Href: q.With("sort", "next") + "#timeline"},
		{N: overdue, What: "overdue", Of: since, Href: q.With("state", "overdue") + "#timeline", Trouble: overdue > 0},
		{N: attention, What: "need attention", Of: "retries that ended, and the brake", Href: "#attention", Trouble: attention > 0},
	}
}

// due counts what will happen within a time, by what it is.
func (s *survey) due(now time.Time, within time.Duration) (n int, what string) {
	var stops, starts, dormancies, deletions int
	until := now.Add(within)
	for i := range s.rows {
		r := s.rows[i]
		if r.wake.IsZero() || r.wake.After(until) || !r.overdue.IsZero() {
			continue
		}
		for step := range forecast.Upcoming(r.Snapshot, now, until.Add(time.Nanosecond), forecast.Assumptions{}) {
			switch {
			case step.Kind == forecast.KindDormant || step.Kind == forecast.KindBuild && step.Rule == lifecycle.RuleDormancy:
				dormancies++
			case step.Kind == forecast.KindBuild && step.Transition == lifecycle.TransitionStart:
				starts++
			case step.Kind == forecast.KindBuild && step.Transition == lifecycle.TransitionDelete:
				deletions++
			case step.Kind == forecast.KindBuild:
				stops++
			}
		}
	}
	what = sum(counted{stops, "stop", "stops"}, counted{starts, "start", "starts"},
		counted{dormancies, "dormancy", "dormancies"}, counted{deletions, "deletion", "deletions"})
	if what == "" {
		what = "nothing is planned"
	}
	return stops + starts + dormancies + deletions, what
}

func (s *survey) overdue(c clock) (n int, since string) {
	var first time.Time
	for i := range s.rows {
		if at := s.rows[i].overdue; !at.IsZero() {
			n++
			if first.IsZero() || at.Before(first) {
				first = at
			}
		}
	}
	if n == 0 {
		return 0, "everything due is done"
	}
	return n, "the first for " + span(c.now.Sub(first))
}

// timelineView is the lanes of one page.
type timelineView struct {
	Groups     []laneGroup
	Axis       []tickMark
	NowX       string
	Found      int
	From, To   int
	Prev, Next string
	Templates  []choice
	States     []choice
	Reasons    []choice
	Sorts      []choice
	Zooms      []choice
	Width      string
}

type laneGroup struct {
	Name  string
	N     int
	Lanes []lane
}

func (h *Handler) timeline(ctx context.Context, s *survey, q query, c clock, unmatched map[uuid.UUID]bool) (timelineView, error) {
	found := q.find(s.rows, c.now)
	last := max(0, (len(found)-1)/pageSize)
	page := min(q.Page, last)
	m := laneMaker{h: h, frame: around(c.now, q.width()), clock: c, unmatched: unmatched}
	v := timelineView{
		Axis: unlabeled(axis(m.frame, c.zone)), NowX: m.frame.X(c.now), Found: len(found), Width: span(q.width() / 2),
		From: page*pageSize + 1, To: min(len(found), (page+1)*pageSize),
	}
	if len(found) == 0 {
		v.From = 0
	}
	if page > 0 {
		v.Prev = q.PageLink(page - 1)
	}
	if page < last {
		v.Next = q.PageLink(page + 1)
	}
	v.choices(s, q)
	for i := page * pageSize; i < v.To; i++ {
		l, err := m.lane(ctx, found[i])
		if err != nil {
			return v, err
		}
		l.Href, l.Selected = q.WhyLink(l.ID), l.ID == q.Why
		v.add(groupName(found[i], q), l)
	}
	return v, nil
}

// groupName heads the groups where trouble goes first.
func groupName(r *row, q query) string {
	switch {
	case q.Sort != "":
		return "Workspaces"
	case r.group() == groupAttention:
		return "Failed"
	case r.group() == groupOverdue:
		return "Overdue"
	}
	return "Next event first"
}

func (v *timelineView) add(group string, l lane) {
	if n := len(v.Groups); n == 0 || v.Groups[n-1].Name != group {
		v.Groups = append(v.Groups, laneGroup{Name: group})
	}
	g := &v.Groups[len(v.Groups)-1]
	g.Lanes = append(g.Lanes, l)
	g.N++
}

// chosen is the workspace whose reasons are shown: the one asked for, else the first of the page.
func (v *timelineView) chosen(q query) uuid.UUID {
	if q.Why != uuid.Nil || len(v.Groups) == 0 {
		return q.Why
	}
	return v.Groups[0].Lanes[0].ID
}

func (v *timelineView) choices(s *survey, q query) {
	templates, n := s.templates()
	v.Templates = []choice{{"", "all", q.Template == uuid.Nil}}
	for _, t := range templates {
		v.Templates = append(v.Templates, choice{t.ID.String(), fmt.Sprintf("%s %d", t.Name, n[t.ID]), q.Template == t.ID})
	}
	counts := s.counts()
	v.States = []choice{{"", "all", q.State == ""}, {"overdue", "overdue", q.State == "overdue"}}
	for status, k := range counts {
		if name := lifecycle.Status(status); k > 0 {
			v.States = append(v.States, choice{name.String(), fmt.Sprintf("%s %d", word(name), k), q.State == name.String()})
		}
	}
	v.Reasons = []choice{{"", "all", q.Reason == ""}}
	for _, r := range reasons {
		v.Reasons = append(v.Reasons, choice{r, r, q.Reason == r})
	}
	v.Sorts = links(q, "sort", q.Sort, "", "trouble first", "next", "next event", "name", "name")
	v.Zooms = links(q, "zoom", q.Zoom, "6h", "6 h", "", "48 h", "14d", "14 d")
}

// links are the addresses with each of some values of a key.
func links(q query, key, now string, valuesAndTexts ...string) (list []choice) {
	for i := 0; i < len(valuesAndTexts); i += 2 {
		value, text := valuesAndTexts[i], valuesAndTexts[i+1]
		list = append(list, choice{q.With(key, value) + "#timeline", text, now == value})
	}
	return list
}

// Shown says which workspaces a page has.
func (v timelineView) Shown() string {
	if v.Found == 0 {
		return "No workspace is like that."
	}
	return fmt.Sprintf("%s–%s of %s", text.Number(v.From), text.Number(v.To), text.Number(v.Found))
}
