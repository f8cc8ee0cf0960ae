package webui_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/webuitest"
)

func TestNewRefuses(t *testing.T) {
	for field, cfg := range map[string]webui.Config{
		"Config.Viewer":       {},
		"Config.Capacity":     {Viewer: operator, Capacity: -1},
		"Config.OverdueAfter": {Viewer: operator, OverdueAfter: -1},
		"Config.Refresh":      {Viewer: operator, Refresh: -1},
		"Config.MaxStreams":   {Viewer: operator, MaxStreams: -1},
	} {
		wantInvalid(t, field, cfg)
	}
	for _, prefix := range []string{"x", "/", "/x/", "//x", "/x/../y", "/.", "/a b", "/{id}", "/é", `/"`} {
		wantInvalid(t, "Config.Prefix", webui.Config{Viewer: operator, Prefix: prefix})
	}
	if _, err := webui.New(nil, webui.Config{Viewer: operator}); !errors.Is(err, invalid.Err) {
		t.Errorf("no source: %v", err)
	}
}

func wantInvalid(t *testing.T, field string, cfg webui.Config) {
	t.Helper()
	var e *invalid.Error
	if _, err := webui.New(&static{}, cfg); !errors.As(err, &e) || e.Field != field {
		t.Errorf("%s: %v", field, err)
	}
}

// Every answer forbids what no page needs, and no page needs more than that.
func TestPolicyOfThePages(t *testing.T) {
	h := newPages(t, scripted(), webui.Config{Actions: true, Prefix: "/fleet"})
	for _, path := range []string{"/fleet/", "/fleet/mine", "/fleet/assets/live.js", "/fleet/nothing", "/elsewhere"} {
		header := get(h, path).Header()
		csp := header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, header)
		}
	}
	inline := regexp.MustCompile(`(?i)<style|<script>|\sstyle=|\son\w+=|javascript:|https?://[^<" ]*`)
	for _, path := range []string{"/fleet/", "/fleet/mine"} {
		if found := inline.FindAllString(page(t, h, path), -1); len(found) > 0 {
			t.Errorf("%s has %q", path, found)
		}
	}
}

// Who asks decides what there is: nobody sees nothing, an owner their own, and another's workspace is as one that is not.
func TestViewers(t *testing.T) {
	fleet := scripted()
	nobody := newPages(t, fleet, webui.Config{Viewer: func(*http.Request) (webui.Viewer, bool) { return webui.Viewer{}, false }})
	for _, path := range []string{"/", "/mine", "/live"} {
		if w := get(nobody, path); w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "lyra") {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := post(nobody, "/act", url.Values{"do": {"stop"}}); w.Code != http.StatusForbidden {
		t.Errorf("act: %d", w.Code)
	}

	var ownerless lifecycle.Snapshot
	ownerless.Workspace.ID, ownerless.Workspace.Name = uuid.New(), "stray"
	without := newPages(t, &static{list: []lifecycle.Snapshot{ownerless}}, webui.Config{Viewer: owning(uuid.Nil)})
	if strings.Contains(page(t, without, "/mine"), "stray") {
		t.Error("a viewer without an id sees what has no owner")
	}

	juno := newPages(t, fleet, webui.Config{Viewer: owning(fleet.Owner("juno"))})
	if w := get(juno, "/"); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/mine" {
		t.Errorf("the operator's page for an owner: %d %v", w.Code, w.Header())
	}
	text := page(t, juno, "/mine")
	for _, s := range all(t, fleet) {
		if own := s.Owner.Name == "juno"; strings.Contains(text, ">"+s.Workspace.Name+"<") != own {
			t.Errorf("%s of %s: on the page of juno: %v", s.Workspace.Name, s.Owner.Name, !own)
		}
	}
}

