package sqlite_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// A job whose lane is gone, which only another hand can have made, is an error and no job of another kind.
func TestLaneThatIsMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dormouse.db")
	db := openFile(t, path)
	jobs, err := migrated(t, db).Enqueue(t.Context(), killEpoch, []queue.Posting{{Type: "build", Tags: map[string]string{"os": "linux"}}})
	must(t, err)
	db.SetMaxOpenConns(1)
	for _, statement := range []string{`PRAGMA foreign_keys = OFF`, `DELETE FROM dormouse_lanes`} {
		_, err := db.ExecContext(t.Context(), statement)
		must(t, err)
	}
	other := migrated(t, openFile(t, path))
	if found, err := other.Jobs(t.Context(), queue.Filter{IDs: []uuid.UUID{jobs[0].ID}}); err == nil || !strings.Contains(err.Error(), "is not there") {
		t.Errorf("found %+v, error %v", found, err)
	}
	if l, err := other.Ready(t.Context(), killEpoch, queue.ReadyQuery{}); err == nil {
		t.Errorf("ready is %+v", l)
	}
}

// A transaction of the host waits for who writes as long as it may, and says so.
func TestTransactionThatWaits(t *testing.T) {
	db := openNew(t)
	s, err := sqlite.New(db, sqlite.Config{BusyTimeout: time.Millisecond})
	must(t, err)
	first, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = first.Rollback() }()
	must(t, s.WithTx(first).PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()}))
	second, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = second.Rollback() }()
	err = s.WithTx(second).PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New()})
	if !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "waited 1ms") {
		t.Errorf("error %v, want one that says how long it waited", err)
	}
}
