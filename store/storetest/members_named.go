package storetest

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
)

// memberQueryNamed asks for members by id that were stored in another order.
func memberQueryNamed(k *memberKit) {
	all := []prewarm.Member{k.ready(1), k.ready(2), k.ready(3), k.ready(4)}
	slices.SortFunc(all, func(a, b prewarm.Member) int { return slices.Compare(b.ID[:], a.ID[:]) })
	k.insert(all...)
	want := sortedIDs(all...)
	got := idsOf(k.members(prewarm.Query{IDs: want}))
	k.must(slices.Equal(got, want), "members asked for by id come by id", "%v, want %v", got, want)
	got = idsOf(k.members(prewarm.Query{IDs: want, Limit: 2}))
	k.must(slices.Equal(got, want[:2]), "a bound keeps the first of those asked for", "%v, want %v", got, want[:2])
	got = idsOf(k.members(prewarm.Query{Resources: []uuid.UUID{want[3], want[0], want[1]}, Limit: 2}))
	k.must(slices.Equal(got, want[:2]), "a bound keeps the first of those asked for by resource", "%v, want %v", got, want[:2])
}

// memberQueryNamedPick asks for some of those that a pick describes, by id and by resource.
func memberQueryNamedPick(k *memberKit) {
	var all []prewarm.Member
	for n := range 12 {
		m := k.ready(n)
		m.ReadyAt = k.now.Add(-time.Duration(n%4) * time.Minute)
		all = append(all, m)
	}
	k.insert(all...)
	named, resources := make([]uuid.UUID, 0, 9), make([]uuid.UUID, 0, 9)
	for _, m := range all[:9] {
		named, resources = append(named, m.ID), append(resources, m.Resource)
	}
	for _, freshest := range []bool{false, true} {
		pick := k.pick()
		pick.Freshest = freshest
		var want []uuid.UUID
		for _, m := range k.members(prewarm.Query{Pick: &pick}) {
			if slices.Contains(named, m.ID) {
				want = append(want, m.ID)
			}
		}
		for limit, want := range map[int][]uuid.UUID{0: want, 4: want[:4]} {
			for _, q := range []prewarm.Query{{IDs: named}, {Resources: resources}, {IDs: named, Resources: resources}} {
				q.Pick, q.Limit = &pick, limit
				got := idsOf(k.members(q))
				k.must(slices.Equal(got, want), "those asked for by name, of a pick, come in its order", "limit %d, freshest %t: %v, want %v", limit, freshest, got, want)
			}
		}
	}
}

// memberClaimUntil claims until an instant that is finer than what is stored.
func memberClaimUntil(k *memberKit) {
	k.insert(k.ready(1))
	c := claimOf("k")
	c.Until = k.now.Add(time.Hour + 999)
	m := k.claim(k.pick(), c)[0].Member
	got := k.get(m.ID).Claim.Until
	k.must(got.Equal(k.now.Add(time.Hour)), "the end of a claim is stored in whole microseconds", "%v, want %v", got, k.now.Add(time.Hour))
}
