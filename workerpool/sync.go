package workerpool

import (
	"context"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/internal/text"
)

// listing is what the pool keeps between listings.
type listing struct {
	number uint32
	// failures in a row.
	failures int
	// held is how long the one being taken in has held the lock at a stretch.
	held time.Duration
}

// slice takes the lock for a part of a listing, and notes how long it was held.
func (p *Pool) slice() (end func()) {
	p.mu.Lock()
	begun := p.clock.Now("workerpool", "slice")
	return func() {
		p.listing.held = max(p.listing.held, p.clock.Since(begun, "workerpool", "slice"))
		p.mu.Unlock()
	}
}

// inSlices does something about each of n workers, in slices. False if ctx ended before.
func (p *Pool) inSlices(ctx context.Context, n int, do func(i int)) bool {
	for from := 0; from < n; from += syncSlice {
		if from > 0 && !p.pause(ctx, slicePause, "slice") {
			return false
		}
		end := p.slice()
		for i := from; i < min(from+syncSlice, n); i++ {
			do(i)
		}
		end()
	}
	return ctx.Err() == nil
}

const (
	// syncSlice bounds how many workers are handled without a pause for others who want the lock.
	syncSlice = 128
	// slicePause follows each slice of a listing. It does more than let others have the lock: a thread that sleeps in between
	// is seldom suspended by the system while it holds it.
	slicePause = 200 * time.Microsecond
	// soonSync is how soon after a destroy it is listed again, instead of after a whole interval.
	soonSync = 2 * time.Second
	// maxReports bounds the events of one listing about single instances.
	maxReports = 20
)

// syncLoop lists the instances, first at once.
func (p *Pool) syncLoop(ctx context.Context) {
	for {
		p.sync(ctx)
		if !p.pauseUnless(ctx, p.untilSync(), p.listedNow) {
			return
		}
	}
}

// pauseUnless waits, less when it is woken. False if ctx ended.
func (p *Pool) pauseUnless(ctx context.Context, d time.Duration, sooner <-chan struct{}) bool {
	timer := p.clock.NewTimer(d, "workerpool", "sync")
	defer timer.Stop()
	begun := p.now()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-sooner:
			if soonSync < d-p.now().Sub(begun) {
				timer.Reset(soonSync, "workerpool", "sync soon")
			}
			sooner = nil // a stream of wishes must not put the listing off
		}
	}
}

// untilSync is the pause before the next listing. A listing that failed is repeated after a growing part of the interval.
func (p *Pool) untilSync() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.cfg.SyncInterval
	if p.listing.failures > 0 {
		d = backoff.Doubled(min(time.Second, d), p.listing.failures-1, d)
	}
	if until := p.pauses.byKey[pauseListing]; until != nil {
		d = max(d, until.until.Sub(p.now()))
	}
	return d
}

// sync makes one listing and takes it in.
func (p *Pool) sync(ctx context.Context) {
	if p.opPace.wait(ctx) != nil {
		return
	}
	begun := p.now()
	var instances []Instance
	err := p.bounded(ctx, outcall.Name{Kind: "list"}, p.cfg.OperationTimeout, func(ctx context.Context) (err error) {
		instances, err = p.set.List(ctx, map[string]string{p.tagNames.pool: p.cfg.Name})
		return err
	})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		p.listingFailed(err, begun)
		return
	}
	p.metrics.called("list", nil)
	p.absorb(ctx, instances, begun)
}

func (p *Pool) listingFailed(err error, begun time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.metrics.called("list", err)
	p.listing.failures++
	p.stats.ListingErrors++
	if f := classify(err); f.reason == ReasonRateLimit {
		p.pauses.failed(pauseListing, f, err.Error(), begun, p.now())
	}
	p.emit(Event{Kind: EventListing, Text: err.Error()})
}

// absorb takes a listing in, in slices, so that nobody waits long for the lock.
func (p *Pool) absorb(ctx context.Context, instances []Instance, begun time.Time) {
	p.mu.Lock()
	p.listing.number++
	p.listing.failures, p.listing.held = 0, 0
	delete(p.pauses.byKey, pauseListing)
	number := p.listing.number
	p.mu.Unlock()

	problems := 0
	if !p.inSlices(ctx, len(instances), func(i int) {
		if problem := p.listedOne(&instances[i], number, begun); problem != "" {
			if problems++; problems <= maxReports {
				p.emit(Event{Kind: EventListing, Worker: instances[i].ID, Text: problem})
			}
			p.stats.ListingProblems++
		}
	}) {
		return
	}
	missing, ok := p.missing(ctx, number, begun)
	if !ok || !p.inSlices(ctx, len(missing), func(i int) { p.drop(missing[i]) }) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.ListingHeld = p.listing.held
	select {
	case <-p.listed:
	default:
		close(p.listed)
	}
	p.changed()
}

// drop ends a worker that does not exist. The caller holds the lock.
func (p *Pool) drop(r *record) {
	switch r.State {
	case Pending:
		p.step(r, CreateFailed{})
	case Gone:
	default:
		p.step(r, Vanished{})
	}
}

// listedOne takes in one instance of a listing and returns what is wrong with it. The caller holds the lock.
func (p *Pool) listedOne(in *Instance, number uint32, begun time.Time) (problem string) {
	if in.ID == "" {
		return "an instance without an id"
	}
	r := p.byID[in.ID]
	switch {
	case r == nil:
		if pool := in.Tags[p.tagNames.pool]; pool != p.cfg.Name {
			return fmt.Sprintf("its pool is %q; it is left alone", pool)
		}
		r = p.meet(in)
	case r.listed == number:
		return "the id occurs twice; the first one counts"
	}
	r.listed, r.missedAt = number, 0
	if r.State == Shutdown || r.Address != in.Address || in.Leaving {
		p.step(r, Listed{Address: in.Address, Begun: begun, Leaving: in.Leaving})
	}
	p.checkTags(r, in)
	return ""
}

