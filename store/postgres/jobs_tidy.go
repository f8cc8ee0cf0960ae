package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// tidying deletes the rows of a table that mean nothing any more.
type tidying struct {
	// what the rows are, for the log.
	what, table string
	// find locks them, and returns where each is and how it is called.
	find string
}

// deleteAll deletes all of them, or none.
func (d tidying) deleteAll() string {
	return `
	DELETE FROM dormouse.` + d.table + ` WHERE ctid = ANY (ARRAY(SELECT old.place FROM (` + d.find + `
	) old))`
}

var (
	lostProcesses = tidying{"process", "processes", `
		SELECT p.ctid AS place, p.id::text AS name FROM dormouse.processes p WHERE p.lost_at < $1
			AND NOT EXISTS (SELECT FROM dormouse.jobs j WHERE j.state = 1 AND j.process_id = p.id)
		FOR UPDATE OF p SKIP LOCKED`}
	pausesOver = tidying{"pause", "pauses", `
		SELECT p.ctid AS place, p.organization_id || ' ' || p.type AS name FROM dormouse.pauses p WHERE p.ends_at < $1 FOR UPDATE SKIP LOCKED`}
	// claimedBelow are what claims at the same time have left below the highest number, turnsOvertaken the last numbers of tenants that the
	// number claimed last has overtaken by a step ($1): they decide nothing any more.
	claimedBelow = tidying{"number claimed", "claimed", `
		SELECT c.ctid AS place, c.organization_id || ' ' || c.place AS name FROM dormouse.claimed c WHERE EXISTS (
			SELECT FROM dormouse.claimed h
			WHERE h.organization_id = c.organization_id AND h.priority = c.priority AND h.place > c.place)
		FOR UPDATE OF c SKIP LOCKED`}
	turnsOvertaken = tidying{"turn", "turns", `
		SELECT t.ctid AS place, t.organization_id || ' ' || t.tenant_id AS name FROM dormouse.turns t
		JOIN dormouse.claimed c USING (organization_id, priority)
		WHERE t.place + $1 <= c.place
		FOR UPDATE OF t SKIP LOCKED`}
)

// tidy deletes records of processes, of pauses, of turns and of tag sets that mean nothing any more, each in a transaction of its
// own.
func (s *Store) tidy(ctx context.Context, before time.Time) error {
	for _, d := range []struct {
		tidying
		args []any
	}{
		{lostProcesses, []any{before}}, {pausesOver, []any{before}}, {claimedBelow, nil}, {turnsOvertaken, []any{queue.FairOrder(0, 0, 1)}},
	} {
		if err := s.tidyTable(ctx, d.tidying, d.args...); err != nil {
			return err
		}
	}
	return s.dropUnused(ctx, before)
}

// tidyTable deletes the rows, but for those that the host keeps, or that something refers to which somebody holds.
func (s *Store) tidyTable(ctx context.Context, d tidying, args ...any) error {
	_, err := s.changeUnheld(ctx, batchWaitSQL, d.deleteAll(), args...)
	if !ofOneRow(err) {
		return err
	}
	var refused refusals
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		refused = refusals{}
		return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
			if err := s.rowByRow(ctx, tx); err != nil {
				return err
			}
			return s.tidyApart(ctx, tx, d, args, &refused)
		})
	})
	s.warn(ctx, "rows cannot be pruned", d.what, refused)
	return err
}

func (s *Store) tidyApart(ctx context.Context, tx pgx.Tx, d tidying, args []any, r *refusals) error {
	var places, names []string
	var place, name string
	rows, _ := tx.Query(ctx, s.sql(`SELECT place::text, name FROM (`+d.find+`) old`), args...)
	if _, err := pgx.ForEachRow(rows, []any{&place, &name}, func() error {
		places, names = append(places, place), append(names, name)
		return nil
	}); err != nil || len(places) == 0 {
		return err
	}
	return byHalves(ctx, tx, 0, len(places), func(tx pgx.Tx, from, to int) error {
		_, err := tx.Exec(ctx, s.sql(`DELETE FROM dormouse.`+d.table+` WHERE ctid = ANY ($1::text[]::tid[])`), places[from:to])
		return asHeld(err)
	}, func(i int, why error) { r.Add(names[i], why) })
}
