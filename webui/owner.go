package webui

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
	"github.com/dormouse-go/dormouse/lifecycle/forecast/lint"
)

// ownerView is everything on an owner's page.
type ownerView struct {
	Title     string
	Viewer    Viewer
	MayAct    bool
	Now, Zone string
	Digest    uint64
	Sum       string
	// Cut says that some of their workspaces may be missing.
	Cut   bool
	Cards []card
	// Shown says which of several pages this is, and Prev and Next are the addresses of its neighbours.
	Shown, Prev, Next string
	New               *newView
}

// card is one workspace of an owner.
type card struct {
	lane
	Say, Because string
	Summary      string
	Rules        []ruleView
	Hours        []tickMark
	Buttons      []button
	Soon         bool
	Week         weekView
	Address      string
	TTL          ttlView
	Delete       button
	next         time.Time
}

func (h *Handler) serveOwner(w http.ResponseWriter, r *http.Request, who Viewer) {
	s, err := h.cache.survey(r.Context())
	if err != nil {
		h.fail(w, r, err)
		return
	}
	typed, err := readHours(w, r)
	if err != nil {
		http.Error(w, "The form cannot be read.", http.StatusBadRequest)
		return
	}
	if s, err = h.own(r.Context(), s, who); err != nil {
		h.fail(w, r, err)
		return
	}
	v, err := h.ownerView(r.Context(), s, r.URL.Query(), who, typed)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	h.render(w, r, "owner.html", v)
}

// ownerView is made of the survey of what the owner has.
func (h *Handler) ownerView(ctx context.Context, s *survey, q url.Values, who Viewer, typed typedHours) (v ownerView, err error) {
	c, rows := clock{s.at, h.cfg.Zone}, s.rows
	v = ownerView{
		Viewer: who, MayAct: h.mayAct(who), Now: c.full(), Zone: c.zoneName(), Digest: digest(rows, s.at), Cut: s.cut,
	}
	shown := v.turn(rows, q, typed, h.cfg.Prefix+"/mine?page=")
	for i := range shown {
		card, err := h.card(ctx, shown[i], c, who, typed)
		if err != nil {
			return v, err
		}
		v.Cards = append(v.Cards, card)
	}
	slices.SortFunc(v.Cards, func(a, b card) int {
		return cmp.Or(compareWake(a.next, b.next), strings.Compare(a.Name, b.Name), slices.Compare(a.ID[:], b.ID[:]))
	})
	v.Sum, v.Title = summary(rows, v.Cards, v.Prev == "")
	v.New, err = h.newView(ctx, who)
	return v, err
}

// turn orders rows, what may change first, and returns those of one page: that of a workspace for which something was typed
// or done, else the one that was asked for.
func (v *ownerView) turn(rows []*row, q url.Values, typed typedHours, link string) []*row {
	slices.SortFunc(rows, func(a, b *row) int {
		return cmp.Or(compareWake(a.wake, b.wake), strings.Compare(a.key, b.key), slices.Compare(a.Workspace.ID[:], b.Workspace.ID[:]))
	})
	page, last := parseQuery(q).Page, max(0, (len(rows)-1)/pageSize)
	at, _ := uuid.Parse(q.Get("at"))
	for i, r := range rows {
		if r.Workspace.ID == at || typed.is(r.Workspace.ID) {
			page = i / pageSize
		}
	}
	page = min(page, last)
	from, to := page*pageSize, min(len(rows), (page+1)*pageSize)
	if last > 0 {
		v.Shown = fmt.Sprintf("%s–%s of %s", text.Number(from+1), text.Number(to), text.Number(len(rows)))
	}
	if page > 0 {
		v.Prev = link + strconv.Itoa(page)
	}
	if page < last {
		v.Next = link + strconv.Itoa(page+2)
	}
	return rows[from:to]
}

// summary says how many workspaces are what, and on the first page what happens next.
func summary(rows []*row, cards []card, first bool) (says, title string) {
	var n [lifecycle.StatusManaged + 1]int
	for i := range rows {
		n[rows[i].status]++
	}
	var parts []string
	for status, k := range n {
		if k > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", k, word(lifecycle.Status(status))))
		}
	}
	title = fmt.Sprintf("Your workspaces: %d running", n[lifecycle.StatusRunning])
	if len(parts) == 0 {
		return "You have no workspaces yet.", title
	}
	says = strings.Join(parts, ", ") + "."
	if first && !cards[0].next.IsZero() {
		says += " Next: " + text.Quoted(cards[0].Name) + " " + lower(cards[0].Say)
	}
	return says, title
}

