package acquirer_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/invalid"
)

func TestHandOff(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		w := f.joinPlain(a)
		if w.over() {
			t.Fatal("a worker got a job that nobody posted")
		}
		job := f.enqueue(a, f.posting(nil))[0]
		got := f.mustGet(w, "after the posting")
		if got.ID != job.ID || got.State != queue.Running || got.Attempt != 1 {
			t.Fatalf("got %+v", got)
		}
		if w.took != 0 {
			t.Errorf("the hand-off took %s of the clock", w.took)
		}
		done, err := a.End(f.ctx, queue.End{Handout: got.Handout(), Outcome: queue.OutcomeSucceeded, Result: []byte("ok")})
		if err != nil || done.State != queue.Succeeded || string(f.stored(got.ID).Result) != "ok" {
			t.Fatalf("Complete: %+v, %v", done, err)
		}
	})
}

func TestJobsStoredBeforeTheWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.slip(f.posting(nil))
		f.mustGet(f.joinPlain(a), "a worker that comes after the job")
	})
}

func TestOtherProcess(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a, b := f.start(), f.start()
		w := f.joinPlain(a)
		f.pass(time.Second)
		f.enqueue(b, f.posting(nil))
		f.mustGet(w, "a job posted by another process")
		if w.took != time.Second {
			t.Errorf("the hand-off took %s of the clock", w.took-time.Second)
		}
	})
}

func TestAcquireJobsTakesWhatCameTogether(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.slip(f.posting(nil), f.posting(nil), f.posting(nil))
		jobs, err := a.AcquireJobs(f.ctx, f.request(nil), 10)
		if err != nil || len(jobs) != 3 {
			t.Fatalf("%d jobs, %v; want all 3", len(jobs), err)
		}
		if claims := f.store.Claims(); len(claims) != 1 {
			t.Errorf("%d claims, want one for all", len(claims))
		}
	})
}

func TestStream(t *testing.T) {
	t.Parallel()
	bubble(t, func(f *fleet) {
		a := f.start()
		f.slip(f.posting(nil), f.posting(nil))
		ctx, cancel := context.WithCancel(f.ctx)
		n := 0
		var last error
		for job, err := range a.Jobs(ctx, f.request(nil)) {
			if last = err; err != nil {
				break
			}
			if _, err := a.End(f.ctx, queue.End{Handout: job.Handout(), Outcome: queue.OutcomeSucceeded}); err != nil {
				t.Fatal(err)
			}
			if n++; n == 2 {
				time.AfterFunc(time.Minute, cancel)
			}
		}
		cancel()
		if n != 2 || !errors.Is(last, context.Canceled) {
			t.Fatalf("%d jobs, then %v", n, last)
		}
	})
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	a, err := acquirer.New(noStore{}, nil, acquirer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	good := queue.Request{Organization: uuid.New(), Types: []string{"build"}}
	for name, test := range map[string]struct {
		change func(*queue.Request)
		slots  int
		field  string
	}{
		"no types":       {func(r *queue.Request) { r.Types = nil }, 1, "Request.Types"},
		"empty type":     {func(r *queue.Request) { r.Types = []string{""} }, 1, "Request.Types"},
		"bad tag":        {func(r *queue.Request) { r.Tags = map[string]string{"a": "\x00"} }, 1, "Request.Tags[a]"},
		"user, no owner": {func(r *queue.Request) { r.Tags = map[string]string{"scope": "user"} }, 1, "Request.Tags[owner]"},
		"no slots":       {func(*queue.Request) {}, 0, "slots"},
		"silence":        {func(r *queue.Request) { r.Silence = -1 }, 1, "Request.Silence"},
	} {
		r := good
		test.change(&r)
		_, err := a.AcquireJobs(t.Context(), r, test.slots)
		var field *invalid.Error
		if !errors.As(err, &field) || field.Field != test.field || !errors.Is(err, invalid.Err) {
			t.Errorf("%s: error %v, want one about %s", name, err, test.field)
		}
	}
}

// noStore panics when it is called.
type noStore struct{ queue.Store }
