package acquirer

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// losses is the work of the reaper: processes to declare lost, jobs whose worker went silent, and jobs that the store says
// we hold and nobody has (strays). Guarded by Acquirer.mu. A goroutine of its own does the work, since a [LostPolicy] may
// take its time.
type losses struct {
	processes []queue.Process
	silent    []queue.Job
	// compare: what we hold is to be compared lease by lease.
	compare bool
	filled  chan struct{} // room for one

	// surplus is how many heartbeats in a row said that we hold more than we know of.
	surplus int
	// sinceCompared counts the heartbeats since the last comparison.
	sinceCompared int
}

// compareEvery is after how many heartbeats what we hold is compared lease by lease, whatever the numbers say.
const compareEvery = 6

func newLosses() losses { return losses{filled: make(chan struct{}, 1)} }

func (l *losses) signal() {
	select {
	case l.filled <- struct{}{}:
	default:
	}
}

// addProcesses replaces the processes to declare lost: those that were there are in the new list too, unless they are done.
func (l *losses) addProcesses(processes []queue.Process) {
	if len(processes) > 0 {
		l.processes = processes
		l.signal()
	}
}

func (l *losses) addSilent(job queue.Job) {
	l.silent = append(l.silent, job)
	l.signal()
}

// compareHolding looks for jobs that the store says we hold and we know nothing of: a claim whose answer was
// lost may have been carried out after we had asked for it. Their number shows most of them soon, but not one
// beside a lease that another process has ended for its worker, of which we have not heard; so once in a while
// all are compared.
func (l *losses) compareHolding(stored, known int) {
	l.surplus++
	if stored <= known {
		l.surplus = 0
	}
	l.sinceCompared++
	// The first time it may be a claim whose answer is on its way.
	if l.surplus > 1 || stored+known > 0 && l.sinceCompared >= compareEvery {
		l.sinceCompared = 0
		l.compare = true
		l.signal()
	}
}

// take empties the work.
func (l *losses) take() (processes []queue.Process, silent []queue.Job, compare bool) {
	processes, silent, compare = l.processes, l.silent, l.compare
	l.processes, l.silent, l.compare = nil, nil, false
	return processes, silent, compare
}

// reapLoop decides about jobs whose workers were lost.
func (a *Acquirer) reapLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.losses.filled:
		}
		a.mu.Lock()
		processes, silent, compare := a.losses.take()
		a.mu.Unlock()
		if len(silent) > 0 {
			a.decide(ctx, silent, "worker went silent")
		}
		for _, p := range processes {
			a.reapProcess(ctx, p)
		}
		if compare {
			a.compareLeases(ctx)
		}
	}
}

func (a *Acquirer) reap(ctx context.Context, process uuid.UUID, heartbeats int64, limit int) (jobs []queue.Job, err error) {
	err = a.call(ctx, "reap", func(ctx context.Context) error {
		jobs, err = a.store.Reap(ctx, queue.ReapRequest{Now: a.now(), Process: process, Heartbeats: heartbeats, Limit: limit})
		return err
	})
	return jobs, err
}

// reapProcess declares a process lost and decides about all its jobs. If it is interrupted, the next heartbeat
// begins again with what is left.
func (a *Acquirer) reapProcess(ctx context.Context, p queue.Process) {
	for known := p.Lost; ; known = true {
		jobs, err := a.reap(ctx, p.ID, p.Heartbeats, a.cfg.Batch)
		if err != nil {
			a.cfg.Logger.Warn("process not declared lost", "process", p.ID, "error", err)
			return
		}
		if !known {
			a.emitProcessLost(p)
		}
		if len(jobs) == 0 || !a.decide(ctx, jobs, fmt.Sprintf("process %q was lost", p.Name)) {
			return
		}
	}
}

func (a *Acquirer) emitProcessLost(p queue.Process) {
	a.cfg.Logger.Warn("process was silent for the length of a lease", "process", p.ID, "name", p.Name, "jobs", p.Holding)
	a.events.emit(queue.Event{
		Kind: queue.EventProcessLost, At: a.now(), Process: p.ID, Jobs: p.Holding,
		Reason: fmt.Sprintf("process %q was silent for %s", p.Name, a.cfg.Lease),
	})
}

// decide lets the policies decide about lost jobs and writes what they decided. It reports whether all are
// dealt with.
func (a *Acquirer) decide(ctx context.Context, jobs []queue.Job, reason string) bool {
	ends := make([]queue.End, 0, len(jobs))
	for _, job := range jobs {
		verdict, err := a.judge(ctx, job)
		if err != nil {
			a.cfg.Logger.Warn("no decision about a lost job", "job_id", job.ID, "job_kind", job.Type, "error", err)
			continue
		}
		ends = append(ends, verdict.end(job, reason, a.now()))
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
		err = v.validate()
	}
	return v, err
}

func (a *Acquirer) reaped(job queue.Job, reason string) {
	a.metrics.reaped("heartbeat_lost")
	if job.State.Final() {
		a.metrics.finished(job)
	}
	a.cfg.Logger.Warn("job of a lost worker", "job_id", job.ID, "job_kind", job.Type, "attempt", job.Attempt, "now", job.State)
	a.events.emit(queue.Event{Kind: queue.EventReaped, At: a.now(), Lane: job.Lane(), Job: job, Process: job.Process, Reason: reason})
	a.afterEnd(job)
}

// compareLeases gives back what we hold without knowing, and forgets what we do not hold any more. Should one be
// in the middle of being ended, its lease protects it.
func (a *Acquirer) compareLeases(ctx context.Context) {
	asked := a.clock.Now()
	process := a.process()
	var jobs []queue.Job
	err := a.call(ctx, "find strays", func(ctx context.Context) (err error) {
		jobs, err = a.store.Jobs(ctx, queue.Filter{Process: process})
		return err
	})
	if err != nil {
		a.cfg.Logger.Warn("stray jobs not looked up", "error", err)
		return
	}
	a.mu.Lock()
	var strays []queue.Job
	if process == a.member.process {
		strays = a.leases.compare(jobs, asked, a.clock.Now())
	}
	a.mu.Unlock()
	if len(strays) > 0 {
		a.cfg.Logger.Warn("jobs claimed by us that nobody got", "jobs", len(strays))
		a.release(ctx, strays)
	}
}
