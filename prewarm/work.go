package prewarm

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/backoff"
)

// work is one piece of what takes time.
type work func(ctx context.Context)

// workQueue runs work in the order in which it comes, on as many goroutines as call run.
type workQueue struct {
	// mustFinish says that its work is done even when the pool stops, within a time of its own. Other work is found again by
	// the deadlines of its members.
	mustFinish bool

	mu     sync.Mutex
	queued []work
	wake   signal
	closed bool
}

func newWorkQueue(mustFinish bool) *workQueue {
	return &workQueue{wake: newSignal(), mustFinish: mustFinish}
}

// add queues work. After the end, what must be done is done at once.
func (q *workQueue) add(do work) {
	q.mu.Lock()
	closed := q.closed
	if !closed {
		q.queued = append(q.queued, do)
	}
	q.mu.Unlock()
	switch {
	case !closed:
		q.wake.set()
	case q.mustFinish:
		do(context.Background())
	}
}

func (q *workQueue) take() (do work, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queued) == 0 {
		return nil, false
	}
	do = q.queued[0]
	q.queued[0] = nil
	if q.queued = q.queued[1:]; len(q.queued) > 0 {
		q.wake.set() // for the next one of those who run
	}
	return do, true
}

// run does work until ctx ends, each piece with the context of work.
func (q *workQueue) run(ctx, work context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-q.wake:
		}
		for do, ok := q.take(); ok; do, ok = q.take() {
			do(work)
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// close does what must be finished and is left.
func (q *workQueue) close(late context.Context) {
	q.mu.Lock()
	left := q.queued
	q.queued, q.closed = nil, true
	q.mu.Unlock()
	if q.mustFinish {
		for _, do := range left {
			do(late)
		}
	}
}

// startCreate queues the creation of a member, and remembers that this process is at it.
func (p *Pool) startCreate(m Member) {
	p.mu.Lock()
	p.creating[m.ID] = true
	p.mu.Unlock()
	p.builds.add(func(ctx context.Context) {
		p.create(ctx, m)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.creating, m.ID)
	})
}

func (p *Pool) isCreating(id uuid.UUID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.creating[id]
}

// create has the backend build a member. The attempt counts, whatever it leaves behind.
func (p *Pool) create(ctx context.Context, m Member) {
	if m.due(p.now()) {
		return // its time passed in the queue: the next plan destroys it
	}
	name := about(m, "create")
	name.Part = "version " + m.Version // which may be what hangs
	status, err := ask(ctx, p, name, max(0, m.Deadline.Sub(p.now())), func(ctx context.Context) (Status, error) {
		return p.backend.Create(ctx, m)
	}, func() { p.removeLate(ctx, m) })
	switch {
	case ctx.Err() != nil:
		// The readiness deadline decides: nobody knows how far it came.
	case err != nil:
		p.cfg.Logger.Warn("member not created", "member", m.ID, "error", err)
		p.change(ctx, m, func(m Member, spec Spec, now time.Time) Member {
			m.Message = err.Error()
			return m.destroyed(spec, ReasonCreateFailed, now)
		})
	default:
		p.observe(ctx, []Event{{Resource: m.Resource, Status: status}})
		p.removeLate(ctx, m)
	}
}

// removeLate removes what was created after the member had been given up: whoever destroyed it then found nothing. A
// process that stood still in the middle of a creation comes here.
func (p *Pool) removeLate(ctx context.Context, m Member) {
	found, err := p.members(ctx, Query{Resources: []uuid.UUID{m.Resource}, States: living})
	if err != nil || slices.ContainsFunc(found, func(now Member) bool { return now.State != Deleting }) {
		return // a listing shows what belongs to nobody
	}
	p.cfg.Logger.Warn("created after it was given up; removing it", "member", m.ID)
	p.destroyQuietly(ctx, m)
}

// destroyQuietly has the backend remove a resource that no member stands for.
func (p *Pool) destroyQuietly(ctx context.Context, m Member) {
	err := p.askToDestroy(ctx, m, p.cfg.Timeout)
	if err != nil && ctx.Err() == nil {
		p.cfg.Logger.Warn("orphan not destroyed", "resource", m.Resource, "error", err)
	}
}

func (p *Pool) askToDestroy(ctx context.Context, m Member, limit time.Duration) error {
	_, err := ask(ctx, p, about(m, "destroy"), limit, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.backend.Destroy(ctx, m)
	}, nil)
	return err
}

// destroy has the backend remove a member, and puts it off if that fails.
func (p *Pool) destroy(ctx context.Context, m Member) {
	p.mu.Lock()
	limit := p.spec.withDefaults().DestroyTimeout
	p.mu.Unlock()
	err := p.askToDestroy(ctx, m, limit)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.cfg.Logger.Warn("member not destroyed", "member", m.ID, "attempt", m.Attempts+1, "error", err)
	}
	p.change(ctx, m, func(m Member, spec Spec, now time.Time) Member {
		if err == nil {
			return m.gone(spec, m.Reason, now)
		}
		pause := backoff.Doubled(firstRetry, m.Attempts, lastRetry)
		m.Deadline = now.Add(pause + backoff.Spread(pause, m.ID, uint64(m.Attempts)))
		m.Attempts++
		m.Message = err.Error()
		return m
	})
}

// Pauses between attempts to destroy.
const (
	firstRetry = 5 * time.Second
	lastRetry  = 10 * time.Minute
)

