package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/auth"
	"github.com/dormouse-go/dormouse/examples/controlplane/gate"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
)

var update = flag.Bool("update", false, "write openapi.json anew")

// service is the API over a store in memory, and tables of its own in a file.
type service struct {
	*testing.T
	handler *api.API
	keeper  *auth.Keeper
	plane   *dormouse.Plane
	folder  string
	tokens  map[auth.Kind]string

	registry *prometheus.Registry
	logger   *slog.Logger
	said     log
	hasty    bool // waits for nothing
}

func newService(t *testing.T, tune ...func(*api.Config)) *service {
	t.Helper()
	return newServiceOver(t, memory.New(), tune...)
}

// newServiceOver is one over another store.
func newServiceOver(t *testing.T, store store.Store, tune ...func(*api.Config)) *service {
	t.Helper()
	return newServiceOf(t, store, uuid.Nil, tune...)
}

// newServiceOf is one of an organization, over a store that others may use.
func newServiceOf(t *testing.T, store store.Store, organization uuid.UUID, tune ...func(*api.Config)) *service {
	t.Helper()
	folder := t.TempDir()
	db, err := records.OpenSQLite(folder + "/plane.db")
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	tables := records.New(db, false)
	must(t, tables.Migrate(t.Context()))
	quiet := slog.New(slog.DiscardHandler)
	plane, err := dormouse.New(store, dormouse.Config{Organization: organization, Logger: quiet, TuneAcquirer: func(c *acquirer.Config) {
		c.Lost = map[string]acquirer.LostPolicy{lifecycle.JobType: acquirer.RequeueLost(5, time.Millisecond)}
	}})
	must(t, err)
	s := &service{T: t, keeper: auth.NewKeeper(tables), plane: plane, folder: folder, tokens: map[auth.Kind]string{}, registry: prometheus.NewRegistry()}
	s.logger = slog.New(slog.NewJSONHandler(&s.said, nil))
	cfg := api.Config{
		Plane: plane, Store: store, Records: tables, Keeper: s.keeper, Instance: "test", Gone: func(string) bool { return false },
		Clock: quartz.NewReal(), Logger: s.logger, Gate: gate.New(gate.Config{Rate: 100000, Logger: s.logger, Registerer: s.registry}), MaxWorkspaces: 3,
	}
	for _, f := range tune {
		f(&cfg)
	}
	s.handler = api.New(cfg)
	for _, kind := range []auth.Kind{auth.Admin, auth.Owner, auth.Worker} {
		_, s.tokens[kind], err = cfg.Keeper.Issue(t.Context(), kind, "some "+string(kind), auth.Work{Slots: 1})
		must(t, err)
	}
	return s
}

// log is what was said, a line of JSON each.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// lines are those with a message, each what it says of some keys.
func (l *log) lines(t *testing.T, message string) (list []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.text.Bytes()) {
		var v map[string]any
		must(t, json.Unmarshal(line, &v))
		if v["msg"] == message {
			list = append(list, v)
		}
	}
	return list
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// call sends a request with a token.
func (s *service) call(token, method, path, body string, header ...string) *httptest.ResponseRecorder {
	patience := time.Minute
	if route, _, _ := strings.Cut(path, "?"); strings.HasSuffix(route, "/events") || strings.HasSuffix(route, "/acquire") { // they wait for what does not come
		patience = 200 * time.Millisecond
		if s.hasty {
			patience = time.Millisecond
		}
	}
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// description is what a client reads of the file.
type description struct {
	Paths map[string]map[string]struct {
		OperationID string      `json:"operationId"`
		For         []auth.Kind `json:"x-for"`
		RequestBody any         `json:"requestBody"`
	} `json:"paths"`
}

// The file beside this test is what is served.
func TestDescriptionIsServed(t *testing.T) {
	s := newService(t)
	served := s.call("", "GET", "/api/v1/openapi.json", "").Body.Bytes()
	if *update {
		must(t, os.WriteFile("openapi.json", served, 0o644))
	}
	kept, err := os.ReadFile("openapi.json")
	must(t, err)
	if string(kept) != string(served) {
		t.Error("openapi.json is not what is served: run go test ./examples/controlplane/api -update, and look at the difference")
	}
}

// described is what the file says.
func described(t *testing.T) (d description) {
	t.Helper()
	text, err := os.ReadFile("openapi.json")
	must(t, err)
	must(t, json.Unmarshal(text, &d))
	return d
}

// Every operation of the file is answered by its handler, to whom it is for and to nobody else, and no handler is missing in it.
func TestEveryOperation(t *testing.T) {
	s := newService(t)
	var ids, all []string
	for path, methods := range described(t).Paths {
		for method, operation := range methods {
			ids = append(ids, operation.OperationID)
			all = append(all, strings.ToUpper(method)+" "+path)
			s.operation(strings.ToUpper(method), path, operation.For)
		}
	}
	slices.Sort(ids)
	if len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Error("two operations have one id")
	}
	slices.Sort(all)
	handled := s.handler.Patterns()
	slices.Sort(handled)
	if !slices.Equal(handled, all) {
		t.Errorf("the handlers are %v, the file has %v", handled, all)
	}
}

var parameter = regexp.MustCompile(`\{[a-z]+\}`)

func (s *service) operation(method, path string, whom []auth.Kind) {
	path = api.Prefix + parameter.ReplaceAllStringFunc(path, func(string) string { return uuid.NewString() })
	for kind, token := range s.tokens {
		w := s.call(token, method, path, "")
		allowed := len(whom) == 0 || slices.Contains(whom, kind)
		switch {
		case w.Code == http.StatusMethodNotAllowed, w.Code >= 500, strings.Contains(w.Body.String(), "there is no such path"):
			s.Errorf("%s %s for %s: %d %s", method, path, kind, w.Code, w.Body)
		case allowed && w.Code == http.StatusForbidden, !allowed && w.Code != http.StatusForbidden:
			s.Errorf("%s %s for %s: %d %s", method, path, kind, w.Code, w.Body)
		}
	}
	if len(whom) > 0 {
		if w := s.call("plane_nobody_x", method, path, ""); w.Code != http.StatusUnauthorized {
			s.Errorf("%s %s without a token: %d", method, path, w.Code)
		}
	}
}
