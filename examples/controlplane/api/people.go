package api

import (
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/invalid"
)

// Me is who asks.
type Me struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

func (a *API) peopleRoutes() []route {
	return []route{
		{method: "GET", path: "/openapi.json", summary: "this description", do: func(*request) (any, error) { return text{"application/json", a.spec}, nil }},
		{method: "GET", path: "/me", summary: "who asks", who: []auth.Kind{auth.Admin, auth.Owner, auth.Worker}, out: typeOf[Me](), do: func(q *request) (any, error) {
			return Me{string(q.who.Kind), q.who.Name}, nil
		}},
		{method: "GET", path: "/owners", summary: "list owners", who: admins, out: typeOf[Page[dormouse.Owner]](), do: a.owners, query: []param{{"after", "next of the page before"}}},
		{method: "PUT", path: "/owners/{name}", summary: "make an owner, suspend one, or set quiet hours", who: admins, in: typeOf[dormouse.Owner](), out: typeOf[dormouse.Owner](), do: with(a.putOwner)},
		{method: "POST", path: "/owners/{name}/tokens", summary: "make a token for an owner; the answer has it, once", who: admins, out: typeOf[Secret](), do: a.issue},
		{method: "DELETE", path: "/tokens/{id}", summary: "make a token invalid", who: admins, do: a.endToken("id")},
	}
}

func (a *API) owners(q *request) (any, error) {
	after, err := q.queryID("after")
	if err != nil {
		return nil, err
	}
	list, err := a.Plane.Owners(q.Context(), after, 100)
	page := Page[dormouse.Owner]{Items: list}
	if len(list) == 100 {
		page.Next = list[99].ID.String()
	}
	return page, err
}

func (a *API) putOwner(q *request, in dormouse.Owner) (any, error) {
	if in.Name != "" && in.Name != q.PathValue("name") {
		return nil, invalid.New("name", short(in.Name), "must be that of the path, or left out")
	}
	if in.ID != uuid.Nil {
		return nil, invalid.New("id", in.ID, "must be left out: it follows from the name")
	}
	in.Name = q.PathValue("name")
	return a.Plane.PutOwner(q.Context(), in, dormouse.By(q.who.Name))
}

func (a *API) issue(q *request) (any, error) {
	name := q.PathValue("name")
	if err := validName("name", name); err != nil {
		return nil, err
	}
	id, token, err := a.Keeper.Issue(q.Context(), auth.Owner, name, auth.Work{})
	return Secret{id, token}, err
}

// validName is the rule of names, for those that the library does not see.
func validName(field, s string) error {
	if s == "" || len(s) > 128 || !utf8.ValidString(s) {
		return invalid.New(field, short(s), "must be 1 to 128 bytes of UTF-8")
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return invalid.New(field, short(s), "must be without control and hidden characters")
		}
	}
	return nil
}
