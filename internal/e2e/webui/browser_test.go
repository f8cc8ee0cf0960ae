package webui_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/coder/quartz"

	chromium "github.com/dormouse-go/dormouse/internal/e2e/internal/browser"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/webuitest"
)

func TestMain(m *testing.M) { os.Exit(chromium.Main(m)) }

// morning is the instant of all pages here: a Wednesday, 10:42 in Berlin.
var morning = time.Date(2026, 12, 2, 9, 42, 0, 0, time.UTC)

// site is the scripted fleet and its pages, at an instant that stands still.
type site struct {
	*httptest.Server
	fleet  *webuitest.Fleet
	clock  *quartz.Mock
	berlin *time.Location
}

func newSite(t *testing.T, tune ...func(*webui.Config)) *site {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{fleet: webuitest.New(morning), clock: quartz.NewMock(t).WithLogger(quartz.NoOpLogger), berlin: berlin}
	s.clock.Set(morning).MustWait(t.Context())
	juno := s.fleet.Owner("juno")
	cfg := webui.Config{
		Prefix: "/fleet", Actions: true, Capacity: webuitest.Capacity, Zone: berlin, Clock: s.clock,
		Viewer: func(*http.Request) (webui.Viewer, bool) {
			return webui.Viewer{Name: "juno", Operator: true, Owner: juno, MayAct: true}, true
		},
	}
	for _, f := range tune {
		f(&cfg)
	}
	h, err := webui.New(s.fleet, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(h)
	t.Cleanup(s.Close)
	t.Cleanup(h.Close) // first, or the server waits for the streams
	return s
}

// template returns the id of a template of the fleet.
func (s *site) template(t *testing.T, name string) string {
	for w, err := range s.fleet.Workspaces(t.Context()) {
		if err == nil && w.Template.Name == name {
			return w.Template.ID.String()
		}
	}
	t.Fatalf("no template %s", name)
	return ""
}

// browser is one tab, and what went wrong in it.
type browser struct {
	t    *testing.T
	ctx  context.Context
	site *site

	mu      sync.Mutex
	foreign []string // addresses of other origins that were asked for
	console []string
}

func newBrowser(t *testing.T, s *site, width int, dark bool) *browser {
	t.Helper()
	ctx := chromium.Open(t, 5*time.Minute)
	b := &browser{t: t, ctx: ctx, site: s}
	b.watch()
	chromium.Look(ctx, t, width, map[bool]string{false: "light", true: "dark"}[dark])
	return b
}

// watch keeps what the console says and where requests go.
func (b *browser) watch() {
	b.t.Helper()
	b.must(chromedp.Listen(b.ctx, func(ev any) {
		if e, ok := ev.(*network.EventRequestWillBeSent); ok && !b.own(e.Request.URL) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.foreign = append(b.foreign, e.Request.URL)
		}
	}))
	b.call(chromedp.Call(b.ctx, network.Enable, network.EnableParams{}))
	messages := chromedp.Console(b.ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.mu.Lock()
			b.console = append(b.console, m.String())
			b.mu.Unlock()
		}
	}()
}

func (b *browser) own(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme+"://"+u.Host == b.site.URL || u.Scheme == "about")
}

func (b *browser) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) call(_ any, err error) { b.t.Helper(); b.must(err) }

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.must(chromedp.Do(b.ctx, steps...))
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.site.URL + "/fleet" + path))
}

// eval returns what an expression in the page is.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// clean reports what a page must not have done.
func (b *browser) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.foreign) > 0 {
		b.t.Errorf("requests to other origins: %v", b.foreign)
	}
	if len(b.console) > 0 {
		b.t.Errorf("the console says:\n%s", strings.Join(b.console, "\n"))
	}
}

// keep makes a picture of the whole page, an artefact of the test run (go test -artifacts).
func (b *browser) keep(name string) {
	b.t.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	b.must(err)
	path := filepath.Join(b.t.ArtifactDir(), name+".png")
	b.must(os.WriteFile(path, picture, 0o644))
}

// openAll opens what is folded, so that all of it is looked at.
func openAll(ctx context.Context, _ *chromedp.Target) error {
	_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(() => { document.querySelectorAll("details").forEach((d) => { d.open = true; }); return true; })()`))
	return err
}

// press clicks what an expression finds.
func press(expression string) func(context.Context, *chromedp.Target) error {
	return func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`(() => { `+expression+`.click(); return true; })()`))
		return err
	}
}

// workspace returns the id of a workspace of the fleet.
func (s *site) workspace(t *testing.T, name string) string {
	t.Helper()
	for _, w := range s.workspaces(t) {
		if w.Workspace.Name == name {
			return w.Workspace.ID.String()
		}
	}
	t.Fatalf("no workspace %s", name)
	return ""
}
