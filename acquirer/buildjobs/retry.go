package buildjobs

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Loader reads workspaces by id, as [lifecycle.Store] does.
type Loader interface {
	Load(ctx context.Context, ids ...uuid.UUID) ([]lifecycle.Snapshot, error)
}

// MayRetry returns the function for acquirer.Config.Retry: the job of a build may be retried by hand as long as its build is
// the latest of its workspace and active. A build that is over is not begun again by its job; ask for a new one. The error
// wraps [lifecycle.ErrStaleBuild] then, or is the store's. Jobs of other types may be retried.
func MayRetry(workspaces Loader) func(ctx context.Context, job queue.Job) error {
	return func(ctx context.Context, job queue.Job) error {
		if job.Type != lifecycle.JobType {
			return nil
		}
		b, err := BuildOf(job)
		if err != nil {
			return err
		}
		found, err := workspaces.Load(ctx, b.WorkspaceID)
		if err != nil {
			return fmt.Errorf("load workspace %s: %w", b.WorkspaceID, err)
		}
		for _, s := range found {
			if s.Build.ID == job.ID && s.Build.Status.Active() {
				return nil
			}
		}
		return fmt.Errorf("build %d is over: %w", b.BuildNumber, lifecycle.ErrStaleBuild)
	}
}
