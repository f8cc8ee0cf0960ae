package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// What a tenant invents leaves nothing behind when its jobs are gone, and a process that remembers the numbers of tag sets that were
// deleted stores and claims jobs with them as ever: postings, and the jobs of builds.
func TestUnusedTagSets(t *testing.T) {
	s, pool := open(t)
	other := over(t, pool) // another process
	postings := make([]queue.Posting, 200)
	for i := range postings {
		postings[i] = queue.Posting{Organization: uuid.New(), Tenant: uuid.New(), Type: "build", Tags: tagged(i)}
	}
	kept, err := s.Enqueue(t.Context(), epoch, []queue.Posting{{Organization: uuid.New(), Type: "build", Tags: map[string]string{"kept": "1"}}})
	must(t, err)
	for _, p := range []*postgres.Store{s, other} {
		expire(t, p, epoch, postings)
	}
	f := newFleet(t, s, 3)
	for i, p := range []*postgres.Store{s, other} {
		buildTagged(t, p, load(t, s, f.ids[i])[0], tagged(7))
	}
	exec(t, pool, `DELETE FROM dormouse.jobs WHERE type = 'workspace_build'`)

	for day := range 4 {
		_, err := s.PruneJobs(t.Context(), epoch.AddDate(0, 0, 2*day), 1000)
		must(t, err)
	}
	if sets, turns := count(t, pool, "tag_sets"), count(t, pool, "turns"); sets != 1 || turns != 1 {
		t.Errorf("%d tag sets and %d turns are left: must be those of the one job that waits", sets, turns)
	}

	buildTagged(t, other, load(t, s, f.ids[2])[0], tagged(7))
	posted, err := other.Enqueue(t.Context(), epoch, postings[:5])
	must(t, err)
	for i, j := range posted {
		if got := claimOne(t, s, j); got.Tags != j.Tags || j.Tags.Map()["only"] != fmt.Sprint(i) {
			t.Errorf("posted with tags %v, claimed by another process with %v", j.Tags, got.Tags)
		}
	}
	builds, err := s.Jobs(t.Context(), queue.Filter{IDs: []uuid.UUID{load(t, s, f.ids[2])[0].Build.ID}})
	must(t, err)
	if len(builds) != 1 || builds[0].Tags.Map()["only"] != "7" {
		t.Errorf("the job of a build that was committed with a number that is gone: %+v", builds)
	}
	if got := claimOne(t, s, kept[0]); got.Tags != kept[0].Tags {
		t.Errorf("the job that waited has tags %v", got.Tags)
	}
}

// A tag set that is used again within a day keeps its number, whoever remembers it.
func TestRetiredTagSetReturns(t *testing.T) {
	s, pool := open(t)
	other := over(t, pool)
	postings := []queue.Posting{{Organization: uuid.New(), Type: "build", Tags: tagged(1)}}
	expire(t, s, epoch, postings)
	number := func() (n int32) {
		must(t, pool.QueryRow(t.Context(), `SELECT id FROM dormouse.tag_sets`).Scan(&n))
		return n
	}
	before := number()
	_, err := s.PruneJobs(t.Context(), epoch.Add(time.Hour), 1000)
	must(t, err)
	posted, err := other.Enqueue(t.Context(), epoch, postings) // has not known it: it takes the set back into use
	must(t, err)
	_, err = s.PruneJobs(t.Context(), epoch.Add(100*time.Hour), 1000)
	must(t, err)
	if number() != before || claimOne(t, s, posted[0]).Tags != posted[0].Tags {
		t.Errorf("its number was %d and is %d", before, number())
	}
}

// A tag set is kept for a day after it was found unused, and it is looked for once an hour.
func TestRetiredTagSetIsKeptForADay(t *testing.T) {
	s, pool := open(t)
	expire(t, s, epoch, []queue.Posting{{Organization: uuid.New(), Type: "build", Tags: tagged(1)}})
	prune := func(now time.Time, sets, unused int) {
		t.Helper()
		_, err := s.PruneJobs(t.Context(), now, 1000)
		must(t, err)
		if n, m := count(t, pool, "tag_sets"), retired(t, pool); n != sets || m != unused {
			t.Errorf("at %v: %d tag sets, of which %d are retired, want %d and %d", now, n, m, sets, unused)
		}
	}
	prune(epoch, 1, 0) // the job has ended just now
	prune(epoch.Add(time.Hour-time.Microsecond), 1, 0)
	since := epoch.Add(time.Hour)
	prune(since, 1, 1)
	prune(since.Add(24*time.Hour), 1, 1)
	prune(since.Add(25*time.Hour), 0, 0)
}

