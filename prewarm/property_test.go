package prewarm_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
)

// each runs a property on many random pools.
func each(t *testing.T, property func(t *testing.T, c chance, spec prewarm.Spec, members []prewarm.Member, f prewarm.Failures)) {
	t.Helper()
	for seed := range uint64(1500) {
		c := chance{rand.New(rand.NewPCG(seed, 1))}
		spec, members, f := c.spec(), c.members(), c.failures()
		if err := spec.Validate(); err != nil {
			t.Fatalf("seed %d: the random spec is invalid: %v", seed, err)
		}
		property(t, c, spec, members, f)
		if t.Failed() {
			t.Fatalf("seed %d: spec %+v\nfailures %+v\nmembers %+v", seed, spec, f, members)
		}
	}
}

func TestPlanNeverExceedsTheCeiling(t *testing.T) {
	each(t, func(t *testing.T, _ chance, spec prewarm.Spec, members []prewarm.Member, f prewarm.Failures) {
		before := unclaimed(members)
		d := prewarm.Plan(spec, members, f, t0)
		after := unclaimed(apply(d, spec, members, t0, ids(1000)))
		if after > spec.Ceiling {
			t.Errorf("%d unclaimed members of at most %d, %d before", after, spec.Ceiling, before)
		}
		if d.Target.Size < 0 || d.Target.Size > spec.Ceiling {
			t.Errorf("target %v with ceiling %d", d.Target, spec.Ceiling)
		}
	})
}

func TestPlanIsIdempotent(t *testing.T) {
	each(t, func(t *testing.T, _ chance, spec prewarm.Spec, members []prewarm.Member, f prewarm.Failures) {
		d := prewarm.Plan(spec, members, f, t0)
		again := prewarm.Plan(spec, apply(d, spec, members, t0, ids(1000)), f, t0)
		if len(again.Actions) > 0 {
			t.Errorf("planned %+v\nand then %+v", d.Actions, again.Actions)
		}
	})
}

func TestPlanConvergesInOneStepWithoutFailures(t *testing.T) {
	each(t, func(t *testing.T, _ chance, spec prewarm.Spec, members []prewarm.Member, _ prewarm.Failures) {
		spec.MaxStarting = 0
		members = slices.DeleteFunc(members, func(m prewarm.Member) bool { return m.Version != "v1" })
		d := prewarm.Plan(spec, members, prewarm.Failures{}, t0)
		n := 0
		for _, m := range apply(d, spec, members, t0, ids(1000)) {
			affine := m.For == prewarm.ForOwner("ann")
			if m.Claim.Key == "" && !affine && unclaimed([]prewarm.Member{m}) == 1 {
				n++
			}
		}
		if n < d.Target.Size || n > d.Target.Keep {
			t.Errorf("%d members after the plan, %v", n, d.Target)
		}
	})
}

func TestBackoffNeverBlocksRemovalOrExpiry(t *testing.T) {
	each(t, func(t *testing.T, _ chance, spec prewarm.Spec, members []prewarm.Member, _ prewarm.Failures) {
		var failing prewarm.Failures
		for range 20 {
			failing = fails(failing, "v1", "no", t0)
		}
		calm, hurt := prewarm.Plan(spec, members, prewarm.Failures{}, t0), prewarm.Plan(spec, members, failing, t0)
		if count(hurt, prewarm.ActionCreate) != 0 {
			t.Error("creates in a back-off")
		}
		rest := func(d prewarm.Decision) (kept []prewarm.Action) {
			for _, a := range d.Actions {
				if a.Kind != prewarm.ActionCreate {
					kept = append(kept, a)
				}
			}
			return kept
		}
		if !reflect.DeepEqual(rest(calm), rest(hurt)) {
			t.Errorf("a back-off changed %+v to %+v", calm.Actions, hurt.Actions)
		}
	})
}

func TestPlanDoesNotDependOnTheOrder(t *testing.T) {
	each(t, func(t *testing.T, c chance, spec prewarm.Spec, members []prewarm.Member, f prewarm.Failures) {
		spec.Reserves = nil // which of equal members gets a label depends on the order, which a store keeps
		for i := range members {
			members[i].For = ""
		}
		shuffled := slices.Clone(members)
		c.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if a, b := doomed(prewarm.Plan(spec, members, f, t0)), doomed(prewarm.Plan(spec, shuffled, f, t0)); !reflect.DeepEqual(a, b) {
			t.Errorf("%v in one order, %v in another", a, b)
		}
	})
}

func doomed(d prewarm.Decision) map[uuid.UUID]prewarm.Reason {
	all := make(map[uuid.UUID]prewarm.Reason)
	for _, a := range d.Actions {
		if a.Kind == prewarm.ActionDestroy {
			all[a.Member] = a.Reason
		}
	}
	return all
}

