package webui

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// newView is the form for a new workspace. Its id is chosen when the page is made: a form that is sent twice makes one.
type newView struct {
	ID        uuid.UUID
	Templates []templateChoice
}

type templateChoice struct {
	ID         uuid.UUID
	Name, Says string
}

// newView is nil where nobody can make a workspace.
func (h *Handler) newView(ctx context.Context, who Viewer) (*newView, error) {
	catalog, ok := h.source.(Catalog)
	if !ok || !h.mayAct(who) {
		return nil, nil
	}
	templates, err := catalog.Templates(ctx, who)
	if err != nil || len(templates) == 0 {
		return nil, err
	}
	v := &newView{ID: uuid.New()}
	for i := range templates {
		v.Templates = append(v.Templates, templateChoice{templates[i].ID, templates[i].Name, saysTTL(templates[i].Policy.DefaultTTL)})
	}
	return v, nil
}

func saysTTL(ttl time.Duration) string {
	if ttl == 0 {
		return "runs until it is stopped"
	}
	return "stops after " + shortDuration(ttl)
}

// shortDuration writes a duration without units that are zero: 8h, 1h30m.
func shortDuration(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// create makes a workspace of one of the templates that the viewer may use.
func (h *Handler) create(r *http.Request, who Viewer, a Action) error {
	catalog, ok := h.source.(Catalog)
	if !ok || who.Owner == uuid.Nil {
		return errForbidden
	}
	templates, err := catalog.Templates(r.Context(), who)
	if err != nil {
		return unread(err)
	}
	for i := range templates {
		if templates[i].ID == a.Template {
			return h.source.(Actor).Act(r.Context(), who, a)
		}
	}
	return lifecycle.ErrNotFound
}

// newOf reads the form for a new workspace.
func newOf(form url.Values, a *Action) (err error) {
	if a.Template, err = uuid.Parse(form.Get("template")); err != nil {
		return invalid.New("template", short(form.Get("template")), "must be one of the list")
	}
	if a.Name = short(form.Get("name")); a.Name == "" {
		return invalid.New("name", "", "must not be empty")
	}
	if form.Get("ttl") != "" {
		a.TTL, err = ttlOf(form)
	}
	return err
}

// ttlOf reads how long a workspace runs; 0 is for ever.
func ttlOf(form url.Values) (time.Duration, error) {
	text := strings.ReplaceAll(short(form.Get("ttl")), " ", "")
	ttl, err := time.ParseDuration(text)
	if err != nil || ttl < 0 {
		return 0, invalid.New("ttl", text, `must be like "8h" or "1h30m", or 0 for no limit`)
	}
	return ttl, nil
}

// ttlView is the form for when a workspace stops by itself: the present run, and those from the next start on.
type ttlView struct {
	Allowed bool
	Value   string
	// Until are instants at which the present run may end.
	Until []untilChoice
}

type untilChoice struct{ At, Text string }

// untils are how far away the end of a run may be put, where the policy lets it be so near.
var untils = []time.Duration{10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour}

func ttlViewOf(s *lifecycle.Snapshot, c clock) ttlView {
	v := ttlView{Allowed: s.Template.Policy.AllowUserTTL, Value: shortDuration(s.Workspace.TTL)}
	if s.Workspace.TTL == 0 {
		v.Value = "0"
	}
	for _, d := range untils {
		at := c.now.Add(d).Truncate(time.Minute).Add(time.Minute)
		// What is offered can still be chosen when a quarter of the time has passed: people read.
		if _, err := lifecycle.SetDeadline(at)(*s, c.now.Add(d/4)); err == nil {
			v.Until = append(v.Until, untilChoice{at.UTC().Format(time.RFC3339), fmt.Sprintf("%s, in %s", c.stamp(at), shortDuration(d))})
		}
	}
	return v
}

// addressOf is where a workspace is to be reached, if its build has said so.
func addressOf(s *lifecycle.Snapshot) string {
	if s.Status() != lifecycle.StatusRunning {
		return ""
	}
	if u, err := url.Parse(s.Build.Result); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return s.Build.Result
}
