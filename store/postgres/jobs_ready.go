package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// readyPage bounds how many jobs turn ready in one transaction.
const readyPage = 1000

// turnReadySQL: a job whose time has come stands at the number claimed last, if its own is below it, as one that is tried again
// does: so what turns ready never stands in front of what was claimed.
const turnReadySQL = `
	UPDATE dormouse.jobs j SET ready = true, place = greatest(j.place, (
		SELECT c.place FROM dormouse.claimed c
		WHERE c.organization_id = j.organization_id AND c.priority = j.priority
		ORDER BY c.place DESC LIMIT 1))
	FROM (
		SELECT id FROM dormouse.jobs
		WHERE state = 0 AND NOT ready AND ready_at <= $1
		ORDER BY ready_at LIMIT $2
		FOR NO KEY UPDATE SKIP LOCKED
	) d WHERE j.id = d.id`

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

// readyOfSomeSQL walks through the lanes of one organization after the other. The lanes that are known are looked into from their
// bounds on, and the gaps in front of them skipped through: a step goes to the next lane of the gap, else into the known lane behind
// it, else to the next organization. A page needs no more of the known lanes than it has steps; in which order they are says the
// server, since texts are in the order of its own collation.
var readyOfSomeSQL = `
	WITH RECURSIVE known AS MATERIALIZED (
		SELECT array_agg(type) AS type, array_agg(tag_set) AS tag_set, array_agg(priority) AS priority, array_agg(bound) AS bound
		FROM (
			SELECT * FROM ` + frontColumns.rows(4, "k", "") + `
			WHERE (type, tag_set, priority) > ($9::text, $10::integer, $11::smallint)
			ORDER BY type, tag_set, priority LIMIT $12
		) page
	), walk AS (
		SELECT $8::integer AS org, $9::text AS type, $10::integer AS tag_set, $11::smallint AS priority, 1 AS front,
			NULL::bigint AS place, NULL::timestamptz AS created_at, 0 AS step
		UNION ALL
		SELECT n.*, g.step + 1 FROM (
			SELECT w.*, ($3::uuid[])[w.org] AS organization_id, k.type[w.front] AS to_type, k.tag_set[w.front] AS to_tag_set,
				k.priority[w.front] AS to_priority, k.bound[w.front] AS bound
			FROM walk w CROSS JOIN known k
			WHERE w.step < $12 AND w.org <= cardinality($3::uuid[])
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
	), head AS (
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
	SELECT l.organization_id, l.type, l.tag_set, l.priority, c.n, coalesce(l.place, 0), l.created_at, EXISTS (
		SELECT FROM dormouse.pauses x
		WHERE x.organization_id IN (l.organization_id, '00000000-0000-0000-0000-000000000000') AND x.type IN (l.type, '')
			AND (x.ends_at IS NULL OR x.ends_at > $2)), l.org, l.step
	FROM head l CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM (
			SELECT FROM dormouse.jobs
			WHERE ready AND organization_id = l.organization_id AND type = l.type AND tag_set = l.tag_set AND priority = l.priority
				AND place >= l.place
			ORDER BY place, id LIMIT $1
		) counted
	) c
	WHERE l.step > 0`

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
	if err := s.turnReady(ctx, now); err != nil {
		return queue.Listing{}, fmt.Errorf("turn jobs ready: %w", err)
	}
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
func (s *Store) turnReady(ctx context.Context, now time.Time) error {
	for {
		var n int64
		err := s.do(ctx, repeatable, func(ctx context.Context) error {
			var b pgx.Batch
			b.Queue(steadySQL)
			b.Queue(s.sql(turnReadySQL), now, readyPage)
			return s.send(ctx, &b, func(r pgx.BatchResults) error {
				skip(r, 1)
				tag, _ := r.Exec()
				n = tag.RowsAffected()
				return nil
			})
		})
		if err != nil || n < readyPage {
			return err
		}
	}
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
