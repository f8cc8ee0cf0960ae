package prewarm

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/micros"
)

// Store is what pools need of a database: four methods. A host with tables of its own implements them and runs
// storetest.Members on the result. Values cross this border as copies, instants as UTC microseconds. All methods are
// called from several goroutines and processes at once.
type Store interface {
	// ClaimMembers gives each of the claims a member, in their order. A claim whose key is known in the pool gets the
	// member it had before, in whatever state that is now; if its owner is another one, the grant says so and shows no
	// member. Of the other claims, the first ones get the members that the pick describes, in the order
	// that it describes. Such a member is written as Claimed, with the claim (its At is now), the deadline
	// [Claim.Deadline] of now, [ReasonClaimed] and the next revision, before the call returns.
	//
	// Two calls at the same time never give the same member to two keys, nor two members to one key. A member that
	// another call is about to give away is passed over, or waited for. Two claims of one call do not have the same key.
	ClaimMembers(ctx context.Context, now time.Time, pick Pick, claims []Claim) ([]Grant, error)

	// PutMembers applies the changes whose member still has the revision they name, 0 for one that must not exist, and
	// reports for each, in order, whether it was applied. An applied change has the next revision; its successor, if it
	// has one, is inserted with it. A member that is Gone without a deadline is deleted. Of a new member whose claim's
	// key is known in the pool, the change is not applied.
	//
	// If a state is given, everything is applied only if its pool still has the state's revision, 0 for none stored; it
	// is written with the next revision, in the same transaction. If it has another one, the error is ErrConflict and
	// nothing was applied. So two replicas that plan from the same members do not both create what is missing.
	PutMembers(ctx context.Context, state *PoolState, changes []Change) (applied []bool, err error)

	// Members returns the members that a query asks for, by id.
	Members(ctx context.Context, q Query) ([]Member, error)

	// PoolState returns the state of a pool, with revision 0 if there is none.
	PoolState(ctx context.Context, pool string) (PoolState, error)
}

// ErrConflict says that somebody else changed a pool's state first.
var ErrConflict = errors.New("the pool was changed by somebody else")

// ReasonClaimed is the reason of members that the store has given to a claim.
const ReasonClaimed Reason = "claimed"

// Pick describes the members that a claim may have: ready ones of exactly this pool, version and restriction, whose
// deadline is not set or not before LivesUntil. Those that became ready first come first, then by id; with Freshest it is the
// other way round.
type Pick struct {
	Pool, Version, For string
	LivesUntil         time.Time
	// Freshest asks for the order of [Spec].Freshest.
	Freshest bool
}

// Fits reports whether a member is one that the pick describes.
func (p Pick) Fits(m *Member) bool {
	return m.State == Ready && m.Pool == p.Pool && m.Version == p.Version && m.For == p.For &&
		(m.Deadline.IsZero() || !m.Deadline.Before(p.LivesUntil))
}

// Take returns the member as a claim has it.
func (c Claim) Take(m Member, now time.Time) Member {
	c.At = now
	m.Claim = c
	m.Revision++
	return m.to(Claimed, ReasonClaimed, c.Deadline(now))
}

// Grant is the answer to one claim.
type Grant struct {
	Result GrantResult
	// Member is the one given, the zero value if there is none.
	Member Member
	// Err is why the claim is refused, with GrantRefused.
	Err error
}

// GrantResult says how a claim was answered.
type GrantResult uint8

// The results.
const (
	// GrantNone: no member fits.
	GrantNone GrantResult = iota
	// GrantNew: the member was ready and is now the claim's.
	GrantNew
	// GrantAgain: the key had this member before.
	GrantAgain
	// GrantKeyReused: the key belongs to another owner.
	GrantKeyReused
	// GrantRefused: no member can be this claim's, for a reason of the store's own. The stores of this library refuse none;
	// [github.com/dormouse-go/dormouse/prewarm/workspaces] does.
	GrantRefused
)

// Change is one member as it shall be.
type Change struct {
	// Member is written if the store has it with Member.Revision; the store writes Revision+1.
	Member Member
	// Successor is a new member of the same resource, nil for none.
	Successor *Member
}

// Query asks for members of a pool. Each restriction that is set must hold.
type Query struct {
	Pool string
	// IDs and Resources restrict to these; nil is no restriction.
	IDs, Resources []uuid.UUID
	// States restricts to these; nil is no restriction.
	States []State
	// DueBy restricts to members with a deadline that is not after it; zero is no restriction. With it the answer is
	// ordered by deadline, then id.
	DueBy time.Time
	// Pick restricts to the members that it describes, of which Pool must be that of the query; nil is no restriction. With
	// it the answer is ordered as claims get members, see [Pick]. It is not combined with DueBy.
	Pick *Pick
	// Limit bounds the answer, 0 for no bound.
	Limit int
}

// PoolState is what a pool must remember besides its members.
type PoolState struct {
	Pool     string
	Revision int64
	// Paused stops creations and removals, PausedBy says who or what for.
	Paused   bool
	PausedBy string
	Failures Failures
	// Extra is what demand asks for in any process (see [Target.Extra]); it counts until ExtraUntil.
	Extra      int
	ExtraUntil time.Time
}

// Recent returns what demand asked for lately.
func (s PoolState) Recent(now time.Time) int {
	if !s.ExtraUntil.After(now) {
		return 0
	}
	return s.Extra
}

// Ask returns the state in which all processes know what demand asks for here, and whether that has to be written: if
// it is more than they know, or if they will forget it soon.
func (s PoolState) Ask(extra int, coolDown time.Duration, now time.Time) (PoolState, bool) {
	recent := s.Recent(now)
	if extra < recent || extra == 0 || extra == recent && s.ExtraUntil.Sub(now) > coolDown/2 {
		return s, false
	}
	s.Extra, s.ExtraUntil = extra, micros.Of(now.Add(coolDown))
	return s, true
}

// Watcher is what a store may be able to do beyond [Store]: tell other processes that a member is ready, and who waits for one. It
// is a shortcut and no promise: what is not told is found by looking, every Config.Poll. Without it the line of waiting claims
// is fair in each process, and not among them.
type Watcher interface {
	// AnnounceMembers gives a note of at most [MaxNote] bytes to everybody who watches the pool. An empty one says that a member
	// may be ready.
	AnnounceMembers(ctx context.Context, pool, note string) error
	// WatchMembers calls hear, which does not block, with every note for the pool, and with an empty one when it has begun to
	// hear them, until ctx ends, and returns ctx.Err(), or until it can hear no more, and returns why.
	WatchMembers(ctx context.Context, pool string, hear func(note string)) error
}

// MaxNote is the longest note of a [Watcher], in bytes.
const MaxNote = 4000
