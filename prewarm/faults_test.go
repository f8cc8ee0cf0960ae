package prewarm_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/prewarm"
)

// The tests of this file are named after faults that other pools have, or had: each was reproduced there, or stands in
// their records.

// A pool of size 0 gave 0/0 idle members, which is below every threshold: it alerted and reloaded for ever.
func TestFaultPoolOfSizeZeroAlertsForEver(t *testing.T) {
	d := prewarm.Plan(prewarm.Spec{Name: "p", Version: "v1"}, nil, prewarm.Failures{}, t0)
	if d.Alerts(0.5) || len(d.Actions) != 0 || d.Blocked != prewarm.BlockedNone {
		t.Errorf("an empty pool of size 0 does %+v", d)
	}
	if full := prewarm.Plan(pool(4), with(2, prewarm.Ready).members, prewarm.Failures{}, t0); full.Alerts(0.5) {
		t.Error("half full is not below a half")
	}
	if rolling := prewarm.Plan(pool(4), new(fleet).add(3, prewarm.Ready, old).members, prewarm.Failures{}, t0); rolling.Alerts(0.5) {
		t.Error("what a rollover still serves counts")
	}
	if low := prewarm.Plan(pool(4), with(1, prewarm.Ready).add(3, prewarm.Starting, nil).members, prewarm.Failures{}, t0); !low.Alerts(0.5) {
		t.Error("a quarter full is below a half")
	}
}

// A member whose life had ended was never removed once its version was no longer the wanted one.
func TestFaultExpiredMembersOfAnOldVersionStay(t *testing.T) {
	members := new(fleet).add(1, prewarm.Ready, func(m *prewarm.Member) { m.Version, m.Deadline = "v0", t0 }).members
	d := prewarm.Plan(pool(0), members, prewarm.Failures{}, t0)
	if short(d.Actions) != "destroy idle_life x1" {
		t.Errorf("planned %q", short(d.Actions))
	}
}

// Members that never became ready counted for ever, so that the pool stayed empty.
func TestFaultNeverReadyMembersSatisfyTheTarget(t *testing.T) {
	spec, now, newID := pool(2), t0, ids(100)
	members := apply(prewarm.Plan(spec, nil, prewarm.Failures{}, now), spec, nil, now, newID)
	now = now.Add(10 * time.Hour)
	if got := short(prewarm.Plan(spec, members, prewarm.Failures{}, now).Actions); got != "destroy not_ready_in_time x2, create below_target x2" {
		t.Errorf("planned %q", got)
	}
}

// The oldest went first, ready or not: of an old ready and a young unready one the ready one.
func TestFaultTheReadyOneIsDeletedAndTheUnreadyOneStays(t *testing.T) {
	members := with(1, prewarm.Ready).add(1, prewarm.Starting, nil).members
	d := prewarm.Plan(pool(1), members, prewarm.Failures{}, t0)
	if len(d.Actions) != 1 || d.Actions[0].Member != id(2) {
		t.Errorf("planned %+v", d.Actions)
	}
}

// In a back-off nothing was removed: five ran with one wanted.
func TestFaultBackoffBlocksDeletion(t *testing.T) {
	d := prewarm.Plan(pool(1), with(5, prewarm.Ready).members, fails(prewarm.Failures{}, "v1", "no", t0), t0)
	if short(d.Actions) != "destroy excess x4" {
		t.Errorf("planned %q", short(d.Actions))
	}
}

// Every pass planned from a list that did not show what the pass before had asked for, and created it again.
func TestFaultCreationsInFlightAreNotCounted(t *testing.T) {
	spec, newID := pool(10), ids(100)
	var members []prewarm.Member
	for range 5 {
		members = apply(prewarm.Plan(spec, members, prewarm.Failures{}, t0), spec, members, t0, newID)
	}
	if len(members) != 10 {
		t.Errorf("%d members of 10", len(members))
	}
}

