package sqlite_test

import (
	"database/sql"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// However near a claim begins to look, it takes what one takes that has looked at everything by number.
func TestAClaimOfEventsFindsTheSameByEitherWay(t *testing.T) {
	db := openNew(t)
	s := migrated(t, db)
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 16))
		randomEvents(t, db, r)
		topics := []lifecycle.Topic{lifecycle.TopicNotice, lifecycle.TopicAudit}[r.IntN(2):]
		limit := r.IntN(14)
		want, err := s.Claimable(t.Context(), killEpoch, topics, limit, 1<<30)
		must(t, err)
		for _, reach := range []int{1, 3, 20} {
			got, err := s.Claimable(t.Context(), killEpoch, topics, limit, reach)
			must(t, err)
			if !slices.Equal(got, want) {
				t.Errorf("seed %d: %d events of %v, looking at %d first: got %d, want %d", seed, limit, topics, reach, got, want)
			}
		}
	}
}

// randomEvents are those of some workspaces with longer and shorter lines, whose first ones are in every state.
func randomEvents(t *testing.T, db *sql.DB, r *rand.Rand) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	_, err = tx.ExecContext(t.Context(), `DELETE FROM dormouse_events`)
	must(t, err)
	type line struct{ workspace, topic int }
	begun := map[line]bool{}
	lines := 1 + r.IntN(40)
	for range r.IntN(200) {
		l := line{r.IntN(1 + r.IntN(lines)), r.IntN(2)}
		var at *int64
		if !begun[l] && r.IntN(2) == 0 {
			some := killEpoch.Add(time.Duration(r.IntN(120)-60) * time.Second).UnixMicro()
			at = &some
		}
		begun[l] = true
		_, err := tx.ExecContext(t.Context(), `INSERT INTO dormouse_events (topic, workspace_id, claimable_at, body) VALUES (?, ?, ?, CAST('{}' AS BLOB))`,
			l.topic, []byte{byte(l.workspace), 15: 7}, at)
		must(t, err)
	}
	must(t, tx.Commit())
}

// A claim of events reads no more than it needs: in the order of its indexes, which it does not have to sort.
func TestClaimsOfEventsUseTheirIndexes(t *testing.T) {
	db := openNew(t)
	s := migrated(t, db)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			randomEvents(t, db, rand.New(rand.NewPCG(1, 16)))
			_, err := db.ExecContext(t.Context(), `ANALYZE`)
			must(t, err)
		}
		for statement, index := range s.ClaimEventStatements() {
			plan := planOf(t, db, statement)
			if !strings.Contains(plan, "INDEX "+index) || strings.Contains(plan, "TEMP B-TREE") || strings.Contains(plan, "SCAN dormouse") {
				t.Errorf("plan:\n%s\nmust search %s, scan nothing and sort nothing, for %s", plan, index, statement)
			}
		}
	}
}
