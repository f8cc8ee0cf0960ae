package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// Claims are planned once for a connection and read jobs through their indexes only, on a table that the server believes
// to be empty, and leave the settings of the connection as they were.
func TestPlanOfClaims(t *testing.T) {
	for name, limits := range map[string]queue.Limits{"free": {}, "limited": {PerTenant: 1000}} {
		t.Run(name, func(t *testing.T) { testPlanOfClaims(t, limits) })
	}
}

func testPlanOfClaims(t *testing.T, limits queue.Limits) {
	wide, pool := open(t)
	exec(t, pool, `ALTER TABLE dormouse.jobs SET (autovacuum_enabled = off)`)
	exec(t, pool, `ANALYZE dormouse.jobs`)
	claim := newLine(t, wide, 3000)
	claim.Limits = limits
	single := alone(t, pool)
	s := over(t, single)
	takeJobs(t, s, claim, 1) // reads what later ones remember: the tag set
	before := jobScans(t, single)
	for range 12 {
		takeJobs(t, s, claim, 20)
	}
	if after := jobScans(t, single); after != before {
		t.Errorf("the jobs were read as a whole %d times", after-before)
	}
	wantOnePlan(t, single)
	for setting, want := range map[string]string{"enable_seqscan": "on", "jit": "on", "plan_cache_mode": "auto"} {
		var got string
		must(t, single.QueryRow(t.Context(), `SELECT current_setting($1)`, setting).Scan(&got))
		if got != want {
			t.Errorf("after a claim %s is %q, want %q", setting, got, want)
		}
	}
}

// newLine enqueues n jobs and returns a claim of a registered process for their lane.
func newLine(t *testing.T, s *postgres.Store, n int) queue.Claim {
	t.Helper()
	process := uuid.New()
	_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Name: "a", Now: epoch})
	must(t, err)
	postings := make([]queue.Posting, n)
	organization := uuid.New()
	for i := range postings {
		postings[i] = queue.Posting{ID: uuid.New(), Organization: organization, Tenant: uuid.New(), Type: "build"}
	}
	jobs, err := s.Enqueue(t.Context(), epoch, postings)
	must(t, err)
	return queue.Claim{Process: process, Now: epoch.Add(time.Second), Probes: []queue.Probe{{Lane: jobs[0].Lane()}}}
}

func takeJobs(t *testing.T, s *postgres.Store, claim queue.Claim, n int) {
	t.Helper()
	claim.Token, claim.Workers = uuid.New(), make([]uuid.UUID, n)
	for i := range claim.Workers {
		claim.Workers[i] = uuid.New()
	}
	claimed, err := s.Claim(t.Context(), claim)
	must(t, err)
	if len(claimed.Jobs) != n {
		t.Fatalf("claimed %d jobs, want %d", len(claimed.Jobs), n)
	}
}

// jobScans is how often the only session of a pool has read the jobs as a whole.
func jobScans(t *testing.T, pool *pgxpool.Pool) (n int64) {
	t.Helper()
	flushCounters(t, pool)
	must(t, pool.QueryRow(t.Context(), `SELECT seq_scan FROM pg_stat_user_tables WHERE relid = 'dormouse.jobs'::regclass`).Scan(&n))
	return n
}

// wantOnePlan sees that the claims of the only session of a pool were not planned anew at each call.
func wantOnePlan(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	var generic, custom int64
	must(t, pool.QueryRow(t.Context(), `
		SELECT coalesce(sum(generic_plans), 0), coalesce(sum(custom_plans), 0)
		FROM pg_prepared_statements WHERE statement LIKE '%FOR NO KEY UPDATE OF j SKIP LOCKED%'`).Scan(&generic, &custom))
	if generic < 12 || custom > 0 {
		t.Errorf("claims used the plan made once %d times and one of their own %d times", generic, custom)
	}
}

// Limits hold whatever isolation the host's database defaults to.
func TestLimitsUnderRepeatableRead(t *testing.T) {
	_, first := open(t)
	cfg := first.Config()
	cfg.ConnConfig.RuntimeParams["default_transaction_isolation"] = "repeatable read"
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := over(t, pool)
	org, process := uuid.New(), uuid.New()
	if _, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Now: epoch}); err != nil {
		t.Fatal(err)
	}
	postings := make([]queue.Posting, 40)
	tenant := uuid.New()
	for i := range postings {
		postings[i] = queue.Posting{ID: uuid.New(), Organization: org, Tenant: tenant, Type: fmt.Sprintf("build %d", i%8)}
	}
	jobs, err := s.Enqueue(t.Context(), epoch, postings)
	if err != nil {
		t.Fatal(err)
	}
	var got atomic.Int64
	var group sync.WaitGroup
	for i := range 8 { // no two of them want the same jobs
		group.Go(func() {
			for range 3 {
				c, err := s.Claim(t.Context(), queue.Claim{
					Token: uuid.New(), Process: process, Now: epoch, Workers: []uuid.UUID{uuid.New()},
					Probes: []queue.Probe{{Lane: jobs[i].Lane()}}, Limits: queue.Limits{PerTenant: 2},
				})
				if err != nil {
					t.Error(err)
				}
				got.Add(int64(len(c.Jobs)))
			}
		})
	}
	group.Wait()
	if got.Load() != 2 {
		t.Errorf("%d jobs of a tenant run, want 2", got.Load())
	}
}

// The claim of a process that is lost locks no job: others would pass over it, and think that there is none.
func TestLostProcessLocksNothing(t *testing.T) {
	s, pool := open(t)
	for name, lanes := range map[string]int{"one lane": 1, "several lanes": 2} {
		claim := newLine(t, s, 3)
		claim.Token, claim.Workers = uuid.New(), []uuid.UUID{uuid.New(), uuid.New()}
		if lanes > 1 {
			other := claim.Probes[0]
			other.Lane.Priority = 1
			claim.Probes = append(claim.Probes, other)
		}
		exec(t, pool, `UPDATE dormouse.processes SET lost_at = now() WHERE id = $1`, claim.Process)
		if _, err := s.Claim(t.Context(), claim); !errors.Is(err, queue.ErrProcessLost) {
			t.Errorf("%s: error %v", name, err)
		}
		var locked int
		must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.jobs WHERE xmax <> '0'::xid`).Scan(&locked))
		if locked > 0 {
			t.Errorf("%s: %d jobs were locked", name, locked)
		}
	}
}
