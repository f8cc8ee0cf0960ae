package lifecycle

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Brake bounds how many deletions rules make within an hour, so that a mistake in a policy, or a clock that jumped, does not
// take the work of many people before anybody looks. It bounds those of all workspaces, and those of each template.
type Brake struct {
	// Max is how many deletions may be made within an hour, 0 for a tenth of the workspaces, and at least 10.
	Max int
	// MaxPerTemplate is how many of them may be of one template, 0 for a tenth of its workspaces, and at least 10.
	MaxPerTemplate int
}

const (
	brakeWindow = time.Hour
	// usualShare is the part of the workspaces that may usually be deleted within the window: one of so many.
	usualShare = 10
	// usualLeast is how many may be in any case.
	usualLeast = 10
)

// Since returns from when on deletions count at now: those that were admitted after it do.
func (Brake) Since(now time.Time) time.Time { return now.Add(-brakeWindow) }

// DueDeletion is a deletion that a rule asks for.
type DueDeletion struct {
	WorkspaceID, TemplateID uuid.UUID
	// DueAt is [Decision.DueAt].
	DueAt time.Time
}

// Deletions are the counts that a store keeps for [Brake.Admit]: of all workspaces, and of each template that a deletion is
// asked for.
type Deletions struct {
	// Workspaces is how many there are that are not deleted. [Brake.CountTo] says how far a store has to count.
	Workspaces int
	// Made is how many deletions were admitted after [Brake.Since].
	Made int
	// Templates are the counts by template, which have no Templates themselves.
	Templates map[uuid.UUID]Deletions
}

// CountTo returns how far workspaces have to be counted to know whether n deletions may be made: beyond that, more of them
// change nothing.
func (Brake) CountTo(n int) int { return usualShare * max(n, 1) }

// Admit returns the deletions that go, and those that wait: what has been due for longest goes first, so that the same ones
// wait whoever asks. It orders the slice in place.
func (b Brake) Admit(counts Deletions, due []DueDeletion) (goes, waits []DueDeletion) {
	slices.SortFunc(due, func(a, b DueDeletion) int {
		return cmp.Or(a.DueAt.Compare(b.DueAt), bytes.Compare(a.WorkspaceID[:], b.WorkspaceID[:]))
	})
	room, rooms := counts.room(b.Max), map[uuid.UUID]int{}
	for id, c := range counts.Templates {
		rooms[id] = c.room(b.MaxPerTemplate)
	}
	for _, d := range due {
		if room == 0 || rooms[d.TemplateID] == 0 {
			waits = append(waits, d)
			continue
		}
		room--
		rooms[d.TemplateID]--
		goes = append(goes, d)
	}
	return goes, waits
}

// room is how many more deletions there is room for under a limit, 0 for the usual one.
func (c *Deletions) room(limit int) int {
	if limit <= 0 {
		limit = max(usualLeast, c.Workspaces/usualShare)
	}
	return max(0, limit-c.Made)
}

// Settle sets SettleUntil after a gap between two ticks, and returns it: a gap longer than three intervals keeps autostops and
// dormancy for a time, so that activity that could not be told during an outage is told first. Without a gap, or a time to
// settle, it changes nothing and returns zero; nor where the Engine could not be read, which holds everything anyway. It is for
// stores; see [Settler].
func (e *Engine) Settle(last, now time.Time, interval, settle time.Duration) time.Time {
	if e.unread.Whole() != nil || settle <= 0 || interval <= 0 || last.IsZero() || now.Sub(last) <= missedIntervals*interval {
		return time.Time{}
	}
	e.SettleUntil = later(micros.Of(now), settle)
	return e.SettleUntil
}

// missedIntervals is how many intervals without a tick are none yet: a tick may be late now and then.
const missedIntervals = 3