// clean has the cleaner prepare a member for another use.
func (p *Pool) clean(ctx context.Context, m Member) {
	verified, err := ask(ctx, p, about(m, "clean"), max(0, m.Deadline.Sub(p.now())), func(ctx context.Context) (bool, error) {
		return p.cfg.Cleaner.Clean(ctx, m)
	}, nil)
	if ctx.Err() != nil {
		return // the deadline decides
	}
	p.change(ctx, m, func(m Member, spec Spec, now time.Time) Member {
		switch {
		case err != nil:
			return m.quarantined(spec, ReasonDoubt, err.Error(), now)
		case !verified:
			return m.destroyed(spec, ReasonUnclean, now)
		case m.Version != spec.Version:
			return m.destroyed(spec, ReasonRollover, now)
		}
		m = m.ready(spec, now)
		m.Reason = ReasonReused
		return m
	})
}

// change writes what becomes of a member, if it still is as it was read.
func (p *Pool) change(ctx context.Context, m Member, f func(m Member, spec Spec, now time.Time) Member) {
	p.mu.Lock()
	spec := p.spec.withDefaults()
	p.mu.Unlock()
	next := f(m, spec, p.now())
	if _, err := p.write(ctx, []Member{m}, []Member{next}); err != nil {
		p.cfg.Logger.Warn("member not written; its deadline decides", "member", m.ID, "state", next.State, "error", err)
	}
}

// write puts changed members and does what follows from those that are applied. It reports whether all were.
func (p *Pool) write(ctx context.Context, before, after []Member) (all bool, err error) {
	if len(after) == 0 {
		return true, nil
	}
	changes := make([]Change, len(after))
	for i, m := range after {
		changes[i].Member = m
	}
	applied, err := p.putApart(ctx, nil, changes)
	p.effects(ctx, before, changes, applied)
	return !slices.Contains(applied, false), err
}

func (p *Pool) effects(ctx context.Context, before []Member, changes []Change, applied []bool) {
	var outcome attempts
	for i := range changes {
		if !applied[i] {
			continue
		}
		m := changes[i].Member
		m.Revision++
		p.effect(before[i], m)
		outcome.note(before[i], m)
		if next := changes[i].Successor; next != nil {
			s := *next
			s.Revision = 1
			p.effect(Member{}, s)
		}
	}
	p.settle(ctx, outcome)
}

// effect does what follows from a member's new state. Whoever wrote the state does it; nobody else does.
func (p *Pool) effect(old, m Member) {
	fresh := old.Revision == 0
	again := m.State == Deleting && m.Attempts == old.Attempts // the plan asks for another attempt
	if !fresh && old.State == m.State && old.For == m.For && !again {
		return
	}
	if old.State == Claimed {
		p.release(m)
	}
	switch m.State {
	case Deleting:
		p.count(func(c *counters) { c.destroyed[m.Reason]++ })
		p.removals.add(func(ctx context.Context) { p.destroy(ctx, m) })
	case Starting:
		if fresh {
			p.count(func(c *counters) { c.created[m.Reason]++ })
			p.startCreate(m)
		}
	case Cleaning:
		p.removals.add(func(ctx context.Context) { p.clean(ctx, m) })
	case Ready, Claimed:
		p.lookForMembers()
		p.ready.set()
	}
	p.plan.set()
}

// count changes the counters.
func (p *Pool) count(f func(c *counters)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}

// attempts is what some writes say about creations.
type attempts struct {
	failed    []Member
	succeeded string // a version
}

func (a *attempts) note(old, m Member) {
	began := old.Revision > 0 && (old.State == Starting || old.State == Held) && old.ReadyAt.IsZero()
	switch {
	case began && (m.State == Ready || m.State == Claimed):
		a.succeeded = m.Version
	case began && m.State == Deleting && (m.Reason == ReasonNotReady || m.Reason == ReasonCreateFailed || m.Reason == ReasonStopped):
		if m.Message == "" {
			m.Message = string(m.Reason)
		}
		a.failed = append(a.failed, m)
	}
}

// settle counts failures and successes in the pool's state, which all replicas share.
func (p *Pool) settle(ctx context.Context, a attempts) {
	if len(a.failed) == 0 && a.succeeded == "" {
		return
	}
	p.count(func(c *counters) { c.failures += uint64(len(a.failed)) })
	err := p.updateState(ctx, func(s *PoolState, now time.Time) bool {
		before := s.Failures
		if a.succeeded != "" {
			s.Failures = s.Failures.Succeeded(a.succeeded)
		}
		for _, m := range a.failed {
			s.Failures = s.Failures.Failed(m.Version, m.Message, m.CreatedAt, now)
		}
		return s.Failures != before
	})
	if err != nil {
		p.cfg.Logger.Warn("failed attempts not counted", "failed", len(a.failed), "error", err)
	}
}

// maxTries bounds how often a change is computed anew because somebody else was faster.
const maxTries = 20

// updateState changes the pool's state by compare-and-swap. The change reports whether there is one.
func (p *Pool) updateState(ctx context.Context, change func(s *PoolState, now time.Time) bool) error {
	var err error
	for range maxTries {
		var state PoolState
		if state, err = p.poolState(ctx); err != nil {
			return err
		}
		before := state
		if !change(&state, p.now()) {
			return nil
		}
		if _, err = p.put(ctx, &state, nil); !isConflict(err) {
			if err == nil {
				p.notifyState(before, state)
			}
			p.plan.set()
			return err
		}
	}
	return err
}
