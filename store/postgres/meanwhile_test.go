package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// meanwhile makes a call beside a transaction that has made a statement, and commits that when the call waits for it, or is over. A call
// that has waited for so long that it gave up, on a busy machine, is made again.
func meanwhile(t *testing.T, pool *pgxpool.Pool, call func() error, statement string, args ...any) error {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), statement, args...)
	must(t, err)
	over := make(chan error, 1)
	go func() { over <- call() }()
	untilWaiting(t, pool, over)
	must(t, tx.Commit(t.Context()))
	if err = <-over; errors.Is(err, lifecycle.ErrUnavailable) {
		err = call()
	}
	return err
}

// untilWaiting returns when a session waits for another one, or something is over.
func untilWaiting(t *testing.T, pool *pgxpool.Pool, over <-chan error) {
	t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for waits := false; !waits && len(over) == 0; <-look.C {
		must(t, pool.QueryRow(t.Context(),
			`SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())`).Scan(&waits))
	}
}

// What somebody has written into a document while a person is forgotten is there afterwards, and the person is not.
func TestForgetBesideAWrite(t *testing.T) {
	who := store.Person{ID: uuid.New(), Names: []string{"zoe"}, Pseudonym: uuid.New()}
	for what, c := range map[string]struct{ before, write, read string }{
		"template": {
			write: `UPDATE dormouse.templates SET state = '{"later":1,"hold":{"until":"2026-03-09T00:00:00Z","by":"zoe"}}'`,
			read:  `SELECT state::text FROM dormouse.templates`,
		},
		"engine": {
			before: `INSERT INTO dormouse.engine (state) VALUES ('{}')`,
			write:  `UPDATE dormouse.engine SET state = '{"later":1,"hold":{"until":"2026-03-09T00:00:00Z","by":"zoe"}}'`,
			read:   `SELECT state::text FROM dormouse.engine`,
		},
		"history": {
			before: `UPDATE dormouse.jobs SET history = '[{"By":"zoe"}]'`,
			write:  `UPDATE dormouse.jobs SET history = '[{"By":"zoe"},{"By":"zoe","later":1}]'`,
			read:   `SELECT history::text FROM dormouse.jobs`,
		},
		"event": {
			before: `INSERT INTO dormouse.events (workspace_id, topic, body) VALUES (gen_random_uuid(), 0, '{"actor":"zoe"}')`,
			write:  `UPDATE dormouse.events SET body = '{"actor":"zoe","later":1}'`,
			read:   `SELECT body::text FROM dormouse.events`,
		},
	} {
		t.Run(what, func(t *testing.T) {
			s, pool := open(t)
			newFleet(t, s, 0)
			_, err := s.Enqueue(t.Context(), epoch, []queue.Posting{{ID: uuid.New(), Organization: uuid.New(), Type: "build"}})
			must(t, err)
			if c.before != "" {
				exec(t, pool, c.before)
			}
			must(t, meanwhile(t, pool, func() error { return s.Forget(t.Context(), who) }, c.write))
			var text string
			must(t, pool.QueryRow(t.Context(), c.read).Scan(&text))
			if strings.Contains(text, "zoe") || !strings.Contains(text, "later") {
				t.Errorf("%s is left", text)
			}
		})
	}
}

// Whoever makes a workspace for somebody who is being forgotten has the person stay.
func TestForgetBesideANewWorkspace(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 1)
	exec(t, pool, `UPDATE dormouse.workspaces SET deleted = true, build_number = 0`)
	err := meanwhile(t, pool, func() error {
		return s.Forget(t.Context(), store.Person{ID: f.owner.ID, Pseudonym: uuid.New()})
	}, `WITH o AS (SELECT id FROM dormouse.owners WHERE id = $1 FOR KEY SHARE)
		UPDATE dormouse.workspaces w SET deleted = false FROM o WHERE w.owner_id = o.id`, f.owner.ID)
	if !errors.Is(err, lifecycle.ErrInUse) || strings.Contains(err.Error(), "host") {
		t.Errorf("error %v, want one that speaks of the workspace", err)
	}
	load(t, s, f.ids...)
}

// Two that change the engine at once change it one behind the other.
func TestChangeTopicsBesideAnother(t *testing.T) {
	s, pool := open(t)
	must(t, s.ChangeTopics(t.Context(), 1, 0))
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), `SELECT FROM dormouse.engine FOR UPDATE`)
	must(t, err)
	over := make(chan error, 1)
	go func() { over <- s.ChangeTopics(t.Context(), 4, 0) }()
	untilWaiting(t, pool, over)
	_, err = tx.Exec(t.Context(), `UPDATE dormouse.engine SET state = '{"topics":2}'`)
	must(t, err)
	must(t, tx.Commit(t.Context()))
	must(t, <-over)
	e, err := s.Engine(t.Context())
	must(t, err)
	if e.Topics != 2|4 {
		t.Errorf("topics %v, want those of both", e.Topics)
	}
}

