package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// An event that cannot be read is in the way of its own workspace only.
func TestStoredEventThatCannotBeRead(t *testing.T) {
	db := openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))
	s := migrated(t, db)
	all, err := s.Load(t.Context(), seed(t, s, 2)...)
	must(t, err)
	changes := []lifecycle.Change{nextBuild(&all[0]), nextBuild(&all[1])}
	_, err = s.Commit(t.Context(), killEpoch, changes)
	must(t, err)
	_, err = db.ExecContext(t.Context(), `UPDATE dormouse_events SET body = CAST('{' AS BLOB) WHERE seq = 1`)
	must(t, err)
	for range 2 {
		events, err := s.ClaimEvents(t.Context(), killEpoch, []lifecycle.Topic{lifecycle.TopicAudit}, time.Minute, 1)
		must(t, err)
		if len(events) == 1 && events[0].WorkspaceID == changes[1].Workspace.ID {
			return
		}
	}
	t.Error("the event of the other workspace must be claimable")
}
