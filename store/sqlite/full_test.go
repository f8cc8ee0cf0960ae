package sqlite_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// A disk that is full keeps what was committed whole, says that the store is unavailable, and is forgotten when there is room
// again.
func TestFullDisk(t *testing.T) {
	db := openNew(t)
	db.SetMaxOpenConns(1) // the limit belongs to the connection
	s := migrated(t, db)
	ids := seed(t, s, 100)
	limit := func(pages int) {
		_, err := db.ExecContext(t.Context(), fmt.Sprintf(`PRAGMA max_page_count = %d`, pages))
		must(t, err)
	}
	var used int
	must(t, db.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&used))
	limit(used + 40)
	committed := int64(0)
	for round := 0; ; round++ {
		var changes []lifecycle.Change
		found, err := s.Load(t.Context(), ids...)
		must(t, err)
		for _, snapshot := range found {
			c := lifecycle.Change{Revision: snapshot.Workspace.Revision, Workspace: snapshot.Workspace}
			c.Events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: killEpoch, WorkspaceID: snapshot.Workspace.ID, Message: strings.Repeat("x", 500)}}
			changes = append(changes, c)
		}
		if _, err = s.Commit(t.Context(), killEpoch, changes); err != nil {
			if !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
				t.Fatalf("a full disk is %v", err)
			}
			break
		}
		if committed++; round > 1000 {
			t.Fatal("the disk is never full")
		}
	}
	wantRevisions(t, s, ids, committed)
	limit(1 << 30)
	page, err := s.Due(t.Context(), lifecycle.DueQuery{Now: killEpoch.Add(time.Hour), Limit: 200})
	must(t, err)
	var changes []lifecycle.Change
	for _, snapshot := range page {
		changes = append(changes, lifecycle.Change{Revision: snapshot.Workspace.Revision, Workspace: snapshot.Workspace})
	}
	if _, err := s.Commit(t.Context(), killEpoch, changes); err != nil {
		t.Errorf("with room again: %v", err)
	}
	wantRevisions(t, s, ids, committed+1)
}

// wantRevisions sees that every workspace was written so many times, and has an event for each.
func wantRevisions(t *testing.T, s lifecycle.Store, ids []uuid.UUID, writes int64) {
	t.Helper()
	found, err := s.Load(t.Context(), ids...)
	must(t, err)
	for _, snapshot := range found {
		if snapshot.Workspace.Revision != found[0].Workspace.Revision {
			t.Fatalf("a commit is there in part: revisions %d and %d", snapshot.Workspace.Revision, found[0].Workspace.Revision)
		}
	}
	if len(found) != len(ids) || found[0].Workspace.Revision != writes+1 {
		t.Errorf("revision %d after %d writes", found[0].Workspace.Revision, writes)
	}
}
