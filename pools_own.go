package dormouse

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

// ownPools is a store in which an organization's pools are kept under names of their own. Planes of several organizations have pools
// of the same names in one store, and each would take the other's members for its own old ones.
type ownPools struct {
	store.Store
	prefix string
}

// poolStore is the store as the plane's pools use it.
func (p *Plane) poolStore() store.Store {
	if p.cfg.Organization == uuid.Nil {
		return p.store
	}
	return ownPools{p.store, p.cfg.Organization.String() + "/"}
}

// Unwrap implements [lifecycle.Wrapper].
func (s ownPools) Unwrap() lifecycle.Store { return s.Store }

func (s ownPools) in(pool string) string { return s.prefix + pool }

// out returns a member as its pool knows it.
func (s ownPools) out(m prewarm.Member) prewarm.Member {
	m.Pool = strings.TrimPrefix(m.Pool, s.prefix)
	return m
}

func (s ownPools) kept(m prewarm.Member) prewarm.Member {
	m.Pool = s.in(m.Pool)
	return m
}

func (s ownPools) ClaimMembers(ctx context.Context, now time.Time, pick prewarm.Pick, claims []prewarm.Claim) ([]prewarm.Grant, error) {
	pick.Pool = s.in(pick.Pool)
	grants, err := s.Store.ClaimMembers(ctx, now, pick, claims)
	for i := range grants {
		grants[i].Member = s.out(grants[i].Member)
	}
	return grants, err
}

func (s ownPools) PutMembers(ctx context.Context, state *prewarm.PoolState, changes []prewarm.Change) ([]bool, error) {
	if state != nil {
		kept := *state
		kept.Pool = s.in(kept.Pool)
		state = &kept
	}
	changes = slices.Clone(changes)
	for i := range changes {
		c := &changes[i]
		c.Member = s.kept(c.Member)
		if c.Successor != nil {
			next := s.kept(*c.Successor)
			c.Successor = &next
		}
	}
	return s.Store.PutMembers(ctx, state, changes)
}

func (s ownPools) Members(ctx context.Context, q prewarm.Query) ([]prewarm.Member, error) {
	q.Pool = s.in(q.Pool)
	if q.Pick != nil {
		pick := *q.Pick
		pick.Pool = s.in(pick.Pool)
		q.Pick = &pick
	}
	found, err := s.Store.Members(ctx, q)
	for i := range found {
		found[i] = s.out(found[i])
	}
	return found, err
}

func (s ownPools) PoolState(ctx context.Context, pool string) (prewarm.PoolState, error) {
	state, err := s.Store.PoolState(ctx, s.in(pool))
	state.Pool = strings.TrimPrefix(state.Pool, s.prefix)
	return state, err
}

func (s ownPools) CommitMembers(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member) ([]lifecycle.Outcome, error) {
	members = slices.Clone(members)
	for i := range members {
		members[i] = s.kept(members[i])
	}
	return s.Store.CommitMembers(ctx, now, changes, members)
}

// AnnounceMembers implements [prewarm.Watcher], where the store is one.
func (s ownPools) AnnounceMembers(ctx context.Context, pool, note string) error {
	if w, ok := lifecycle.Ability[prewarm.Watcher](s.Store); ok {
		return w.AnnounceMembers(ctx, s.in(pool), note)
	}
	return nil
}

// WatchMembers implements [prewarm.Watcher], where the store is one.
func (s ownPools) WatchMembers(ctx context.Context, pool string, hear func(note string)) error {
	if w, ok := lifecycle.Ability[prewarm.Watcher](s.Store); ok {
		return w.WatchMembers(ctx, s.in(pool), hear)
	}
	<-ctx.Done()
	return ctx.Err()
}
