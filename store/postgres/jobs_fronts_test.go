package postgres_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// While an old snapshot keeps dead entries in the index, a look does not walk them again and again, and claims leave the lanes
// beside them as they are.
func TestLookUnderAnOldSnapshot(t *testing.T) {
	wide, pool := open(t)
	exec(t, pool, `ALTER TABLE dormouse.jobs SET (autovacuum_enabled = off)`)
	claim, org := newLineOfOne(t, wide, 3000)
	_, err := wide.Enqueue(t.Context(), epoch, []queue.Posting{
		{Organization: org, Tenant: org, Type: "a"},
		{Organization: org, Tenant: org, Type: "z"},
		{Organization: org, Tenant: org, Type: "build", Priority: 3},
	})
	must(t, err)
	old, err := pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	must(t, err)
	defer func() { _ = old.Rollback(t.Context()) }()
	_, err = old.Exec(t.Context(), `SELECT count(*) FROM dormouse.jobs`)
	must(t, err)
	single := alone(t, pool)
	s := over(t, single)
	look := func(lanes int) {
		t.Helper()
		wantLanes(t, s, queue.ReadyQuery{Organizations: []uuid.UUID{org}, CountTo: 1}, lanes)
	}
	look(4)
	for range 6 {
		takeJobs(t, s, claim, 500)
	}
	for range 3 { // learns it
		look(3)
	}
	before := readsOf(t, single)
	const times = 8
	for range times {
		look(3)
	}
	if each := (readsOf(t, single).entries - before.entries) / times; each > 100 {
		t.Errorf("a look reads %d entries of the indexes, 3,000 of them dead", each)
	}
}

func wantLanes(t *testing.T, s *postgres.Store, q queue.ReadyQuery, lanes int) {
	t.Helper()
	listing, err := s.Ready(t.Context(), epoch.Add(time.Second), q)
	must(t, err)
	if len(listing.Lanes) != lanes {
		t.Fatalf("%d lanes, want %d: %+v", len(listing.Lanes), lanes, listing.Lanes)
	}
}

// A number that was given in a transaction which commits late is below what others have claimed meanwhile. Looks see its job
// when it is committed: as long as the transaction is open they learn no bound above it.
func TestLookSeesALateCommit(t *testing.T) {
	s, pool := open(t)
	claim, org := newLineOfOne(t, s, 300)
	q := queue.ReadyQuery{Organizations: []uuid.UUID{org}, CountTo: 1}
	takeJobs(t, s, claim, 1)
	tx, err := pool.Begin(t.Context())
	must(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = s.WithTx(tx).Enqueue(t.Context(), epoch, []queue.Posting{{Organization: org, Tenant: uuid.New(), Type: "build"}})
	must(t, err)
	for range 4 {
		takeJobs(t, s, claim, 70)
		wantLanes(t, s, q, 1)
	}
	takeJobs(t, s, claim, 19)
	for range 3 {
		wantLanes(t, s, q, 0)
	}
	must(t, tx.Commit(t.Context()))
	wantLanes(t, s, q, 1)
	takeJobs(t, s, claim, 1)
}

// takenLine is a store that has learned where the only lane of an organization begins, of which all jobs were taken.
func takenLine(t *testing.T) (*postgres.Store, *pgxpool.Pool, queue.Claim, queue.ReadyQuery) {
	t.Helper()
	s, pool := open(t)
	claim, org := newLineOfOne(t, s, 300)
	q := queue.ReadyQuery{Organizations: []uuid.UUID{org}, CountTo: 1}
	wantLanes(t, s, q, 1)
	for range 3 {
		takeJobs(t, s, claim, 100)
		for range 3 { // learns it
			_, err := s.Ready(t.Context(), epoch.Add(time.Second), q)
			must(t, err)
		}
	}
	wantLanes(t, s, q, 0)
	return s, pool, claim, q
}

// A process of an earlier version leaves a job that is tried again in front of what was claimed. A look that is whole finds it, and
// so do those that come after, until it is claimed.
func TestLookBehindAnEarlierVersion(t *testing.T) {
	s, pool, claim, q := takenLine(t)
	exec(t, pool, `UPDATE dormouse.jobs SET state = 0, ready = true, process_id = NULL, place = 1
		WHERE id = (SELECT id FROM dormouse.jobs ORDER BY place LIMIT 1)`)
	whole := q
	whole.Whole = true
	wantLanes(t, s, whole, 1)
	wantLanes(t, s, q, 1)
	takeJobs(t, s, claim, 1)
	wantLanes(t, s, q, 0)
}

// newLineOfOne is newLine for jobs of one tenant, each with a number of its own.
func newLineOfOne(t *testing.T, s *postgres.Store, n int) (claim queue.Claim, org uuid.UUID) {
	t.Helper()
	claim = newLine(t, s, 1)
	org = claim.Probes[0].Lane.Organization
	postings := make([]queue.Posting, n-1)
	for i := range postings {
		postings[i] = queue.Posting{Organization: org, Tenant: org, Type: "build"}
	}
	_, err := s.Enqueue(t.Context(), epoch, postings)
	must(t, err)
	return claim, org
}

// What a look tells the server grows with the lanes: each bound is told once, and not with each page.
func TestLookTellsABoundOnce(t *testing.T) {
	wide, pool := open(t)
	var sent atomic.Int64
	cfg := pool.Config()
	cfg.MaxConns = 1
	dial := cfg.ConnConfig.DialFunc
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &countedConn{conn, &sent}, err
	}
	counted, err := pgxpool.NewWithConfig(t.Context(), cfg)
	must(t, err)
	t.Cleanup(counted.Close)
	s := over(t, counted)
	look := func(n int) int64 {
		postings, org := make([]queue.Posting, n), uuid.New()
		for i := range postings {
			postings[i] = queue.Posting{Organization: org, Tenant: org, Type: "build", Tags: map[string]string{"only": fmt.Sprint(i)}}
		}
		for page := range slices.Chunk(postings, 500) {
			_, err := wide.Enqueue(t.Context(), epoch, page)
			must(t, err)
		}
		var before int64
		for i := range 5 { // the first learns them, and the rest that others have claimed what was in front of what they hold now
			before = sent.Load()
			wantLanes(t, s, queue.ReadyQuery{Organizations: []uuid.UUID{org}, CountTo: 1}, n)
			if i == 0 {
				exec(t, pool, `INSERT INTO dormouse.claimed (organization_id, priority, place) VALUES ($1, 0, 1::bigint << 40)`, org)
				exec(t, pool, `UPDATE dormouse.jobs SET place = place + (1::bigint << 40) WHERE organization_id = $1`, org)
			}
		}
		return sent.Load() - before
	}
	look(1)
	few, many := look(200), look(1000)
	if many > 7*few {
		t.Errorf("a look at 1,000 lanes sends %d bytes, at 200 lanes %d", many, few)
	}
}

// countedConn counts what is sent.
type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.sent.Add(int64(len(p)))
	return c.Conn.Write(p)
}
