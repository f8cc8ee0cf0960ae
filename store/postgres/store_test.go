package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
	"github.com/dormouse-go/dormouse/store/storetest"
)

// open returns a store in a database of its own.
func open(t testing.TB) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	pool := pgtest.Pool(t)
	return over(t, pool), pool
}

// over returns a store over a pool.
func over(t testing.TB, pool *pgxpool.Pool) *postgres.Store {
	t.Helper()
	s, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// emptySQL leaves the schema as a migration left it, but for the interned tag sets, in a fraction of the time of a new
// database.
const emptySQL = `
	DELETE FROM dormouse.members;
	DELETE FROM dormouse.pools;
	DELETE FROM dormouse.workspaces; DELETE FROM dormouse.templates; DELETE FROM dormouse.owners; DELETE FROM dormouse.marks;
	DELETE FROM dormouse.events; DELETE FROM dormouse.replicas; DELETE FROM dormouse.jobs; DELETE FROM dormouse.turns;
	DELETE FROM dormouse.claimed; DELETE FROM dormouse.processes; DELETE FROM dormouse.pauses;
	DELETE FROM dormouse.engine; DELETE FROM dormouse.ticks; DELETE FROM dormouse.deletions; DELETE FROM dormouse.zones`

// An event that cannot be read is in the way of its own workspace only, and is dropped when it is old.
func TestUnreadableEvent(t *testing.T) {
	_, pool := open(t)
	s, err := postgres.New(pool, postgres.Config{})
	must(t, err)
	f := newFleet(t, s, 2)
	audit := []lifecycle.Topic{lifecycle.TopicAudit}
	for _, snapshot := range load(t, s, f.ids...) {
		c := wakeAt(snapshot, epoch)
		c.Events = []lifecycle.Event{{Topic: lifecycle.TopicAudit, Kind: lifecycle.EventChanged, At: epoch, WorkspaceID: snapshot.Workspace.ID}}
		_, err := s.Commit(t.Context(), epoch, []lifecycle.Change{c})
		must(t, err)
	}
	exec(t, pool, `UPDATE dormouse.events SET body = '{"topic": "of a later version", "at": "2026-03-02T08:00:00Z"}' WHERE seq = (SELECT min(seq) FROM dormouse.events)`)
	claimed, err := s.ClaimEvents(t.Context(), epoch, audit, time.Minute, 10)
	must(t, err)
	if len(claimed) != 1 || claimed[0].WorkspaceID == uuid.Nil {
		t.Errorf("claimed %+v, want the one that can be read", claimed)
	}
	dropped, err := s.PruneEvents(t.Context(), epoch.Add(time.Hour), audit, 10)
	must(t, err)
	if len(dropped) != 1 {
		t.Errorf("dropped %+v, want the one that can be read", dropped)
	}
	var left int
	must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.events`).Scan(&left))
	if left != 0 {
		t.Errorf("%d events are left", left)
	}
}

// inMode returns a pool to the same database that makes statements in another way.
func inMode(t testing.TB, pool *pgxpool.Pool, mode pgx.QueryExecMode) *pgxpool.Pool {
	t.Helper()
	cfg := pool.Config()
	cfg.ConnConfig.DefaultQueryExecMode = mode
	other, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(other.Close)
	return other
}

// Behind a pooler of transactions there may be no prepared statements.
func TestConformanceWithoutPreparedStatements(t *testing.T) {
	conform(t, inMode(t, pgtest.Pool(t), pgx.QueryExecModeCacheDescribe))
}

func TestConformance(t *testing.T) { conform(t, pgtest.Pool(t)) }

func conform(t *testing.T, pool *pgxpool.Pool) { conformWith(t, pool, postgres.Config{}) }

func conformWith(t *testing.T, pool *pgxpool.Pool, cfg postgres.Config) {
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Cleanup(func() {
			sameKeys(t, pool)
			if _, err := pool.Exec(context.Background(), emptySQL); err != nil {
				t.Errorf("empty the database: %v", err)
			}
		})
		s, err := postgres.New(pool, cfg)
		must(t, err)
		return s
	}, storetest.Options{Unregister: unregister, Garble: garble, Corrupt: corrupt, Dump: dump(pool), Like: like})
}

// like makes the store whose answers those of this one are compared with.
func like() store.Store { return memory.New() }

func corrupt(t *testing.T, s storetest.LifecycleStore, what string, id uuid.UUID, value string) {
	if err := s.(*postgres.Store).Corrupt(t.Context(), what, id, value); err != nil {
		t.Fatal(err)
	}
}

func unregister(t *testing.T, s queue.Store, process uuid.UUID) {
	if err := s.(*postgres.Store).Unregister(t.Context(), process); err != nil {
		t.Fatal(err)
	}
}

func garble(t *testing.T, s queue.Store, process uuid.UUID, tags queue.TagSet) {
	if err := s.(*postgres.Store).Garble(t.Context(), process, tags); err != nil {
		t.Fatal(err)
	}
}

// dump reads every row of every table.
func dump(pool *pgxpool.Pool) func(*testing.T, store.Store) string {
	return func(t *testing.T, _ store.Store) string {
		rows, err := pool.Query(t.Context(), `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'dormouse' ORDER BY 1`)
		must(t, err)
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		must(t, err)
		var b strings.Builder
		for _, table := range tables {
			rows, err := pool.Query(t.Context(), `SELECT * FROM `+table)
			must(t, err)
			for rows.Next() {
				values, err := rows.Values()
				must(t, err)
				fmt.Fprintf(&b, "%s: %s\n", table, values)
			}
			must(t, rows.Err())
		}
		return b.String()
	}
}
