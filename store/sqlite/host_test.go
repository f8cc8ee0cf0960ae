package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
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

// A host may go back to a savepoint of its own. What is stored afterwards stands in its own lane, whatever number a lane had that
// was undone.
func TestTransactionWithSavepointsOfTheHost(t *testing.T) {
	db := openNew(t)
	s := migrated(t, db)
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	within := s.WithTx(tx)
	var all []uuid.UUID
	enqueue := func(to acquirer.Enqueuer, kind string) {
		t.Helper()
		jobs, err := to.Enqueue(t.Context(), killEpoch, []queue.Posting{{ID: uuid.New(), Type: kind, Tags: map[string]string{"for": kind}}})
		must(t, err)
		all = append(all, jobs[0].ID)
	}
	savepoint := func(statement string) {
		t.Helper()
		_, err := tx.ExecContext(t.Context(), statement)
		must(t, err)
	}
	savepoint(`SAVEPOINT host`)
	enqueue(within, "undone")
	savepoint(`ROLLBACK TO host`)
	enqueue(within, "kept")
	enqueue(within, "undone")
	savepoint(`SAVEPOINT host`)
	enqueue(within, "later")
	savepoint(`ROLLBACK TO host`)
	enqueue(within, "last")
	savepoint(`SAVEPOINT host`)
	enqueue(within, "never")
	savepoint(`ROLLBACK TO host`)
	must(t, tx.Commit())
	within.Committed()
	enqueue(s, "first after it")
	enqueue(s, "never")
	enqueue(s, "later")
	var kinds []string
	jobs, err := migrated(t, db).Jobs(t.Context(), queue.Filter{IDs: all})
	must(t, err)
	for _, j := range jobs {
		kinds = append(kinds, j.Type)
		if j.Tags.Map()["for"] != j.Type {
			t.Errorf("a job of type %s has the tags %v", j.Type, j.Tags)
		}
	}
	slices.Sort(kinds)
	if want := []string{"first after it", "kept", "last", "later", "never", "undone"}; !slices.Equal(kinds, want) {
		t.Errorf("the jobs are of types %q, want %q", kinds, want)
	}
}

// A trigger that ends the host's transaction with its row ends what the store does in it: nothing is written outside of it, and the host
// hears of it at its commit, too.
func TestTransactionThatATriggerEnds(t *testing.T) {
	db := openNew(t)
	s := migrated(t, db)
	_, err := db.ExecContext(t.Context(), `CREATE TRIGGER host BEFORE INSERT ON dormouse_owners WHEN new.name = 'kept' BEGIN `+refusals["ends the transaction"]+`; END`)
	must(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { _ = tx.Rollback() }()
	within := s.WithTx(tx)
	var ids []uuid.UUID
	put := func(name string) error {
		ids = append(ids, uuid.New())
		return within.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[len(ids)-1], Name: name})
	}
	must(t, put("ann"))
	for _, name := range []string{"kept", "bob"} {
		if err := put(name); err == nil || errors.Is(err, lifecycle.ErrUnavailable) || strings.Count(err.Error(), "the transaction was ended") != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := within.Load(t.Context(), ids...); err == nil {
		t.Error("it can be read from")
	}
	if err := tx.Commit(); err == nil {
		t.Error("it is committed")
	}
	if n := owners(t, s, ids); n != 0 {
		t.Errorf("%d owners are written outside of it", n)
	}
}

// A full disk ends the host's transaction, too: what the store is asked for afterwards is not written outside of it.
func TestTransactionThatAFullDiskEnds(t *testing.T) {
	db := openNew(t)
	db.SetMaxOpenConns(1) // the limit belongs to the connection
	s := migrated(t, db)
	var used int
	must(t, db.QueryRowContext(t.Context(), `PRAGMA page_count`).Scan(&used))
	limit := func(pages int) string { return fmt.Sprintf(`PRAGMA max_page_count = %d`, pages) }
	_, err := db.ExecContext(t.Context(), limit(used+2))
	must(t, err)
	tx, err := db.BeginTx(t.Context(), nil)
	must(t, err)
	within := s.WithTx(tx)
	var ids []uuid.UUID
	put := func() error {
		ids = append(ids, uuid.New())
		return within.PutOwner(t.Context(), killEpoch, lifecycle.Owner{ID: ids[len(ids)-1], Name: strings.Repeat("x", 100)})
	}
	for err = nil; err == nil && len(ids) < 1000; {
		err = put()
	}
	if !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Fatalf("a full disk is %v", err)
	}
	_, err = tx.ExecContext(t.Context(), limit(1<<30))
	must(t, err)
	if err := put(); !errors.Is(err, lifecycle.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Errorf("afterwards: %v", err)
	}
	if err := tx.Commit(); err == nil {
		t.Error("it is committed")
	}
	if n := owners(t, s, ids); n != 0 {
		t.Errorf("%d owners are written outside of it", n)
	}
}
