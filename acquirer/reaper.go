package acquirer

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/google/uuid"
)

// graves is the work of the reaper: processes to bury and jobs whose worker went silent. It is done in a
// goroutine of its own, since a [LostPolicy] may take its time.
type graves struct {
	processes []queue.Process
	silent    []queue.Job
	strays    bool
	filled    chan struct{} // room for one
}

func (g *graves) add(processes []queue.Process) {
	if len(processes) == 0 {
		return
	}
	g.processes = processes // what was there is in the new list too, unless it is done
	g.signal()
}

func (g *graves) signal() {
	select {
	case g.filled <- struct{}{}:
	default:
	}
}

// reapLoop decides about jobs whose workers were lost.
func (a *Acquirer) reapLoop(ctx, _ context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.graves.filled:
		}
		a.mu.Lock()
		processes, silent, strays := a.graves.processes, a.graves.silent, a.graves.strays
		a.graves.processes, a.graves.silent, a.graves.strays = nil, nil, false
		a.mu.Unlock()
		if len(silent) > 0 {
			a.reap(ctx, silent, "worker went silent")
		}
		for _, p := range processes {
			a.buryProcess(ctx, p)
		}
		if strays {
			a.settleStrays(ctx)
		}
	}
}

func (a *Acquirer) bury(ctx context.Context, process uuid.UUID, beats int64, limit int) (jobs []queue.Job, err error) {
	err = a.call(ctx, "bury", func(ctx context.Context) error {
		jobs, err = a.store.Reap(ctx, queue.ReapRequest{Now: a.now(), Process: process, Heartbeats: beats, Limit: limit})
		return err
	})
	return jobs, err
}

// buryProcess declares a process lost and decides about all its jobs. If it is interrupted, the next pulse
// begins again with what is left.
func (a *Acquirer) buryProcess(ctx context.Context, p queue.Process) {
	for announced := p.Lost; ; announced = true {
		jobs, err := a.bury(ctx, p.ID, p.Heartbeats, a.cfg.Batch)
		if err != nil {
			a.cfg.Logger.Warn("process not buried", "process", p.ID, "error", err)
			return
		}
		if !announced {
			a.announceLoss(ctx, p)
		}
		if len(jobs) == 0 || !a.reap(ctx, jobs, fmt.Sprintf("process %q was lost", p.Name)) {
			return
		}
	}
}

// announceLoss says that a process was lost, if it really was: it may have beaten in the last moment.
func (a *Acquirer) announceLoss(_ context.Context, p queue.Process) {
	a.cfg.Logger.Warn("process was silent for the length of a lease", "process", p.ID, "name", p.Name, "jobs", p.Holding)
	a.emit(queue.Event{
		Kind: queue.EventProcessLost, At: a.now(), Process: p.ID, Jobs: p.Holding,
		Reason: fmt.Sprintf("process %q was silent for %s", p.Name, a.cfg.Lease),
	})
}

// reap lets the policies decide about lost jobs and writes what they decided. It reports whether all are
// dealt with.
func (a *Acquirer) reap(ctx context.Context, jobs []queue.Job, reason string) bool {
	ends := make([]queue.End, 0, len(jobs))
	for _, job := range jobs {
		verdict, err := a.judge(ctx, job)
		if err != nil {
			a.cfg.Logger.Warn("no decision about a lost job", "job_id", job.ID, "job_kind", job.Type, "error", err)
			continue
		}
		end := queue.End{Lease: job.Lease(), Outcome: verdict.Outcome, Process: job.Process, Error: verdict.Error}
		if end.Error == "" {
			end.Error = reason
		}
		if verdict.Delay > 0 {
			end.ReadyAt = a.now().Add(verdict.Delay)
		}
		ends = append(ends, end)
	}
	answers, err := a.storeEndsIn(ctx, ends)
	if err != nil {
		a.cfg.Logger.Warn("lost jobs not ended", "jobs", len(ends), "error", err)
		return false
	}
	for _, answer := range answers {
		if answer.Err == nil && !answer.Again {
			a.reaped(answer.Job, reason)
		}
	}
	return len(ends) == len(jobs)
}

// judge asks the policy; one that panics has made no decision.
func (a *Acquirer) judge(ctx context.Context, job queue.Job) (v Verdict, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("policy panicked: %v", p)
		}
	}()
	policy := a.cfg.Lost[job.Type]
	if policy == nil {
		policy = a.cfg.Lost[""]
	}
	if v, err = policy(ctx, job); err == nil {
		err = v.check()
	}
	return v, err
}

func (a *Acquirer) reaped(job queue.Job, reason string) {
	a.metrics.reaped("heartbeat_lost")
	if job.State.Final() {
		a.metrics.finished(job)
	}
	a.cfg.Logger.Warn("job of a lost worker", "job_id", job.ID, "job_kind", job.Type, "attempt", job.Attempt, "now", job.State)
	a.emit(queue.Event{Kind: queue.EventReaped, At: a.now(), Lane: job.Lane(), Job: job, Process: job.Process, Reason: reason})
	a.afterEnd(job)
}

