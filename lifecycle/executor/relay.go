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
	// relayPage is how many events are claimed at a time.
	relayPage = 256
	// leaseFactor is the lease of a claim in delivery timeouts.
	leaseFactor = 3

	retryFirst = time.Second
	retryLimit = 10 * time.Minute
)

// Relay delivers the events that are waiting and returns how many were delivered. Run does it by itself; a host that
// drives ticks calls it after them. Any number of relays may run on one store. The error is that of the store; a sink
// that fails only delays its own event.
func (e *Executor) Relay(ctx context.Context) (delivered int, err error) {
	outbox, ok := e.store.(lifecycle.Outbox)
	if !ok || e.topics == 0 {
		return 0, nil
	}
	for ctx.Err() == nil {
		now := micros.Of(e.clock.Now("executor", "relay"))
		lease := leaseFactor * e.cfg.DeliveryTimeout
		events, err := outbox.ClaimEvents(ctx, now, e.topics.List(), lease, relayPage)
		if err != nil {
			return delivered, fmt.Errorf("claim events: %w", err)
		}
		if len(events) == 0 {
			return delivered, nil
		}
		deliveries := e.deliverAll(ctx, events, now.Add(lease))
		for _, d := range deliveries {
			if d.RetryAt.IsZero() {
				delivered++
			}
		}
		if err := e.settleEvents(ctx, outbox, deliveries); err != nil {
			return delivered, err
		}
	}
	return delivered, ctx.Err()
}

// settleEvents ends claims. It is not cut short by the end of ctx: what was delivered would be delivered again.
func (e *Executor) settleEvents(ctx context.Context, outbox lifecycle.Outbox, deliveries []lifecycle.Delivery) error {
	ctx, cancel := e.timeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := outbox.SettleEvents(ctx, micros.Of(e.clock.Now("executor", "relay")), deliveries); err != nil {
		return fmt.Errorf("settle %d events: %w", len(deliveries), err)
	}
	return nil
}

// deliverAll delivers claimed events, several at a time, and says for each how it went.
func (e *Executor) deliverAll(ctx context.Context, events []lifecycle.Event, leaseEnds time.Time) []lifecycle.Delivery {
	deliveries := make([]lifecycle.Delivery, len(events))
	var g errgroup.Group
	g.SetLimit(e.cfg.Concurrency)
	for i, ev := range events {
		g.Go(func() error {
			deliveries[i] = lifecycle.Delivery{Seq: ev.Seq, RetryAt: e.deliver(ctx, ev, leaseEnds)}
			return nil
		})
	}
	_ = g.Wait() // the tasks report in their deliveries
	return deliveries
}

// deliver hands an event to its sink and returns when to try again, zero if it went well.
func (e *Executor) deliver(ctx context.Context, ev lifecycle.Event, leaseEnds time.Time) time.Time {
	now := micros.Of(e.clock.Now("executor", "deliver"))
	// What would outlive its lease is given back untouched; somebody else would deliver it at the same time.
	if ctx.Err() != nil || now.Add(e.cfg.DeliveryTimeout).After(leaseEnds) {
		return now
	}
	sink, cancel := e.timeout(ctx, e.cfg.DeliveryTimeout)
	defer cancel()
	err := guard(func() error { return e.cfg.sink(ev.Topic)(sink, ev) })
	e.metrics.delivery(ev.Topic, err)
	if err == nil {
		return time.Time{}
	}
	e.cfg.Logger.WarnContext(ctx, "lifecycle: event not delivered", "event", ev.Key(), "attempt", ev.Attempt, "error", err)
	pause := backoff.Doubled(retryFirst, max(ev.Attempt-1, 0), retryLimit)
	spread := backoff.Spread(pause, ev.WorkspaceID, uint64(ev.Seq)+uint64(ev.Attempt))
	return micros.Of(e.clock.Now("executor", "deliver").Add(pause + spread))
}

// runRelay delivers until ctx ends: when a commit of this process wrote events, and from time to time.
func (e *Executor) runRelay(ctx context.Context) {
	if e.topics == 0 {
		return
	}
	for ctx.Err() == nil {
		if _, err := e.Relay(ctx); err != nil && ctx.Err() == nil {
			e.warn(ctx, "relay events", err)
		}
		wake := e.clock.AfterFunc(e.cfg.RelayInterval, func() { signal(e.relayC) }, "executor", "relay")
		select {
		case <-ctx.Done():
		case <-e.relayC:
		}
		wake.Stop("executor", "relay")
	}
}
