package postgres_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// A claim from several lanes, of whose jobs others hold the first ones, looks further until its workers are served: each gets one job, under its
// own secret, those in front first.
func TestClaimInTurns(t *testing.T) {
	s, pool := open(t)
	claim := newLine(t, s, 1)
	org, tenant := claim.Probes[0].Lane.Organization, uuid.New()
	takeJobs(t, s, claim, 1)
	var postings []queue.Posting
	for range 100 {
		postings = append(postings, queue.Posting{ID: uuid.New(), Organization: org, Tenant: tenant, Type: "build"})
	}
	_, err := s.Enqueue(t.Context(), epoch, postings)
	must(t, err)
	other := claim.Probes[0]
	other.Lane.Type = "other"
	claim.Probes = append(claim.Probes, other)
	_, err = s.Enqueue(t.Context(), epoch, []queue.Posting{{Organization: org, Tenant: tenant, Type: "other", Priority: 0}})
	must(t, err)
	var held []uuid.UUID
	for _, p := range postings[4:90] { // of the first look four can be taken, of the next ones the others
		held = append(held, p.ID)
	}
	defer holds(t, pool, `SELECT FROM dormouse.jobs WHERE id = ANY ($1) FOR UPDATE`, held)()
	claim.Token = uuid.New()
	for range 10 {
		claim.Workers = append(claim.Workers, uuid.New())
		claim.Secrets = append(claim.Secrets, queue.NewSecret().Hash())
	}
	claimed, err := s.Claim(soon(t), claim)
	must(t, err)
	if len(claimed.Jobs) != 10 {
		t.Fatalf("%d jobs", len(claimed.Jobs))
	}
	want := append(postings[:4:4], postings[90:96]...)
	for i, j := range claimed.Jobs {
		if j.ID != want[i].ID || j.Worker != claim.Workers[i] || j.SecretHash != claim.Secrets[i] || j.Process != claim.Process || j.Token != claim.Token {
			t.Errorf("job %d is the %dth: %+v", i, i, j)
		}
	}
	stored, err := s.Jobs(t.Context(), queue.Filter{Process: claim.Process, Token: claim.Token})
	must(t, err)
	if len(stored) != 10 {
		t.Errorf("%d jobs are stored as claimed", len(stored))
	}
	byID := map[uuid.UUID]queue.Job{}
	for _, j := range stored {
		byID[j.ID] = j
	}
	for _, j := range claimed.Jobs {
		if is := byID[j.ID]; is.Worker != j.Worker || is.SecretHash != j.SecretHash {
			t.Errorf("stored is %+v, claimed %+v", is, j)
		}
	}
}

// A job whose key was in use, and whose holder ends before it is read, is stored after all; what was stored beside it, once.
func TestEnqueueInTurns(t *testing.T) {
	pool := pgtest.Pool(t)
	plain := over(t, pool)
	claim := newLine(t, plain, 1)
	org := claim.Probes[0].Lane.Organization
	first := queue.Posting{ID: uuid.New(), Organization: org, Tenant: org, Type: "build", Unique: "key", Priority: 9}
	_, err := plain.Enqueue(t.Context(), epoch, []queue.Posting{first})
	must(t, err)
	asked, at := 0, 0
	s, err := postgres.Faulty(pool, quiet, func() error {
		if asked++; asked == at {
			_, err := plain.Cancel(t.Context(), queue.Cancellation{Now: epoch, IDs: []uuid.UUID{first.ID}})
			return err
		}
		return nil
	})
	must(t, err)
	_, err = s.Enqueue(t.Context(), epoch, []queue.Posting{{ID: uuid.New(), Type: "warm"}})
	must(t, err)
	turns := 0
	for at = 1; ; at++ {
		asked = 0
		beside := queue.Posting{ID: uuid.New(), Organization: org, Tenant: org, Type: "build"}
		again := queue.Posting{ID: uuid.New(), Organization: org, Tenant: org, Type: "build", Unique: "key"}
		jobs, err := s.Enqueue(t.Context(), epoch, []queue.Posting{beside, again})
		must(t, err)
		if jobs[0].ID != beside.ID || jobs[0].Duplicate || jobs[1].Order == 0 || jobs[1].ID != again.ID && jobs[1].ID != first.ID || (jobs[1].ID == first.ID) != jobs[1].Duplicate {
			t.Errorf("canceled at %d: %+v", at, jobs)
		}
		found, err := plain.Jobs(t.Context(), queue.Filter{IDs: []uuid.UUID{beside.ID, jobs[1].ID}})
		must(t, err)
		if len(found) != 2 {
			t.Errorf("canceled at %d: %d jobs are stored", at, len(found))
		}
		if asked < at {
			break
		}
		if jobs[1].ID == again.ID {
			turns++
		}
		_, err = plain.Cancel(t.Context(), queue.Cancellation{Now: epoch, IDs: []uuid.UUID{jobs[1].ID}})
		must(t, err)
		first.ID = uuid.New()
		_, err = plain.Enqueue(t.Context(), epoch, []queue.Posting{first})
		must(t, err)
	}
	if turns == 0 {
		t.Error("none was stored after all")
	}
}

// A retry whose key is taken at that moment, again and again, gives up and says so.
func TestRetryGivesUp(t *testing.T) {
	pool := pgtest.Pool(t)
	fails, asked := false, 0
	s, err := postgres.Faulty(pool, quiet, func() error {
		if !fails {
			return nil
		}
		asked++
		return &pgconn.PgError{Code: "23505", Message: "duplicate key"}
	})
	must(t, err)
	_, err = s.Pauses(t.Context(), epoch)
	must(t, err)
	fails = true
	pick := prewarm.Pick{Pool: "p"}
	if _, err := s.ClaimMembers(t.Context(), epoch, pick, []prewarm.Claim{{Key: "k", Owner: "ann"}}); err == nil {
		t.Error("a claim whose key is always taken is no error")
	}
	asked = 0
	jobs, err := s.RetryJobs(t.Context(), queue.Retry{Now: epoch, IDs: []uuid.UUID{uuid.New()}})
	var pg *pgconn.PgError
	if err == nil || errors.As(err, &pg) || jobs != nil || asked != 2 {
		t.Errorf("%v, %v after %d attempts", jobs, err, asked)
	}
}
