package storetest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
)

var memberPutTests = []memberTest{
	{"Removed", memberRemoved},
	{"Keys", memberKeys},
	{"Texts", memberTexts},
	{"EveryField", memberPutFields},
	{"CompareAndSwap", memberPutSwap},
	{"InsertOnce", memberPutOnce},
	{"KnownKey", memberPutKnownKey},
	{"GiveBack", memberPutGiveBack},
	{"Delete", memberPutDelete},
	{"Successor", memberPutSuccessor},
	{"State", memberPutState},
	{"StateConflict", memberPutStateConflict},
	{"OfAnotherPool", memberPutOfAnotherPool},
	{"Precision", memberPutPrecision},
}

var memberQueryTests = []memberTest{
	{"Restrictions", memberQueryRestrictions},
	{"DueOrder", memberQueryDue},
	{"Pick", memberQueryPick},
	{"NamedPick", memberQueryNamedPick},
	{"NoPool", memberQueryNoPool},
	{"Named", memberQueryNamed},
	{"ClaimedUntil", memberClaimUntil},
}

func memberPutFields(k *memberKit) {
	m := prewarm.Member{
		ID: uuid.New(), Pool: memberPool, Version: "v7", State: prewarm.Cleaning, Resource: uuid.New(), Generation: 1 << 40,
		Uses: 3, For: prewarm.ForOwner("ann"), CreatedAt: k.now.Add(-time.Hour), ReadyAt: k.now.Add(-time.Minute),
		Deadline: k.now.Add(time.Minute), Attempts: 4, Misses: 1, Reason: prewarm.ReasonReturned, Message: "ünïcode \x00 \n" + strings.Repeat("x", 5000),
		Claim: prewarm.Claim{Key: "k", Owner: "o", Tenant: "t", Details: "{\"name\":\"ü\"}", At: k.now, IdleTimeout: 90 * time.Second, Until: k.now.Add(time.Hour)},
	}
	k.insert(m)
	m.Revision, m.Message = 1, "ünïcode \uFFFD  "+strings.Repeat("x", 5000)
	k.must(k.get(m.ID) == m, "what is put is what is read, but for what must not be in a text", "%+v\n\twant %+v", k.get(m.ID), m)
	empty := prewarm.Member{ID: uuid.New(), Pool: memberPool}
	k.insert(empty)
	empty.Revision = 1
	k.must(k.get(empty.ID) == empty, "zero values are read as zero values", "%+v", k.get(empty.ID))
}

func memberPutSwap(k *memberKit) {
	m := k.insert(k.ready(1))[0]
	other := k.insert(k.ready(1))[0]
	stale := m
	m.Message = "first"
	k.must(k.put(m)[0], "a change of the right revision is applied", "")
	stale.Message = "second"
	other.Message = "beside"
	applied := k.put(stale, other)
	k.must(!applied[0] && applied[1], "a stale change is not applied, the others are", "%v", applied)
	got := k.get(m.ID)
	k.must(got.Message == "first" && got.Revision == 2, "a stale change writes nothing, an applied one raises the revision by one", "%+v", got)
}

// memberPutOfAnotherPool changes a member of another pool as if it were one's own.
func memberPutOfAnotherPool(k *memberKit) {
	theirs := k.insert(k.ready(1, func(m *prewarm.Member) { m.Pool = "theirs" }))[0]
	k.must(len(k.members(prewarm.Query{IDs: []uuid.UUID{theirs.ID}})) == 0, "Members finds no member of another pool by its id", "it does")
	k.must(len(k.members(prewarm.Query{Resources: []uuid.UUID{theirs.Resource}})) == 0, "Members finds no member of another pool by its resource", "it does")
	forged := theirs
	forged.Pool, forged.Reason = memberPool, "forged"
	for _, state := range []prewarm.State{prewarm.Deleting, prewarm.Gone} { // gone, without a deadline, would be deleted
		forged.State = state
		applied, err := k.store.PutMembers(k.ctx, nil, []prewarm.Change{{Member: forged}})
		k.noError(err, "PutMembers")
		k.must(!applied[0], "PutMembers does not apply a change of another pool's member", "it becomes %s", state)
	}
	after := k.members(prewarm.Query{Pool: "theirs"})
	k.must(len(after) == 1 && after[0] == theirs, "and the member is as it was", "%+v", after)
}

func memberPutOnce(k *memberKit) {
	m := k.insert(k.ready(1))[0]
	m.Revision = 0
	k.must(!k.put(m)[0], "a new member whose id exists is not applied", "")
	absent := k.ready(1)
	absent.Revision = 5
	k.must(!k.put(absent)[0] && k.get(absent.ID).ID == uuid.Nil, "a change of a member that does not exist is not applied", "")
}

