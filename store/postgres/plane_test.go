package postgres_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/dormousetest"
)

func TestRowOfTheHostAndWorkspaceAreOneCommit(t *testing.T) {
	s, pool := open(t)
	exec(t, pool, `CREATE TABLE desks (workspace uuid PRIMARY KEY, place text NOT NULL UNIQUE)`)
	dormousetest.OneCommit(t, s, func() dormousetest.HostTx {
		tx, err := pool.Begin(t.Context())
		must(t, err)
		return dormousetest.HostTx{
			Store:    s.WithTx(tx),
			Commit:   func() error { return tx.Commit(t.Context()) },
			Rollback: func() error { return tx.Rollback(t.Context()) },
			Insert: func(workspace uuid.UUID, place string) error {
				// A statement of the host that fails ends the transaction, unless it has a savepoint of its own.
				return pgx.BeginFunc(t.Context(), tx, func(tx pgx.Tx) error {
					_, err := tx.Exec(t.Context(), `INSERT INTO desks VALUES ($1, $2)`, [16]byte(workspace), place)
					return err
				})
			},
		}
	})
}
