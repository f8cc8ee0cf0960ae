package acquirer

import (
	"context"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/internal/dispatch"
)

// leave settles what is unsettled and, if the process holds nothing, takes it off the register at once.
func (a *Acquirer) leave(ctx context.Context) {
	a.mu.Lock()
	process, heartbeats, holds := a.member.process, a.member.heartbeats, a.book.Len(a.member.process) > 0
	var unsettled []*dispatch.Round
	for _, d := range a.dispatch.Domains() {
		if r := d.Unsettled(); r != nil {
			unsettled = append(unsettled, r)
		}
	}
	a.mu.Unlock()
	settled := a.settleLast(ctx, unsettled)
	if err := a.publish(ctx); err != nil {
		a.cfg.Logger.Warn("last announcements not sent", "error", err) // the others look by themselves
	}
	if heartbeats > 0 && settled && !holds {
		a.unregisterProcess(ctx, process, heartbeats)
	}
}

// settleLast gives back what claims have got whose answers were lost, and reports whether that is known of all of them.
func (a *Acquirer) settleLast(ctx context.Context, rounds []*dispatch.Round) bool {
	for _, r := range rounds {
		jobs, err := a.find(ctx, r.Token)
		if err != nil {
			a.cfg.Logger.Warn("claim not settled before the stop", "token", r.Token, "error", err)
			return false
		}
		a.mu.Lock()
		doubts := a.returned(jobs)
		a.mu.Unlock()
		a.release(ctx, doubts)
	}
	return true
}

// unregisterProcess takes the process off the register. The store may have counted heartbeats whose answers nobody got: then one more
// says how many those are. Where it fails, others do it, after the lease.
func (a *Acquirer) unregisterProcess(ctx context.Context, process uuid.UUID, heartbeats int64) {
	for range beatsAtOnce { // as many as may be under way
		reaped, err := a.reap(ctx, process, heartbeats, 1)
		if err != nil || reaped.Lost {
			return
		}
		b := a.beat(ctx, a.store, "heartbeat")
		if b.err != nil {
			return
		}
		heartbeats = recordOf(process, b.fleet).Heartbeats
	}
}

// beatLate takes the process off the register again when a heartbeat that was given up is stored after the process has left: there is no
// next one. What holds jobs keeps its lease, so that they have stopped before others begin them. So does a name that was given up before:
// whoever declares that lost has to tell people, and after the stop we do not.
func (a *Acquirer) beatLate(process uuid.UUID, fleet queue.Fleet, err error) {
	a.mu.Lock()
	left := a.member.state == ended && a.member.process == process && a.book.Len(process) == 0
	a.mu.Unlock()
	if err != nil || !left {
		return
	}
	if _, err := a.reap(context.Background(), process, recordOf(process, fleet).Heartbeats, 1); err != nil {
		a.cfg.Logger.Warn("process not taken off the register", "process", process, "error", err)
	}
}

// recordOf is what the store knows of a process, zero if nothing.
func recordOf(process uuid.UUID, fleet queue.Fleet) queue.Process {
	for _, p := range fleet.Processes {
		if p.ID == process {
			return p
		}
	}
	return queue.Process{}
}
