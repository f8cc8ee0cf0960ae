package api

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

var (
	people = []auth.Kind{auth.Admin, auth.Owner}
	admins = []auth.Kind{auth.Admin}
)

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

// Duration is a duration in JSON: a text such as "8h" or "1h30m".
type Duration time.Duration

// anyDuration is the field of a duration that does not know where it stands.
const anyDuration = "duration"

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return invalid.New(anyDuration, short(string(text)), `must be like "8h" or "1h30m"`)
	}
	*d = Duration(v)
	return nil
}

// Wanted is the workspace that somebody wants. An admin says whose it is.
type Wanted struct {
	Template string `json:"template"`
	Name     string `json:"name"`
	Owner    string `json:"owner,omitempty"`
	// Hours, Autostart and Autostop are as in dormouse.Schedule.
	dormouse.Schedule
	TTL Duration `json:"ttl,omitempty"`
	// Start starts it at once.
	Start bool `json:"start,omitempty"`
}

// TTL is how long a workspace runs before it stops by itself.
type TTL struct {
	TTL Duration `json:"ttl"`
}

// Extension moves a deadline: to an instant, or by a duration from where it is.
type Extension struct {
	Until time.Time `json:"until,omitzero"`
	By    Duration  `json:"by,omitempty"`
}

// Deadline is when a run ends.
type Deadline struct {
	Until time.Time `json:"until"`
}

// Page is a page of a list. Next is the parameter of the page that follows (after, or before where the latest come first), "" if there
// is none.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

func (a *API) workspaceRoutes() []route {
	one := typeOf[dormouse.Workspace]()
	routes := []route{
		{
			method: "GET", path: "/workspaces", summary: "list workspaces, an owner's own or all", who: people, out: typeOf[Page[dormouse.Workspace]](), do: a.listWorkspaces,
			query: []param{{"owner", "of whom; admins only"}, {"template", "id of the template"}, {"status", "one status"}, {"after", "next of the page before"}, {"limit", "1 to 1000"}},
		},
		{method: "POST", path: "/workspaces", summary: "make a workspace", who: people, in: typeOf[Wanted](), out: one, do: with(a.create)},
		{method: "GET", path: "/workspaces/{id}", summary: "a workspace", who: people, out: one, do: a.of(func(_ *request, w dormouse.Workspace) (any, error) { return w, nil })},
		{
			method: "PUT", path: "/workspaces/{id}/schedule", summary: "set when it starts and stops by itself", who: people, in: typeOf[dormouse.Schedule](), out: one,
			do: a.change(func(q *request, id uuid.UUID, o []dormouse.Option) (dormouse.Workspace, error) {
				in, err := into[dormouse.Schedule](q)
				if err != nil {
					return dormouse.Workspace{}, err
				}
				return a.Plane.SetSchedule(q.Context(), id, in, o...)
			}),
		},
		{
			method: "PUT", path: "/workspaces/{id}/ttl", summary: "set how long it runs before it stops by itself, 0s for no limit", who: people, in: typeOf[TTL](), out: one,
			do: a.change(func(q *request, id uuid.UUID, o []dormouse.Option) (dormouse.Workspace, error) {
				in, err := into[TTL](q)
				if err != nil {
					return dormouse.Workspace{}, err
				}
				return a.Plane.SetTTL(q.Context(), id, time.Duration(in.TTL), o...)
			}),
		},
		{method: "POST", path: "/workspaces/{id}/extend", summary: "move the deadline to a later instant", who: people, in: typeOf[Extension](), out: one, do: a.change(a.extend)},
		{
			method: "PUT", path: "/workspaces/{id}/deadline", summary: "say when the present run ends; it may be earlier", who: people, in: typeOf[Deadline](), out: one,
			do: a.change(func(q *request, id uuid.UUID, o []dormouse.Option) (dormouse.Workspace, error) {
				in, err := into[Deadline](q)
				if err != nil {
					return dormouse.Workspace{}, err
				}
				return a.Plane.Update(q.Context(), id, lifecycle.SetDeadline(in.Until), o...)
			}),
		},
		{method: "PUT", path: "/workspaces/{id}/hold", summary: "suspend its rules until an instant", who: admins, in: typeOf[dormouse.Hold](), out: one, do: a.change(a.hold)},
		{
			method: "DELETE", path: "/workspaces/{id}/hold", summary: "end its hold", who: admins, out: one,
			do: a.change(func(q *request, id uuid.UUID, o []dormouse.Option) (dormouse.Workspace, error) {
				return a.Plane.Hold(q.Context(), id, dormouse.Hold{}, o...)
			}),
		},
		{
			method: "GET", path: "/workspaces/{id}/builds", summary: "its builds, the latest first", who: people, out: typeOf[Page[dormouse.BuildRecord]](), do: a.of(a.builds),
			query: []param{{"before", "only builds with a smaller number"}, {"limit", "1 to 1000"}},
		},
		{
			method: "GET", path: "/workspaces/{id}/builds/{number}/log", summary: "what a build said", who: people, out: typeOf[Page[Line]](), do: a.of(a.log),
			query: []param{{"after", "only lines with a larger number"}, {"limit", "1 to 1000"}},
		},
	}
	for name, verb := range a.verbs() {
		routes = append(routes, route{method: "POST", path: "/workspaces/{id}/" + name, summary: name + " it", who: people, out: one, do: a.change(verb)})
	}
	routes = append(routes, route{
		method: "POST", path: "/workspaces/{id}/retry", summary: "let it try again what failed too often", who: admins, out: one,
		do: a.change(func(q *request, id uuid.UUID, o []dormouse.Option) (dormouse.Workspace, error) {
			return a.Plane.Update(q.Context(), id, lifecycle.ClearAttention(), o...)
		}),
	})
	routes = append(routes, route{
		method: "DELETE", path: "/workspaces/{id}", summary: "delete it, and what it is made of", who: people, out: one,
		do: a.change(verb(a.Plane.Delete)),
	})
	return routes
}

