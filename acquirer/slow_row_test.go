package acquirer_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// slowRows is a store that takes longer than a call may to write some jobs, and with them whatever the call is about.
type slowRows struct {
	queue.Store
	mu   sync.Mutex
	jobs []uuid.UUID
	// together counts the calls that were about one of them and about others, alone those about one alone.
	together, alone int
}

func (s *slowRows) set(jobs ...uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs, s.together, s.alone = jobs, 0, 0
}

func (s *slowRows) counts() (together, alone int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.together, s.alone
}

func (s *slowRows) wait(ctx context.Context, jobs []uuid.UUID) error {
	s.mu.Lock()
	slow := slices.ContainsFunc(jobs, func(id uuid.UUID) bool { return slices.Contains(s.jobs, id) })
	switch {
	case slow && len(jobs) > 1:
		s.together++
	case slow:
		s.alone++
	}
	s.mu.Unlock()
	if slow {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (s *slowRows) End(ctx context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	var jobs []uuid.UUID
	for _, e := range ends {
		jobs = append(jobs, e.Lease.Job)
	}
	if err := s.wait(ctx, jobs); err != nil {
		return nil, err
	}
	return s.Store.End(ctx, now, ends)
}

func (s *slowRows) Renew(ctx context.Context, now time.Time, renewals []queue.Renewal) ([]queue.Renewed, error) {
	var jobs []uuid.UUID
	for _, r := range renewals {
		jobs = append(jobs, r.Lease.Job)
	}
	if err := s.wait(ctx, jobs); err != nil {
		return nil, err
	}
	return s.Store.Renew(ctx, now, renewals)
}

func (s *slowRows) Cancel(ctx context.Context, c queue.Cancellation) ([]queue.Job, error) {
	if err := s.wait(ctx, c.IDs); err != nil {
		return nil, err
	}
	return s.Store.Cancel(ctx, c)
}

// slowFleet is a fleet with such a store, and a process with some jobs in the hands of workers.
func slowFleet(t *testing.T, n int, test func(f *fleet, s *slowRows, a *acquirer.Acquirer, jobs []queue.Job), change ...func(*acquirer.Config)) {
	t.Helper()
	bubble(t, func(f *fleet) {
		s := &slowRows{Store: f.inner}
		f.store = acquirertest.Wrap(s)
		a := f.start(change...)
		var jobs []queue.Job
		for range n {
			jobs = append(jobs, f.hand(a))
		}
		test(f, s, a, jobs)
	})
}

// timeout is how long a call of the store may take unless the host says otherwise.
const timeout = 10 * time.Second

// A job whose row takes longer to write than a call may keeps the ends that go with it waiting for one call, and no other; it is tried
// again and again, alone, and named.
func TestEndsBesideASlowRow(t *testing.T) {
	t.Parallel()
	slowFleet(t, 10, func(f *fleet, s *slowRows, a *acquirer.Acquirer, jobs []queue.Job) {
		slow := jobs[3:5]
		s.set(jobIDsOf(slow)...)
		var group sync.WaitGroup
		end := func(jobs ...queue.Job) {
			for _, job := range jobs {
				group.Go(func() {
					if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
						t.Errorf("end: %v", err)
					}
				})
			}
			synctest.Wait()
		}
		wantOver := func(when string, jobs ...queue.Job) {
			t.Helper()
			for _, job := range jobs {
				if got := f.stored(job.ID).State; got != queue.Succeeded {
					t.Errorf("%s a job is %s", when, got)
				}
			}
		}
		healthy := slices.Concat(jobs[:3], jobs[5:])
		end(jobs...)
		f.pass(2*timeout + time.Second)
		wantOver("after one call that took too long", healthy...)
		for range 20 {
			job := f.hand(a)
			end(job)
			f.pass(time.Second)
			wantOver("beside it", job)
		}
		if together, alone := s.counts(); together > 2 || alone < 2 {
			t.Errorf("%d calls about a slow one and others, %d about it alone", together, alone)
		}
		s.set()
		f.pass(timeout + time.Minute)
		group.Wait()
		wantOver("when its row is no longer slow", slow...)
	})
}

// So it is with the signs of life of workers, which lose nothing.
func TestRenewalsBesideASlowRow(t *testing.T) {
	t.Parallel()
	slowFleet(t, 8, func(f *fleet, s *slowRows, a *acquirer.Acquirer, jobs []queue.Job) {
		s.set(jobs[3].ID)
		var group sync.WaitGroup
		var mu sync.Mutex
		failed := make([]int, len(jobs))
		for i, job := range jobs {
			group.Go(func() {
				for range 60 {
					progress := &queue.Progress{Message: "on it"}
					if _, err := a.Renew(f.ctx, queue.Report{Handout: job.Handout(), Progress: progress}); err != nil {
						mu.Lock()
						failed[i]++
						mu.Unlock()
					}
					time.Sleep(5 * time.Second) // in a bubble
				}
			})
		}
		group.Wait()
		for i, n := range failed {
			if i != 3 && n > 1 {
				t.Errorf("%d reports of job %d failed", n, i)
			}
			if i == 3 && n < 10 {
				t.Errorf("only %d reports of the slow one failed", n)
			}
		}
		if together, _ := s.counts(); together > 1 {
			t.Errorf("%d calls about the slow one and others", together)
		}
	})
}

// Jobs that take too long to be given up keep no other of their lane from it, however many they are; where all do, few are tried.
func TestExpireBesideASlowRow(t *testing.T) {
	t.Parallel()
	const after = 20 * time.Minute
	expiring := func(c *acquirer.Config) { c.Batch, c.Expire = 10, after }
	for name, slow := range map[string]func(ids []uuid.UUID) []uuid.UUID{
		"first": func(ids []uuid.UUID) []uuid.UUID { return ids[:1] },
		"two":   func(ids []uuid.UUID) []uuid.UUID { return ids[4:6] },
		"last":  func(ids []uuid.UUID) []uuid.UUID { return ids[9:10] },
		"half":  func(ids []uuid.UUID) []uuid.UUID { return ids[:7] },
		"all":   func(ids []uuid.UUID) []uuid.UUID { return ids },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slowFleet(t, 0, func(f *fleet, s *slowRows, a *acquirer.Acquirer, _ []queue.Job) {
				var postings []queue.Posting
				for range 15 {
					postings = append(postings, f.posting(nil))
				}
				ids := jobIDsOf(f.enqueue(a, postings...))
				kept := slow(ids)
				s.set(kept...)
				f.pass(after + 15*time.Minute)
				for i, id := range ids {
					if got, isSlow := f.stored(id).State, slices.Contains(kept, id); (got == queue.Failed) == isSlow {
						t.Errorf("job %d is %s", i, got)
					}
				}
				if together, alone := s.counts(); name == "all" && alone > 3*together {
					t.Errorf("%d were tried alone after %d calls", alone, together)
				}
			}, expiring)
		})
	}
}

func jobIDsOf(jobs []queue.Job) (ids []uuid.UUID) {
	for _, job := range jobs {
		ids = append(ids, job.ID)
	}
	return ids
}
