package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// After the number claimed last went back, as in a database that was restored beside a process that goes on, a look finds what stands in
// front of the bounds it has learned, at once.
func TestLookAfterARestore(t *testing.T) {
	s, pool, claim, q := takenLine(t)
	exec(t, pool, `DELETE FROM dormouse.claimed`)
	exec(t, pool, `UPDATE dormouse.jobs SET state = 0, ready = true, process_id = NULL, place = 1
		WHERE id = (SELECT id FROM dormouse.jobs ORDER BY place LIMIT 1)`)
	wantLanes(t, s, q, 1)
	takeJobs(t, s, claim, 1)
	wantLanes(t, s, q, 0)
}

// However many jobs' time has come, a look finds all of them ready.
func TestManyTurnReady(t *testing.T) {
	s, pool := open(t)
	_, org := newLineOfOne(t, s, 2500)
	exec(t, pool, `UPDATE dormouse.jobs SET ready = false, ready_at = $1`, epoch.Add(time.Millisecond))
	listing, err := s.Ready(t.Context(), epoch.Add(time.Second), queue.ReadyQuery{Organizations: []uuid.UUID{org}, CountTo: 5000})
	must(t, err)
	if len(listing.Lanes) != 1 || listing.Lanes[0].Count != 2500 || !listing.Next.IsZero() {
		t.Errorf("%+v", listing)
	}
}
