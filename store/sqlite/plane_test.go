package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/dormousetest"
)

func TestRowOfTheHostAndWorkspaceAreOneCommit(t *testing.T) {
	db := openFile(t, filepath.Join(t.TempDir(), "dormouse.db"))
	s := migrated(t, db)
	_, err := db.ExecContext(t.Context(), `CREATE TABLE desks (workspace BLOB PRIMARY KEY, place TEXT NOT NULL UNIQUE)`)
	must(t, err)
	dormousetest.OneCommit(t, s, func() dormousetest.HostTx {
		tx, err := db.BeginTx(t.Context(), nil)
		must(t, err)
		return dormousetest.HostTx{
			Store: s.WithTx(tx), Commit: tx.Commit, Rollback: tx.Rollback,
			Insert: func(workspace uuid.UUID, place string) error {
				_, err := tx.ExecContext(t.Context(), `INSERT INTO desks VALUES (?, ?)`, workspace[:], place)
				return err
			},
		}
	})
}
