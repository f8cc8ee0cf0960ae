package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// readyPage bounds how many jobs turn ready in one transaction.
const readyPage = 1000

// dueJobsSQL locks the jobs whose time ($1) has come, at most $2 of them, and passes over some ($3).
const dueJobsSQL = `
		SELECT id, organization_id FROM dormouse.jobs
		WHERE state = 0 AND NOT ready AND ready_at <= $1 AND id <> ALL ($3::uuid[])
		ORDER BY ready_at LIMIT $2
		FOR NO KEY UPDATE SKIP LOCKED`

var (
	turnReadySQL = turnReadyBy(dueJobsSQL)
	// turnSomeReadySQL is about jobs that dueJobsSQL has locked before.
	turnSomeReadySQL = turnReadyBy(`SELECT id FROM dormouse.jobs WHERE id = ANY ($1)`)
)

// turnReadyBy: a job whose time has come stands at the number claimed last, if its own is below it, as one that is tried again
// does: so what turns ready never stands in front of what was claimed. It returns a row for each.
func turnReadyBy(due string) string {
	return `
	WITH due AS (` + due + `
	), turned AS (
		UPDATE dormouse.jobs j SET ready = true, place = greatest(j.place, (
			SELECT c.place FROM dormouse.claimed c
			WHERE c.organization_id = j.organization_id AND c.priority = j.priority
			ORDER BY c.place DESC LIMIT 1))
		FROM due d WHERE j.id = d.id
		RETURNING 1
	)
	SELECT NULL::uuid FROM turned` + leftOutSQL("jobs", 0, `FROM due HAVING count(*) > (SELECT count(*) FROM turned)`)
}

// walkPage is how many steps from lane to lane one statement makes. An organization may have any number of lanes, and a statement that
// walks through all of them keeps a core for so long that whoever needs it for a moment waits for the scheduler.
const walkPage = 128

// The lanes are found by skipping through the ready index: from the head of each lane straight to that of the next, so the cost
// is the number of lanes. Two statements, since a step within one organization and a step across all of them compare different
// columns. Each begins behind a place ($3 ...) and makes so many steps.
const readyOfAllSQL = `
	WITH RECURSIVE head AS (
		SELECT $3::uuid AS organization_id, $4::text AS type, $5::integer AS tag_set, $6::smallint AS priority,
			NULL::bigint AS place, NULL::timestamptz AS created_at, 0 AS org, 0 AS step
		UNION ALL
		SELECT n.*, l.org, l.step + 1 FROM head l CROSS JOIN LATERAL (
			SELECT organization_id, type, tag_set, priority, place, created_at FROM dormouse.jobs
			WHERE ready AND (organization_id, type, tag_set, priority) > (l.organization_id, l.type, l.tag_set, l.priority)
			ORDER BY organization_id, type, tag_set, priority, place, id LIMIT 1
		) n
		WHERE l.step < $7
	)` + standingsSQL

// readyOfSomeSQL walks through the lanes of one organization after the other: a step goes to the next lane, else to the next organization.
var readyOfSomeSQL = `
	WITH RECURSIVE walk AS (
		SELECT $4::integer AS org, $5::text AS type, $6::integer AS tag_set, $7::smallint AS priority,
			NULL::bigint AS place, NULL::timestamptz AS created_at, 0 AS step
		UNION ALL
		SELECT n.*, w.step + 1 FROM walk w CROSS JOIN LATERAL (
			(SELECT w.org, type, tag_set, priority, place, created_at FROM dormouse.jobs
			WHERE ready AND organization_id = ($3::uuid[])[w.org] AND (type, tag_set, priority) > (w.type, w.tag_set, w.priority)
			ORDER BY type, tag_set, priority, place, id LIMIT 1)
			UNION ALL
			SELECT w.org + 1, '', 0, 0::smallint, NULL, NULL
			LIMIT 1
		) n
		WHERE w.step < $8 AND w.org <= cardinality($3::uuid[])
	)` + walkedSQL

