package executor

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// flow is one round of a relay: from a first claim until nothing can be claimed and no delivery is under way. A delivery that
// hangs takes one place among those at once, and nothing else waits for it: what the others received is settled meanwhile, and
// free places go to what can be claimed then. What waits for places behind deliveries that hang is given back after a timeout, so
// that the next claim chooses anew. One goroutine owns a flow.
type flow struct {
	*relay
	// line is what was claimed and has not begun, in the order in which it will.
	line []lifecycle.Event
	// claimedAt is when the line was claimed, or the flow began, leaseEnds when its lease ends.
	claimedAt, leaseEnds time.Time
	// look says that something may be claimable.
	look    bool
	running int
	// ended has room for all that run at once.
	ended chan lifecycle.Delivery
	// done is what has ended and is not settled, due is signaled when it has waited for settlePause.
	done    []lifecycle.Delivery
	due     chan struct{}
	pending *quartz.Timer

	delivered int
	// late is how many events in a row took too long to be settled.
	late int
}

func newFlow(r *relay) *flow {
	return &flow{
		relay: r, look: true, claimedAt: r.clock.Now("executor", "relay"), ended: make(chan lifecycle.Delivery, r.concurrency), due: make(chan struct{}, 1),
	}
}

// run returns the errors of the store, the first of which ended it, when all deliveries have ended.
func (f *flow) run(ctx context.Context) error {
	err := f.serve(ctx)
	return errors.Join(err, f.drain(ctx))
}

// serve delivers until nothing can be claimed and no delivery is under way, or the store fails.
func (f *flow) serve(ctx context.Context) error {
	for {
		err := f.fill(ctx)
		switch {
		case err != nil:
		case f.running > 0:
			err = f.await(ctx)
		case len(f.done) > 0:
			err = f.settleDone(ctx)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fill gives free places to what was claimed, and claims.
func (f *flow) fill(ctx context.Context) error {
	for f.running < f.concurrency {
		if len(f.line) > 0 {
			f.begin(ctx)
			continue
		}
		if !f.look || ctx.Err() != nil {
			return nil
		}
		// What follows an event in its workspace can only be claimed when that one is settled.
		if err := f.settleDone(ctx); err != nil {
			return err
		}
		if err := f.claimLine(ctx); err != nil {
			return err
		}
	}
	return nil
}

// claimLine claims a page; no more than finds places at once, if the last one took longer than a timeout to begin.
func (f *flow) claimLine(ctx context.Context) error {
	limit := relayPage
	if f.waited() {
		limit = min(limit, f.concurrency)
	}
	events, leaseEnds, err := f.claim(ctx, limit)
	if err != nil {
		return err
	}
	f.line, f.leaseEnds, f.look = mixed(events), leaseEnds, len(events) > 0
	f.claimedAt = f.clock.Now("executor", "relay")
	return nil
}

// waited reports whether a timeout has passed since the last claim.
func (f *flow) waited() bool { return f.clock.Since(f.claimedAt, "executor", "relay") >= f.timeout }

// begin delivers the first event of the line, or gives the line back: what could outlive its lease would be delivered by another
// relay at the same time, and what has waited for a timeout stands behind deliveries that hang.
func (f *flow) begin(ctx context.Context) {
	now := micros.Of(f.clock.Now("executor", "deliver"))
	if ctx.Err() != nil || f.waited() || now.Add(f.timeout).After(f.leaseEnds) {
		f.giveBack(now)
		return
	}
	e := f.line[0]
	f.line = f.line[1:]
	f.running++
	go func() { f.ended <- lifecycle.Delivery{Seq: e.Seq, RetryAt: f.deliver(ctx, e)} }()
}

// giveBack ends the claims of what has not begun.
func (f *flow) giveBack(now time.Time) {
	for _, e := range f.line {
		f.end(lifecycle.Delivery{Seq: e.Seq, RetryAt: now, Untried: true})
	}
	f.line = nil
}

// mixed puts events in the order in which they begin: with places for a few only, each kind of a claim (see
// [lifecycle.Outbox]) is to have some.
func mixed(events []lifecycle.Event) (line []lifecycle.Event) {
	var fresh, tried []lifecycle.Event
	for _, e := range events {
		if e.Attempt > 1 {
			tried = append(tried, e)
		} else {
			fresh = append(fresh, e)
		}
	}
	take := func(from *[]lifecycle.Event, i int) {
		if len(*from) > 0 {
			line = append(line, (*from)[i])
			*from = slices.Delete(*from, i, i+1)
		}
	}
	for len(line) < len(events) {
		take(&fresh, 0)
		take(&tried, 0)
		take(&fresh, max(len(fresh)-1, 0))
	}
	return line
}

// await waits until a delivery has ended, what has ended is to be settled, or something may be claimable.
func (f *flow) await(ctx context.Context) error {
	if f.running < f.concurrency {
		again := f.lookLater()
		defer again.Stop("executor", "relay")
	}
	select {
	case d := <-f.ended:
		f.running--
		f.end(d)
		f.collect()
		if len(f.done) < relayPage {
			return nil
		}
	case <-f.wrote:
		f.look = true
		return nil
	case <-f.due:
	}
	return f.settleDone(ctx)
}

// collect takes what else has ended.
func (f *flow) collect() {
	for {
		select {
		case d := <-f.ended:
			f.running--
			f.end(d)
		default:
			return
		}
	}
}

// end notes the end of a claim.
func (f *flow) end(d lifecycle.Delivery) {
	if d.RetryAt.IsZero() {
		f.delivered++
	}
	if f.done = append(f.done, d); len(f.done) == 1 {
		f.pending = f.clock.AfterFunc(settlePause, func() { signal(f.due) }, "executor", "settle")
	}
}

// settleDone settles what has ended; more may be claimable then.
func (f *flow) settleDone(ctx context.Context) error {
	if len(f.done) == 0 {
		return nil
	}
	f.pending.Stop("executor", "settle")
	done := f.done
	f.done, f.look = nil, true
	return f.settle(ctx, done)
}

// maxLateEvents is how many events in a row may take too long to be settled until the store itself is slow.
const maxLateEvents = 3

// settle ends claims. Where that takes too long together each goes alone, and what takes too long alone is delivered again: a trigger of the
// host that takes its time over one event would have all that are settled with it delivered again, and again. If hardly one can be settled it
// is the store. At the end of ctx there is no time for that.
func (f *flow) settle(ctx context.Context, deliveries []lifecycle.Delivery) error {
	late, err := f.settleAll(ctx, deliveries)
	if err == nil {
		f.late = 0
	}
	if !late || ctx.Err() != nil {
		return err
	}
	for i, d := range deliveries {
		if len(deliveries) > 1 {
			late, err = f.settleAll(ctx, deliveries[i:i+1])
		}
		if err == nil {
			f.late = 0
			continue
		}
		if f.late++; !late || ctx.Err() != nil || f.late >= maxLateEvents {
			return err
		}
		f.logger.WarnContext(ctx, "executor: event not settled, and will be delivered again", "seq", d.Seq, "error", err)
	}
	return nil
}

// drain waits for the deliveries that are under way after an error of the store, gives back what has not begun and settles what
// it can.
func (f *flow) drain(ctx context.Context) error {
	f.giveBack(micros.Of(f.clock.Now("executor", "deliver")))
	for ; f.running > 0; f.running-- {
		f.end(<-f.ended)
	}
	return f.settleDone(ctx)
}
