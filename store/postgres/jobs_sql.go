package postgres

// jobsFrom35 and jobsFrom1 are the jobs to queue as rows, from thirteen parameters.
const (
	jobsFrom35 = `unnest($35::uuid[], $36::uuid[], $37::uuid[], $38::uuid[], $39::text[], $40::integer[], $41::smallint[],
			$42::integer[], $43::bigint[], $44::bytea[], $45::text[], $46::timestamptz[], $47::timestamptz[]) WITH ORDINALITY AS j ` + jobParameters
	jobsFrom1 = `unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::integer[], $7::smallint[],
			$8::integer[], $9::bigint[], $10::bytea[], $11::text[], $12::timestamptz[], $13::timestamptz[]) WITH ORDINALITY AS j ` + jobParameters
	jobParameters = `(workspace_id, id, organization_id, tenant_id, type, tag_set, priority,
			weight, step, payload, trace, created_at, ready_at, n)`
)

// queueSQL numbers the wanted jobs as acquirer.FairOrder does: a tenant's next number is one step behind its last, but not
// below the number claimed last. Within one call the steps add up, so the numbers of a tenant end at
// max(last + all steps, floor + all steps but the first), and each job stands its share of the steps before that end.
const queueSQL = `, posted AS (
		SELECT w.*,
			sum(step) OVER line AS upto,
			first_value(step) OVER line AS first_step,
			sum(step) OVER (PARTITION BY organization_id, priority, tenant_id) AS steps
		FROM wanted w
		WHERE NOT EXISTS (SELECT FROM dormouse.jobs x WHERE x.id = w.id)
		WINDOW line AS (PARTITION BY organization_id, priority, tenant_id ORDER BY n)
	), turn AS (
		INSERT INTO dormouse.turns AS t (organization_id, priority, tenant_id, place, step)
		SELECT p.organization_id, p.priority, p.tenant_id,
			greatest(p.first_step, (
				SELECT c.place FROM dormouse.claimed c
				WHERE c.organization_id = p.organization_id AND c.priority = p.priority
				ORDER BY c.place DESC LIMIT 1
			)) + p.steps - p.first_step,
			p.steps
		FROM (SELECT DISTINCT organization_id, priority, tenant_id, first_step, steps FROM posted) p
		ORDER BY p.organization_id, p.priority, p.tenant_id
		ON CONFLICT (organization_id, priority, tenant_id) DO UPDATE
		SET place = greatest(t.place + excluded.step, excluded.place), step = excluded.step
		RETURNING organization_id, priority, tenant_id, place
	)`

// insertJobsSQL stores the numbered jobs, in the order of their ids, so that calls that repeat each other's postings do
// not wait for each other in a circle. ready: its time has come.
const insertJobsSQL = `
		INSERT INTO dormouse.jobs AS j (id, organization_id, tenant_id, type, tag_set, priority, weight, payload, trace,
			created_at, ready_at, ready, place)
		SELECT p.id, p.organization_id, p.tenant_id, p.type, p.tag_set, p.priority, p.weight, p.payload, p.trace,
			p.created_at, p.ready_at, p.ready_at <= p.created_at, t.place - p.steps + p.upto
		FROM posted p JOIN turn t USING (organization_id, priority, tenant_id)
		ORDER BY p.id
		ON CONFLICT (id) DO NOTHING`

const jobColumns = `
	j.id, j.organization_id, j.tenant_id, j.type, j.tag_set, j.priority, j.weight, j.payload, j.trace, j.created_at,
	j.state, j.place, j.ready_at, j.attempt, j.fence, j.process_id, j.worker_id, j.token, j.started_at, j.ended_at,
	j.cancel_at, j.error, j.result, j.percent, j.message`
