package prewarm

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/outcall"
)

// mailbox keeps what was told until somebody looks. It never blocks whoever tells.
type mailbox[T any] struct {
	// limit is how much it keeps, 0 for all: what comes beyond it is lost.
	limit int
	wake  signal

	mu   sync.Mutex
	mail []T
}

func (b *mailbox[T]) add(one T) {
	b.mu.Lock()
	if b.limit == 0 || len(b.mail) < b.limit {
		b.mail = append(b.mail, one)
	}
	b.mu.Unlock()
	b.wake.set()
}

func (b *mailbox[T]) take() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	mail := b.mail
	b.mail = nil
	return mail
}

// Pauses between attempts to watch and to list.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// watchLoop listens to the backend. Whenever it begins, a listing follows: what happened before nobody heard.
func (p *Pool) watchLoop(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		begun := p.now()
		p.list.set()
		err := p.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		p.cfg.Logger.Warn("events ended", "error", err)
		if p.now().Sub(begun) > lastPause {
			failures = 0
		}
		p.pause(ctx, backoff.Doubled(firstPause, failures, lastPause), nil, "pool", "watch")
	}
}

// watch listens until the backend can hear no more. What is told after ctx has ended nobody would read.
func (p *Pool) watch(ctx context.Context) error {
	tell := func(e Event) {
		if ctx.Err() == nil {
			p.events.add(e)
		}
	}
	_, err := answerOf(ctx, p, outcall.Name{Kind: "watch"}, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, p.backend.Watch(ctx, p.cfg.Spec.Name, tell)
	}, nil)
	return err
}

// eventLoop applies what the backend tells, in batches. What could not be written comes again.
func (p *Pool) eventLoop(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-p.events.wake:
		}
		p.observe(ctx, p.events.take())
	}
}

// observe applies events to the members they are about. If that cannot be done, a listing says the same later.
func (p *Pool) observe(ctx context.Context, events []Event) {
	for range maxTries {
		again, err := p.observeOnce(ctx, events)
		if err != nil {
			if ctx.Err() == nil {
				p.cfg.Logger.Warn("events not applied; a listing follows", "events", len(events), "error", err)
				p.list.set()
			}
			return
		}
		if !again {
			return
		}
	}
	p.list.set()
}

// observeOnce reports whether somebody else changed a member meanwhile, so that the events should be looked at again.
func (p *Pool) observeOnce(ctx context.Context, events []Event) (again bool, err error) {
	byResource := make(map[uuid.UUID][]Event, len(events))
	for _, e := range events {
		byResource[e.Resource] = append(byResource[e.Resource], e)
	}
	members, err := p.members(ctx, Query{Resources: slices.Collect(maps.Keys(byResource)), States: living})
	if err != nil {
		return false, err
	}
	now := p.now()
	spec := p.current(now)
	var before, after []Member
	for _, m := range members {
		next := m
		for _, e := range byResource[m.Resource] {
			next, _ = Observe(spec, next, e, now)
		}
		if next != m {
			before, after = append(before, m), append(after, next)
		}
	}
	all, err := p.write(ctx, before, after)
	p.lookForMembers() // another replica may have been faster: then it is ready all the same
	return !all, err
}

// living are the states of members that the backend may have a resource for.
var living = []State{Starting, Held, Ready, Claimed, Cleaning, Quarantined, Deleting}

// listLoop lists what the backend has: at the start, from time to time, and when somebody asks. One listing runs at a
// time.
func (p *Pool) listLoop(ctx context.Context) {
	young := false
	for failures := 0; ctx.Err() == nil; {
		wait := p.cfg.Relist
		if young {
			wait = min(wait, p.cfg.Timeout)
		}
		if failures > 0 {
			wait = min(wait, backoff.Doubled(firstPause, failures-1, lastPause))
		}
		wake := p.list
		if failures > 0 {
			wake = nil // asked for already
		}
		if !p.pause(ctx, wait, wake, "pool", "list") {
			return
		}
		var err error
		if young, err = p.reconcile(ctx); err != nil && ctx.Err() == nil {
			failures++
			p.count(func(c *counters) { c.unknown++ })
			p.cfg.Logger.Warn("listing failed: what the backend has is unknown, nothing follows", "error", err)
			continue
		}
		failures = 0
		p.reloaded()
	}
}

