package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/text"
)

// RetryError is an error after which a job is to be tried again.
type RetryError struct {
	Err   error
	After time.Duration
}

// Retry wraps an error, or nil, so that the job goes back into line instead of failing, and may start again after a
// pause. It is up to the handler to give up at some [queue.Job.Attempt].
func Retry(after time.Duration, err error) error { return &RetryError{Err: err, After: after} }

// Error implements error.
func (e *RetryError) Error() string {
	if e.Err == nil {
		return "to be tried again"
	}
	return e.Err.Error()
}

// Unwrap returns the wrapped error.
func (e *RetryError) Unwrap() error { return e.Err }

// maxReport and maxReportBytes bound one report: what the other side takes, with room for a note and for the cut of a line.
const (
	maxReport      = queue.MaxReportLines - 1
	maxReportBytes = queue.MaxReportBytes - queue.MaxLine
)

// maxPending and maxPendingBytes bound the lines kept while they cannot be sent, and flushAt is how many are sent without
// waiting.
const (
	maxPending      = 10_000
	maxPendingBytes = 4 << 20
	flushAt         = 200
)

// Task is a job in the hands of a [Handler]. Its methods are safe for concurrent use and never wait.
type Task struct {
	// Job as it was claimed.
	Job queue.Job

	mu       sync.Mutex
	progress *queue.Progress
	lines    []queue.Line
	size     int // of the lines, in bytes
	partial  []byte
	dropped  int
	noted    int           // dropped, as the report on its way says in its first line
	full     chan struct{} // room for one; nil while no reports are sent
	// silent sends the reports once there is something to say for the first time; nil: they have begun, or are over.
	silent *reporter
}

// spoke is called when there is something to say. The caller holds the lock.
func (t *Task) spoke() {
	if t.silent != nil {
		t.silent.start()
		t.silent = nil
	}
}

// Progress says how far the work is: a percentage, cut to 0..100, and a word about it.
func (t *Task) Progress(percent int, message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spoke()
	t.progress = &queue.Progress{Percent: min(max(percent, 0), 100), Message: message}
}

// Logf adds a line to the job's log.
func (t *Task) Logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spoke()
	t.add(fmt.Sprintf(format, args...))
}

// Write adds whole lines to the job's log; what follows the last line break waits for more. So a Task can be
// the output of a command.
func (t *Task) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spoke()
	t.partial = append(t.partial, p...)
	for {
		line, rest, found := bytes.Cut(t.partial, []byte("\n"))
		if !found {
			break
		}
		t.add(string(bytes.TrimSuffix(line, []byte("\r"))))
		t.partial = rest
	}
	if len(t.partial) > queue.MaxLine {
		t.add(string(t.partial))
		t.partial = nil
	}
	return len(p), nil
}

// add keeps the newest lines when there are too many. The caller holds the lock.
func (t *Task) add(text string) {
	if len(text) > queue.MaxLine {
		text = queue.CleanText(text, queue.MaxLine) // more of it would not be kept
	}
	t.lines = append(t.lines, queue.Line{Text: text})
	t.size += len(text)
	t.bound()
	if len(t.lines) >= flushAt {
		t.wake()
	}
}

// bound drops the oldest lines while there are too many. The caller holds the lock.
func (t *Task) bound() {
	for len(t.lines) > maxPending || t.size > maxPendingBytes && len(t.lines) > 1 {
		t.size -= len(t.lines[0].Text)
		t.lines = t.lines[1:]
		t.dropped++
	}
}

// take fills a report with as much as it may hold. Last also takes an unfinished line.
func (t *Task) take(r *queue.Report, last bool) (something bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last && len(t.partial) > 0 {
		t.add(string(t.partial))
		t.partial = nil
	}
	r.Progress, t.progress = t.progress, nil
	if t.noted, t.dropped = t.dropped, 0; t.noted > 0 {
		r.Lines = append(r.Lines, queue.Line{Text: text.Count(
			t.noted, "line could not be sent in time and was dropped", "lines could not be sent in time and were dropped")})
	}
	n, size := 0, 0
	for n < len(t.lines) && n < maxReport && size+len(t.lines[n].Text) <= maxReportBytes {
		size += len(t.lines[n].Text)
		n++
	}
	r.Lines = append(r.Lines, t.lines[:n]...)
	t.lines, t.size = t.lines[n:], t.size-size
	if len(t.lines) >= flushAt {
		t.wake()
	}
	return r.Progress != nil || len(r.Lines) > 0
}

