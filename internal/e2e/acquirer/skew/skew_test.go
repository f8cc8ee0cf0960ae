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

// ways are how a job gets into line. The first part prepares it, the second one puts it there.
var ways = map[string]func(t *testing.T, p *process, org uuid.UUID) (put func()){
	"posted": func(t *testing.T, p *process, org uuid.UUID) func() {
		return func() { p.post(t, org) }
	},
	"tried again": func(t *testing.T, p *process, org uuid.UUID) func() {
		job := p.work(t, org)
		return func() { p.end(t, job, queue.OutcomeRequeued) }
	},
	"retried by hand": func(t *testing.T, p *process, org uuid.UUID) func() {
		job := p.work(t, org)
		p.end(t, job, queue.OutcomeFailed)
		return func() {
			if changed, err := p.Retry(t.Context(), "ann", "", job.ID); err != nil || len(changed) != 1 {
				t.Errorf("%d jobs retried, %v", len(changed), err)
			}
		}
	},
}

// A job that is put into line by a process whose clock differs is handed to a worker of another one at once.
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
					claimer := start(t, s, bus, acquirer.Config{Instance: "claimer"})
					defer claimer.stop()
					poster := start(t, s, bus, acquirer.Config{Instance: "poster", Clock: skewed{quartz.NewReal(), by}})
					defer poster.stop()
					for way, prepare := range ways {
						if took := handOver(t, claimer, poster, prepare); took > soon {
							t.Errorf("%s with a clock %s ahead: the hand-over took %s", way, by, took)
						}
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

func (p *process) post(t *testing.T, org uuid.UUID) {
	if _, err := p.Enqueue(t.Context(), queue.Posting{Organization: org, Tenant: uuid.New(), Type: "build"}); err != nil {
		t.Error(err)
	}
}

// work posts a job and takes it.
func (p *process) work(t *testing.T, org uuid.UUID) queue.Job {
	p.post(t, org)
	job, err := p.AcquireJob(t.Context(), queue.Request{Organization: org, Worker: uuid.New(), Types: []string{"build"}})
	if err != nil {
		t.Error(err)
	}
	return job
}

func (p *process) end(t *testing.T, job queue.Job, outcome queue.Outcome) {
	if _, err := p.End(t.Context(), queue.End{Handout: job.Handout(), Outcome: outcome}); err != nil {
		t.Error(err)
	}
}

// soon is how long a hand-over may take.
const soon = 100 * time.Millisecond

// handOver is the shortest of some hand-overs from a process to a waiting worker of another one: one that is soon, if there is one.
// The machine may be busy for many of them, but what waits for a clock waits each time.
func handOver(t *testing.T, claimer, poster *process, prepare func(*testing.T, *process, uuid.UUID) func()) (shortest time.Duration) {
	t.Helper()
	shortest = time.Hour
	for tries := 0; shortest > soon && tries < 50; tries++ {
		org := uuid.New()
		put := prepare(t, poster, org)
		got := make(chan time.Time, 1)
		go func() {
			job, err := claimer.AcquireJob(t.Context(), queue.Request{Organization: org, Worker: uuid.New(), Types: []string{"build"}})
			at := time.Now()
			if err == nil {
				claimer.end(t, job, queue.OutcomeSucceeded) // a process that holds nothing stops at once
				got <- at
			}
		}()
		for claimer.Stats().Waiting == 0 {
			pause(t, 10*time.Millisecond)
		}
		pause(t, 300*time.Millisecond) // its own look is over
		begun := time.Now()
		put()
		select {
		case at := <-got:
			shortest = min(shortest, at.Sub(begun))
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
