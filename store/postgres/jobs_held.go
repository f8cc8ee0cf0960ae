package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Calls about leases come in batches, and a process makes one at a time. A row that a session holds which was left open would
// keep the whole batch waiting, then the next one, and the signs of life of all its workers with them. So a batch waits for a
// row much longer than this library ever holds one, and not long beside a heartbeat; its parts then go alone, and only the one
// whose row is held fails.
var (
	batchWaitSQL = setSQL(waitAtMost("500ms"))
	aloneWaitSQL = setSQL(waitAtMost("20ms"))
)

// The same for statements that find what they lock by ids, and for those that are steady.
var (
	batchByIDSQL   = setSQL(throughIndexes + `, ` + waitAtMost("500ms"))
	aloneByIDSQL   = setSQL(throughIndexes + `, ` + waitAtMost("20ms"))
	batchSteadySQL = setSQL(steadily + `, ` + waitAtMost("500ms"))
)

// waitAtMost bounds the waits of a transaction, unless the host has set a shorter bound. Both may be written in any unit.
func waitAtMost(bound string) string {
	return `set_config('lock_timeout', CASE WHEN current_setting('lock_timeout')::interval BETWEEN '1 ms' AND '` + bound +
		`' THEN current_setting('lock_timeout') ELSE '` + bound + `' END, true)`
}

var errHeld = errors.New("another session holds the row")

// heldByOthers says of an error that is the end of a wait for another session what that holds.
func heldByOthers(err error) error {
	var pg *pgconn.PgError
	if errors.Is(err, errHeld) || !isHeld(err) || !errors.As(err, &pg) {
		return err
	}
	if pg.Where != "" {
		err = fmt.Errorf("%w, %s", err, pg.Where)
	}
	return fmt.Errorf("%w: %w: %w", lifecycle.ErrUnavailable, errHeld, err)
}

// patient runs a statement that locks rows behind one that bounds the wait for them. It returns errHeld when that is over,
// which is not tried again.
func (s *Store) patient(ctx context.Context, wait, text string, args []any, read func(pgx.Rows) error) error {
	return asHeld(s.waiting(ctx, wait, text, args, read))
}

// asHeld returns errHeld for an error that is the end of a wait.
func asHeld(err error) error {
	if isHeld(err) {
		return errHeld
	}
	return err
}

// apart has f do a batch of n parts at once, or where that meets a row that is held or refused, each part alone; failed hears of those that
// fail.
func apart(n int, f func(from, to int, wait string) error, failed func(i int, err error)) error {
	err := f(0, n, batchByIDSQL)
	if !ofOneRow(err) {
		return err
	}
	for i := range n {
		switch err := f(i, i+1, aloneByIDSQL); {
		case errors.Is(err, errHeld):
			failed(i, fmt.Errorf("%w: %w", lifecycle.ErrUnavailable, err))
		case refusesRow(err):
			failed(i, err)
		case err != nil:
			return err
		}
	}
	return nil
}

// lockJobs runs a statement that locks jobs, and does so for all of them or none. It waits for a held row no longer than some
// attempts take.
func (s *Store) lockJobs(ctx context.Context, text string, args ...any) ([]queue.Job, error) {
	var l jobList
	err := s.do(ctx, once, func(ctx context.Context) error {
		return s.waiting(ctx, batchByIDSQL, text, args, func(rows pgx.Rows) error { return l.collect(rows, nil) })
	})
	if err != nil {
		return nil, heldByOthers(err)
	}
	return l.jobs, s.fillTags(ctx, l.jobs, l.tagSets)
}

// boundWaits bounds how long the statements of a transaction wait for a row.
func (s *Store) boundWaits(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, batchWaitSQL)
	return err
}

// isHeld reports whether a statement failed because the time to wait for a row was over.
func isHeld(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03"
}
