package sqlite_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// A row of the host and a workspace are one commit, or none; and what is committed starts at once.
func TestRowOfTheHostAndWorkspaceAreOneCommit(t *testing.T) {
	db := openNew(t)
	s := migrated(t, db)
	_, err := db.ExecContext(t.Context(), `CREATE TABLE desks (workspace BLOB PRIMARY KEY, place TEXT NOT NULL UNIQUE)`)
	must(t, err)
	built := make(chan uuid.UUID, 10)
	plane, err := dormouse.New(s, dormouse.Config{
		Build: func(_ context.Context, b *dormouse.Build) error { built <- b.Workspace.ID; return nil },
		// Nobody looks: what begins was announced.
		TuneAcquirer: func(c *acquirer.Config) { c.Backup, c.Poll = time.Hour, time.Hour },
	})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- plane.Run(ctx) }()
	defer func() { cancel(); must(t, <-ran) }()
	template, err := plane.PutTemplate(ctx, dormouse.Template{Name: "go-dev"})
	must(t, err)

	desk := func(place string, end string) (id uuid.UUID) {
		t.Helper()
		tx, err := db.BeginTx(ctx, nil)
		must(t, err)
		in, err := plane.WithTx(s.WithTx(tx))
		must(t, err)
		w, err := in.Create(ctx, dormouse.NewWorkspace{Template: template.ID, Owner: place, Name: place})
		must(t, err)
		_, failed := tx.ExecContext(ctx, `INSERT INTO desks VALUES (?, ?)`, w.ID[:], place)
		w, err = in.Start(ctx, w.ID, dormouse.By("ann"))
		must(t, err)
		if w.Status != lifecycle.StatusStarting {
			t.Errorf("within the transaction it is %v", w.Status)
		}
		if end != "commit" || failed != nil {
			must(t, tx.Rollback())
			return w.ID
		}
		must(t, tx.Commit())
		in.Committed()
		return w.ID
	}
	gone := desk("window", "rollback")
	kept := desk("window", "commit")
	refused := desk("window", "commit") // the row of the host is refused
	select {
	case id := <-built:
		if id != kept {
			t.Errorf("built %s, want %s", id, kept)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("what was committed did not start")
	}
	for _, id := range []uuid.UUID{gone, refused} {
		if _, err := plane.Get(ctx, id); err == nil {
			t.Errorf("workspace %s is there without its row", id)
		}
	}
	if owners, err := plane.Owners(ctx, uuid.Nil, 0); err != nil || len(owners) != 1 {
		t.Errorf("owners %v, %v", owners, err)
	}
	if len(built) > 0 {
		t.Error("something was built that was rolled back")
	}
}