func memberPutKnownKey(k *memberKit) {
	cold := func() prewarm.Member {
		return k.ready(0, inState(prewarm.Starting), func(m *prewarm.Member) { m.Claim = claimOf("cold") })
	}
	first, second := cold(), cold()
	k.insert(first)
	k.must(!k.put(second)[0], "of two new members for one key the second is not applied", "")
	g := k.claim(k.pick(), claimOf("cold"))[0]
	k.must(g.Result == prewarm.GrantAgain && g.Member.ID == first.ID, "a key gets the member that is built for it", "%+v", g)
	other := k.insert(k.ready(1))[0]
	other.Claim = claimOf("cold")
	k.must(!k.put(other)[0], "a member does not get the key of another", "")
}

func memberPutGiveBack(k *memberKit) {
	k.insert(k.ready(1))
	m := k.claim(k.pick(), claimOf("left"))[0].Member
	m.State, m.Claim, m.Deadline = prewarm.Ready, prewarm.Claim{}, time.Time{}
	k.must(k.put(m)[0], "a member whose claimer has left can be given back", "")
	g := k.claim(k.pick(), claimOf("next"))[0]
	k.must(g.Result == prewarm.GrantNew && g.Member.ID == m.ID, "and be claimed by another", "%+v", g)
	g = k.claim(k.pick(), claimOf("left"))[0]
	k.must(g.Result == prewarm.GrantNone, "its old key is new again", "%+v", g)
}

func memberPutDelete(k *memberKit) {
	m := k.insert(k.ready(1))[0]
	m.State = prewarm.Gone
	m.Revision = 7
	k.must(!k.put(m)[0], "a member of another revision is not deleted", "")
	m.Revision = 1
	k.must(k.put(m)[0] && k.get(m.ID) == prewarm.Member{}, "a member that is Gone without a deadline is deleted", "%+v", k.get(m.ID))
}

func memberPutSuccessor(k *memberKit) {
	k.insert(k.ready(1))
	used := k.claim(k.pick(), claimOf("use"))[0].Member
	next := k.ready(0, inState(prewarm.Cleaning), func(m *prewarm.Member) { m.Resource, m.Uses = used.Resource, 1 })
	ended := used
	ended.State, ended.Deadline = prewarm.Gone, k.now.Add(time.Hour)
	stale := ended
	stale.Revision--
	put := func(m prewarm.Member) bool {
		applied, err := k.store.PutMembers(k.ctx, nil, []prewarm.Change{{Member: m, Successor: &next}})
		k.noError(err, "PutMembers")
		return applied[0]
	}
	k.must(!put(stale) && k.get(next.ID) == prewarm.Member{}, "a successor is not inserted if the change is not applied", "")
	k.must(put(ended), "a change with a successor is applied", "")
	next.Revision = 1
	k.must(k.get(next.ID) == next && k.get(used.ID).State == prewarm.Gone, "a successor is inserted with the change", "%+v", k.get(next.ID))
	both := k.members(prewarm.Query{Resources: []uuid.UUID{used.Resource}})
	k.must(len(both) == 2, "both are of the resource", "%d", len(both))
}

func memberPutState(k *memberKit) {
	state, err := k.store.PoolState(k.ctx, memberPool)
	k.noError(err, "PoolState")
	k.must(state == prewarm.PoolState{Pool: memberPool}, "a pool without a state has revision 0", "%+v", state)
	state.Paused, state.PausedBy = true, "ops: upgrade"
	state.Failures = prewarm.Failures{}.Failed("v1", "image not found", k.now, k.now)
	state.Extra, state.ExtraUntil = 3, k.now.Add(time.Minute)
	m := k.ready(1)
	applied, err := k.store.PutMembers(k.ctx, &state, []prewarm.Change{{Member: m}})
	k.noError(err, "PutMembers")
	got, err := k.store.PoolState(k.ctx, memberPool)
	k.noError(err, "PoolState")
	state.Revision = 1
	k.must(got == state && applied[0] && k.get(m.ID).ID == m.ID, "state and changes are written together", "%+v, want %+v", got, state)
}

func memberPutStateConflict(k *memberKit) {
	state := prewarm.PoolState{Pool: memberPool}
	_, err := k.store.PutMembers(k.ctx, &state, nil)
	k.noError(err, "PutMembers")
	for _, revision := range []int64{0, 2} {
		state.Revision = revision
		m := k.ready(1)
		_, err = k.store.PutMembers(k.ctx, &state, []prewarm.Change{{Member: m}})
		k.must(errors.Is(err, prewarm.ErrConflict), "a state of another revision is ErrConflict", "%v", err)
		k.must(k.get(m.ID) == prewarm.Member{}, "and nothing is applied", "")
	}
}

