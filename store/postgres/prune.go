package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What is old is deleted many rows at a time. Where one of them cannot go, because somebody holds it or something that goes with
// it, or a table of the host refers to it, the whole statement fails, and would every time. Then they go one by one.

// pageSize is how many rows are looked for at once where they go one by one.
const pageSize = 100

// pruneAlone deletes one by one until limit have gone or none is left, and passes over what cannot go. A page begins behind
// so many as were passed over, in an order that does not change. What was passed over is tried again by every call, so a host whose
// tables refer to many rows pays a statement for each of them.
func pruneAlone[K any](
	ctx context.Context, s *Store, what string, limit int, page func(limit, offset int) ([]K, error), remove func(K) (int, error),
) (n int, err error) {
	var refused refusals
	passed := 0
	defer func() { s.warn(ctx, "rows cannot be pruned", what, refused) }()
	for n < limit {
		keys, err := page(min(limit-n, pageSize), passed)
		if err != nil || len(keys) == 0 {
			return n, err
		}
		for _, k := range keys {
			gone, err := remove(k)
			if err != nil && !ofOneRow(err) {
				return n, err
			}
			if err != nil {
				refused.Add(k, err)
			}
			if n += gone; gone == 0 {
				passed++
			}
		}
	}
	return n, nil
}

// ofOneRow reports whether an error is about a row, and other rows may go: somebody holds it, or it is refused.
func ofOneRow(err error) bool { return errors.Is(err, errHeld) || refusesRow(err) }

// refusesRow reports whether the server refused what was to be written, as a constraint or a trigger of the host has it do. A trigger may
// raise whatever it likes, and fail in any way. So it is every error that is neither about the connection and the server as a whole nor about
// another transaction.
func refusesRow(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || classifyCode(pg.Code) != refused {
		return false
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "58", "F0", "XX": // the system around the server, its configuration, itself
		return false
	case "42": // not to be understood, or not allowed: of a trigger's statement if the error says where in it, else of the whole statement
		return pg.Where != ""
	}
	return true
}

// changeUnheld is change, and returns errHeld if it has to wait for a row for too long.
func (s *Store) changeUnheld(ctx context.Context, wait, text string, args ...any) (n int, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.patient(ctx, wait, text, args, counted(&n))
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// counted reads how many rows a statement changed.
func counted(n *int) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		rows.Close()
		*n = int(rows.CommandTag().RowsAffected())
		return rows.Err()
	}
}

// ids returns the ids that a query finds.
func (s *Store) ids(ctx context.Context, text string, args ...any) ([]uuid.UUID, error) {
	return pageOf(ctx, s, func(id *uuid.UUID) []any { return []any{toID(id)} }, text, args...)
}

// pageOf returns what a query finds; of says where the columns of a row go.
func pageOf[K any](ctx context.Context, s *Store, of func(*K) []any, text string, args ...any) (page []K, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		page = nil
		rows, _ := s.db.Query(ctx, s.sql(text), args...)
		var k K
		_, err = pgx.ForEachRow(rows, of(&k), func() error { page = append(page, k); return nil })
		return err
	})
	return page, err
}
