package webui_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/webuitest"
)

// texts gives every place of the pages that shows somebody's text another one.
type texts struct {
	*webuitest.Fleet
	of func() string
}

// everybody is the owner of all workspaces with hostile texts.
var everybody = uuid.MustParse("018f0000-0000-7000-8000-000000000001")

// shown is how many workspaces have hostile texts; the others are left out, so that every text counted is on a page.
const shown = 50

func (f texts) Workspaces(ctx context.Context) iter.Seq2[lifecycle.Snapshot, error] {
	return func(yield func(lifecycle.Snapshot, error) bool) {
		n := 0
		for s, err := range f.Fleet.Workspaces(ctx) {
			if n++; n > shown || !yield(s, err) {
				return
			}
		}
	}
}

func (f texts) Marks(context.Context, uuid.UUID, time.Time) ([]webui.Mark, error) {
	return []webui.Mark{{At: morning.Add(-time.Hour), Kind: webui.MarkSkipped, Text: f.of()}}, nil
}

func (f texts) WaitingJobs(ctx context.Context, limit int) ([]webui.Job, int, error) {
	jobs, n, err := f.Fleet.WaitingJobs(ctx, limit)
	for i := range jobs {
		jobs[i].Name, jobs[i].Text = f.of(), f.of()
		if jobs[i].Unmatched {
			jobs[i].Missing = []string{f.of(), f.of()}
		}
	}
	return jobs, n, err
}

func (f texts) Workers(ctx context.Context) ([]webui.Worker, error) {
	list, err := f.Fleet.Workers(ctx)
	for i := range list {
		list[i].Name, list[i].Note, list[i].Tags = f.of(), f.of(), []string{f.of()}
		for k := range list[i].Jobs {
			list[i].Jobs[k] = f.of()
		}
	}
	return list, err
}

func (f texts) Pools(ctx context.Context) ([]webui.Pool, error) {
	list, err := f.Fleet.Pools(ctx)
	for i := range list {
		list[i].Name, list[i].Note, list[i].Misses = f.of(), f.of(), []string{f.of()}
	}
	return list, err
}

func (f texts) Engine(ctx context.Context) (webui.EngineState, error) {
	s, err := f.Fleet.Engine(ctx)
	s.Err, s.Hold = f.of(), lifecycle.Hold{Until: morning.Add(time.Hour), Note: f.of(), By: f.of()}
	return s, err
}

// Templates implements [webui.Catalog].
func (f texts) Templates(context.Context, webui.Viewer) ([]lifecycle.Template, error) {
	return []lifecycle.Template{{ID: everybody, Name: f.of()}, {ID: uuid.Max, Name: f.of()}}, nil
}

// Act implements [webui.Actor].
func (f texts) Act(context.Context, webui.Viewer, webui.Action) error { return lifecycle.ErrNotFound }

// apply writes texts into the workspaces themselves. One owner and one template keep theirs apart.
func (f texts) apply() {
	template, owner := f.of(), f.of()
	n := 0
	f.Edit(func(s *lifecycle.Snapshot) {
		if n++; n > shown {
			return
		}
		// The pages sort by name, and shall show them in the same order whatever the texts are.
		s.Workspace.Name, s.Owner.Name, s.Template.Name = fmt.Sprintf("%03d%s", n, f.of()), owner, template
		s.Owner.ID, s.Workspace.OwnerID = everybody, everybody
		if !s.Workspace.Hold.Until.IsZero() {
			s.Workspace.Hold.Note, s.Workspace.Hold.By = f.of(), f.of()
		}
		if s.Template.Hold.Until.After(morning) {
			s.Template.Hold.Note, s.Template.Hold.By = template, owner
		}
		if s.Workspace.Backoff.Message != "" {
			s.Workspace.Backoff.Message = f.of()
		}
		if s.Build.Error != "" || s.Build.Status == lifecycle.JobFailed {
			s.Build.Error = f.of()
		}
		s.Build.Initiator = f.of()
		if s.Status() == lifecycle.StatusRunning { // an address is a link, whatever stands behind its host
			s.Build.Result = "http://box/" + url.PathEscape(f.of())
		}
	})
}

// shape counts what makes the structure of a page.
func shape(page string) string {
	count := func(s string) int { return strings.Count(page, s) }
	return fmt.Sprintf("%d < %d > %d \" %d '", count("<"), count(">"), count(`"`), count("'"))
}

var hostile = []string{
	"<", ">", `"`, "'", "&", "`", "=", "/", "\x00", "\n", "\r", "\t", "\u2028", "\u202e", "\xff", "{{", "}}", "]]>", "-->", "<!--", "%", "\\", ";", ":",
	"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", `" onfocus="alert(1)" x="`, "' onload='alert(1)", "</title><script>", "</svg>",
	"javascript:alert(1)", "data:text/html,x", "&lt;script&gt;", "&#x3c;script&#x3e;", "{{.}}", "${x}", "<use href=//evil.example/x>", "</textarea>", "</option>",
	"url(//evil.example)", "/* */", "<style>*{}</style>", "\u0000<b>", "＜script＞", "<svg/onload=alert(1)>", strings.Repeat("W", 300), "ok",
}

// Ten thousand hostile texts in every place that shows somebody's text, and in every part of an address that a page shows again: the page has the structure that it has with
// harmless ones, so that none of them can have become a part of it.
func TestHostileTexts(t *testing.T) {
	want := 10_000
	if raced {
		want = 1000
	}
	inputs, fleet := 0, webuitest.New(morning)
	render := func(of func() string) (operator, owner string) {
		f := texts{fleet, func() string { inputs++; return of() }}
		f.apply()
		h := newPages(t, f, webui.Config{Zone: berlin, Actions: true, Capacity: 50})
		owners := newPages(t, f, webui.Config{Zone: berlin, Actions: true, Viewer: owning(everybody)})
		asked := url.Values{"t": {all(t, f)[0].Template.ID.String()}}
		for _, key := range []string{"q", "ttl", "bump", "max", "jitter", "dormant", "delete", "owner", "zoom", "reason", "state", "template", "page", "at"} {
			asked.Set(key, "no such "+f.of())
		}
		return page(t, h, "/?sort=next&why="+heldOne(t, f).String()) + page(t, h, "/?"+asked.Encode()), page(t, owners, "/mine") + page(t, owners, "/mine?"+asked.Encode())
	}
	plainOperator, plainOwner := render(func() string { return "x" })
	random := rand.New(rand.NewPCG(7, 11))
	inputs = 0
	for inputs < want {
		operator, owner := render(func() string {
			var b strings.Builder
			for range 1 + random.IntN(4) {
				b.WriteString(hostile[random.IntN(len(hostile))])
			}
			return b.String()
		})
		if a, b := shape(plainOperator), shape(operator); a != b {
			t.Fatalf("the operator's page is %s with harmless texts and %s with hostile ones", a, b)
		}
		if a, b := shape(plainOwner), shape(owner); a != b {
			t.Fatalf("the owner's page is %s with harmless texts and %s with hostile ones", a, b)
		}
		for _, s := range []string{"<script>alert", "<img src=x", "\x00"} {
			if strings.Contains(operator+owner, s) {
				t.Fatalf("%q is on a page as it is", s)
			}
		}
	}
	t.Logf("%d texts", inputs)
}

// heldOne returns the id of a workspace whose hold has a note.
func heldOne(t *testing.T, f texts) uuid.UUID {
	for _, s := range all(t, f) {
		if s.Workspace.Hold.Until.After(morning) {
			return s.Workspace.ID
		}
	}
	t.Fatal("nothing is held")
	return uuid.Nil
}
