package postgres_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// A connection that has planned its statements while there were next to no jobs does not read all of them at each call when there are
// many, although the server has no statistics yet.
func TestCostOfJobCallsOnAYoungTable(t *testing.T) {
	_, pool := open(t)
	exec(t, pool, `ALTER TABLE dormouse.jobs SET (autovacuum_enabled = off)`)
	c := crowd{org: uuid.New(), tenant: uuid.New(), process: uuid.New(), pool: alone(t, pool)}
	c.s = over(t, c.pool)
	_, err := c.s.Heartbeat(t.Context(), queue.Heartbeat{Process: c.process, Now: epoch})
	must(t, err)
	for range 8 { // until the server keeps its plans
		must(t, c.live(t))
	}
	exec(t, pool, `
		INSERT INTO dormouse.jobs (id, organization_id, tenant_id, type, tag_set, priority, weight, trace, created_at, state, place, ready_at, ready, ended_at)
		SELECT gen_random_uuid(), organization_id, tenant_id, 'scan', tag_set, priority, weight, trace, created_at, 2, place, ready_at, false, created_at
		FROM (SELECT * FROM dormouse.jobs LIMIT 1) j, generate_series(1, 6000)`)
	exec(t, pool, `
		INSERT INTO dormouse.jobs (id, organization_id, tenant_id, type, tag_set, priority, weight, trace, created_at, state, place, ready_at, ready, process_id, fence)
		SELECT gen_random_uuid(), organization_id, tenant_id, 'scan', tag_set, priority, weight, trace, created_at, 1, place, ready_at, false, process_id, 1
		FROM (SELECT * FROM dormouse.jobs WHERE process_id IS NOT NULL LIMIT 1) j, generate_series(1, 6000)`)
	c.within(t, "a job's life", 200, func() error { return c.live(t) })
}

// live takes a job from its posting to its end.
func (c crowd) live(t *testing.T) error {
	jobs, err := c.s.Enqueue(t.Context(), epoch, []queue.Posting{{Organization: c.org, Tenant: c.tenant, Type: "build"}})
	must(t, err)
	secret := queue.NewSecret()
	claimed, err := c.s.Claim(t.Context(), queue.Claim{
		Token: uuid.New(), Process: c.process, Now: epoch, Probes: []queue.Probe{{Lane: jobs[0].Lane()}},
		Workers: []uuid.UUID{uuid.New()}, Secrets: []queue.SecretHash{secret.Hash()},
	})
	must(t, err)
	job := claimed.Jobs[0]
	job.Secret = secret
	renewed, err := c.s.Renew(t.Context(), epoch, []queue.Renewal{{Handout: job.Handout(), Process: c.process, Progress: &queue.Progress{Percent: 50}}})
	must(t, err)
	must(t, renewed[0].Err)
	end := []queue.End{{Handout: job.Handout(), Process: c.process, Outcome: queue.OutcomeSucceeded}}
	ended, err := c.s.End(t.Context(), epoch, end)
	must(t, err)
	must(t, ended[0].Err)
	again, err := c.s.End(t.Context(), epoch, end)
	must(t, err)
	return again[0].Err
}
