package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// claimSQL claims from several lanes in one statement:
//
//   - candidate reads the head of each lane, one probe of the ready index each, and merges them, without locking. What stands
//     in the index is ready, whatever anybody's clock says: it was posted without a time to wait for, or that has come.
//   - alive keeps the process from being declared lost until this commits; Reap locks the row against it. Where there
//     is nothing to claim it locks nothing: a lock is written, and the answer would wait for the disk. It waits for nobody: beside
//     a Reap the claim is too late, and beside whoever else holds the row it fails after some attempts.
//   - locked locks candidates in line order and stops at as many as are wanted. What it does not take it does not lock:
//     another claim must not pass over a job that this one leaves where it is.
//   - claimed keeps the number claimed last.
//
// It asks for a few more candidates than workers, since others may hold some of them; if there were as many candidates as
// asked for and still too few could be taken, there may be more behind, and the caller asks again. $8 are jobs to pass over.
var claimSQL = `
	WITH candidate AS (
		SELECT c.id, c.place, p.rank
		FROM ` + probeColumns.rows(9, "p", "") + ` CROSS JOIN LATERAL (
			SELECT j.id, j.place FROM dormouse.jobs j
			WHERE j.ready AND j.organization_id = $2 AND j.type = p.type AND j.tag_set = p.tag_set
				AND j.priority = p.priority AND j.place >= p.bound AND j.id <> ALL ($8::uuid[])
			ORDER BY j.place, j.id
			LIMIT $7
		) c
		WHERE NOT EXISTS (` + pausedSQL("$2", "$3") + `)
		ORDER BY p.rank DESC, c.place, c.id
		LIMIT $7
	), alive AS (
		SELECT id FROM dormouse.processes
		WHERE id = $1 AND lost_at IS NULL AND EXISTS (SELECT FROM candidate) FOR KEY SHARE NOWAIT
	), locked AS (
		SELECT j.id
		FROM candidate c JOIN dormouse.jobs j ON j.id = c.id
		WHERE j.ready AND EXISTS (SELECT FROM alive)
		ORDER BY c.rank DESC, c.place, c.id
		LIMIT cardinality($5::uuid[])
		FOR NO KEY UPDATE OF j SKIP LOCKED
	)` + startSQL("locked", "") + `
	SELECT
		CASE WHEN EXISTS (SELECT FROM candidate) THEN EXISTS (SELECT FROM alive)
		ELSE EXISTS (SELECT FROM dormouse.processes WHERE id = $1 AND lost_at IS NULL) END,
		` + startedOr("sum(n)", "(SELECT count(*) FROM candidate)") + `, coalesce(j.n, 0),` + startedColumns + `
	FROM (VALUES (1)) AS once LEFT JOIN started j ON true`

// claimOneLaneSQL is the same for a single lane, as most claims are: $7 to $10 are its type, tag set, priority and bound, $11 the jobs to
// pass over. It locks straight from the ready index, in line order, and goes on behind what others hold until it has enough: so it
// chooses from no candidates, and is never too short. A process that is known to be lost locks nothing.
var claimOneLaneSQL = `
	WITH locked AS (
		SELECT j.id FROM dormouse.jobs j
		WHERE j.ready AND j.organization_id = $2 AND j.type = $7 AND j.tag_set = $8 AND j.priority = $9 AND j.place >= $10
			AND j.id <> ALL ($11::uuid[])
			AND NOT EXISTS (` + strings.ReplaceAll(pausedSQL("$2", "$3"), "p.type", "$7") + `)
			AND EXISTS (SELECT FROM dormouse.processes WHERE id = $1 AND lost_at IS NULL)
		ORDER BY j.place, j.id
		LIMIT cardinality($5::uuid[])
		FOR NO KEY UPDATE OF j SKIP LOCKED
	), alive AS (
		SELECT id FROM dormouse.processes
		WHERE id = $1 AND lost_at IS NULL AND EXISTS (SELECT FROM locked) FOR KEY SHARE NOWAIT
	)` + startSQL("locked WHERE EXISTS (SELECT FROM alive)", "$9") + `
	SELECT
		CASE WHEN EXISTS (SELECT FROM locked) THEN EXISTS (SELECT FROM alive)
		ELSE EXISTS (SELECT FROM dormouse.processes WHERE id = $1 AND lost_at IS NULL) END,
		` + startedOr("n", "0") + `, coalesce(j.n, 0),` + startedColumns + `
	FROM (VALUES (1)) AS once LEFT JOIN started j ON true`

