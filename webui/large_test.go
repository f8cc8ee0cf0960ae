package webui_test

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/webui"
)

// counting is a source that knows how many workspaces it has yielded.
type counting struct {
	static
	yielded int
}

func (c *counting) Workspaces(ctx context.Context) iter.Seq2[lifecycle.Snapshot, error] {
	return func(yield func(lifecycle.Snapshot, error) bool) {
		for w, err := range c.static.Workspaces(ctx) {
			if c.yielded++; !yield(w, err) {
				return
			}
		}
	}
}

// owned is one that can say what an owner has.
type owned struct{ *counting }

func (o owned) Owned(_ context.Context, owner uuid.UUID) iter.Seq2[lifecycle.Snapshot, error] {
	return func(yield func(lifecycle.Snapshot, error) bool) {
		for _, w := range o.list {
			if w.Workspace.OwnerID == owner && !yield(w, nil) {
				return
			}
		}
	}
}

// A fleet that is larger than what is read is not read further, and the page says that it tells of a part.
func TestLargerFleetThanIsRead(t *testing.T) {
	source := &counting{static: static{list: copies(all(t, scripted()), 300)}}
	h := newPages(t, source, webui.Config{MaxWorkspaces: 10})
	text := page(t, h, "/")
	if !strings.Contains(text, "<h1>The first 10 workspaces</h1>") || !strings.Contains(text, "The fleet has more workspaces than are read") {
		t.Errorf("it does not say that it is a part: %.3000s", text)
	}
	if n := strings.Count(text, `class="who"`); n != 10 {
		t.Errorf("%d lanes", n)
	}
	if source.yielded > 12 { // a deleted one is none of the ten
		t.Errorf("%d workspaces were read for 10", source.yielded)
	}
	whole := page(t, newPages(t, source, webui.Config{}), "/")
	if strings.Contains(whole, "The first") || strings.Contains(whole, "than are read") {
		t.Error("a fleet that is read says that it is not")
	}
}

// An owner in a fleet that is larger than what is read sees all of theirs where the source can tell, and is told otherwise.
func TestOwnerInALargerFleet(t *testing.T) {
	list := copies(all(t, scripted()), 300)
	last := &list[len(list)-1]
	last.Workspace.OwnerID, last.Workspace.Name, last.Workspace.Deleted = uuid.New(), "the last one", false
	last.Owner = lifecycle.Owner{ID: last.Workspace.OwnerID, Name: "zoe"}
	as := webui.Config{MaxWorkspaces: 10, Viewer: func(*http.Request) (webui.Viewer, bool) {
		return webui.Viewer{Name: "zoe", Owner: last.Workspace.OwnerID}, true
	}}
	source := &counting{static: static{list: list}}
	const missing = "some of yours may be missing"
	if text := page(t, newPages(t, owned{source}, as), "/mine"); !strings.Contains(text, "the last one") || strings.Contains(text, missing) || strings.Count(text, "<article") != 1 {
		t.Errorf("theirs are not shown: %.3000s", text)
	}
	if text := page(t, newPages(t, source, as), "/mine"); strings.Contains(text, "the last one") || !strings.Contains(text, missing) {
		t.Errorf("nobody says that some are missing: %.3000s", text)
	}
}
