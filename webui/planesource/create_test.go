package planesource_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/webui"
)

// An owner makes a workspace on their page, gives it a time to live, and deletes it; twice pressed is once done.
func TestMakeAndDelete(t *testing.T) {
	bubble(t, false, func(s *site) {
		pages, err := webui.New(s.source, webui.Config{Actions: true, Refresh: time.Nanosecond, Viewer: func(*http.Request) (webui.Viewer, bool) {
			return webui.Viewer{Name: "ann", Owner: s.OwnerID("ann"), MayAct: true}, true
		}})
		must(s.t, err)
		s.pages = pages
		id := uuid.New()
		form := url.Values{"do": {"create"}, "workspace": {id.String()}, "template": {s.template.String()}, "name": {"mine"}, "ttl": {"2h"}}
		for range 2 {
			if code := s.press(form); code != http.StatusSeeOther {
				s.t.Fatalf("make: %d", code)
			}
		}
		for field, value := range map[string]string{"template": uuid.NewString(), "name": "", "ttl": "soon"} {
			bad := url.Values{"do": {"create"}, "workspace": {uuid.NewString()}, "template": {s.template.String()}, "name": {"x"}, "ttl": {""}}
			bad.Set(field, value)
			if code := s.press(bad); code != http.StatusUnprocessableEntity && code != http.StatusNotFound {
				s.t.Errorf("%s %q: %d", field, value, code)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w, err := s.Get(s.t.Context(), id)
		must(s.t, err)
		if w.Status != lifecycle.StatusRunning || w.Owner != "ann" || w.TTL != 2*time.Hour || w.BuildNumber != 1 {
			s.t.Fatalf("made: %+v", w)
		}
		if code := s.press(url.Values{"do": {"ttl"}, "workspace": {id.String()}, "ttl": {"1h 30m"}}); code != http.StatusSeeOther {
			s.t.Errorf("ttl: %d", code)
		}
		if after, _ := s.Get(s.t.Context(), id); after.TTL != 90*time.Minute || !after.Deadline.Equal(w.Deadline) {
			s.t.Errorf("with another time to live: %+v", after)
		}
		until := time.Now().Add(30 * time.Minute)
		if code := s.press(url.Values{"do": {"deadline"}, "workspace": {id.String()}, "until": {until.Format(time.RFC3339)}}); code != http.StatusSeeOther {
			s.t.Errorf("deadline: %d", code)
		}
		if after, _ := s.Get(s.t.Context(), id); !after.Deadline.Equal(until) {
			s.t.Errorf("with an earlier stop: %v, want %v", after.Deadline, until)
		}
		page := httptest.NewRecorder()
		pages.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/mine", nil))
		for _, want := range []string{"New workspace", "go-dev (stops after 8h)", "Delete mine and everything in it", `value="1h30m"`} {
			if !strings.Contains(page.Body.String(), want) {
				s.t.Errorf("the page does not show %q", want)
			}
		}
		if code := s.press(url.Values{"do": {"delete"}, "workspace": {id.String()}}); code != http.StatusUnprocessableEntity {
			s.t.Errorf("delete without a tick: %d", code)
		}
		if code := s.press(url.Values{"do": {"delete"}, "workspace": {id.String()}, "sure": {"yes"}}); code != http.StatusSeeOther {
			s.t.Errorf("delete: %d", code)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if w, _ := s.Get(s.t.Context(), id); w.Status != lifecycle.StatusDeleted {
			s.t.Errorf("after Delete: %s", w.Status)
		}
	})
}
