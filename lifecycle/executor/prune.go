package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/lifecycle"
)

const (
	pruneInterval = time.Hour
	// prunePage bounds one deletion, so that it holds no lock for long.
	prunePage = 500
)

// prunable are the events that may be given up. A job to post may not: its build waits for it.
const prunable lifecycle.Topics = lifecycle.AllTopics &^ (1 << lifecycle.TopicPost)

// runPrune forgets what is older than the retentions until ctx ends.
func (e *Executor) runPrune(ctx context.Context) {
	for ctx.Err() == nil {
		if err := errors.Join(e.pruneBuilds(ctx), e.pruneEvents(ctx)); err != nil && ctx.Err() == nil {
			e.warn(ctx, "prune", err)
		}
		e.pause(ctx, pruneInterval)
	}
}

// prune forgets builds and workspaces.
func (e *Executor) pruneBuilds(ctx context.Context) error {
	p, ok := e.store.(lifecycle.Pruner)
	if !ok || e.cfg.Retention == 0 {
		return nil
	}
	before := e.ago(e.cfg.Retention)
	for {
		n, err := p.PruneBuilds(ctx, before, prunePage)
		if err != nil || n < prunePage {
			return err
		}
	}
}

// giveUp forgets events that nobody received.
func (e *Executor) pruneEvents(ctx context.Context) error {
	outbox, ok := e.store.(lifecycle.Outbox)
	if !ok || e.cfg.EventRetention == 0 {
		return nil
	}
	before := e.ago(e.cfg.EventRetention)
	for {
		events, err := outbox.PruneEvents(ctx, before, prunable.List(), prunePage)
		if err != nil {
			return fmt.Errorf("give up events: %w", err)
		}
		for _, ev := range events {
			e.metrics.prunedEvent(ev.Topic)
			e.cfg.Logger.WarnContext(ctx, "lifecycle: event given up", "event", ev.Key(), "at", ev.At, "attempts", ev.Attempt)
		}
		if len(events) < prunePage {
			return nil
		}
	}
}

func (e *Executor) ago(d time.Duration) time.Time {
	return micros.Of(e.clock.Now("executor", "prune").Add(-d))
}
