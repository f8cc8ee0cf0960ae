package webui_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/forecast"
)

// workspaces returns what the fleet has, deleted ones left out.
func (s *site) workspaces(t *testing.T) (list []lifecycle.Snapshot) {
	t.Helper()
	for w, err := range s.fleet.Workspaces(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !w.Workspace.Deleted {
			list = append(list, w)
		}
	}
	return list
}

// The pages of one fleet, which nobody changes: they are made once for all of this.
func TestPages(t *testing.T) {
	s := newSite(t)
	t.Run("drawn as decided", s.drawnAsDecided)
	t.Run("readable", s.readable)
	t.Run("keyboard", s.keyboard)
	t.Run("without JavaScript", s.withoutJavaScript)
}

// What a browser draws is what the engine says: lanes, bars, their places in pixels, and the line of now.
func (s *site) drawnAsDecided(t *testing.T) {
	b := newBrowser(t, s, 1280, false)
	b.open("/")
	if n := eval[int](b, `document.querySelectorAll(".lanes > li").length`); n != 50 {
		t.Errorf("%d lanes, want 50", n)
	}
	if n := eval[int](b, `document.querySelectorAll("svg.fc g > rect:first-of-type").length`); n != 7*24 {
		t.Errorf("%d bars, want one for each hour of a week", n)
	}
	b.bars()
	b.nowLines()
	b.plans()
	b.clean()
}

// bars compares the height of each bar with its number: the tallest is as tall as its share of the picture.
func (b *browser) bars() {
	b.t.Helper()
	type bar struct {
		Title     string
		X, Height float64
	}
	drawn := eval[[]bar](b, `(() => { const all = document.querySelector("svg.fc").getBoundingClientRect();
		return [...document.querySelectorAll("svg.fc > g")].map((g) => { const r = g.querySelector("rect").getBoundingClientRect();
		return {Title: g.querySelector("title").textContent, X: (r.x - all.x) / all.width, Height: r.height / 210}; }) })()`)
	members := func(yield func(forecast.Member) bool) {
		for _, w := range b.site.workspaces(b.t) {
			if !yield(forecast.Member{Snapshot: w}) {
				return
			}
		}
	}
	from := morning.Truncate(time.Hour)
	sim, err := forecast.Simulate(members, from, from.Add(7*24*time.Hour), nil, forecast.SimulateConfig{})
	b.must(err)
	hours := sim.Results[0].ByHour
	scale := 0.0 // pictures per workspace, from the tallest bar
	for i := range drawn {
		if hours[i].Most > 50 {
			scale = drawn[i].Height / float64(hours[i].Most)
		}
	}
	for i, d := range drawn {
		want := fmt.Sprintf("%s: %d", hours[i].At.In(b.site.berlin).Format("Mon 2 15:04"), hours[i].Most)
		if d.Title != want && !strings.HasPrefix(d.Title, want+";") {
			b.t.Errorf("bar %d is titled %q, want %q", i, d.Title, want)
		}
		if math.Abs(d.Height-scale*float64(hours[i].Most)) > 0.01 || math.Abs(d.X-float64(i)/168) > 0.005 {
			b.t.Errorf("bar %d of %d stands at %.4f and is %.4f high", i, hours[i].Most, d.X, d.Height)
		}
	}
}

// nowLines are in the middle of every lane.
func (b *browser) nowLines() {
	b.t.Helper()
	off := eval[[]float64](b, `[...document.querySelectorAll("svg.lane")].map((l) => { const a = l.getBoundingClientRect(), n = l.querySelector(".now").getBoundingClientRect();
		return (n.x + n.width / 2 - a.x) / a.width; })`)
	for i, x := range off {
		if math.Abs(x-0.5) > 0.002 {
			b.t.Errorf("now stands at %.4f of lane %d", x, i)
		}
	}
}

// plans compares where planned runs are drawn with the instants of the first stop and start of each workspace.
func (b *browser) plans() {
	b.t.Helper()
	type lane struct {
		ID     string
		Bounds []float64
	}
	lanes := eval[[]lane](b, `[...document.querySelectorAll(".lanes > li")].map((li) => { const a = li.querySelector("svg.lane").getBoundingClientRect();
		return {ID: li.querySelector("a").id.slice(2), Bounds: [...li.querySelectorAll("rect.plan")].flatMap((p) => { const x = p.x.baseVal.value, w = p.width.baseVal.value; return [x / a.width, (x + w) / a.width]; })}; })`)
	compared := 0
	for _, l := range lanes {
		for _, w := range b.site.workspaces(b.t) {
			if w.Workspace.ID.String() == l.ID && w.Status() == lifecycle.StatusRunning {
				compared++
				if stop := firstStop(w); len(l.Bounds) < 2 || math.Abs(l.Bounds[1]-stop) > 0.001 {
					b.t.Errorf("%s is planned to run until %v, by its steps until %.4f", w.Workspace.Name, l.Bounds, stop)
				}
			}
		}
	}
	if compared < 30 {
		b.t.Errorf("only %d running workspaces were compared", compared)
	}
}

