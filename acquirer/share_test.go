package acquirer_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// slowly is a store whose postings take their time.
type slowly struct{ queue.Store }

func (s slowly) Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) ([]queue.Job, error) {
	time.Sleep(20 * time.Millisecond) // in a bubble
	return s.Store.Enqueue(ctx, now, postings)
}

// An organization that posts without end gets its share while another posts, which does not wait, and all of the store while nobody
// else does.
func TestShareOfAnOrganization(t *testing.T) {
	t.Parallel()
	for _, others := range []bool{false, true} {
		bubble(t, func(f *fleet) {
			a, err := acquirer.New(slowly{f.inner}, nil, acquirer.Config{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(f.ctx, 10*time.Second)
			defer cancel()
			if others {
				go func() {
					for modest := uuid.New(); ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
						begun := time.Now()
						_, err := a.Enqueue(f.ctx, queue.Posting{Organization: modest, Type: "build"})
						if took := time.Since(begun); err != nil || took != 20*time.Millisecond {
							t.Errorf("a posting within its share took %s, %v", took, err)
						}
					}
				}()
			}
			n := 0
			for ; ctx.Err() == nil; n++ {
				if _, err := a.Enqueue(f.ctx, queue.Posting{Organization: f.org, Type: "build"}); err != nil {
					t.Fatal(err)
				}
			}
			if got := a.Stats().Delayed; !others && len(got) != 0 || others && (len(got) != 1 || got[f.org] < 200) {
				t.Errorf("beside others %v: delayed calls %v, want those of one organization", others, got)
			}
			f.pass(time.Second)
			if least, most := 500, 501; !others && (n < least || n > most) {
				t.Errorf("alone: %d postings of 20ms in 10s", n)
			}
			if others && (n < 240 || n > 270) {
				t.Errorf("beside another: %d postings of 20ms in 10s, want a half and what one may use at once", n)
			}
		})
	}
}

// Whoever does not wait for its share any longer hears so, and nothing is done.
func TestShareThatIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, err := acquirer.New(slowly{f.inner}, nil, acquirer.Config{})
		if err != nil {
			t.Fatal(err)
		}
		life, stop := context.WithCancel(f.ctx)
		defer f.pass(time.Second)
		defer stop()
		go f.accompany(life, a)
		for range 50 {
			if _, err := a.Enqueue(f.ctx, queue.Posting{Organization: f.org, Type: "build"}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(f.ctx, time.Millisecond)
		defer cancel()
		id := uuid.New()
		if _, err := a.Enqueue(ctx, queue.Posting{ID: id, Organization: f.org, Type: "build"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if jobs, err := f.inner.Jobs(f.ctx, queue.Filter{IDs: []uuid.UUID{id}}); err != nil || len(jobs) != 0 {
			t.Errorf("%d jobs are posted, %v", len(jobs), err)
		}
	})
}

// stepping is a store whose answers to questions about jobs, and to ends, take their time.
type stepping struct {
	queue.Store
	calls atomic.Int64
}

func (s *stepping) Jobs(ctx context.Context, f queue.Filter) ([]queue.Job, error) {
	s.calls.Add(1)
	time.Sleep(10 * time.Millisecond) // in a bubble
	return s.Store.Jobs(ctx, f)
}

func (s *stepping) End(ctx context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	s.calls.Add(1)
	time.Sleep(10 * time.Millisecond) // in a bubble
	return s.Store.End(ctx, now, ends)
}

// accompany posts now and then for an organization of its own, until ctx ends.
func (f *fleet) accompany(ctx context.Context, a *acquirer.Acquirer) {
	for modest := uuid.New(); ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		if _, err := a.Enqueue(f.ctx, queue.Posting{Organization: modest, Type: "build"}); err != nil {
			f.t.Error(err)
		}
	}
}

// Reports on jobs that nobody has, and their ends, cost the organization of whoever sends them: the answers come later while others
// call.
func TestShareOfMadeUpReports(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(context.Context, acquirer.Remote, queue.Handout) error{
		"renew": func(ctx context.Context, r acquirer.Remote, h queue.Handout) error {
			_, err := r.Renew(ctx, queue.Report{Handout: h})
			return err
		},
		"end": func(ctx context.Context, r acquirer.Remote, h queue.Handout) error {
			_, err := r.End(ctx, queue.End{Handout: h, Outcome: queue.OutcomeSucceeded})
			return err
		},
		"release": func(ctx context.Context, r acquirer.Remote, h queue.Handout) error {
			_, err := r.End(ctx, queue.End{Handout: h, Outcome: queue.OutcomeReleased})
			return err
		},
	} {
		bubble(t, func(f *fleet) {
			store := &stepping{Store: f.inner}
			a, err := acquirer.New(store, nil, acquirer.Config{})
			if err != nil {
				t.Fatal(err)
			}
			life, stop := context.WithCancel(f.ctx)
			over := make(chan struct{})
			go func() {
				defer close(over)
				_ = a.Run(life)
			}()
			defer func() { stop(); <-over }()
			f.pass(time.Second)
			ctx, cancel := context.WithTimeout(f.ctx, 10*time.Second)
			defer cancel()
			go f.accompany(ctx, a)
			remote := a.Remote(acquirer.Identity{Organization: f.org, Worker: uuid.New()})
			before := store.calls.Load()
			for ctx.Err() == nil {
				lease := queue.Lease{Job: uuid.New(), Fence: 1}
				if err := say(f.ctx, remote, queue.Handout{Lease: lease}); !errors.Is(err, queue.ErrLeaseLost) {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if n := store.calls.Load() - before; n < 100 || n > 560 {
				t.Errorf("%s: the store was busy for %d0ms of 10s", name, n)
			}
			if got := a.Stats().Delayed[f.org]; got == 0 {
				t.Errorf("%s: nothing was delayed", name)
			}
			f.pass(time.Second)
		})
	}
}

// What a view retries is in its organization's share. What the host asks the view meanwhile is, too, and waits for nothing that waits
// for the host.
func TestShareOfRetries(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		store, refused := &stepping{Store: f.inner}, errors.New("refused")
		var view acquirer.View
		a, err := acquirer.New(store, nil, acquirer.Config{Retry: func(ctx context.Context, job acquirer.Job) error {
			_, err := view.Job(ctx, job.ID)
			return errors.Join(err, refused)
		}})
		if err != nil {
			f.t.Fatal(err)
		}
		view = a.Within(f.org)
		over := f.enqueue(a, f.posting(nil))[0].ID
		if _, err := a.Cancel(f.ctx, "to be retried", over); err != nil {
			f.t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(f.ctx, 10*time.Second)
		defer cancel()
		go f.accompany(ctx, a)
		before := store.calls.Load()
		for ctx.Err() == nil {
			if _, err := view.Retry(f.ctx, "somebody", "", over); !errors.Is(err, refused) {
				f.t.Fatalf("retry: %v", err)
			}
		}
		if n := store.calls.Load() - before; n < 400 || n > 530 {
			f.t.Errorf("the store was busy for %d0ms of 10s, want a half", n)
		}
		f.pass(time.Second)
	})
}

// refusing is a store whose claims and postings take their time, and which takes no end.
type refusing struct {
	slowly
	ends atomic.Int64
}

func (s *refusing) Claim(ctx context.Context, c queue.Claim) (queue.Claimed, error) {
	time.Sleep(10 * time.Millisecond) // in a bubble
	return s.Store.Claim(ctx, c)
}

func (s *refusing) End(_ context.Context, _ time.Time, ends []queue.End) ([]queue.Ended, error) {
	s.ends.Add(int64(len(ends)))
	answers := make([]queue.Ended, len(ends))
	for i := range answers {
		answers[i].Err = queue.ErrLeaseLost
	}
	return answers, nil
}

// A process that gives a job back, and is refused, is no company: who is alone stays so.
func TestNobodyWaitsBesideTheProcess(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		store := &refusing{slowly: slowly{f.inner}}
		a, err := acquirer.New(store, nil, acquirer.Config{StopTimeout: 100 * time.Millisecond})
		if err != nil {
			f.t.Fatal(err)
		}
		stop := f.runUntil(a)
		f.pass(time.Second)
		f.enqueue(a, f.posting(nil))
		hangUp, cancel := context.WithTimeout(f.ctx, 5*time.Millisecond)
		defer cancel()
		if _, err := a.AcquireJob(hangUp, f.request(nil)); err == nil {
			f.t.Fatal("a job within the time of half a claim")
		}
		for begun := time.Now(); time.Since(begun) < 2*time.Second; {
			posted := time.Now()
			f.enqueue(a, queue.Posting{Organization: f.org, Type: "other"})
			if took := time.Since(posted); took != 20*time.Millisecond {
				f.t.Errorf("a posting of who is alone took %s", took)
				break
			}
		}
		if store.ends.Load() == 0 {
			f.t.Error("nothing was given back")
		}
		if err := stop(); err != nil {
			f.t.Errorf("Run: %v", err)
		}
	})
}

