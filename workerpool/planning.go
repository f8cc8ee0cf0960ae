package workerpool

import (
	"context"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// planState is what the pool keeps of its last plan.
type planState struct {
	order []int // of the types, by price
	at    time.Time
	next  time.Time
	waits map[JobID]Wait
	// reserved says for which type a job waits that has a worker, and for which worker if that has an id.
	reserved map[JobID]reservation
	workers  []Worker // reused
}

type reservation struct {
	typeName string
	worker   InstanceID
}

// longestPlanPause bounds the pause after a pass that took long because the machine was busy with something else.
const longestPlanPause = time.Second

// planLoop plans when something has changed, or when a plan said so. A pass looks at every worker, so that passes are about
// a tenth of the time at most.
func (p *Pool) planLoop(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-p.listed:
	}
	timer := p.clock.NewTimer(time.Hour, "workerpool", "plan")
	defer timer.Stop()
	for {
		begun := p.now()
		next := p.pass()
		if took := p.now().Sub(begun); took > 0 && !p.pause(ctx, min(9*took, longestPlanPause), "plan pace") {
			return
		}
		d := p.cfg.SyncInterval
		if !next.IsZero() {
			d = min(d, max(p.clock.Until(next, "workerpool", "plan"), time.Microsecond))
		}
		timer.Reset(d, "workerpool", "plan")
		select {
		case <-ctx.Done():
			return
		case <-p.planWake:
		case <-timer.C:
		}
	}
}

// pass makes a plan and carries it out. It returns when the next one is due if nothing changes.
func (p *Pool) pass() time.Time {
	records, workers := p.snapshot(p.plan.workers, false)
	if p.plan.workers = workers; cap(workers) > reusedWorkers {
		p.plan.workers = nil
	}
	p.mu.Lock()
	jobs, limits, now := p.waiting(), p.limits(), p.now()
	p.mu.Unlock()
	actions := Plan(jobs, workers, limits, now)
	p.carryOut(actions, jobs, records)
	return actions.Next
}

// reusedWorkers bounds the memory that is kept from one plan to the next.
const reusedWorkers = 16 << 10

// snapshot copies all workers, in slices: a plan is checked again when it is carried out. The costs of their jobs are as of
// their last change, unless they are asked for.
func (p *Pool) snapshot(buffer []Worker, withCosts bool) ([]*record, []Worker) {
	workers := buffer[:0]
	now := p.now()
	var records []*record
	for from := 0; ; from += syncSlice {
		p.mu.Lock()
		if from >= len(p.all) {
			p.mu.Unlock()
			clear(workers[len(workers):cap(workers)])
			return records, workers
		}
		if records == nil {
			records = make([]*record, 0, len(p.all))
			workers = slices.Grow(workers, len(p.all))
		}
		for _, r := range p.all[from:min(from+syncSlice, len(p.all))] {
			records = append(records, r)
			workers = append(workers, r.Worker)
			if withCosts {
				p.settleCost(&workers[len(workers)-1], r, now)
			}
		}
		p.mu.Unlock()
	}
}

// limits are those of this moment. The caller holds the lock.
func (p *Pool) limits() Limits {
	l := p.cfg.Limits
	p.noteHanging()
	l.Pauses = p.activePauses()
	if n := p.jobLimit.at(len(p.jobs), p.now()); n > 0 && (l.MaxJobs == 0 || n < l.MaxJobs) {
		l.MaxJobs = n
	}
	return l
}

// carryOut does what a plan says, as far as it still can be done.
func (p *Pool) carryOut(a Actions, jobs []Job, records []*record) {
	each(p, len(a.Starts), func(i int) {
		s := a.Starts[i]
		if r, j := records[s.Worker], jobs[s.Job]; j.State == JobWaiting && p.jobs[j.ID] == nil && r.fits(&j) {
			p.startOn(r, j)
		}
	})
	each(p, len(a.Shutdowns), func(i int) {
		p.step(records[a.Shutdowns[i].Worker], ShutdownAsked{Reason: a.Shutdowns[i].Reason})
	})
	each(p, len(a.Reservations), func(i int) {
		if w := a.Reservations[i].Worker; w >= 0 {
			p.step(records[w], Reserved{})
		}
	})
	each(p, len(a.Creates), func(i int) {
		_, _ = p.create(a.Creates[i].Type, a.Creates[i].Reason) // refused: the next plan says why
	})
	p.remember(a, jobs, records)
}

// each does something n times under the lock, giving others a turn in between.
func each(p *Pool, n int, do func(i int)) {
	const slice = 64
	for from := 0; from < n; from += slice {
		p.mu.Lock()
		for i := from; i < min(from+slice, n) && p.running; i++ {
			do(i)
		}
		p.mu.Unlock()
	}
}

// remember keeps what [Pool.ExplainJob] says.
func (p *Pool) remember(a Actions, jobs []Job, records []*record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan.at, p.plan.next = p.now(), micros.Of(a.Next)
	p.plan.waits = make(map[JobID]Wait, len(a.Waits))
	for _, w := range a.Waits {
		p.plan.waits[jobs[w.Job].ID] = w
	}
	p.plan.reserved = make(map[JobID]reservation, len(a.Reservations))
	for _, r := range a.Reservations {
		if r.Worker >= 0 {
			p.plan.reserved[jobs[r.Job].ID] = reservation{records[r.Worker].Type, records[r.Worker].ID}
		} else {
			p.plan.reserved[jobs[r.Job].ID] = reservation{typeName: a.Creates[r.Create].Type}
		}
	}
}
