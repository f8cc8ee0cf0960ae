package sqlite_test

import (
	"database/sql"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// What a workspace has in line costs the claims of others' events nothing that grows with it, wherever they stand. SQLite does not
// tell what it reads, so the time of the processor is measured: a hundred times the line takes a hundred times as much if it is read.
func TestAClaimOfEventsPassesALongLine(t *testing.T) {
	if raced {
		t.Skip("the race detector takes minutes for so many events, and measures itself")
	}
	for name, c := range map[string]struct{ before, behind, want int }{
		"in front":     {0, 300, 30},
		"at the end":   {300, 0, 30},
		"nothing else": {0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			short, long := claimsBeside(t, 1000, c.before, c.behind, c.want), claimsBeside(t, 100000, c.before, c.behind, c.want)
			if long > 20*max(short, time.Millisecond) {
				t.Errorf("a claim takes %v beside 1000 events of one workspace, and %v beside 100000", short, long)
			}
		})
	}
}

// claimsBeside returns the least time that one of several claims takes where the first event of a long line waits for its retry.
func claimsBeside(t *testing.T, line, before, behind, want int) time.Duration {
	t.Helper()
	db := openNew(t)
	s := migrated(t, db)
	lined(t, db, line, before, behind)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := time.Hour
	for i := range 7 {
		now := killEpoch.Add(time.Duration(i) * time.Hour) // what an earlier round has claimed is free again
		began := threadTime(t)
		events, err := s.ClaimEvents(t.Context(), now, []lifecycle.Topic{lifecycle.TopicAudit}, time.Minute, 30)
		least = min(least, threadTime(t)-began)
		must(t, err)
		if len(events) != want {
			t.Fatalf("%d events were claimed, want %d", len(events), want)
		}
	}
	return least
}

// lined fills the outbox with the events of one workspace, the first of which waits for its retry, and some of others before
// or behind them.
func lined(t *testing.T, db *sql.DB, line, before, behind int) {
	t.Helper()
	const numbers = `WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1) `
	const others = numbers + `INSERT INTO dormouse_events (topic, workspace_id, body) SELECT 0, randomblob(16), CAST('{}' AS BLOB) FROM numbers WHERE n <= ?1`
	_, err := db.ExecContext(t.Context(), others, before)
	must(t, err)
	_, err = db.ExecContext(t.Context(), numbers+`INSERT INTO dormouse_events (topic, workspace_id, body, attempt, claimable_at)
		SELECT 0, x'77777777000040008000000000000000', CAST('{}' AS BLOB), n = 1, CASE n WHEN 1 THEN ?2 END FROM numbers`,
		line, killEpoch.Add(time.Hour*24).UnixMicro())
	must(t, err)
	_, err = db.ExecContext(t.Context(), others, behind)
	must(t, err)
}

// threadTime is what the thread has had of the processor.
func threadTime(t *testing.T) time.Duration {
	t.Helper()
	const ofThread = 1
	var used syscall.Rusage
	must(t, syscall.Getrusage(ofThread, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
