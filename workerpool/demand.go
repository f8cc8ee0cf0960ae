package workerpool

import (
	"context"
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/outcall"
)

// view is what the queue said last.
type view struct {
	// begun is when its reading began. What happened here later is not in it.
	begun time.Time
	jobs  []Job
	byID  map[JobID]int
	// settled is when something became of a job here that a view which began before does not know.
	settled map[JobID]time.Time
	// stale: the host says that the queue has changed.
	stale    bool
	failures int
}

// settle notes that something became of a job. Without a queue there is no view that could be outdated.
func (v *view) settle(id JobID, now time.Time) {
	if v.settled != nil {
		v.settled[id] = now
	}
}

// outdated reports whether the view may be wrong about a job.
func (v *view) outdated(id JobID) bool {
	at, ok := v.settled[id]
	return ok && !at.Before(v.begun)
}

// find returns a job of the view.
func (v *view) find(id JobID) *Job {
	if i, ok := v.byID[id]; ok {
		return &v.jobs[i]
	}
	return nil
}

// Wake says that the queue has changed: it is read at once instead of at the next PollInterval.
func (p *Pool) Wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view.stale = true
	wake(p.pollWake)
}

// pollLoop reads the queue.
func (p *Pool) pollLoop(ctx context.Context) {
	if p.queue == nil {
		return
	}
	timer := p.clock.NewTimer(time.Hour, "workerpool", "poll")
	defer timer.Stop()
	for {
		d := p.poll(ctx)
		timer.Reset(d, "workerpool", "poll")
		p.mu.Lock()
		stale := p.view.stale && p.view.failures == 0
		p.mu.Unlock()
		if stale && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-p.pollWake:
		case <-timer.C:
		}
	}
}

// poll reads the queue once and returns when to do so again: a slow reading is followed by a pause as long as it took.
func (p *Pool) poll(ctx context.Context) time.Duration {
	p.mu.Lock()
	p.view.stale = false
	p.mu.Unlock()
	begun := p.now()
	var jobs []Job
	err := p.bounded(ctx, outcall.Name{Kind: "read the queue"}, p.cfg.RecordTimeout, func(ctx context.Context) (err error) {
		jobs, err = p.queue.Jobs(ctx)
		return err
	})
	if ctx.Err() != nil {
		return time.Hour
	}
	p.mu.Lock()
	if err != nil {
		defer p.mu.Unlock()
		p.view.failures++
		p.stats.QueueErrors++
		p.cfg.Logger.Warn("queue not read", "error", err)
		return backoff.Doubled(min(time.Second, p.cfg.PollInterval), p.view.failures-1, p.cfg.PollInterval)
	}
	p.see(jobs, begun)
	p.mu.Unlock()
	p.reconcile()
	p.mu.Lock()
	defer p.mu.Unlock()
	wake(p.planWake)
	return max(p.cfg.PollInterval, p.now().Sub(begun))
}

// see takes in a view of the queue. A job that cannot be is left out, and said once for each view. The caller holds the
// lock.
func (p *Pool) see(jobs []Job, begun time.Time) {
	v := view{begun: begun, byID: make(map[JobID]int, len(jobs)), settled: p.view.settled, stale: p.view.stale}
	for id, at := range v.settled {
		if at.Before(begun) {
			delete(v.settled, id)
		}
	}
	for i := range jobs {
		err := jobs[i].Validate()
		if _, twice := v.byID[jobs[i].ID]; err != nil || twice {
			p.stats.BadJobs++
			p.cfg.Logger.Warn("job of the queue left out", "job_id", jobs[i].ID, "twice", twice, "error", err)
			continue
		}
		v.byID[jobs[i].ID] = len(v.jobs)
		v.jobs = append(v.jobs, jobs[i])
	}
	p.view = v
}

