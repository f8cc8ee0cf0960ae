package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
	"github.com/dormouse-go/dormouse/store/storetest"
)

// open returns a store in a database of its own.
func open(t testing.TB) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	pool := pgtest.Pool(t)
	return over(t, pool), pool
}

// over returns a store over a pool.
func over(t testing.TB, pool *pgxpool.Pool) *postgres.Store {
	t.Helper()
	s, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// emptySQL leaves the schema as a migration left it, but for the interned tag sets, in a fraction of the time of a new
// database.
const emptySQL = `
	DELETE FROM dormouse.workspaces; DELETE FROM dormouse.templates; DELETE FROM dormouse.owners; DELETE FROM dormouse.marks;
	DELETE FROM dormouse.events; DELETE FROM dormouse.replicas; DELETE FROM dormouse.jobs; DELETE FROM dormouse.turns;
	DELETE FROM dormouse.claimed; DELETE FROM dormouse.processes`

func TestConformance(t *testing.T) {
	pool := pgtest.Pool(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Cleanup(func() {
			if _, err := pool.Exec(context.Background(), emptySQL); err != nil {
				t.Errorf("empty the database: %v", err)
			}
		})
		return over(t, pool)
	}, storetest.Options{})
}