// firstStop is where in a lane of 48 hours the first stop has ended.
func firstStop(w lifecycle.Snapshot) float64 {
	for step := range forecast.Upcoming(w, morning, morning.Add(24*time.Hour), forecast.Assumptions{}) {
		if step.Kind == forecast.KindEnded && step.Transition == lifecycle.TransitionStop {
			return 0.5 + float64(step.At.Sub(morning))/float64(48*time.Hour)
		}
	}
	return 1
}

// audit is what is asked of every page, in every width and both schemes.
type audit struct {
	Overflow  float64  // pixels beyond the window
	Unnamed   []string // pictures, controls and links without a name
	Faint     []string // text with a contrast below 4.5, shapes with one below 3
	Small     []string // text below 12 px
	DoubleIDs []string
}

const auditScript = `(() => {
	const out = {Overflow: document.documentElement.scrollWidth - innerWidth, Unnamed: [], Faint: [], Small: [], DoubleIDs: []};
	const what = (e) => e.tagName + (e.id ? "#" + e.id : "") + " " + (e.getAttribute("class") || "") + " " + (e.textContent || "").trim().slice(0, 40);
	const named = (e) => (e.getAttribute("aria-label") || "").trim() || (e.getAttribute("aria-labelledby") || "").split(/\s+/).map((id) => document.getElementById(id)?.textContent || "").join("").trim();
	for (const svg of document.querySelectorAll("svg")) {
		if (svg.closest("[aria-hidden=true]") || svg.parentElement.closest("svg")) continue;
		if (svg.getAttribute("role") !== "img" || !named(svg)) out.Unnamed.push(what(svg));
	}
	for (const e of document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea, summary, section, article")) {
		const labels = [...(e.labels || [])].map((l) => l.textContent).join("").trim();
		if (!named(e) && !labels && !(e.matches("a, button, summary") && e.textContent.trim())) out.Unnamed.push(what(e));
	}
	const seen = new Set();
	for (const e of document.querySelectorAll("[id]")) { if (seen.has(e.id)) out.DoubleIDs.push(e.id); seen.add(e.id); }

	const parse = (c) => { const m = c.match(/[\d.]+/g); return m ? m.map(Number) : [0, 0, 0, 0]; };
	const over = (top, under) => { const a = top.length > 3 ? top[3] : 1; return [0, 1, 2].map((i) => top[i] * a + under[i] * (1 - a)); };
	const light = (c) => { const f = c.slice(0, 3).map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
	const ground = (e) => { const layers = []; for (let n = e; n; n = n.parentElement) layers.push(parse(getComputedStyle(n).backgroundColor)); layers.push([255, 255, 255, 1]);
		return layers.reverse().reduce((under, top) => over(top, under)); };
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n = walker.nextNode(); n; n = walker.nextNode()) {
		const e = n.parentElement;
		if (!n.textContent.trim() || e.closest("title, desc, script, style, .vh, .skip, [disabled], option") || !e.getClientRects().length) continue;
		const s = getComputedStyle(e);
		const svg = e.closest("svg");
		if (parseFloat(s.fontSize) < 12) out.Small.push(what(e));
		const under = e.classList.contains("nowlab") ? parse(getComputedStyle(svg.querySelector(".nowbox")).fill) : ground(svg || e);
		const color = over(parse(svg ? s.fill : s.color), under);
		const [a, b] = [light(color), light(under)].sort((x, y) => y - x);
		const ratio = (a + .05) / (b + .05);
		if (ratio < 4.5) out.Faint.push(ratio.toFixed(2) + " " + what(e));
	}
	const color = (name) => { const probe = document.createElement("i"); probe.style.setProperty("color", "var(" + name + ")"); document.body.append(probe); const c = parse(getComputedStyle(probe).color); probe.remove(); return c; };
	for (const shape of ["--run", "--stop", "--sleep", "--warn", "--bad", "--good", "--edge", "--p0", "--focus"]) {
		const [a, b] = [light(color(shape)), light(color("--card"))].sort((x, y) => y - x);
		if ((a + .05) / (b + .05) < 3) out.Faint.push(shape);
	}
	return out;
})()`