type change func(q *request, id uuid.UUID, o []dormouse.Option) (dormouse.Workspace, error)

func verb(do func(context.Context, uuid.UUID, ...dormouse.Option) (dormouse.Workspace, error)) change {
	return func(q *request, id uuid.UUID, o []dormouse.Option) (dormouse.Workspace, error) {
		return do(q.Context(), id, o...)
	}
}

// verbs are those without a body.
func (a *API) verbs() map[string]change {
	return map[string]change{
		"start": verb(a.Plane.Start), "stop": verb(a.Plane.Stop), "restart": verb(a.Plane.Restart), "cancel": verb(a.Plane.Cancel), "wake": verb(a.Plane.Wake),
	}
}

// mine returns a workspace that whoever asks may see.
func (a *API) mine(q *request) (dormouse.Workspace, error) {
	id, err := q.pathID("id")
	if err != nil {
		return dormouse.Workspace{}, err
	}
	w, err := a.Plane.Get(q.Context(), id)
	switch {
	case errors.Is(err, lifecycle.ErrNotFound), err == nil && q.who.Kind == auth.Owner && w.Owner != q.who.Name:
		return dormouse.Workspace{}, missing("workspace", id)
	case err != nil:
		return dormouse.Workspace{}, err
	}
	q.etag = etag(w)
	return w, nil
}

// of is a route about a workspace that whoever asks may see.
func (a *API) of(do func(*request, dormouse.Workspace) (any, error)) func(*request) (any, error) {
	return func(q *request) (any, error) {
		w, err := a.mine(q)
		if err != nil {
			return nil, err
		}
		return do(q, w)
	}
}

// change is a route that does something to a workspace.
func (a *API) change(do change) func(*request) (any, error) {
	return a.of(func(q *request, w dormouse.Workspace) (any, error) {
		options, err := q.said()
		if err != nil {
			return nil, err
		}
		after, err := do(q, w.ID, options)
		if err != nil {
			return nil, err
		}
		q.etag = etag(after)
		return after, nil
	})
}

func etag(w dormouse.Workspace) string {
	text, _ := json.Marshal(w.Revision)
	return `"` + string(text) + `"`
}

func (a *API) listWorkspaces(q *request) (any, error) {
	limit, err := q.number("limit")
	if err != nil {
		return nil, err
	}
	query := dormouse.ListQuery{Owner: q.URL.Query().Get("owner"), Limit: int(limit)}
	if q.who.Kind == auth.Owner {
		query.Owner = q.who.Name
	}
	if query.Template, err = q.queryID("template"); err != nil {
		return nil, err
	}
	if query.After, err = q.queryID("after"); err != nil {
		return nil, err
	}
	if s := q.URL.Query().Get("status"); s != "" {
		var status lifecycle.Status
		if err := status.UnmarshalText([]byte(s)); err != nil {
			return nil, invalid.New("status", short(s), "must be a status")
		}
		query.Statuses = []lifecycle.Status{status}
	}
	list, err := a.Plane.List(q.Context(), query)
	if err != nil {
		return nil, err
	}
	page := Page[dormouse.Workspace]{Items: list}
	if len(list) > 0 && len(list) == sizeOf(limit) {
		page.Next = list[len(list)-1].ID.String()
	}
	return page, nil
}

// sizeOf is how long a full page is.
func sizeOf(limit int64) int {
	if limit == 0 {
		return 100
	}
	return int(limit)
}

// queryID is an id in the query, uuid.Nil if it is not there.
func (q *request) queryID(name string) (uuid.UUID, error) {
	s := q.URL.Query().Get(name)
	if s == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return uuid.Nil, invalid.New(name, short(s), "must be a UUID")
	}
	return id, nil
}