// Members that an admission queue held on purpose were destroyed as stuck.
func TestFaultHeldMembersAreReaped(t *testing.T) {
	spec := pool(1)
	m := prewarm.NewMember(spec, id(1), prewarm.ReasonBelowTarget, t0)
	m, ok := prewarm.Observe(spec, m, prewarm.Event{Resource: id(1), Status: prewarm.StatusHeld}, t0.Add(time.Minute))
	if !ok || m.State != prewarm.Held {
		t.Fatalf("observed %+v", m)
	}
	if d := prewarm.Plan(spec, []prewarm.Member{m}, prewarm.Failures{}, t0.Add(100*time.Hour)); len(d.Actions) != 0 {
		t.Errorf("planned %q", short(d.Actions))
	}
	m, _ = prewarm.Observe(spec, m, prewarm.Event{Resource: id(1), Status: prewarm.StatusStarting}, t0.Add(100*time.Hour))
	if want := t0.Add(100*time.Hour + 10*time.Minute); !m.Deadline.Equal(want) {
		t.Errorf("once admitted it has until %v, want %v", m.Deadline, want)
	}
}

// A broken image was tried again at once, for ever.
func TestFaultBrokenImageIsRetriedForEver(t *testing.T) {
	spec := pool(2)
	var failures prewarm.Failures
	attempts, now := 0, t0
	for now.Before(t0.Add(24 * time.Hour)) {
		n := count(prewarm.Plan(spec, nil, failures, now), prewarm.ActionCreate)
		for range n {
			attempts++
			failures = fails(failures, "v1", "image not found", now)
		}
		now = now.Add(time.Second)
	}
	if attempts < 20 || attempts > 160 {
		t.Errorf("%d attempts in a day, want about one in ten minutes", attempts)
	}
	if d := prewarm.Plan(spec, nil, prewarm.Failures{}, now); count(d, prewarm.ActionCreate) != 2 {
		t.Error("resuming by hand does not create at once")
	}
}

// A reload took every resource that was not marked as used for idle, also the one that was claimed a moment ago.
func TestFaultReloadMakesAClaimedMemberIdle(t *testing.T) {
	members := with(1, prewarm.Claimed).members
	listing := []prewarm.Event{{Resource: id(1), Status: prewarm.StatusReady}}
	changed, orphans := prewarm.Reconcile(pool(1), members, listing, t0, t0)
	if len(changed) != 0 || len(orphans) != 0 {
		t.Errorf("a reload changed %+v, found orphans %+v", changed, orphans)
	}
}

// A callback that deleted by id removed what had taken the place of the destroyed one.
func TestFaultLateEventOfAnEarlierIncarnation(t *testing.T) {
	spec := pool(1)
	m := with(1, prewarm.Claimed).members[0]
	for _, e := range []prewarm.Event{
		{Generation: 1, Status: prewarm.StatusReady},
		{Generation: 2, Status: prewarm.StatusStarting},
		{Generation: 3, Status: prewarm.StatusStarting},
		{Generation: 2, Status: prewarm.StatusStopped}, // late
		{Generation: 1, Status: prewarm.StatusStopped}, // later
		{Generation: 3, Status: prewarm.StatusReady},
	} {
		m, _ = prewarm.Observe(spec, m, e, t0)
	}
	if m.State != prewarm.Claimed || m.Generation != 3 {
		t.Errorf("the claimed member is %s at generation %d", m.State, m.Generation)
	}
}

// A failed listing made claimed members vanish. Here it is not even an input; a complete one must miss them twice.
func TestFaultPartialRecoveryDropsClaimedMembers(t *testing.T) {
	spec, members := pool(0), with(1, prewarm.Claimed).members
	changed, _ := prewarm.Reconcile(spec, members, nil, t0, t0)
	if len(changed) != 1 || changed[0].State != prewarm.Claimed {
		t.Fatalf("after one listing: %+v", changed)
	}
	unknown := []prewarm.Event{{Resource: id(1), Status: prewarm.StatusUnknown}}
	if again, _ := prewarm.Reconcile(spec, changed, unknown, t0, t0); len(again) != 0 {
		t.Errorf("unknown changes %+v", again)
	}
	back, _ := prewarm.Reconcile(spec, changed, []prewarm.Event{{Resource: id(1), Status: prewarm.StatusReady}}, t0, t0)
	if len(back) != 1 || back[0].Misses != 0 {
		t.Errorf("seen again: %+v", back)
	}
	gone, _ := prewarm.Reconcile(spec, changed, nil, t0, t0)
	if len(gone) != 1 || gone[0].State != prewarm.Deleting || gone[0].Reason != prewarm.ReasonLost {
		t.Errorf("after two listings: %+v", gone)
	}
}

