package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
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
		s, err := sqlite.New(opened(), sqlite.Config{BusyTimeout: time.Minute}) // SQLite keeps no line, and the machine may be slow
		must(t, err)
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

// Who has seen rows does not see them again: what is locked in the middle of a result is not tried again.
func TestLockedInTheMiddleOfAResult(t *testing.T) {
	s, d, path := faulty(t)
	ids := seed(t, migrated(t, openFile(t, path)), 1)
	for n := range 3 {
		all, err := s.Load(t.Context(), ids...)
		must(t, err)
		c := nextBuild(&all[0])
		c.Job, c.Events = nil, nil
		_, err = s.Commit(t.Context(), killEpoch.Add(time.Duration(n)*time.Second), []lifecycle.Change{c})
		must(t, err)
	}
	builds := func() (int, error) {
		found, err := s.Builds(t.Context(), ids[0], 0, 10)
		return len(found), err
	}
	d.err = errors.New("database is locked (5) (SQLITE_BUSY)")
	for n := 1; n <= 7; n++ {
		ended := d.fail(n)
		found, err := builds()
		switch hit := ended(); {
		case !hit:
			t.Fatalf("answer %d is not reached", n)
		case n == 1 && (err != nil || found != 3): // nothing was seen yet
			t.Errorf("%d builds, %v", found, err)
		case n == 2 || n == 4 || n == 6: // a row cannot be had
			if err == nil && found != 3 || err != nil && !errors.Is(err, lifecycle.ErrUnavailable) {
				t.Errorf("answer %d: %d builds, %v", n, found, err)
			}
		}
	}
}