func (a *API) create(q *request, in Wanted) (any, error) {
	if q.who.Kind == auth.Owner {
		if in.Owner != "" && in.Owner != q.who.Name {
			return nil, invalid.New("owner", short(in.Owner), "must be yourself, or left out")
		}
		in.Owner = q.who.Name
	}
	w, err := a.Create(q.Context(), in, q.Header.Get(keyHeader), q.who)
	if err == nil {
		q.etag = etag(w)
	}
	return w, err
}

// Create makes a workspace for somebody, the same one for the same key.
func (a *API) Create(ctx context.Context, in Wanted, key string, by auth.Identity) (dormouse.Workspace, error) {
	template, err := a.template(ctx, in.Template)
	if err != nil {
		return dormouse.Workspace{}, err
	}
	n := dormouse.NewWorkspace{
		ID: uuid.Must(uuid.NewV7()), Template: template.ID, Owner: in.Owner, Name: in.Name, Hours: in.Hours, Autostart: in.Autostart, Autostop: in.Autostop, TTL: time.Duration(in.TTL),
	}
	if key != "" {
		n.ID = uuid.NewSHA1(uuid.Nil, []byte(string(by.Kind)+" "+by.Name+"\x00"+key))
	}
	leave, err := a.Room(ctx, in.Owner, n.ID, in.Name)
	if err != nil {
		return dormouse.Workspace{}, err
	}
	defer leave()
	w, err := a.Plane.Create(ctx, n, dormouse.By(by.Name))
	if err != nil || !in.Start {
		return w, err
	}
	return a.Plane.Start(ctx, w.ID, dormouse.By(by.Name))
}

func (a *API) extend(q *request, id uuid.UUID, o []dormouse.Option) (dormouse.Workspace, error) {
	in, err := into[Extension](q)
	if err != nil {
		return dormouse.Workspace{}, err
	}
	switch {
	case in.Until.IsZero() == (in.By == 0):
		return dormouse.Workspace{}, invalid.New("until", in.Until, "must be given, or by instead")
	case in.By < 0:
		return dormouse.Workspace{}, invalid.New("by", time.Duration(in.By), "must not be negative")
	case in.By == 0:
		return a.Plane.Extend(q.Context(), id, in.Until, o...)
	}
	w, err := a.Plane.Get(q.Context(), id)
	if err != nil {
		return w, err
	}
	if w.Deadline.IsZero() {
		return w, dormouse.ErrNotRunning
	}
	return a.Plane.Extend(q.Context(), id, w.Deadline.Add(time.Duration(in.By)), append(o, dormouse.IfRevision(w.Revision))...)
}

func (a *API) hold(q *request, id uuid.UUID, o []dormouse.Option) (dormouse.Workspace, error) {
	in, err := into[dormouse.Hold](q)
	if err != nil {
		return dormouse.Workspace{}, err
	}
	in.By = q.who.Name
	return a.Plane.Hold(q.Context(), id, in, o...)
}

func (a *API) builds(q *request, w dormouse.Workspace) (any, error) {
	before, err := q.number("before")
	if err != nil {
		return nil, err
	}
	limit, err := q.number("limit")
	if err != nil {
		return nil, err
	}
	list, err := a.Plane.Builds(q.Context(), w.ID, before, int(limit))
	page := Page[dormouse.BuildRecord]{Items: list}
	if len(list) == sizeOf(limit) && list[len(list)-1].Number > 1 {
		page.Next = strconv.FormatInt(list[len(list)-1].Number, 10)
	}
	return page, err
}

// Line is a line of a build's log.
type Line struct {
	Number int64     `json:"number"`
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
}

func (a *API) log(q *request, w dormouse.Workspace) (any, error) {
	number, err := parseNumber("number", q.PathValue("number"))
	if err != nil {
		return nil, err
	}
	after, err := q.number("after")
	if err != nil {
		return nil, err
	}
	limit, err := q.number("limit")
	if err != nil {
		return nil, err
	}
	builds, err := a.Plane.Builds(q.Context(), w.ID, number+1, 1)
	if err != nil {
		return nil, err
	}
	if len(builds) == 0 || builds[0].Number != number {
		return nil, missing("build", uuid.Nil)
	}
	lines, err := a.Plane.Log(q.Context(), builds[0].ID, after, int(limit))
	page := Page[Line]{Items: linesOf(lines)}
	if len(lines) == sizeOf(limit) {
		page.Next = strconv.FormatInt(lines[len(lines)-1].Seq, 10)
	}
	return page, err
}

func linesOf(lines []queue.Line) []Line {
	list := make([]Line, len(lines))
	for i, l := range lines {
		list[i] = Line{l.Seq, l.At, l.Text}
	}
	return list
}
