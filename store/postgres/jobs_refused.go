package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/refusal"
)

// A constraint or a trigger of the host may keep a job from being handed out, or from turning ready, and would keep all others from it that
// the statement is about: those behind it in line for ever. So such a statement is made again in parts, until the job in the way is alone,
// and that one is passed over. It is remembered for a while, so that not every call makes the statement twice.

// refusals are rows that something could not be done for.
type refusals struct {
	refusal.Tally
	// jobs are those of them that a claim or a listing is to name.
	jobs []queue.Refusal
}

// addJob adds a job that is passed over from now on.
func (r *refusals) addJob(id uuid.UUID, why error, now time.Time) {
	r.Add(id, why)
	if len(r.jobs) < refusal.Max {
		r.jobs = append(r.jobs, queue.Refusal{Job: id, Why: why.Error(), Again: now.Add(refusal.PassOverFor)})
	}
}

// warn says in the log what could not be done, if there was any.
func (s *Store) warn(ctx context.Context, message, what string, r refusals) {
	r.Warn(ctx, s.cfg.Logger, "postgres: "+message, what)
}

// immediateSQL has the host's constraints and triggers that wait for the commit refuse a row when it is written.
const immediateSQL = `SET CONSTRAINTS ALL IMMEDIATE`

// rowByRow has the statements of a transaction wait for no row longer than one alone is worth, and the host refuse a row when it is written.
func (s *Store) rowByRow(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, aloneWaitSQL)
	if err == nil {
		_, err = tx.Exec(ctx, immediateSQL)
	}
	return err
}

// byHalves does something for rows from one number up to another in a transaction: for all at once, or where one of them is refused, or the
// error is errHeld, for each half alone. refused hears of those that it cannot be done for.
func byHalves(ctx context.Context, tx pgx.Tx, from, to int, do func(tx pgx.Tx, from, to int) error, refused func(i int, why error)) error {
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return do(tx, from, to) })
	switch {
	case !ofOneRow(err):
		return err
	case to-from == 1:
		refused(from, err)
		return nil
	}
	middle := (from + to) / 2
	if err := byHalves(ctx, tx, from, middle, do, refused); err != nil {
		return err
	}
	return byHalves(ctx, tx, middle, to, do, refused)
}

// blameRow returns the error of a call that is made for all of n rows or none, with the name of the row that is refused, if that is what it is
// about; do writes some of them.
func (s *Store) blameRow(ctx context.Context, refusal error, n int, do func(tx pgx.Tx, from, to int) error, name func(i int) string) error {
	if !refusesRow(refusal) {
		return refusal
	}
	return firstRefused(refusal, n, func(from, to int) error {
		return s.takenBack(ctx, func(tx pgx.Tx) error { return do(tx, from, to) })
	}, name)
}

// firstRefused names the row, of n, that is to blame for a refusal. Where none of the rows alone is to blame, the refusal stays as it is.
func firstRefused(refusal error, n int, try func(from, to int) error, name func(i int) string) error {
	at, why := findRefused(refusal, n, try)
	if at < 0 {
		return refusal
	}
	return fmt.Errorf("%s: %w", name(at), why)
}

// findRefused finds the row, of n, that is to blame for a refusal, and why: the server does not say which it is. try does what is refused for
// some of them. It is called as often as n can be divided by two, and once more, and not for one row. Where none of the rows alone is to blame
// it returns -1.
func findRefused(refusal error, n int, try func(from, to int) error) (at int, why error) {
	switch n {
	case 0:
		return -1, nil
	case 1:
		return 0, refusal
	}
	from, to := 0, n
	for to-from > 1 {
		middle := (from + to) / 2
		switch err := try(from, middle); {
		case refusesRow(err):
			to = middle
		case err != nil:
			return -1, nil
		default:
			from = middle
		}
	}
	if why = try(from, to); !refusesRow(why) {
		return -1, nil
	}
	return from, why
}

// takenBack does something in a transaction, or in one of the host in a savepoint, and takes it back.
func (s *Store) takenBack(ctx context.Context, do func(tx pgx.Tx) error) error {
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	bound := s.rowByRow
	if s.host != nil { // what it has written so far is refused when it wants it to be
		bound = s.boundWaits
	}
	if err := bound(ctx, tx); err != nil {
		return err
	}
	return do(tx)
}

// blameJob names the job for which a statement about several, its second argument, is refused.
func (s *Store) blameJob(ctx context.Context, refusal error, text string, args []any) error {
	jobs := args[1].([]key)
	return s.blameRow(ctx, refusal, len(jobs), func(tx pgx.Tx, from, to int) error {
		_, err := tx.Exec(ctx, s.sql(text), append([]any{args[0], jobs[from:to]}, args[2:]...)...)
		return err
	}, func(i int) string { return fmt.Sprintf("job %s", uuid.UUID(jobs[i])) })
}

// claimApart makes a claim that a refusal of the host is in the way of: it starts what can be started of those first in line, passes over the
// others, and goes on behind them.
func (s *Store) claimApart(ctx context.Context, c queue.Claim, p []probe) (claimed queue.Claimed, err error) {
	var a *apartClaim
	err = s.do(ctx, once, func(ctx context.Context) error {
		a = &apartClaim{choosingClaim: s.choosing(&c)}
		return pgx.BeginTxFunc(ctx, s.pool, readCommitted, func(tx pgx.Tx) error { return a.run(ctx, tx, p) })
	})
	if a != nil {
		s.warn(ctx, "jobs cannot be handed out", "job", a.refused)
	}
	if err != nil {
		return queue.Claimed{}, err
	}
	return queue.Claimed{Jobs: a.jobs, Limited: a.chooser.limited, Refused: a.refused.jobs}, s.fillTags(ctx, a.jobs, a.tagSets)
}

// apartClaim is what such a claim has come to.
type apartClaim struct {
	*choosingClaim
	refused refusals
}

func (a *apartClaim) run(ctx context.Context, tx pgx.Tx, p []probe) (err error) {
	if a.chooser, err = a.openChooser(ctx, tx, *a.claim); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, immediateSQL); err != nil {
		return err
	}
	return a.choosingClaim.run(ctx, tx, p, refusal.Max, func(chosen []contender) error { return a.startApart(ctx, tx, chosen) })
}

// startApart starts those of the chosen that can be started.
func (a *apartClaim) startApart(ctx context.Context, tx pgx.Tx, chosen []contender) error {
	start := func(tx pgx.Tx, from, to int) error { return a.start(ctx, tx, chosen[from:to]) }
	return byHalves(ctx, tx, 0, len(chosen), start, func(i int, why error) {
		k := chosen[i]
		a.chooser.room.Add(k.lane(), k.tenant, -1)
		a.refused.addJob(k.id, why, a.claim.Now)
		a.Store.passed.Add(a.claim.Now, key(k.id), *organizationOf(a.claim))
	})
}