// readyFromBoundsSQL does the same where bounds are known ($9 ...): a lane with a bound is looked into from there on, and the gap in
// front of it skipped through, so a step goes to the next lane of the gap, else into the lane with the bound behind it, whether or not
// that holds anything. In which order these are says the server, since texts are in the order of its own collation. A step costs three
// times as much as one of readyOfSomeSQL.
var readyFromBoundsSQL = `
	WITH RECURSIVE known AS MATERIALIZED (
		SELECT array_agg(type) AS type, array_agg(tag_set) AS tag_set, array_agg(priority) AS priority, array_agg(bound) AS bound
		FROM (
			SELECT * FROM ` + frontColumns.rows(9, "k", "") + `
			WHERE (type, tag_set, priority) > ($5::text, $6::integer, $7::smallint)
			ORDER BY type, tag_set, priority
		) page
	), walk AS (
		SELECT $4::integer AS org, $5::text AS type, $6::integer AS tag_set, $7::smallint AS priority, 1 AS front,
			NULL::bigint AS place, NULL::timestamptz AS created_at, 0 AS step
		UNION ALL
		SELECT n.*, g.step + 1 FROM (
			SELECT w.*, ($3::uuid[])[w.org] AS organization_id, k.type[w.front] AS to_type, k.tag_set[w.front] AS to_tag_set,
				k.priority[w.front] AS to_priority, k.bound[w.front] AS bound
			FROM walk w CROSS JOIN known k
			WHERE w.step < $8 AND w.org <= cardinality($3::uuid[])
		) g CROSS JOIN LATERAL (
			SELECT g.org, s.type, s.tag_set, s.priority, g.front, s.place, s.created_at FROM (` + stepSQL + `) s
			UNION ALL
			SELECT g.org, g.to_type, g.to_tag_set, g.to_priority, g.front + 1, f.place, f.created_at
			FROM (SELECT WHERE g.to_type IS NOT NULL) known LEFT JOIN LATERAL (
				SELECT place, created_at FROM dormouse.jobs
				WHERE ready AND organization_id = g.organization_id AND type = g.to_type AND tag_set = g.to_tag_set
					AND priority = g.to_priority AND place >= g.bound
				ORDER BY place, id LIMIT 1
			) f ON true
			UNION ALL
			SELECT g.org + 1, '', 0, 0::smallint, 1, NULL, NULL WHERE g.to_type IS NULL
			LIMIT 1
		) n
	)` + walkedSQL

// walkedSQL makes heads of where a walk came past.
var walkedSQL = `, head AS (
		SELECT ($3::uuid[])[org] AS organization_id, type, tag_set, priority, place, created_at, org, step FROM walk
	)` + standingsSQL

// stepSQL selects the head of the first lane behind a row g, in front of the known lane to which the row goes; if there is none,
// behind the row. A scan of the index stops at a bound of one column, not at one of a row of columns, and would walk the dead
// entries of the lane at the edge; so the gap is read in parts that each end with a column.
var stepSQL = func() string {
	parts := [][2]string{
		{"g.to_type IS NULL", "(type, tag_set, priority) > (g.type, g.tag_set, g.priority)"},
		{"g.to_type > g.type", "(type, tag_set, priority) > (g.type, g.tag_set, g.priority) AND type < g.to_type"},
		{"g.to_type > g.type", "type = g.to_type AND tag_set < g.to_tag_set"},
		{"g.to_type = g.type AND g.to_tag_set > g.tag_set", "type = g.type AND (tag_set, priority) > (g.tag_set, g.priority) AND tag_set < g.to_tag_set"},
		{"(g.to_type, g.to_tag_set) > (g.type, g.tag_set)", "type = g.to_type AND tag_set = g.to_tag_set AND priority < g.to_priority"},
		{"(g.to_type, g.to_tag_set) = (g.type, g.tag_set)", "type = g.type AND tag_set = g.tag_set AND priority > g.priority AND priority < g.to_priority"},
	}
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = `
				(SELECT type, tag_set, priority, place, created_at FROM dormouse.jobs
				WHERE ` + part[0] + ` AND ready AND organization_id = g.organization_id
					AND ` + part[1] + `
				ORDER BY type, tag_set, priority, place, id LIMIT 1)`
	}
	return `
				SELECT * FROM (` + strings.Join(texts, `
				UNION ALL`) + `
				) part ORDER BY type, tag_set, priority LIMIT 1
			`
}()

// standingsSQL counts in the lanes of head, and tells where each step of the walk came to.
const standingsSQL = `
	SELECT l.organization_id, l.type, l.tag_set, l.priority, CASE WHEN l.place IS NULL THEN 0 WHEN $1 = 1 THEN 1 ELSE (
		SELECT count(*) FROM (
			SELECT FROM dormouse.jobs
			WHERE ready AND organization_id = l.organization_id AND type = l.type AND tag_set = l.tag_set AND priority = l.priority
				AND place >= l.place
			ORDER BY place, id LIMIT $1
		) counted
	) END, coalesce(l.place, 0), l.created_at, EXISTS (
		SELECT FROM dormouse.pauses x
		WHERE x.organization_id IN (l.organization_id, '00000000-0000-0000-0000-000000000000') AND x.type IN (l.type, '')
			AND (x.ends_at IS NULL OR x.ends_at > $2)), l.org, l.step
	FROM head l WHERE l.step > 0`

