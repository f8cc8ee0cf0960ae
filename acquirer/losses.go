package acquirer

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// losses is the work of the reaper: processes to declare lost, and whether what we hold is to be compared with what the
// store says that we hold. Guarded by Acquirer.mu.
type losses struct {
	processes []queue.Process
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
func (l *losses) take() (processes []queue.Process, compare bool) {
	processes, compare = l.processes, l.compare
	l.processes, l.compare = nil, false
	return processes, compare
}

// reapLoop finds jobs whose workers were lost and puts them in doubt; the judges decide about them.
func (a *Acquirer) reapLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.losses.filled:
		}
		a.mu.Lock()
		processes, compare := a.losses.take()
		a.mu.Unlock()
		for _, p := range processes {
			a.reapProcess(ctx, p)
		}
		if compare {
			a.compareLeases(ctx)
		}
	}
}

func (a *Acquirer) reap(ctx context.Context, process uuid.UUID, heartbeats int64, limit int) (reaped queue.Reaped, err error) {
	return ask(ctx, a, "reap", func(ctx context.Context) (queue.Reaped, error) {
		return a.store.Reap(ctx, queue.ReapRequest{Now: a.now(), Process: process, Heartbeats: heartbeats, Limit: limit})
	})
}

// reapProcess declares a process lost and puts all its jobs in doubt. If it is interrupted, the next heartbeat begins again
// with what is left.
func (a *Acquirer) reapProcess(ctx context.Context, p queue.Process) {
	for known := p.Lost; ; known = true {
		a.mu.Lock()
		limit := a.book.Len(p.ID) + a.cfg.Batch // those in doubt already are named again
		asked := a.clock.Now()
		a.mu.Unlock()
		reaped, err := a.reap(ctx, p.ID, p.Heartbeats, limit)
		if err != nil {
			a.cfg.Logger.Warn("process not declared lost", "process", p.ID, "error", err)
			return
		}
		if !reaped.Lost {
			return // it came back in the last moment
		}
		if !known {
			a.emitProcessLost(p)
		}
		a.mu.Lock()
		entered := 0
		for _, job := range reaped.Jobs {
			if a.book.Suspect(job, fmt.Sprintf("process %q was lost", p.Name), asked, a.clock.Now()) {
				entered++
			}
		}
		a.watchBook()
		a.mu.Unlock()
		if len(reaped.Jobs) < limit || entered == 0 {
			return
		}
	}
}

func (a *Acquirer) emitProcessLost(p queue.Process) {
	why := a.whyLost(p)
	a.cfg.Logger.Warn("process declared lost", "process", p.ID, "reason", why, "jobs", p.Holding)
	a.emit(queue.Event{Kind: queue.EventProcessLost, At: a.now(), Process: p.ID, Jobs: p.Holding, Reason: why})
}

// whyLost is why we have declared a process lost, for people.
func (a *Acquirer) whyLost(p queue.Process) string {
	now := a.clock.Now()
	a.mu.Lock()
	silence, _ := a.fleet.heard(p.ID, now)
	former := a.stopped(p.ID, now)
	a.mu.Unlock()
	switch {
	case former:
		return fmt.Sprintf("process %q goes on under another name", p.Name)
	case a.cfg.Alone && silence < a.cfg.Lease:
		return fmt.Sprintf("process %q was there before this one, which uses the store alone", p.Name)
	default: // it may be off the register since, and nothing is known of its silence
		return fmt.Sprintf("process %q was silent for %s", p.Name, a.cfg.Lease)
	}
}

// compareLeases gives back what we hold without knowing, and forgets what we do not hold any more.
func (a *Acquirer) compareLeases(ctx context.Context) {
	asked := a.clock.Now()
	process := a.process()
	jobs, err := a.lookUp(ctx, "find strays", queue.Filter{Process: process})
	if err != nil {
		a.cfg.Logger.Warn("stray jobs not looked up", "error", err)
		return
	}
	a.mu.Lock()
	if process != a.member.process {
		a.mu.Unlock()
		return
	}
	strays, gone := a.book.Compare(process, jobs, asked, a.clock.Now())
	a.left(queue.ErrLeaseLost, gone...)
	a.watchBook()
	a.mu.Unlock()
	if len(strays) > 0 {
		a.cfg.Logger.Warn("jobs claimed by us that nobody got", "jobs", len(strays))
		a.release(ctx, strays)
	}
}
