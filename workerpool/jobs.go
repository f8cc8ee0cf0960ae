package workerpool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/invalid"
)

// StartJob gives a job to a ready worker: of the cheapest suitable type, where the room is tightest. It returns at once;
// the job counts as running from then on, and the queue is asked in the background whether it really is ours. The error
// is [ErrNoRoom] if no ready worker has room. The cost does not depend on the number of workers.
func (p *Pool) StartJob(job Job) (InstanceID, error) {
	if err := job.Validate(); err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.mayStart(&job); err != nil {
		return "", err
	}
	types := p.cfg.Limits.Types
	if p.plan.order == nil {
		p.plan.order = byPrice(types)
	}
	for _, i := range suitable(types, p.plan.order, p.cfg.Limits.PriceFactor, &job) {
		if r, _ := p.kinds[types[i].Name].ready.tightest(job.needs()); r != nil {
			p.startOn(r, job)
			return r.ID, nil
		}
	}
	return "", ErrNoRoom
}

// StartJobOn gives a job to a certain worker, which must be ready and have room.
func (p *Pool) StartJobOn(id InstanceID, job Job) error {
	if err := job.Validate(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.mayStart(&job); err != nil {
		return err
	}
	r := p.byID[id]
	switch {
	case r == nil:
		return ErrUnknownWorker
	case !r.fits(&job):
		return ErrNoRoom
	}
	p.startOn(r, job)
	return nil
}

// mayStart refuses what must not be started at all. The caller holds the lock.
func (p *Pool) mayStart(job *Job) error {
	if !p.running {
		return ErrNotRunning
	}
	if r := p.jobs[job.ID]; r != nil {
		return invalid.New("Job.ID", string(job.ID), "the job is on worker %s already", r.ID)
	}
	return nil
}

// startOn claims and starts a job. The caller holds the lock and has checked the room.
func (p *Pool) startOn(r *record, job Job) {
	p.jobs[job.ID] = r
	p.step(r, Assigned{ID: job.ID, Needs: job.needs()})
	if p.run(func(ctx context.Context) { p.start(ctx, r, job) }) {
		p.inFlight[task{r, job.ID, "claim"}] = true
	}
}

func (p *Pool) start(ctx context.Context, r *record, job Job) {
	p.mu.Lock()
	target := r.target()
	p.mu.Unlock()
	err := p.claim(ctx, target.ID, job.ID)
	p.mu.Lock()
	delete(p.inFlight, task{r, job.ID, "claim"})
	fit := p.jobs[job.ID] == r && (r.State == Idle || r.State == Running)
	p.mu.Unlock()
	switch {
	case err != nil:
		p.withdraw(ctx, r, job.ID, err)
		return
	case !fit: // the worker was lost or killed meanwhile, and the job is ours and nowhere
		p.withdraw(ctx, r, job.ID, errors.New("the worker has gone"))
		p.mu.Lock()
		defer p.mu.Unlock()
		p.giveBack(Record{Job: job.ID, Kind: NotStarted, Worker: target.ID, ExitCode: ExitUnknown, Reason: "its worker went before it began"})
		return
	}
	_, err = p.command(ctx, target, p.cfg.Runner+" start "+string(job.ID), job.Payload)
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.stats.StartErrors++
		p.cfg.Logger.Warn("start of a job failed; a probe tells whether it runs", "worker_id", target.ID, "job_id", job.ID, "error", err)
	}
	p.step(r, StartReturned{ID: job.ID})
}

// claim asks the queue for the right to start a job.
func (p *Pool) claim(ctx context.Context, worker InstanceID, job JobID) error {
	if p.queue == nil {
		return nil
	}
	record := Record{Job: job, Kind: Claimed, Worker: worker, At: p.now()}
	return p.record(ctx, record)
}

// record tells the queue of a job.
func (p *Pool) record(ctx context.Context, r Record) error {
	return p.bounded(ctx, callOf("record job", string(r.Job)), p.cfg.RecordTimeout, func(ctx context.Context) error { return p.queue.Record(ctx, r) })
}

// withdraw takes a job back that was not begun.
func (p *Pool) withdraw(ctx context.Context, r *record, job JobID, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view.settle(job, p.now())
	p.step(r, StartReturned{ID: job, Withdrawn: true})
	if ctx.Err() == nil {
		p.stats.ClaimsRefused++
		p.cfg.Logger.Info("claim of a job refused", "worker_id", r.ID, "job_id", job, "error", err)
	}
}

// KillJob asks for the end of a job: its worker is told at once and then every KillInterval, until the job has ended or
// TermTimeout is over; then the worker is drained. [ErrUnknownJob] if no worker has it. A second call changes nothing.
func (p *Pool) KillJob(id JobID, reason string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.jobs[id]
	if r == nil {
		return ErrUnknownJob
	}
	p.step(r, KillAsked{ID: id, Reason: reason})
	return nil
}

// jobsChanged keeps the index of jobs, and tells of what began and ended. The caller holds the lock.
func (p *Pool) jobsChanged(r *record, before []WorkerJob) {
	if len(r.Jobs) == 0 && len(before) == 0 {
		return
	}
	for i := range before {
		if r.job(before[i].ID) < 0 && p.jobs[before[i].ID] == r {
			delete(p.jobs, before[i].ID)
			p.view.settle(before[i].ID, p.now())
			p.changed()
		}
	}
	var twice []JobID
	for i := range r.Jobs {
		j := &r.Jobs[i]
		if j.Unkillable && i < len(before) && before[i].ID == j.ID && !before[i].Unkillable {
			p.emit(Event{Kind: EventUnkillable, Worker: r.ID, Type: r.Type, Job: j.ID, Text: "it was asked to end at " + stamp(j.KillAt) + " and still runs"})
		}
		switch other := p.jobs[j.ID]; {
		case other == r:
		case other == nil || other.State == Gone:
			p.jobs[j.ID] = r
		case j.active() && j.KillAt.IsZero():
			twice = append(twice, j.ID)
		}
	}
	for _, id := range twice {
		p.stats.Duplicates++
		p.emit(Event{Kind: EventDuplicate, Worker: r.ID, Type: r.Type, Job: id, Text: "it also runs on " + string(p.jobs[id].ID)})
		p.step(r, KillAsked{ID: id, Reason: "it runs on another worker"})
	}
}

