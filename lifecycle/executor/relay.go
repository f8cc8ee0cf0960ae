package executor

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/coder/quartz"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
)

const (
	// relayPage is the number of events that one claim takes.
	relayPage = 256
	// leaseFactor is the lease of a claim in delivery timeouts.
	leaseFactor = 3
	// settlePause is how long what was received waits for more to be settled with it.
	settlePause = 100 * time.Millisecond

	retryFirst = time.Second
	retryLimit = 10 * time.Minute
)

// relay delivers the events of one topic to its sink. It claims no other topic's events, so a sink that hangs or fails
// delays its own topic alone. Where it hangs or fails for some workspaces, it delays theirs: see [flow].
type relay struct {
	topic  lifecycle.Topic
	sink   Sink
	outbox lifecycle.Outbox
	*caller
	// wrote is signaled when this process wrote events of the topic; interval is how often the relay looks without it.
	wrote       chan struct{}
	interval    time.Duration
	timeout     time.Duration
	concurrency int
	metrics     *eventMetrics
}

// run delivers until ctx ends.
func (r *relay) run(ctx context.Context) {
	for ctx.Err() == nil {
		if _, err := r.deliverWaiting(ctx); err != nil {
			warn(ctx, r.logger, "relay events of topic "+r.topic.String(), err)
		}
		again := r.lookLater()
		select {
		case <-ctx.Done():
		case <-r.wrote:
		}
		again.Stop("executor", "relay")
	}
}

// lookLater has the relay look for what other processes wrote.
func (r *relay) lookLater() *quartz.Timer {
	return r.clock.AfterFunc(r.interval, func() { signal(r.wrote) }, "executor", "relay")
}

// deliverWaiting delivers until no event can be claimed and no delivery is under way. The error is the store's.
func (r *relay) deliverWaiting(ctx context.Context) (delivered int, err error) {
	f := newFlow(r)
	err = f.run(ctx)
	return f.delivered, cmp.Or(err, ctx.Err())
}

// claim leases a page of events.
func (r *relay) claim(ctx context.Context, limit int) (events []lifecycle.Event, leaseEnds time.Time, err error) {
	now := micros.Of(r.clock.Now("executor", "relay"))
	lease := leaseFactor * r.timeout
	events, err = r.outbox.ClaimEvents(ctx, now, []lifecycle.Topic{r.topic}, lease, limit)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("claim events of topic %s: %w", r.topic, err)
	}
	return events, now.Add(lease), nil
}

// settleAll ends claims in one call, and reports whether that took too long. The end of ctx does not stop it: what was delivered would be
// delivered again.
func (r *relay) settleAll(ctx context.Context, deliveries []lifecycle.Delivery) (late bool, err error) {
	ctx, cancel := afterwards(ctx, r.clock)
	defer cancel()
	if err := r.outbox.SettleEvents(ctx, micros.Of(r.clock.Now("executor", "relay")), deliveries); err != nil {
		late := !isStuck(err) && (isLate(err) || ctx.Err() != nil)
		return late, fmt.Errorf("settle %s of topic %s: %w", text.Count(len(deliveries), "event", "events"), r.topic, err)
	}
	return false, nil
}

// deliver hands an event to the sink and returns when to try again, zero if it was received.
func (r *relay) deliver(ctx context.Context, e lifecycle.Event) time.Time {
	name := outcall.Name{Kind: "deliver an event of topic " + r.topic.String(), One: "deliver event " + e.Key()}
	err := callOne(ctx, r.caller, r.timeout, name, func(ctx context.Context) error { return r.sink(ctx, e) })
	r.metrics.attempt(r.topic, err)
	if err == nil {
		return time.Time{}
	}
	r.logger.WarnContext(ctx, "executor: event not delivered", "event", e.Key(), "attempt", e.Attempt, "error", err)
	pause := backoff.Doubled(retryFirst, max(e.Attempt-1, 0), retryLimit)
	spread := backoff.Spread(pause, e.WorkspaceID, uint64(e.Seq)+uint64(e.Attempt))
	return micros.Of(r.clock.Now("executor", "deliver").Add(pause + spread))
}
