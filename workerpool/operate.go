package workerpool

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// Shutdown shuts down a worker that boots or is idle. [ErrNotIdle] if it is busy, held, or in another state.
func (p *Pool) Shutdown(id InstanceID) error {
	return p.withWorker(id, func(r *record) error {
		if p.step(r, ShutdownAsked{Reason: ReasonRequest})&DoDestroy == 0 {
			return ErrNotIdle
		}
		return nil
	})
}

// ShutdownOne shuts down one worker of a type: of those that boot the youngest, else of those that are idle the one that
// has been idle longest. The cost does not depend on the number of workers, those on hold excepted. [ErrNotIdle] if there is none.
func (p *Pool) ShutdownOne(typeName string) (InstanceID, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return "", ErrNotRunning
	}
	k := p.kinds[typeName]
	if k == nil {
		return "", ErrNotIdle
	}
	for r := k.booting.last; r != nil; r = r.byState.prev {
		if p.step(r, ShutdownAsked{Reason: ReasonRequest})&DoDestroy != 0 {
			return r.ID, nil
		}
	}
	for r := k.idle.first; r != nil; r = r.byState.next {
		if p.step(r, ShutdownAsked{Reason: ReasonRequest})&DoDestroy != 0 {
			return r.ID, nil
		}
	}
	return "", ErrNotIdle
}

// KillWorker destroys a worker in any state, also a busy one or one on hold. Its jobs are lost.
func (p *Pool) KillWorker(id InstanceID, owner, reason string) error {
	return p.withWorker(id, func(r *record) error {
		p.cfg.Logger.Info("worker killed", "worker_id", id, "owner", owner, "reason", reason)
		p.step(r, Killed{})
		return nil
	})
}

// SetIdleBehavior holds, drains or frees a worker. Owner and reason are kept as tags of the instance, on one line without
// control and hidden characters and cut after 60 bytes, as is the end; an end that has passed is refused.
func (p *Pool) SetIdleBehavior(id InstanceID, b Behavior) error {
	switch {
	case b.Idle > BehaviorDrain:
		return invalid.New("Behavior.Idle", uint8(b.Idle), "must be run, hold or drain")
	case !b.Until.IsZero() && !b.Until.After(p.now()):
		return invalid.New("Behavior.Until", b.Until, "must be in the future")
	case b.Idle == BehaviorRun && !b.Until.IsZero():
		return invalid.New("Behavior.Until", b.Until, "must be zero for run")
	}
	b.Owner, b.Reason, b.Until = tagText(b.Owner), tagText(b.Reason), wholeSecond(b.Until)
	if b.Idle == BehaviorRun {
		b = Behavior{}
	}
	return p.withWorker(id, func(r *record) error {
		p.step(r, BehaviorSet{b})
		return nil
	})
}

// wholeSecond is what a tag keeps of an instant: not less than was asked for, and within the years that it can write.
func wholeSecond(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return micros.Within(t.UTC().Add(time.Second - 1)).Truncate(time.Second)
}

// withWorker finds a worker for a request.
func (p *Pool) withWorker(id InstanceID, f func(r *record) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return ErrNotRunning
	}
	r := p.byID[id]
	if r == nil {
		return ErrUnknownWorker
	}
	return f(r)
}

// ReleaseBrakes says that workers that fail or are missing really are lost, however many: for a time the brakes do not
// act.
func (p *Pool) ReleaseBrakes(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.brake.releasedUntil = micros.Later(p.brake.releasedUntil, p.now().Add(d))
	p.setBrake()
	wake(p.due)
	wake(p.listedNow)
}