// meet finds out which worker an instance is that is listed for the first time. The caller holds the lock.
func (p *Pool) meet(in *Instance) *record {
	id := p.tagNames.read(in.Tags)
	if r := p.bySecret[id.secret]; id.hasSecret && r != nil {
		p.step(r, Created{ID: in.ID, Address: in.Address})
		p.identify(r)
		return r
	}
	return p.adopt(in, id)
}

// adopt takes in an instance that nobody here has created: after a restart, or when a create's answer was lost. The
// caller holds the lock.
func (p *Pool) adopt(in *Instance, id identity) *record {
	w := NewUnknown(in.ID, in.Address, id.typeName, id.behavior, id.createdAt, p.now())
	w.Secret, w.Uses = id.secret, id.uses
	if id.damaged != "" {
		p.emit(Event{Kind: EventTags, Worker: in.ID, Type: id.typeName, Text: "tag " + id.damaged + " cannot be read"})
	}
	r := p.enter(w)
	p.meter.found(r.CreatedAt, p.cfg.Spent.At, r.kind.Price, p.now())
	if !r.kind.known && r.Behavior.Idle == BehaviorRun {
		p.step(r, BehaviorSet{Behavior{Idle: BehaviorDrain, Owner: byPool, Reason: string(ReasonTypeRemoved)}})
	}
	return r
}

// checkTags saves a worker's tags again if a listing shows others. What the provider does not keep is not saved for ever.
// The caller holds the lock.
func (p *Pool) checkTags(r *record, in *Instance) {
	if r.tags.saving || r.State == Shutdown || r.listed < r.tags.saved || p.tagNames.same(r, in.Tags) {
		return
	}
	if r.tags.saved != 0 && !r.tags.dirty {
		if !r.tags.cut {
			r.tags.cut = true
			p.emit(Event{Kind: EventTags, Worker: r.ID, Type: r.Type, Text: "the provider does not keep the tags as they were set"})
		}
		return
	}
	p.saveTags(r)
}

// missing are the workers that a listing lacks and that may be dropped for it. Not ok: ctx ended.
func (p *Pool) missing(ctx context.Context, number uint32, begun time.Time) (gone []*record, ok bool) {
	var lost []*record
	known := 0
	for from := 0; ; from += syncSlice {
		if from > 0 && !p.pause(ctx, slicePause, "slice") {
			return nil, false
		}
		end := p.slice()
		if from >= len(p.all) {
			break // with the lock
		}
		for _, r := range p.all[from:min(from+syncSlice, len(p.all))] {
			switch {
			case r.knownAt == 0 || r.knownAt >= p.mark(begun): // the listing cannot know
			case r.State == Pending && r.doubtful:
				gone = append(gone, r)
			case r.State == Shutdown:
				if r.listed != number && p.destroyedBefore(r, begun) {
					gone = append(gone, r)
				}
			case !p.tooFresh(r):
				known++
				if r.listed != number {
					lost = append(lost, r)
				}
			}
		}
		end()
	}
	defer p.mu.Unlock()
	if !p.brake.confirm(len(lost), known, begun, p.now(), p.cfg.SyncInterval) {
		for _, r := range lost {
			if r.missedAt == 0 {
				r.missedAt = p.mark(begun)
			}
		}
		p.stats.BrakedListings++
		p.emit(Event{Kind: EventBrake, Text: fmt.Sprintf("a listing lacks %d of %s; %d more must agree before they are dropped",
			len(lost), text.Count(known, "worker", "workers"), missingListings-p.brake.missing)})
		return gone, true
	}
	doubted := 0
	for _, r := range lost {
		doubt := r.missedAt
		switch {
		case p.believed(r, begun):
			gone = append(gone, r)
		case r.missedAt != doubt:
			doubted++
		}
	}
	if doubted > 0 {
		p.emit(Event{Kind: EventListing, Text: text.Count(
			doubted, "worker is not listed, but has answered; it is probed again", "workers are not listed, but have answered; they are probed again")})
		p.syncSoon()
	}
	return gone, true
}

// believed reports whether a listing that lacks a worker is to be believed. A worker that answers a probe which began
// after the listing before did exists, whatever is listed; so a worker that has ever answered is looked at once more,
// by a probe and another listing, before its jobs are given up. The caller holds the lock.
func (p *Pool) believed(r *record, begun time.Time) bool {
	switch {
	case r.GoodAt.IsZero() || p.now().Before(p.brake.releasedUntil):
		return true
	case r.missedAt == 0 || p.mark(r.GoodAt) > r.missedAt: // it was never missed, or has answered since
		r.missedAt = p.mark(begun)
	case r.askedAt >= r.missedAt: // it was asked since, in vain
		return true
	}
	p.queueProbe(r)
	return false
}

// destroyedBefore reports whether a listing that began at an instant can tell that a worker's destruction is complete.
func (p *Pool) destroyedBefore(r *record, begun time.Time) bool {
	return begun.After(r.DestroyedAt) && !p.inFlight[task{worker: r, kind: "destroy"}]
}

// tooFresh reports whether a listing may lack a worker because the provider's lists lag behind its answers.
func (p *Pool) tooFresh(r *record) bool {
	return r.listed == 0 && p.now().Sub(p.timeOf(r.knownAt)) < p.cfg.SyncInterval
}

// syncSoon lists again before the interval is over. The caller holds the lock.
func (p *Pool) syncSoon() { wake(p.listedNow) }