// pausedSQL selects something if the lane of a probe p is paused.
func pausedSQL(organization, now string) string {
	return `SELECT FROM dormouse.pauses x
			WHERE x.organization_id IN (` + organization + `, '00000000-0000-0000-0000-000000000000') AND x.type IN (p.type, '')
				AND (x.ends_at IS NULL OR x.ends_at > ` + now + `)`
}

// startedFields are what a claim reads of its jobs: what it has written itself it knows.
var startedFields = jobFields.without(
	"j.organization_id", "j.state", "j.process_id", "j.worker_id", "j.token", "j.secret", "j.started_at", "j.ended_at", "j.percent", "j.message")

var startedColumns = startedFields.names()

// startSQL turns jobs into running ones, the i-th in line for the i-th worker, in no particular order. The jobs come as they are in line, from a
// step of the statement: OVER () numbers them as they come. $1 is the process, $2 the organization, $3 the instant, $4 the token, $5 the
// workers, $6 the hashes of their secrets. ofOne is the priority of all the jobs, where they have only one: then nothing is to be grouped.
func startSQL(line, ofOne string) string {
	priority, groups := "s.priority", "GROUP BY s.priority"
	if ofOne != "" {
		priority, groups = ofOne, "HAVING count(*) > 0"
	}
	return `, taken AS (
		SELECT id, row_number() OVER () AS n FROM ` + line + `
	), started AS (
		UPDATE dormouse.jobs j SET state = 1, ready = false, started_at = $3, process_id = $1, token = $4,
			worker_id = ($5::uuid[])[t.n], secret = ($6::bytea[])[t.n], attempt = j.attempt + 1, fence = j.fence + 1, percent = 0, message = ''
		FROM taken t WHERE j.id = t.id
		RETURNING t.n,` + startedColumns + `
	), highest AS (
		SELECT ` + priority + ` AS priority, max(s.place) AS place, count(*) AS n, (
			SELECT c.place FROM dormouse.claimed c
			WHERE c.organization_id = $2 AND c.priority = ` + priority + ` ORDER BY c.place DESC LIMIT 1
		) AS before
		FROM started s ` + groups + `
	), claimed AS (
		INSERT INTO dormouse.claimed (organization_id, priority, place)
		SELECT $2, h.priority, h.place FROM highest h WHERE h.before IS NULL OR h.before < h.place
		ON CONFLICT DO NOTHING
	), passed AS (
		DELETE FROM dormouse.claimed WHERE ctid = ANY (ARRAY(
			SELECT c.ctid FROM dormouse.claimed c JOIN highest h ON c.priority = h.priority AND c.place = h.before
			WHERE c.organization_id = $2 AND h.before < h.place
			FOR UPDATE OF c SKIP LOCKED
		))
	)`
}

// startedOr is an error if a trigger of the host left the row of a taken job out without a word, as if it were not in line, and a count
// otherwise. n is how many rows of highest say that they were started.
func startedOr(n, count string) string {
	return `(SELECT CASE WHEN k > 0 THEN ` + keptSQL("jobs", "k") + `::bigint ELSE ` + count + ` END
			FROM (SELECT count(*) - coalesce((SELECT ` + n + ` FROM highest), 0) AS k FROM taken) AS kept)`
}

// claimSlack is how many candidates more than workers a claim looks at; it grows with each further attempt.
const claimSlack = 16

