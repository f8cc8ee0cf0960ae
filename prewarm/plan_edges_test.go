package prewarm_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
)

// Whose turn it is to go where a reused member with an owner of its own takes room that is kept for everybody.
func TestAffineMembersGoBeforeThoseThatAreKept(t *testing.T) {
	spec := pool(1)
	spec.Ceiling, spec.HitRate, spec.Demand.Recent = 4, -1, 3
	affine := func(m *prewarm.Member) { m.For = prewarm.ForOwner("ann") }
	f := with(1, prewarm.Ready).add(2, prewarm.Starting, nil).add(2, prewarm.Ready, affine)
	d := prewarm.Plan(spec, f.members, prewarm.Failures{}, t0)
	if len(d.Actions) != 1 || d.Actions[0].Kind != prewarm.ActionDestroy || d.Actions[0].Member != f.members[3].ID {
		t.Errorf("%+v, want the older affine one to go", d.Actions)
	}
}

func TestLabelOfAMemberThatStartsIsReleased(t *testing.T) {
	f := new(fleet).add(1, prewarm.Starting, func(m *prewarm.Member) { m.For = prewarm.ForTenant("a") })
	d := prewarm.Plan(pool(1), f.members, prewarm.Failures{}, t0)
	if len(d.Actions) != 1 || d.Actions[0].Kind != prewarm.ActionLabel || d.Actions[0].For != "" || d.Actions[0].Reason != prewarm.ReasonRelease {
		t.Errorf("%+v", d.Actions)
	}
}

func TestPausedPoolThatIsCompleteLacksNothing(t *testing.T) {
	spec := pool(2)
	spec.Paused = true
	f := with(1, prewarm.Ready).add(1, prewarm.Starting, nil)
	if d := prewarm.Plan(spec, f.members, prewarm.Failures{}, t0); d.Blocked != prewarm.BlockedNone {
		t.Errorf("blocked: %s", d.Blocked)
	}
}

// What is doubtful is nobody's: the restriction to its last owner goes with the doubt.
func TestQuarantineForgetsWhoMayClaim(t *testing.T) {
	spec := pool(0)
	spec.Quarantine = 1 // any time above zero is one
	f := new(fleet).add(1, prewarm.Cleaning, func(m *prewarm.Member) { m.For, m.Deadline = prewarm.ForOwner("ann"), t0 })
	d := prewarm.Plan(spec, f.members, prewarm.Failures{}, t0)
	changes := d.Apply(spec, f.members, t0, ids(100))
	if len(changes) != 1 || changes[0].Member.State != prewarm.Quarantined || changes[0].Member.For != "" {
		t.Errorf("%+v", changes)
	}
}

func TestPoolOfSizeZeroWithMembersUnderWay(t *testing.T) {
	pick := []prewarm.Pick{{Pool: "go-dev", Version: "v1"}}
	for name, f := range map[string]*fleet{
		"one of each":            with(1, prewarm.Starting).add(1, prewarm.Held, nil),
		"one is cleaned":         with(1, prewarm.Starting).add(1, prewarm.Cleaning, nil),
		"one starts":             with(1, prewarm.Starting),
		"one is cleaned, alone":  with(1, prewarm.Cleaning),
		"one waits for its turn": with(1, prewarm.Held),
	} {
		if d := prewarm.Diagnose(pool(0), f.members, prewarm.Failures{}, pick, 0, t0); d.Reason == prewarm.MissZero {
			t.Errorf("%s: %s", name, d.Reason)
		}
	}
}

// Claims that wait ask for members; that these are not there yet is no depletion.
func TestWaitingClaimsAlertNobody(t *testing.T) {
	d := prewarm.Decision{Target: prewarm.Target{Size: 4, Waiting: 2}, Counts: prewarm.Counts{Ready: 1}}
	if d.Alerts(0.5) {
		t.Error("half of what the pool shall have is ready")
	}
	if d.Counts.Ready = 0; !d.Alerts(0.5) {
		t.Error("nothing is ready")
	}
}

func TestFailuresOfOneInstantAreOne(t *testing.T) {
	f := prewarm.Failures{}.Failed("v1", "a", t0.Add(-time.Minute), t0)
	if f = f.Failed("v1", "b", t0, t0.Add(time.Second)); f.Count != 1 || f.Message != "b" {
		t.Errorf("an attempt that began when the first one failed: %+v", f)
	}
	if f = f.Failed("v1", "c", t0.Add(time.Microsecond), t0.Add(time.Second)); f.Count != 2 {
		t.Errorf("one that began after it: %+v", f)
	}
	if at := (prewarm.Failures{Version: "v1", Count: 1, At: t0}).Until(prewarm.Retry{}); !at.Equal(t0.Add(10 * time.Second)) {
		t.Errorf("tried again at %v", at)
	}
}

// Of those that start, the youngest has the longest way to go, whenever its time to get ready is over.
func TestYoungestThatStartsGoesFirst(t *testing.T) {
	f := with(2, prewarm.Starting)
	f.members[0].Deadline, f.members[1].Deadline = t0.Add(time.Minute), t0.Add(2*time.Minute)
	d := prewarm.Plan(pool(1), f.members, prewarm.Failures{}, t0)
	if len(d.Actions) != 1 || d.Actions[0].Member != f.members[1].ID {
		t.Errorf("%+v, want the younger one to go", d.Actions)
	}
}
