package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Events never tried that are the first of their workspace and topic are found in one of two ways:
//
//   - by number, passing over those that are not the first. It takes long where the first one of many is leased or waits for
//     its retry.
//   - by line: from workspace to workspace, however many events each has. It takes long where many workspaces have some.
//
// Which one is short is not known. So a claim goes some way by number; if that was not enough as far by line; and then further
// by either. It reads a few times what the shorter way takes.
var (
	freeByNumberSQL = shareEventsSQL("", firstOfNumberedSQL("", upSQL), firstOfNumberedSQL(newerSQL("e"), downSQL),
		moreNumberedSQL("fresh", "", upSQL)+` OR `+moreNumberedSQL("newest", newerSQL("e"), downSQL))
	freeByLineSQL = shareEventsSQL(eventLinesSQL, firstOfLinesSQL(""), firstOfLinesSQL(newerSQL("h")), `(SELECT count(*) FROM lined) >= $5`)

	claimByNumberSQL, claimByLineSQL = freeByNumberSQL + leaseSharedSQL, freeByLineSQL + leaseSharedSQL
	// The same where the host keeps some events: those that could be leased, but for some ($3).
	lockByNumberSQL, lockByLineSQL = freeByNumberSQL + lockSharedSQL, freeByLineSQL + lockSharedSQL
)

const (
	upSQL, downSQL = "e.topic, e.seq", "e.topic DESC, e.seq DESC"
	// firstReach is how many events, or workspaces, a claim looks at first, and furtherReach how many times as many it looks at then.
	firstReach   = 512
	furtherReach = 4
)

// shareEventsSQL begins a statement about events that are free, which it locks, as [lifecycle.Outbox] shares them out:
//
//   - oldest and newest are those never tried, from both ends, and tried those tried before. There is a newest only where oldest
//     has not found them all.
//   - shared takes one of each in turn.
//   - cut says that the claim came to its end ($5) before it had seen enough. Then nothing is shared, and the statement returns an event without a number.
//
// Numbers rise within a workspace in the order of its commits, because a commit takes them while it holds the workspace's row. So
// the first of a line stays the first.
func shareEventsSQL(with, first, last, cut string) string {
	const never = "e.free_at IS NULL"
	return `
	WITH RECURSIVE ` + with + `fresh AS MATERIALIZED (` + freeEventsSQL(first, never, "h.topic, h.seq") + `
	), oldest AS MATERIALIZED (
		SELECT seq FROM fresh ORDER BY seq LIMIT $4
	), newest AS MATERIALIZED (` + freeEventsSQL(last, never, "h.topic DESC, h.seq DESC") + `
	), tried AS MATERIALIZED (` + freeEventsSQL("dormouse.events e", ofTopicSQL+" AND e.free_at <= $2 AND "+firstOfLineSQL("e"), "e.topic, e.free_at, e.seq") + `
	), looked AS MATERIALIZED (
		SELECT ` + cut + ` AS cut
	), shared AS (
		SELECT seq, n, kind FROM (
			SELECT seq, row_number() OVER (ORDER BY seq) AS n, 1 AS kind FROM oldest
			UNION ALL
			SELECT seq, row_number() OVER (ORDER BY free_at, seq), 2 FROM tried
			UNION ALL
			SELECT seq, row_number() OVER (ORDER BY seq DESC), 3 FROM newest
		) ranked
		WHERE NOT (SELECT cut FROM looked)
		ORDER BY n, kind
		LIMIT $4
	)`
}

// leaseSharedSQL leases them, all or, with an error, none: what a trigger leaves out would be in the way of others at every claim.
var leaseSharedSQL = `, claimed AS (
		UPDATE dormouse.events e SET attempt = e.attempt + 1, free_at = $3
		FROM shared s WHERE e.seq = s.seq
		RETURNING e.seq, e.attempt, e.body
	)
	SELECT seq, attempt, body FROM claimed
	UNION ALL
	SELECT 0, 0, 'null' FROM looked WHERE cut
	UNION ALL
	SELECT ` + keptSQL("events", "count(*)") + `::bigint, NULL, NULL FROM shared HAVING count(*) > (SELECT count(*) FROM claimed)`

const lockSharedSQL = `
	SELECT seq FROM (
		SELECT seq, n, kind FROM shared WHERE seq <> ALL ($3::bigint[])
		UNION ALL
		SELECT 0, 0, 0 FROM looked WHERE cut
	) free
	ORDER BY n, kind`

// ofTopicSQL is true of the events of a topic. It is a range, with an order that begins with the topic: for one that is equal the server
// may take the order of the primary key, and read all other topics' events where it has few.
const ofTopicSQL = `e.topic BETWEEN t.topic AND t.topic`

// freeEventsSQL locks the first events of the topics ($1), each alone, that meet a condition.
func freeEventsSQL(from, condition, order string) string {
	return `
		SELECT f.topic, f.seq, f.free_at FROM unnest($1::smallint[]) AS t (topic) CROSS JOIN LATERAL (
			SELECT e.topic, e.seq, e.free_at FROM ` + from + `
			WHERE ` + condition + `
			ORDER BY ` + order + `
			LIMIT $4
			FOR UPDATE OF e SKIP LOCKED
		) f`
}

