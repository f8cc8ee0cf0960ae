package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
)

var memberRaceTests = []memberTest{
	{"EachMemberOnce", memberRaceOnce},
	{"OneKeyManyTimes", memberRaceKey},
	{"ClaimAgainstRemoval", memberRaceRemoval},
	{"StateOnce", memberRaceState},
}

const memberRacers = 8

// together runs f in several goroutines and waits for them.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}

func memberRaceOnce(k *memberKit) {
	const members, claims = 60, 80
	for n := range members {
		k.insert(k.ready(n))
	}
	var mu sync.Mutex
	given := make(map[uuid.UUID]string)
	var errs []error
	together(memberRacers, func(i int) {
		for n := range claims / memberRacers {
			// Some claim in batches, some one by one.
			var batch []prewarm.Claim
			for j := range 1 + i%3 {
				batch = append(batch, claimOf(fmt.Sprintf("%d-%d-%d", i, n, j)))
			}
			grants, err := k.store.ClaimMembers(k.ctx, k.now, k.pick(), batch)
			mu.Lock()
			if err != nil {
				errs = append(errs, err)
			}
			for j, g := range grants {
				if g.Result != prewarm.GrantNew {
					continue
				}
				if other, taken := given[g.Member.ID]; taken {
					errs = append(errs, fmt.Errorf("%v was given to %s and to %s", g.Member.ID, other, batch[j].Key))
				}
				given[g.Member.ID] = batch[j].Key
			}
			mu.Unlock()
		}
	})
	k.must(len(errs) == 0, "concurrent claims never give one member twice", "%v", errors.Join(errs...))
	k.must(len(given) == members, "no member is passed over for good", "%d of %d given", len(given), members)
	for id, key := range given {
		k.must(k.get(id).Claim.Key == key, "what is stored is what was said", "%v: %q, want %q", id, k.get(id).Claim.Key, key)
	}
}

func memberRaceKey(k *memberKit) {
	for n := range 2 * memberRacers {
		k.insert(k.ready(n))
	}
	got := make([]uuid.UUID, memberRacers)
	errs := make([]error, memberRacers)
	together(memberRacers, func(i int) {
		grants, err := k.store.ClaimMembers(k.ctx, k.now, k.pick(), []prewarm.Claim{claimOf("one")})
		if errs[i] = err; err == nil {
			got[i] = grants[0].Member.ID
		}
	})
	k.noError(errors.Join(errs...), "ClaimMembers")
	for _, id := range got {
		k.must(id == got[0] && id != uuid.Nil, "one key gets one member, however often it is claimed at once", "%v", got)
	}
	claimed := k.members(prewarm.Query{States: []prewarm.State{prewarm.Claimed}})
	k.must(len(claimed) == 1, "and takes no other", "%d claimed", len(claimed))
}

func memberRaceRemoval(k *memberKit) {
	const members = 40
	for n := range members {
		k.insert(k.ready(n))
	}
	var claimed, removed atomic.Int64
	errs := make([]error, memberRacers)
	together(memberRacers, func(i int) {
		for n := range members {
			var err error
			if i%2 == 0 {
				var grants []prewarm.Grant
				if grants, err = k.store.ClaimMembers(k.ctx, k.now, k.pick(), []prewarm.Claim{claimOf(fmt.Sprintf("%d-%d", i, n))}); err == nil && grants[0].Result == prewarm.GrantNew {
					claimed.Add(1)
				}
			} else {
				err = memberRemoveOne(k, &removed)
			}
			errs[i] = errors.Join(errs[i], err)
		}
	})
	k.noError(errors.Join(errs...), "concurrent claims and removals")
	k.must(claimed.Load()+removed.Load() == members, "a member is claimed or removed, never both", "%d claimed, %d removed of %d", claimed.Load(), removed.Load(), members)
}

func memberRemoveOne(k *memberKit, removed *atomic.Int64) error {
	found, err := k.store.Members(k.ctx, prewarm.Query{Pool: memberPool, States: []prewarm.State{prewarm.Ready}, Limit: 1})
	if err != nil || len(found) == 0 {
		return err
	}
	found[0].State, found[0].Reason = prewarm.Deleting, prewarm.ReasonExcess
	applied, err := k.store.PutMembers(k.ctx, nil, []prewarm.Change{{Member: found[0]}})
	if err == nil && applied[0] {
		removed.Add(1)
	}
	return err
}

func memberRaceState(k *memberKit) {
	var won atomic.Int64
	errs := make([]error, memberRacers)
	together(memberRacers, func(i int) {
		state := prewarm.PoolState{Pool: memberPool}
		_, err := k.store.PutMembers(k.ctx, &state, []prewarm.Change{{Member: k.ready(1)}})
		if err == nil {
			won.Add(1)
		} else if !errors.Is(err, prewarm.ErrConflict) {
			errs[i] = err
		}
	})
	k.noError(errors.Join(errs...), "PutMembers")
	k.must(won.Load() == 1, "of many that write a state of one revision one wins", "%d won", won.Load())
	k.must(len(k.members(prewarm.Query{})) == 1, "and only its members are there", "%d", len(k.members(prewarm.Query{})))
}