// wake asks for a report at once.
func (t *Task) wake() {
	select {
	case t.full <- struct{}{}:
	default:
	}
}

// pending reports whether there is something to say.
func (t *Task) pending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.lines) > 0 || t.progress != nil
}

// putBack takes in again what could not be sent, in front of what came meanwhile.
func (t *Task) putBack(r queue.Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.progress == nil {
		t.progress = r.Progress
	}
	lines := r.Lines
	if note := r.Lines; len(note) > 0 && t.noted > 0 { // it is said anew, with the lines dropped since
		lines, t.dropped = note[1:], t.dropped+t.noted
	}
	t.noted = 0
	for _, line := range lines {
		t.size += len(line.Text)
	}
	t.lines = append(lines, t.lines...)
	t.bound()
}

// stack is that of a panic, without ours above it.
func stack() string { return string(debug.Stack()) }

// reporter sends what a task has to say, and keeps its lease if the source is far away.
type reporter struct {
	*Worker
	task   *Task
	ctx    context.Context // that of the work
	cancel context.CancelCauseFunc
	// reportedAt is when the last report that arrived was begun.
	reportedAt time.Time
	// finished ends the reports, done is closed when they have ended; nil: they have not begun.
	finished, done chan struct{}
}

func (w *Worker) reporter(ctx context.Context, t *Task, cancel context.CancelCauseFunc) reporter {
	return reporter{Worker: w, task: t, ctx: ctx, cancel: cancel, reportedAt: w.cfg.Clock.Now()}
}

// begin makes sure that the job is still ours before the work begins: with a source far away nobody knows how long its
// answer took. It reports until a report has arrived; it is false if the lease is lost, or if none arrives in time.
func (r *reporter) begin() bool {
	if r.cfg.Silence <= 0 {
		return true
	}
	fence := r.fence()
	defer fence.Stop()
	for failures := 0; r.ctx.Err() == nil; failures++ {
		if r.send(queue.Report{Handout: r.task.Job.Handout(), Silence: r.cfg.Silence}) {
			return true
		}
		r.pause(r.ctx, backoff.Doubled(50*time.Millisecond, failures, r.cfg.Silence/3))
	}
	return !errors.Is(context.Cause(r.ctx), queue.ErrLeaseLost)
}

// await starts the reports: at once if they say that the worker lives, otherwise when there is something to say.
func (r *reporter) await() {
	r.task.mu.Lock()
	defer r.task.mu.Unlock()
	if r.cfg.Silence > 0 {
		r.start()
		return
	}
	r.task.silent = r
}

// start lets the reports run. The caller holds the task's lock.
func (r *reporter) start() {
	r.finished, r.done = make(chan struct{}), make(chan struct{})
	r.task.full = make(chan struct{}, 1)
	go func() {
		defer close(r.done)
		r.run()
	}()
}

// finish sends what is left and ends the reports. What is said later is lost.
func (r *reporter) finish() {
	r.task.mu.Lock()
	r.task.silent = nil
	r.task.mu.Unlock()
	if r.done != nil {
		close(r.finished)
		<-r.done
	}
}

// run reports until finished is closed, and then for the last time.
func (r *reporter) run() {
	period := r.cfg.Flush
	if r.cfg.Silence > 0 {
		period = min(period, r.cfg.Silence/3)
	}
	fence := r.fence()
	defer fence.Stop()
	timer := r.cfg.Clock.NewTimer(period, "worker", "report")
	defer timer.Stop()
	full := r.task.full
	for failures := 0; ; {
		select {
		case <-r.finished:
			r.last()
			return
		case <-full:
		case <-timer.C:
		}
		switch r.report(false) {
		case sent:
			fence.Reset(r.left(), "worker", "fence")
			failures, full = 0, r.task.full
		case failed: // however much there is to say
			failures, full = failures+1, nil
		}
		timer.Reset(r.pauseAfter(failures, period), "worker", "report")
	}
}

