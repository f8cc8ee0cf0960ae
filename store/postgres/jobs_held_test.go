package postgres_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// runningJobs are jobs that a registered process holds, each with its secret.
func runningJobs(t *testing.T, s *postgres.Store, n int) (process uuid.UUID, jobs []queue.Job) {
	t.Helper()
	process = uuid.New()
	_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Now: epoch})
	must(t, err)
	c := queue.Claim{Token: uuid.New(), Process: process, Now: epoch}
	secrets := map[queue.SecretHash]queue.Secret{}
	var postings []queue.Posting
	org := uuid.New()
	for range n {
		secret := queue.NewSecret()
		secrets[secret.Hash()] = secret
		c.Workers, c.Secrets = append(c.Workers, uuid.New()), append(c.Secrets, secret.Hash())
		postings = append(postings, queue.Posting{ID: uuid.New(), Organization: org, Tenant: uuid.New(), Type: "build"})
	}
	posted, err := s.Enqueue(t.Context(), epoch, postings)
	must(t, err)
	c.Probes = []queue.Probe{{Lane: posted[0].Lane()}}
	claimed, err := s.Claim(t.Context(), c)
	must(t, err)
	if len(claimed.Jobs) != n {
		t.Fatalf("claimed %d of %d", len(claimed.Jobs), n)
	}
	for i := range claimed.Jobs {
		claimed.Jobs[i].Secret = secrets[claimed.Jobs[i].SecretHash]
	}
	return process, claimed.Jobs
}

// The row of a job that somebody holds costs that job's report and end alone: those in the same batch are stored.
func TestLeasesBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	process, jobs := runningJobs(t, s, 5)
	const held = 2
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), `SELECT FROM dormouse.jobs WHERE id = $1 FOR UPDATE`, jobs[held].ID)
	must(t, err)

	var renewals []queue.Renewal
	var ends []queue.End
	for _, j := range jobs {
		renewals = append(renewals, queue.Renewal{Handout: j.Handout(), Process: process, Lines: []queue.Line{{At: epoch, Text: "on it"}}})
		ends = append(ends, queue.End{Handout: j.Handout(), Outcome: queue.OutcomeSucceeded})
	}
	wantApart := func(what string, i int, err error) {
		t.Helper()
		switch {
		case i != held && err != nil:
			t.Errorf("%s of job %d: %v", what, i, err)
		case i == held && (!errors.Is(err, lifecycle.ErrUnavailable) || queue.IsAnswer(err)):
			t.Errorf("%s of the job whose row is held: %v, want one that is to be tried again", what, err)
		}
	}
	renewed, err := s.Renew(soon(t), epoch, renewals)
	must(t, err)
	for i := range renewed {
		wantApart("renewal", i, renewed[i].Err)
	}
	ended, err := s.End(soon(t), epoch.Add(time.Second), ends)
	must(t, err)
	for i := range ended {
		wantApart("end", i, ended[i].Err)
		if i != held && ended[i].Job.State != queue.Succeeded {
			t.Errorf("job %d is %v", i, ended[i].Job.State)
		}
	}
	must(t, tx.Rollback(t.Context()))
	ended, err = s.End(soon(t), epoch.Add(2*time.Second), ends)
	must(t, err)
	for i := range ended {
		if ended[i].Err != nil || ended[i].Again != (i != held) {
			t.Errorf("afterwards the end of job %d: %+v", i, ended[i])
		}
	}
	for i, j := range jobs {
		lines, err := s.Lines(t.Context(), j.ID, 0, 10)
		must(t, err)
		if want := i != held; (len(lines) == 1) != want {
			t.Errorf("job %d has %d lines", i, len(lines))
		}
	}
}

// holds begins a transaction that holds a row until the returned function is called.
func holds(t *testing.T, pool *pgxpool.Pool, statement string, args ...any) (release func()) {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(t.Context(), statement, args...)
	must(t, err)
	return func() { t.Helper(); must(t, tx.Rollback(t.Context())) }
}

