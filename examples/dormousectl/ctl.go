package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/client"
	"github.com/dormouse-go/dormouse/examples/controlplane/gate"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// ctl is what all commands share.
type ctl struct {
	url, token, tokenFile, as, database, organization, output string

	client *client.Client
	store  store.Store // nil over the API
}

// open finds the control plane, or makes one that runs nothing over the database: then the same questions get the same answers.
func (c *ctl) open(ctx context.Context) error {
	if c.output != "table" && c.output != "json" {
		return fmt.Errorf("-o %q: must be table or json", c.output)
	}
	switch {
	case c.database != "":
		return c.openDatabase(ctx)
	case c.organization != "":
		return errors.New("--organization is for --database: the API is of one")
	}
	if c.token == "" && c.tokenFile != "" {
		token, err := tokenIn(c.tokenFile, c.as)
		if err != nil {
			return err
		}
		c.token = token
	}
	if u, err := url.Parse(c.url); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("--url %q: must be an address such as http://127.0.0.1:8080", c.url)
	}
	c.client = client.New(func() []string { return []string{strings.TrimSuffix(c.url, "/")} }, c.token, nil)
	return nil
}

func tokenIn(file, as string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	token, some, number := "", false, 0
	for line := range strings.Lines(string(text)) {
		number++
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
			continue
		case !isTokenLine(f):
			return "", fmt.Errorf("--token-file %q: line %d %s", file, number, tokenRule) // not the line: it may be a secret
		case token == "" && (as == "" || f[1] == as):
			token = f[2]
		}
		some = true
	}
	switch {
	case !some:
		return "", fmt.Errorf("--token-file %q has no token; a line %s", file, tokenRule)
	case token == "":
		return "", fmt.Errorf("--token-file %q has no token of %q", file, as)
	}
	return token, nil
}

const tokenRule = `must be "kind name token": the kind admin, owner or worker, the token beginning with ` + auth.Prefix

func isTokenLine(words []string) bool {
	kinds := []auth.Kind{auth.Admin, auth.Owner, auth.Worker}
	return len(words) == 3 && slices.Contains(kinds, auth.Kind(words[0])) && auth.Formed(words[2])
}

func (c *ctl) openDatabase(ctx context.Context) (err error) {
	if c.store, err = openStore(ctx, c.database); err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	organization := uuid.Nil
	if c.organization != "" {
		if organization, err = uuid.Parse(c.organization); err != nil {
			return fmt.Errorf("--organization %q: must be an id", c.organization)
		}
	}
	plane, err := dormouse.New(c.store, dormouse.Config{Organization: organization, Logger: quiet})
	if err != nil {
		return err
	}
	handler := api.New(api.Config{Plane: plane, Store: c.store, Keeper: local{}, Clock: quartz.NewReal(), Logger: quiet, Gate: gate.New(gate.Config{Rate: 1 << 20, Logger: quiet})})
	c.client = client.New(func() []string { return []string{"http://database"} }, "local", &http.Client{Transport: within{handler}})
	return nil
}

// openStore opens an SQLite file, which must be there, or PostgreSQL.
func openStore(ctx context.Context, database string) (store.Store, error) {
	if strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://") {
		pool, err := pgxpool.New(ctx, database)
		if err != nil {
			return nil, errors.New("--database: must be the path of an SQLite file, or an address such as postgres://user@host/name") // the driver's error may show the password
		}
		return postgres.New(pool, postgres.Config{})
	}
	if _, err := os.Stat(database); err != nil {
		return nil, fmt.Errorf("--database: %w", err)
	}
	db, err := sqlite.Open("sqlite", database)
	if err != nil {
		return nil, err
	}
	return sqlite.New(db, sqlite.Config{})
}

// within calls a handler without a network.
type within struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
	in.Header = r.Header
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, in)
	return out.Result(), nil
}

// local is whoever can open the database: an admin under the name of the user of this machine.
type local struct{}

var errOverAPI = errors.New("tokens are made over the API")

// Of implements api.Keeper.
func (local) Of(context.Context, string) (auth.Identity, error) {
	name := "local"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return auth.Identity{Token: "local", Kind: auth.Admin, Name: name}, nil
}

// Issue implements api.Keeper.
func (local) Issue(context.Context, auth.Kind, string, auth.Work) (id, token string, err error) {
	return "", "", errOverAPI
}

// List implements api.Keeper.
func (local) List(context.Context, auth.Kind) ([]auth.Identity, error) { return nil, nil }

// End implements api.Keeper.
func (local) End(context.Context, string) (bool, error) { return false, errOverAPI }

// ask sends a request and shows the answer: as it is, or with a function that writes a table.
func ask[T any](ctx context.Context, c *ctl, method, path string, query url.Values, body any, table func(*out, T)) (v T, err error) {
	var text []byte
	if _, err := c.client.Do(ctx, method, api.Prefix+path, query, nil, body, &text); err != nil {
		return v, err
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &v); err != nil {
			return v, err
		}
	}
	o := &out{w: os.Stdout}
	switch {
	case c.output == "json" && len(text) > 0:
		var b bytes.Buffer
		if err := json.Indent(&b, bytes.TrimSpace(text), "", "  "); err != nil {
			return v, err
		}
		fmt.Fprintln(o.w, b.String())
	case table != nil:
		table(o, v)
	}
	return v, o.err
}

// get asks without showing anything.
func get[T any](ctx context.Context, c *ctl, path string, query url.Values) (v T, err error) {
	_, err = c.client.Do(ctx, http.MethodGet, api.Prefix+path, query, nil, nil, &v)
	return v, err
}

// now is the time of the control plane, which a demonstration may speed up: what "for two hours" counts from.
func (c *ctl) now(ctx context.Context) (time.Time, error) {
	me, err := get[api.Me](ctx, c, "/me", nil)
	return me.Now, err
}

// id finds a workspace by its id or its name. Of two with one name it must be the id.
func (c *ctl) id(ctx context.Context, name string) (uuid.UUID, error) {
	if id, err := uuid.Parse(name); err == nil {
		return id, nil
	}
	var found []dormouse.Workspace
	err := c.each(ctx, nil, func(w dormouse.Workspace) {
		if w.Name == name {
			found = append(found, w)
		}
	})
	switch {
	case err != nil:
		return uuid.Nil, err
	case len(found) == 0:
		return uuid.Nil, fmt.Errorf("there is no workspace %s", shown(name))
	case len(found) > 1:
		return uuid.Nil, fmt.Errorf("%d workspaces are called %s; say the id", len(found), shown(name))
	}
	return found[0].ID, nil
}

// each calls a function for every workspace.
func (c *ctl) each(ctx context.Context, query url.Values, do func(dormouse.Workspace)) error {
	q := url.Values{"limit": {"1000"}}
	for key, values := range query {
		q[key] = values
	}
	for {
		page, err := get[api.Page[dormouse.Workspace]](ctx, c, "/workspaces", q)
		if err != nil {
			return err
		}
		for _, w := range page.Items {
			do(w)
		}
		if page.Next == "" {
			return nil
		}
		q.Set("after", page.Next)
	}
}
