package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/storetest"
)

func TestTransactions(t *testing.T) { testTransactions(t, false) }

// With one connection, which the host's transaction has, nothing may ask for another.
func TestTransactionsOfOneConnection(t *testing.T) { testTransactions(t, true) }

func testTransactions(t *testing.T, one bool) {
	storetest.Transactions(t, one, func(t *testing.T) (_, _ store.Store, begin func() storetest.Transaction) {
		db := openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))
		if one {
			db.SetMaxOpenConns(1)
		}
		s := migrated(t, db)
		return s, migrated(t, db), func() storetest.Transaction {
			tx, err := db.BeginTx(t.Context(), nil)
			must(t, err)
			t.Cleanup(func() { _ = tx.Rollback() })
			return storetest.Transaction{Store: s.WithTx(tx), Commit: tx.Commit, Rollback: tx.Rollback}
		}
	})
}
