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
	// prunePage limits one deletion, so that it holds no lock for long.
	prunePage = 500
)

// prunable are the topics whose events may be pruned. A job to post may not: its build waits for it.
const prunable lifecycle.Topics = lifecycle.AllTopics &^ (1 << lifecycle.TopicPost)

// pruner deletes what is older than its retention.
type pruner struct {
	*bounded
	// retention and eventRetention are how long builds and events are kept, 0 for ever.
	retention, eventRetention time.Duration
	metrics                   *eventMetrics
}

// newPruner returns the pruner that a configuration asks for, nil if it asks for none.
func newPruner(store *bounded, cfg Config, metrics *eventMetrics) *pruner {
	if cfg.Retention <= 0 && cfg.EventRetention <= 0 {
		return nil
	}
	return &pruner{bounded: store, retention: cfg.Retention, eventRetention: cfg.EventRetention, metrics: metrics}
}

// run prunes until ctx ends.
func (p *pruner) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := errors.Join(p.pruneBuilds(ctx), p.pruneEvents(ctx)); err != nil {
			warn(ctx, p.logger, "prune", err)
		}
		pause(ctx, p.clock, pruneInterval)
	}
}

func (p *pruner) pruneBuilds(ctx context.Context) error {
	if p.retention <= 0 {
		return nil
	}
	before := p.ago(p.retention)
	for {
		n, err := p.PruneBuilds(ctx, before, prunePage)
		if err != nil {
			return fmt.Errorf("prune builds: %w", err)
		}
		if n < prunePage {
			return nil
		}
	}
}

func (p *pruner) pruneEvents(ctx context.Context) error {
	if p.eventRetention <= 0 {
		return nil
	}
	before := p.ago(p.eventRetention)
	for {
		events, err := p.PruneEvents(ctx, before, prunable.List(), prunePage)
		for _, e := range events {
			p.metrics.pruned(e.Topic)
			p.logger.WarnContext(ctx, "executor: event pruned undelivered", "event", e.Key(), "at", e.At, "attempts", e.Attempt)
		}
		if err != nil {
			return fmt.Errorf("prune events: %w", err)
		}
		if len(events) < prunePage {
			return nil
		}
	}
}

func (p *pruner) ago(d time.Duration) time.Time {
	return micros.Of(p.clock.Now("executor", "prune").Add(-d))
}
