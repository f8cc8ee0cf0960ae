package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Processes remember the numbers of tag sets, so a tag set cannot go as soon as no job uses it: whoever remembers its number would
// store jobs that nobody can read. Instead it is retired, and deleted a day later. A number is remembered for an hour, and that of
// a retired set not at all; who posts with a retired set takes it back into use. So nobody remembers a number any more when it
// goes. Numbers are never given twice. A posting that comes too late all the same, from a process that was stopped for a day,
// names a set that is not there, which its statement finds out (see insertJobsSQL).
const (
	unusedEvery = time.Hour
	retiredFor  = 24 * time.Hour
	numberLife  = time.Hour
)

// unused says when the tables were last searched for what nobody uses, in the time of those who prune.
type unused struct {
	mu   sync.Mutex
	last time.Time
}

// due reports whether they should be searched now: it reads all jobs.
func (u *unused) due(now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.last) < unusedEvery {
		return false
	}
	u.last = now
	return true
}

const (
	// staleSetsSQL locks the tag sets that are to be retired or deleted because no job uses them, or taken back into use, and says which of
	// them one uses.
	staleSetsSQL = `
	WITH used AS MATERIALIZED (
		SELECT DISTINCT tag_set FROM dormouse.jobs
	)
	SELECT t.id, u.tag_set IS NOT NULL FROM dormouse.tag_sets t LEFT JOIN used u ON u.tag_set = t.id
	WHERE CASE WHEN u.tag_set IS NULL THEN t.retired_at IS NULL OR t.retired_at < $1 ELSE t.retired_at IS NOT NULL END
	ORDER BY t.id FOR UPDATE OF t SKIP LOCKED`
	// tidySetsSQL does so with some of them. $1 is now, $2 when those were retired that are deleted.
	tidySetsSQL = `
	WITH stale AS (
		SELECT * FROM unnest($3::integer[], $4::boolean[]) AS s (id, used)
	), revived AS (
		UPDATE dormouse.tag_sets t SET retired_at = NULL FROM stale s WHERE s.id = t.id AND s.used AND t.retired_at IS NOT NULL
	), retired AS (
		UPDATE dormouse.tag_sets t SET retired_at = $1 FROM stale s WHERE s.id = t.id AND NOT s.used AND t.retired_at IS NULL
	)
	DELETE FROM dormouse.tag_sets t USING stale s WHERE s.id = t.id AND NOT s.used AND t.retired_at < $2`

	// goneSQL are the organizations that have no job of any state any more: their next one begins as the first one did.
	goneSQL = `
		WITH known AS (
		SELECT organization_id FROM dormouse.turns UNION SELECT organization_id FROM dormouse.claimed
	), gone AS MATERIALIZED (
		SELECT organization_id FROM known k
		WHERE NOT EXISTS (SELECT FROM dormouse.jobs j WHERE j.organization_id = k.organization_id)
	)`
	// reviveSQL takes tag sets back into use, in an order that all take, so that nobody waits in a circle.
	reviveSQL = `
	UPDATE dormouse.tag_sets SET retired_at = NULL WHERE id IN (
		SELECT id FROM dormouse.tag_sets WHERE canon = ANY ($1::text[]) AND retired_at IS NOT NULL
		ORDER BY id FOR NO KEY UPDATE)`
)

var (
	turnsOfGone = tidying{"turn", "turns", goneSQL + `
		SELECT t.ctid AS place, t.organization_id || ' ' || t.tenant_id AS name FROM dormouse.turns t JOIN gone g USING (organization_id)
		FOR UPDATE OF t SKIP LOCKED`}
	claimedOfGone = tidying{"number claimed", "claimed", goneSQL + `
		SELECT c.ctid AS place, c.organization_id || ' ' || c.place AS name FROM dormouse.claimed c JOIN gone g USING (organization_id)
		FOR UPDATE OF c SKIP LOCKED`}
)

// dropUnused drops the tag sets that no job uses any more, and the turns of organizations without jobs, if it is time to look.
func (s *Store) dropUnused(ctx context.Context, before time.Time) error {
	if !s.unused.due(before) {
		return nil
	}
	if err := s.tidySets(ctx, before); err != nil {
		return err
	}
	if err := s.tidyTable(ctx, turnsOfGone); err != nil {
		return err
	}
	return s.tidyTable(ctx, claimedOfGone)
}

// tidySets retires, deletes and takes back tag sets, but for those that the host keeps or somebody holds: they are in use.
func (s *Store) tidySets(ctx context.Context, now time.Time) error {
	var refused refusals
	err := pgx.BeginTxFunc(ctx, s.pool, readCommitted, func(tx pgx.Tx) error {
		if err := s.boundWaits(ctx, tx); err != nil {
			return err
		}
		long := now.Add(-retiredFor)
		sets, used, err := staleSets(tx.Query(ctx, s.sql(staleSetsSQL), long))
		if err != nil || len(sets) == 0 {
			return err
		}
		if err := s.rowByRow(ctx, tx); err != nil {
			return err
		}
		return byHalves(ctx, tx, 0, len(sets), func(tx pgx.Tx, from, to int) error {
			_, err := tx.Exec(ctx, s.sql(tidySetsSQL), now, long, sets[from:to], used[from:to])
			return asHeld(err)
		}, func(i int, why error) { refused.Add(fmt.Sprint("tag set ", sets[i]), why) })
	})
	s.warn(ctx, "rows cannot be pruned", "tag set", refused)
	return err
}

// staleSets reads the answer of staleSetsSQL.
func staleSets(rows pgx.Rows, _ error) (sets []int32, used []bool, err error) {
	var set int32
	var isUsed bool
	_, err = pgx.ForEachRow(rows, []any{&set, &isUsed}, func() error {
		sets, used = append(sets, set), append(used, isUsed)
		return nil
	})
	return sets, used, err
}

// tagSetGone reports whether an error says that jobs were to be stored with a tag set that is not there.
func tagSetGone(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23502" && pg.TableName == "jobs" && pg.ColumnName == "tag_set"
}

// numbered calls a function that gives jobs the numbers of their tag sets and stores them, and again where a set was deleted in
// between.
func (s *Store) numbered(store func() error) error {
	err := store()
	if tagSetGone(err) {
		s.tags.forgetNumbers()
		err = store()
	}
	return err
}

func (t *tagSets) forgetNumbers() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.number)
}

// tagNumber is a tag set's number, and when it was read.
type tagNumber struct {
	n  int32
	at time.Time
}

// numberOf returns the number of a tag set if it was read lately.
func (t *tagSets) numberOf(set queue.TagSet) (int32, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	known, ok := t.number[set]
	return known.n, ok && time.Since(known.at) < numberLife
}
