package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
)

var memberClaimTests = []memberTest{
	{"WhatAClaimWrites", memberClaimWrites},
	{"LongestReadyFirst", memberClaimOrder},
	{"FreshestFirst", memberClaimFreshest},
	{"OnlyWhatFits", memberClaimFits},
	{"LifeLeft", memberClaimLife},
	{"LifeLeftOfMany", memberClaimLifeOfMany},
	{"SameKeySameMember", memberClaimAgain},
	{"SameKeyAfterTheEnd", memberClaimAfterEnd},
	{"KeyOfAnotherOwner", memberClaimKeyReused},
	{"KeysAreThePools", memberClaimPools},
	{"Batch", memberClaimBatch},
	{"KnownAndNewKeys", memberClaimMixed},
	{"Nobody", memberClaimNobody},
	{"Limits", memberClaimDeadline},
	{"DueByItsEnd", memberClaimDue},
}

// What is claimed is due at the end of the claim, and not at that of the life it had before.
func memberClaimDue(k *memberKit) {
	k.insert(k.ready(1, func(m *prewarm.Member) { m.Deadline = k.now.Add(2 * time.Minute) }), k.ready(2))
	c := claimOf("a")
	c.IdleTimeout = 3 * time.Minute
	other := c
	other.Key = "b"
	k.claim(k.pick(), c, other)
	for after, want := range map[time.Duration]int{3*time.Minute - time.Microsecond: 0, 3 * time.Minute: 2} {
		due := k.members(prewarm.Query{DueBy: k.now.Add(after)})
		k.must(len(due) == want, "a claim is due at its end", "%d members are due after %s, want %d", len(due), after, want)
	}
}

func memberClaimWrites(k *memberKit) {
	m := k.insert(k.ready(5))[0]
	c := claimOf("key-1")
	c.Until = k.now.Add(8 * time.Hour)
	g := k.claim(k.pick(), c)[0]
	want := c.Take(m, k.now)
	k.must(g.Result == prewarm.GrantNew && g.Member == want, "a claim gives the member as Claim.Take writes it", "%d %+v\n\twant %+v", g.Result, g.Member, want)
	stored := k.get(m.ID)
	k.must(stored == want, "a claim is stored when it returns", "%+v\n\twant %+v", stored, want)
}

func memberClaimOrder(k *memberKit) {
	young, old, middle := k.ready(1), k.ready(30), k.ready(10)
	tie := k.ready(10)
	k.insert(young, old, middle, tie)
	ties := sortedIDs(middle, tie)
	for i, want := range []uuid.UUID{old.ID, ties[0], ties[1], young.ID} {
		g := k.claim(k.pick(), claimOf(fmt.Sprint(i)))[0]
		k.must(g.Member.ID == want, "those that became ready first are claimed first, then by id", "claim %d got %v, want %v", i, g.Member.ID, want)
	}
	g := k.claim(k.pick(), claimOf("late"))[0]
	k.must(g.Result == prewarm.GrantNone && g.Member == prewarm.Member{}, "a claim of an empty pool gets nothing", "%+v", g)
}

func memberClaimFreshest(k *memberKit) {
	young, old, tie := k.ready(1), k.ready(30), k.ready(1)
	short := k.ready(0, func(m *prewarm.Member) { m.Deadline = k.now.Add(time.Second) })
	k.insert(young, old, tie, short)
	p := k.pick()
	p.Freshest = true
	ties := sortedIDs(young, tie)
	want := []uuid.UUID{ties[1], ties[0], old.ID}
	found := idsOf(k.members(prewarm.Query{Pick: &p}))
	k.must(slices.Equal(found, want), "a query for the freshest is ordered as claims get them", "%v, want %v", found, want)
	found = idsOf(k.members(prewarm.Query{Pick: &p, Limit: 1}))
	k.must(slices.Equal(found, want[:1]), "a limit keeps the first of them", "%v, want %v", found, want[:1])
	g := k.claim(p, claimOf("one"))[0]
	k.must(g.Member.ID == want[0], "the member that became ready last is claimed first, of two the one with the higher id", "%v, want %v", g.Member.ID, want[0])
	grants := k.claim(p, claimOf("two"), claimOf("one"), claimOf("three"))
	k.must(grants[0].Member.ID == want[1] && grants[1].Member.ID == want[0] && grants[2].Member.ID == want[2],
		"several claims get the freshest in their order", "%v, want %v", grants, want)
}

func memberClaimFits(k *memberKit) {
	for _, s := range prewarm.States() {
		if s != prewarm.Ready {
			m := k.ready(9, inState(s))
			m.Deadline = k.now.Add(time.Hour)
			k.insert(m)
		}
	}
	k.insert(
		k.ready(9, func(m *prewarm.Member) { m.Pool = "other" }),
		k.ready(9, func(m *prewarm.Member) { m.Version = "v0" }),
		k.ready(9, func(m *prewarm.Member) { m.For = prewarm.ForTenant("a") }),
	)
	g := k.claim(k.pick(), claimOf("1"))[0]
	k.must(g.Result == prewarm.GrantNone, "only ready members of the pick's pool, version and restriction are claimed", "%+v", g.Member)
	p := k.pick()
	p.For = prewarm.ForTenant("a")
	g = k.claim(p, claimOf("1"))[0]
	k.must(g.Member.For == p.For, "a pick with a restriction gets members with it", "%+v", g)
}