// After a restart the timeout of a claim began anew.
func TestFaultRecoveredTimeoutRestartsInFull(t *testing.T) {
	c := prewarm.Claim{Key: "k", IdleTimeout: time.Hour}
	m := c.Take(with(1, prewarm.Ready).members[0], t0)
	after := t0.Add(50 * time.Minute) // the process restarts, lists, and sees it
	listing := []prewarm.Event{{Resource: m.Resource, Status: prewarm.StatusReady}}
	if changed, _ := prewarm.Reconcile(pool(0), []prewarm.Member{m}, listing, after, after); len(changed) != 0 {
		t.Errorf("a restart changed %+v", changed)
	}
	if d := prewarm.Plan(pool(0), []prewarm.Member{m}, prewarm.Failures{}, t0.Add(time.Hour)); short(d.Actions) != "destroy inactive x1" {
		t.Errorf("planned %q an hour after the claim", short(d.Actions))
	}
}

// A stop event between two steps of a claim left a claimed member without a resource.
func TestFaultStopDuringAClaimLeavesAZombie(t *testing.T) {
	m := prewarm.Claim{Key: "k"}.Take(with(1, prewarm.Ready).members[0], t0)
	m, ok := prewarm.Observe(pool(0), m, prewarm.Event{Resource: m.Resource, Status: prewarm.StatusStopped}, t0)
	if !ok || m.State != prewarm.Deleting || m.Claim.Key != "k" {
		t.Errorf("a claimed member whose resource stopped is %+v", m)
	}
}

// Resources that began while the listing was on its way counted as missing, or as nobody's.
func TestFaultGapBetweenListingAndWatching(t *testing.T) {
	young := prewarm.NewMember(pool(1), id(9), prewarm.ReasonBelowTarget, t0.Add(time.Second))
	young, _ = prewarm.Observe(pool(1), young, prewarm.Event{Resource: id(9), Status: prewarm.StatusReady}, t0.Add(2*time.Second))
	if changed, _ := prewarm.Reconcile(pool(1), []prewarm.Member{young}, nil, t0, t0.Add(3*time.Second)); len(changed) != 0 {
		t.Errorf("a member made during the listing was changed: %+v", changed)
	}
}

// The size was raised and nothing happened until the next reload.
func TestFaultIncreasingTheSizeHasNoEffect(t *testing.T) {
	if n := count(prewarm.Plan(pool(8), with(3, prewarm.Ready).members, prewarm.Failures{}, t0), prewarm.ActionCreate); n != 5 {
		t.Errorf("%d created, want 5", n)
	}
}

// Scaling down did nothing, or one at a time.
func TestFaultNeverScalesDown(t *testing.T) {
	if got := short(prewarm.Plan(pool(1), with(20, prewarm.Ready).members, prewarm.Failures{}, t0).Actions); got != "destroy excess x19" {
		t.Errorf("planned %q", got)
	}
}

// A new version made everything old unclaimable at once, and left a gap as long as a build.
func TestFaultRolloverLeavesAGap(t *testing.T) {
	spec := pool(3)
	d := prewarm.Plan(spec, new(fleet).add(3, prewarm.Ready, old).members, prewarm.Failures{}, t0)
	if count(d, prewarm.ActionDestroy) != 0 || count(d, prewarm.ActionCreate) != 1 {
		t.Errorf("planned %q", short(d.Actions))
	}
}

// A member that the backend says nonsense of took the whole pool down.
func TestFaultNonsenseOfOneMember(t *testing.T) {
	spec := pool(3)
	spec.Quarantine = time.Hour
	listing := []prewarm.Event{
		{Resource: id(1), Status: prewarm.StatusReady},
		{Resource: id(2), Status: prewarm.Status(99)},
		{Resource: id(3), Status: prewarm.StatusReady},
		{Resource: id(3), Status: prewarm.StatusStopped},
		{Resource: id(4), Status: prewarm.StatusReady, Generation: -7},
	}
	members := with(3, prewarm.Ready).add(1, prewarm.Claimed, nil).members
	changed, _ := prewarm.Reconcile(spec, members, listing, t0, t0)
	aside := make(map[uuid.UUID]bool)
	for _, m := range changed {
		if m.State != prewarm.Quarantined || m.Message == "" {
			t.Errorf("%v is %s: %q", m.ID, m.State, m.Message)
		}
		aside[m.ID] = true
	}
	if len(aside) != 2 || !aside[id(2)] || !aside[id(3)] {
		t.Errorf("put aside: %v, want the second and the third", aside)
	}
}