func memberPutPrecision(k *memberKit) {
	m := k.ready(1)
	m.Deadline = k.now.Add(999 * time.Nanosecond).In(time.FixedZone("X", 3600))
	k.insert(m)
	got := k.get(m.ID).Deadline
	k.must(got == k.now, "instants are kept in UTC, cut to microseconds", "%v, want %v", got, k.now)
}

func memberQueryRestrictions(k *memberKit) {
	a, b := k.ready(1), k.ready(2, inState(prewarm.Starting))
	c := k.ready(3, func(m *prewarm.Member) { m.Resource = a.ID })
	d := k.ready(1, func(m *prewarm.Member) { m.Pool = "other" })
	k.insert(a, b, c, d)
	for _, test := range []struct {
		rule string
		q    prewarm.Query
		want []uuid.UUID
	}{
		{"without restrictions, all of the pool by id", prewarm.Query{}, sortedIDs(a, b, c)},
		{"by id", prewarm.Query{IDs: []uuid.UUID{b.ID, d.ID, uuid.New()}}, sortedIDs(b)},
		{"no ids are no members", prewarm.Query{IDs: []uuid.UUID{}}, nil},
		{"by resource", prewarm.Query{Resources: []uuid.UUID{a.ID}}, sortedIDs(a, c)},
		{"by state", prewarm.Query{States: []prewarm.State{prewarm.Starting, prewarm.Held}}, sortedIDs(b)},
		{"by both", prewarm.Query{IDs: []uuid.UUID{a.ID, b.ID}, States: []prewarm.State{prewarm.Ready}}, sortedIDs(a)},
		{"bounded", prewarm.Query{Limit: 2}, sortedIDs(a, b, c)[:2]},
	} {
		got := idsOf(k.members(test.q))
		k.must(len(got) == len(test.want), test.rule, "%d members, want %d", len(got), len(test.want))
		for i := range got {
			k.must(got[i] == test.want[i], test.rule, "%v, want %v", got, test.want)
		}
	}
}

func memberQueryDue(k *memberKit) {
	due := func(d time.Duration) prewarm.Member {
		return k.ready(1, func(m *prewarm.Member) { m.Deadline = k.now.Add(d) })
	}
	now, before, after, never := due(0), due(-time.Hour), due(time.Microsecond), k.ready(1)
	k.insert(now, before, after, never)
	got := idsOf(k.members(prewarm.Query{DueBy: k.now}))
	k.must(len(got) == 2 && got[0] == before.ID && got[1] == now.ID, "due members are those with a deadline not after the instant, by deadline", "%v", got)
	got = idsOf(k.members(prewarm.Query{DueBy: k.now, Limit: 1}))
	k.must(len(got) == 1 && got[0] == before.ID, "a bound keeps the earliest", "%v", got)
	later := k.get(after.ID)
	for _, d := range []time.Duration{-2 * time.Hour, time.Hour, 2 * time.Hour} {
		later.Deadline = k.now.Add(d)
		k.must(k.put(later)[0], "a deadline moves", "%+v", later)
		later.Revision++
		got = idsOf(k.members(prewarm.Query{DueBy: k.now.Add(time.Hour)}))
		want := []uuid.UUID{before.ID, now.ID}
		switch {
		case d < 0:
			want = slices.Insert(want, 0, later.ID)
		case d == time.Hour:
			want = append(want, later.ID)
		}
		k.must(slices.Equal(got, want), "a deadline that has moved counts, and the old one does not", "by %v: %v, want %v", d, got, want)
	}
}

func memberQueryPick(k *memberKit) {
	ending := func(d time.Duration) func(*prewarm.Member) {
		return func(m *prewarm.Member) { m.Deadline = k.now.Add(d) }
	}
	young, old, ending1, other := k.ready(1), k.ready(9, ending(time.Hour)), k.ready(20, ending(time.Second)), k.ready(30)
	other.For = prewarm.ForTenant("a")
	k.insert(young, old, ending1, other, k.ready(40, inState(prewarm.Claimed)), k.ready(50, func(m *prewarm.Member) { m.Version = "v2" }))
	pick := k.pick()
	got := idsOf(k.members(prewarm.Query{Pick: &pick}))
	k.must(slices.Equal(got, idsOf([]prewarm.Member{old, young})), "a pick restricts to what a claim may have, in the order of claims", "%v", got)
	got = idsOf(k.members(prewarm.Query{Pick: &pick, Limit: 1}))
	k.must(slices.Equal(got, idsOf([]prewarm.Member{old})), "a bound keeps those that claims get first", "%v", got)
	pick.LivesUntil = time.Time{}
	got = idsOf(k.members(prewarm.Query{Pick: &pick, Limit: 1}))
	k.must(slices.Equal(got, idsOf([]prewarm.Member{ending1})), "without an instant, any life is enough", "%v", got)
}

