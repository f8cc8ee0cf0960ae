package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

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
