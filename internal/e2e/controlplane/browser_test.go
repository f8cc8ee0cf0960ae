package controlplane_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/internal/e2e/internal/browser"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// tab is a browser with one page.
type tab struct {
	*testing.T
	ctx     context.Context
	console chan string
}

func newTab(t *testing.T, width int, scheme string) *tab {
	t.Helper()
	ctx := browser.Open(t, 8*time.Minute)
	b := &tab{T: t, ctx: ctx, console: make(chan string, 1000)}
	b.look(width, scheme)
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			select {
			case b.console <- m.String():
			default:
			}
		}
	}()
	return b
}

func (b *tab) look(width int, scheme string) {
	b.Helper()
	browser.Look(b.ctx, b.T, width, scheme)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// eval returns what an expression in the page is; nothing while the page is being replaced.
func eval[T any](b *tab, expression string) (v T) {
	b.Helper()
	v, _ = chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	return v
}

// press fills a form in and sends it with one of its buttons.
func (b *tab) press(form, button string, values map[string]string) {
	b.Helper()
	text, err := json.Marshal(values)
	if err != nil {
		b.Fatal(err)
	}
	b.until("to press "+button, func() bool {
		return eval[bool](b, `(() => {
			const form = [...document.querySelectorAll("form")].find((f) => f.querySelector('button`+button+`') && f.closest("`+form+`"));
			if (!form) return false;
			for (const [name, value] of Object.entries(`+string(text)+`)) {
				const field = form.elements[name];
				if (field.type === "checkbox") field.checked = true;
				else if (field.tagName === "SELECT") field.value = [...field.options].find((o) => o.text.startsWith(value))?.value;
				else field.value = value;
			}
			form.querySelector('button`+button+`').click();
			return true;
		})()`)
	})
}

func (b *tab) until(what string, is func() bool) {
	b.Helper()
	for begun := time.Now(); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Since(begun) > 2*time.Minute {
			b.Fatalf("waited %s; the page says %s", what, eval[string](b, "document.body.innerText"))
		}
	}
}

// shows waits until a part of the page has a text, following it live.
func (b *tab) shows(selector, text string) {
	b.Helper()
	quoted, _ := json.Marshal(text)
	b.until("to see "+text, func() bool {
		return eval[bool](b, `[...document.querySelectorAll("`+selector+`")].some((e) => e.innerText.includes(`+string(quoted)+`))`)
	})
}

func (b *tab) keep(name string) {
	b.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.ArtifactDir(), name+".png"), picture, 0o644); err != nil {
		b.Fatal(err)
	}
}

// clean reports what the console had to say, and what is wider than the page.
func (b *tab) clean() {
	b.Helper()
	if eval[bool](b, "document.documentElement.scrollWidth > document.documentElement.clientWidth") {
		b.Error("the page is wider than its window")
	}
	for {
		select {
		case m := <-b.console:
			b.Errorf("the console says %s", m)
		default:
			return
		}
	}
}

func (b *tab) signIn(r *replica, name string) {
	b.Helper()
	b.do(chromedp.Navigate(r.url() + "/login"))
	b.press("main", ":not([name])", map[string]string{"token": r.w.token(name)})
	b.until("to be signed in", func() bool { return !strings.Contains(eval[string](b, "location.pathname"), "login") })
}

// An owner makes a workspace on the page, sees it start, visits its process, sets a deadline, sees it stop and the process gone,
// and reads why.
func TestFromThePageToTheProcess(t *testing.T) {
	w := newWorld(t)
	r := w.start("-speed", "30", "-pool", "0", "-look", "200ms")
	b := newTab(t, 1280, "light")
	b.signIn(r, "ann")
	b.press(".new", "[value=create]", map[string]string{"name": "from the page", "template": "web"})
	ann := r.as("ann")
	var ws dormouse.Workspace
	w.until("the workspace", func() bool {
		for _, one := range call[list](ann, "GET", "/workspaces", "").Items {
			if one.Name == "from the page" {
				ws = one
			}
		}
		return ws.Name != ""
	})
	card := "#w-" + ws.ID.String()
	b.shows(card+" .word", "running")
	b.shows(card+" .open", "Open from the page")
	address := eval[string](b, `document.querySelector("`+card+` .open a").href`)
	if !answers(address) {
		t.Fatalf("its process does not answer at %s", address)
	}
	w.until("the visit to count as use", func() bool { return ann.get(ws.ID).LastUsedAt.After(ws.LastUsedAt.Add(time.Second)) })
	for last := (time.Time{}); ; time.Sleep(3 * time.Second) { // the end of the connection is use too, and would move the deadline
		now := ann.get(ws.ID).LastUsedAt
		if now.Equal(last) {
			break
		}
		last = now
	}
	b.keep("owner-running-wide-light")
	b.press(card, "[value=deadline]", map[string]string{"until": ""}) // the first: in ten minutes, which are twenty seconds here
	b.shows(card+" .word", "stopped")
	if answers(address) || len(w.processes()[ws.ID]) != 0 {
		t.Error("it is stopped, and its process is there")
	}
	why := call[dormouse.Explanation](ann, "GET", "/workspaces/"+ws.ID.String()+"/explain", "").Summary
	b.do(chromedp.Navigate(r.url() + "/mine"))
	eval[bool](b, `(() => { document.querySelectorAll("`+card+` details").forEach((d) => { d.open = true; }); return true; })()`)
	first, _, _ := strings.Cut(why, ".")
	b.shows(card+" details", first)
	build := call[records](ann, "GET", "/workspaces/"+ws.ID.String()+"/builds?limit=1", "").Items[0]
	if build.Reason != lifecycle.ReasonAutostop || build.Status != lifecycle.JobSucceeded {
		t.Errorf("it was stopped by %+v", build)
	}
	b.clean()
	b.keep("owner-stopped-wide-light")
	b.look(390, "dark")
	b.clean()
	b.keep("owner-narrow-dark")
	b.signIn(r, "admin")
	for _, view := range []struct {
		name, scheme string
		width        int
	}{{"operator-narrow-dark", "dark", 390}, {"operator-wide-light", "light", 1280}} {
		b.look(view.width, view.scheme)
		b.shows("main", "from the page")
		b.clean()
		b.keep(view.name)
	}
}

type list struct {
	Items []dormouse.Workspace `json:"items"`
}
