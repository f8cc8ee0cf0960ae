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
