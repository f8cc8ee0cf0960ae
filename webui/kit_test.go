package webui_test

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/webuitest"
)

// morning is the instant of the pages: a Wednesday, 10:42 in Berlin.
var morning = time.Date(2026, 12, 2, 9, 42, 0, 0, time.UTC)

var berlin = func() *time.Location {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return loc
}()

// scripted is one fleet for the tests that only look.
var scripted = sync.OnceValue(func() *webuitest.Fleet { return webuitest.New(morning) })

// operator is a viewer who sees and may do everything.
func operator(*http.Request) (webui.Viewer, bool) {
	return webui.Viewer{Name: "ops", Operator: true, MayAct: true}, true
}

// owning is a viewer who has workspaces of their own.
func owning(id uuid.UUID) func(*http.Request) (webui.Viewer, bool) {
	return func(*http.Request) (webui.Viewer, bool) {
		return webui.Viewer{Name: "me", Owner: id, MayAct: true}, true
	}
}

func newPages(t testing.TB, source webui.Source, cfg webui.Config) *webui.Handler {
	t.Helper()
	if cfg.Viewer == nil {
		cfg.Viewer = operator
	}
	if cfg.Clock == nil {
		clock := quartz.NewMock(t).WithLogger(quartz.NoOpLogger)
		clock.Set(morning)
		cfg.Clock = clock
	}
	h, err := webui.New(source, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func post(h http.Handler, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// page returns a page that has to be there.
func page(t testing.TB, h http.Handler, path string) string {
	t.Helper()
	w := get(h, path)
	if w.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// static is a source with no ability beyond the three methods.
type static struct {
	list []lifecycle.Snapshot
	err  error
}

func (s *static) Workspaces(context.Context) iter.Seq2[lifecycle.Snapshot, error] {
	return func(yield func(lifecycle.Snapshot, error) bool) {
		for _, w := range s.list {
			if !yield(w, nil) {
				return
			}
		}
		if s.err != nil {
			yield(lifecycle.Snapshot{}, s.err)
		}
	}
}

func (s *static) Workspace(_ context.Context, id uuid.UUID) (lifecycle.Snapshot, error) {
	for _, w := range s.list {
		if w.Workspace.ID == id {
			return w, nil
		}
	}
	return lifecycle.Snapshot{}, lifecycle.ErrNotFound
}

func (s *static) Builds(_ context.Context, id uuid.UUID, _ time.Time, _ int) ([]lifecycle.Build, error) {
	w, err := s.Workspace(context.Background(), id)
	return []lifecycle.Build{w.Build}, err
}

// all returns the workspaces of a source that are not deleted.
func all(t testing.TB, source webui.Source) (list []lifecycle.Snapshot) {
	t.Helper()
	for s, err := range source.Workspaces(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !s.Workspace.Deleted {
			list = append(list, s)
		}
	}
	return list
}

// named returns the workspace with a name.
func named(t testing.TB, source webui.Source, name string) lifecycle.Snapshot {
	t.Helper()
	for _, s := range all(t, source) {
		if s.Workspace.Name == name {
			return s
		}
	}
	t.Fatalf("no workspace %s", name)
	return lifecycle.Snapshot{}
}

// between returns the text between two others.
func between(t testing.TB, text, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, from)
	if !ok {
		t.Fatalf("%q is not on the page", from)
	}
	found, _, ok := strings.Cut(rest, to)
	if !ok {
		t.Fatalf("%q is not on the page after %q", to, from)
	}
	return found
}

// lines hands out what is read from a stream, line by line.
func lines(r io.Reader) <-chan string {
	c := make(chan string)
	go func() {
		defer close(c)
		var line strings.Builder
		b := make([]byte, 1)
		for {
			if _, err := r.Read(b); err != nil {
				return
			}
			if b[0] == '\n' {
				c <- line.String()
				line.Reset()
				continue
			}
			line.WriteByte(b[0])
		}
	}()
	return c
}
