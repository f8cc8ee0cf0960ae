package sqlite

import (
	"cmp"
	"context"
	"errors"

	"github.com/dormouse-go/dormouse/store/refusal"
)

// refusalsOf are the rows for which there is an error.
func refusalsOf[K any](rows []K, why []error) (r refusal.Tally) {
	for i, err := range why {
		if err != nil {
			r.Add(rows[i], err)
		}
	}
	return r
}

// warn says in the log what could not be done, if there was any.
func (s *Store) warn(ctx context.Context, message, what string, r refusal.Tally) {
	r.Warn(ctx, s.cfg.Logger, "sqlite: "+message, what)
}

// A call for all rows or none does not name what a constraint refuses that waits for the commit. SQLite checks such constraints there alone, and
// counts in no place that SQL can read what offends them. PRAGMA foreign_key_check would show it before, for each half that is tried, by reading
// all tables that refer to others: no other writer could go on meanwhile.

// apart does something for each of n rows in a transaction. Where the host keeps one of them from being written, it does it again, and says of
// each row why it cannot be done for it.
func (s *Store) apart(ctx context.Context, n int, do func(t *tx, i int) error) (refused []error, err error) {
	refused = make([]error, n)
	err = s.write(ctx, func(t *tx) error {
		for i := range n {
			if err := do(t, i); err != nil {
				return err
			}
		}
		return nil
	})
	if rejects(err) {
		err = s.byHalves(ctx, 0, n, do, refused)
	}
	return refused, err
}

// byHalves does something for those rows from one number up to another that the host lets be written. Where it refuses the transaction, by a
// constraint that waits for the commit or a trigger that ends it, it does so for each half in one of its own.
func (s *Store) byHalves(ctx context.Context, from, to int, do func(t *tx, i int) error, refused []error) error {
	err := s.write(ctx, func(t *tx) error {
		for i := from; i < to; i++ {
			refused[i] = nil
			if _, err := t.attempt(func() (bool, error) {
				err := do(t, i)
				if rejects(err) {
					refused[i] = err
				}
				return err == nil, err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case !rejects(err):
		return err
	case to-from == 1:
		refused[from] = err
		return nil
	}
	middle := (from + to) / 2
	if err := s.byHalves(ctx, from, middle, do, refused); err != nil {
		return err
	}
	return s.byHalves(ctx, middle, to, do, refused)
}

// lineApart takes rows from a line, and passes over those that the host refuses. Where it refuses the transaction, by a constraint that waits
// for the commit, it takes half as many, until the one in the way is alone.
type lineApart[K comparable] struct {
	what, message string // of the log
	// passed are the rows that it looks at no more. remember hears of those that are refused.
	passed   map[K]bool
	remember func(row K, why error)
	// take takes up to limit rows in a transaction, each in an attempt. It returns those that it has taken, also with an error.
	take func(t *tx, limit int) ([]K, error)
	// taken hears that they are, when the transaction is committed. It may be nil.
	taken   func()
	refused refusal.Tally
	// page bounds how many a transaction takes; 0: nothing does.
	page int
}

// run takes up to n rows.
func (l *lineApart[K]) run(ctx context.Context, s *Store, n int) error {
	defer func() { s.warn(ctx, l.message, l.what, l.refused) }()
	for limit := cmp.Or(l.page, n); n > 0 && l.refused.N < refusal.Max; {
		limit = min(limit, n, cmp.Or(l.page, n))
		var rows []K
		before := l.refused.N
		err := s.write(ctx, func(t *tx) (err error) {
			if rows, err = l.take(t, limit); errors.Is(err, errEnough) {
				err = nil
			}
			return err
		})
		switch {
		case err == nil && len(rows) < limit:
			l.done()
			return nil
		case err == nil:
			l.done()
			n, limit = n-len(rows), 2*limit
		case !rejects(err):
			return err
		case l.refused.N > before: // without those, it may be committed
		case len(rows) > 1:
			limit = len(rows) / 2
		case len(rows) == 1:
			l.pass(rows[0], err)
		default:
			return err
		}
	}
	return nil
}

func (l *lineApart[K]) done() {
	if l.taken != nil {
		l.taken()
	}
}

// errEnough ends a taking that has gone past as many refusals as a call may.
var errEnough = errors.New("too many rows are refused")

// attempt does something for a row, unless that is refused.
func (l *lineApart[K]) attempt(t *tx, row K, do func() error) (done bool, err error) {
	if l.refused.N >= refusal.Max {
		return false, errEnough
	}
	return t.attempt(func() (bool, error) {
		err := do()
		if rejects(err) {
			l.pass(row, err)
		}
		return err == nil, err
	})
}

// pass notes a row that is refused, once: a transaction may be made again.
func (l *lineApart[K]) pass(row K, why error) {
	if l.passed[row] {
		return
	}
	if l.passed == nil {
		l.passed = map[K]bool{}
	}
	l.passed[row] = true
	l.refused.Add(row, why)
	l.remember(row, why)
}

// setOf is nil for no rows.
func setOf[K comparable](rows []K) (set map[K]bool) {
	for _, row := range rows {
		if set == nil {
			set = make(map[K]bool, len(rows))
		}
		set[row] = true
	}
	return set
}
