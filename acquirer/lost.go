package acquirer

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/invalid"
)

// LostPolicy decides what becomes of a job whose worker was lost while it ran. It is called by whichever live
// process finds the loss, perhaps by more than one and perhaps again after an error, and may take its time: an
// infrastructure that must not be built twice is asked here. An error leaves the job as it is until the next
// look, a heartbeat later.
type LostPolicy func(ctx context.Context, lost queue.Job) (Verdict, error)

// Verdict is what a [LostPolicy] decides.
type Verdict struct {
	// Outcome is [queue.OutcomeRequeued], [queue.OutcomeFailed], [queue.OutcomeCanceled] or, if the work turns out to be done,
	// [queue.OutcomeSucceeded].
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
	return func(_ context.Context, lost queue.Job) (Verdict, error) {
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
	return func(context.Context, queue.Job) (Verdict, error) { return Verdict{Outcome: queue.OutcomeFailed}, nil }
}

func (v Verdict) check() error {
	switch v.Outcome {
	case queue.OutcomeRequeued, queue.OutcomeFailed, queue.OutcomeCanceled, queue.OutcomeSucceeded:
		return nil
	}
	return invalid.New("verdict.outcome", v.Outcome, "must be requeued, failed, canceled or succeeded")
}
