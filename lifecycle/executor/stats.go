package executor

import (
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// MaxNamed is how many workspaces a map of [Stats] names at most. Those beyond are counted only.
const MaxNamed = 10_000

// Stats reports what one tick did. Only what was committed counts as done. The maps name up to [MaxNamed] workspaces each, so
// that a tick after an outage, with a million due, leaves no maps of a million behind.
type Stats struct {
	// At is the instant of the tick, truncated to the granularity.
	At time.Time
	// Count counts the workspaces of the maps below, also those beyond MaxNamed. A workspace that is beyond it may count
	// twice in Count.Errors and Count.Skipped if both its build and its postponement failed.
	Count Counts
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
	skips map[lifecycle.SkipReason]int
}

// Counts are numbers of workspaces.
type Counts struct {
	Transitions, Errors, Skipped int
}

// failed notes an error of a workspace.
func (s *Stats) failed(id uuid.UUID, err error) {
	if name(s.Errors, id, err) {
		s.Count.Errors++
	}
}

// skip notes that something due was not done, and why.
func (s *Stats) skip(id uuid.UUID, why lifecycle.SkipReason) {
	before, again := s.Skipped[id]
	if again {
		s.skips[before]--
	}
	s.skips[why]++
	if name(s.Skipped, id, why) {
		s.Count.Skipped++
	}
}

// name puts a workspace into a map unless that is full, and reports whether it was not there.
func name[V any](m map[uuid.UUID]V, id uuid.UUID, v V) bool {
	_, again := m[id]
	if again || len(m) < MaxNamed {
		m[id] = v
	}
	return !again
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
		slog.Int("transitions", s.Count.Transitions), slog.Int("errors", s.Count.Errors), slog.Int("evaluated", s.Evaluated),
		slog.Int("rearmed", s.Rearmed), slog.Int("marked", s.Marked), slog.Int("conflicts", s.Conflicts),
		slog.Int("held", s.Held), slog.Duration("elapsed", s.Elapsed),
	)
}

// tally collects the Stats of a tick from several goroutines.
type tally struct {
	mu sync.Mutex
	s  Stats
	// made are the transitions that are named; they become a map of known size at the end.
	made []made
	// written and refused count changes; refusal is the last error of those.
	written, refused int
	refusal          error
	// lost are workspaces whose change was a conflict, as many as findLocked looks at.
	lost conflicts
}

type made struct {
	id         uuid.UUID
	transition lifecycle.Transition
}

func newTally(at time.Time) *tally {
	return &tally{lost: conflicts{}, s: Stats{At: at, Errors: map[uuid.UUID]error{}, Skipped: map[uuid.UUID]lifecycle.SkipReason{}, skips: map[lifecycle.SkipReason]int{}}}
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