// A job that ends while it is canceled has ended.
func TestCancelBesideAnEnd(t *testing.T) {
	s, pool := open(t)
	_, jobs := runningJobs(t, s, 1)
	must(t, meanwhile(t, pool, func() error {
		canceled, err := s.Cancel(t.Context(), queue.Cancellation{Now: epoch, IDs: []uuid.UUID{jobs[0].ID}})
		if len(canceled) != 0 {
			t.Errorf("canceled %+v", canceled)
		}
		return err
	}, `UPDATE dormouse.jobs SET state = 2, ended_at = now()`))
}

// Who reports, or ends a job, while it is canceled hears of that.
func TestLeasesBesideACancellation(t *testing.T) {
	s, pool := open(t)
	process, jobs := runningJobs(t, s, 2)
	cancel := `UPDATE dormouse.jobs SET cancel_at = now() WHERE id = $1`
	must(t, meanwhile(t, pool, func() error {
		renewed, err := s.Renew(t.Context(), epoch, []queue.Renewal{{Handout: jobs[0].Handout(), Process: process}})
		switch {
		case err != nil:
			return err
		case renewed[0].Err == nil && !renewed[0].Canceled:
			t.Error("a renewal does not hear that the job was canceled meanwhile")
		}
		return renewed[0].Err
	}, cancel, jobs[0].ID))
	must(t, meanwhile(t, pool, func() error {
		ended, err := s.End(t.Context(), epoch, []queue.End{{Handout: jobs[1].Handout(), Outcome: queue.OutcomeRequeued}})
		switch {
		case err != nil:
			return err
		case ended[0].Err == nil && ended[0].Job.State != queue.Canceled:
			t.Errorf("a job that was canceled meanwhile is %v", ended[0].Job.State)
		}
		return ended[0].Err
	}, cancel, jobs[1].ID))
}

// A job is retried once, whoever is the first.
func TestRetryBesideAnother(t *testing.T) {
	s, pool := open(t)
	_, jobs := runningJobs(t, s, 1)
	_, err := s.End(t.Context(), epoch, []queue.End{{Handout: jobs[0].Handout(), Outcome: queue.OutcomeFailed}})
	must(t, err)
	must(t, meanwhile(t, pool, func() error {
		retried, err := s.RetryJobs(t.Context(), queue.Retry{Now: epoch, IDs: []uuid.UUID{jobs[0].ID}})
		if err == nil && len(retried) != 0 {
			t.Error("a job that was retried meanwhile is retried again")
		}
		return err
	}, `UPDATE dormouse.jobs SET state = 0, ready = true, ended_at = NULL, round = round + 1`))
}

// A process that is being given a job as it is declared lost loses that one, too.
func TestReapBesideAClaim(t *testing.T) {
	s, pool := open(t)
	process, jobs := runningJobs(t, s, 1)
	other := uuid.New()
	_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: other, Now: epoch})
	must(t, err)
	must(t, meanwhile(t, pool, func() error {
		reaped, err := s.Reap(t.Context(), queue.ReapRequest{Now: epoch, Process: other, Heartbeats: 1, Limit: 10})
		if err == nil && (!reaped.Lost || len(reaped.Jobs) != 1 || reaped.Jobs[0].ID != jobs[0].ID) {
			t.Errorf("reaped %+v", reaped)
		}
		return err
	}, `WITH p AS (SELECT id FROM dormouse.processes WHERE id = $1 FOR KEY SHARE)
		UPDATE dormouse.jobs j SET process_id = p.id FROM p WHERE j.process_id = $2`, other, process))
}

// A claim of a workspace that somebody writes is a conflict when that is written.
func TestClaimBesideAWrite(t *testing.T) {
	for what, write := range map[string]string{
		"workspace": `UPDATE dormouse.workspaces SET revision = revision + 1`,
		"owner":     `UPDATE dormouse.owners SET status = 2`,
	} {
		t.Run(what, func(t *testing.T) {
			s, pool := open(t)
			c := started(t, load(t, s, newFleet(t, s, 1).ids...)[0])
			c.Claims = true
			must(t, meanwhile(t, pool, func() error {
				outcomes, err := s.Commit(t.Context(), epoch, []lifecycle.Change{c})
				if err == nil && outcomes[0] != lifecycle.Conflict {
					t.Errorf("outcome %v", outcomes[0])
				}
				return err
			}, write))
		})
	}
}

// After a commit that was not answered the next attempt waits for what the first one may hold, instead of taking it for somebody else's.
func TestCommitAfterALostAnswer(t *testing.T) {
	pool := pgtest.Pool(t)
	f := &fault{as: pgconn.PgError{Code: "08006", Message: "the connection broke"}}
	s, err := postgres.Faulty(pool, quiet, f.next)
	must(t, err)
	c := wakeAt(load(t, s, newFleet(t, s, 1).ids...)[0], epoch)
	f.fail(1)
	must(t, meanwhile(t, pool, func() error {
		outcomes, err := s.Commit(t.Context(), epoch, []lifecycle.Change{c})
		if err == nil && outcomes[0] != lifecycle.Applied {
			t.Errorf("outcome %v", outcomes[0])
		}
		return err
	}, `SELECT FROM dormouse.workspaces FOR UPDATE`))
}
