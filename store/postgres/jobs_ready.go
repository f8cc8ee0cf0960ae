package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// readyPage bounds how many jobs turn ready in one transaction.
const readyPage = 1000

const turnReadySQL = `
	UPDATE dormouse.jobs j SET ready = true
	FROM (
		SELECT id FROM dormouse.jobs
		WHERE state = 0 AND NOT ready AND ready_at <= $1
		ORDER BY ready_at LIMIT $2
		FOR NO KEY UPDATE SKIP LOCKED
	) d WHERE j.id = d.id`

// The lanes are found by skipping through the ready index: from each lane straight to the next, so the cost is the number
// of lanes. Two statements, since a step within one organization and a step across all of them compare different columns.
const (
	readyOfAllSQL = `
	WITH RECURSIVE lane AS (
		(SELECT organization_id, type, tag_set, priority FROM dormouse.jobs
		WHERE ready ORDER BY organization_id, type, tag_set, priority LIMIT 1)
		UNION ALL
		SELECT n.* FROM lane l CROSS JOIN LATERAL (
			SELECT organization_id, type, tag_set, priority FROM dormouse.jobs
			WHERE ready AND (organization_id, type, tag_set, priority) > (l.organization_id, l.type, l.tag_set, l.priority)
			ORDER BY organization_id, type, tag_set, priority LIMIT 1
		) n
	)` + standingsSQL

	readyOfSomeSQL = `
	WITH RECURSIVE lane AS (
		SELECT f.* FROM unnest($3::uuid[]) AS o (id) CROSS JOIN LATERAL (
			SELECT organization_id, type, tag_set, priority FROM dormouse.jobs
			WHERE ready AND organization_id = o.id ORDER BY type, tag_set, priority LIMIT 1
		) f
		UNION ALL
		SELECT n.* FROM lane l CROSS JOIN LATERAL (
			SELECT organization_id, type, tag_set, priority FROM dormouse.jobs
			WHERE ready AND organization_id = l.organization_id
				AND (type, tag_set, priority) > (l.type, l.tag_set, l.priority)
			ORDER BY type, tag_set, priority LIMIT 1
		) n
	)` + standingsSQL

	standingsSQL = `
	SELECT l.organization_id, l.type, l.tag_set, l.priority, c.n, f.place, f.created_at
	FROM lane l CROSS JOIN LATERAL (
		SELECT place, created_at FROM dormouse.jobs
		WHERE ready AND organization_id = l.organization_id AND type = l.type AND tag_set = l.tag_set AND priority = l.priority
		ORDER BY place, id LIMIT 1
	) f CROSS JOIN LATERAL (
		SELECT count(*) AS n FROM (
			SELECT FROM dormouse.jobs
			WHERE ready AND organization_id = l.organization_id AND type = l.type AND tag_set = l.tag_set AND priority = l.priority
			LIMIT $1
		) counted
	) c
	WHERE NOT EXISTS (
		SELECT FROM dormouse.pauses x
		WHERE x.organization_id IN (l.organization_id, '00000000-0000-0000-0000-000000000000') AND x.type IN (l.type, '')
			AND (x.ends_at IS NULL OR x.ends_at > $2))`

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
	lanes, next := readyOfAllSQL, nextOfAllSQL
	var some []any
	if len(q.Organizations) > 0 {
		lanes, next, some = readyOfSomeSQL, nextOfSomeSQL, []any{keys(q.Organizations)}
	}
	var read standings
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue(steadySQL)
		b.Queue(s.sql(lanes), append([]any{max(q.CountTo, 1), now}, some...)...)
		b.Queue(s.sql(next), append([]any{now}, some...)...)
		return s.send(ctx, &b, func(r pgx.BatchResults) error {
			if _, err := r.Exec(); err != nil {
				return err
			}
			if err := read.collect(r.Query()); err != nil {
				return err
			}
			return r.QueryRow().Scan(toTime(&listing.Next))
		})
	})
	if err == nil {
		listing.Lanes, listing.Unreadable, err = s.fillLanes(ctx, read)
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
				if _, err := r.Exec(); err != nil {
					return err
				}
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

// standings are lanes as they are read, with the numbers of their tag sets.
type standings struct {
	list    []queue.ReadyLane
	tagSets []int32
}

func (l *standings) collect(rows pgx.Rows, err error) error {
	*l = standings{}
	if err != nil {
		return err
	}
	var st queue.ReadyLane
	var tagSet int32
	targets := []any{
		toID(&st.Lane.Organization), &st.Lane.Type, &tagSet, &st.Lane.Priority, &st.Count, &st.From, toTime(&st.Oldest),
	}
	_, err = pgx.ForEachRow(rows, targets, func() error {
		normalize(&st.Oldest)
		l.list, l.tagSets = append(l.list, st), append(l.tagSets, tagSet)
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
