package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// manyFailures is how many commits in a row may fail before changes are tried one by one: where so many are refused, halving
// them only adds commits. One bad row in a batch of n fails about log2(n) commits before its neighbors succeed.
const manyFailures = 40

// verdict is what became of one change.
type verdict struct {
	// settled: the outcome or the error is known. Without it the change was not tried.
	settled bool
	outcome lifecycle.Outcome
	// err is why the store rejects the change itself.
	err error
}

// applied reports whether the change is written.
func (v verdict) applied() bool {
	return v.settled && v.err == nil && v.outcome == lifecycle.Applied
}

// write commits changes made from the client's own reads, announces their events, and reports on each.
func (c *Client) write(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]verdict, error) {
	return c.writeBy(ctx, &writer{store: c.store, now: now, hurried: hurried{c.store}}, changes)
}

// writeBy is write with a writer of the caller's.
func (c *Client) writeBy(ctx context.Context, w *writer, changes []lifecycle.Change) ([]verdict, error) {
	verdicts, err := w.write(ctx, changes)
	var written lifecycle.Topics
	for i, v := range verdicts {
		if v.applied() {
			written |= topicsOf(changes[i].Events)
		}
	}
	c.committed(ctx, written, nil)
	return verdicts, err
}

// writer commits changes so that one the store rejects keeps none of the others from being applied, however many it rejects.
type writer struct {
	store    lifecycle.Store
	now      time.Time
	failures int // in a row
	// hurried is the store for the parts of a commit that took too long: each call may take a part of its time. Nil: such a commit is not
	// made in parts.
	hurried lifecycle.Store
}

// write commits the changes and reports on each. The error is that of the store as a whole; changes without a settled
// verdict were then not applied, as far as can be known.
func (w *writer) write(ctx context.Context, changes []lifecycle.Change) ([]verdict, error) {
	verdicts := make([]verdict, len(changes))
	return verdicts, w.bisect(ctx, changes, verdicts)
}

// bisect commits the changes together. If that fails it halves them, until the one at fault is alone.
func (w *writer) bisect(ctx context.Context, changes []lifecycle.Change, verdicts []verdict) error {
	if len(changes) == 0 {
		return nil
	}
	outcomes, err := w.store.Commit(ctx, w.now, changes)
	if err == nil && len(outcomes) != len(changes) {
		return fmt.Errorf("commit of %s: store reported %s",
			text.Count(len(changes), "change", "changes"), text.Count(len(outcomes), "outcome", "outcomes"))
	}
	if err == nil {
		w.failures = 0
		for i, o := range outcomes {
			verdicts[i] = verdict{settled: true, outcome: o}
		}
		return nil
	}
	if at := rejectedOne(changes, err); at >= 0 {
		verdicts[at] = verdict{settled: true, err: err}
		return w.both(ctx, changes, verdicts, at, at+1)
	}
	if w.hurried != nil && ctx.Err() == nil && len(changes) > 1 && isLate(err) && !isStuck(err) {
		return w.hurry(ctx, changes, verdicts, err)
	}
	if ctx.Err() != nil || errors.Is(err, lifecycle.ErrUnavailable) {
		return fmt.Errorf("commit of %s: %w", text.Count(len(changes), "change", "changes"), err)
	}
	w.failures++
	if len(changes) == 1 {
		verdicts[0] = verdict{settled: true, err: err}
		return nil
	}
	if w.failures >= manyFailures {
		return w.each(ctx, changes, verdicts)
	}
	half := len(changes) / 2
	return w.both(ctx, changes, verdicts, half, half)
}

// both bisects the changes before one index and those from another one on.
func (w *writer) both(ctx context.Context, changes []lifecycle.Change, verdicts []verdict, end, begin int) error {
	if err := w.bisect(ctx, changes[:end], verdicts[:end]); err != nil {
		return err
	}
	return w.bisect(ctx, changes[begin:], verdicts[begin:])
}

// each commits the changes one by one.
func (w *writer) each(ctx context.Context, changes []lifecycle.Change, verdicts []verdict) error {
	for i := range changes {
		if err := w.bisect(ctx, changes[i:i+1], verdicts[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

const (
	// lateInARow is after how many parts in a row that take too long the store itself is slow: with several slow rows in a batch, halves of
	// halves of it are written.
	lateInARow = 6
	// lateParts bounds them all, and so how long a batch with many slow rows takes.
	lateParts = 16
)

// hurry commits in parts what took too long together: a trigger of the host that takes its time over one row would keep all others of the
// batch from being written, in every tick. The largest parts come first, those that take too long too are halved, until the row is alone. That
// is its error then. late is that of the whole batch, and of the store if hardly a part can be written.
func (w *writer) hurry(ctx context.Context, changes []lifecycle.Change, verdicts []verdict, late error) error {
	half := len(changes) / 2
	parts := [][2]int{{0, half}, {half, len(changes)}}
	for all, inARow := 0, 0; len(parts) > 0; parts = parts[1:] {
		from, to := parts[0][0], parts[0][1]
		part := writer{store: w.hurried, now: w.now}
		err := part.bisect(ctx, changes[from:to], verdicts[from:to])
		var slow *TimeoutError
		switch {
		case err == nil:
			inARow = 0
			continue
		case ctx.Err() != nil || isStuck(err) || !errors.As(err, &slow):
			return err
		}
		if all, inARow = all+1, inARow+1; all > lateParts || inARow > lateInARow {
			return fmt.Errorf("commit of %s: %w", text.Count(len(changes), "change", "changes"), late)
		}
		if from += settled(verdicts[from:to]); to-from == 1 {
			verdicts[from] = verdict{settled: true, err: slow}
			continue
		}
		middle := (from + to) / 2
		parts = append(parts, [2]int{from, middle}, [2]int{middle, to})
	}
	return nil
}

// settled counts the verdicts at the beginning of a part that failed. These changes were committed, or refused, before another one took too
// long: to commit them again would find them changed, and call that a conflict.
func settled(verdicts []verdict) (n int) {
	for n < len(verdicts) && verdicts[n].settled {
		n++
	}
	return n
}

// rejectedOne finds the change that an error of the store names, -1 if there is none.
func rejectedOne(changes []lifecycle.Change, err error) int {
	var named *lifecycle.ChangeError
	if !errors.As(err, &named) {
		return -1
	}
	return slices.IndexFunc(changes, func(c lifecycle.Change) bool { return c.Workspace.ID == named.WorkspaceID })
}
