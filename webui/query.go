package webui

import (
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// pageSize is how many lanes a page has.
const pageSize = 50

// query is what an address asks of the timeline. What it cannot be is what it is without: an address that somebody typed
// shows a page.
type query struct {
	Search   string
	Template uuid.UUID
	Owner    string
	State    string
	Reason   string
	Sort     string // "", "next", "name"
	Zoom     string // "", "6h", "14d"
	Page     int    // from 0
	Why      uuid.UUID
	rest     url.Values // that of the other parts of the page
}

func parseQuery(v url.Values) query {
	q := query{
		Search: short(v.Get("q")), Owner: short(v.Get("owner")), State: v.Get("state"), Reason: v.Get("reason"),
		Sort: oneOf(v.Get("sort"), "next", "name"), Zoom: oneOf(v.Get("zoom"), "6h", "14d"),
		rest: v,
	}
	q.Template, _ = uuid.Parse(v.Get("template"))
	q.Why, _ = uuid.Parse(v.Get("why"))
	if n, err := strconv.Atoi(v.Get("page")); err == nil && n > 1 {
		q.Page = n - 1
	}
	return q
}

func short(s string) string {
	if len(s) > 200 {
		s = s[:200]
	}
	return strings.ToValidUTF8(strings.TrimSpace(s), "")
}

func oneOf(s string, known ...string) string {
	if slices.Contains(known, s) {
		return s
	}
	return ""
}

// width is how much time the timeline shows.
func (q query) width() time.Duration {
	switch q.Zoom {
	case "6h":
		return 6 * time.Hour
	case "14d":
		return 14 * 24 * time.Hour
	}
	return 48 * time.Hour
}

// With is the address with one value changed, and from the first page unless it is the page that changes.
func (q query) With(key, value string) string {
	v := url.Values{}
	for k, list := range q.rest {
		if len(list) > 0 && list[0] != "" && len(list[0]) <= 200 && slices.Contains(keys, k) {
			v.Set(k, list[0])
		}
	}
	if key != "why" {
		v.Del("page")
	}
	v.Set(key, value)
	if value == "" {
		v.Del(key)
	}
	return "?" + v.Encode()
}

var keys = []string{"q", "template", "owner", "state", "reason", "sort", "zoom", "page", "why"}

// PageLink is the address of a page of the timeline, counted from 0.
func (q query) PageLink(page int) string { return q.With("page", strconv.Itoa(page+1)) + "#timeline" }

// WhyLink is the address that says why a workspace does what it does.
func (q query) WhyLink(id uuid.UUID) string { return q.With("why", id.String()) + "#why" }

// find returns the rows that a query asks for, in its order.
func (q query) find(rows []*row, now time.Time) []*row {
	var found []*row
	for _, r := range rows {
		if q.matches(r, now) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, q.compare)
	return found
}

func (q query) matches(r *row, now time.Time) bool {
	return (q.Template == uuid.Nil || q.Template == r.Template.ID) &&
		(q.Owner == "" || strings.EqualFold(q.Owner, r.Owner.Name)) &&
		q.searches(r) && q.inState(r) && q.hasReason(r, now)
}

func (q query) searches(r *row) bool {
	text := strings.ToLower(q.Search)
	return text == "" || strings.Contains(r.key, text) ||
		strings.Contains(strings.ToLower(r.Owner.Name), text)
}

func (q query) inState(r *row) bool {
	switch q.State {
	case "":
		return true
	case "overdue":
		return !r.overdue.IsZero()
	}
	return q.State == r.status.String()
}

// reasons are what the timeline can be filtered by: why a workspace is as it is.
var reasons = []string{"schedule", "by hand", "dormancy", "held", "put off", "brake"}

func (q query) hasReason(r *row, now time.Time) bool {
	switch q.Reason {
	case "schedule":
		return r.Build.Reason == lifecycle.ReasonAutostart || r.Build.Reason == lifecycle.ReasonAutostop || r.Build.Reason == lifecycle.ReasonStartRetry
	case "by hand":
		return r.Build.Reason == lifecycle.ReasonManual
	case "dormancy":
		return r.Build.Reason == lifecycle.ReasonDormancy || r.Build.Reason == lifecycle.ReasonAutodelete
	case "held":
		return heldNow(r, now)
	case "brake":
		return braked(&r.Snapshot)
	case "put off":
		return r.Workspace.Backoff.Until.After(now)
	}
	return true
}

func heldNow(r *row, now time.Time) bool {
	return r.Workspace.Hold.Until.After(now) || r.Template.Hold.Until.After(now) || r.Engine.Hold.Until.After(now)
}

// The groups of the timeline, trouble first.
const (
	groupAttention = iota
	groupOverdue
	groupOthers
)

func (r *row) group() int {
	switch {
	case r.attention() || r.status == lifecycle.StatusFailed:
		return groupAttention
	case !r.overdue.IsZero():
		return groupOverdue
	}
	return groupOthers
}

func (q query) compare(a, b *row) int {
	c := 0
	switch q.Sort {
	case "name":
	case "next":
		c = compareWake(a.wake, b.wake)
	default:
		c = cmp.Or(a.group()-b.group(), a.overdue.Compare(b.overdue), compareWake(a.wake, b.wake))
	}
	if c == 0 {
		c = cmp.Or(strings.Compare(a.key, b.key), bytes.Compare(a.Workspace.ID[:], b.Workspace.ID[:]))
	}
	return c
}

// compareWake puts never last.
func compareWake(a, b time.Time) int {
	if a.IsZero() || b.IsZero() {
		return b.Compare(a)
	}
	return a.Compare(b)
}
