package api_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
)

// With the host's tables and without them.
func withAndWithoutTables(t *testing.T, test func(t *testing.T, s *service, make func(owner string) error)) {
	for name, tune := range map[string]func(*api.Config){"tables": func(*api.Config) {}, "none": func(c *api.Config) { c.Records = nil }} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, tune)
			template, err := s.plane.PutTemplate(t.Context(), dormouse.Template{Name: "web"})
			must(t, err)
			test(t, s, func(owner string) error {
				n := dormouse.NewWorkspace{ID: uuid.New(), Template: template.ID, Owner: owner, Name: "w"}
				leave, err := s.handler.Room(t.Context(), owner, n.ID, n.Name)
				if err != nil {
					return err
				}
				defer leave()
				_, err = s.plane.Create(t.Context(), n)
				return err
			})
		})
	}
}

// Requests at once get as many workspaces as one may have, no more and no fewer, and one after the other nobody is refused before.
func TestRoomIsKept(t *testing.T) {
	withAndWithoutTables(t, func(t *testing.T, s *service, make func(owner string) error) {
		for round := range 5 {
			owner := fmt.Sprint("owner", round)
			var made atomic.Int64
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					err := make(owner)
					switch {
					case err == nil:
						made.Add(1)
					case !refused(err):
						t.Error(err)
					}
				})
			}
			all.Wait()
			if n := made.Load(); n != 3 {
				t.Errorf("%d of 3 workspaces were made", n)
			}
		}
		for range 3 {
			leave, err := s.handler.Room(t.Context(), "ann", uuid.New(), "never made")
			must(t, err)
			leave()
			must(t, make("ann"))
		}
		if err := make("ann"); !refused(err) {
			t.Errorf("a fourth: %v", err)
		}
		if w := s.call(s.tokens["admin"], "POST", "/api/v1/workspaces", `{"template":"web","owner":"owner0","name":"x"}`); w.Code != http.StatusTooManyRequests {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func refused(err error) bool {
	return err != nil && err.Error() == "the owner has as many workspaces as one may have"
}

// A place that could not be left is not counted beside the workspace that it was for, whether that is known by its id or by its name.
func TestRoomThatIsNotLeft(t *testing.T) {
	withAndWithoutTables(t, func(t *testing.T, s *service, make func(owner string) error) {
		template, err := s.plane.PutTemplate(t.Context(), dormouse.Template{Name: "web"})
		must(t, err)
		n := dormouse.NewWorkspace{ID: uuid.New(), Template: template.ID, Owner: "ann", Name: "by id"}
		_, err = s.handler.Room(t.Context(), "ann", n.ID, n.Name)
		must(t, err)
		_, err = s.plane.Create(t.Context(), n)
		must(t, err)
		if _, err = s.handler.Room(t.Context(), "ann", n.ID, n.Name); err != nil {
			t.Errorf("the same once more: %v", err)
		}
		claimed := dormouse.NewWorkspace{Template: template.ID, Owner: "ann", Name: "by name"}
		_, err = s.handler.Room(t.Context(), "ann", uuid.Nil, claimed.Name)
		must(t, err)
		_, err = s.plane.Create(t.Context(), claimed)
		must(t, err)
		must(t, make("ann"))
		if err := make("ann"); !refused(err) {
			t.Errorf("a fourth: %v", err)
		}
	})
}

// While somebody else writes to the database, leaving a place waits for them, also when the request has ended. The wait is longer than
// that of a connection of the store.
func TestRoomIsLeftWhileOthersWrite(t *testing.T) {
	s := newService(t)
	ctx, cancel := context.WithCancel(t.Context())
	var leaves []func()
	for range 3 {
		leave, err := s.handler.Room(ctx, "ann", uuid.New(), "w")
		must(t, err)
		leaves = append(leaves, leave)
	}
	cancel()
	db, err := records.OpenSQLite(s.folder + "/plane.db")
	must(t, err)
	defer db.Close()
	other, err := db.Conn(t.Context())
	must(t, err)
	_, err = other.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	must(t, err)
	var all sync.WaitGroup
	for _, leave := range leaves {
		all.Go(leave)
	}
	time.AfterFunc(time.Second, func() { _, _ = other.ExecContext(context.Background(), "ROLLBACK") })
	all.Wait()
	for range 3 {
		_, err := s.handler.Room(t.Context(), "ann", uuid.New(), "w")
		must(t, err)
	}
}