// Whatever a view asks of the store is in its organization's share.
func TestShareOfViews(t *testing.T) {
	t.Parallel()
	type call func(ctx context.Context, v acquirer.View, job uuid.UUID) error
	for name, ask := range map[string]call{
		"job": func(ctx context.Context, v acquirer.View, job uuid.UUID) error { _, err := v.Job(ctx, job); return err },
		"list": func(ctx context.Context, v acquirer.View, _ uuid.UUID) error {
			_, err := v.List(ctx, queue.JobQuery{})
			return err
		},
		"count": func(ctx context.Context, v acquirer.View, _ uuid.UUID) error {
			_, err := v.Count(ctx, queue.JobQuery{})
			return err
		},
		"pauses": func(ctx context.Context, v acquirer.View, _ uuid.UUID) error { _, err := v.Pauses(ctx); return err },
		"lines": func(ctx context.Context, v acquirer.View, job uuid.UUID) error {
			_, err := v.Lines(ctx, job, 0, 10)
			return err
		},
		"attempts": func(ctx context.Context, v acquirer.View, job uuid.UUID) error {
			_, err := v.Attempts(ctx, job)
			return err
		},
		"explain": func(ctx context.Context, v acquirer.View, job uuid.UUID) error {
			_, err := v.Explain(ctx, job)
			return err
		},
		"cancel": func(ctx context.Context, v acquirer.View, job uuid.UUID) error {
			_, err := v.Cancel(ctx, "over", job)
			return err
		},
		"retry": func(ctx context.Context, v acquirer.View, job uuid.UUID) error {
			_, err := v.Retry(ctx, "ann", "", job)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(f *fleet) {
				a, err := acquirer.New(f.store, nil, acquirer.Config{})
				if err != nil {
					t.Fatal(err)
				}
				job := f.enqueue(a, f.posting(nil))[0].ID
				f.store.Choose(func(acquirertest.Verb) acquirertest.Fault {
					return acquirertest.Fault{Before: func(context.Context) { time.Sleep(10 * time.Millisecond) }} // in a bubble
				})
				ctx, cancel := context.WithTimeout(f.ctx, 10*time.Second)
				defer cancel()
				go f.accompany(ctx, a)
				for ctx.Err() == nil {
					if err := ask(f.ctx, a.Within(f.org), job); err != nil {
						t.Fatal(err)
					}
				}
				if got := a.Stats().Delayed[f.org]; got == 0 {
					t.Error("nothing was delayed")
				}
				f.pass(time.Second)
				f.store.Choose(nil)
			})
		})
	}
}
