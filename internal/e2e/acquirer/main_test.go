// Package acquirer_test drives the job hand-off through random histories in which everything goes wrong that
// can, on a clock that stands still while anybody has something to do.
package acquirer_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/acquirertest"
	"github.com/dormouse-go/dormouse/acquirer/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process is one acquirer that runs.
type process struct {
	*acquirer.Acquirer
	store *acquirertest.Store // its own connection
	stop  func()
	calls sync.WaitGroup // of the model, under way
}

// start runs an acquirer on a store it shares with others, over a connection of its own.
func start(ctx context.Context, inner queue.Store, bus queue.Pubsub, cfg acquirer.Config) (*process, error) {
	store := acquirertest.Wrap(inner)
	a, err := acquirer.New(store, bus, cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = a.Run(ctx)
	}()
	return &process{Acquirer: a, store: store, stop: sync.OnceFunc(func() { cancel(); <-done })}, nil
}

// source is what a worker asks: a process, or what it lets workers elsewhere ask.
type source interface {
	AcquireJob(ctx context.Context, r queue.Request) (queue.Job, error)
	Renew(ctx context.Context, r queue.Report) (canceled bool, err error)
	End(ctx context.Context, e queue.End) (queue.Job, error)
}

// worker waits for one job.
type worker struct {
	request queue.Request
	// remote: it lives elsewhere, and is who the process says.
	remote bool
	cancel context.CancelFunc

	mu   sync.Mutex
	over bool
	job  queue.Job
	err  error
}

// of is how the worker sees a process.
func (w *worker) of(p *process) source {
	if w.remote {
		return p.Remote(acquirer.Identity{Organization: w.request.Organization, Worker: w.request.Worker})
	}
	return p
}

func (p *process) join(ctx context.Context, r queue.Request, group *sync.WaitGroup) *worker {
	w := &worker{request: r}
	w.wait(ctx, p, group)
	return w
}

func (w *worker) wait(ctx context.Context, p *process, group *sync.WaitGroup) {
	ctx, w.cancel = context.WithCancel(ctx)
	group.Go(func() {
		job, err := w.of(p).AcquireJob(ctx, w.request)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.over, w.job, w.err = true, job, err
	})
}

func (w *worker) state() (over, got bool, job queue.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over, w.over && w.err == nil, w.job
}

// runs reports whether the worker could run a job.
func (w *worker) runs(j queue.Job) bool {
	d, err := queue.NewDomain(w.request.Organization, w.request.Types, w.request.Tags)
	return err == nil && d.Runs(j.Lane())
}

// lately is how old a state must be to be one that nothing is about to change: a job may turn ready, and be claimed, in
// the very moment in which somebody looks.
const lately = time.Second

// ready are the jobs among ids that could be claimed for a while.
func ready(store queue.Store, ids []uuid.UUID) []queue.Job {
	jobs, _ := store.Jobs(context.Background(), queue.Filter{IDs: ids})
	var list []queue.Job
	for _, j := range jobs {
		if j.State == queue.Pending && time.Since(j.ReadyAt) > lately {
			list = append(list, j)
		}
	}
	return list
}
