package storetest

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store"
)

// memberPlay is a history of two pools.
type memberPlay struct {
	*pair
	now            time.Time
	pools, version []string
	restrictions   []string
	known          []uuid.UUID
	revision       map[string]int64
}

func alikeMembers(p *pair) {
	k := &memberPlay{
		pair: p, now: epoch, pools: []string{"a", "b"}, version: []string{"v1", "v1", "v2"}, restrictions: []string{"", "", prewarm.ForTenant("t")},
		revision: map[string]int64{},
	}
	play(p, k, []func(*memberPlay){
		(*memberPlay).insert, (*memberPlay).insert, (*memberPlay).change, (*memberPlay).change, (*memberPlay).claim, (*memberPlay).claim,
		(*memberPlay).query, (*memberPlay).query, (*memberPlay).state, (*memberPlay).pass,
	})
	for _, pool := range k.pools {
		k.members(prewarm.Query{Pool: pool})
	}
}

func (k *memberPlay) pass() { k.now = k.now.Add(time.Duration(k.r.IntN(120)) * time.Second) }

func (k *memberPlay) members(q prewarm.Query) []prewarm.Member {
	k.Helper()
	all, _ := ask(k.pair, fmt.Sprintf("Members %+v %+v", q, q.Pick), func(s store.Store) ([]prewarm.Member, error) { return s.Members(k.ctx, q) })
	return all
}

// member is a new one, most of them ready.
func (k *memberPlay) member() prewarm.Member {
	m := prewarm.Member{
		ID: k.id(), Pool: anyOf(k.pair, k.pools), Version: anyOf(k.pair, k.version), For: anyOf(k.pair, k.restrictions), State: prewarm.Ready,
		Reason: prewarm.ReasonReady, CreatedAt: k.now, ReadyAt: k.around(k.now, time.Minute),
	}
	m.Resource = m.ID
	if k.one(4) {
		m.State = anyOf(k.pair, prewarm.States())
	}
	if k.one(2) || m.State == prewarm.Gone { // without one it would be a member to delete
		m.Deadline = k.around(k.now, 5*time.Minute)
	}
	if k.one(8) {
		m.State, m.Claim = prewarm.Starting, k.claimOf()
	}
	k.known = append(k.known, m.ID)
	return m
}

// claimOf is a claim with one of few keys.
func (k *memberPlay) claimOf() prewarm.Claim {
	c := prewarm.Claim{Key: fmt.Sprint("k", k.r.IntN(40)), Owner: anyOf(k.pair, []string{"ann", "bob"}), Tenant: "t", Details: "d"}
	if k.one(2) {
		c.IdleTimeout = time.Minute
	}
	if k.one(3) {
		c.Until = k.around(k.now, time.Hour)
	}
	return c
}

func (k *memberPlay) put(changes []prewarm.Change) {
	var state *prewarm.PoolState
	if k.one(3) {
		pool := anyOf(k.pair, k.pools)
		state = &prewarm.PoolState{Pool: pool, Revision: k.revision[pool], Paused: k.one(2), PausedBy: "p", Extra: k.r.IntN(3), ExtraUntil: k.around(k.now, time.Minute)}
		if k.one(4) {
			state.Revision += int64(k.r.IntN(3) - 1)
		}
	}
	_, err := ask(k.pair, fmt.Sprintf("PutMembers %+v %+v", state, changes), func(s store.Store) ([]bool, error) { return s.PutMembers(k.ctx, state, changes) })
	if err == nil && state != nil {
		k.revision[state.Pool] = state.Revision + 1
	}
}

func (k *memberPlay) insert() {
	changes := make([]prewarm.Change, 1+k.r.IntN(4))
	for i := range changes {
		changes[i].Member = k.member()
		if k.one(12) {
			changes[i].Member.Revision = 1
		}
	}
	k.put(changes)
}

func (k *memberPlay) change() {
	var changes []prewarm.Change
	for _, m := range someOf(k.pair, k.members(prewarm.Query{Pool: anyOf(k.pair, k.pools)}), 1+k.r.IntN(3)) {
		m.State = anyOf(k.pair, prewarm.States())
		if m.Deadline = (time.Time{}); k.one(2) {
			m.Deadline = k.around(k.now, 5*time.Minute)
		}
		if k.one(6) || m.State == prewarm.Ready { // nobody has a member that is ready
			m.Claim = prewarm.Claim{}
		}
		if k.one(6) {
			m.Revision += int64(k.r.IntN(3) - 1)
		}
		c := prewarm.Change{Member: m}
		if k.one(4) {
			next := k.member()
			next.Pool, next.Resource, next.Claim = m.Pool, m.Resource, prewarm.Claim{}
			c.Successor = &next
		}
		changes = append(changes, c)
	}
	if len(changes) > 0 {
		k.put(changes)
	}
}

func (k *memberPlay) pick() prewarm.Pick {
	return prewarm.Pick{
		Pool: anyOf(k.pair, k.pools), Version: anyOf(k.pair, k.version), For: anyOf(k.pair, k.restrictions), LivesUntil: k.around(k.now, 2*time.Minute), Freshest: k.one(3),
	}
}

func (k *memberPlay) claim() {
	var claims []prewarm.Claim
	seen := map[string]bool{}
	for range 1 + k.r.IntN(4) {
		if c := k.claimOf(); !seen[c.Key] {
			seen[c.Key] = true
			claims = append(claims, c)
		}
	}
	pick := k.pick()
	type grant struct {
		prewarm.GrantResult
		prewarm.Member
	}
	_, _ = ask(k.pair, fmt.Sprintf("ClaimMembers at %s %+v %+v", k.now, pick, claims), func(s store.Store) (all []grant, err error) {
		grants, err := s.ClaimMembers(k.ctx, k.now, pick, claims)
		for _, g := range grants {
			all = append(all, grant{g.Result, g.Member})
		}
		return all, err
	})
}

func (k *memberPlay) query() {
	q := prewarm.Query{Pool: anyOf(k.pair, k.pools), Limit: k.r.IntN(2) * k.r.IntN(5)}
	if k.one(3) {
		q.IDs = someOf(k.pair, k.known, k.r.IntN(10))
	}
	if k.one(4) {
		q.Resources = someOf(k.pair, k.known, k.r.IntN(10))
	}
	if k.one(3) {
		q.States = someOf(k.pair, prewarm.States(), k.r.IntN(5))
	}
	if k.one(3) {
		q.DueBy = k.around(k.now, 5*time.Minute)
	} else if k.one(3) {
		pick := k.pick()
		q.Pool, q.Pick = pick.Pool, &pick
	}
	k.members(q)
}

func (k *memberPlay) state() {
	pool := anyOf(k.pair, k.pools)
	_, _ = ask(k.pair, "PoolState "+pool, func(s store.Store) (prewarm.PoolState, error) { return s.PoolState(k.ctx, pool) })
}
