package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// watched calls see whenever somebody asks whether to go on, which a pruning does before each transaction.
type watched struct {
	context.Context
	see func()
}

func (w watched) Err() error {
	w.see()
	return w.Context.Err()
}

// No transaction of the pruning deletes more lines than a bound, whether they are of one job or of many.
func TestPruningInParts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	db := openFile(t, path)
	s := migrated(t, db)
	postings := slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 10)
	jobs, err := s.Enqueue(t.Context(), killEpoch, postings)
	must(t, err)
	ids := make([]uuid.UUID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
		fillLog(t, db, j.ID, map[bool]int{true: 15_000, false: 4_000}[i == 3])
	}
	_, err = s.Cancel(t.Context(), queue.Cancellation{Now: killEpoch, IDs: ids, Reason: "no longer wanted"})
	must(t, err)

	other := openFile(t, path) // sees what is committed
	left := []int{rowsOf(t, other, "dormouse_lines")}
	ctx := watched{t.Context(), func() { left = append(left, rowsOf(t, other, "dormouse_lines")) }}
	pruned, err := s.PruneJobs(ctx, killEpoch.Add(time.Hour), 100)
	must(t, err)
	left = append(left, rowsOf(t, other, "dormouse_lines"))
	most := 0
	for i, n := range left[1:] {
		most = max(most, left[i]-n)
	}
	if pruned != 10 || left[0] != 51_000 || left[len(left)-1] != 0 || most != 10_000 {
		t.Errorf("%d jobs deleted, %d lines before and %d after, at most %d at once; want 10, 51,000, 0 and 10,000",
			pruned, left[0], left[len(left)-1], most)
	}
}

// fillLog gives a job so many lines.
func fillLog(t *testing.T, db *sql.DB, job uuid.UUID, lines int) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), `
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2)
		INSERT INTO dormouse_lines (job_id, seq, at, text) SELECT ?1, i, 0, 'x' FROM n`, job[:], lines)
	must(t, err)
}

// A job that something of the host keeps has its whole log, however long it is, and one beside it goes.
func TestPruningKeepsTheLogOfAJobThatStays(t *testing.T) {
	for what, c := range map[string]struct{ keep, give string }{
		"reference": {
			`CREATE TABLE host_runs (job_id BLOB REFERENCES Dormouse_jobs (id)); INSERT INTO host_runs SELECT id FROM dormouse_jobs ORDER BY id LIMIT 1`,
			`DROP TABLE host_runs`,
		},
		"deferred reference": {
			`CREATE TABLE host_runs (job_id BLOB REFERENCES dormouse_jobs (id) DEFERRABLE INITIALLY DEFERRED);
			 INSERT INTO host_runs SELECT id FROM dormouse_jobs ORDER BY id LIMIT 1`,
			`DROP TABLE host_runs`,
		},
		"trigger": {
			`CREATE TRIGGER keeps BEFORE DELETE ON dormouse_jobs WHEN old.id = (SELECT id FROM dormouse_jobs ORDER BY id LIMIT 1)
			 BEGIN SELECT RAISE(ABORT, 'kept'); END`,
			`DROP TRIGGER keeps`,
		},
		"trigger that says nothing": {
			`CREATE TRIGGER keeps BEFORE DELETE ON dormouse_jobs WHEN old.id = (SELECT id FROM dormouse_jobs ORDER BY id LIMIT 1)
			 BEGIN SELECT RAISE(IGNORE); END`,
			`DROP TRIGGER keeps`,
		},
	} {
		t.Run(what, func(t *testing.T) {
			p := newPruned(t)
			jobs, err := p.s.Enqueue(t.Context(), killEpoch, slices.Repeat([]queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}}, 2))
			must(t, err)
			var ids []uuid.UUID
			for _, j := range jobs {
				ids = append(ids, j.ID)
				fillLog(t, p.db, j.ID, 12_000)
			}
			_, err = p.s.Cancel(t.Context(), queue.Cancellation{Now: killEpoch, IDs: ids, Reason: "no longer wanted"})
			must(t, err)
			p.exec(c.keep)
			prune := func(want, lines int) {
				t.Helper()
				n, err := p.s.PruneJobs(t.Context(), killEpoch.Add(time.Hour), 100)
				must(t, err)
				if left := rowsOf(t, p.db, "dormouse_lines"); n != want || left != lines {
					t.Errorf("%d jobs pruned, %d lines are left; want %d and %d", n, left, want, lines)
				}
			}
			prune(1, 12_000)
			prune(0, 12_000)
			p.exec(c.give)
			prune(1, 0)
		})
	}
}
