package executor

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// blocked leaves a workspace alone that the store refused altogether a while ago. It stays due, and visible.
func (r *run) blocked(s *lifecycle.Snapshot) bool {
	o, ok := r.e.obstacles.find(s)
	if !ok || !r.now.Before(o.until) {
		return false
	}
	r.tally.update(func(st *Stats) {
		st.failed(s.Workspace.ID, o.err)
		st.skip(s.Workspace.ID, lifecycle.SkipStore)
		st.Left++
	})
	return true
}

// yields reports a workspace whose row somebody holds: with the place that it has by its age it would keep one that is free
// waiting at every tick.
func (r *run) yields(s *lifecycle.Snapshot) bool { return r.e.obstacles.yieldsAt(s, r.began) }

// crowded shows those that yielded and found no place.
func (r *run) crowded(works []work) {
	r.tally.update(func(st *Stats) {
		for i := range works {
			st.failed(works[i].s.Workspace.ID, errLocked)
			st.skip(works[i].s.Workspace.ID, lifecycle.SkipStore)
		}
	})
}

// lost notes a change that was a conflict.
func (r *run) lost(o *origin) {
	r.tally.update(func(*Stats) {
		if len(r.tally.lost) < r.e.cfg.PageSize {
			r.tally.lost[o.s.Workspace.ID] = o.s.Workspace.Revision
		}
	})
}

// afterwards says what was in the way of a tick that came to its end.
func (r *run) afterwards(ctx context.Context) error {
	r.findLocked(ctx)
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	if r.tally.written > 0 || r.tally.refused < manyFailures {
		return nil
	}
	// Not the fault of single workspaces: they are tried again at once.
	r.e.obstacles.forget()
	return fmt.Errorf("the store refused all of %d changes, the last: %w", r.tally.refused, r.tally.refusal)
}

// findLocked tells the conflicts apart: those with a change of somebody else, and those with somebody who holds the row.
func (r *run) findLocked(ctx context.Context) {
	lost := r.tally.lost
	if len(lost) == 0 {
		return
	}
	found, err := r.e.store.Reload(ctx, lost.ids()...)
	if err != nil {
		warn(ctx, r.e.logger, "look for locked rows", err)
		return
	}
	for i := range found {
		if lost.held(&found[i]) {
			r.locked(ctx, &found[i])
		}
	}
}

// locked reports a workspace whose row somebody holds for longer than a commit takes. It stays due, and the next tick tries
// again.
func (r *run) locked(ctx context.Context, s *lifecycle.Snapshot) {
	held, news := r.e.obstacles.locked(s, r.e.clock.Now("executor", "locked"))
	if !held {
		return
	}
	r.tally.update(func(st *Stats) {
		st.failed(s.Workspace.ID, errLocked)
		st.skip(s.Workspace.ID, lifecycle.SkipStore)
	})
	if news {
		r.e.logger.LogAttrs(ctx, slog.LevelWarn, "executor: workspace is locked",
			slog.String("workspace_id", s.Workspace.ID.String()), slog.String("workspace", s.Workspace.Name), slog.Any("error", errLocked))
	}
}