// reloaded tells that the listing was made which an alert has asked for.
func (p *Pool) reloaded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stats.reloading {
		p.stats.reloading = false
		p.notify(PoolEvent{Kind: PoolReloaded, Version: p.spec.Version})
	}
}

// reconcile compares what the backend has with what the store says. A failed listing changes nothing. It reports whether
// members are missing that may still be on their way.
func (p *Pool) reconcile(ctx context.Context) (young bool, err error) {
	listed := p.now()
	listing, err := ask(ctx, p, outcall.Name{Kind: "list"}, p.cfg.Timeout, func(ctx context.Context) ([]Event, error) {
		return p.backend.List(ctx, p.cfg.Spec.Name)
	}, nil)
	if err != nil {
		return false, err
	}
	members, err := p.members(ctx, Query{States: living})
	if err != nil {
		return false, err
	}
	now := p.now()
	changed, orphans := Reconcile(p.current(now), members, listing, listed, now)
	byID := make(map[uuid.UUID]Member, len(members))
	claimed := 0
	for _, m := range members {
		byID[m.ID] = m
		if m.State == Claimed {
			claimed++
		}
	}
	changed = p.patient(byID, changed, listed)
	before := make([]Member, len(changed))
	for i, m := range changed {
		before[i] = byID[m.ID]
	}
	p.count(func(c *counters) { c.orphans, c.claimed = len(orphans), claimed })
	p.strays(orphans)
	young = p.resume(members, listing, listed)
	_, err = p.write(ctx, before, changed)
	return young, err
}

// agree is how far apart two listings at least are that together end a claim; Config.Relist if that is less. Those that follow
// each other at once, or that several processes make at a time, may all be of one bad moment of the backend.
const agree = time.Minute

// patient leaves out of the changes what ends or counts against a claim too early: this process itself must have missed the
// resource so long before.
func (p *Pool) patient(before map[uuid.UUID]Member, changed []Member, listed time.Time) []Member {
	missing := make(map[uuid.UUID]time.Time)
	kept := changed[:0]
	for _, m := range changed {
		was := before[m.ID]
		if was.State != Claimed || m.Misses <= was.Misses {
			kept = append(kept, m)
			continue
		}
		since, again := p.missing[m.ID]
		if !again {
			since = listed
		}
		missing[m.ID] = since
		if !again && was.Misses == 0 || again && listed.Sub(since) >= min(agree, p.cfg.Relist) {
			kept = append(kept, m)
		}
	}
	p.missing = missing
	return kept
}

// resume has members created that a complete listing does not show though they were asked for: the process that would have
// done it has died, or lost its answer. If it is only slow, both ask for the same resource, which is built once. Young ones
// are left for the next listing.
func (p *Pool) resume(members []Member, listing []Event, listed time.Time) (young bool) {
	shown := make(map[uuid.UUID]bool, len(listing))
	for _, e := range listing {
		shown[e.Resource] = true
	}
	for _, m := range members {
		if m.State != Starting || !m.ReadyAt.IsZero() || shown[m.Resource] || p.isCreating(m.ID) {
			continue
		}
		if listed.Sub(m.CreatedAt) < p.cfg.Timeout {
			young = true
			continue
		}
		p.startCreate(m)
	}
	return young
}

// strays deals with resources that the store does not know.
func (p *Pool) strays(orphans []Event) {
	for _, e := range orphans {
		if !p.cfg.DestroyOrphans {
			p.cfg.Logger.Warn("the backend has a resource that the store does not know", "resource", e.Resource, "status", e.Status)
			continue
		}
		m := Member{ID: e.Resource, Resource: e.Resource, Pool: p.cfg.Spec.Name, Generation: e.Generation, State: Deleting, Reason: ReasonOrphan}
		p.removals.add(func(ctx context.Context) { p.destroyQuietly(ctx, m) })
	}
}
