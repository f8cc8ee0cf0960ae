package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// jobReads are how often the only session of a pool has read the jobs as a whole, and how many entries of their indexes.
type jobReads struct{ whole, entries int64 }

func readsOf(t *testing.T, pool *pgxpool.Pool) (r jobReads) {
	t.Helper()
	flushCounters(t, pool)
	must(t, pool.QueryRow(t.Context(), `
		SELECT (SELECT seq_scan FROM pg_stat_user_tables WHERE relid = 'dormouse.jobs'::regclass),
			(SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relid = 'dormouse.jobs'::regclass)`).Scan(&r.whole, &r.entries))
	return r
}

// crowd is a queue in which much lies beside what is asked for: 6,000 ready jobs of one tenant, 6,000 delayed ones of another
// organization, 6,000 that are over.
type crowd struct {
	s       *postgres.Store
	pool    *pgxpool.Pool
	org     uuid.UUID
	tenant  uuid.UUID
	process uuid.UUID
	lane    queue.Lane
}

func newCrowd(t *testing.T, analyzed bool) crowd {
	t.Helper()
	const n = 6000
	wide, pool := open(t)
	exec(t, pool, `ALTER TABLE dormouse.jobs SET (autovacuum_enabled = off)`)
	exec(t, pool, `ANALYZE dormouse.jobs`)
	c := crowd{org: uuid.New(), tenant: uuid.New(), process: uuid.New()}
	_, err := wide.Heartbeat(t.Context(), queue.Heartbeat{Process: c.process, Now: epoch})
	must(t, err)
	var ready, delayed []queue.Posting
	for range n {
		ready = append(ready, queue.Posting{ID: uuid.New(), Organization: c.org, Tenant: c.tenant, Type: "build"})
		delayed = append(delayed, queue.Posting{
			ID: uuid.New(), Organization: uuid.Max, Tenant: c.tenant, Type: "build", NotBefore: epoch.Add(time.Hour),
		})
	}
	jobs, err := wide.Enqueue(t.Context(), epoch, ready)
	must(t, err)
	c.lane = jobs[0].Lane()
	_, err = wide.Enqueue(t.Context(), epoch, delayed)
	must(t, err)
	exec(t, pool, `
		INSERT INTO dormouse.jobs (id, organization_id, tenant_id, type, tag_set, priority, weight, trace, created_at, state, place, ready_at, ready, ended_at)
		SELECT gen_random_uuid(), organization_id, tenant_id, 'scan', tag_set, priority, weight, trace, created_at, 2, place, ready_at, false, created_at
		FROM dormouse.jobs WHERE ready`)
	if analyzed {
		exec(t, pool, `ANALYZE dormouse.jobs`)
	}
	c.pool = alone(t, pool)
	c.s = over(t, c.pool)
	return c
}

// within sees that a call reads no more entries of the indexes than it has to, and never the table as a whole. It is made
// often enough for the server to turn to generic plans.
func (c crowd) within(t *testing.T, what string, entries int64, call func() error) {
	t.Helper()
	must(t, call()) // reads what later ones remember
	before := readsOf(t, c.pool)
	const times = 8
	for range times {
		must(t, call())
	}
	after := readsOf(t, c.pool)
	if after.whole != before.whole {
		t.Errorf("%s reads the jobs as a whole", what)
	}
	if each := (after.entries - before.entries) / times; each > entries {
		t.Errorf("%s reads %d entries of the indexes, want at most %d", what, each, entries)
	}
}

// What is asked costs what it is about, not what lies beside it, also on a table that the server believes to be empty.
func TestCostOfJobCalls(t *testing.T) {
	for _, analyzed := range []bool{true, false} {
		t.Run(fmt.Sprintf("analyzed %v", analyzed), func(t *testing.T) { testCostOfJobCalls(t, newCrowd(t, analyzed)) })
	}
}

func testCostOfJobCalls(t *testing.T, c crowd) {
	free := queue.Limits{}
	limits := queue.Limits{PerTenant: 2}
	claim := func(limits queue.Limits) error {
		_, err := c.s.Claim(t.Context(), queue.Claim{
			Token: uuid.New(), Process: c.process, Now: epoch, Workers: []uuid.UUID{uuid.New()},
			Probes: []queue.Probe{{Lane: c.lane}}, Limits: limits,
		})
		return err
	}
	c.within(t, "a claim", 60, func() error { return claim(free) })
	must(t, claim(limits))
	must(t, claim(limits)) // the tenant is at its limit now
	c.within(t, "a claim beside a tenant at its limit", 100, func() error { return claim(limits) })
	_, err := c.s.Enqueue(t.Context(), epoch, []queue.Posting{{Organization: c.org, Tenant: uuid.New(), Type: "build"}})
	must(t, err)
	exec(t, c.pool, `
		INSERT INTO dormouse.jobs (id, organization_id, tenant_id, type, tag_set, priority, weight, trace, created_at, state, place, ready_at, ready, process_id)
		SELECT gen_random_uuid(), $1, tenant_id, type, tag_set, priority, weight, trace, created_at, 1, place, ready_at, false, $2
		FROM dormouse.jobs WHERE ready LIMIT 3000`, uuid.Max, c.process)
	c.within(t, "a claim with limits beside what runs elsewhere", 100, func() error { return claim(limits) })
	c.within(t, "a claim of one behind a tenant at its limit", 100, func() error { return claim(queue.Limits{PerTenant: 2, Types: map[string]int{"build": 3}}) })
	c.within(t, "a look", 100, func() error {
		_, err := c.s.Ready(t.Context(), epoch, queue.ReadyQuery{Organizations: []uuid.UUID{c.org}, CountTo: 1})
		return err
	})
	c.within(t, "a page of what is over", 1000, func() error {
		_, err := c.s.ListJobs(t.Context(), queue.JobQuery{Organization: c.org, States: []queue.State{queue.Failed, queue.Running}})
		return err
	})
	c.within(t, "a page", 2*queue.MaxExamined+1000, func() error {
		_, err := c.s.ListJobs(t.Context(), queue.JobQuery{Organization: c.org, States: []queue.State{queue.Succeeded}, Type: "none"})
		return err
	})
	c.within(t, "a count", 200, func() error {
		_, err := c.s.CountJobs(t.Context(), queue.JobQuery{Organization: c.org}, 50)
		return err
	})
	c.within(t, "a posting with a unique key", 100, func() error {
		_, err := c.s.Enqueue(t.Context(), epoch, []queue.Posting{{Organization: c.org, Type: "build", Unique: "x"}})
		return err
	})
}
