package acquirer

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/leases"
	"github.com/dormouse-go/dormouse/invalid"
)

// LostPolicy decides what becomes of a job whose worker was lost while it ran. Whichever live process finds the loss calls
// it, perhaps more than one of them, and perhaps again after an error. It may take its time: a policy may ask an
// infrastructure in which nothing must be built twice. Its context ends after five minutes. An error leaves the job as it is, and it asks
// again a heartbeat later. Should the worker report while it thinks, its verdict is void. Up to 16 calls of one policy about the jobs of
// one organization run at once, and in all 16 for each policy and 48 more; one that takes longer than ten seconds leaves its place to
// another, up to 192 of them. One that ignores the end of its context is given up; where 3 about a job have not returned, 25 about an
// organization, or 100 in all, that policy is not called about it until one has.
type LostPolicy func(ctx context.Context, lost Job) (Verdict, error)

// Verdict is what a [LostPolicy] decides.
type Verdict struct {
	// Outcome is [queue.OutcomeRequeued], [queue.OutcomeFailed], [queue.OutcomeCanceled] or, if the work turns out to be
	// done, [queue.OutcomeSucceeded].
	Outcome queue.Outcome
	// Delay is how long a requeued job waits before it may be claimed again.
	Delay time.Duration
	// Error says why, for people. Defaults to a sentence about the loss.
	Error string
}

// maxLostDelay bounds the growing delay of [RequeueLost].
const maxLostDelay = time.Hour

// RequeueLost puts a lost job back into line until it has been handed out so many times, and then fails it. The
// first time it waits for the delay, then twice as long each time, at most an hour.
func RequeueLost(attempts int, delay time.Duration) LostPolicy {
	return func(_ context.Context, lost Job) (Verdict, error) {
		if lost.Attempt >= attempts {
			return Verdict{
				Outcome: queue.OutcomeFailed,
				Error:   fmt.Sprintf("worker lost in attempt %d of %d", lost.Attempt, attempts),
			}, nil
		}
		return Verdict{Outcome: queue.OutcomeRequeued, Delay: backoff.Doubled(delay, lost.Attempt-1, maxLostDelay)}, nil
	}
}

// FailLost fails a lost job at once: for work that must not be begun twice without a person looking at it.
func FailLost() LostPolicy {
	return func(context.Context, Job) (Verdict, error) { return Verdict{Outcome: queue.OutcomeFailed}, nil }
}

func (v Verdict) validate() error {
	switch v.Outcome {
	case queue.OutcomeRequeued, queue.OutcomeFailed, queue.OutcomeCanceled, queue.OutcomeSucceeded:
		return nil
	}
	return invalid.New("Verdict.Outcome", v.Outcome, "must be requeued, failed, canceled or succeeded")
}

// end puts the verdict into the store's words. It counts only while the lost process still holds the lease. Of a worker that
// lives and does not stop the job's error says so, whatever the policy says.
func (v Verdict) end(d leases.Doubt, now time.Time) queue.End {
	text := cmp.Or(v.Error, d.Why)
	if d.Overdue && v.Error != "" {
		text = v.Error + ": " + d.Why
	}
	e := queue.End{Handout: queue.Handout{Lease: d.Job.Lease()}, Outcome: v.Outcome, Process: d.Job.Process, Error: text}
	e.Delay = max(v.Delay, 0)
	return e.Normalize(now)
}