const (
	// The next job of an organization is found in an index of its own, so that those of others cost nothing. The comparison of
	// rows leaves the server no other: with an equality it may walk the index by time, past the jobs of all others.
	nextOfAllSQL = `
	SELECT least(
		(SELECT min(ready_at) FROM dormouse.jobs WHERE state = 0 AND NOT ready AND ready_at > $1),
		(SELECT min(ends_at) FROM dormouse.pauses WHERE ends_at > $1))`
	nextOfSomeSQL = `
	SELECT least(
		(SELECT min(f.ready_at) FROM unnest($2::uuid[]) AS o (id) CROSS JOIN LATERAL (
			SELECT organization_id, ready_at FROM dormouse.jobs
			WHERE state = 0 AND NOT ready AND (organization_id, ready_at) > (o.id, $1)
			ORDER BY organization_id, ready_at LIMIT 1
		) f WHERE f.organization_id = o.id),
		(SELECT min(ends_at) FROM dormouse.pauses
		WHERE ends_at > $1 AND (organization_id = ANY ($2) OR organization_id = '00000000-0000-0000-0000-000000000000')))`
)

// Ready implements [queue.Queue].
func (s *Store) Ready(ctx context.Context, now time.Time, q queue.ReadyQuery) (listing queue.Listing, err error) {
	refused, err := s.turnReady(ctx, now)
	if err != nil {
		return queue.Listing{}, fmt.Errorf("turn jobs ready: %w", err)
	}
	listing.Refused = refused.jobs
	read, err := s.standings(ctx, now, q)
	if err == nil {
		listing.Lanes, listing.Unreadable, err = s.fillLanes(ctx, read)
		listing.Next = read.next
	}
	if err != nil {
		return queue.Listing{}, fmt.Errorf("list lanes: %w", err)
	}
	normalize(&listing.Next)
	return listing, nil
}

// turnReady makes jobs ready whose time has come, page by page.
func (s *Store) turnReady(ctx context.Context, now time.Time) (refused refusals, err error) {
	passed := s.passed.At(now, nil)
	for n := readyPage; err == nil && n == readyPage; {
		if n, err = s.turnPage(ctx, now, passed); refusesRow(err) {
			n, passed, err = s.turnApart(ctx, now, passed, &refused)
		}
	}
	s.warn(ctx, "jobs cannot turn ready", "job", refused)
	return refused, err
}

// turnPage makes some jobs ready, and says how many.
func (s *Store) turnPage(ctx context.Context, now time.Time, passed []key) (n int, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue(steadySQL)
		b.Queue(s.sql(turnReadySQL), now, readyPage, passed)
		return s.send(ctx, &b, func(r pgx.BatchResults) error {
			skip(r, 1)
			tag, err := r.Exec()
			n = int(tag.RowsAffected())
			return err
		})
	})
	return n, err
}

// turnApart makes those of a page ready that can be. It says how many it has tried, and adds the others to those to pass over.
func (s *Store) turnApart(ctx context.Context, now time.Time, passed []key, refused *refusals) (n int, over []key, err error) {
	var found refusals
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		found, over = *refused, passed
		return pgx.BeginTxFunc(ctx, s.pool, readCommitted, func(tx pgx.Tx) error {
			for _, setting := range []string{steadySQL, immediateSQL} {
				if _, err := tx.Exec(ctx, setting); err != nil {
					return err
				}
			}
			var ids, organizations []uuid.UUID
			var id, organization uuid.UUID
			rows, _ := tx.Query(ctx, s.sql(dueJobsSQL), now, readyPage, passed)
			if _, err := pgx.ForEachRow(rows, []any{toID(&id), toID(&organization)}, func() error {
				ids, organizations = append(ids, id), append(organizations, organization)
				return nil
			}); err != nil || len(ids) == 0 {
				return err
			}
			n = len(ids)
			return byHalves(ctx, tx, 0, n, func(tx pgx.Tx, from, to int) error {
				_, err := tx.Exec(ctx, s.sql(turnSomeReadySQL), keys(ids[from:to]))
				return err
			}, func(i int, why error) {
				found.addJob(ids[i], why, now)
				over = append(over, key(ids[i]))
				s.passed.Add(now, ids[i], organizations[i])
			})
		})
	})
	*refused = found
	return n, over, err
}

// fillLanes sets the tags of lanes, and leaves out and counts those whose tags cannot be read.
func (s *Store) fillLanes(ctx context.Context, read standings) (lanes []queue.ReadyLane, unreadable int, err error) {
	sets, err := s.setsOf(ctx, read.tagSets)
	for i, n := range read.tagSets {
		set, ok := sets[n]
		if !ok {
			unreadable++
			continue
		}
		read.list[i].Lane.Tags = set
		lanes = append(lanes, read.list[i])
	}
	return lanes, unreadable, err
}
