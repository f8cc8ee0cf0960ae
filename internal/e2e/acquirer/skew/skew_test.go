// Package skew_test hands jobs over between processes whose clocks differ, on real databases.
package skew_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	_ "modernc.org/sqlite"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// skewed is a clock that is ahead of the others.
type skewed struct {
	quartz.Clock
	by time.Duration
}

func (c skewed) Now(tags ...string) time.Time { return c.Clock.Now(tags...).Add(c.by) }

func (c skewed) Since(t time.Time, tags ...string) time.Duration { return c.Now(tags...).Sub(t) }
func (c skewed) Until(t time.Time, tags ...string) time.Duration { return t.Sub(c.Now(tags...)) }

// A job that is posted by a process whose clock is ahead is handed to a worker of another one at once.
func TestPosterWithAnotherClock(t *testing.T) {
	for name, open := range map[string]func(*testing.T) (store.Store, queue.Pubsub){
		"postgres": openPostgres, "sqlite": openSQLite,
	} {
		t.Run(name, func(t *testing.T) {
			s, bus := open(t)
			if err := s.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, by := range []time.Duration{0, 20 * time.Millisecond, time.Second, 5 * time.Minute, -5 * time.Minute} {
				t.Run(by.String(), func(t *testing.T) {
					t.Parallel()
					if took := handOver(t, s, bus, by); took > soon {
						t.Errorf("with a clock %s ahead the hand-over took %s", by, took)
					}
				})
			}
		})
	}
}

func openPostgres(t *testing.T) (store.Store, queue.Pubsub) {
	pool := pgtest.Pool(t)
	s, err := postgres.New(pool, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	bus, err := postgres.NewPubsub(pool, postgres.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bus.Close(context.Background()) })
	return s, bus
}

func openSQLite(t *testing.T) (store.Store, queue.Pubsub) {
	db, err := sqlite.Open("sqlite", filepath.Join(t.TempDir(), "jobs.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeDB(t, db) })
	s, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s, &memory.Pubsub{}
}

func closeDB(t *testing.T, db *sql.DB) {
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// process is one acquirer that runs.
type process struct {
	*acquirer.Acquirer
	stop func()
}

func start(t *testing.T, s queue.Store, bus queue.Pubsub, cfg acquirer.Config) *process {
	t.Helper()
	a, err := acquirer.New(s, bus, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	for !a.Stats().Registered || !a.Stats().Hearing {
		pause(t, 10*time.Millisecond)
	}
	return &process{a, func() { cancel(); <-done }}
}

// soon is how long a hand-over may take.
const soon = 100 * time.Millisecond

// handOver is the shortest of some hand-overs from a process whose clock is ahead to a waiting worker of another one: one that
// is soon, if there is one. The machine may be busy for many of them, but what waits for a clock waits each time.
func handOver(t *testing.T, s queue.Store, bus queue.Pubsub, by time.Duration) (shortest time.Duration) {
	t.Helper()
	claimer := start(t, s, bus, acquirer.Config{Instance: "claimer"})
	defer claimer.stop()
	poster := start(t, s, bus, acquirer.Config{Instance: "poster", Clock: skewed{quartz.NewReal(), by}})
	defer poster.stop()
	org := uuid.New()
	shortest = time.Hour
	for tries := 0; shortest > soon && tries < 50; tries++ {
		got := make(chan time.Time, 1)
		go func() {
			if _, err := claimer.AcquireJob(t.Context(), queue.Request{Organization: org, Worker: uuid.New(), Types: []string{"build"}}); err == nil {
				got <- time.Now()
			}
		}()
		for claimer.Stats().Waiting == 0 {
			pause(t, 10*time.Millisecond)
		}
		pause(t, 300*time.Millisecond) // its own look is over
		posted := time.Now()
		if _, err := poster.Enqueue(t.Context(), queue.Posting{Organization: org, Tenant: uuid.New(), Type: "build"}); err != nil {
			t.Fatal(err)
		}
		select {
		case at := <-got:
			shortest = min(shortest, at.Sub(posted))
		case <-time.After(time.Minute):
			return time.Hour
		}
	}
	return shortest
}

func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
		t.FailNow()
	case <-time.After(d):
	}
}
