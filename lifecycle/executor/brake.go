package executor

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

var errBraked = errors.New("rules ask for more deletions within an hour than the brake lets pass; " +
	"it goes on when there is room, or at once when deletions are released (Engine.DeletionsReleasedUntil)")

// brake asks the store which deletions may be made, and postpones the others. If the store cannot say, none is made.
func (r *run) brake(ctx context.Context, works []work) []work {
	due := deletionsOf(works)
	if r.e.store.braker == nil || len(due) == 0 {
		return works
	}
	limits := lifecycle.Brake{Max: r.e.cfg.MaxDeletions, MaxPerTemplate: r.e.cfg.MaxDeletionsPerTemplate}
	ids, err := r.e.store.AdmitDeletions(ctx, r.now, limits, due)
	if errors.Is(err, lifecycle.ErrUnavailable) {
		r.fail(err)
		return nil
	}
	admitted := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		admitted[id] = true
	}
	var newly int
	works = slices.DeleteFunc(works, func(w work) bool {
		switch {
		case w.d.Transition != lifecycle.TransitionDelete || admitted[w.s.Workspace.ID]:
			return false
		case err != nil:
			r.postpone(ctx, &w, err)
			return true
		case w.s.Workspace.Backoff.Cause != lifecycle.SkipBrake:
			newly++
		}
		r.postpone(ctx, &w, errBraked)
		return true
	})
	if newly > 0 {
		r.e.logger.WarnContext(ctx, "executor: deletions held by the brake", "held", newly, "admitted", len(ids))
	}
	return works
}

func deletionsOf(works []work) (due []lifecycle.DueDeletion) {
	for i := range works {
		if w := &works[i]; w.d.Transition == lifecycle.TransitionDelete {
			due = append(due, lifecycle.DueDeletion{
				WorkspaceID: w.s.Workspace.ID, TemplateID: w.s.Workspace.TemplateID, DueAt: w.d.DueAt,
			})
		}
	}
	return due
}
