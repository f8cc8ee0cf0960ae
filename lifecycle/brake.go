package lifecycle

import (
	"bytes"
	"cmp"
	"slices"
	"time"
)

// Brake bounds how many deletions rules make within an hour, so that a mistake in a policy, or a clock that jumped, does not
// take the work of many people before anybody looks. It is for whoever runs ticks, who also counts.
type Brake struct {
	// Max is how many deletions may be made within an hour, 0 for [MaxDeletions] of the workspaces.
	Max int
	// Workspaces is how many there are.
	Workspaces int
	// Made is how many were made in the hour before now.
	Made int
	// ReleasedUntil is [Engine.DeletionsReleasedUntil]: until then the brake is off.
	ReleasedUntil time.Time
}

// MaxDeletions is how many deletions an hour are usual for a number of workspaces: a tenth of them, and at least 10.
func MaxDeletions(workspaces int) int { return max(10, workspaces/10) }

// Room returns how many more deletions may be made at now, and whether there is a bound at all.
func (b Brake) Room(now time.Time) (n int, bounded bool) {
	if now.Before(b.ReleasedUntil) {
		return 0, false
	}
	limit := b.Max
	if limit <= 0 {
		limit = MaxDeletions(b.Workspaces)
	}
	return max(0, limit-b.Made), true
}

// DueDeletion is a deletion that a rule asks for.
type DueDeletion struct {
	Snapshot *Snapshot
	Decision Decision
}

// Admit returns the deletions that go at now, and those that wait: what has been due for longest goes first, so that the
// same ones wait whoever asks. It orders the slice in place.
func (b Brake) Admit(due []DueDeletion, now time.Time) (goes, waits []DueDeletion) {
	slices.SortFunc(due, func(a, b DueDeletion) int {
		return cmp.Or(a.Decision.DueAt.Compare(b.Decision.DueAt), bytes.Compare(a.Snapshot.Workspace.ID[:], b.Snapshot.Workspace.ID[:]))
	})
	n, bounded := b.Room(now)
	if !bounded || n >= len(due) {
		return due, nil
	}
	return due[:n], due[n:]
}

// Settle returns when autostops and dormancy may act again after a gap in ticks: a gap longer than three intervals keeps
// them for a time, so that activity that could not be told during an outage is told first. Zero if nothing is to settle. Its
// result is for [Engine.SettleUntil].
func Settle(last, now time.Time, interval, settle time.Duration) time.Time {
	const missed = 3
	if settle <= 0 || interval <= 0 || last.IsZero() || now.Sub(last) <= missed*interval {
		return time.Time{}
	}
	return later(now, settle)
}
