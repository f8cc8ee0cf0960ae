package sqlite

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// The heads are the first ready jobs of all lanes that have one, found by going from lane to lane through the ready index:
// a look-up for each such lane, whatever the number of jobs behind it.
const (
	headsOfAll = `
WITH RECURSIVE heads(job) AS (
	SELECT (SELECT n.rowid FROM {jobs} n INDEXED BY {jobs_ready} WHERE n.state = 0
		ORDER BY n.organization_id, n.lane, n.line, n.id LIMIT 1)
	UNION ALL
	SELECT (SELECT n.rowid FROM {jobs} n INDEXED BY {jobs_ready}
		WHERE n.state = 0 AND (n.organization_id, n.lane) > (h.organization_id, h.lane)
		ORDER BY n.organization_id, n.lane, n.line, n.id LIMIT 1)
	FROM heads CROSS JOIN {jobs} h ON h.rowid = heads.job
) `
	headsOfSome = `
WITH RECURSIVE heads(job) AS (
	SELECT (SELECT n.rowid FROM {jobs} n INDEXED BY {jobs_ready} WHERE n.state = 0 AND n.organization_id = unhex(o.value)
		ORDER BY n.lane, n.line, n.id LIMIT 1) FROM json_each(?2) o
	UNION ALL
	SELECT (SELECT n.rowid FROM {jobs} n INDEXED BY {jobs_ready}
		WHERE n.state = 0 AND n.organization_id = h.organization_id AND n.lane > h.lane
		ORDER BY n.lane, n.line, n.id LIMIT 1)
	FROM heads CROSS JOIN {jobs} h ON h.rowid = heads.job
) `
	standings = `
SELECT h.lane, h.line, h.created_at, (SELECT count(*) FROM (
	SELECT 1 FROM {jobs} n INDEXED BY {jobs_ready} WHERE n.state = 0 AND n.organization_id = h.organization_id AND n.lane = h.lane LIMIT ?1))
FROM heads CROSS JOIN {jobs} h ON h.rowid = heads.job`

	nextOfAll  = `SELECT ready_at FROM {jobs} INDEXED BY {jobs_delayed} WHERE state = 1 ORDER BY ready_at LIMIT 1`
	nextOfSome = `SELECT min((SELECT n.ready_at FROM {jobs} n INDEXED BY {jobs_delayed_of}
		WHERE n.state = 1 AND n.organization_id = unhex(o.value) ORDER BY n.ready_at LIMIT 1)) FROM json_each(?) o`
)

// turnReady also sees to it that what turns ready does not stand in front of the number claimed last.
const turnReady = `
UPDATE {jobs} INDEXED BY {jobs_delayed} SET state = 0, line = max(line, coalesce((SELECT f.claimed FROM {floors} f
	WHERE f.organization_id = {jobs}.organization_id AND f.priority = (SELECT l.priority FROM {lanes} l WHERE l.id = {jobs}.lane)), 0))
WHERE state = 1 AND ready_at <= ?`

// Ready implements [queue.Queue].
func (s *Store) Ready(ctx context.Context, now time.Time, q queue.ReadyQuery) (listing queue.Listing, err error) {
	if err = s.wakeDelayed(ctx, now); err == nil {
		err = s.view(ctx, func(t *tx) error {
			listing, err = t.listing(now, q)
			return err
		})
	}
	if err != nil {
		return queue.Listing{}, unavailable(err, "list ready lanes")
	}
	return listing, nil
}

// wakeDelayed turns the jobs ready whose time has come. Usually there is none, and nothing is written.
func (s *Store) wakeDelayed(ctx context.Context, now time.Time) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	due, err := s.queryRow(ctx, `SELECT 1 FROM {jobs} INDEXED BY {jobs_delayed} WHERE state = 1 AND ready_at <= ? LIMIT 1`,
		[]any{micros(now)}, new(int))
	if err != nil || !due {
		return err
	}
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(turnReady, micros(now))
		return err
	})
}

func (t *tx) listing(now time.Time, q queue.ReadyQuery) (listing queue.Listing, err error) {
	next, args := nextOfAll, []any(nil)
	if len(q.Organizations) > 0 {
		next, args = nextOfSome, []any{hexList(q.Organizations)}
	}
	if _, err = t.queryRow(next, args, into(&listing.Next)); err != nil {
		return listing, err
	}
	pauses, err := t.pauses(now)
	if err != nil {
		return listing, err
	}
	listing.Lanes, listing.Unreadable, err = t.standings(q)
	listing.Lanes = slices.DeleteFunc(listing.Lanes, func(l queue.ReadyLane) bool { return paused(pauses, l.Lane) })
	listing.Next = resumed(pauses, q.Organizations, listing.Next)
	return listing, err
}

// standings leaves out and counts the lanes that cannot be read.
func (t *tx) standings(q queue.ReadyQuery) (readable []queue.ReadyLane, unreadable int, err error) {
	statement, args := headsOfAll+standings, []any{max(q.CountTo, 1)}
	if len(q.Organizations) > 0 {
		statement, args = headsOfSome+standings, append(args, hexList(q.Organizations))
	}
	var found []queue.ReadyLane
	var lanes []int64
	err = t.query(statement, func(r rows) error {
		var st queue.ReadyLane
		var lane int64
		err := r.Scan(&lane, &st.From, into(&st.Oldest), &st.Count)
		found, lanes = append(found, st), append(lanes, lane)
		return err
	}, args...)
	if err != nil {
		return nil, 0, err
	}
	for i, n := range lanes {
		switch found[i].Lane, err = t.lane(n); {
		case errors.Is(err, errUnreadable):
			unreadable++
		case err != nil:
			return nil, 0, fmt.Errorf("ready lane: %w", err)
		default:
			readable = append(readable, found[i])
		}
	}
	return readable, unreadable, nil
}

// hexList is a list of ids for json_each and unhex: JSON has no bytes.
func hexList(ids []uuid.UUID) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(hex.EncodeToString(id[:]))
		b.WriteByte('"')
	}
	b.WriteByte(']')
	return b.String()
}