// firstOfLineSQL is true of the first event of a line. That none is before it could be asked too, but of whatever index the server takes
// while there are few events; and it keeps to its plan when there are many.
func firstOfLineSQL(e string) string {
	return e + `.seq = (
				SELECT b.seq FROM dormouse.events b
				WHERE b.workspace_id = ` + e + `.workspace_id AND b.topic BETWEEN t.topic AND t.topic
				ORDER BY b.topic, b.seq LIMIT 1)`
}

// newerSQL is true of what is behind the oldest, where a claim takes no more of those.
func newerSQL(e string) string {
	return ` AND (SELECT count(*) FROM oldest) >= $4 AND ` + e + `.seq > (SELECT max(o.seq) FROM oldest o)`
}

// firstOfNumberedSQL are the first ones among the $5 events never tried of a topic in an order.
func firstOfNumberedSQL(and, order string) string {
	return `(
				SELECT n.topic, n.seq FROM (
					SELECT e.topic, e.seq, e.workspace_id FROM dormouse.events e
					WHERE ` + ofTopicSQL + ` AND e.free_at IS NULL` + and + `
					ORDER BY ` + order + ` LIMIT $5
				) n WHERE ` + firstOfLineSQL("n") + `
			) h JOIN dormouse.events e ON e.seq = h.seq`
}

// moreNumberedSQL is true if one of the topics has fewer than it could claim, and more events than were looked at.
func moreNumberedSQL(found, and, order string) string {
	return `EXISTS (
			SELECT FROM unnest($1::smallint[]) AS t (topic)
			WHERE CASE WHEN (SELECT count(*) FROM ` + found + ` f WHERE f.topic = t.topic) < $4 THEN (
				SELECT e.seq FROM dormouse.events e
				WHERE ` + ofTopicSQL + ` AND e.free_at IS NULL` + and + `
				ORDER BY ` + order + ` OFFSET $5 LIMIT 1) IS NOT NULL END)`
}

// eventLinesSQL are the first events of the topics that were never tried, of the first $5 workspaces that have any.
const eventLinesSQL = `lined AS (
		(SELECT e.workspace_id, 1 AS n FROM dormouse.events e ORDER BY e.workspace_id, e.topic, e.seq LIMIT 1)
		UNION ALL
		SELECT e.workspace_id, l.n + 1 FROM lined l CROSS JOIN LATERAL (
			SELECT e.workspace_id FROM dormouse.events e
			WHERE e.workspace_id > l.workspace_id
			ORDER BY e.workspace_id, e.topic, e.seq LIMIT 1
		) e
		WHERE l.n < $5
	), lines AS MATERIALIZED (
		SELECT t.topic, e.seq FROM lined l CROSS JOIN unnest($1::smallint[]) AS t (topic) CROSS JOIN LATERAL (
			SELECT e.seq, e.free_at FROM dormouse.events e
			WHERE e.workspace_id = l.workspace_id AND ` + ofTopicSQL + `
			ORDER BY e.topic, e.seq LIMIT 1
		) e
		WHERE e.free_at IS NULL
	), `

// firstOfLinesSQL are the first ones of a topic among eventLinesSQL.
func firstOfLinesSQL(and string) string {
	return `lines h JOIN dormouse.events e ON h.topic = t.topic AND e.seq = h.seq` + and
}

// ClaimEvents implements [lifecycle.Outbox]. If the answer is lost the events wait for the end of their lease. It reads O(limit), and where
// events are in front that cannot be claimed O(those), or O(workspaces with events) if these are fewer. An event that the host keeps from
// being claimed is passed over for a minute, and named in the log.
func (s *Store) ClaimEvents(ctx context.Context, now time.Time, topics []lifecycle.Topic, lease time.Duration, limit int) (events []lifecycle.Event, err error) {
	args := []any{topicNumbers(topics), now, now.Add(lease), max(limit, 0)}
	if passed := s.passedEvents.At(now, nil); len(passed) > 0 {
		events, err = s.claimEventsApart(ctx, args, passed)
	} else {
		err = s.do(ctx, repeatable, func(ctx context.Context) error {
			events, err = s.claimEvents(ctx, args, firstReach)
			return err
		})
		if refusesRow(err) {
			events, err = s.claimEventsApart(ctx, args, passed)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("claim events: %w", err)
	}
	return events, nil
}

// claimEvents goes the two ways in turn, and further each time.
func (s *Store) claimEvents(ctx context.Context, args []any, reach int) (events []lifecycle.Event, err error) {
	for ; ; reach *= furtherReach {
		for _, text := range []string{claimByNumberSQL, claimByLineSQL} {
			err = s.steady(ctx, text, append(args, reach), func(rows pgx.Rows) (err error) {
				events, err = s.readEvents(ctx, rows)
				return err
			})
			if cut := len(events) == 1 && events[0].Seq == 0; err != nil || !cut {
				return events, err
			}
		}
	}
}
