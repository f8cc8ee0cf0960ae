package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
)

// memberKit is a store under test, and short words for what the tests do all the time. It is safe for concurrent use as
// far as the store is.
type memberKit struct {
	t     *testing.T
	ctx   context.Context
	store prewarm.Store
	now   time.Time
}

func newMemberKit(t *testing.T, store prewarm.Store) *memberKit {
	return &memberKit{t: t, ctx: t.Context(), store: store, now: time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC)}
}

// must ends the test unless ok; the message begins with the rule.
func (k *memberKit) must(ok bool, rule, format string, args ...any) {
	k.t.Helper()
	if !ok {
		k.t.Fatalf("broken rule: "+rule+"\n\t"+format, args...)
	}
}

func (k *memberKit) noError(err error, verb string) {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("%s: unexpected error: %v", verb, err)
	}
}

const memberPool = "go-dev"

// ready returns a new member that became ready n seconds before now.
func (k *memberKit) ready(n int, change ...func(*prewarm.Member)) prewarm.Member {
	m := prewarm.Member{
		ID: uuid.Must(uuid.NewV7()), Pool: memberPool, Version: "v1", State: prewarm.Ready, Reason: prewarm.ReasonReady,
		CreatedAt: k.now.Add(-time.Hour), ReadyAt: k.now.Add(-time.Duration(n) * time.Second),
	}
	m.Resource = m.ID
	for _, c := range change {
		c(&m)
	}
	return m
}

func inState(s prewarm.State) func(*prewarm.Member) {
	return func(m *prewarm.Member) { m.State = s }
}

// insert puts new members and returns them as stored.
func (k *memberKit) insert(members ...prewarm.Member) []prewarm.Member {
	k.t.Helper()
	for i, ok := range k.put(members...) {
		k.must(ok, "a new member is inserted", "%+v", members[i])
		members[i].Revision = 1
	}
	return members
}

func (k *memberKit) put(members ...prewarm.Member) []bool {
	k.t.Helper()
	changes := make([]prewarm.Change, len(members))
	for i, m := range members {
		changes[i].Member = m
	}
	applied, err := k.store.PutMembers(k.ctx, nil, changes)
	k.noError(err, "PutMembers")
	k.must(len(applied) == len(changes), "PutMembers reports each change", "%d of %d", len(applied), len(changes))
	return applied
}

func (k *memberKit) pick() prewarm.Pick {
	return prewarm.Pick{Pool: memberPool, Version: "v1", LivesUntil: k.now.Add(time.Minute)}
}

func claimOf(key string) prewarm.Claim {
	return prewarm.Claim{Key: key, Owner: "ann", Tenant: "a", IdleTimeout: time.Hour, Details: "of " + key}
}

func (k *memberKit) claim(p prewarm.Pick, claims ...prewarm.Claim) []prewarm.Grant {
	k.t.Helper()
	grants, err := k.store.ClaimMembers(k.ctx, k.now, p, claims)
	k.noError(err, "ClaimMembers")
	k.must(len(grants) == len(claims), "ClaimMembers answers each claim", "%d of %d", len(grants), len(claims))
	return grants
}

func (k *memberKit) members(q prewarm.Query) []prewarm.Member {
	k.t.Helper()
	if q.Pool == "" {
		q.Pool = memberPool
	}
	members, err := k.store.Members(k.ctx, q)
	k.noError(err, "Members")
	return members
}

// get returns one member as stored, the zero value if there is none.
func (k *memberKit) get(id uuid.UUID) prewarm.Member {
	k.t.Helper()
	found := k.members(prewarm.Query{IDs: []uuid.UUID{id}})
	k.must(len(found) <= 1, "an id is one member's", "%+v", found)
	if len(found) == 0 {
		return prewarm.Member{}
	}
	return found[0]
}

func idsOf(members []prewarm.Member) []uuid.UUID {
	ids := make([]uuid.UUID, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	return ids
}

func sortedIDs(members ...prewarm.Member) []uuid.UUID {
	ids := idsOf(members)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return ids
}
