package planesource_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/planesource"
	"github.com/dormouse-go/dormouse/webui/webuitest"
)

// site is a plane, and its pages.
type site struct {
	*dormouse.Plane
	t        *testing.T
	source   *planesource.Source
	store    store.Store
	pages    *webui.Handler
	template uuid.UUID
}

// bubble runs a plane in a bubble of time. Its builds take a minute; with idle there is nobody to carry them out.
func bubble(t *testing.T, idle bool, test func(s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := dormouse.Config{Logger: slog.New(slog.DiscardHandler)}
		if !idle {
			cfg.Build = func(ctx context.Context, _ *dormouse.Build) error {
				select {
				case <-time.After(time.Minute):
				case <-ctx.Done():
				}
				return ctx.Err()
			}
		}
		s := newSite(t, memory.New(), cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- s.Run(ctx) }()
		synctest.Wait()
		test(s)
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
}

func newSite(t *testing.T, all store.Store, cfg dormouse.Config) *site {
	t.Helper()
	plane, err := dormouse.New(all, cfg)
	must(t, err)
	must(t, plane.Migrate(t.Context()))
	put, err := plane.PutTemplate(t.Context(), dormouse.Template{Name: "go-dev", Policy: dormouse.Policy{
		DefaultTTL: 8 * time.Hour, AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays,
	}})
	must(t, err)
	source, err := planesource.New(plane, all, planesource.Config{})
	must(t, err)
	pages, err := webui.New(source, webui.Config{Actions: true, Refresh: time.Nanosecond, Viewer: func(*http.Request) (webui.Viewer, bool) {
		return webui.Viewer{Name: "ops", Operator: true, MayAct: true}, true
	}})
	must(t, err)
	return &site{plane, t, source, all, pages, put.ID}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) create(name string) uuid.UUID {
	s.t.Helper()
	w, err := s.Create(s.t.Context(), dormouse.NewWorkspace{Template: s.template, Owner: "ann", Name: name})
	must(s.t, err)
	return w.ID
}

func (s *site) page() string {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.pages.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		s.t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func (s *site) press(form url.Values) int {
	r := httptest.NewRequest(http.MethodPost, "/act", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.pages.ServeHTTP(w, r)
	return w.Code
}

func (s *site) shows(texts ...string) {
	s.t.Helper()
	page := s.page()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			s.t.Errorf("the page does not show %q", text)
		}
	}
}

// The pages follow a workspace of a plane from a press on Start to its stop.
func TestPagesOfAPlane(t *testing.T) {
	bubble(t, false, func(s *site) {
		id := s.create("api")
		time.Sleep(15 * time.Second) // the workers of a process are known as of its heartbeat, which the first may come before
		synctest.Wait()
		s.shows("1 workspace", "api", "new", "1 worker,")
		if code := s.press(url.Values{"do": {"start"}, "workspace": {id.String()}}); code != http.StatusSeeOther {
			s.t.Fatalf("start: %d", code)
		}
		time.Sleep(30 * time.Second) // the workers of a process are known as of its heartbeat
		synctest.Wait()
		s.shows("starting", "1 of 10 busy", "api start")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		s.shows(`<a href="?state=running#timeline">1</a>`, "in 7 h 58 min", `<rect class="plan"`)

		w, err := s.Get(s.t.Context(), id)
		must(s.t, err)
		until := w.Deadline.Add(time.Hour)
		s.press(url.Values{"do": {"extend"}, "workspace": {id.String()}, "until": {until.Format(time.RFC3339Nano)}})
		s.press(url.Values{"do": {"hours"}, "workspace": {id.String()}, "hours": {"Europe/Berlin Mon 09:00-10:00"}})
		s.press(url.Values{"do": {"hold"}, "workspace": {id.String()}, "until": {until.Format(time.RFC3339Nano)}, "note": {"demo day"}})
		w, err = s.Get(s.t.Context(), id)
		must(s.t, err)
		if !w.Deadline.Equal(until) || w.Hours != "Europe/Berlin Mon 09:00-10:00" || w.Hold.Note != "demo day" || w.Hold.By != "ops" {
			s.t.Errorf("after three actions: %+v", w)
		}
		s.shows("demo day")
		s.press(url.Values{"do": {"stop"}, "workspace": {id.String()}})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if w, _ := s.Get(s.t.Context(), id); w.Status != lifecycle.StatusStopped {
			s.t.Errorf("after a press on Stop: %s", w.Status)
		}
		s.shows(`<rect class="run"`, `<rect class="stopf"`)
		builds, err := s.source.Builds(s.t.Context(), id, time.Now(), 10)
		if must(s.t, err); len(builds) != 1 || builds[0].Number != 2 {
			s.t.Errorf("builds since now, and the one before: %+v", builds)
		}
	})
}

// A build that nobody can carry out is set apart, with the reason of the acquirer.
func TestNobodyCanTakeIt(t *testing.T) {
	bubble(t, true, func(s *site) {
		id := s.create("api")
		_, err := s.Start(s.t.Context(), id)
		must(s.t, err)
		synctest.Wait()
		s.shows("Nobody can take these <em>1</em>", "No live worker can run it", "Waits for a worker that can", "0 workers")
	})
}

// The scripted fleet says of a job that nobody can take what a plane says.
func TestScriptedFleetSaysTheSame(t *testing.T) {
	bubble(t, true, func(s *site) {
		scripted := webuitest.New(time.Now())
		jobs, _, err := scripted.WaitingJobs(s.t.Context(), 1000)
		must(s.t, err)
		i := slices.IndexFunc(jobs, func(j webui.Job) bool { return j.Unmatched })
		if i < 0 {
			s.t.Fatal("nobody waits for a worker")
		}
		key, value, _ := strings.Cut(jobs[i].Missing[0], "=")
		ctx, leave := context.WithCancel(s.t.Context())
		defer leave()
		go func() {
			_, _ = s.Acquirer().AcquireJob(ctx, queue.Request{Types: []string{"render"}, Worker: uuid.New()})
		}()
		posted, err := s.Acquirer().Enqueue(s.t.Context(), queue.Posting{Type: "render", Tags: map[string]string{key: value}})
		must(s.t, err)
		synctest.Wait()
		x, err := s.Acquirer().Explain(s.t.Context(), posted[0].ID)
		must(s.t, err)
		if x.Text != jobs[i].Text {
			s.t.Errorf("the fleet says %q, the plane %q", jobs[i].Text, x.Text)
		}
	})
}

// What belongs to another organization does not exist.
func TestOrganizations(t *testing.T) {
	all := memory.New()
	ours := newSite(t, all, dormouse.Config{Organization: uuid.New(), Logger: slog.New(slog.DiscardHandler)})
	theirs := newSite(t, all, dormouse.Config{Organization: uuid.New(), Logger: slog.New(slog.DiscardHandler)})
	ours.create("ours")
	id := theirs.create("theirs")
	if page := ours.page(); strings.Contains(page, "theirs") || !strings.Contains(page, "1 workspace<") {
		t.Error("the page shows another organization's workspace")
	}
	if _, err := ours.source.Workspace(t.Context(), id); !errors.Is(err, lifecycle.ErrNotFound) {
		t.Errorf("another's workspace: %v", err)
	}
	if code := ours.press(url.Values{"do": {"start"}, "workspace": {id.String()}}); code != http.StatusNotFound {
		t.Errorf("an action on it: %d", code)
	}
	for _, kind := range []webui.ActionKind{webui.ActStart, webui.ActStop, webui.ActWake, webui.ActRetry, webui.ActDelete} {
		if err := ours.source.Act(t.Context(), webui.Viewer{Name: "eve", Operator: true, MayAct: true}, webui.Action{Kind: kind, Workspace: id}); !errors.Is(err, lifecycle.ErrNotFound) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	s, err := theirs.source.Workspace(t.Context(), id)
	must(t, err)
	for s, err := range ours.source.Owned(t.Context(), s.Workspace.OwnerID) {
		t.Errorf("a workspace of another's owner: %+v, %v", s.Workspace, err)
	}
	templates, err := ours.source.Templates(t.Context(), webui.Viewer{Operator: true})
	must(t, err)
	for _, template := range templates {
		if template.OrganizationID == s.Workspace.OrganizationID {
			t.Errorf("another's template: %+v", template)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	all := memory.New()
	plane, err := dormouse.New(all, dormouse.Config{})
	must(t, err)
	for name, call := range map[string]func() (*planesource.Source, error){
		"no plane": func() (*planesource.Source, error) { return planesource.New(nil, all, planesource.Config{}) },
		"another organization": func() (*planesource.Source, error) {
			return planesource.New(plane, all, planesource.Config{Organization: uuid.New()})
		},
		"no store": func() (*planesource.Source, error) { return planesource.New(plane, nil, planesource.Config{}) },
		"no pool": func() (*planesource.Source, error) {
			return planesource.New(plane, all, planesource.Config{Pools: []string{"x"}})
		},
	} {
		if _, err := call(); !errors.Is(err, invalid.Err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
