package buildjobs

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Announcer wakes waiting workers. An *acquirer.Acquirer is one.
type Announcer interface {
	Announce(jobs ...queue.Job)
}

// Announce returns the function for executor.Config.Queued: workers that wait are woken as soon as the commit is done,
// instead of by the acquirer's next look.
func Announce(a Announcer) func([]lifecycle.Job) {
	return func(builds []lifecycle.Job) {
		jobs := make([]queue.Job, 0, len(builds))
		for _, b := range builds {
			// A job that the store took has a valid header; its order number is not known here, and 0 is below all.
			if j, err := HeaderOf(b).Job(b.CreatedAt); err == nil {
				jobs = append(jobs, j)
			}
		}
		a.Announce(jobs...)
	}
}

// Canceler cancels jobs. An *acquirer.Acquirer is one.
type Canceler interface {
	Cancel(ctx context.Context, reason string, ids ...uuid.UUID) ([]queue.Job, error)
}

// Cancel asks for the latest build of a workspace to be canceled: one that nobody has begun ends at once, one that runs
// when its worker has stopped. The error is that of [lifecycle.CancelBuild], or of the queue; it may be called again.
func Cancel(ctx context.Context, u Updater, c Canceler, workspace uuid.UUID, buildNumber int64, reason string) error {
	s, err := u.Update(ctx, workspace, lifecycle.CancelBuild(buildNumber))
	if err != nil {
		return err
	}
	if _, err := c.Cancel(ctx, reason, s.Build.ID); err != nil {
		return fmt.Errorf("cancel the job of build %d: %w", buildNumber, err)
	}
	return nil
}
