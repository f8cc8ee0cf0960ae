package sqlite_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// A host may open the database itself, without the settings of Open: then readers and the writer lock each other out, and
// SQLite waits for nobody. What is locked is waited for all the same, for reads and for writes.
func TestOpenedByTheHostWithoutSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	opened := func() *sql.DB {
		db, err := sql.Open("sqlite", path)
		must(t, err)
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	first := migrated(t, opened())
	seed(t, first, 20)
	var g sync.WaitGroup
	for process := range 3 {
		s := migrated(t, opened())
		for worker := range 4 {
			g.Go(func() {
				for n := range 10 {
					id := uuid.NewSHA1(uuid.NameSpaceOID, fmt.Append(nil, process, worker, n))
					if _, err := s.Enqueue(t.Context(), killEpoch, []queue.Posting{{ID: id, Type: "t"}}); err != nil {
						t.Errorf("post: %v", err)
					}
					if _, err := s.Due(t.Context(), lifecycle.DueQuery{Now: killEpoch, Limit: 10}); err != nil {
						t.Errorf("read: %v", err)
					}
					if _, err := s.Jobs(t.Context(), queue.Filter{Limit: 50}); err != nil {
						t.Errorf("list: %v", err)
					}
				}
			})
		}
	}
	g.Wait()
	ready, err := first.Ready(t.Context(), killEpoch, queue.ReadyQuery{CountTo: 1000})
	must(t, err)
	if len(ready.Lanes) != 1 || ready.Lanes[0].Count != 120 {
		t.Errorf("%+v ready, want 120 jobs", ready.Lanes)
	}
}
