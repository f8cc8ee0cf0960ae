package sqlite_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/sqlite"
	"github.com/dormouse-go/dormouse/store/storetest"
)

func TestTransactions(t *testing.T) { testTransactions(t, false) }

// With one connection, which the host's transaction has, nothing may ask for another.
func TestTransactionsOfOneConnection(t *testing.T) { testTransactions(t, true) }

func testTransactions(t *testing.T, one bool) {
	storetest.Transactions(t, one, func(t *testing.T) (_, _ store.Store, begin func() storetest.Transaction) {
		db := openNew(t)
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

// A transaction that has read what somebody else has written since is told so at once, instead of waiting in vain.
func TestTransactionThatIsStale(t *testing.T) {
	db := openNew(t)
	s, err := sqlite.New(db, sqlite.Config{BusyTimeout: time.Hour})
	must(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	must(t, tx.QueryRowContext(t.Context(), `SELECT count(*) FROM dormouse_owners`).Scan(new(int)))
	must(t, s.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: uuid.New(), Name: "ann"}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // who waits in vain does so for longer
	defer cancel()
	_, err = s.WithTx(tx).Load(ctx, uuid.New())
	if !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "begun anew") {
		t.Errorf("a stale transaction: %v", err)
	}
}
