package sqlite_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// An event that cannot be read is in the way of its own workspace only.
func TestStoredEventThatCannotBeRead(t *testing.T) {
	db := openNew(t)
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

// An event of a later version is dropped by its age like the others.
func TestStoredEventThatCannotBeReadIsDropped(t *testing.T) {
	db := openNew(t)
	s := migrated(t, db)
	all, err := s.Load(t.Context(), seed(t, s, 1)...)
	must(t, err)
	change := nextBuild(&all[0])
	change.Events[0].At = killEpoch
	_, err = s.Commit(t.Context(), killEpoch, []lifecycle.Change{change})
	must(t, err)
	_, err = db.ExecContext(t.Context(), `UPDATE dormouse_events SET body = CAST(json_set(CAST(body AS TEXT), '$.topic', 'of a later version') AS BLOB)`)
	must(t, err)
	for _, want := range []struct {
		before time.Time
		left   int
	}{{killEpoch, 1}, {killEpoch.Add(time.Hour), 0}} {
		dropped, err := s.PruneEvents(t.Context(), want.before, []lifecycle.Topic{lifecycle.TopicAudit}, 10)
		must(t, err)
		b, err := s.Backlog(t.Context(), killEpoch)
		must(t, err)
		if len(dropped) != 0 || b.Events != want.left {
			t.Errorf("before %v: %d dropped events were readable, %d are left, want 0 and %d", want.before, len(dropped), b.Events, want.left)
		}
	}
}
