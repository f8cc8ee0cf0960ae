package executor

import (
	"context"
	"log/slog"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// logTransition writes one line for each transition.
func (e *Executor) logTransition(ctx context.Context, c *lifecycle.Change, d lifecycle.Decision, now time.Time) {
	if !e.logger.Enabled(ctx, slog.LevelInfo) {
		return
	}
	e.logger.LogAttrs(ctx, slog.LevelInfo, "executor: transition queued",
		slog.String("workspace_id", c.Workspace.ID.String()), slog.String("workspace", c.Workspace.Name),
		slog.String("transition", c.Build.Transition.String()), slog.String("reason", string(c.Build.Reason)),
		slog.Int64("build_number", c.Build.Number), slog.Time("due_at", d.DueAt),
		slog.Time("decided_at", c.Build.CreatedAt), slog.Duration("lag", now.Sub(d.DueAt)))
}

// logSkip writes why something due was not done: once for each reason, not at every attempt.
func (e *Executor) logSkip(ctx context.Context, s *lifecycle.Snapshot, d lifecycle.Decision, why lifecycle.SkipReason, err error) {
	level := slog.LevelDebug
	if why == lifecycle.SkipError || why == lifecycle.SkipStore {
		level = slog.LevelWarn
	}
	b := &s.Workspace.Backoff
	if again := b.Cause == why && b.Message == err.Error(); again || !e.logger.Enabled(ctx, level) {
		return
	}
	e.logger.LogAttrs(ctx, level, "executor: transition skipped",
		slog.String("workspace_id", s.Workspace.ID.String()), slog.String("workspace", s.Workspace.Name),
		slog.String("transition", d.Transition.String()), slog.String("reason", string(d.Reason)),
		slog.String("skip_reason", string(why)), slog.Time("due_at", d.DueAt), slog.Any("error", err))
}
