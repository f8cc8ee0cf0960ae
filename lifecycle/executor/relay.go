package executor

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/lifecycle"
)

const (
	// relayPage is the number of events that one claim takes.
	relayPage = 256
	// leaseFactor is the lease of a claim in delivery timeouts.
	leaseFactor = 3

	retryFirst = time.Second
	retryLimit = 10 * time.Minute
)

// relay delivers the events of one topic to its sink. It claims no other topic's events, so a sink that hangs or fails
// delays its own topic alone.
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
		if _, err := r.deliverWaiting(ctx); err != nil && ctx.Err() == nil {
			warn(ctx, r.logger, "relay events of topic "+r.topic.String(), err)
		}
		again := r.clock.AfterFunc(r.interval, func() { signal(r.wrote) }, "executor", "relay")
		select {
		case <-ctx.Done():
		case <-r.wrote:
		}
		again.Stop("executor", "relay")
	}
}

// deliverWaiting delivers page after page until no event can be claimed. The error is the store's.
func (r *relay) deliverWaiting(ctx context.Context) (delivered int, err error) {
	for ctx.Err() == nil {
		now := micros.Of(r.clock.Now("executor", "relay"))
		lease := leaseFactor * r.timeout
		events, err := r.outbox.ClaimEvents(ctx, now, []lifecycle.Topic{r.topic}, lease, relayPage)
		if err != nil {
			return delivered, fmt.Errorf("claim events of topic %s: %w", r.topic, err)
		}
		if len(events) == 0 {
			return delivered, nil
		}
		deliveries := r.deliverAll(ctx, events, now.Add(lease))
		for _, d := range deliveries {
			if d.RetryAt.IsZero() {
				delivered++
			}
		}
		if err := r.settle(ctx, deliveries); err != nil {
			return delivered, err
		}
	}
	return delivered, ctx.Err()
}

// settle ends claims. The end of ctx does not stop it: what was delivered would be delivered again.
func (r *relay) settle(ctx context.Context, deliveries []lifecycle.Delivery) error {
	ctx, cancel := afterwards(ctx, r.clock)
	defer cancel()
	if err := r.outbox.SettleEvents(ctx, micros.Of(r.clock.Now("executor", "relay")), deliveries); err != nil {
		return fmt.Errorf("settle %d events of topic %s: %w", len(deliveries), r.topic, err)
	}
	return nil
}

// deliverAll delivers claimed events, several at a time, and returns how each claim ends.
func (r *relay) deliverAll(ctx context.Context, events []lifecycle.Event, leaseEnds time.Time) []lifecycle.Delivery {
	deliveries := make([]lifecycle.Delivery, len(events))
	var g errgroup.Group
	g.SetLimit(r.concurrency)
	for i, e := range events {
		g.Go(func() error {
			deliveries[i] = lifecycle.Delivery{Seq: e.Seq, RetryAt: r.deliver(ctx, e, leaseEnds)}
			return nil
		})
	}
	_ = g.Wait() // the tasks report in their deliveries
	return deliveries
}

// deliver hands an event to the sink and returns when to try again, zero if it was received.
func (r *relay) deliver(ctx context.Context, e lifecycle.Event, leaseEnds time.Time) time.Time {
	now := micros.Of(r.clock.Now("executor", "deliver"))
	// An event that could outlive its lease is given back untouched: another relay would deliver it at the same time.
	if ctx.Err() != nil || now.Add(r.timeout).After(leaseEnds) {
		return now
	}
	_, err := call(ctx, r.caller, r.timeout, fmt.Sprintf("deliver event %s", e.Key()),
		func(ctx context.Context) (struct{}, error) { return struct{}{}, r.sink(ctx, e) })
	r.metrics.attempt(r.topic, err)
	if err == nil {
		return time.Time{}
	}
	r.logger.WarnContext(ctx, "executor: event not delivered", "event", e.Key(), "attempt", e.Attempt, "error", err)
	pause := backoff.Doubled(retryFirst, max(e.Attempt-1, 0), retryLimit)
	spread := backoff.Spread(pause, e.WorkspaceID, uint64(e.Seq)+uint64(e.Attempt))
	return micros.Of(r.clock.Now("executor", "deliver").Add(pause + spread))
}
