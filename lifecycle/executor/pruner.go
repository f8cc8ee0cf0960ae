package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/coder/quartz"

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
	builds lifecycle.Pruner // nil if builds are kept for ever
	events lifecycle.Outbox // nil if events are kept for ever
	// retention and eventRetention are how long builds and events are kept.
	retention, eventRetention time.Duration
	clock                     quartz.Clock
	logger                    *slog.Logger
	metrics                   *eventMetrics
}

// newPruner returns the pruner that a configuration asks for, nil if it asks for none.
func newPruner(store lifecycle.Store, cfg Config, clock quartz.Clock, logger *slog.Logger, metrics *eventMetrics) *pruner {
	p := &pruner{
		retention: cfg.Retention, eventRetention: cfg.EventRetention, clock: clock, logger: logger, metrics: metrics,
	}
	if cfg.Retention > 0 {
		p.builds, _ = store.(lifecycle.Pruner)
	}
	if cfg.EventRetention > 0 {
		p.events, _ = store.(lifecycle.Outbox)
	}
	if p.builds == nil && p.events == nil {
		return nil
	}
	return p
}

// run prunes until ctx ends.
func (p *pruner) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := errors.Join(p.pruneBuilds(ctx), p.pruneEvents(ctx)); err != nil && ctx.Err() == nil {
			warn(ctx, p.logger, "prune", err)
		}
		pause(ctx, p.clock, pruneInterval)
	}
}

func (p *pruner) pruneBuilds(ctx context.Context) error {
	if p.builds == nil {
		return nil
	}
	before := p.ago(p.retention)
	for {
		n, err := p.builds.PruneBuilds(ctx, before, prunePage)
		if err != nil {
			return fmt.Errorf("prune builds: %w", err)
		}
		if n < prunePage {
			return nil
		}
	}
}

func (p *pruner) pruneEvents(ctx context.Context) error {
	if p.events == nil {
		return nil
	}
	before := p.ago(p.eventRetention)
	for {
		events, err := p.events.PruneEvents(ctx, before, prunable.List(), prunePage)
		if err != nil {
			return fmt.Errorf("prune events: %w", err)
		}
		for _, e := range events {
			p.metrics.pruned(e.Topic)
			p.logger.WarnContext(ctx, "executor: event pruned undelivered", "event", e.Key(), "at", e.At, "attempts", e.Attempt)
		}
		if len(events) < prunePage {
			return nil
		}
	}
}

func (p *pruner) ago(d time.Duration) time.Time {
	return micros.Of(p.clock.Now("executor", "prune").Add(-d))
}