// pauseAfter is the pause before the next report: longer with each failure, but three fit into the silence agreed.
func (r *reporter) pauseAfter(failures int, period time.Duration) time.Duration {
	if failures == 0 {
		return period
	}
	longest := 30 * period
	if r.cfg.Silence > 0 {
		longest = period
	}
	return backoff.Doubled(period, failures-1, longest)
}

// sending is how it went with a report.
type sending int

const (
	nothing sending = iota // there was nothing to say
	sent
	failed
)

// stopper is a timer that ends the work.
type stopper interface {
	Stop(tags ...string) bool
	Reset(d time.Duration, tags ...string) bool
}

// fence stops the job when no report has arrived for three quarters of the silence agreed: after all of it
// somebody else may have the job.
func (r *reporter) fence() stopper {
	if r.cfg.Silence <= 0 {
		return noFence{}
	}
	return r.cfg.Clock.AfterFunc(r.left(), func() { r.cancel(queue.ErrLeaseLost) }, "worker", "fence")
}

func (r *reporter) left() time.Duration {
	return r.cfg.Silence*3/4 - r.cfg.Clock.Since(r.reportedAt)
}

type noFence struct{}

func (noFence) Stop(...string) bool                 { return true }
func (noFence) Reset(time.Duration, ...string) bool { return true }

// report sends one report if there is something to say, or if silence itself would say too much.
func (r *reporter) report(last bool) sending {
	sign := queue.Report{Handout: r.task.Job.Handout(), Silence: r.cfg.Silence}
	report, outcome := sign, nothing
	if r.cfg.Silence > 0 && r.cfg.Clock.Since(r.reportedAt) >= r.cfg.Silence/3 {
		// By itself: what there is to say may have to wait, and that we live must not.
		if !r.send(sign) {
			return failed
		}
		outcome = sent
	}
	switch {
	case !r.task.take(&report, last):
		return outcome
	case r.send(report):
		return sent
	case outcome == sent:
		return sent // that we live was heard; what could not be said comes again
	}
	return failed
}

// send sends one report and says whether it arrived.
func (r *reporter) send(report queue.Report) bool {
	begun := r.cfg.Clock.Now()
	ctx, cancel := r.bound()
	defer cancel()
	canceled, err := r.source.Renew(ctx, report)
	switch {
	case errors.Is(err, queue.ErrLeaseLost):
		r.cancel(queue.ErrLeaseLost)
		return false
	case errors.Is(err, queue.ErrTimeout): // it has arrived all the same
		r.cancel(queue.ErrTimeout)
	case err != nil:
		r.task.putBack(report)
		r.cfg.Logger.Warn("report not sent", "job_id", report.Lease.Job, "error", err)
		return false
	}
	if canceled {
		r.cancel(queue.ErrJobCanceled)
	}
	r.reportedAt = begun
	return true
}

// bound keeps a report that hangs from holding up the next, also after the job's own context has ended.
func (r *reporter) bound() (context.Context, context.CancelFunc) {
	limit := 10 * time.Second
	if r.cfg.Silence > 0 {
		limit = min(limit, r.cfg.Silence/3)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	guard := r.cfg.Clock.AfterFunc(limit, cancel, "worker", "report limit")
	return ctx, func() {
		guard.Stop()
		cancel()
	}
}

// last sends what is left. What cannot be sent now is lost; the worker logs that.
func (r *reporter) last() {
	if errors.Is(context.Cause(r.ctx), queue.ErrLeaseLost) {
		return
	}
	for range maxPending/maxReport + 2 { // as many as there may be at most
		if r.report(true) != sent || !r.task.pending() {
			return
		}
	}
}
