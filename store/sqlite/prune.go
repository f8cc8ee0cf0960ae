package sqlite

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// pruning deletes old rows, many in a transaction. Where one of them cannot go, because a table of the host refers to it, the whole
// transaction is refused, and would be every time. Then it is made again with half of them, until the one that is in the way is
// alone. That one is passed over, and tried again by the next pruning: a host whose tables refer to many rows pays a
// transaction for each of them.
type pruning[K any] struct {
	what string
	// page finds rows, in an order that does not change, behind those that were passed over.
	page func(t *tx, limit int, passed []K) ([]K, error)
	// remove deletes a row, or as much of what belongs to it as the transaction may still delete.
	remove func(t *tx, k K) (whole bool, err error)
	// removed hears of the rows that a transaction has deleted, once it is committed. It may be nil.
	removed func([]K)
}

// refusals are the rows that were passed over.
type refusals struct {
	n     int
	first string
	// jobs are those of them that a claim or a listing is to name.
	jobs []queue.Refusal
}

// maxRefused bounds the jobs that one call names.
const maxRefused = 1000

// addJob adds a job. It is tried again by the next call.
func (r *refusals) addJob(id uuid.UUID, why error) {
	r.add(id, why)
	if len(r.jobs) < maxRefused {
		r.jobs = append(r.jobs, queue.Refusal{Job: id, Why: why.Error()})
	}
}

func (r *refusals) add(row any, why error) {
	if r.n++; r.n == 1 {
		r.first = fmt.Sprintf("%v: %v", row, why)
	}
}

// refusalsOf are the rows for which there is an error.
func refusalsOf[K any](rows []K, why []error) (r refusals) {
	for i, err := range why {
		if err != nil {
			r.add(rows[i], err)
		}
	}
	return r
}

// warn says in the log what could not be done, if there was any.
func (s *Store) warn(ctx context.Context, message, what string, r refusals) {
	if r.n > 0 {
		s.cfg.Logger.WarnContext(ctx, "sqlite: "+message, "what", what, "rows", r.n, "first", r.first)
	}
}

// run deletes until limit rows have gone or none is left that can go.
func (p pruning[K]) run(ctx context.Context, s *Store, limit int) (n int, err error) {
	var passed []K
	var refused refusals
	defer func() { s.warn(ctx, "rows cannot be pruned", p.what, refused) }()
	for size := limit; n < limit; {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		size = min(size, limit-n)
		page, gone, err := p.some(ctx, s, size, passed)
		switch {
		case rejects(err) && len(page) > 1:
			size = len(page) / 2
		case rejects(err) && len(page) == 1:
			passed = append(passed, page[0])
			refused.add(page[0], err)
		case err != nil:
			return n, err
		case gone == len(page) && gone < size:
			return n + gone, nil
		default:
			n, size = n+gone, 2*len(page) // and not the size, which has no bound if limit has none
		}
	}
	return n, nil
}

// some is one transaction.
func (p pruning[K]) some(ctx context.Context, s *Store, limit int, passed []K) (page []K, gone int, err error) {
	err = s.write(ctx, func(t *tx) (err error) {
		gone = 0
		if page, err = p.page(t, limit, passed); err != nil {
			return err
		}
		for ; gone < len(page); gone++ {
			if whole, err := p.remove(t, page[gone]); err != nil || !whole {
				return err
			}
		}
		return nil
	})
	if err == nil && p.removed != nil {
		p.removed(page[:gone])
	}
	return page, gone, err
}

// keys reads the rows of a page; of says where the columns of one go.
func keys[K any](t *tx, of func(*K) []any, statement string, args ...any) (page []K, err error) {
	err = t.query(statement, func(r rows) error {
		var k K
		err := r.Scan(of(&k)...)
		page = append(page, k)
		return err
	}, args...)
	return page, err
}
