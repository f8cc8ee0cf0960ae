package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
	passed, refused, first := 0, 0, ""
	defer func() {
		if refused > 0 {
			s.cfg.Logger.WarnContext(ctx, "postgres: rows cannot be pruned", "what", what, "rows", refused, "first", first)
		}
	}()
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
				if refused++; refused == 1 {
					first = fmt.Sprintf("%v: %v", k, err)
				}
			}
			if n += gone; gone == 0 {
				passed++
			}
		}
	}
	return n, nil
}

// ofOneRow reports whether an error is about a row, and other rows may go: somebody holds it, or a constraint or a trigger of the
// host keeps it.
func ofOneRow(err error) bool {
	var pg *pgconn.PgError
	return errors.Is(err, errHeld) || errors.Is(err, errKept) || errors.As(err, &pg) && (strings.HasPrefix(pg.Code, "23") || strings.HasPrefix(pg.Code, "P0"))
}

// errKept is the end of a statement that did not delete all that it found: a trigger of the host keeps a row without a word.
var errKept = errors.New("a trigger of the host kept the row")

// pruneTogether runs a statement that answers how many rows it has found, and how many it has deleted. Where those are fewer, it has
// deleted them all the same, and returns errKept.
func (s *Store) pruneTogether(ctx context.Context, text string, args ...any) (n int, err error) {
	var found, gone int
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.patient(ctx, batchWaitSQL, text, args, func(rows pgx.Rows) error {
			_, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (struct{}, error) { return struct{}{}, row.Scan(&found, &gone) })
			return err
		})
	})
	switch {
	case err != nil:
		return 0, err
	case gone < found:
		return gone, errKept
	}
	return gone, nil
}

// changeUnheld is change, and returns errHeld if it has to wait for a row for too long.
func (s *Store) changeUnheld(ctx context.Context, wait, text string, args ...any) (n int, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.patient(ctx, wait, text, args, func(rows pgx.Rows) error {
			rows.Close()
			n = int(rows.CommandTag().RowsAffected())
			return rows.Err()
		})
	})
	if err != nil {
		return 0, err
	}
	return n, nil
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
