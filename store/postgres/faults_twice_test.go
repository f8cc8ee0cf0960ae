package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// twice is one error at the n-th thing that is asked of the database, and another one so many things later.
type twice struct {
	mu          sync.Mutex
	n, later    int
	first, then *pgconn.PgError
	// met is how many errors there were.
	met int
}

func (f *twice) set(n, later int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.later, f.met = n, later, 0
}

func (f *twice) next() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n == 0 {
		return nil
	}
	if f.n--; f.n > 0 {
		return nil
	}
	if f.met++; f.met == 1 {
		f.n = f.later
		return f.first
	}
	return f.then
}

// What a call does after a wait that was too long, or an answer that was lost, may fail as well: that is the error then.
func TestFaultsAfterAFault(t *testing.T) {
	pool := pgtest.Pool(t)
	then := &pgconn.PgError{Code: "58030", Message: "could not read a block"}
	for _, first := range []*pgconn.PgError{{Code: "55P03", Message: "held"}, {Code: "57P01", Message: "shutdown"}} {
		for name := range afterAFault(t, over(t, pool)) {
			t.Run(name+" "+first.Message, func(t *testing.T) {
				t.Parallel() // it waits most of the time
				f := &twice{first: first, then: then}
				s, err := postgres.Faulty(pool, quiet, f.next)
				must(t, err)
				call := afterAFault(t, s)[name]
				for n, more := 1, true; more; n++ {
					for later := 1; ; later++ {
						f.set(n, later)
						err := call(t.Context())
						met := f.met
						f.set(0, 0)
						if more = met > 0; met < 2 {
							break
						}
						if broken := (*pgconn.PgError)(nil); !errors.As(err, &broken) || broken.Code != then.Code {
							t.Fatalf("at %d, and %d later: %v", n, later, err)
						}
					}
				}
			})
		}
	}
}

// afterAFault are calls that may be made any number of times, each of which fails as a whole.
func afterAFault(t *testing.T, s *postgres.Store) map[string]func(context.Context) error {
	f := newFleet(t, s, 2)
	process := uuid.New()
	_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Now: epoch})
	must(t, err)
	handout := queue.Handout{Lease: queue.Lease{Job: uuid.New(), Fence: 1}}
	ticked := epoch
	return map[string]func(context.Context) error{
		"Renew": func(ctx context.Context) error {
			_, err := s.Renew(ctx, epoch, []queue.Renewal{{Handout: handout, Process: process}, {Handout: handout, Process: process}})
			return err
		},
		"End": func(ctx context.Context) error {
			_, err := s.End(ctx, epoch, []queue.End{{Handout: handout, Outcome: queue.OutcomeFailed}, {Handout: handout, Outcome: queue.OutcomeFailed}})
			return err
		},
		"Reassign": func(ctx context.Context) error {
			_, err := s.Reassign(ctx, []queue.Reassignment{{Lease: handout.Lease}, {Lease: handout.Lease}})
			return err
		},
		"SettleEvents": func(ctx context.Context) error {
			return s.SettleEvents(ctx, epoch, []lifecycle.Delivery{{Seq: -1}, {Seq: -2}}) // of nobody
		},
		"Ticked": func(ctx context.Context) error {
			ticked = ticked.Add(24 * time.Hour) // a gap
			_, err := s.Ticked(ctx, ticked, time.Minute, time.Hour)
			return err
		},
		"Enqueue": func(ctx context.Context) error {
			_, err := s.Enqueue(ctx, epoch, []queue.Posting{{Type: "t", Tags: map[string]string{"of": uuid.NewString()}}})
			return err
		},
		"Commit": func(ctx context.Context) error {
			found, err := s.Load(ctx, f.ids[0])
			if err == nil {
				_, err = s.Commit(ctx, epoch, []lifecycle.Change{wakeAt(found[0], epoch)})
			}
			return err
		},
		"Commit of a claim": func(ctx context.Context) error {
			found, err := s.Load(ctx, f.ids[1])
			if err == nil {
				c := wakeAt(found[0], epoch)
				c.Claims, c.Workspace.Name = true, uuid.NewString()
				_, err = s.Commit(ctx, epoch, []lifecycle.Change{c})
			}
			return err
		},
		"PruneJobs":   func(ctx context.Context) error { _, err := s.PruneJobs(ctx, epoch, 10); return err },
		"PruneBuilds": func(ctx context.Context) error { _, err := s.PruneBuilds(ctx, epoch, 10); return err },
		"AdmitDeletions": func(ctx context.Context) error {
			_, err := s.AdmitDeletions(ctx, epoch, lifecycle.Brake{Max: 5}, []lifecycle.DueDeletion{{WorkspaceID: uuid.New()}})
			return err
		},
	}
}
