package postgres_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// documents are the columns of JSON and how each keeps what a later version has stored in it. Of another one this has to be said.
var documents = map[string]string{
	"templates.policy":  "lifecycle.Policy keeps it",
	"templates.state":   "lifecycle.Template keeps it",
	"engine.state":      "lifecycle.Engine keeps it",
	"events.body":       "written once, but for store.Person.RewriteEvent, which keeps it",
	"jobs.history":      "added to by the server, but for store.Person.RewriteAttempts, which keeps it",
	"processes.workers": "each process writes its own as a whole",
}

func TestEveryDocumentKeepsWhatALaterVersionStored(t *testing.T) {
	_, pool := open(t)
	rows, err := pool.Query(t.Context(), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'dormouse' AND data_type IN ('json', 'jsonb')`)
	must(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	slices.Sort(found)
	if want := slices.Sorted(maps.Keys(documents)); !slices.Equal(found, want) {
		t.Errorf("the columns of JSON are %v, want %v", found, want)
	}
}

// An older process writes templates and the engine beside a newer one, and forgets people.
func TestRewritingWhatALaterVersionStored(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 1)
	person := store.Person{ID: uuid.New(), Names: []string{"zoe"}, Pseudonym: uuid.New()}
	must(t, s.PutEngine(t.Context(), epoch, lifecycle.Engine{Hold: lifecycle.Hold{Until: epoch.Add(time.Hour), By: "zoe"}}))
	exec(t, pool, `UPDATE dormouse.templates SET policy = '{"later":1}', state = '{"later":1,"hold":{"until":"2026-03-09T00:00:00Z","by":"zoe","later":1}}'`)
	exec(t, pool, `UPDATE dormouse.engine SET state = '{"later":1,"hold":{"until":"2026-03-09T00:00:00Z","by":"zoe","later":1}}'`)
	tm, _, err := s.Template(t.Context(), f.template.ID)
	must(t, err)
	tm.Name = "renamed"
	must(t, s.PutTemplate(t.Context(), epoch, tm))
	must(t, s.ChangeTopics(t.Context(), lifecycle.AllTopics, 0))
	_, err = s.Ticked(t.Context(), epoch, time.Minute, time.Hour)
	must(t, err)
	_, err = s.Ticked(t.Context(), epoch.AddDate(0, 0, 1), time.Minute, time.Hour) // after an outage
	must(t, err)
	e, err := s.Engine(t.Context())
	must(t, err)
	if e.SettleUntil.IsZero() || e.Topics == 0 {
		t.Fatalf("the engine was not written: %+v", e)
	}
	must(t, s.Forget(t.Context(), person))
	e, err = s.Engine(t.Context())
	must(t, err)
	e.DeletionsReleasedUntil = epoch
	must(t, s.PutEngine(t.Context(), epoch, e))
	for what, text := range map[string]string{
		"template": `SELECT policy->>'later' || (state->>'later') || (state->'hold'->>'later') FROM dormouse.templates`,
		"engine":   `SELECT (state->>'later') || (state->'hold'->>'later') || '1' FROM dormouse.engine`,
	} {
		var kept *string
		must(t, pool.QueryRow(t.Context(), text).Scan(&kept))
		if kept == nil || *kept != "111" {
			t.Errorf("the %s has lost what it does not know", what)
		}
	}
}

// Two codes say that others refer to a row: PostgreSQL 18 has one of its own for ON DELETE RESTRICT.
func TestReferredRowsAreInUse(t *testing.T) {
	for _, code := range []string{"23503", "23001"} {
		t.Run(code, func(t *testing.T) {
			s, pool := open(t)
			owner := lifecycle.Owner{ID: uuid.New(), Name: "zoe"}
			must(t, s.PutOwner(t.Context(), epoch, owner))
			tm := lifecycle.Template{ID: uuid.New(), Name: "t"}
			must(t, s.PutTemplate(t.Context(), epoch, tm))
			exec(t, pool, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				RAISE EXCEPTION 'in use' USING ERRCODE = '`+code+`'; END $$`)
			exec(t, pool, `CREATE TRIGGER host BEFORE DELETE ON dormouse.owners FOR EACH ROW EXECUTE FUNCTION refuse()`)
			exec(t, pool, `CREATE TRIGGER host BEFORE DELETE ON dormouse.templates FOR EACH ROW EXECUTE FUNCTION refuse()`)
			for what, err := range map[string]error{
				"owner": s.DeleteOwner(t.Context(), owner.ID), "template": s.DeleteTemplate(t.Context(), tm.ID),
				"person": s.Forget(t.Context(), store.Person{ID: owner.ID, Pseudonym: uuid.New()}),
			} {
				if !errors.Is(err, lifecycle.ErrInUse) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}
