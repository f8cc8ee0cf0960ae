package executor

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Stats reports what one tick did. Only what was committed counts as done.
type Stats struct {
	// At is the instant of the tick, truncated to the granularity.
	At time.Time
	// Transitions are the builds that were queued, by workspace.
	Transitions map[uuid.UUID]lifecycle.Transition
	// Errors are what went wrong, by workspace. No other workspace is affected, and the one at fault backs off.
	Errors map[uuid.UUID]error
	// Skipped are the workspaces for which something was due and not done, and why. It includes those of Errors, unless
	// the error prevented nothing.
	Skipped map[uuid.UUID]lifecycle.SkipReason
	// Evaluated counts the workspaces that were read and decided on; Rearmed those where nothing was due yet.
	Evaluated, Rearmed int
	// Marked counts the changes without a build: dormancy of a stopped workspace, reminders, extensions, missed starts.
	Marked int
	// Conflicts counts the changes that came too late because something else had changed the workspace. The next tick
	// evaluates it again.
	Conflicts int
	// Held counts the transitions that MaxTransitions or MaxPerTemplate held back.
	Held int
	// Left counts the workspaces that stay due: held back, in conflict, or rejected by the store.
	Left int
	// Err is why the tick ended before its end, nil if it did not: the store failed or the context ended.
	Err error
	// Elapsed is how long the tick took.
	Elapsed time.Duration

	shard lifecycle.Shard // of the replica, in this tick
}

// Stats returns what the last tick that ended did, the zero value before the first. The maps are copies.
func (e *Executor) Stats() Stats {
	last := e.last.Load()
	if last == nil {
		return Stats{}
	}
	s := *last
	s.Transitions, s.Errors, s.Skipped = maps.Clone(s.Transitions), maps.Clone(s.Errors), maps.Clone(s.Skipped)
	return s
}

// LogValue implements slog.LogValuer.
func (s Stats) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("transitions", len(s.Transitions)), slog.Int("errors", len(s.Errors)), slog.Int("evaluated", s.Evaluated),
		slog.Int("rearmed", s.Rearmed), slog.Int("marked", s.Marked), slog.Int("conflicts", s.Conflicts),
		slog.Int("held", s.Held), slog.Duration("elapsed", s.Elapsed),
	)
}

// tally collects the Stats of a tick from several goroutines.
type tally struct {
	mu sync.Mutex
	s  Stats
	// made are the transitions; they become a map of known size at the end.
	made []made
	// written and refused count changes; refusal is the last error of those.
	written, refused int
	refusal          error
	// lost are the workspaces whose change was a conflict.
	lost []*lifecycle.Snapshot
}

type made struct {
	id         uuid.UUID
	transition lifecycle.Transition
}

func newTally(at time.Time) *tally {
	return &tally{s: Stats{At: at, Errors: map[uuid.UUID]error{}, Skipped: map[uuid.UUID]lifecycle.SkipReason{}}}
}

// update changes the stats under their lock.
func (t *tally) update(change func(*Stats)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.s)
}

func (t *tally) stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.Transitions = make(map[uuid.UUID]lifecycle.Transition, len(t.made))
	for _, m := range t.made {
		t.s.Transitions[m.id] = m.transition
	}
	return t.s
}
