package storetest

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// faultyLost makes calls that find that something is lost, or is another's: a database that fails meanwhile is another answer.
func faultyLost(f *faultFixture) {
	k := newJobKit(f.T, f.s, f.o)
	job := k.running()
	unknown, stale := k.handout(job), k.handout(job)
	unknown.Lease.Job = uuid.New()
	stale.Lease.Fence++
	renew := func(name string, process uuid.UUID, h queue.Handout, want error) {
		f.Helper()
		r := []queue.Renewal{{Handout: h, Process: process, Lines: []queue.Line{{At: k.now, Text: "a"}}}}
		var got []queue.Renewed
		f.call(name, func(ctx context.Context) (err error) { got, err = f.s.Renew(ctx, k.now, r); return err })
		f.rule(len(got) == 1 && errors.Is(got[0].Err, want), "%s: %+v", name, got)
	}
	renew("Renew by nobody", uuid.New(), k.handout(job), queue.ErrProcessLost)
	renew("Renew of a stale lease", k.process, stale, queue.ErrLeaseLost)
	renew("Renew of no job", k.process, unknown, queue.ErrLeaseLost)
	for name, h := range map[string]queue.Handout{"End of a stale lease": stale, "End of no job": unknown} {
		var got []queue.Ended
		f.call(name, func(ctx context.Context) (err error) {
			got, err = f.s.End(ctx, k.now, []queue.End{{Handout: h, Outcome: queue.OutcomeSucceeded}})
			return err
		})
		f.rule(len(got) == 1 && errors.Is(got[0].Err, queue.ErrLeaseLost), "%s: %+v", name, got)
	}
	f.call("Reap of the living", failing(func(ctx context.Context) (queue.Reaped, error) {
		return f.s.Reap(ctx, queue.ReapRequest{Now: k.now, Process: k.process, Heartbeats: -1, Limit: 10})
	}))
	f.call("Ahead of no job", failing(func(ctx context.Context) ([]queue.ReadyLane, error) { return f.s.Ahead(ctx, uuid.New(), 10) }))
	f.call("Attempts of no job", failing(func(ctx context.Context) ([]queue.Attempt, error) { return f.s.Attempts(ctx, uuid.New()) }))
	f.call("RetryJobs of no job, and of one that runs", failing(func(ctx context.Context) ([]queue.Job, error) {
		return f.s.RetryJobs(ctx, queue.Retry{Now: k.now, IDs: []uuid.UUID{uuid.New(), job.ID}})
	}))
	f.call("Cancel of no job", failing(func(ctx context.Context) ([]queue.Job, error) {
		return f.s.Cancel(ctx, queue.Cancellation{Now: k.now, IDs: []uuid.UUID{uuid.New()}})
	}))
	// A unique key that is taken.
	over := k.running(withUnique("key"))
	k.end(queue.End{Handout: k.handout(over), Outcome: queue.OutcomeFailed})
	second := k.posting(withUnique("key"))
	_, err := f.s.Enqueue(f.ctx, k.now, []queue.Posting{second})
	f.must(err)
	f.call("RetryJobs where the key is taken", failing(func(ctx context.Context) ([]queue.Job, error) {
		return f.s.RetryJobs(ctx, queue.Retry{Now: k.now, IDs: []uuid.UUID{over.ID}})
	}))
	third := second
	third.ID = uuid.New()
	f.call("Enqueue where the key is taken", failing(func(ctx context.Context) ([]queue.Job, error) {
		return f.s.Enqueue(ctx, k.now, []queue.Posting{third})
	}))
	f.call("Claim by nobody", refused(queue.ErrProcessLost, func(ctx context.Context) error {
		ask := k.ask(1, job)
		ask.Process = uuid.New()
		_, err := f.s.Claim(ctx, ask)
		return err
	}))
}
