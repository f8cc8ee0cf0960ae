package prewarm

import (
	"cmp"
	"context"
	"errors"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// The store writes all changes of a call or none. One that it refuses, as a constraint or a trigger of the host has it do, would keep the whole
// pool as it is, with each plan anew. So changes that are refused are written by halves, until the one in the way is alone.

// maxRefused is how many changes of one call are found so: where the store refuses all, each is as good as the last.
const maxRefused = 20

// putApart is put for changes that need not be written together. With a state each part is written over what the one before has left: another
// replica that plans meanwhile is a conflict, as ever. The error is the first one. What is applied is so beside it.
func (p *Pool) putApart(ctx context.Context, state *PoolState, changes []Change) ([]bool, error) {
	w := apart{p: p, changes: changes, applied: make([]bool, len(changes))}
	if state != nil {
		next := *state
		w.state = &next
	}
	err := w.put(ctx, 0, len(changes))
	return w.applied, cmp.Or(w.first, err)
}

// apart is such a call.
type apart struct {
	p       *Pool
	state   *PoolState
	changes []Change
	applied []bool
	refused int
	first   error // of a change alone
}

// put writes the changes from one number up to another, but for those that are refused. An error ends the call.
func (w *apart) put(ctx context.Context, from, to int) error {
	applied, err := w.p.put(ctx, w.state, w.changes[from:to])
	switch {
	case err == nil:
		copy(w.applied[from:to], applied)
		if w.state != nil {
			w.state.Revision++
		}
		return nil
	case len(w.changes) < 2 || w.refused == maxRefused || !refusesSome(ctx, err):
		return err
	case to-from == 1:
		w.refused, w.first = w.refused+1, cmp.Or(w.first, err)
		return nil
	}
	middle := (from + to) / 2
	if err := w.put(ctx, from, middle); err != nil {
		return err
	}
	return w.put(ctx, middle, to)
}

// refusesSome reports whether an error may be about some of the changes alone: not one of the store as a whole, of another replica, or of a
// call that took too long.
func refusesSome(ctx context.Context, err error) bool {
	return ctx.Err() == nil && !isConflict(err) && !errors.Is(err, lifecycle.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded)
}
