package postgres_test

import (
	"context"
	"testing"

	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/storetest"
)

func TestTransactions(t *testing.T) { testTransactions(t, false) }

// With one connection, which the host's transaction has, nothing may ask for another.
func TestTransactionsOfOneConnection(t *testing.T) { testTransactions(t, true) }

func testTransactions(t *testing.T, one bool) {
	storetest.Transactions(t, one, func(t *testing.T) (_, _ store.Store, begin func() storetest.Transaction) {
		s, pool := open(t)
		if one {
			pool = alone(t, pool)
			s = over(t, pool)
		}
		return s, over(t, pool), func() storetest.Transaction {
			tx, err := pool.Begin(t.Context())
			must(t, err)
			rollback := func() error { return tx.Rollback(context.WithoutCancel(t.Context())) }
			t.Cleanup(func() { _ = rollback() })
			return storetest.Transaction{
				Store: s.WithTx(tx), Commit: func() error { return tx.Commit(t.Context()) }, Rollback: rollback,
			}
		}
	})
}