// A look changes nothing.
func TestLooksChangeNothing(t *testing.T) {
	fleet := webuitest.New(morning)
	before := fmt.Sprint(all(t, fleet))
	h := newPages(t, fleet, webui.Config{Actions: true, Viewer: func(*http.Request) (webui.Viewer, bool) {
		return webui.Viewer{Operator: true, MayAct: true, Owner: fleet.Owner("juno")}, true
	}})
	lyra := named(t, fleet, "lyra")
	for _, path := range []string{"/", "/mine", "/?compare=1&ttl=1h&t=" + lyra.Template.ID.String(), "/act?do=stop&workspace=" + lyra.Workspace.ID.String()} {
		get(h, path)
	}
	w := post(h, "/mine", url.Values{"workspace": {lyra.Workspace.ID.String()}, "hours": {"Europe/Berlin Mon-Sun 10:00-12:00"}})
	if !strings.Contains(w.Body.String(), "not saved yet") {
		t.Errorf("hours to check: %d %s", w.Code, w.Body)
	}
	if fmt.Sprint(all(t, fleet)) != before {
		t.Error("a look has changed the fleet")
	}
}

// Typed hours are checked by the rules themselves: what they refuse, what they will not do, and when they start.
func TestHoursAreChecked(t *testing.T) {
	fleet := scripted()
	h := newPages(t, fleet, webui.Config{Zone: berlin, Viewer: owning(fleet.Owner("juno"))})
	id := named(t, fleet, "lyra").Workspace.ID.String()
	for _, c := range []struct {
		form url.Values
		want string
	}{
		{url.Values{"hours": {"Europe/Berlin Mon-Fri 10:00-12:00"}}, "Thu 3 Dec 10:00 · Fri 4 Dec 10:00 · Mon 7 Dec 10:00"},
		{url.Values{"hours": {"Europe/Berlin Sun 10:00-12:00"}}, "Mon-Fri"},
		{url.Values{"hours": {"whenever"}}, "cannot be used"},
		{url.Values{"hours": {""}}, "none in four weeks"},
		{url.Values{"zone": {"Europe/Berlin"}, "mon": {"on"}, "mon-from": {"07:15"}, "mon-to": {"11:00"}}, "Mon 7 Dec 07:15 · Mon 14 Dec 07:15"},
		{url.Values{"zone": {"Mars/Olympus"}, "mon": {"on"}, "mon-from": {"07:15"}, "mon-to": {"11:00"}}, "cannot be used"},
	} {
		c.form.Set("workspace", id)
		w := post(h, "/mine", c.form)
		if card := between(t, w.Body.String(), `id="w-`+id+`"`, "</article>"); w.Code != http.StatusOK || !strings.Contains(card, c.want) {
			t.Errorf("%v: %d, no %q in %s", c.form, w.Code, c.want, card)
		}
	}
}

// An action needs to be switched on, a viewer who may, a request of the page's own origin, and a workspace of theirs.
func TestActionsAreGuarded(t *testing.T) {
	fleet := webuitest.New(morning)
	juno := fleet.Owner("juno")
	quill, other := named(t, fleet, "quill"), named(t, fleet, "onyx")
	stop := func(id uuid.UUID) url.Values { return url.Values{"do": {"stop"}, "workspace": {id.String()}} }
	mayNot := func(*http.Request) (webui.Viewer, bool) { return webui.Viewer{Owner: juno}, true }
	for name, c := range map[string]struct {
		cfg     webui.Config
		form    url.Values
		headers []string
		want    int
	}{
		"actions are off":      {webui.Config{Viewer: owning(juno)}, stop(quill.Workspace.ID), nil, 403},
		"a viewer who may not": {webui.Config{Viewer: mayNot, Actions: true}, stop(quill.Workspace.ID), nil, 403},
		"another site":         {webui.Config{Viewer: owning(juno), Actions: true}, stop(quill.Workspace.ID), []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another origin":       {webui.Config{Viewer: owning(juno), Actions: true}, stop(quill.Workspace.ID), []string{"Origin", "https://evil.example"}, 403},
		"another's workspace":  {webui.Config{Viewer: owning(juno), Actions: true}, stop(other.Workspace.ID), nil, 404},
		"no such workspace":    {webui.Config{Viewer: owning(juno), Actions: true}, stop(uuid.New()), nil, 404},
		"a hold by an owner":   {webui.Config{Viewer: owning(juno), Actions: true}, url.Values{"do": {"hold"}, "workspace": {quill.Workspace.ID.String()}}, nil, 403},
		"an unknown action":    {webui.Config{Viewer: owning(juno), Actions: true}, url.Values{"do": {"delete"}, "workspace": {quill.Workspace.ID.String()}}, nil, 422},
		"no instant":           {webui.Config{Viewer: owning(juno), Actions: true}, url.Values{"do": {"extend"}, "workspace": {quill.Workspace.ID.String()}}, nil, 422},
		"a form without end":   {webui.Config{Viewer: owning(juno), Actions: true}, url.Values{"do": {"stop"}, "x": {strings.Repeat("x", 1<<20)}}, nil, 400},
	} {
		t.Run(name, func(t *testing.T) {
			if w := post(newPages(t, fleet, c.cfg), "/act", c.form, c.headers...); w.Code != c.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.want)
			}
		})
	}
	if named(t, fleet, "quill").Build != quill.Build || named(t, fleet, "onyx").Build != other.Build {
		t.Error("something was done all the same")
	}
	// The two answers for what is not theirs are one.
	h := newPages(t, fleet, webui.Config{Viewer: owning(juno), Actions: true})
	if a, b := post(h, "/act", stop(other.Workspace.ID)).Body.String(), post(h, "/act", stop(uuid.New())).Body.String(); a != b {
		t.Errorf("%q and %q tell apart what exists", a, b)
	}
}