// today is the day of the clock.
func today(c clock) frame {
	t := c.in(c.now)
	from := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, c.zone)
	return frame{from, time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, c.zone)}
}

func (h *Handler) card(ctx context.Context, r *row, c clock, who Viewer, typed typedHours) (card, error) {
	m := laneMaker{h: h, frame: today(c), clock: c}
	l, err := m.lane(ctx, r)
	if err != nil {
		return card{}, err
	}
	x := lifecycle.Explain(r.Snapshot, c.now)
	v := card{lane: l, Say: l.Next + ".", Summary: x.Summary, Hours: quarters(m.frame, c), Buttons: h.buttons(&r.Snapshot, c, who)}
	for _, rule := range x.Rules {
		if rule.Verdict != lifecycle.VerdictOff {
			v.Rules = append(v.Rules, ruleView{Rule: word(rule.Rule), Verdict: string(rule.Verdict), Icon: verdictIcons[rule.Verdict], Compared: rule.Compared, Because: because(rule, c)})
		}
	}
	v.Because, v.next = reason(&r.Snapshot, c)
	v.Soon = !r.Build.Deadline.IsZero() && runs(&r.Snapshot) && r.Build.Deadline.Sub(c.now) < time.Hour
	v.Week = h.weekView(r.Snapshot, c, typed)
	v.Address = addressOf(&r.Snapshot)
	if h.mayAct(who) {
		v.TTL, v.Delete = ttlViewOf(&r.Snapshot, c), try(button{Kind: ActDelete}, lifecycle.RequestBuild(lifecycle.TransitionDelete, uuid.Nil), &r.Snapshot, c)
	}
	return v, nil
}

// reason is the sentence under what happens next, and when that is.
func reason(s *lifecycle.Snapshot, c clock) (text string, at time.Time) {
	used := "You have not worked in it yet."
	if !s.Workspace.LastUsedAt.IsZero() && s.Workspace.LastUsedAt.After(s.Workspace.CreatedAt) {
		used = "You last worked in it " + c.stamp(s.Workspace.LastUsedAt) + "."
	}
	for step := range forecast.Upcoming(*s, c.now, time.Time{}, forecast.Assumptions{}) {
		if stepWords(step) != "" {
			return ownerReasons[step.Rule] + " " + used, step.When
		}
	}
	if s.Workspace.Autostart == nil && !runs(s) {
		return "It has no working hours. " + used, time.Time{}
	}
	return used, time.Time{}
}

// ownerReasons are the rules in the words of who works in a workspace.
var ownerReasons = map[lifecycle.Rule]string{
	lifecycle.RuleAutostop: "Its run ends then.", lifecycle.RuleAutostart: "Your working hours begin then.",
	lifecycle.RuleStartRetry: "The last start failed; it is tried again.", lifecycle.RuleFailedCleanup: "What a failed build left is cleaned up.",
	lifecycle.RuleDormancy: "Nobody will have used it for long.", lifecycle.RuleAutodelete: "Nobody will have used it for long.",
}

// quarters are the hours under the picture of a day.
func quarters(f frame, c clock) (marks []tickMark) {
	for _, hour := range []int{0, 6, 12, 18} {
		t := c.in(f.from)
		at := time.Date(t.Year(), t.Month(), t.Day(), hour, 0, 0, 0, c.zone)
		marks = append(marks, tickMark{X: f.X(at), Text: fmt.Sprintf("%02d", hour), Day: hour == 0})
	}
	return marks
}

// warning is what Lint says of hours.
type warning struct{ Problem, Cure string }

func warningsOf(s lifecycle.Snapshot, now time.Time) (list []warning) {
	for _, w := range lint.Workspace(s, now, lint.Config{}) {
		list = append(list, warning{sentence(w.Problem), sentence(w.Cure)})
	}
	return list
}

// is reports whether something was typed for a workspace.
func (t typedHours) is(id uuid.UUID) bool { return t.given && t.workspace == id }
