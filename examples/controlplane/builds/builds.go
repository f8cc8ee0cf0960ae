// Package builds finds the workspaces whose builds jobs of the queue are, so that people read a name where a job has an id. It asks for
// a page of jobs together, and reads no payload.
package builds

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

const (
	// apart is how much later than its build a job may be written.
	apart = time.Minute
	// pageSize and mostPages bound what is read for jobs that are few among many builds, such as those that failed in a year.
	pageSize, mostPages = 1000, 5
)

// Lister lists builds, as every store does.
type Lister interface {
	FleetBuilds(ctx context.Context, q lifecycle.BuildQuery) ([]lifecycle.FleetBuild, error)
}

// Of returns the builds that jobs are, by the id that both have. Jobs that are no builds are not in it, and neither is a build that is
// not kept any more or is further back than some thousands of others.
func Of(ctx context.Context, l Lister, organization uuid.UUID, jobs []queue.Job) (map[uuid.UUID]lifecycle.FleetBuild, error) {
	wanted := make(map[uuid.UUID]bool)
	q := lifecycle.BuildQuery{Organizations: []uuid.UUID{organization}, BeforeID: uuid.Max, Limit: pageSize}
	for _, j := range jobs {
		if j.Type != lifecycle.JobType {
			continue
		}
		wanted[j.ID] = true
		if before := j.CreatedAt.Add(apart); before.After(q.Before) {
			q.Before = before
		}
		if since := j.CreatedAt.Add(-apart); q.Since.IsZero() || since.Before(q.Since) {
			q.Since = since
		}
	}
	found := make(map[uuid.UUID]lifecycle.FleetBuild, len(wanted))
	for page := 0; len(found) < len(wanted) && page < mostPages; page++ {
		list, err := l.FleetBuilds(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("whose builds jobs are: %w", err)
		}
		for _, b := range list {
			if wanted[b.ID] {
				found[b.ID] = b
			}
		}
		if len(list) < q.Limit {
			break
		}
		q = q.Following(&list[len(list)-1].Build)
	}
	return found, nil
}