// tendJobs does what a worker's jobs need: a kill, a record, to be forgotten. The caller holds the lock.
func (p *Pool) tendJobs(r *record, effects Effects) {
	now := p.now()
	for _, j := range r.Jobs { // a copy: each step has its own
		switch {
		case effects&DoKill != 0 && j.active() && reached(j.KillNext, now) && !j.Unkillable:
			p.kill(r, j.ID)
		case effects&DoRecord != 0 && j.Phase == Over:
			p.recordEnd(r, j)
		case effects&DoForget != 0 && j.Phase == Recorded:
			p.forget(r, j.ID)
		}
	}
}

// kill sends one request to end. The caller holds the lock.
func (p *Pool) kill(r *record, id JobID) {
	target := r.target()
	p.step(r, KillSent{ID: id})
	p.once(task{r, id, "kill"}, func(ctx context.Context) {
		text, err := p.command(ctx, target, p.cfg.Runner+" kill "+string(id), nil)
		if err != nil || ctx.Err() != nil {
			return // it is asked again
		}
		answer, err := parseList(text)
		if err == nil && (len(answer.jobs) == 0 || answer.jobs[0].Ended) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.step(r, KillAnswered{ID: id})
		}
	})
}

// recordEnd tells the queue of a job's end, until it listens. Of a job that runs twice only one end counts. The caller
// holds the lock.
func (p *Pool) recordEnd(r *record, j WorkerJob) {
	if p.jobs[j.ID] != r {
		p.step(r, JobRecorded{ID: j.ID})
		return
	}
	record := Record{Job: j.ID, Kind: Ended, Worker: r.ID, At: p.now(), ExitCode: j.ExitCode, Cost: j.Cost}
	switch {
	case !j.Seen:
		record.Kind, record.Reason = NotStarted, "it left no trace on the worker"
	case j.ExitCode == ExitUnknown:
		record.Reason = "the worker does not know how it ended"
	case !j.KillAt.IsZero():
		record.Reason = "it was asked to end: " + j.KillReason
	}
	p.once(task{job: j.ID, kind: "record"}, func(ctx context.Context) {
		if p.tell(ctx, record) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.view.settle(j.ID, p.now())
			p.step(r, JobRecorded{ID: j.ID})
		}
	})
}

// lostWith records the loss of a job whose worker is gone. The caller holds the lock.
func (p *Pool) lostWith(r *record, j *WorkerJob) {
	if p.jobs[j.ID] != r {
		return
	}
	delete(p.jobs, j.ID)
	p.view.settle(j.ID, p.now())
	record := Record{Job: j.ID, Kind: Lost, Worker: r.ID, ExitCode: ExitUnknown, Cost: j.Cost, Reason: "its worker is gone"}
	switch {
	case j.Phase == Recorded || p.inFlight[task{job: j.ID, kind: "record"}]:
		return // the queue knows, or is being told
	case p.inFlight[task{r, j.ID, "claim"}]:
		return // the queue may not even know that we wanted it
	case j.Phase == Over && j.Seen && j.ExitCode != ExitUnknown:
		record.Kind, record.ExitCode, record.Reason = Ended, j.ExitCode, ""
	case j.Phase == Over && !j.Seen:
		record.Kind = NotStarted
	}
	p.giveBack(record)
}

// giveBack records what became of a job that is on no worker any more. One such record is under way at a time. The caller
// holds the lock.
func (p *Pool) giveBack(r Record) {
	r.At = p.now()
	p.once(task{job: r.Job, kind: "record"}, func(ctx context.Context) {
		if p.tell(ctx, r) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.view.settle(r.Job, p.now())
		}
	})
}

// tell records something with the queue, however often it takes. It reports whether that was done before ctx ended.
func (p *Pool) tell(ctx context.Context, r Record) bool {
	for failures := 0; ; failures++ {
		if p.recordSlot.Acquire(ctx, 1) != nil {
			return false
		}
		var err error
		if p.queue != nil {
			err = p.record(ctx, r)
		}
		p.recordSlot.Release(1)
		if err == nil {
			p.mu.Lock()
			p.stats.Records[r.Kind]++
			p.emit(Event{Kind: EventJob, Worker: r.Worker, Job: r.Job, Text: strings.TrimSpace(fmt.Sprintf("%s %s", r.Kind, r.Reason))})
			p.mu.Unlock()
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		p.cfg.Logger.Warn("record refused", "job_id", r.Job, "record", r.Kind, "error", err)
		if !p.pause(ctx, backoff.Doubled(100*time.Millisecond, failures, p.cfg.PollInterval), "record") {
			return false
		}
	}
}

// forget lets the worker drop what it keeps of a job. The caller holds the lock.
func (p *Pool) forget(r *record, id JobID) {
	target := r.target()
	p.once(task{r, id, "forget"}, func(ctx context.Context) {
		_, err := p.command(ctx, target, p.cfg.Runner+" forget "+string(id), nil)
		if err != nil {
			return // a probe that still lists it lets us try again
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.step(r, JobForgotten{ID: id})
	})
}
