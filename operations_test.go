package dormouse_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// The job of a build that is over is not begun again behind the workspace's back.
func TestNoRetryOfABuildThatIsOver(t *testing.T) {
	bubble(t, func(c *dormouse.Config) {
		c.Build = func(context.Context, *dormouse.Build) error { return errors.New("disk is full") }
	}, func(f *fixture) {
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Minute)
		stored, err := f.store.Load(f.t.Context(), w.ID)
		f.must(err)
		page, err := f.Acquirer().List(f.t.Context(), queue.JobQuery{Organization: stored[0].Workspace.OrganizationID, States: []queue.State{queue.Failed}})
		f.must(err)
		if len(page.Jobs) != 1 {
			t.Fatalf("%d jobs have failed", len(page.Jobs))
		}
		changed, err := f.Acquirer().Retry(f.t.Context(), "ann", "", page.Jobs[0].ID)
		if !errors.Is(err, lifecycle.ErrStaleBuild) || len(changed) != 0 {
			t.Errorf("%d jobs changed, %v", len(changed), err)
		}
	})
}