func TestPauseBlocksNeitherExpiryNorMore(t *testing.T) {
	each(t, func(t *testing.T, _ chance, spec prewarm.Spec, members []prewarm.Member, f prewarm.Failures) {
		spec.Paused = true
		for _, m := range members {
			due := !m.Deadline.IsZero() && !m.Deadline.After(t0)
			_, gone := doomed(prewarm.Plan(spec, members, f, t0))[m.ID]
			excused := m.State == prewarm.Gone || m.State == prewarm.Quarantined || m.State == prewarm.Cleaning
			if due != gone && !excused {
				t.Errorf("%s %v: due %v, destroyed %v", m.State, m.ID, due, gone)
			}
		}
	})
}

func TestClaimedMembersAreNeverTouchedBeforeTheirTime(t *testing.T) {
	each(t, func(t *testing.T, _ chance, spec prewarm.Spec, members []prewarm.Member, f prewarm.Failures) {
		acted := make(map[uuid.UUID]bool)
		for _, a := range prewarm.Plan(spec, members, f, t0).Actions {
			acted[a.Member] = true
		}
		for _, m := range members {
			if m.State == prewarm.Claimed && m.Deadline.After(t0) && acted[m.ID] {
				t.Errorf("acts on %v, claimed until %v", m.ID, m.Deadline)
			}
		}
	})
}

func TestTheLastReadyMemberOutlivesThoseThatAreNot(t *testing.T) {
	each(t, func(t *testing.T, _ chance, spec prewarm.Spec, members []prewarm.Member, f prewarm.Failures) {
		d := prewarm.Plan(spec, members, f, t0)
		gone := doomed(d)
		for _, m := range members {
			if m.State != prewarm.Ready || m.For != "" || gone[m.ID] != prewarm.ReasonExcess {
				continue
			}
			for _, other := range members {
				waits := other.State == prewarm.Starting || other.State == prewarm.Held || other.State == prewarm.Cleaning
				if _, ok := gone[other.ID]; waits && other.For != prewarm.ForOwner("ann") && other.Claim.Key == "" && other.Deadline.After(t0) && !ok {
					t.Errorf("ready %v goes, %v %s stays", m.ID, other.ID, other.State)
				}
			}
		}
	})
}

func TestRolloverEndsAndKeepsItsBounds(t *testing.T) {
	each(t, func(t *testing.T, _ chance, spec prewarm.Spec, _ []prewarm.Member, _ prewarm.Failures) {
		spec.Rollover.AtOnce, spec.Demand, spec.IdleLife, spec.MaxAge = false, prewarm.Demand{}, 0, 0
		spec.Reserves, spec.MaxStarting = nil, 0
		var f fleet
		f.add(spec.Floor, prewarm.Ready, old)
		members := f.members
		newID, now := ids(1000), t0
		least := max(0, spec.Floor-max(spec.Rollover.MaxUnavailable, 1))
		for range 100 {
			now = now.Add(time.Second)
			members = apply(prewarm.Plan(spec, members, prewarm.Failures{}, now), spec, members, now, newID)
			if n := unclaimed(members); n > spec.Ceiling {
				t.Fatalf("%d of at most %d", n, spec.Ceiling)
			}
			if n := readyOf(members, "v0") + readyOf(members, "v1"); n < least {
				t.Errorf("%d ready, at least %d should be", n, least)
			}
			for i, m := range members { // one of them becomes ready
				if next, ok := prewarm.Observe(spec, m, prewarm.Event{Resource: m.Resource, Status: prewarm.StatusReady}, now); ok {
					members[i] = next
					break
				}
			}
		}
		if readyOf(members, "v1") != spec.Floor || readyOf(members, "v0") != 0 {
			t.Errorf("%d new and %d old ones after the rollover of %d", readyOf(members, "v1"), readyOf(members, "v0"), spec.Floor)
		}
	})
}

func readyOf(members []prewarm.Member, version string) int {
	n := 0
	for _, m := range members {
		if m.State == prewarm.Ready && m.Version == version {
			n++
		}
	}
	return n
}

func TestNextIsNeverTooLate(t *testing.T) {
	each(t, func(t *testing.T, c chance, spec prewarm.Spec, members []prewarm.Member, f prewarm.Failures) {
		d := prewarm.Plan(spec, members, f, t0)
		members = apply(d, spec, members, t0, ids(1000))
		d = prewarm.Plan(spec, members, f, t0)
		between := t0.Add(24 * time.Hour)
		if !d.Next.IsZero() {
			between = t0.Add(time.Duration(c.Int64N(int64(d.Next.Sub(t0)))))
		}
		if later := prewarm.Plan(spec, members, f, between); len(later.Actions) > 0 {
			t.Errorf("next is %v, but %v has %+v", d.Next, between, later.Actions)
		}
	})
}