// The button on the page does what it says, once, however often it is pressed.
func TestExtendIsAnInstant(t *testing.T) {
	fleet := webuitest.New(morning)
	h := newPages(t, fleet, webui.Config{Viewer: owning(fleet.Owner("juno")), Actions: true, Zone: berlin, Refresh: time.Nanosecond})
	quill := named(t, fleet, "quill")
	card := between(t, page(t, h, "/mine"), `id="w-`+quill.Workspace.ID.String()+`"`, "</article>")
	form := url.Values{
		"do": {"extend"}, "workspace": {quill.Workspace.ID.String()}, "back": {"mine"},
		"until": {unescaped(between(t, card, `name="until" value="`, `"`))},
	}
	w := post(h, "/act", form)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/mine?at="+quill.Workspace.ID.String()+"#w-"+quill.Workspace.ID.String() {
		t.Fatalf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	want := quill.Build.Deadline.Add(time.Hour)
	if got := named(t, fleet, "quill").Build.Deadline; !got.Equal(want) {
		t.Errorf("the deadline is %v, want %v", got, want)
	}
	post(h, "/act", form)
	if got := named(t, fleet, "quill").Build.Deadline; !got.Equal(want) {
		t.Errorf("pressed twice, the deadline is %v, want %v", got, want)
	}
	if text := page(t, h, "/mine"); !strings.Contains(text, "Stops "+want.In(berlin).Format("15:04")) {
		t.Error("the page does not show the new deadline")
	}
}