func memberQueryNoPool(k *memberKit) {
	k.must(len(k.members(prewarm.Query{Pool: "nowhere"})) == 0, "a pool that does not exist has no members", "")
}

func memberRemoved(k *memberKit) {
	resource := uuid.New()
	other := k.insert(k.ready(2))[0]
	of := func(m *prewarm.Member) { m.Resource, m.Deadline = resource, k.now.Add(time.Minute) }
	m := k.insert(k.ready(1, of))[0]
	queries := map[string]prewarm.Query{
		"its id": {IDs: []uuid.UUID{m.ID}}, "its resource": {Resources: []uuid.UUID{resource}}, "its deadline": {DueBy: k.now.Add(time.Hour)},
	}
	for by, q := range queries {
		k.must(len(k.members(q)) == 1, "a member is found by "+by, "%d", len(k.members(q)))
	}
	early := prewarm.Query{IDs: []uuid.UUID{m.ID, other.ID}, DueBy: k.now}
	k.must(len(k.members(early)) == 0, "a query by ids and a deadline finds what meets both", "%d", len(k.members(early)))
	early.DueBy = k.now.Add(time.Minute)
	k.must(len(k.members(early)) == 1, "a deadline at the bound is due by it, and none is not", "%d", len(k.members(early)))
	m.State, m.Deadline = prewarm.Gone, time.Time{}
	k.must(k.put(m)[0], "a member that is gone is removed", "%+v", m)
	for by, q := range queries {
		k.must(len(k.members(q)) == 0, "a member that was removed is not found by "+by, "%d", len(k.members(q)))
	}
	k.must(len(k.members(prewarm.Query{})) == 1, "nor among all", "%d", len(k.members(prewarm.Query{})))
	granted := k.claim(k.pick(), claimOf("a"), claimOf("b"))
	k.must(granted[0].Member.ID == other.ID && granted[1].Member.ID == uuid.Nil, "nor claimed", "%+v", granted)
	shared := k.insert(k.ready(1, of), k.ready(3, of))
	shared[0].State, shared[0].Deadline = prewarm.Gone, time.Time{}
	k.must(k.put(shared[0])[0], "one of two members of a resource is removed", "%+v", shared[0])
	left := idsOf(k.members(queries["its resource"]))
	k.must(slices.Equal(left, []uuid.UUID{shared[1].ID}), "the other one is found by the resource", "%v", left)
	shared[1].State, shared[1].Deadline = prewarm.Gone, time.Time{}
	k.must(k.put(shared[1])[0], "then the other one", "%+v", shared[1])
	m.Revision = 0
	again := k.ready(1, of, func(a *prewarm.Member) { a.ID = m.ID })
	k.insert(again)
	k.must(k.get(m.ID).Revision == 1 && len(k.members(queries["its resource"])) == 1, "its id is free again", "%+v", k.get(m.ID))
}

// memberKeys writes members under keys of claims, past the claiming.
func memberKeys(k *memberKit) {
	a, b := k.insert(k.ready(1))[0], k.insert(k.ready(2))[0]
	a.State, a.Claim = prewarm.Claimed, claimOf("key")
	k.must(k.put(a)[0], "a member takes a key that nobody has", "%+v", a)
	b.State, b.Claim = prewarm.Claimed, claimOf("key")
	k.must(!k.put(b)[0], "a key is one member's", "another has taken it")
	fresh := k.ready(3, inState(prewarm.Starting), func(m *prewarm.Member) { m.Claim = claimOf("key") })
	k.must(!k.put(fresh)[0], "a key is one member's", "a new one has taken it")
	a.Revision++
	k.must(k.put(a)[0], "a member keeps its key", "%+v", a)
}

func memberTexts(k *memberKit) {
	m := k.ready(1)
	m.Message = spoilt
	k.insert(m)
	state := prewarm.PoolState{Pool: memberPool, Paused: true, PausedBy: spoilt, Failures: prewarm.Failures{Version: "v1", Count: 1, At: k.now, Message: spoilt}}
	_, err := k.store.PutMembers(k.ctx, &state, nil)
	k.noError(err, "PutMembers")
	state, err = k.store.PoolState(k.ctx, memberPool)
	k.noError(err, "PoolState")
	for what, text := range map[string]string{
		"message": k.get(m.ID).Message, "who has paused it": state.PausedBy, "failure": state.Failures.Message,
	} {
		k.must(text == unspoilt, "what is no UTF-8 in a text, a control character or a hidden one, comes back as U+FFFD, a line break as a blank", "%s is %q, want %q", what, text, unspoilt)
	}
}
