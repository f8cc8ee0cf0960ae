package dormouse

import (
	"cmp"
	"context"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// Remote is the plane as one worker of another process may use it; see [Plane.Remote].
type Remote struct {
	p      *Plane
	remote acquirer.Remote
}

var _ worker.Source = Remote{}

// Remote returns the plane as a worker of another process may use it, with the method set of worker.Source: an HTTP layer
// authenticates the worker, looks its identity up and passes on what it has decoded. It is [acquirer.Acquirer.Remote] for the
// plane's own organization, and writes to the workspace of a build that it began and how it ended. It costs nothing and may be
// made for each request.
//
// The worker reads what to build with buildjobs.BuildOf. A restart reaches it as the start of a workspace that may run.
func (p *Plane) Remote(id acquirer.Identity) Remote {
	id.Organization = p.cfg.Organization
	return Remote{p, p.acquirer.Remote(id)}
}

// AcquireJob is that of [acquirer.Remote]. A build that is over already is not handed out: its job ends quietly.
func (r Remote) AcquireJob(ctx context.Context, request queue.Request) (queue.Job, error) {
	for {
		j, err := r.remote.AcquireJob(ctx, request)
		if err != nil || j.Type != lifecycle.JobType {
			return j, err
		}
		over, err := buildjobs.Begin(ctx, r.p.executor, j)
		if err == nil && !over {
			return j, nil
		}
		end := queue.End{Handout: j.Handout(), Outcome: queue.OutcomeSucceeded}
		if err != nil { // nobody has it yet: it waits for the next worker
			end.Outcome = queue.OutcomeReleased
		}
		if _, failed := r.remote.End(context.WithoutCancel(ctx), end); failed != nil || err != nil {
			return queue.Job{}, cmp.Or(err, failed)
		}
	}
}

// Renew is that of [acquirer.Remote].
func (r Remote) Renew(ctx context.Context, report queue.Report) (canceled bool, err error) {
	return r.remote.Renew(ctx, report)
}

// End is that of [acquirer.Remote]. The handout is proven there, so the queue knows the end of a build before its workspace does;
// an error says that the workspace does not know it yet, and the worker asks again. If it never does, a sweep writes it.
func (r Remote) End(ctx context.Context, e queue.End) (queue.Job, error) {
	j, err := r.remote.End(ctx, e)
	if err != nil || j.Type != lifecycle.JobType || !j.State.Final() {
		return j, err
	}
	whole := j
	if len(j.Payload) == 0 { // an end that is repeated is answered with an outline
		if whole, err = r.p.jobs().Job(ctx, j.ID); err != nil {
			return queue.Job{}, err
		}
	}
	err = buildjobs.Settle(ctx, r.p.executor, whole)
	r.p.pools.changed()
	return j, err
}
