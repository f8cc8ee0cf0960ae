package sqlite

import (
	"context"

	"github.com/dormouse-go/dormouse/store/refusal"
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

// run deletes until limit rows have gone or none is left that can go.
func (p pruning[K]) run(ctx context.Context, s *Store, limit int) (n int, err error) {
	var passed []K
	var refused refusal.Tally
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
			refused.Add(page[0], err)
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
