package worker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/invalid"
)

var (
	// ErrDraining is the cause of a job's context when its [Worker] stops and has waited long enough.
	ErrDraining = errors.New("worker: stopping")

	// errNoReturn is the error of a handler that ended its goroutine.
	errNoReturn = errors.New("handler ended without returning")

	// ErrAlreadyRun says that [Worker.Run] was called before: a worker runs once.
	ErrAlreadyRun = errors.New("worker: Run was called before")
)

// Source is where a [Worker] gets its jobs: an acquirer in the same process, or a client that speaks to one over a
// network. Its errors carry meaning, so a client has to carry them too: [queue.ErrLeaseLost] ends the work on a job, as the
// error of a report [queue.ErrTimeout] does when the report has arrived,
// [queue.ErrStopped] and [invalid.Err] end the worker. Every other error is passing, and the worker tries again after a
// growing pause.
type Source interface {
	// AcquireJob waits until a job is the worker's own.
	AcquireJob(ctx context.Context, r queue.Request) (queue.Job, error)
	// Renew takes a report and says whether somebody asked for the job's cancellation.
	Renew(ctx context.Context, r queue.Report) (canceled bool, err error)
	// End ends an attempt. It may be repeated.
	End(ctx context.Context, e queue.End) (queue.Job, error)
}

// watcher is what a source in the same process can do beyond [Source]: end a context at once when a lease is lost.
type watcher interface {
	Watch(ctx context.Context, lease queue.Lease) (context.Context, context.CancelFunc)
}

// Handler does the work of one job. Its result is stored with the job.
//
// The context ends with the cause [queue.ErrLeaseLost] when the job is no longer ours, [queue.ErrJobCanceled] when
// somebody asked for its cancellation, [queue.ErrTimeout] when the run has reached its limit, or [ErrDraining] when the worker must stop. Return soon then; it does not matter
// what. An error fails the job, unless it comes from [Retry]; a panic fails it too.
type Handler func(ctx context.Context, t *Task) (result []byte, err error)

// Worker runs jobs: it waits for them, keeps their leases, sends what they report and ends them.
type Worker struct {
	source  Source
	handler Handler
	cfg     Config
	request queue.Request
	started atomic.Bool
}

// New returns a worker. It starts nothing; [Worker.Run] does.
func New(source Source, handler Handler, cfg Config) (*Worker, error) {
	switch {
	case source == nil:
		return nil, invalid.New("source", nil, "must not be nil")
	case handler == nil:
		return nil, invalid.New("handler", nil, "must not be nil")
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Worker{source: source, handler: handler, cfg: cfg, request: cfg.request()}, nil
}

// Run runs jobs until ctx ends, and then drains: it takes no new ones, gives those that run [Config.Drain]
// to end by themselves, and returns nil when all have and their ends are stored. If the source ends for good before ctx does, Run drains too and
// returns the source's error: [queue.ErrStopped], or a [*invalid.Error]. A handler that ignores its context holds up the
// return. Run may be called once; after that it returns [ErrAlreadyRun].
func (w *Worker) Run(ctx context.Context) error {
	if w.started.Swap(true) {
		return ErrAlreadyRun
	}
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	s := newSlots(w, ctx, work, leave)
	for range w.cfg.Slots {
		s.begin()
	}
	<-ctx.Done()
	guard := w.cfg.Clock.AfterFunc(w.cfg.Drain, func() { stop(ErrDraining) }, "worker", "drain")
	defer guard.Stop()
	return s.wait()
}

func (w *Worker) pause(ctx context.Context, d time.Duration) {
	timer := w.cfg.Clock.NewTimer(d, "worker", "pause")
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// work runs one job from its claim to its end, which it passes on.
func (w *Worker) work(running context.Context, job queue.Job, ended func(queue.End)) {
	var it struct { // one object: a short job costs little more than its memory
		task    Task
		reports reporter
	}
	t, reports := &it.task, &it.reports
	t.Job = job
	ctx, cancel, stop := w.watch(running, job.Lease())
	defer stop()
	if *reports = w.reporter(ctx, t, cancel); !reports.begin() {
		w.cfg.Logger.Warn("job lost before it began", "job_id", job.ID, "job_kind", job.Type, "attempt", job.Attempt)
		return
	}
	reports.await()
	result, err := []byte(nil), errNoReturn
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
			w.cfg.Logger.Error("job panicked", "job_id", job.ID, "job_kind", job.Type, "panic", p, "stack", stack())
		}
		cause := context.Cause(ctx)
		reports.finish()
		if errors.Is(cause, queue.ErrLeaseLost) {
			w.cfg.Logger.Warn("job lost while it ran", "job_id", job.ID, "job_kind", job.Type, "attempt", job.Attempt)
			return
		}
		ended(outcome(job.Handout(), result, err, cause))
	}()
	result, err = w.handler(ctx, t)
}

