package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/invalid"
)

// ErrDraining is the cause of a job's context when its [Worker] stops and has waited long enough.
var ErrDraining = errors.New("worker is stopping")

// Source is where a [Worker] gets its jobs: an [Acquirer], or a client that speaks to one over a network. Its
// errors are the acquirer's: [queue.ErrLeaseLost], [queue.ErrStopped] and [invalid.Err] are told apart, all others are
// taken for bad moments.
type Source interface {
	AcquireJob(ctx context.Context, r queue.Request) (queue.Job, error)
	Renew(ctx context.Context, r queue.Report) (canceled bool, err error)
	End(ctx context.Context, e queue.End) (queue.Job, error)
}

// watching is what an acquirer can do beyond [Source]: tell at once that a lease is lost.
type watching interface {
	Watch(ctx context.Context, lease queue.Lease) (context.Context, context.CancelFunc)
}

// Handler does the work of one job. Its result is stored with the job.
//
// The context ends with the cause [queue.ErrLeaseLost] when the job is not ours any more, [queue.ErrJobCanceled] when
// somebody asked for its cancellation, or [ErrDraining] when the worker must stop; return soon then, whatever
// with. An error fails the job, unless it is of [Retry]; a panic fails it too.
type Handler func(ctx context.Context, t *Task) (result []byte, err error)

// Config tunes a [Worker]. A type is required; all else has a usable zero value.
type Config struct {
	Organization uuid.UUID
	// ID of the worker. Defaults to a new one.
	ID uuid.UUID
	// Types of job that it runs, and its tags; see [queue.Compare].
	Types []string
	Tags  map[string]string
	// Slots is how many jobs run at once. Defaults to 1.
	Slots int
	// Silence is needed when the source is in another process: the worker reports three times in it, and when
	// it cannot, it stops the job before its end. Defaults to none: the worker lives and dies with the acquirer.
	Silence time.Duration
	// Flush is how often progress and log lines are sent. Defaults to 1 second.
	Flush time.Duration
	// Drain is how long jobs may go on when Run's context has ended. After that their contexts end and the jobs
	// go back into line. Defaults to 1 minute.
	Drain time.Duration
	// Deliver bounds the attempts to report a job's end. Defaults to 1 minute.
	Deliver time.Duration

	// Clock defaults to the real one.
	Clock quartz.Clock
	// Logger defaults to a discarding one.
	Logger *slog.Logger
}

// Worker runs jobs: it waits for them, keeps their leases, sends what they report and ends them.
type Worker struct {
	source  Source
	handler Handler
	cfg     Config
	request queue.Request
}

// New returns a worker. Nothing is started; that is [Worker.Run]'s.
func New(source Source, handler Handler, cfg Config) (*Worker, error) {
	switch {
	case source == nil:
		return nil, invalid.New("source", "nil", "a worker needs a source of jobs")
	case handler == nil:
		return nil, invalid.New("handler", "nil", "a worker needs a handler")
	}
	if _, err := queue.NewDomain(cfg.Organization, cfg.Types, cfg.Tags); err != nil {
		return nil, err
	}
	cfg.ID = cmp.Or(cfg.ID, uuid.New())
	cfg.Slots = cmp.Or(cfg.Slots, 1)
	cfg.Flush = cmp.Or(cfg.Flush, time.Second)
	cfg.Drain = cmp.Or(cfg.Drain, time.Minute)
	cfg.Deliver = cmp.Or(cfg.Deliver, time.Minute)
	if cfg.Clock == nil {
		cfg.Clock = quartz.NewReal()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	for name, d := range map[string]time.Duration{
		"silence": cfg.Silence, "flush": cfg.Flush, "drain": cfg.Drain, "deliver": cfg.Deliver, "slots": time.Duration(cfg.Slots),
	} {
		if d < 0 {
			return nil, invalid.New("worker."+name, int64(d), "must not be negative")
		}
	}
	return &Worker{source: source, handler: handler, cfg: cfg, request: queue.Request{
		Organization: cfg.Organization, Worker: cfg.ID, Types: cfg.Types, Tags: cfg.Tags, Silence: cfg.Silence,
	}}, nil
}

// Run runs jobs until ctx ends, and then drains: it takes no new ones, gives those that run [Config.Drain]
// to end by themselves, and returns when all have. It returns ctx's error, or earlier the source's if that has
// stopped for good. A handler that does not heed its context holds up the return.
func (w *Worker) Run(ctx context.Context) error {
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	group, ctx := errgroup.WithContext(ctx)
	for range w.cfg.Slots {
		group.Go(func() error { return w.slot(ctx, work) })
	}
	<-ctx.Done()
	guard := w.cfg.Clock.AfterFunc(w.cfg.Drain, func() { stop(ErrDraining) }, "worker", "drain")
	defer guard.Stop()
	return group.Wait()
}

// slot runs one job after the other.
func (w *Worker) slot(ctx, work context.Context) error {
	for failures := 0; ; {
		job, err := w.source.AcquireJob(ctx, w.request)
		switch {
		case err == nil && ctx.Err() != nil: // won in the last moment
			w.end(work, queue.End{Lease: job.Lease(), Outcome: queue.OutcomeReleased})
			return ctx.Err()
		case err == nil:
			failures = 0
			w.work(work, job)
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, queue.ErrStopped) || errors.Is(err, invalid.Err):
			return err
		default:
			w.cfg.Logger.Warn("worker got no job", "worker_id", w.cfg.ID, "error", err)
			w.pause(ctx, backoff.Doubled(100*time.Millisecond, failures, 10*time.Second))
			failures++
		}
	}
}

