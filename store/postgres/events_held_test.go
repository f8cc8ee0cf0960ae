package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// The row of an event that somebody holds costs that event alone: the others are claimed, settled and pruned.
func TestEventsBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 4)
	var changes []lifecycle.Change
	for _, w := range load(t, s, f.ids...) {
		c := wakeAt(w, epoch)
		c.Events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: w.Workspace.ID}}
		changes = append(changes, c)
	}
	_, err := s.Commit(t.Context(), epoch, changes)
	must(t, err)
	audit := []lifecycle.Topic{lifecycle.TopicAudit}
	claim := func(minute int) (found map[uuid.UUID]lifecycle.Event) {
		t.Helper()
		events, err := s.ClaimEvents(soon(t), epoch.Add(time.Duration(minute)*time.Minute), audit, time.Minute, 10)
		must(t, err)
		found = map[uuid.UUID]lifecycle.Event{}
		for _, e := range events {
			found[e.WorkspaceID] = e
		}
		return found
	}
	held := f.ids[1]
	hold := func() func() {
		return holds(t, pool, `SELECT FROM dormouse.events WHERE workspace_id = $1 FOR UPDATE`, held)
	}
	release := hold()
	if got := claim(0); len(got) != 3 || got[held].Seq != 0 {
		t.Errorf("claimed %v", got)
	}
	release()
	got := claim(1)
	if len(got) != 4 {
		t.Errorf("claimed %v", got)
	}
	release = hold()
	var settled []lifecycle.Delivery
	for i, id := range f.ids {
		d := lifecycle.Delivery{Seq: got[id].Seq}
		if i == 3 {
			d.RetryAt = epoch
		}
		settled = append(settled, d)
	}
	must(t, s.SettleEvents(soon(t), epoch, settled))
	if got := claim(2); len(got) != 1 || got[f.ids[3]].Seq == 0 {
		t.Errorf("claimed %v", got)
	}
	must(t, s.SettleEvents(soon(t), epoch, []lifecycle.Delivery{{Seq: got[f.ids[3]].Seq, RetryAt: epoch}}))
	pruned, err := s.PruneEvents(soon(t), epoch.Add(time.Hour), audit, 10)
	must(t, err)
	if len(pruned) != 1 || pruned[0].WorkspaceID != f.ids[3] {
		t.Errorf("pruned %v", pruned)
	}
	release()
	if got := claim(3); len(got) != 1 || got[held].Seq == 0 || got[held].Attempt != 2 {
		t.Errorf("afterwards claimed %v", got)
	}
}

// A claim reads what it takes, however much waits: in its own topic and in others. The server that knows how many events of each topic
// there are may plan otherwise for one that has none.
func TestClaimedEventsAreFoundByIndex(t *testing.T) {
	for _, analyzed := range []bool{false, true} {
		t.Run(fmt.Sprintf("analyzed %v", analyzed), func(t *testing.T) {
			_, pool := open(t)
			exec(t, pool, `ALTER TABLE dormouse.events SET (autovacuum_enabled = off)`)
			exec(t, pool, `
				INSERT INTO dormouse.events (workspace_id, topic, body, free_at)
				SELECT gen_random_uuid(), n % 2, '{}', CASE WHEN n % 3 = 0 THEN $1::timestamptz - interval '1 minute' END FROM generate_series(1, 20000) n`, epoch)
			if analyzed {
				exec(t, pool, `ANALYZE dormouse.events`)
			}
			claimsByIndex(t, alone(t, pool))
		})
	}
}

func claimsByIndex(t *testing.T, single *pgxpool.Pool) {
	t.Helper()
	s := over(t, single)
	for _, topic := range []lifecycle.Topic{lifecycle.TopicAudit, lifecycle.TopicNotice, lifecycle.TopicPost} {
		for range 2 { // the first one reads the catalog
			before, err := eventReads(t, single)
			must(t, err)
			events, err := s.ClaimEvents(t.Context(), epoch, []lifecycle.Topic{topic}, time.Minute, 30)
			must(t, err)
			if topic != lifecycle.TopicPost && len(events) != 30 {
				t.Errorf("%d events of topic %v, want 30", len(events), topic)
			}
			after, err := eventReads(t, single)
			must(t, err)
			// Three kinds of 30 are looked at, each with what stands before it in its workspace, and 30 are written.
			if n := after - before; n > 1000 {
				t.Errorf("a claim of 30 events of topic %v read %d", topic, n)
			}
		}
	}
}

// eventReads is how many rows of events, and entries of their indexes, the only session of a pool has read.
func eventReads(t *testing.T, pool *pgxpool.Pool) (rows int64, err error) {
	t.Helper()
	flushCounters(t, pool)
	err = pool.QueryRow(t.Context(), `
		SELECT (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relid = 'dormouse.events'::regclass) +
			(SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relid = 'dormouse.events'::regclass)`).Scan(&rows)
	return rows, err
}
