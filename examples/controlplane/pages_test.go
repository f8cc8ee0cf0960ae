//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/gate"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/planesource"
)

// newDoor is the door before pages that say who looks, for ten requests of one and no more, and the token of an owner.
func newDoor(t *testing.T) (d door, pages http.Handler, token string, close func()) {
	t.Helper()
	db, err := records.OpenSQLite(t.TempDir() + "/plane.db")
	if err != nil {
		t.Fatal(err)
	}
	tables := records.New(db, false)
	quiet := slog.New(slog.DiscardHandler)
	plane, planeErr := dormouse.New(memory.New(), dormouse.Config{Logger: quiet})
	d = door{auth.NewKeeper(tables), plane, gate.New(gate.Config{Rate: 1, Burst: 10, Logger: quiet, Registerer: prometheus.NewRegistry()}), quiet, false}
	err = errors.Join(planeErr, tables.Migrate(t.Context()))
	if err == nil {
		_, token, err = d.keeper.Issue(t.Context(), auth.Owner, "ann", auth.Work{})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return d, d.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, _ := viewer(r)
		_, _ = w.Write([]byte("hello " + v.Name))
	})), token, func() { _ = db.Close() }
}

func visit(h http.Handler, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
	r.AddCookie(&http.Cookie{Name: auth.Cookie, Value: token})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func (d door) try(token string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/login", strings.NewReader(url.Values{"token": {token}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	d.login(w, r)
	return w
}

// A browser is let in with its token, and is bounded by the same share as a program.
func TestDoorBounds(t *testing.T) {
	_, pages, token, _ := newDoor(t)
	if w := visit(pages, "/mine", token); w.Code != http.StatusOK || w.Body.String() != "hello ann" {
		t.Fatal(w.Code, w.Body)
	}
	if w := visit(pages, "/mine", "plane_x_y"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login" {
		t.Errorf("unknown: %d %v", w.Code, w.Header())
	}
	codes := map[int]int{}
	for range 50 {
		codes[visit(pages, "/mine", token).Code]++
	}
	if codes[http.StatusTooManyRequests] < 20 || codes[http.StatusOK] < 5 {
		t.Errorf("answered %v", codes)
	}
}

// Who guesses tokens at the login is stopped after a while, also with a token that would be right.
func TestLoginIsBounded(t *testing.T) {
	d, _, token, _ := newDoor(t)
	if w := d.try(token); w.Code != http.StatusSeeOther || len(w.Result().Cookies()) != 1 {
		t.Fatal(w.Code, w.Body)
	}
	codes := map[int]int{}
	for range 50 {
		codes[d.try("plane_x_y").Code]++
	}
	if codes[http.StatusForbidden] < 5 || codes[http.StatusTooManyRequests] < 20 {
		t.Errorf("answered %v", codes)
	}
}

// While the database is away nobody is taken for signed out.
func TestDoorWithoutDatabase(t *testing.T) {
	d, pages, token, end := newDoor(t)
	end()
	if w := visit(pages, "/mine", token); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a page: %d %v", w.Code, w.Header())
	}
	if w := d.try(token); w.Code != http.StatusServiceUnavailable {
		t.Errorf("the login: %d %s", w.Code, w.Body)
	}
}

// The pages make no more workspaces for an owner than the API does.
func TestPagesHaveTheSameBounds(t *testing.T) {
	d, _, _, _ := newDoor(t)
	store := memory.New()
	quiet := slog.New(slog.DiscardHandler)
	plane, err := dormouse.New(store, dormouse.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	template, err := plane.PutTemplate(t.Context(), dormouse.Template{Name: "web", ActiveVersion: uuid.New()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := planesource.New(plane, store, planesource.Config{})
	if err != nil {
		t.Fatal(err)
	}
	bounded := boundedSource{s, api.New(api.Config{Plane: plane, Store: store, Keeper: d.keeper, Clock: quartz.NewReal(), Logger: quiet, MaxWorkspaces: 2})}
	ann := webui.Viewer{Name: "ann", Owner: plane.OwnerID("ann"), MayAct: true}
	for i, want := range []bool{true, true, false} {
		err := bounded.Act(t.Context(), ann, webui.Action{Kind: webui.ActCreate, Workspace: uuid.New(), Template: template.ID, Name: fmt.Sprint("w", i)})
		if (err == nil) != want {
			t.Errorf("workspace %d: %v", i, err)
		}
	}
}

// Whoever can be reached by others says how: with a certificate, or that it is meant.
func TestListensOnLoopback(t *testing.T) {
	for args, want := range map[string]bool{
		"": true, "-listen localhost:80": true, "-listen [::1]:80": true, "-listen 127.0.0.9:80": true, "-metrics 127.0.0.1:9": true,
		"-listen :8080": false, "-listen 0.0.0.0:80": false, "-listen [::]:80": false, "-listen example.org:80": false, "-listen 10.0.0.1:80": false,
		"-metrics :9": false, "-metrics 0.0.0.0:9": false, "-listen 80": false, "-tls-cert c": false, "-listen :80 -metrics :9 -tls-cert c -tls-key k": false,
		"-listen :80 -insecure": true, "-listen :80 -tls-cert c -tls-key k": true, "-metrics :9 -insecure": true,
	} {
		if _, err := parse(strings.Fields(args)); (err == nil) != want {
			t.Errorf("%q: %v", args, err)
		}
	}
}