// Claim implements [queue.Queue]. Without limits it is one statement. With limits it first takes a lock of the
// organization, because what runs must not be counted while somebody else starts more.
func (s *Store) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	if len(c.Workers) == 0 || len(c.Probes) == 0 {
		return queue.Claimed{}, ctx.Err()
	}
	p, err := s.probes(ctx, c)
	if err != nil {
		return queue.Claimed{}, fmt.Errorf("claim: %w", err)
	}
	claimed, err := s.claim(ctx, c, p)
	if isHeld(err) {
		err = claimHeld(c, err)
	}
	if err != nil {
		return queue.Claimed{}, fmt.Errorf("claim jobs (%d): %w", len(c.Workers), err)
	}
	return claimed, nil
}

// organizationOf is whose jobs a claim is for.
func organizationOf(c *queue.Claim) *uuid.UUID { return &c.Probes[0].Lane.Organization }

// behind is a claim for its workers from one on.
func behind(c queue.Claim, from int) queue.Claim {
	c.Workers, c.Secrets = c.Workers[from:], c.Secrets[min(from, len(c.Secrets)):]
	return c
}

// claimHeld says of a claim that was kept waiting what it waited for: the record of its process, or where the host bounds how long its
// sessions wait, anything else.
func claimHeld(c queue.Claim, err error) error {
	var pg *pgconn.PgError
	_ = errors.As(err, &pg) // isHeld has found one
	switch {
	case strings.Contains(pg.Message+pg.Where, `processes`):
		return fmt.Errorf("%w: the record of process %s: %w", lifecycle.ErrUnavailable, c.Process, heldByOthers(err))
	case pg.Where == "" && !c.Limits.None():
		return fmt.Errorf("the turn of organization %s to claim within its limits: %w", c.Probes[0].Lane.Organization, heldByOthers(err))
	}
	return heldByOthers(err)
}

func (s *Store) claim(ctx context.Context, c queue.Claim, p []probe) (queue.Claimed, error) {
	if !c.Limits.None() {
		claimed, err := s.claimLimited(ctx, c, p)
		if refusesRow(err) {
			return s.claimApart(ctx, c, p)
		}
		return claimed, err
	}
	var claimed queue.Claimed
	for slack := claimSlack; ; slack *= 4 {
		jobs, more, err := s.claimOnce(ctx, c, p, len(claimed.Jobs), slack)
		if refusesRow(err) {
			rest, err := s.claimApart(ctx, behind(c, len(claimed.Jobs)), p)
			claimed.Jobs, claimed.Refused = append(claimed.Jobs, rest.Jobs...), rest.Refused
			return claimed, err
		}
		if err != nil {
			return claimed, err
		}
		if claimed.Jobs == nil {
			claimed.Jobs = jobs
		} else {
			claimed.Jobs = append(claimed.Jobs, jobs...)
		}
		if len(claimed.Jobs) == len(c.Workers) || !more {
			return claimed, nil
		}
	}
}

// claimOnce makes one claim for the workers behind those that are served; more says that ready jobs beyond those it looked at may remain. Its answer is not repeated
// when it is lost: the caller looks for its token.
func (s *Store) claimOnce(ctx context.Context, c queue.Claim, p []probe, from, slack int) (jobs []queue.Job, more bool, err error) {
	workers := c.Workers[from:]
	var l claimedList
	var alive bool
	var candidates int
	look := len(workers) + slack
	passed := s.passed.At(c.Now, organizationOf(&c))
	statement := claimSQL
	if len(p) == 1 {
		statement = claimOneLaneSQL
	}
	err = s.do(ctx, once, func(ctx context.Context) error {
		l = claimedList{claim: &c, from: from}
		args := []any{
			key(c.Process), key(c.Probes[0].Lane.Organization), c.Now, key(c.Token),
		}
		args = append(args, claimantColumns.args(claimants(&c, from))...)
		if len(p) == 1 {
			args = append(args, p[0].kind, p[0].tagSet, p[0].priority, p[0].bound, passed)
		} else {
			args = append(append(args, look, passed), probeColumns.args(p)...)
		}
		return s.steady(ctx, statement, args, func(rows pgx.Rows) error { return l.collect(rows, &alive, &candidates) })
	})
	switch {
	case err != nil:
		return nil, false, err
	case !alive:
		return nil, false, queue.ErrProcessLost
	}
	return l.jobs, len(l.jobs) < len(workers) && candidates == look, s.fillTags(ctx, l.jobs, l.tagSets)
}

