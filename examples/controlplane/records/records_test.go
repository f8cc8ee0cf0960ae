package records_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse/examples/controlplane/records"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// everywhere runs a test on both databases.
func everywhere(t *testing.T, test func(t *testing.T, db *records.DB)) {
	t.Run("sqlite", func(t *testing.T) {
		db, err := records.OpenSQLite(t.TempDir() + "/plane.db")
		must(t, err)
		t.Cleanup(func() { _ = db.Close() })
		test(t, migrated(t, db, false))
	})
	t.Run("postgres", func(t *testing.T) {
		db := stdlib.OpenDBFromPool(pgtest.Empty(t))
		t.Cleanup(func() { _ = db.Close() })
		test(t, migrated(t, db, true))
	})
}

func migrated(t *testing.T, db *sql.DB, numbered bool) *records.DB {
	t.Helper()
	r := records.New(db, numbered)
	for range 2 {
		must(t, r.Migrate(t.Context()))
	}
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Events are kept once, in the order of their numbers, byte for byte, and found by owner and workspace.
func TestEvents(t *testing.T) {
	everywhere(t, func(t *testing.T, db *records.DB) {
		ann, ben, ws := uuid.New(), uuid.New(), uuid.New()
		at := time.Date(2026, 3, 2, 9, 0, 0, 123000, time.UTC)
		for i, e := range []records.Event{
			{Key: "a", Owner: ann, Workspace: ws, Kind: "k", At: at, Body: []byte(`{"text":"ü <b>"}`)},
			{Key: "a", Owner: ann, Workspace: ws, Kind: "k", At: at, Body: []byte(`{"again":true}`)},
			{Key: "b", Owner: ben, Workspace: uuid.New(), Kind: "k", At: at.Add(time.Hour), Body: []byte(`{}`)},
		} {
			if err := db.AddEvent(t.Context(), e); err != nil {
				t.Fatal(i, err)
			}
		}
		all, err := db.EventsAfter(t.Context(), 0, uuid.Nil, 10)
		must(t, err)
		if len(all) != 2 || string(all[0].Body) != `{"text":"ü <b>"}` || all[0].Workspace != ws || !all[0].At.Equal(at) || all[1].Seq <= all[0].Seq {
			t.Fatalf("%+v", all)
		}
		if hers, err := db.EventsAfter(t.Context(), 0, ann, 10); err != nil || len(hers) != 1 || hers[0].Key != "a" {
			t.Errorf("%+v, %v", hers, err)
		}
		if last, err := db.LastEvent(t.Context()); err != nil || last != all[1].Seq {
			t.Errorf("%d, %v", last, err)
		}
	})
}

// A request is begun by one, answered once, and taken over by one of those who find it orphaned.
func TestRequests(t *testing.T) {
	everywhere(t, func(t *testing.T, db *records.DB) {
		now := time.Now().Truncate(time.Microsecond)
		begin := func(digest, by string) (bool, records.Answer) {
			first, a, err := db.BeginRequest(t.Context(), "owner ann", "k", []byte(digest), now, by)
			must(t, err)
			return first, a
		}
		if first, _ := begin("x", "one"); !first {
			t.Fatal("the first is not first")
		}
		first, a := begin("x", "two")
		if first || !a.Same || a.Status != 0 || a.BegunBy != "one" {
			t.Errorf("%v %+v", first, a)
		}
		for i, want := range []bool{true, false} {
			if ok, err := db.TakeRequest(t.Context(), "owner ann", "k", a, now.Add(time.Second), "two"); err != nil || ok != want {
				t.Errorf("take %d: %v %v", i, ok, err)
			}
		}
		must(t, db.EndRequest(t.Context(), "owner ann", "k", 200, []byte(`{"id":1}`)))
		if _, a := begin("x", "three"); a.Status != 200 || string(a.Body) != `{"id":1}` {
			t.Errorf("%+v", a)
		}
		if _, a := begin("y", "three"); a.Same {
			t.Error("another request passes for the same")
		}
		must(t, db.PruneRequests(t.Context(), now.Add(time.Minute)))
		if first, _ := begin("x", "four"); !first {
			t.Error("what was forgotten is known")
		}
	})
}

func TestTokensAndFacts(t *testing.T) {
	everywhere(t, func(t *testing.T, db *records.DB) {
		now := time.Now().Truncate(time.Microsecond)
		must(t, db.PutToken(t.Context(), records.Token{ID: "a", Hash: []byte{0, 1, 255}, Kind: "worker", Name: "w", Detail: "{}", CreatedAt: now}))
		got, ok, err := db.Token(t.Context(), "a")
		if err != nil || !ok || string(got.Hash) != "\x00\x01\xff" || !got.CreatedAt.Equal(now) {
			t.Errorf("%+v %v %v", got, ok, err)
		}
		if ok, err := db.SetTokenDetail(t.Context(), "a", "{}", "new"); !ok || err != nil {
			t.Error(ok, err)
		}
		if ok, _ := db.SetTokenDetail(t.Context(), "a", "{}", "newer"); ok {
			t.Error("a detail that is not there any more was replaced")
		}
		if was, err := db.EndToken(t.Context(), "a", now); !was || err != nil {
			t.Error(was, err)
		}
		if _, ok, _ := db.Token(t.Context(), "a"); ok {
			t.Error("an ended token is valid")
		}
		for want, replace := range map[string]bool{"first": false} {
			if v, err := db.KeepFact(t.Context(), "f", want, replace); v != want || err != nil {
				t.Error(v, err)
			}
		}
		if v, _ := db.KeepFact(t.Context(), "f", "second", false); v != "first" {
			t.Errorf("the second counts: %s", v)
		}
		if v, _ := db.KeepFact(t.Context(), "f", "third", true); v != "third" {
			t.Errorf("not replaced: %s", v)
		}
		v := records.Version{Template: "t", Provisioner: "process", Tags: map[string]string{"b": "2", "a": "1"}}
		for range 2 {
			id, err := db.PutVersion(t.Context(), v)
			must(t, err)
			if kept, ok, err := db.Version(t.Context(), id); err != nil || !ok || kept.ID() != id {
				t.Errorf("%+v %v %v", kept, ok, err)
			}
		}
	})
}

// Places change as a whole, and only as they were read: also the first ones, and after all were left.
func TestRooms(t *testing.T) {
	everywhere(t, func(t *testing.T, db *records.DB) {
		at := time.Now().UTC().Truncate(time.Microsecond)
		read := func(owner string) records.Rooms {
			r, err := db.Rooms(t.Context(), owner)
			must(t, err)
			return r
		}
		put := func(owner string, r records.Rooms, ids ...string) bool {
			r.Places = nil
			for _, id := range ids {
				r.Places = append(r.Places, records.Place{ID: id, Of: "id " + id, Since: at})
			}
			ok, err := db.PutRooms(t.Context(), owner, r)
			must(t, err)
			return ok
		}
		none := read("ann")
		if len(none.Places) > 0 || !put("ann", none, "1") || put("ann", none, "2") || !put("ben", none, "3") {
			t.Error("the first places of each are not one change")
		}
		one := read("ann")
		if len(one.Places) != 1 || one.Places[0] != (records.Place{ID: "1", Of: "id 1", Since: at}) {
			t.Errorf("%+v", one)
		}
		if !put("ann", one) || put("ann", one, "4") || put("ann", none, "5") {
			t.Error("what came and went is not seen")
		}
		if left := read("ann"); len(left.Places) > 0 || !put("ann", left, "6", "7") || len(read("ann").Places) != 2 {
			t.Errorf("%+v", left)
		}
	})
}