// Jobs are posted though somebody holds the number of their tenant, or is about to give it its first one.
func TestEnqueueBesideALockedTurn(t *testing.T) {
	s, pool := open(t)
	org, known, fresh := uuid.New(), uuid.New(), uuid.New()
	post := func(to acquirer.Enqueuer, tenants ...uuid.UUID) (orders []int64) {
		t.Helper()
		var postings []queue.Posting
		for _, tenant := range tenants {
			postings = append(postings, queue.Posting{ID: uuid.New(), Organization: org, Tenant: tenant, Type: "build"})
		}
		jobs, err := to.Enqueue(soon(t), epoch, postings)
		must(t, err)
		for _, j := range jobs {
			if j.State != queue.Pending || j.Duplicate {
				t.Errorf("stored as %+v", j)
			}
			orders = append(orders, j.Order)
		}
		return orders
	}
	first := post(s, known)
	release := holds(t, pool, `SELECT FROM dormouse.turns FOR UPDATE`)
	beside := post(s, known, known, fresh)
	if beside[0] <= first[0] || beside[1] <= beside[0] {
		t.Errorf("behind %d stand %d", first, beside)
	}
	release()
	if after := post(s, known); after[0] <= first[0] {
		t.Errorf("behind %d stand %d", first, after)
	}

	tx, err := pool.Begin(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	newcomer := uuid.New()
	within := post(s.WithTx(tx), newcomer, known)
	post(s, newcomer, known)
	must(t, tx.Commit(t.Context()))
	if after := post(s, newcomer, known); after[0] <= within[0] || after[1] <= within[1] {
		t.Errorf("behind %d stand %d", within, after)
	}
	listing, err := s.Ready(t.Context(), epoch, queue.ReadyQuery{CountTo: 100, Whole: true})
	must(t, err)
	if len(listing.Lanes) != 1 || listing.Lanes[0].Count != 11 {
		t.Errorf("%+v ready, want 11 jobs", listing.Lanes)
	}
}

// A job whose row somebody holds is not given to another worker; the others of the call are.
func TestReassignBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	process, jobs := runningJobs(t, s, 3)
	holds(t, pool, `SELECT FROM dormouse.jobs WHERE id = $1 FOR UPDATE`, jobs[1].ID)
	var moves []queue.Reassignment
	for _, j := range jobs {
		moves = append(moves, queue.Reassignment{Lease: j.Lease(), Process: process, Worker: uuid.New()})
	}
	accepted, err := s.Reassign(soon(t), moves)
	must(t, err)
	if !slices.Equal(accepted, []bool{true, false, true}) {
		t.Errorf("accepted %v", accepted)
	}
	found, err := s.Jobs(t.Context(), queue.Filter{Process: process})
	must(t, err)
	for _, j := range found {
		i := slices.IndexFunc(jobs, func(known queue.Job) bool { return known.ID == j.ID })
		if want := []uuid.UUID{moves[0].Worker, jobs[1].Worker, moves[2].Worker}[i]; j.Worker != want {
			t.Errorf("job %d is %s's, want %s's", i, j.Worker, want)
		}
	}
}

// To cancel or to retry jobs of which somebody holds one fails for all of them, after a while, and can be repeated.
func TestCancelAndRetryBesideALockedRow(t *testing.T) {
	s, pool := open(t)
	pending := func(n int) (ids []uuid.UUID) {
		t.Helper()
		for range n {
			ids = append(ids, uuid.New())
			_, err := s.Enqueue(t.Context(), epoch, []queue.Posting{{ID: ids[len(ids)-1], Organization: uuid.New(), Type: "build"}})
			must(t, err)
		}
		return ids
	}
	waiting, over := pending(2), pending(2)
	_, err := s.Cancel(t.Context(), queue.Cancellation{Now: epoch, IDs: over})
	must(t, err)
	both := func(check func(what string, changed []queue.Job, err error)) {
		var g sync.WaitGroup // each waits for as long as it does
		g.Go(func() {
			changed, err := s.Cancel(soon(t), queue.Cancellation{Now: epoch, IDs: waiting})
			check("cancel", changed, err)
		})
		g.Go(func() {
			changed, err := s.RetryJobs(soon(t), queue.Retry{Now: epoch, IDs: over})
			check("retry", changed, err)
		})
		g.Wait()
	}
	release := holds(t, pool, `SELECT FROM dormouse.jobs WHERE id = ANY ($1) FOR UPDATE`, []uuid.UUID{waiting[1], over[1]})
	both(func(what string, changed []queue.Job, err error) {
		if !errors.Is(err, lifecycle.ErrUnavailable) || len(changed) != 0 {
			t.Errorf("%s: %d changed, %v", what, len(changed), err)
		}
	})
	release()
	both(func(what string, changed []queue.Job, err error) {
		if err != nil || len(changed) != 2 {
			t.Errorf("%s afterwards: %d changed, %v", what, len(changed), err)
		}
	})
}
