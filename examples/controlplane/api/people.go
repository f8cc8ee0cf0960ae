package api

import (
	"time"
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
	// Now is the time of the control plane, which a demonstration may speed up: what "in two hours" counts from.
	Now time.Time `json:"now"`
	// Workspaces is how many an owner has, and MaxWorkspaces how many they may have.
	Workspaces    int `json:"workspaces,omitempty"`
	MaxWorkspaces int `json:"max_workspaces,omitempty"`
}

// Token is one of an admin or an owner, without its secret.
type Token struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

func (a *API) peopleRoutes() []route {
	return []route{
		{method: "GET", path: "/openapi.json", summary: "this description", do: func(*request) (any, error) { return text{"application/json", a.spec}, nil }},
		{method: "GET", path: "/me", summary: "who asks", who: []auth.Kind{auth.Admin, auth.Owner, auth.Worker}, out: typeOf[Me](), do: a.me},
		{method: "GET", path: "/owners", summary: "list owners", who: admins, out: typeOf[Page[dormouse.Owner]](), do: a.owners, query: []param{{"after", "next of the page before"}}},
		{method: "PUT", path: "/owners/{name}", summary: "make an owner, suspend one, or set quiet hours", who: admins, in: typeOf[dormouse.Owner](), out: typeOf[dormouse.Owner](), do: with(a.putOwner)},
		{method: "POST", path: "/owners/{name}/tokens", summary: "make a token for an owner; the answer has it, once", who: admins, out: typeOf[Secret](), do: a.issue(auth.Owner), secret: true},
		{method: "POST", path: "/admins/{name}/tokens", summary: "make a token for an admin; the answer has it, once", who: admins, out: typeOf[Secret](), do: a.issue(auth.Admin), secret: true},
		{method: "GET", path: "/tokens", summary: "the tokens of admins and owners that are valid, without their secrets", who: admins, out: typeOf[Page[Token]](), do: a.listTokens},
		{method: "DELETE", path: "/tokens/{id}", summary: "make a token invalid, but for the one that asks", who: admins, do: a.endToken},
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

func (a *API) me(q *request) (any, error) {
	me := Me{Kind: string(q.who.Kind), Name: q.who.Name, Now: a.now()}
	if q.who.Kind != auth.Owner {
		return me, nil
	}
	var err error
	me.MaxWorkspaces = a.MaxWorkspaces
	me.Workspaces, err = a.has(q.Context(), q.who.Name)
	return me, err
}

// issue makes a token. Any number of one name are valid at once, so that a new one can be spread before the old one is ended.
func (a *API) issue(kind auth.Kind) func(*request) (any, error) {
	return func(q *request) (any, error) {
		name := q.PathValue("name")
		if err := validName("name", name); err != nil {
			return nil, err
		}
		id, token, err := a.Keeper.Issue(q.Context(), kind, name, auth.Work{})
		return Secret{id, token}, err
	}
}

func (a *API) listTokens(q *request) (any, error) {
	page := Page[Token]{Items: []Token{}}
	for _, kind := range people {
		list, err := a.Keeper.List(q.Context(), kind)
		if err != nil {
			return nil, err
		}
		for _, i := range list {
			page.Items = append(page.Items, Token{i.Token, string(i.Kind), i.Name, i.CreatedAt})
		}
	}
	return page, nil
}

// endToken makes a token invalid, whoever's it is. One's own stays, so that there is always an admin.
func (a *API) endToken(q *request) (any, error) {
	id := q.PathValue("id")
	if id == q.who.Token {
		return nil, invalid.New("id", short(id), "must not be that of the token that asks")
	}
	was, err := a.Keeper.End(q.Context(), id)
	if err == nil && !was {
		err = missing("token", uuid.Nil)
	}
	return nil, err
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
