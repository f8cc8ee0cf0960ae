package postgres_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// failsAnywhere makes a call once for each thing that it asks of the database, and has that fail: the call has to fail as well, with
// that error.
func failsAnywhere(t *testing.T, f *fault, prepare func(), call func(context.Context) error) {
	t.Helper()
	for n := 1; ; n++ {
		prepare()
		ended := f.fail(n)
		err := call(t.Context())
		if !ended() {
			must(t, err)
			if n < 3 {
				t.Errorf("only %d things are asked", n)
			}
			return
		}
		if broken := (*pgconn.PgError)(nil); !errors.As(err, &broken) || broken.Code != "58030" {
			t.Errorf("fault %d: error %v, want the one of the database", n, err)
		}
	}
}

// faulty is a store whose database fails as the fault says.
func faulty(t *testing.T, pool *pgxpool.Pool) (*postgres.Store, *fault) {
	t.Helper()
	f := &fault{}
	s, err := postgres.Faulty(pool, quiet, f.next)
	must(t, err)
	return s, f
}

// What makes page after page ready fails with any of them.
func TestFaultsBehindAPageOfReadyJobs(t *testing.T) {
	pool := pgtest.Pool(t)
	s, f := faulty(t, pool)
	later := queue.Posting{Organization: uuid.New(), Tenant: uuid.New(), Type: "build", NotBefore: epoch.Add(time.Minute)}
	_, err := s.Enqueue(t.Context(), epoch, slices.Repeat([]queue.Posting{later}, 1001))
	must(t, err)
	failsAnywhere(t, f, func() { exec(t, pool, `UPDATE dormouse.jobs SET ready = false`) }, func(ctx context.Context) error {
		listing, err := s.Ready(ctx, later.NotBefore, queue.ReadyQuery{Organizations: []uuid.UUID{later.Organization}, CountTo: 2000})
		if err == nil && (len(listing.Lanes) != 1 || listing.Lanes[0].Count != 1001) {
			t.Errorf("lanes %+v", listing.Lanes)
		}
		return err
	})
}

// What deletes a long log in parts, or as a whole where the host might keep its job, fails with any of its steps, and counts what is
// gone.
func TestFaultsWithinALongLog(t *testing.T) {
	for what, watch := range map[string]string{
		"in parts":   `SELECT`,
		"as a whole": `CREATE TABLE host_runs (job_id uuid REFERENCES dormouse.jobs (id))`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel() // it waits for the database most of the time
			pool := pgtest.Pool(t)
			s, f := faulty(t, pool)
			exec(t, pool, watch)
			prepare := func() {
				exec(t, pool, emptySQL)
				expire(t, s, epoch, []queue.Posting{{Organization: uuid.New(), Tenant: uuid.New(), Type: "build"}})
				exec(t, pool, `UPDATE dormouse.jobs SET lines = 10001`)
				exec(t, pool, `INSERT INTO dormouse.job_lines (job_id, seq, at, text)
					SELECT j.id, n, j.created_at, 'x' FROM dormouse.jobs j, generate_series(1, j.lines) AS n`)
			}
			failsAnywhere(t, f, prepare, func(ctx context.Context) error {
				n, err := s.PruneJobs(ctx, epoch.Add(time.Hour), 100)
				if left := count(t, pool, "jobs"); n != 1-left || err == nil && n != 1 {
					t.Errorf("%d pruned, %d left, error %v", n, left, err)
				}
				return err
			})
		})
	}
}
