package postgres_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// Whatever fails within a transaction of the host is an error of the call, which has no effect, and the transaction goes on; an error
// that says the database was out of reach is a lifecycle.ErrUnavailable.
func TestFaultsInATransactionOfTheHost(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 1)
	var job queue.Posting
	calls := map[string]func(context.Context, store.Tx) error{
		"PutOwner": func(ctx context.Context, s store.Tx) error {
			return s.PutOwner(ctx, epoch, lifecycle.Owner{ID: job.ID, Name: "bob"})
		},
		"CreateWorkspaces": func(ctx context.Context, s store.Tx) error {
			return s.CreateWorkspaces(ctx, epoch, lifecycle.Workspace{
				ID: job.ID, OrganizationID: f.template.OrganizationID, OwnerID: f.owner.ID, TemplateID: f.template.ID, Name: job.ID.String(), CreatedAt: epoch,
			})
		},
		"Enqueue": func(ctx context.Context, s store.Tx) error {
			_, err := s.Enqueue(ctx, epoch, []queue.Posting{job})
			return err
		},
	}
	for name, call := range calls {
		for n := 1; ; n++ {
			for _, code := range []string{"58030", "53300"} {
				fault := &fault{as: pgconn.PgError{Code: code}}
				tx, err := pool.Begin(t.Context())
				must(t, err)
				within := s.WithTx(postgres.FaultyTx(tx, fault.next))
				_, err = within.Enqueue(t.Context(), epoch, []queue.Posting{{ID: uuid.New(), Type: "before"}})
				must(t, err)
				job = queue.Posting{ID: uuid.New(), Type: "build"}
				before := dumpIn(t, tx)
				ended := fault.fail(n)
				err = call(t.Context(), within)
				if !ended() {
					must(t, err)
					must(t, tx.Rollback(t.Context()))
					n = 0
					break
				}
				after := dumpIn(t, tx)
				if name == "PutOwner" && err == nil && !slices.Equal(after, before) {
					must(t, tx.Rollback(t.Context())) // waking its workspaces may come later
					continue
				}
				var pg *pgconn.PgError
				if !errors.As(err, &pg) || pg.Code != code || errors.Is(err, lifecycle.ErrUnavailable) != (code == "53300") {
					t.Errorf("%s, fault %d: %v", name, n, err)
				}
				if !slices.Equal(after, before) {
					t.Errorf("%s, fault %d: %v was %v", name, n, after, before)
				}
				must(t, call(t.Context(), within))
				must(t, tx.Rollback(t.Context()))
			}
			if n == 0 {
				break
			}
		}
	}
}

// dumpIn counts what a transaction sees, and says what it waits for.
func dumpIn(t *testing.T, tx pgx.Tx) (all []string) {
	t.Helper()
	rows, _ := tx.Query(t.Context(), `
		SELECT 'job ' || id FROM dormouse.jobs UNION ALL SELECT 'owner ' || id FROM dormouse.owners
		UNION ALL SELECT 'workspace ' || id FROM dormouse.workspaces UNION ALL SELECT 'mark ' || subject FROM dormouse.marks
		UNION ALL SELECT 'timeout ' || current_setting('lock_timeout') ORDER BY 1`)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return all
}

// A refusal whose answer breaks off is no refusal: it says what the database said.
func TestARefusalThatBreaksOff(t *testing.T) {
	pool := pgtest.Pool(t)
	f := &fault{}
	s, err := postgres.Faulty(pool, quiet, f.next)
	must(t, err)
	w := load(t, s, newFleet(t, s, 1).ids...)[0].Workspace
	for n := 1; ; n++ {
		ended := f.fail(n)
		err := s.CreateWorkspaces(t.Context(), epoch, w)
		hit := ended()
		var pg *pgconn.PgError
		if errors.As(err, &pg) != hit || errors.Is(err, invalid.Err) == hit {
			t.Errorf("fault %d: %v", n, err)
		}
		if !hit {
			break
		}
	}
}