// Each page fits its window, has a name for everything, and can be read, wide and narrow, light and dark. Pictures of them are
// artefacts, to be looked at.
func (s *site) readable(t *testing.T) {
	pages := []struct{ name, path string }{
		{"operator", "/?q=&why=" + s.workspace(t, "legal-7") + "&compare=1&max=6h&jitter=20m&t=" + s.template(t, "go-dev")},
		{"operator-nothing-found", "/?q=nobody&ttl=x&compare=1&t=" + s.template(t, "go-dev")},
		{"owner", "/mine"},
	}
	for _, width := range []int{1280, 390} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("%d %s", width, scheme), func(t *testing.T) {
				b := newBrowser(t, s, width, scheme == "dark")
				for _, page := range pages {
					b.open(page.path)
					b.keep(fmt.Sprintf("%s-%d-%s", page.name, width, scheme))
					b.do(chromedp.Func(openAll))
					a := eval[audit](b, auditScript)
					if a.Overflow > 0 || len(a.Unnamed)+len(a.Faint)+len(a.Small)+len(a.DoubleIDs) > 0 {
						t.Errorf("%s: %+v", page.path, a)
					}
				}
				b.clean()
			})
		}
	}
}

// The tabulator reaches every lane, in the order in which they stand, and every part of the page.
func (s *site) keyboard(t *testing.T) {
	b := newBrowser(t, s, 1280, false)
	b.open("/")
	want := eval[[]string](b, `[...document.querySelectorAll(".lanes a.who")].map((a) => a.id)`)
	var reached []string
	first := ""
	for range 400 {
		b.do(chromedp.KeyEvent(kb.Tab))
		at := eval[string](b, `(() => { const e = document.activeElement; if (e === document.body) return ""; const s = getComputedStyle(e); return (s.outlineStyle === "none" ? "no ring: " : "") + (e.id || e.textContent.trim() || e.tagName); })()`)
		if at == "" {
			break
		}
		if first == "" {
			first = at
		}
		if strings.HasPrefix(at, "no ring") {
			t.Errorf("%s", at)
		}
		if strings.HasPrefix(at, "l-") {
			reached = append(reached, at)
		}
	}
	if first != "Skip to the page" {
		t.Errorf("the first is %q", first)
	}
	if !slices.Equal(reached, want) {
		t.Errorf("%d lanes are reached of %d", len(reached), len(want))
	}
	b.clean()
}

// Without JavaScript everything is there: the same text, and forms that work.
func (s *site) withoutJavaScript(t *testing.T) {
	text := func(off bool) string {
		b := newBrowser(t, s, 1280, false)
		b.call(chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: off}))
		b.open("/?compare=1&ttl=6h&t=" + s.template(t, "go-dev"))
		html, err := chromedp.Run(b.ctx, chromedp.OuterHTML("main"))
		b.must(err)
		b.clean()
		return html
	}
	with, without := text(false), text(true)
	if with != without || len(without) < 50_000 {
		t.Errorf("the page has %d bytes with JavaScript and %d without", len(with), len(without))
	}
	if len(without) > 300_000 {
		t.Errorf("%d bytes for 50 lanes", len(without))
	}
}

// With JavaScript a page follows what happens, without a reload, and keeps what is open.
func TestFollows(t *testing.T) {
	s := newSite(t)
	trap := s.clock.Trap().NewTicker("webui", "live")
	defer trap.Close()
	b := newBrowser(t, s, 1280, false)
	b.open("/")
	trap.MustWait(b.ctx).MustRelease(b.ctx)
	b.call(chromedp.Run(b.ctx, chromedp.Poll[bool](`document.getElementById("live").textContent === "Live"`)))
	eval[bool](b, `(() => { window.same = true; document.querySelector("#forecast details").open = true; return true; })()`)
	before := eval[string](b, `document.querySelector(".numbers").textContent`)
	s.fleet.Edit(func(w *lifecycle.Snapshot) {
		w.Workspace.Revision++
		w.Workspace.AttentionAt = morning
	})
	s.clock.Advance(2 * time.Second).MustWait(b.ctx)
	b.call(chromedp.Run(b.ctx, chromedp.Poll[bool](`document.querySelectorAll("#attention li").length > 100`)))
	if after := eval[string](b, `document.querySelector(".numbers").textContent`); after == before {
		t.Error("the numbers stayed as they were")
	}
	if !eval[bool](b, `window.same === true`) {
		t.Error("the page was loaded again")
	}
	b.clean()
}

// A press on a button of the owner's page does what is written beside it.
func TestOwnerExtends(t *testing.T) {
	s := newSite(t)
	b := newBrowser(t, s, 390, false)
	b.open("/mine")
	card := `[...document.querySelectorAll("article")].find((a) => a.querySelector("h2").textContent === "quill")`
	says := eval[string](b, card+`.querySelector(".acts .small").textContent`)
	_, err := chromedp.RunResponse(b.ctx, chromedp.Func(press(card+`.querySelector(".acts button")`)))
	b.must(err)
	s.clock.Advance(3 * time.Second).MustWait(b.ctx)
	b.open("/mine")
	now := eval[string](b, card+`.querySelector(".say").textContent`)
	at := strings.Fields(says)[2] // "Stops at 12:03 instead."
	if !strings.HasPrefix(now, "Stops "+at) {
		t.Errorf("beside the button stood %q, and now it is %q", says, now)
	}
	b.clean()
}