// reconcile compares the queue's view with what runs.
func (p *Pool) reconcile() {
	p.mu.Lock()
	jobs, begun := p.view.jobs, p.view.begun
	p.mu.Unlock()
	for from := 0; from < len(jobs); from += syncSlice {
		p.mu.Lock()
		for i := from; i < min(from+syncSlice, len(jobs)); i++ {
			p.compare(&jobs[i])
		}
		p.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, r := range p.jobs {
		if p.view.begun.Equal(begun) && p.view.find(id) == nil {
			p.killStray(id, r, "the queue does not know it")
		}
	}
}

// compare does what one job of the view asks for. The caller holds the lock.
func (p *Pool) compare(j *Job) {
	if p.view.outdated(j.ID) {
		return
	}
	r := p.jobs[j.ID]
	switch {
	case r == nil && j.State == JobAssigned:
		p.release(j.ID)
	case r == nil:
	case j.State == JobCanceled:
		p.killStray(j.ID, r, "it was canceled")
	case j.State == JobWaiting:
		p.killStray(j.ID, r, "the queue has it waiting")
	default:
		p.step(r, NeedsKnown{ID: j.ID, Needs: j.needs()})
	}
}

// killStray ends a job that ran before the view began and that should not. The caller holds the lock.
func (p *Pool) killStray(id JobID, r *record, reason string) {
	i := r.job(id)
	if i < 0 || p.view.outdated(id) {
		return
	}
	if j := &r.Jobs[i]; j.active() && !j.ReturnedAt.IsZero() && j.ReturnedAt.Before(p.view.begun) {
		p.step(r, KillAsked{ID: id, Reason: reason})
	}
}

// recovered reports whether every worker that may run a job unknown to us has answered or is gone. The caller holds the
// lock.
func (p *Pool) recovered() bool {
	select {
	case <-p.listed:
		return p.count[Unknown] == 0 && !p.now().Before(p.started.Add(p.cfg.StaleTime))
	default:
		return false
	}
}

// Recovered reports whether every worker that may run a job unknown to the pool has answered or is gone, so that a job which
// is on no worker runs nowhere.
func (p *Pool) Recovered() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running && p.recovered()
}

// WorkerOf returns the worker that a job is on, as far as the pool knows; ok is false if it is on none.
func (p *Pool) WorkerOf(id JobID) (worker InstanceID, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.jobs[id]
	if r == nil {
		return "", false
	}
	return r.ID, true
}

// Offer is a ready worker that takes jobs, with what it has left.
type Offer struct {
	Worker InstanceID
	Free   Resources
	// Labels are those of its type. They must not be changed.
	Labels map[string]string
}

// Offers returns the ready workers that have a slot left, in no particular order: for whoever starts jobs by itself.
func (p *Pool) Offers() (offers []Offer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.kinds {
		for _, l := range k.ready.order {
			for r := l.first; r != nil && l.free.Slots > 0; r = r.byRoom.next {
				offers = append(offers, Offer{r.ID, l.free, k.Labels})
			}
		}
	}
	return offers
}

// release gives a job back that the queue believes to be on a worker and that is on none. The caller holds the lock.
func (p *Pool) release(id JobID) {
	if !p.recovered() {
		return
	}
	p.giveBack(Record{Job: id, Kind: Released, ExitCode: ExitUnknown, Reason: "it is on no worker"})
}

// waiting are the jobs that may be placed. The caller holds the lock.
func (p *Pool) waiting() []Job {
	var list []Job
	for i := range p.view.jobs {
		j := &p.view.jobs[i]
		if (j.State == JobWaiting || j.State == JobExpected) && p.jobs[j.ID] == nil && !p.view.outdated(j.ID) {
			list = append(list, *j)
		}
	}
	return list
}

// jobLimit bounds the running jobs after somebody has said that they are too many.
type jobLimit struct {
	limit int
	since time.Time
}

// quiet is how long no overload must be reported before more jobs are allowed.
const quiet = time.Minute

// overloaded lowers the limit below what runs now.
func (l *jobLimit) overloaded(running int, now time.Time) {
	l.limit, l.since = max(1, running-1), now
}

// at returns the limit, zero for none, and lets it grow with what runs.
func (l *jobLimit) at(running int, now time.Time) int {
	if l.limit > 0 && now.Sub(l.since) >= quiet {
		if more := running*11/10 + 1; more > l.limit {
			l.limit, l.since = more, now
		}
	}
	return l.limit
}

// Overloaded says that something which the jobs use cannot keep up: no more of them are started than run now, less one.
// After a quiet minute the limit grows again with the jobs that run.
func (p *Pool) Overloaded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobLimit.overloaded(len(p.jobs), p.now())
	p.changed()
}