func memberClaimLife(k *memberKit) {
	k.insert(k.ready(9, func(m *prewarm.Member) { m.Deadline = k.now.Add(time.Minute - time.Microsecond) }))
	g := k.claim(k.pick(), claimOf("1"))[0]
	k.must(g.Result == prewarm.GrantNone, "a member whose deadline is before LivesUntil is not claimed", "%+v", g.Member)
	m := k.insert(k.ready(1, func(m *prewarm.Member) { m.Deadline = k.now.Add(time.Minute) }))[0]
	g = k.claim(k.pick(), claimOf("1"))[0]
	k.must(g.Member.ID == m.ID, "one whose deadline is LivesUntil is", "%+v", g)
	p := k.pick()
	p.LivesUntil = time.Time{}
	g = k.claim(p, claimOf("2"))[0]
	k.must(g.Result == prewarm.GrantNew, "without LivesUntil any life is enough", "%+v", g)
}

func memberClaimAgain(k *memberKit) {
	k.insert(k.ready(1), k.ready(2))
	first := k.claim(k.pick(), claimOf("key"))[0]
	again := k.claim(k.pick(), claimOf("key"))[0]
	k.must(again.Result == prewarm.GrantAgain && again.Member == first.Member, "the same key gets the same member again", "%+v\n\tthen %+v", first, again)
	left := k.members(prewarm.Query{States: []prewarm.State{prewarm.Ready}})
	k.must(len(left) == 1, "and takes no other", "%d left of 1", len(left))
}

func memberClaimAfterEnd(k *memberKit) {
	k.insert(k.ready(1), k.ready(2))
	m := k.claim(k.pick(), claimOf("key"))[0].Member
	m.State, m.Deadline, m.Reason = prewarm.Gone, k.now.Add(time.Hour), prewarm.ReasonReturned
	k.must(k.put(m)[0], "a claimed member can be ended", "%+v", m)
	again := k.claim(k.pick(), claimOf("key"))[0]
	k.must(again.Result == prewarm.GrantAgain && again.Member.ID == m.ID && again.Member.State == prewarm.Gone,
		"a key is known as long as its member is", "%+v", again)
	m = again.Member
	m.Deadline = time.Time{}
	k.must(k.put(m)[0], "a tombstone can be removed", "%+v", m)
	again = k.claim(k.pick(), claimOf("key"))[0]
	k.must(again.Result == prewarm.GrantNew, "a key that was forgotten is new", "%+v", again)
}

func memberClaimKeyReused(k *memberKit) {
	k.insert(k.ready(1), k.ready(2))
	k.claim(k.pick(), claimOf("key"))
	c := claimOf("key")
	c.Owner = "bob"
	g := k.claim(k.pick(), c)[0]
	k.must(g.Result == prewarm.GrantKeyReused && g.Member == prewarm.Member{}, "a key of another owner shows and gives nothing", "%+v", g)
}

func memberClaimPools(k *memberKit) {
	k.insert(k.ready(1), k.ready(1, func(m *prewarm.Member) { m.Pool = "other" }))
	p := k.pick()
	p.Pool = "other"
	a, b := k.claim(k.pick(), claimOf("key"))[0], k.claim(p, claimOf("key"))[0]
	k.must(a.Result == prewarm.GrantNew && b.Result == prewarm.GrantNew && b.Member.Pool == "other", "a key is a pool's", "%+v, %+v", a, b)
}

func memberClaimBatch(k *memberKit) {
	for n := range 5 {
		k.insert(k.ready(10 - n))
	}
	var claims []prewarm.Claim
	for i := range 8 {
		claims = append(claims, claimOf(fmt.Sprint(i)))
	}
	grants := k.claim(k.pick(), claims...)
	last := time.Time{}
	for i, g := range grants {
		if i >= 5 {
			k.must(g.Result == prewarm.GrantNone, "the first claims are served", "claim %d got %+v", i, g)
			continue
		}
		k.must(g.Result == prewarm.GrantNew && g.Member.Claim.Key == claims[i].Key, "each claim gets a member of its own", "claim %d got %+v", i, g)
		k.must(!g.Member.ReadyAt.Before(last), "the first claim gets the member that is ready longest", "claim %d got one ready at %v, the one before %v", i, g.Member.ReadyAt, last)
		last = g.Member.ReadyAt
	}
}

func memberClaimMixed(k *memberKit) {
	k.insert(k.ready(3), k.ready(2))
	known := k.claim(k.pick(), claimOf("known"))[0]
	grants := k.claim(k.pick(), claimOf("a"), claimOf("known"), claimOf("b"))
	k.must(grants[0].Result == prewarm.GrantNew && grants[2].Result == prewarm.GrantNone, "claims are answered in their order", "%+v", grants)
	k.must(grants[1] == prewarm.Grant{Result: prewarm.GrantAgain, Member: known.Member}, "a known key takes no place in the line", "%+v", grants[1])
}

func memberClaimNobody(k *memberKit) {
	k.insert(k.ready(1))
	k.claim(k.pick())
	k.must(len(k.members(prewarm.Query{States: []prewarm.State{prewarm.Ready}})) == 1, "no claims take nothing", "")
}

func memberClaimDeadline(k *memberKit) {
	for _, c := range []prewarm.Claim{
		{Key: "1", Owner: "o"},
		{Key: "2", Owner: "o", IdleTimeout: time.Minute},
		{Key: "3", Owner: "o", IdleTimeout: time.Hour, Until: k.now.Add(time.Minute)},
	} {
		k.insert(k.ready(1, func(m *prewarm.Member) { m.Deadline = k.now.Add(5 * time.Hour) }))
		m := k.get(k.claim(k.pick(), c)[0].Member.ID)
		k.must(m.Deadline.Equal(c.Deadline(k.now)), "the deadline of a claimed member is Claim.Deadline", "%v, want %v", m.Deadline, c.Deadline(k.now))
	}
}
