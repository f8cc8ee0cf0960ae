package postgres

import (
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// jobToQueue is a job on its way to the queue, with the number of its tag set and the workspace that it is for, if any.
type jobToQueue struct {
	queue.Job
	tagSet    int32
	workspace key
}

// queuedColumns are what a job is queued with, as they stand in dormouse.jobs.
var queuedColumns = columns[jobToQueue]{
	col("id", "uuid", func(j *jobToQueue) key { return key(j.ID) }),
	col("organization_id", "uuid", func(j *jobToQueue) key { return key(j.Organization) }),
	col("tenant_id", "uuid", func(j *jobToQueue) key { return key(j.Tenant) }),
	col("type", "text", func(j *jobToQueue) string { return j.Type }),
	col("tag_set", "integer", func(j *jobToQueue) int32 { return j.tagSet }),
	col("priority", "smallint", func(j *jobToQueue) int16 { return j.Priority }),
	col("weight", "integer", func(j *jobToQueue) int32 { return count32(j.Weight) }),
	col("payload", "bytea", func(j *jobToQueue) []byte { return j.Payload }),
	col("trace", "text", func(j *jobToQueue) string { return j.Trace }),
	col("created_at", "timestamptz", func(j *jobToQueue) stamp { return stamp(j.CreatedAt) }),
	col("ready_at", "timestamptz", func(j *jobToQueue) stamp { return stamp(j.ReadyAt) }),
}

// postedColumns are those of a job that was posted; a build's job has no more than queuedColumns.
var postedColumns = concat(queuedColumns, columns[jobToQueue]{
	col("unique_key", "text", func(j *jobToQueue) zeronull.Text { return zeronull.Text(j.Unique) }),
	col("run_limit", "bigint", func(j *jobToQueue) zeronull.Int8 { return zeronull.Int8(j.RunLimit) }),
})

// stepColumns say how far a job moves its tenant.
var stepColumns = columns[jobToQueue]{
	col("step", "bigint", func(j *jobToQueue) int64 { return queue.FairOrder(0, 0, j.Weight) }),
}

// enqueueColumns are those of a posting, buildJobColumns those of a build's job.
var (
	enqueueColumns  = concat(postedColumns, stepColumns)
	buildJobColumns = concat(queuedColumns, stepColumns, columns[jobToQueue]{
		col("workspace_id", "uuid", func(j *jobToQueue) key { return j.workspace }),
	})
)

// postedSQL adds up the steps of the wanted jobs, as acquirer.FairOrder numbers them: a tenant's next number is one step
// behind its last, but not below the number claimed last. Within one call the steps add up, so the numbers of a tenant end
// at max(last + all steps, floor + all steps but the first), and each job stands its share of the steps before that end.
//
// turn_no numbers the tenants in the order of their keys, so that what is found for them can be looked up in an array: a
// join would be planned for one row and done for a hundred.
const postedSQL = `, posted AS (
		SELECT w.*,
			sum(step) OVER line AS upto,
			first_value(step) OVER line AS first_step,
			dense_rank() OVER (ORDER BY organization_id, priority, tenant_id) AS turn_no
		FROM wanted w
		WINDOW line AS (PARTITION BY organization_id, priority, tenant_id ORDER BY n)
	), tenant AS (
		SELECT organization_id, priority, tenant_id, first_step, sum(step) AS steps FROM posted
		GROUP BY organization_id, priority, tenant_id, first_step
	)`

// floorSQL is the least number of a new job, behind the number claimed last, at a tenant's organization and priority.
var floorSQL = `(
			SELECT c.place + ` + strconv.Itoa(queue.FairLead) + ` FROM dormouse.claimed c
			WHERE c.organization_id = p.organization_id AND c.priority = p.priority
			ORDER BY c.place DESC LIMIT 1)`

// turnSQL takes the numbers of the wanted jobs, one tenant after the other: calls at the same time that post for the same
// tenant wait for each other.
var turnSQL = postedSQL + `, turn AS (` + takeTurnSQL(`greatest(p.first_step, `+floorSQL+`) + p.steps - p.first_step, p.steps
		FROM tenant p
		ORDER BY p.organization_id, p.priority, p.tenant_id`) + `
	)`

// takeTurnSQL moves tenants on and returns their numbers and steps. What it is given selects from tenants p, for each, where its new jobs
// end and the steps that they take.
func takeTurnSQL(numbers string) string {
	return `
		INSERT INTO dormouse.turns AS t (organization_id, priority, tenant_id, place, step)
		SELECT p.organization_id, p.priority, p.tenant_id,
			` + numbers + `
		ON CONFLICT (organization_id, priority, tenant_id) DO UPDATE
		SET place = greatest(t.place + excluded.step, excluded.place), step = excluded.step
		RETURNING organization_id, priority, tenant_id, place, step`
}

// turnAtOnceSQL does the same without waiting: where another call has a tenant's number in hand, it numbers behind the last
// one it can see, so that jobs of one tenant from batches at the same moment may share their turns. A tick would pay for
// more exactness with half of its speed, because any two batches of a herd have an owner in common. Only for who is the first to
// number a tenant it waits, as firstTurnWaitSQL says.
var turnAtOnceSQL = turnPassingSQL + `, added AS (
		INSERT INTO dormouse.turns (organization_id, priority, tenant_id, place, step)
		SELECT organization_id, priority, tenant_id, place, step FROM turn
		WHERE free IS NULL AND last IS NULL` + firstTurnWaitSQL + `
		ORDER BY organization_id, priority, tenant_id
		ON CONFLICT DO NOTHING
	)`

// firstTurnWaitSQL bounds how long a statement waits for another transaction that gives a tenant its first number and does not end,
// as a long one of the host does not. It stands in the statement, because most have no first number to give, and a setting in
// front of it would cost them all a part of their speed.
var firstTurnWaitSQL = ` AND ` + waitAtMost("500ms") + ` <> ''`

// turnPassingSQL waits for nobody, and leaves the first numbers of tenants to others.
var turnPassingSQL = postedSQL + `, turn AS (
		SELECT p.organization_id, p.priority, p.tenant_id, p.steps AS step, f.place AS free, l.place AS last,
			greatest(coalesce(f.place, l.place, 0) + p.steps,
				greatest(p.first_step, ` + floorSQL + `) + p.steps - p.first_step) AS place
		FROM tenant p
		LEFT JOIN LATERAL (
			SELECT t.place FROM dormouse.turns t
			WHERE t.organization_id = p.organization_id AND t.priority = p.priority AND t.tenant_id = p.tenant_id
			FOR NO KEY UPDATE SKIP LOCKED
		) f ON true
		LEFT JOIN LATERAL (
			SELECT t.place FROM dormouse.turns t
			WHERE f.place IS NULL
				AND t.organization_id = p.organization_id AND t.priority = p.priority AND t.tenant_id = p.tenant_id
		) l ON true
	), moved AS (
		UPDATE dormouse.turns t SET place = n.place, step = n.step
		FROM turn n
		WHERE n.free IS NOT NULL AND t.organization_id = n.organization_id AND t.priority = n.priority AND t.tenant_id = n.tenant_id
	)`

// insertJobsSQL stores the numbered jobs, in the order of their ids, so that calls that repeat each other's postings do
// not wait for each other in a circle.
func insertJobsSQL(c columns[jobToQueue]) string {
	return insertJobsFrom(c, `(SELECT array_agg(place - step ORDER BY organization_id, priority, tenant_id) FROM turn)[p.turn_no::integer] + p.upto`, `
		FROM posted p
		ORDER BY p.id`)
}

// insertJobsFrom stores jobs p at a place. ready: its time has come. A tag set that is not there any more is NULL, which no job may
// have: see tagSetGone.
func insertJobsFrom(c columns[jobToQueue], place, from string) string {
	return `
		INSERT INTO dormouse.jobs AS j (ready, place,` + c.names("") + `)
		SELECT p.ready_at <= p.created_at,
			` + place + `,` +
		strings.Replace(c.names("p."), "p.tag_set", "(SELECT t.id FROM dormouse.tag_sets t WHERE t.id = p.tag_set)", 1) + from + `
		ON CONFLICT DO NOTHING`
}