func (w *Worker) pause(ctx context.Context, d time.Duration) {
	timer := w.cfg.Clock.NewTimer(d, "worker", "pause")
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// work runs one job from its claim to its end.
func (w *Worker) work(work context.Context, job queue.Job) {
	ctx, cancel := context.WithCancelCause(work)
	defer cancel(nil)
	if source, ok := w.source.(watching); ok {
		watched, stop := source.Watch(ctx, job.Lease())
		defer stop()
		ctx = watched
	}
	t := newTask(job)
	reports := w.reporter(t, cancel)
	reporting := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(reporting)
		reports.run(ctx, finished)
	}()
	result, err := w.call(ctx, t)
	cause := context.Cause(ctx)
	close(finished)
	<-reporting
	if errors.Is(cause, queue.ErrLeaseLost) {
		w.cfg.Logger.Warn("job lost while it ran", "job_id", job.ID, "job_kind", job.Type, "attempt", job.Attempt)
		return
	}
	w.end(work, outcome(job.Lease(), result, err, cause))
}

// call runs the handler in a goroutine of its own, so that not even its Goexit takes the slot along.
func (w *Worker) call(ctx context.Context, t *Task) (result []byte, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = errors.New("handler ended without returning")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
				w.cfg.Logger.Error("job panicked", "job_id", t.Job.ID, "job_kind", t.Job.Type, "panic", p, "stack", stack())
			}
		}()
		result, err = w.handler(ctx, t)
	}()
	<-done
	return result, err
}

// outcome is how a handler's return ends the attempt.
func outcome(lease queue.Lease, result []byte, err, cause error) queue.End {
	end := queue.End{Lease: lease, Outcome: queue.OutcomeSucceeded, Result: result}
	var retry *RetryError
	switch {
	case err == nil:
		return end
	case errors.Is(cause, queue.ErrJobCanceled):
		end.Outcome = queue.OutcomeCanceled
	case errors.As(err, &retry):
		end.Outcome, end.Delay = queue.OutcomeRequeued, max(0, retry.After)
	case errors.Is(cause, ErrDraining) || errors.Is(cause, queue.ErrStopped):
		end.Outcome, err = queue.OutcomeRequeued, cause
	default:
		end.Outcome = queue.OutcomeFailed
	}
	end.Error = err.Error()
	return end
}

// end reports the end of a job. It does not stop when the worker does: an unreported end is work done twice.
func (w *Worker) end(work context.Context, e queue.End) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(work))
	defer cancel(nil)
	guard := w.cfg.Clock.AfterFunc(w.cfg.Deliver, func() { cancel(context.DeadlineExceeded) }, "worker", "deliver")
	defer guard.Stop()
	for failures := 0; ; failures++ {
		_, err := w.source.End(ctx, e)
		switch {
		case err == nil:
			return
		case queue.IsAnswer(err) || ctx.Err() != nil:
			w.cfg.Logger.Warn("job's end not reported", "job_id", e.Lease.Job, "outcome", e.Outcome, "error", err)
			return
		}
		w.pause(ctx, backoff.Doubled(100*time.Millisecond, failures, 5*time.Second))
	}
}