// A job of a process that remembers the number takes its tag set back into use, when that is looked for.
func TestRetiredTagSetOfARememberedNumber(t *testing.T) {
	s, pool := open(t)
	postings := []queue.Posting{{Organization: uuid.New(), Type: "build", Tags: tagged(1)}}
	expire(t, s, epoch, postings)
	for hour, want := range []int{1, 0} {
		_, err := s.PruneJobs(t.Context(), epoch.Add(time.Duration(hour+1)*time.Hour), 1000)
		must(t, err)
		if n := retired(t, pool); n != want {
			t.Errorf("after %d hours %d tag sets are retired, want %d", hour+1, n, want)
		}
		_, err = s.Enqueue(t.Context(), epoch, postings)
		must(t, err)
	}
}

func tagged(i int) map[string]string { return map[string]string{"only": fmt.Sprint(i)} }

// expire posts jobs and cancels them before anybody claims one.
func expire(t *testing.T, s *postgres.Store, now time.Time, postings []queue.Posting) {
	t.Helper()
	jobs, err := s.Enqueue(t.Context(), now, postings)
	must(t, err)
	ids := make([]uuid.UUID, len(jobs))
	for i, j := range jobs {
		ids[i] = j.ID
	}
	canceled, err := s.Cancel(t.Context(), queue.Cancellation{Now: now, IDs: ids, Reason: "no longer wanted"})
	must(t, err)
	if len(canceled) != len(postings) {
		t.Fatalf("%d of %d canceled", len(canceled), len(postings))
	}
}

func count(t *testing.T, pool *pgxpool.Pool, table string) (n int) {
	t.Helper()
	must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.`+table).Scan(&n))
	return n
}

// claimOne claims the job as a process of its own that has just looked.
func claimOne(t *testing.T, s *postgres.Store, j queue.Job) queue.Job {
	t.Helper()
	process := uuid.New()
	_, err := s.Heartbeat(t.Context(), queue.Heartbeat{Process: process, Name: "a", Now: epoch})
	must(t, err)
	listing, err := s.Ready(t.Context(), epoch, queue.ReadyQuery{Organizations: []uuid.UUID{j.Organization}, CountTo: 10})
	must(t, err)
	if len(listing.Lanes) != 1 || listing.Lanes[0].Lane != j.Lane() || listing.Unreadable > 0 {
		t.Fatalf("the lane of job %s is not listed: %+v", j.ID, listing)
	}
	claimed, err := s.Claim(t.Context(), queue.Claim{
		Token: uuid.New(), Process: process, Now: epoch, Probes: []queue.Probe{{Lane: j.Lane()}}, Workers: []uuid.UUID{uuid.New()},
	})
	must(t, err)
	if len(claimed.Jobs) != 1 || claimed.Jobs[0].ID != j.ID {
		t.Fatalf("job %s is not claimed: %+v", j.ID, claimed.Jobs)
	}
	return claimed.Jobs[0]
}

// buildTagged commits a build of the workspace with a job that has tags.
func buildTagged(t *testing.T, s *postgres.Store, w lifecycle.Snapshot, tags map[string]string) {
	t.Helper()
	c := started(t, w)
	c.Job.Tags = tags
	outcomes, err := s.Commit(t.Context(), epoch, []lifecycle.Change{c})
	must(t, err)
	if outcomes[0] != lifecycle.Applied {
		t.Fatalf("the build is a %v", outcomes[0])
	}
}

// Whoever has only looked at a retired tag set takes it back into use when it posts with it; the number of one that is in use it
// remembers.
func TestRetiredTagSetIsNotRemembered(t *testing.T) {
	plain, pool := open(t)
	org, tags := uuid.New(), map[string]string{"gpu": "yes"}
	posting := func() []queue.Posting {
		return []queue.Posting{{ID: uuid.New(), Organization: org, Tenant: org, Type: "build", Tags: tags}}
	}
	jobs, err := plain.Enqueue(t.Context(), epoch, posting())
	must(t, err)
	lane := jobs[0].Lane()
	exec(t, pool, `DELETE FROM dormouse.jobs; UPDATE dormouse.tag_sets SET retired_at = now()`)
	asked := 0
	s, err := postgres.Faulty(pool, quiet, func() error { asked++; return nil })
	must(t, err)
	_, err = s.Jobs(t.Context(), queue.Filter{Lane: &lane})
	must(t, err)
	_, err = s.Enqueue(t.Context(), epoch, posting())
	must(t, err)
	if n := retired(t, pool); n != 0 {
		t.Errorf("%d tag sets are retired", n)
	}
	first := asked
	asked = 0
	for range 2 {
		asked = 0
		_, err = s.Enqueue(t.Context(), epoch, posting())
		must(t, err)
	}
	if asked >= first {
		t.Errorf("a posting asks %d things, the one that took the tag set back %d", asked, first)
	}
}

func retired(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.tag_sets WHERE retired_at IS NOT NULL`).Scan(&n))
	return n
}
