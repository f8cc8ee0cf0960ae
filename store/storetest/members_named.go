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

// memberClaimUntil claims until an instant that is finer than what is stored.
func memberClaimUntil(k *memberKit) {
	k.insert(k.ready(1))
	c := claimOf("k")
	c.Until = k.now.Add(time.Hour + 999)
	m := k.claim(k.pick(), c)[0].Member
	got := k.get(m.ID).Claim.Until
	k.must(got.Equal(k.now.Add(time.Hour)), "the end of a claim is stored in whole microseconds", "%v, want %v", got, k.now.Add(time.Hour))
}
