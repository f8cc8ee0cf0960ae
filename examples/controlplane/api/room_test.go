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
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/examples/controlplane/api"
	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// inEveryPlace runs a test on two replicas with tables in each database, and on one that has none. It is given what makes a workspace.
func inEveryPlace(t *testing.T, test func(t *testing.T, s *service, make func(owner string) error)) {
	inPostgres := func(c *api.Config) {
		db := stdlib.OpenDBFromPool(pgtest.Empty(t))
		t.Cleanup(func() { _ = db.Close() })
		c.Records = records.New(db, true)
		must(t, c.Records.Migrate(t.Context()))
	}
	for name, tune := range map[string]func(*api.Config){
		"sqlite": func(*api.Config) {}, "postgres": inPostgres, "no tables": func(c *api.Config) { c.Records = nil },
	} {
		t.Run(name, func(t *testing.T) {
			var cfg api.Config
			s := newService(t, tune, func(c *api.Config) { cfg = *c })
			template, err := s.plane.PutTemplate(t.Context(), dormouse.Template{Name: "web"})
			must(t, err)
			replicas := []*api.API{s.handler}
			if cfg.Records != nil {
				replicas = append(replicas, api.New(cfg))
			}
			var turn atomic.Int64
			test(t, s, func(owner string) error {
				n := dormouse.NewWorkspace{ID: uuid.New(), Template: template.ID, Owner: owner, Name: "w"}
				leave, err := replicas[int(turn.Add(1))%len(replicas)].Room(t.Context(), owner, n.ID, n.Name)
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
	inEveryPlace(t, func(t *testing.T, s *service, make func(owner string) error) {
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
	inEveryPlace(t, func(t *testing.T, s *service, make func(owner string) error) {
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

// The place of a process that is gone counts for two minutes.
func TestRoomIsGivenUp(t *testing.T) {
	var tables *records.DB
	s := newService(t, func(c *api.Config) { tables = c.Records })
	now := time.Now()
	ok, err := tables.PutRooms(t.Context(), s.plane.OwnerID("ann").String(), records.Rooms{Places: []records.Place{
		{ID: "1", Of: "id 1", Since: now.Add(-3 * time.Minute)}, {ID: "2", Of: "id 2", Since: now.Add(-time.Minute)}, {ID: "3", Of: "id 3", Since: now},
	}})
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	_, err = s.handler.Room(t.Context(), "ann", uuid.New(), "w")
	must(t, err)
	if _, err = s.handler.Room(t.Context(), "ann", uuid.New(), "w"); !refused(err) {
		t.Errorf("a fourth: %v", err)
	}
}
