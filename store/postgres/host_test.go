package postgres_test

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
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

// What a statement sets for itself does not stay for what the host does after it.
func TestNoSettingStaysInTheHostsTransaction(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 2)
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	settings := func() (all string) {
		t.Helper()
		must(t, tx.QueryRow(t.Context(), `SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings`).Scan(&all))
		return all
	}
	before, within := settings(), s.Within(tx)
	build, claim := started(t, load(t, s, f.ids[0])[0]), started(t, load(t, s, f.ids[1])[0])
	claim.Claims = true
	for what, call := range map[string]func() error{
		"commit": func() error { _, err := within.Commit(t.Context(), epoch, []lifecycle.Change{build}); return err },
		"claim":  func() error { _, err := within.Commit(t.Context(), epoch, []lifecycle.Change{claim}); return err },
		"enqueue": func() error {
			_, err := within.Enqueue(t.Context(), epoch, []queue.Posting{{ID: uuid.New(), Type: "build", Tags: map[string]string{"a": "b"}}})
			return err
		},
		"engine": func() error { return within.PutEngine(t.Context(), epoch, lifecycle.Engine{}) },
		"members": func() error {
			_, err := within.PutMembers(t.Context(), nil, []prewarm.Change{{Member: prewarm.Member{ID: uuid.New(), Pool: "p", State: prewarm.Ready}}})
			return err
		},
		"claim of members": func() error {
			_, err := within.ClaimMembers(t.Context(), epoch, prewarm.Pick{Pool: "p"}, []prewarm.Claim{{Key: "k", Owner: "ann"}})
			return err
		},
	} {
		must(t, call())
		if after := settings(); after != before {
			t.Errorf("%s changes the settings", what)
		}
	}
}
