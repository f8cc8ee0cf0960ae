package buildjobs_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/memory"
)

// The job of a build that is over is not retried: the host asks for a new build. One whose build is active is.
func TestRetryOfABuildsJob(t *testing.T) {
	var store *memory.Store
	cfg := acquirer.Config{Retry: func(ctx context.Context, job queue.Job) error { return buildjobs.MayRetry(store)(ctx, job) }}
	run(t, nil, cfg, func(p *plane) {
		store = p.store
		p.start()
		job := p.job()
		active := job
		active.State = queue.Failed // as it is when a handler's end has reached the queue and not the workspace
		p.must(buildjobs.MayRetry(store)(p.ctx, active))
		p.must(buildjobs.MayRetry(store)(p.ctx, queue.Job{Type: "other"}))
		_, err := p.engine.Update(p.ctx, p.ws, lifecycle.JobEnded(lifecycle.JobResult{BuildID: p.build().ID, Status: lifecycle.JobFailed}))
		p.must(err)
		_, err = p.queue.Cancel(p.ctx, "over", job.ID)
		p.must(err)
		changed, err := p.queue.Retry(p.ctx, "ann", "again", job.ID)
		if !errors.Is(err, lifecycle.ErrStaleBuild) || len(changed) != 0 {
			t.Errorf("the job of a build that is over: %d changed, %v", len(changed), err)
		}
	})
}

// A build whose run reaches its limit has failed, for that reason.
func TestBuildReachesItsLimit(t *testing.T) {
	build := func(ctx context.Context, _ *worker.Task, _ lifecycle.Job) error {
		<-ctx.Done()
		return errors.New("half done")
	}
	run(t, build, acquirer.Config{RunLimits: map[string]time.Duration{lifecycle.JobType: time.Minute}}, func(p *plane) {
		p.start()
		time.Sleep(2 * time.Minute)
		p.want(lifecycle.JobFailed, queue.Failed)
		if j := p.job(); !strings.Contains(j.Error, "longer than its limit") {
			t.Errorf("the job is %s: %q", j.State, j.Error)
		}
	})
}

var _ buildjobs.Loader = (*memory.Store)(nil)
