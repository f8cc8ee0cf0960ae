package api_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
)

// Requests at once get no more workspaces than one may have, and a place that was refused or left is free again.
func TestRoomIsKept(t *testing.T) {
	for name, tune := range map[string]func(*api.Config){"tables": func(*api.Config) {}, "none": func(c *api.Config) { c.Records = nil }} {
		s := newService(t, tune)
		template, err := s.plane.PutTemplate(t.Context(), dormouse.Template{Name: "web"})
		must(t, err)
		for round := range 5 {
			owner := fmt.Sprint("owner", round)
			var made atomic.Int64
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					leave, err := s.handler.Room(t.Context(), owner)
					if err != nil {
						return
					}
					defer leave()
					if _, err := s.plane.Create(t.Context(), dormouse.NewWorkspace{Template: template.ID, Owner: owner, Name: fmt.Sprint("w", made.Add(1))}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if n := made.Load(); n > 3 {
				t.Errorf("%s: %d of 3 workspaces were made", name, n)
			}
			for n := made.Load(); n < 3; n++ { // one after the other nobody is refused
				leave, err := s.handler.Room(t.Context(), owner)
				must(t, err)
				_, err = s.plane.Create(t.Context(), dormouse.NewWorkspace{Template: template.ID, Owner: owner, Name: fmt.Sprint("x", n)})
				must(t, err)
				leave()
			}
			if _, err := s.handler.Room(t.Context(), owner); err == nil {
				t.Errorf("%s: a fourth has room", name)
			}
		}
		if w := s.call(s.tokens["admin"], "POST", "/api/v1/workspaces", `{"template":"web","owner":"owner0","name":"x"}`); w.Code != http.StatusTooManyRequests {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}
