package sqlite_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// An older process writes templates, the engine and histories beside a newer one, and forgets people.
func TestRewritingWhatALaterVersionStored(t *testing.T) {
	db := openNew(t)
	s := migrated(t, db)
	exec := func(text string, args ...any) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), text, args...)
		must(t, err)
	}
	tm := lifecycle.Template{ID: uuid.New(), Name: "t"}
	must(t, s.PutTemplate(t.Context(), killEpoch, tm))
	must(t, s.PutEngine(t.Context(), killEpoch, lifecycle.Engine{}))
	exec(`UPDATE dormouse_templates SET policy = '{"later":1}', state = '{"later":1,"hold":{"until":"2026-03-09T00:00:00Z","by":"zoe","later":1}}'`)
	exec(`UPDATE dormouse_engine SET state = '{"later":1,"hold":{"until":"2026-03-09T00:00:00Z","by":"zoe","later":1}}'`)
	jobs, err := s.Enqueue(t.Context(), killEpoch, []queue.Posting{{Organization: uuid.New(), Type: "t"}})
	must(t, err)
	_, err = s.Cancel(t.Context(), queue.Cancellation{Now: killEpoch, IDs: []uuid.UUID{jobs[0].ID}, Reason: "no"})
	must(t, err)
	exec(`UPDATE dormouse_jobs SET history = CAST('[{"Attempt":1,"By":"zoe","later":1}]' AS BLOB)`)

	tm, _, err = s.Template(t.Context(), tm.ID)
	must(t, err)
	tm.Name = "renamed"
	must(t, s.PutTemplate(t.Context(), killEpoch, tm))
	must(t, s.ChangeTopics(t.Context(), lifecycle.AllTopics, 0))
	retried, err := s.RetryJobs(t.Context(), queue.Retry{Now: killEpoch.Add(time.Minute), IDs: []uuid.UUID{jobs[0].ID}, By: "zoe"})
	must(t, err)
	if len(retried) != 1 {
		t.Fatalf("%d jobs are retried", len(retried))
	}
	must(t, s.Forget(t.Context(), store.Person{ID: uuid.New(), Names: []string{"zoe"}, Pseudonym: uuid.New()}))
	for what, text := range map[string]string{
		"template": `SELECT policy->>'later' || (state->>'later') || (state->'hold'->>'later') FROM dormouse_templates`,
		"engine":   `SELECT (state->>'later') || (state->'hold'->>'later') || '1' FROM dormouse_engine`,
		"history":  `SELECT (CAST(history AS TEXT)->0->>'later') || json_array_length(CAST(history AS TEXT)) || '1' FROM dormouse_jobs`,
	} {
		want := "111"
		if what == "history" {
			want = "121" // with the retry there are two entries
		}
		var kept *string
		must(t, db.QueryRowContext(t.Context(), text).Scan(&kept))
		if kept == nil || *kept != want {
			t.Errorf("the %s has lost what it does not know: %v", what, kept)
		}
	}
}
