package sqlite_test

import (
	"database/sql"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// What another hand has written into a job and nobody can read is an error of that job: it is neither overwritten nor taken for
// something else.
func TestCorruptJobs(t *testing.T) {
	db := openNew(t)
	db.SetMaxOpenConns(1)
	s := migrated(t, db)
	write(t, db, `PRAGMA ignore_check_constraints = ON`)
	jobs, err := s.Enqueue(t.Context(), killEpoch, []queue.Posting{{Type: "build"}})
	must(t, err)
	ids := []uuid.UUID{jobs[0].ID}
	_, err = s.Cancel(t.Context(), queue.Cancellation{Now: killEpoch, IDs: ids})
	must(t, err)
	write(t, db, `UPDATE dormouse_jobs SET history = CAST('no list' AS BLOB)`)
	if history, err := s.Attempts(t.Context(), ids[0]); err == nil {
		t.Errorf("history %+v", history)
	}
	if changed, err := s.RetryJobs(t.Context(), queue.Retry{Now: killEpoch, IDs: ids}); err == nil {
		t.Errorf("retried over a history that cannot be read: %+v", changed)
	}
	write(t, db, `UPDATE dormouse_jobs SET history = NULL`)
	for _, state := range []int{-1, 6} {
		write(t, db, `UPDATE dormouse_jobs SET state = ?`, state)
		if found, err := s.Jobs(t.Context(), queue.Filter{IDs: ids}); err == nil {
			t.Errorf("state %d is read as %+v", state, found)
		}
	}
}

func write(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement, args...)
	must(t, err)
}