// listenFor sees to it that a worker's silence is noticed. The caller holds the lock.
func (a *Acquirer) listenFor(h *held) {
	if h.silence <= 0 {
		return
	}
	a.agenda.after(a.clock.Until(h.heardAt.Add(h.silence)), func() { a.checkSilence(h) })
}

func (a *Acquirer) checkSilence(h *held) {
	a.mu.Lock()
	defer a.mu.Unlock()
	lease := h.job.Lease()
	if a.held[lease] != h || a.state == ended {
		return
	}
	if a.clock.Since(h.heardAt) < h.silence {
		a.listenFor(h)
		return
	}
	a.drop(lease, queue.ErrLeaseLost)
	job := h.job
	job.Process = a.process
	a.graves.silent = append(a.graves.silent, job)
	a.graves.signal()
}

// compareEvery is after how many pulses what we hold is compared lease by lease, whatever the numbers say.
const compareEvery = 6

// compareHoldings looks for jobs that the store says we hold and we know nothing of: a claim whose answer was
// lost may have been carried out after we had asked for it. Their number shows most of them soon, but not one
// beside a lease that another process has ended for its worker, of which we have not heard; so once in a while
// all are compared. The caller holds the lock.
func (a *Acquirer) compareHoldings() {
	holding := 0
	for _, p := range a.fleet.processes {
		if p.ID == a.process {
			holding = p.Holding
		}
	}
	if holding > len(a.held) {
		a.fleet.strays++
	} else {
		a.fleet.strays = 0
	}
	a.fleet.sinceCompared++
	// The first time it may be a claim whose answer is on its way.
	if a.fleet.strays > 1 || len(a.held)+holding > 0 && a.fleet.sinceCompared >= compareEvery {
		a.fleet.sinceCompared = 0
		a.graves.strays = true
		a.graves.signal()
	}
}

// settleStrays gives back what we hold without knowing, and forgets what we do not hold any more. Should one be
// in the middle of being ended, its lease protects it.
func (a *Acquirer) settleStrays(ctx context.Context) {
	begun := a.clock.Now()
	a.mu.Lock()
	process := a.process
	a.mu.Unlock()
	var jobs []queue.Job
	err := a.call(ctx, "find strays", func(ctx context.Context) (err error) {
		jobs, err = a.store.Jobs(ctx, queue.Filter{Process: process})
		return err
	})
	if err != nil {
		a.cfg.Logger.Warn("stray jobs not looked up", "error", err)
		return
	}
	if strays := a.compare(process, jobs, begun); len(strays) > 0 {
		a.cfg.Logger.Warn("jobs claimed by us that nobody got", "jobs", len(strays))
		a.release(ctx, strays)
	}
}

// compare drops the leases that the store did not name, unless they are younger than the question, and returns
// the jobs that it named and nobody has.
func (a *Acquirer) compare(process uuid.UUID, jobs []queue.Job, begun time.Time) (strays []queue.Job) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if process != a.process {
		return nil
	}
	named := make(map[queue.Lease]bool, len(jobs))
	for _, job := range jobs {
		named[job.Lease()] = true
		_, isHeld := a.held[job.Lease()]
		_, isOpen := a.open[job.Token]
		if !isHeld && !isOpen {
			strays = append(strays, job)
		}
	}
	for lease, h := range a.held {
		if !named[lease] && h.heardAt.Before(begun) {
			a.drop(lease, queue.ErrLeaseLost)
		}
	}
	return strays
}

// janitorLoop deletes what ended long ago and gives up what nobody can run.
func (a *Acquirer) janitorLoop(ctx, _ context.Context) {
	for a.pause(ctx, jitter(a.janitorPeriod()), "janitor") {
		if a.isReporter() {
			a.expire(ctx)
			a.purge(ctx)
		}
	}
}

func (a *Acquirer) janitorPeriod() time.Duration {
	period := time.Minute
	if a.cfg.Expire > 0 {
		period = min(period, max(a.cfg.Expire/4, time.Second))
	}
	return period
}

func (a *Acquirer) isReporter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state == running && a.fleet.reporter(a.process)
}

// purgeBatch keeps the transactions of the purge short.
const purgeBatch = 1000

func (a *Acquirer) purge(ctx context.Context) {
	if a.cfg.Retention < 0 {
		return
	}
	before := a.now().Add(-a.cfg.Retention)
	for ctx.Err() == nil {
		n := 0
		err := a.call(ctx, "purge", func(ctx context.Context) (err error) {
			n, err = a.store.PruneJobs(ctx, before, purgeBatch)
			return err
		})
		if err != nil {
			a.cfg.Logger.Warn("purge failed", "error", err)
			return
		}
		if n < purgeBatch {
			return
		}
	}
}
