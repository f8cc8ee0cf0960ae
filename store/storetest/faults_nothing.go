package storetest

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// faultyNothing makes calls with which there is nothing to do: they ask nothing of the database, and say when their context has ended.
func faultyNothing(f *faultFixture) {
	ended, cancel := context.WithCancel(f.ctx)
	cancel()
	for name, do := range f.callsOfNothing() {
		reached := f.Fail(1)
		n, err := do(f.ctx)
		f.rule(!reached() && err == nil && n == 0, "a call with nothing to do asks nothing of the database: %s, %d, error %v", name, n, err)
		n, err = do(ended)
		f.rule(errors.Is(err, context.Canceled) && n == 0, "a call whose context has ended says so: %s, %d, error %v", name, n, err)
	}
}

// callsOfNothing say how much they answer.
func (f *faultFixture) callsOfNothing() map[string]func(context.Context) (int, error) {
	s, none := f.s, []uuid.UUID{}
	return map[string]func(context.Context) (int, error){
		"Enqueue":   answer(func(ctx context.Context) ([]queue.Job, error) { return s.Enqueue(ctx, epoch, nil) }),
		"Renew":     answer(func(ctx context.Context) ([]queue.Renewed, error) { return s.Renew(ctx, epoch, nil) }),
		"Reassign":  answer(func(ctx context.Context) ([]bool, error) { return s.Reassign(ctx, nil) }),
		"End":       answer(func(ctx context.Context) ([]queue.Ended, error) { return s.End(ctx, epoch, nil) }),
		"Cancel":    answer(func(ctx context.Context) ([]queue.Job, error) { return s.Cancel(ctx, queue.Cancellation{Now: epoch}) }),
		"RetryJobs": answer(func(ctx context.Context) ([]queue.Job, error) { return s.RetryJobs(ctx, queue.Retry{Now: epoch}) }),
		"Jobs":      answer(func(ctx context.Context) ([]queue.Job, error) { return s.Jobs(ctx, queue.Filter{}) }),
		"Commit":    answer(func(ctx context.Context) ([]lifecycle.Outcome, error) { return s.Commit(ctx, epoch, nil) }),
		"Due": answer(func(ctx context.Context) ([]lifecycle.Snapshot, error) {
			return s.Due(ctx, lifecycle.DueQuery{Now: epoch})
		}),
		"CommitMembers": answer(func(ctx context.Context) ([]lifecycle.Outcome, error) { return s.CommitMembers(ctx, epoch, nil, nil) }),
		"ClaimMembers": answer(func(ctx context.Context) ([]prewarm.Grant, error) {
			return s.ClaimMembers(ctx, epoch, prewarm.Pick{Pool: memberPool}, nil)
		}),
		"Members of no ids": answer(func(ctx context.Context) ([]prewarm.Member, error) {
			return s.Members(ctx, prewarm.Query{Pool: memberPool, IDs: none})
		}),
		"Members of no resources": answer(func(ctx context.Context) ([]prewarm.Member, error) {
			return s.Members(ctx, prewarm.Query{Pool: memberPool, Resources: none})
		}),
		"Members of no states": answer(func(ctx context.Context) ([]prewarm.Member, error) {
			return s.Members(ctx, prewarm.Query{Pool: memberPool, States: []prewarm.State{}})
		}),
		"SettleEvents":     func(ctx context.Context) (int, error) { return 0, s.SettleEvents(ctx, epoch, nil) },
		"CreateWorkspaces": func(ctx context.Context) (int, error) { return 0, s.CreateWorkspaces(ctx, epoch) },
	}
}

// answer is a call as [faultFixture.callsOfNothing] has it.
func answer[T any](do func(context.Context) ([]T, error)) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) {
		found, err := do(ctx)
		return len(found), err
	}
}