// watch returns a context for the work on a job. A source in the same process ends it by itself; what reports hear of a source far
// away ends it through cancel.
func (w *Worker) watch(work context.Context, lease queue.Lease) (ctx context.Context, cancel context.CancelCauseFunc, stop func()) {
	source, ok := w.source.(watcher)
	if ok && w.cfg.Silence <= 0 {
		ctx, stop := source.Watch(work, lease)
		return ctx, func(error) {}, stop
	}
	ctx, cancel = context.WithCancelCause(work)
	if !ok {
		return ctx, cancel, func() { cancel(nil) }
	}
	watched, end := source.Watch(ctx, lease)
	return watched, cancel, func() {
		end()
		cancel(nil)
	}
}

// outcome is how a handler's return ends the attempt. The error is the host's code too: its methods may panic.
func outcome(right queue.Handout, result []byte, err, cause error) (end queue.End) {
	defer func() {
		if p := recover(); p != nil {
			end = queue.End{Handout: right, Outcome: queue.OutcomeFailed, Error: fmt.Sprintf("the error's own method panicked: %v", p)}
		}
	}()
	end = queue.End{Handout: right, Outcome: queue.OutcomeSucceeded, Result: result}
	if err == nil {
		return end
	}
	var retry *RetryError
	switch {
	case errors.Is(cause, queue.ErrJobCanceled):
		end.Outcome = queue.OutcomeCanceled
	case errors.As(err, &retry):
		end.Outcome, end.Delay = queue.OutcomeRequeued, max(0, retry.After)
	case errors.Is(cause, queue.ErrTimeout):
		end.Outcome, err = queue.OutcomeFailed, fmt.Errorf("%w: %w", cause, err)
	case errors.Is(cause, ErrDraining) || errors.Is(cause, queue.ErrStopped):
		end.Outcome, err = queue.OutcomeRequeued, cause
	default:
		end.Outcome = queue.OutcomeFailed
	}
	end.Error = err.Error()
	return end
}

// deliverUntil is until when an end is reported that is there now.
func (w *Worker) deliverUntil() time.Time {
	return w.cfg.Clock.Now().Add(w.cfg.Deliver)
}

// delivering is a context for reporting ends, which does not end when the worker stops, but when its timer fires at a time.
func (w *Worker) delivering(work context.Context, until time.Time) (context.Context, context.CancelCauseFunc, *quartz.Timer) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(work))
	return ctx, cancel, w.cfg.Clock.AfterFunc(w.cfg.Clock.Until(until), func() { cancel(context.DeadlineExceeded) }, "worker", "deliver")
}

// end reports the end of a job, until a time. It does not stop when the worker does: an unreported end is work done twice. An end that
// breaks a rule can never be accepted; the job fails then, and the error names the rule.
func (w *Worker) end(work context.Context, e queue.End, until time.Time) {
	ctx, cancel, guard := w.delivering(work, until)
	defer cancel(nil)
	defer guard.Stop()
	for failures := 0; ; failures++ {
		_, err := w.source.End(ctx, e)
		switch {
		case err == nil:
			return
		case errors.Is(err, invalid.Err) && e.Outcome != queue.OutcomeFailed:
			e = queue.End{Handout: e.Handout, Outcome: queue.OutcomeFailed, Error: err.Error()}
			continue
		case queue.IsAnswer(err) || ctx.Err() != nil:
			w.cfg.Logger.Warn("job's end not reported", "job_id", e.Lease.Job, "outcome", e.Outcome, "error", err)
			return
		}
		w.pause(ctx, backoff.Doubled(100*time.Millisecond, failures, 5*time.Second))
	}
}
