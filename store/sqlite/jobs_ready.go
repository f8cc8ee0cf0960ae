package sqlite

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
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

	nextOfAll  = `SELECT ready_at FROM {jobs} INDEXED BY {jobs_delayed} WHERE state = 1 AND ready_at > ?1 ORDER BY ready_at LIMIT 1`
	nextOfSome = `SELECT min((SELECT n.ready_at FROM {jobs} n INDEXED BY {jobs_delayed_of}
		WHERE n.state = 1 AND n.organization_id = unhex(o.value) AND n.ready_at > ?1 ORDER BY n.ready_at LIMIT 1)) FROM json_each(?2) o`
)

// turnReady also sees to it that what turns ready does not stand in front of the number claimed last.
const turnReady = `
UPDATE {jobs} INDEXED BY {jobs_delayed} SET state = 0, line = max(line, coalesce((SELECT f.claimed FROM {floors} f
	WHERE f.organization_id = {jobs}.organization_id AND f.priority = (SELECT l.priority FROM {lanes} l WHERE l.id = {jobs}.lane)), 0))
WHERE state = 1 AND ready_at <= ?1 AND (?2 IS NULL OR id = ?2)`

// Ready implements [queue.Queue].
func (s *Store) Ready(ctx context.Context, now time.Time, q queue.ReadyQuery) (listing queue.Listing, err error) {
	refused, err := s.wakeDelayed(ctx, now)
	if err == nil {
		err = s.view(ctx, func(t *tx) error {
			listing, err = t.listing(now, q)
			return err
		})
	}
	if err != nil {
		return queue.Listing{}, unavailable(err, "list ready lanes")
	}
	listing.Refused = refused
	return listing, nil
}

// wakeDelayed turns the jobs ready whose time has come. Usually there is none, and nothing is written.
func (s *Store) wakeDelayed(ctx context.Context, now time.Time) (refused []queue.Refusal, err error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	passed := setOf(s.passed.At(now, nil))
	due, err := dueJobs(s.querying(ctx), now, passed, 1)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	if len(passed) == 0 {
		left := false
		err = s.write(ctx, func(t *tx) error {
			if _, err := t.exec(turnReady, micros(now), nil); err != nil {
				return err
			}
			left, err = t.queryRow(selectDueJobs, []any{micros(now), 1}, new(uuid.UUID), new(uuid.UUID))
			return err
		})
		if err == nil && !left || err != nil && !rejects(err) {
			return nil, err
		}
	}
	return s.wakeApart(ctx, now, passed)
}

// readyPage bounds how many jobs turn ready in a transaction that tries each alone.
const readyPage = 1000

// wakeApart does the same for each alone, and passes over those that the host keeps, as do all looks of the next minute.
func (s *Store) wakeApart(ctx context.Context, now time.Time, passed map[uuid.UUID]bool) (refused []queue.Refusal, err error) {
	l := lineApart[uuid.UUID]{what: "job", message: "jobs cannot turn ready", passed: passed, page: readyPage}
	organizations := map[uuid.UUID]uuid.UUID{}
	l.remember = func(job uuid.UUID, why error) {
		refused = append(refused, s.passOver(now, job, organizations[job], why))
	}
	l.take = func(t *tx, limit int) (turned []uuid.UUID, err error) {
		for len(turned) < limit {
			due, err := dueJobs(t.query, now, l.passed, limit-len(turned))
			if err != nil || len(due) == 0 {
				return turned, err
			}
			for _, j := range due {
				organizations[j.id] = j.organization
				done, err := l.attempt(t, j.id, func() error { return t.turnReady(now, j.id) })
				if err != nil {
					return turned, err
				}
				if done {
					turned = append(turned, j.id)
				}
			}
		}
		return turned, nil
	}
	err = l.run(ctx, s, math.MaxInt)
	return refused, err
}

func (t *tx) turnReady(now time.Time, job uuid.UUID) error {
	n, err := t.exec(turnReady, micros(now), blob(job))
	if err == nil && n == 0 {
		err = errNotWritten
	}
	return err
}

type dueJob struct{ id, organization uuid.UUID }

const selectDueJobs = `SELECT id, organization_id FROM {jobs} INDEXED BY {jobs_delayed} WHERE state = 1 AND ready_at <= ? LIMIT ?`

// dueJobs are up to limit jobs whose time has come and that are not ready, but for those passed over.
func dueJobs(query querying, now time.Time, passed map[uuid.UUID]bool, limit int) (due []dueJob, err error) {
	err = query(selectDueJobs, func(r rows) error {
		var j dueJob
		err := r.Scan(&j.id, &j.organization)
		if !passed[j.id] && len(due) < limit {
			due = append(due, j)
		}
		return err
	}, micros(now), len(passed)+limit)
	return due, err
}

func (t *tx) listing(now time.Time, q queue.ReadyQuery) (listing queue.Listing, err error) {
	next, args := nextOfAll, []any{micros(now)}
	if len(q.Organizations) > 0 {
		next, args = nextOfSome, append(args, hexList(q.Organizations))
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
