package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// What a tenant invents leaves nothing behind when its jobs are gone, and a process that remembers the numbers of lanes that were
// deleted stores and claims jobs in them as ever.
func TestUnusedLanes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	db := openFile(t, path)
	s, other := migrated(t, db), migrated(t, openFile(t, path))
	postings := make([]queue.Posting, 200)
	for i := range postings {
		postings[i] = queue.Posting{Organization: uuid.New(), Tenant: uuid.New(), Type: "build", Tags: map[string]string{"only": fmt.Sprint(i)}}
	}
	kept, err := s.Enqueue(t.Context(), killEpoch, []queue.Posting{{Organization: uuid.New(), Type: "build", Tags: map[string]string{"kept": "1"}}})
	must(t, err)
	for _, p := range []*sqlite.Store{s, other} {
		jobs, err := p.Enqueue(t.Context(), killEpoch, postings)
		must(t, err)
		ids := make([]uuid.UUID, len(jobs))
		for i, j := range jobs {
			ids[i] = j.ID
		}
		_, err = p.Cancel(t.Context(), queue.Cancellation{Now: killEpoch, IDs: ids, Reason: "no longer wanted"})
		must(t, err)
	}
	_, err = s.PruneJobs(t.Context(), killEpoch.Add(time.Hour), 1000)
	must(t, err)
	if lanes, turns := rowsOf(t, db, "dormouse_lanes"), rowsOf(t, db, "dormouse_turns"); lanes != 2 || turns != 1 {
		t.Errorf("%d lanes and %d turns are left: must be those of the one job that waits, and the last lane", lanes, turns)
	}
	// The lanes come back in another order, so that a number of old would be that of another lane.
	for i := range 50 {
		posted, err := other.Enqueue(t.Context(), killEpoch, postings[100-i:101-i])
		must(t, err)
		if got := claimOne(t, s, posted[0]); got.Tags != posted[0].Tags || got.Organization != posted[0].Organization {
			t.Fatalf("posted with tags %v, claimed by another process with %v", posted[0].Tags, got.Tags)
		}
	}
	if got := claimOne(t, other, kept[0]); got.Tags != kept[0].Tags {
		t.Errorf("the job that waited has tags %v", got.Tags)
	}
}

func rowsOf(t *testing.T, db *sql.DB, table string) (n int) {
	t.Helper()
	must(t, db.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
	return n
}

// claimOne claims the job without a look before, as a process does that has heard of it.
func claimOne(t *testing.T, s *sqlite.Store, j queue.Job) queue.Job {
	t.Helper()
	process := uuid.New()
	_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Name: "a", Now: killEpoch})
	must(t, err)
	claimed, err := s.Claim(t.Context(), queue.Claim{
		Token: uuid.New(), Process: process, Now: killEpoch, Probes: []queue.Probe{{Lane: j.Lane()}}, Workers: []uuid.UUID{uuid.New()},
	})
	must(t, err)
	if len(claimed.Jobs) != 1 || claimed.Jobs[0].ID != j.ID {
		t.Fatalf("job %s is not claimed: %+v", j.ID, claimed.Jobs)
	}
	return claimed.Jobs[0]
}