// claimedList collects what a claim got for its workers from one on, in their order.
type claimedList struct {
	claim *queue.Claim
	from  int
	jobList
}

// collect reads rows of a job's number among the claimed, 0 for no job, and startedColumns, behind further columns.
func (l *claimedList) collect(rows pgx.Rows, more ...any) error {
	var n int
	var r jobRow
	_, err := pgx.ForEachRow(rows, slices.Concat(more, []any{&n}, startedFields.targets(&r)), func() error {
		if n > 0 {
			l.put(n-1, &r)
		}
		r = jobRow{}
		return nil
	})
	return err
}

// put adds the i-th job, with what the claim has made of it.
func (l *claimedList) put(i int, r *jobRow) {
	if l.jobs == nil { // as many as may come: a job is large, and moving many to make room costs more than room for a few too many
		most := len(l.claim.Workers) - l.from
		l.jobs, l.tagSets = make([]queue.Job, 0, most), make([]int32, 0, most)
	}
	for len(l.jobs) <= i {
		l.jobs, l.tagSets = append(l.jobs, queue.Job{}), append(l.tagSets, 0)
	}
	c, j := l.claim, &l.jobs[i]
	*j, l.tagSets[i] = r.job(), r.tagSet
	j.Organization, j.State, j.StartedAt = c.Probes[0].Lane.Organization, queue.Running, store.Instant(c.Now)
	j.Process, j.Worker, j.Token = c.Process, c.Workers[l.from+i], c.Token
	j.SecretHash = c.SecretFor(l.from + i)
}

// claimant is a worker that jobs are claimed for, with the hash of what it is handed with its job.
type claimant struct {
	worker uuid.UUID
	secret queue.SecretHash
}

// claimantColumns are the parameters of the workers of a claim, in their order.
var claimantColumns = columns[claimant]{
	col("worker", "uuid", func(c *claimant) key { return key(c.worker) }),
	col("secret", "bytea", func(c *claimant) queue.SecretHash { return c.secret }),
}

// claimants are the workers of a claim from one on.
func claimants(c *queue.Claim, from int) []claimant {
	list := make([]claimant, len(c.Workers)-from)
	for i := range list {
		list[i] = claimant{c.Workers[from+i], c.SecretFor(from + i)}
	}
	return list
}

// probe is a lane to claim from, with its number in place of its tags; rank is its priority as it counts in this claim.
type probe struct {
	kind     string
	tagSet   int32
	priority int16
	bound    int64
	rank     int32
}

var probeColumns = columns[probe]{
	col("type", "text", func(p *probe) string { return p.kind }),
	col("tag_set", "integer", func(p *probe) int32 { return p.tagSet }),
	col("priority", "smallint", func(p *probe) int16 { return p.priority }),
	col("bound", "bigint", func(p *probe) int64 { return p.bound }),
	col("rank", "integer", func(p *probe) int32 { return p.rank }),
}

// probes leaves out lanes whose tag set was never stored: they hold nothing.
func (s *Store) probes(ctx context.Context, c queue.Claim) (probes []probe, err error) {
	sets := make([]queue.TagSet, len(c.Probes))
	for i, p := range c.Probes {
		sets[i] = p.Lane.Tags
	}
	numbers, err := s.numbersOf(ctx, sets, false)
	if err != nil {
		return nil, err
	}
	for _, p := range c.Probes {
		if n, known := numbers[p.Lane.Tags]; known {
			probes = append(probes, probe{p.Lane.Type, n, p.Lane.Priority, p.From, int32(p.Lane.Priority) + int32(p.Boost)})
		}
	}
	return probes, nil
}