// Every action reaches the workspace.
func TestActions(t *testing.T) {
	fleet := webuitest.New(morning)
	h := newPages(t, fleet, webui.Config{Actions: true, Refresh: time.Nanosecond})
	act := func(name string, form url.Values) lifecycle.Snapshot {
		t.Helper()
		form.Set("workspace", named(t, fleet, name).Workspace.ID.String())
		form.Set("back", "operator")
		if w := post(h, "/act", form); w.Code != http.StatusSeeOther {
			t.Fatalf("%s %v: %d %s", name, form, w.Code, w.Body)
		}
		return named(t, fleet, name)
	}
	if s := act("pixel", url.Values{"do": {"start"}}); s.Status() != lifecycle.StatusStarting {
		t.Errorf("start: %s", s.Status())
	}
	if s := act("quill", url.Values{"do": {"stop"}}); s.Status() != lifecycle.StatusStopping {
		t.Errorf("stop: %s", s.Status())
	}
	if s := act("fjord", url.Values{"do": {"wake"}}); !s.Workspace.DormantAt.IsZero() {
		t.Error("wake: it is dormant still")
	}
	if s := act("paper-fig", url.Values{"do": {"retry"}}); !s.Workspace.AttentionAt.IsZero() {
		t.Error("retry: it needs attention still")
	}
	if s := act("lyra", url.Values{"do": {"hours"}, "hours": {"Europe/Berlin Mon 10:00-12:00"}}); s.Workspace.Autostart.Text() != "CRON_TZ=Europe/Berlin 0 10 * * 1" {
		t.Errorf("hours: %s", s.Workspace.Autostart.Text())
	}
	until := morning.Add(24 * time.Hour)
	if s := act("lyra", url.Values{"do": {"hold"}, "until": {until.Format(time.RFC3339)}, "note": {"demo"}}); !s.Workspace.Hold.Until.Equal(until) || s.Workspace.Hold.By != "ops" || s.Workspace.Hold.Note != "demo" {
		t.Errorf("hold: %+v", s.Workspace.Hold)
	}
	if text := page(t, h, "/?why="+named(t, fleet, "lyra").Workspace.ID.String()); !strings.Contains(text, "End its hold") {
		t.Error("the page does not offer to end the hold")
	}
	if s := act("lyra", url.Values{"do": {"hold"}, "until": {""}}); s.Workspace.Hold.Until.After(morning) {
		t.Errorf("end of the hold: %+v", s.Workspace.Hold)
	}
	if w := post(h, "/act", url.Values{"do": {"wake"}, "workspace": {named(t, fleet, "pixel").Workspace.ID.String()}}); w.Code != http.StatusConflict {
		t.Errorf("to wake what is awake: %d %s", w.Code, w.Body)
	}
}

// No address makes a page fail, and a page always has its lanes.
func TestAnyAddress(t *testing.T) {
	fleet := scripted()
	h := newPages(t, fleet, webui.Config{})
	for _, q := range []string{
		"", "?page=0", "?page=-3", "?page=99999999999999999999", "?page=500", "?zoom=1y", "?sort=%00", "?why=x", "?why=" + uuid.NewString(),
		"?template=x", "?state=nope", "?reason=%ff", "?q=" + strings.Repeat("a", 5000), "?t=x&compare=1", "?ttl=%ff&compare=1&t=" + named(t, fleet, "lyra").Template.ID.String(),
		"?q=%27%22%3E%3Cscript%3E",
	} {
		if w := get(h, "/"+q); w.Code != http.StatusOK {
			t.Errorf("%s: %d", q, w.Code)
		}
	}
	text := page(t, h, "/?page=500")
	total := len(all(t, fleet))
	if want := fmt.Sprintf("–%d of %d", total, total); !strings.Contains(text, want) {
		t.Errorf("a page beyond the last is not the last: no %q", want)
	}
}

// Filters and pages lead to every workspace once.
func TestPagesHaveEveryWorkspaceOnce(t *testing.T) {
	fleet := scripted()
	h := newPages(t, fleet, webui.Config{})
	ids := regexp.MustCompile(`id="l-([0-9a-f-]{36})"`)
	for _, order := range []string{"", "next", "name"} {
		seen := make(map[string]int)
		for n := 1; n <= 5; n++ {
			for _, m := range ids.FindAllStringSubmatch(page(t, h, fmt.Sprintf("/?sort=%s&page=%d", order, n)), -1) {
				seen[m[1]]++
			}
		}
		for _, s := range all(t, fleet) {
			if seen[s.Workspace.ID.String()] != 1 {
				t.Errorf("sort %q: %s is there %d times", order, s.Workspace.Name, seen[s.Workspace.ID.String()])
			}
		}
	}
	for _, c := range []struct {
		q    string
		want func(lifecycle.Snapshot) bool
	}{
		{"state=dormant", func(s lifecycle.Snapshot) bool { return s.Status() == lifecycle.StatusDormant }},
		{"q=SEAT-", func(s lifecycle.Snapshot) bool { return strings.HasPrefix(s.Workspace.Name, "seat-") }},
		{"owner=juno", func(s lifecycle.Snapshot) bool { return s.Owner.Name == "juno" }},
		{"reason=held", func(s lifecycle.Snapshot) bool {
			return s.Workspace.Hold.Until.After(morning) || s.Template.Hold.Until.After(morning)
		}},
	} {
		n := 0
		for _, s := range all(t, fleet) {
			if c.want(s) {
				n++
			}
		}
		if got := len(ids.FindAllString(page(t, h, "/?"+c.q), -1)); got != n || n == 0 {
			t.Errorf("%s: %d lanes, want %d", c.q, got, n)
		}
	}
}

