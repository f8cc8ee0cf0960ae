package webui_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/webui"
	"github.com/dormouse-go/dormouse/webui/webuitest"
)

// away is a source that lists workspaces and cannot be asked for one.
type away struct{ *webuitest.Fleet }

var errAway = errors.New(`dial tcp 10.0.0.7:5432: role "plane" is not permitted`)

func (away) Workspace(context.Context, uuid.UUID) (lifecycle.Snapshot, error) {
	return lifecycle.Snapshot{}, errAway
}

func (away) Act(context.Context, webui.Viewer, webui.Action) error { return nil }

func (away) Templates(context.Context, webui.Viewer) ([]lifecycle.Template, error) {
	return nil, errAway
}

// A source that cannot be asked is no workspace that is gone, and what it says of the inside is for the log alone.
func TestSourceIsAway(t *testing.T) {
	fleet := webuitest.New(morning)
	id := named(t, fleet, "lyra").Workspace.ID.String()
	h := newPages(t, away{fleet}, webui.Config{Actions: true, Viewer: func(*http.Request) (webui.Viewer, bool) {
		return webui.Viewer{Name: "ops", Operator: true, Owner: fleet.Owner("juno"), MayAct: true}, true
	}})
	if why := between(t, page(t, h, "/?why="+id), `<section id="why"`, "</section>"); strings.Contains(why, "There is no workspace") || !strings.Contains(why, "Could not read this workspace") {
		t.Errorf("why: %s", why)
	}
	for _, form := range []url.Values{
		{"do": {"stop"}, "workspace": {id}},
		{"do": {"create"}, "workspace": {uuid.NewString()}, "template": {uuid.NewString()}, "name": {"x"}},
	} {
		w := post(h, "/act", form)
		if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "10.0.0.7") {
			t.Errorf("%s: %d %s", form.Get("do"), w.Code, w.Body)
		}
	}
}
