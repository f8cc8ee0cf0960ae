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

// The lanes are found by skipping through the ready index: from the head of each lane straight to that of the next, so the cost
// is the number of lanes. Two statements, since a step within one organization and a step across all of them compare different
// columns.
const readyOfAllSQL = `
	WITH RECURSIVE head AS (
		(SELECT organization_id, type, tag_set, priority, place, created_at FROM dormouse.jobs
		WHERE ready ORDER BY organization_id, type, tag_set, priority, place, id LIMIT 1)
		UNION ALL
		SELECT n.* FROM head l CROSS JOIN LATERAL (
			SELECT organization_id, type, tag_set, priority, place, created_at FROM dormouse.jobs
			WHERE ready AND (organization_id, type, tag_set, priority) > (l.organization_id, l.type, l.tag_set, l.priority)
			ORDER BY organization_id, type, tag_set, priority, place, id LIMIT 1
		) n
	)` + standingsSQL

// readyOfSomeSQL looks into the lanes that are known, each from its bound on, and skips through the gaps between them: from an
// edge, which is a known lane or the beginning, up to the next one.
var readyOfSomeSQL = `
	WITH RECURSIVE known AS (
		SELECT * FROM ` + frontColumns.rows(4, "k", "") + `
	), edge AS (
		SELECT type, tag_set, priority,
			lead(type) OVER line AS to_type, lead(tag_set) OVER line AS to_tag_set, lead(priority) OVER line AS to_priority
		FROM (SELECT '' AS type, 0 AS tag_set, 0::smallint AS priority UNION ALL SELECT type, tag_set, priority FROM known) e
		WINDOW line AS (ORDER BY type, tag_set, priority)
	), gap AS (
		SELECT o.id AS organization_id, e.type, e.tag_set, e.priority, NULL::bigint AS place, NULL::timestamptz AS created_at,
			e.to_type, e.to_tag_set, e.to_priority
		FROM unnest($3::uuid[]) AS o (id) CROSS JOIN edge e
		UNION ALL
		SELECT s.*, g.to_type, g.to_tag_set, g.to_priority
		FROM gap g CROSS JOIN LATERAL (` + stepSQL + `) s
	), head AS (
		SELECT organization_id, type, tag_set, priority, place, created_at FROM gap WHERE place IS NOT NULL
		UNION ALL
		SELECT o.id, k.type, k.tag_set, k.priority, f.place, f.created_at
		FROM unnest($3::uuid[]) AS o (id) CROSS JOIN known k CROSS JOIN LATERAL (
			SELECT place, created_at FROM dormouse.jobs
			WHERE ready AND organization_id = o.id AND type = k.type AND tag_set = k.tag_set AND priority = k.priority AND place >= k.bound
			ORDER BY place, id LIMIT 1
		) f
	)` + standingsSQL

// stepSQL selects the head of the first lane behind a row g, in front of the edge to which the row goes; behind the last edge there
// is none. A scan of the index stops at a bound of one column, not at one of a row of columns, and would walk the dead
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
			(SELECT organization_id, type, tag_set, priority, place, created_at FROM dormouse.jobs
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

const standingsSQL = `
	SELECT l.organization_id, l.type, l.tag_set, l.priority, c.n, l.place, l.created_at, EXISTS (
		SELECT FROM dormouse.pauses x
		WHERE x.organization_id IN (l.organization_id, '00000000-0000-0000-0000-000000000000') AND x.type IN (l.type, '')
			AND (x.ends_at IS NULL OR x.ends_at > $2))
	FROM head l CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM (
			SELECT FROM dormouse.jobs
			WHERE ready AND organization_id = l.organization_id AND type = l.type AND tag_set = l.tag_set AND priority = l.priority
				AND place >= l.place
			ORDER BY place, id LIMIT $1
		) counted
	) c`

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
	var read standings
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		read, err = s.standings(ctx, now, q)
		return err
	})
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
				tag, err := r.Exec()
				n = tag.RowsAffected()
				return err
			})
		})
		if err != nil || n < readyPage {
			return err
		}
	}
}

// standings are lanes as they are read, with the numbers of their tag sets, and when the next job turns ready.
type standings struct {
	list    []queue.ReadyLane
	tagSets []int32
	next    time.Time
	// heads are the first numbers of all lanes that hold something, also of those that are paused.
	heads map[laneNumber]int64
}

// standings reads the lanes: of one organization from where earlier readings have found them, unless the query is whole or these
// turn out to be void.
func (s *Store) standings(ctx context.Context, now time.Time, q queue.ReadyQuery) (read standings, err error) {
	var b pgx.Batch
	b.Queue(orderedSQL)
	remembers := len(q.Organizations) == 1 && s.host == nil
	var known []frontRow
	var claimed claimedLast
	if remembers {
		var priorities []int16
		known, priorities = s.fronts.of(q.Organizations[0])
		b.Queue(s.sql(claimedLastSQL), key(q.Organizations[0]), priorities)
	}
	if q.Whole {
		known = nil
	}
	if some := keys(q.Organizations); len(some) > 0 {
		b.Queue(s.sql(readyOfSomeSQL), append([]any{max(q.CountTo, 1), now, some}, frontColumns.args(known)...)...)
		b.Queue(s.sql(nextOfSomeSQL), now, some)
	} else {
		b.Queue(s.sql(readyOfAllSQL), max(q.CountTo, 1), now)
		b.Queue(s.sql(nextOfAllSQL), now)
	}
	err = s.send(ctx, &b, func(r pgx.BatchResults) error {
		skip(r, 1)
		if remembers {
			if err := claimed.collect(r.Query()); err != nil {
				return err
			}
		}
		if err := read.collect(r.Query()); err != nil {
			return err
		}
		return r.QueryRow().Scan(toTime(&read.next))
	})
	if err == nil && remembers && !s.fronts.learn(q.Organizations[0], read.heads, claimed) && !q.Whole {
		q.Whole = true
		return s.standings(ctx, now, q)
	}
	return read, err
}

func (l *standings) collect(rows pgx.Rows, _ error) error {
	*l = standings{heads: make(map[laneNumber]int64)}
	var st queue.ReadyLane
	var tagSet int32
	var paused bool
	targets := []any{
		toID(&st.Lane.Organization), &st.Lane.Type, &tagSet, &st.Lane.Priority, &st.Count, &st.From, toTime(&st.Oldest), &paused,
	}
	_, err := pgx.ForEachRow(rows, targets, func() error {
		normalize(&st.Oldest)
		l.heads[laneNumber{st.Lane.Type, tagSet, st.Lane.Priority}] = st.From
		if !paused {
			l.list, l.tagSets = append(l.list, st), append(l.tagSets, tagSet)
		}
		return nil
	})
	return err
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