// A page of 50 lanes stays small, and one over nothing is a page too.
func TestSizes(t *testing.T) {
	if n := len(page(t, newPages(t, scripted(), webui.Config{Capacity: 10, Actions: true}), "/?compare=1")); n > 300_000 {
		t.Errorf("%d bytes", n)
	} else {
		t.Logf("%d bytes for 50 lanes", n)
	}
	text := page(t, newPages(t, &static{}, webui.Config{}), "/")
	for _, want := range []string{"0 workspaces", "No workspace is like that", "does not tell of its queue", "does not tell of its workers"} {
		if !strings.Contains(text, want) {
			t.Errorf("the empty page lacks %q", want)
		}
	}
	if text := page(t, newPages(t, &static{}, webui.Config{Viewer: owning(uuid.New())}), "/mine"); !strings.Contains(text, "no workspaces yet") {
		t.Error("the page of an owner of nothing does not say so")
	}
}

// A source that fails is no page but an answer, and the reason is for the log alone.
func TestSourceFails(t *testing.T) {
	var log strings.Builder
	source := &static{err: errors.New("password of the database is wrong")}
	h := newPages(t, source, webui.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, path := range []string{"/", "/mine"} {
		w := get(h, path)
		if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "password") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if !strings.Contains(log.String(), "password") {
		t.Error("the log does not say why")
	}
}

// failingParts has abilities that all fail.
type failingParts struct{ *webuitest.Fleet }

func (failingParts) WaitingJobs(context.Context, int) ([]webui.Job, int, error) {
	return nil, 0, errors.New("no queue")
}

func (failingParts) Workers(context.Context) ([]webui.Worker, error) {
	return nil, errors.New("no workers")
}

func (failingParts) Pools(context.Context) ([]webui.Pool, error) { return nil, errors.New("no pools") }

func (failingParts) Engine(context.Context) (webui.EngineState, error) {
	return webui.EngineState{}, errors.New("no engine")
}

func (failingParts) Ran(context.Context, time.Time, int) ([]int, error) {
	return nil, errors.New("no history")
}

// A part that cannot be read takes no other part with it.
func TestPartsFail(t *testing.T) {
	text := page(t, newPages(t, failingParts{scripted()}, webui.Config{Logger: slog.New(slog.DiscardHandler)}), "/")
	for _, want := range []string{"Could not read the queue", "Could not read the workers", "Could not read the warm pools", "forecast could not be made", `class="lanes"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// The stream tells of a change, with nothing about it, and ends when the handler is closed.
// A stream of which only the header is asked for ends with it.
func TestLiveHead(t *testing.T) {
	h := newPages(t, scripted(), webui.Config{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodHead, "/live", nil))
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("HEAD follows the stream")
	}
}

func TestLive(t *testing.T) {
	fleet := webuitest.New(morning)
	clock := quartz.NewMock(t).WithLogger(quartz.NoOpLogger)
	clock.Set(morning).MustWait(t.Context())
	h := newPages(t, fleet, webui.Config{Clock: clock, Refresh: time.Second})
	server := httptest.NewServer(h)
	defer server.Close()
	trap := clock.Trap().NewTicker("webui", "live")
	defer trap.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/live", nil)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	read := lines(answer.Body)
	next := func(prefix string) string {
		for line := range read {
			if strings.HasPrefix(line, prefix) {
				return line
			}
		}
		t.Fatalf("the stream ended before %q", prefix)
		return ""
	}
	first := next("data: ")
	trap.MustWait(ctx).MustRelease(ctx)
	if got := between(t, page(t, h, "/"), `data-digest="`, `"`); first != "data: "+got {
		t.Errorf("the stream says %s, the page %s", first, got)
	}
	fleet.Edit(func(s *lifecycle.Snapshot) { s.Workspace.Revision++ })
	clock.Advance(time.Second).MustWait(ctx)
	if second := next("data: "); second == first {
		t.Error("a change is not told")
	}
	h.Close()
	for range read { // until it ends
	}
	if ctx.Err() != nil {
		t.Error("the stream went on after Close")
	}
}

// Beyond the most streams a page is told that it is not kept up to date.
func TestStreamsAreBounded(t *testing.T) {
	h := newPages(t, scripted(), webui.Config{MaxStreams: 1})
	server := httptest.NewServer(h)
	defer server.Close()
	defer h.Close()
	first, err := http.Get(server.URL + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	second, err := http.Get(server.URL + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Body.Close()
	if text, _ := io.ReadAll(second.Body); first.StatusCode != 200 || second.StatusCode != 503 {
		t.Errorf("%d, then %d %s", first.StatusCode, second.StatusCode, text)
	}
}

// An owner who opens page after page leaves streams to the others, and gets them back.
func TestAnOwnersShareOfStreams(t *testing.T) {
	fleet := scripted()
	h := newPages(t, fleet, webui.Config{MaxStreams: 20, Viewer: func(r *http.Request) (webui.Viewer, bool) {
		name := r.Header.Get("Name")
		return webui.Viewer{Name: name, Operator: name == "ops", Owner: fleet.Owner(name)}, true
	}})
	server := httptest.NewServer(h)
	defer server.Close()
	defer h.Close()
	open := func(name string) (code int, end func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Name", name)
		w, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		end = func() { cancel(); _ = w.Body.Close() }
		t.Cleanup(end)
		return w.StatusCode, end
	}
	var ends []func()
	for i, want := range []int{200, 200, 503, 503} {
		code, end := open("juno")
		if code != want {
			t.Errorf("stream %d of one owner: %d, want %d", i+1, code, want)
		}
		ends = append(ends, end)
	}
	for _, name := range []string{"ops", "ops", "ops", "otto"} {
		if code, _ := open(name); code != 200 {
			t.Errorf("%s: %d", name, code)
		}
	}
	ends[0]()
	for code := 503; code != 200; { // the server sees in its own time that a page was closed
		var end func()
		code, end = open("juno")
		end()
	}
}

// Assets are there under addresses that change with them.
func TestAssets(t *testing.T) {
	h := newPages(t, scripted(), webui.Config{Prefix: "/fleet"})
	text := page(t, h, "/fleet/")
	for _, m := range regexp.MustCompile(`(?:href|src)="(/fleet/assets/[^"]+)"`).FindAllStringSubmatch(text, -1) {
		w := get(h, m[1])
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") == "" || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", m[1], w.Code, w.Header())
		}
	}
	for _, path := range []string{"/fleet/assets/../doc.go", "/fleet/assets/", "/fleet/assets/operator.html"} {
		if w := get(h, path); w.Code == http.StatusOK {
			t.Errorf("%s is served", path)
		}
	}
}

// slow answers only when the test lets it.
type slow struct {
	static
	asked, answer chan struct{}
}

func (s *slow) Workspaces(ctx context.Context) iter.Seq2[lifecycle.Snapshot, error] {
	s.asked <- struct{}{}
	<-s.answer
	return s.static.Workspaces(ctx)
}

// Whoever gives up waiting for a slow source leaves, and those who wait are served by one reading.
func TestSlowSource(t *testing.T) {
	source := &slow{asked: make(chan struct{}, 10), answer: make(chan struct{})}
	h := newPages(t, source, webui.Config{})
	first := make(chan int)
	go func() { first <- get(h, "/").Code }()
	<-source.asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	second := make(chan int)
	go func() { second <- get(h, "/").Code }()
	close(source.answer)
	if a, b := <-first, <-second; a != http.StatusOK || b != http.StatusOK {
		t.Errorf("%d and %d", a, b)
	}
	if n := len(source.asked); n != 0 {
		t.Errorf("the source was asked %d times more", n)
	}
}
