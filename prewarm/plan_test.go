package prewarm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
)

func TestPlan(t *testing.T) {
	failing := func(n int, at time.Time) prewarm.Failures {
		var f prewarm.Failures
		for range n {
			f = fails(f, "v1", "image not found", at)
		}
		return f
	}
	due := func(m *prewarm.Member) { m.Deadline = t0 }
	tests := []struct {
		name     string
		spec     func(s *prewarm.Spec)
		members  *fleet
		failures prewarm.Failures
		want     string // kind reason xN, in the order of the actions
		blocked  prewarm.Blocked
	}{
		{name: "an empty pool is filled", members: with(0, prewarm.Ready), want: "create below_target x3"},
		{name: "what starts counts", members: with(2, prewarm.Starting), want: "create below_target x1"},
		{name: "what is held counts", members: with(3, prewarm.Held), want: ""},
		{name: "what is cleaned counts", members: with(3, prewarm.Cleaning), want: ""},
		{name: "what is claimed does not", members: with(3, prewarm.Claimed), want: "create below_target x3"},
		{name: "what is being destroyed does not", members: with(3, prewarm.Deleting), want: "create below_target x3"},
		{
			name:    "what is built for a claim does not",
			members: new(fleet).add(3, prewarm.Starting, func(m *prewarm.Member) { m.Claim.Key = "k" }),
			want:    "create below_target x3",
		},
		{name: "full", members: with(3, prewarm.Ready), want: ""},
		{name: "too many", members: with(5, prewarm.Ready), want: "destroy excess x2"},
		{
			name: "those that start go before those that are ready", members: with(3, prewarm.Ready).add(2, prewarm.Starting, nil),
			want: "destroy excess x2",
		},
		{name: "end of the idle life", members: with(3, prewarm.Ready).add(1, prewarm.Ready, due), want: "destroy idle_life x1"},
		{
			name: "end of the age", spec: func(s *prewarm.Spec) { s.MaxAge = time.Hour },
			members: with(3, prewarm.Ready).add(1, prewarm.Ready, func(m *prewarm.Member) {
				m.CreatedAt, m.Deadline = t0.Add(-time.Hour), t0
			}),
			want: "destroy max_age x1",
		},
		{name: "not ready in time", members: with(2, prewarm.Ready).add(1, prewarm.Starting, due), want: "destroy not_ready_in_time x1, create below_target x1"},
		{name: "held too long", members: with(3, prewarm.Ready).add(1, prewarm.Held, due), want: "destroy held_too_long x1"},
		{name: "inactive", members: with(3, prewarm.Ready).add(1, prewarm.Claimed, due), want: "destroy inactive x1"},
		{
			name: "claim over", want: "destroy claim_over x1",
			members: with(3, prewarm.Ready).add(1, prewarm.Claimed, func(m *prewarm.Member) { m.Deadline, m.Claim.Until = t0, t0 }),
		},
		{name: "not cleaned in time", members: with(3, prewarm.Ready).add(1, prewarm.Cleaning, due), want: "destroy unclean x1"},
		{
			name: "not cleaned in time, quarantine", spec: func(s *prewarm.Spec) { s.Quarantine = time.Hour },
			members: with(3, prewarm.Ready).add(1, prewarm.Cleaning, due), want: "quarantine unclean x1",
		},
		{name: "long enough in quarantine", members: with(3, prewarm.Ready).add(1, prewarm.Quarantined, due), want: "destroy quarantine_over x1"},
		{name: "too many in quarantine", members: with(3, prewarm.Ready).add(5, prewarm.Quarantined, nil), want: "destroy quarantine_over x2"},
		{name: "an attempt to destroy that did not end", members: with(3, prewarm.Ready).add(1, prewarm.Deleting, due), want: "destroy destroy_again x1"},
		{name: "a tombstone", members: with(3, prewarm.Ready).add(1, prewarm.Gone, due), want: "forget forgotten x1"},

		{
			name: "one at a time", spec: func(s *prewarm.Spec) { s.MaxStarting = 1 }, members: with(0, prewarm.Ready),
			want: "create below_target x1", blocked: prewarm.BlockedConcurrency,
		},
		{
			name: "a claim that waits is built for", spec: func(s *prewarm.Spec) { s.Demand.Waiting = 2 }, members: with(0, prewarm.Ready),
			want: "create below_target x5",
		},
		{
			name: "the ceiling", spec: func(s *prewarm.Spec) { s.Demand.Waiting = 20 }, members: with(0, prewarm.Ready),
			want: "create below_target x10",
		},
		{name: "paused", spec: func(s *prewarm.Spec) { s.Paused = true }, members: with(1, prewarm.Ready), blocked: prewarm.BlockedPaused},
		{name: "paused and full", spec: func(s *prewarm.Spec) { s.Paused = true }, members: with(3, prewarm.Ready)},
		{
			name: "an unreadable spec", spec: func(s *prewarm.Spec) { s.Err = errors.New("no JSON") },
			members: with(1, prewarm.Ready).add(1, prewarm.Claimed, due), want: "destroy inactive x1", blocked: prewarm.BlockedSpec,
		},

		{name: "a failure a moment ago", members: with(0, prewarm.Ready), failures: failing(1, t0.Add(-9*time.Second)), blocked: prewarm.BlockedBackoff},
		{name: "a failure a moment ago, and nothing is missing", members: with(3, prewarm.Ready), failures: failing(1, t0)},
		{name: "a failure ten seconds ago", members: with(0, prewarm.Ready), failures: failing(1, t0.Add(-10*time.Second)), want: "create below_target x3"},
		{name: "an open breaker", members: with(0, prewarm.Ready), failures: failing(3, t0.Add(-time.Minute)), want: "create probe x1", blocked: prewarm.BlockedProbing},
		{name: "a probe on its way", members: with(1, prewarm.Starting), failures: failing(3, t0.Add(-time.Minute)), blocked: prewarm.BlockedProbing},
		{name: "failures of another version", members: with(0, prewarm.Ready), failures: fails(prewarm.Failures{}, "v0", "no", t0), want: "create below_target x3"},

		{name: "rollover: surge", members: new(fleet).add(3, prewarm.Ready, old), want: "create rollover x1", blocked: prewarm.BlockedRollover},
		{
			name: "rollover: the first new one is ready", members: new(fleet).add(3, prewarm.Ready, old).add(1, prewarm.Ready, nil),
			want: "destroy rollover x1, create rollover x1", blocked: prewarm.BlockedRollover,
		},
		{
			name: "rollover: no room for a surge", spec: func(s *prewarm.Spec) { s.Ceiling = 3 },
			members: new(fleet).add(3, prewarm.Ready, old), want: "destroy rollover x1, create rollover x1", blocked: prewarm.BlockedCeiling,
		},
		{
			name: "rollover: some may be missing", spec: func(s *prewarm.Spec) { s.Rollover = prewarm.Rollover{Surge: -1, MaxUnavailable: 2} },
			members: new(fleet).add(3, prewarm.Ready, old), want: "destroy rollover x2, create rollover x2", blocked: prewarm.BlockedRollover,
		},
		{
			name: "rollover: at once", spec: func(s *prewarm.Spec) { s.Rollover.AtOnce = true },
			members: new(fleet).add(3, prewarm.Ready, old), want: "destroy rollover x3, create below_target x3",
		},
		{
			name: "rollover: what is not ready goes at once", members: new(fleet).add(2, prewarm.Starting, old).add(1, prewarm.Held, old),
			want: "destroy rollover x3, create below_target x3",
		},
		{
			name: "rollover: claimed members stay", members: new(fleet).add(3, prewarm.Claimed, old).add(3, prewarm.Ready, nil), want: "",
		},

		{
			name: "reserves are filled from ready members", spec: func(s *prewarm.Spec) { s.Reserves = map[string]int{"a": 1, "b": 1} },
			members: with(3, prewarm.Ready), want: "label reserve x2",
		},
		{
			name: "a probe on its way, and no more may start", spec: func(s *prewarm.Spec) { s.MaxStarting = 1 },
			members: with(1, prewarm.Starting), failures: failing(3, t0.Add(-time.Minute)), blocked: prewarm.BlockedConcurrency,
		},
		{
			name: "an open breaker, one is missing", members: with(2, prewarm.Ready), failures: failing(3, t0.Add(-time.Minute)),
			want: "create probe x1", blocked: prewarm.BlockedProbing,
		},
		{
			name: "a rollover needs the room of reused members with an owner", spec: func(s *prewarm.Spec) { s.Floor, s.Ceiling = 1, 3 },
			members: new(fleet).add(1, prewarm.Ready, old).add(2, prewarm.Ready, func(m *prewarm.Member) { m.For = prewarm.ForOwner("ann") }),
			want:    "destroy excess x1, create rollover x1",
		},
		{
			name: "one reserve", spec: func(s *prewarm.Spec) { s.Reserves = map[string]int{"a": 1} },
			members: with(3, prewarm.Ready), want: "label reserve x1",
		},
		{
			name:    "reserves no longer wanted",
			members: new(fleet).add(3, prewarm.Ready, func(m *prewarm.Member) { m.For = prewarm.ForTenant("a") }), want: "label release x3",
		},
		{
			name:    "reused members with an owner are beside the size",
			members: with(3, prewarm.Ready).add(2, prewarm.Ready, func(m *prewarm.Member) { m.For = prewarm.ForOwner("ann") }), want: "",
		},
		{
			name: "what is kept after demand does not push them out", spec: func(s *prewarm.Spec) { s.Demand.Recent = 5 },
			members: with(3, prewarm.Ready).add(4, prewarm.Ready, func(m *prewarm.Member) { m.For = prewarm.ForOwner("ann") }), want: "",
		},
		{
			name:    "while they are cleaned too",
			members: with(3, prewarm.Ready).add(2, prewarm.Cleaning, func(m *prewarm.Member) { m.For = prewarm.ForOwner("ann") }), want: "",
		},
		{
			name: "but not beside the ceiling", spec: func(s *prewarm.Spec) { s.Ceiling = 4 },
			members: with(3, prewarm.Ready).add(2, prewarm.Ready, func(m *prewarm.Member) { m.For = prewarm.ForOwner("ann") }),
			want:    "destroy excess x1",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec := pool(3)
			if test.spec != nil {
				test.spec(&spec)
			}
			if spec.Err == nil {
				if err := spec.Validate(); err != nil {
					t.Fatal(err)
				}
			}
			d := prewarm.Plan(spec, test.members.members, test.failures, t0)
			if got := short(d.Actions); got != test.want {
				t.Errorf("planned %q, want %q", got, test.want)
			}
			if d.Blocked != test.blocked {
				t.Errorf("blocked by %q, want %q", d.Blocked, test.blocked)
			}
			if e := prewarm.Explain(spec, test.members.members, test.failures, t0); e.String() == "" || len(e.Decision.Actions) != len(d.Actions) {
				t.Errorf("the explanation is of another decision: %v", e)
			}
		})
	}
}

// short writes actions as "kind reason xN", one for each run of equal ones.
func short(actions []prewarm.Action) string {
	var parts []string
	for i := 0; i < len(actions); {
		first, n := actions[i], 0
		for ; i < len(actions) && actions[i].Kind == first.Kind && actions[i].Reason == first.Reason; i++ {
			n++
		}
		parts = append(parts, fmt.Sprintf("%s %s x%d", first.Kind, first.Reason, n))
	}
	return strings.Join(parts, ", ")
}

func TestWhichMembersGoFirst(t *testing.T) {
	spec := pool(1)
	var f fleet
	f.add(1, prewarm.Ready, nil)                                                          // 1: the oldest, lives for ever
	f.add(1, prewarm.Ready, func(m *prewarm.Member) { m.Deadline = t0.Add(time.Hour) })   // 2
	f.add(1, prewarm.Ready, func(m *prewarm.Member) { m.Deadline = t0.Add(time.Minute) }) // 3: the shortest life
	f.add(1, prewarm.Ready, nil)                                                          // 4
	f.add(1, prewarm.Starting, nil)                                                       // 5
	f.add(1, prewarm.Starting, nil)                                                       // 6: the youngest that starts
	for _, want := range []int{6, 5, 3, 2, 1} {                                           // remove them one by one, by a size that is one less each time
		spec.Floor = len(f.members) - 1
		d := prewarm.Plan(spec, f.members, prewarm.Failures{}, t0)
		if len(d.Actions) != 1 || d.Actions[0].Member != id(want) {
			t.Fatalf("of %d members %+v goes, want %d", len(f.members), d.Actions, want)
		}
		for i, m := range f.members {
			if m.ID == id(want) {
				f.members = append(f.members[:i:i], f.members[i+1:]...)
				break
			}
		}
	}
}

func TestApplyWritesDeadlinesAndReasons(t *testing.T) {
	spec := pool(1)
	spec.ReadyTimeout, spec.DestroyTimeout = 5*time.Minute, 30*time.Second
	members := new(fleet).add(1, prewarm.Ready, func(m *prewarm.Member) { m.Deadline = t0 }).members
	d := prewarm.Plan(spec, members, prewarm.Failures{}, t0)
	changes := d.Apply(spec, members, t0, ids(77))
	if len(changes) != 2 {
		t.Fatalf("%d changes, want a destruction and a creation", len(changes))
	}
	gone, created := changes[0].Member, changes[1].Member
	if gone.State != prewarm.Deleting || gone.Reason != prewarm.ReasonIdle || !gone.Deadline.Equal(t0.Add(30*time.Second)) {
		t.Errorf("destroyed: %+v", gone)
	}
	if created.ID != id(77) || created.Resource != id(77) || created.State != prewarm.Starting || created.Version != "v1" ||
		!created.Deadline.Equal(t0.Add(5*time.Minute)) || !created.CreatedAt.Equal(t0) || created.Pool != "go-dev" {
		t.Errorf("created: %+v", created)
	}
}

func TestExplainSaysWhy(t *testing.T) {
	failures := fails(prewarm.Failures{}, "v1", "image not found", t0.Add(-time.Second))
	spec := pool(3)
	text := prewarm.Explain(spec, with(1, prewarm.Ready).members, failures, t0).String()
	for _, want := range []string{"1 ready", "3 wanted", "9s", "after a failure with", "image not found"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not said in\n%s", want, text)
		}
	}
	spec.Err = errors.New("unexpected end of JSON input")
	if text := prewarm.Explain(spec, nil, prewarm.Failures{}, t0).String(); !strings.Contains(text, "unexpected end of JSON input") {
		t.Errorf("the reason why the spec cannot be read is not said in\n%s", text)
	}
}

func TestDiagnose(t *testing.T) {
	pick := []prewarm.Pick{{Pool: "go-dev", Version: "v1", LivesUntil: t0.Add(time.Minute)}}
	tests := []struct {
		name     string
		spec     func(s *prewarm.Spec)
		members  *fleet
		failures prewarm.Failures
		want     prewarm.MissReason
	}{
		{name: "size zero", spec: func(s *prewarm.Spec) { s.Floor = 0 }, members: with(0, prewarm.Ready), want: prewarm.MissZero},
		{name: "drained", members: with(2, prewarm.Starting), want: prewarm.MissDrained},
		{name: "all held", members: with(3, prewarm.Held), want: prewarm.MissHeld},
		{name: "failing", failures: fails(prewarm.Failures{}, "v1", "no", t0), members: with(0, prewarm.Ready), want: prewarm.MissFailing},
		{name: "paused", spec: func(s *prewarm.Spec) { s.Paused = true }, members: with(0, prewarm.Ready), want: prewarm.MissPaused},
		{
			name: "reserved", members: new(fleet).add(3, prewarm.Ready, func(m *prewarm.Member) { m.For = prewarm.ForTenant("a") }),
			spec: func(s *prewarm.Spec) { s.Reserves = map[string]int{"a": 3} }, want: prewarm.MissReserved,
		},
		{
			name: "expiring", members: new(fleet).add(3, prewarm.Ready, func(m *prewarm.Member) { m.Deadline = t0.Add(time.Second) }),
			want: prewarm.MissExpiring,
		},
		{
			name: "old version", members: new(fleet).add(3, prewarm.Ready, old),
			spec: func(s *prewarm.Spec) { s.Rollover.AtOnce = true }, want: prewarm.MissVersion,
		},
		{name: "raced", members: with(1, prewarm.Ready), want: prewarm.MissRaced},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec := pool(3)
			if test.spec != nil {
				test.spec(&spec)
			}
			if d := prewarm.Diagnose(spec, test.members.members, test.failures, pick, 0, t0); d.Reason != test.want {
				t.Errorf("%s, want %s", d.Reason, test.want)
			}
		})
	}
}

func TestEstimateIsThatOfThePlaceInTheLine(t *testing.T) {
	spec := pool(3)
	spec.Demand.BuildTime = time.Minute
	var f fleet
	for _, age := range []time.Duration{50 * time.Second, 20 * time.Second} {
		f.add(1, prewarm.Starting, func(m *prewarm.Member) { m.CreatedAt = t0.Add(-age) })
	}
	for ahead, want := range []time.Duration{10 * time.Second, 40 * time.Second, time.Minute} {
		d := prewarm.Diagnose(spec, f.members, prewarm.Failures{}, nil, ahead, t0)
		if got := d.Estimate.Sub(t0); got != want {
			t.Errorf("with %d ahead: in %v, want %v", ahead, got, want)
		}
	}
	if d := prewarm.Diagnose(spec, f.members, prewarm.Failures{}, nil, 3, t0); !d.Estimate.IsZero() {
		t.Errorf("nobody knows when the fourth one is ready, but it is said: %v", d)
	}
}

func TestCounts(t *testing.T) {
	var f fleet
	f.add(3, prewarm.Ready, nil).add(2, prewarm.Starting, nil).add(1, prewarm.Held, nil).add(1, prewarm.Cleaning, nil)
	f.add(2, prewarm.Ready, old).add(1, prewarm.Starting, old).add(4, prewarm.Claimed, nil).add(1, prewarm.Quarantined, nil)
	f.add(1, prewarm.Deleting, nil).add(1, prewarm.Deleting, func(m *prewarm.Member) { m.Deadline = t0 })
	f.add(1, prewarm.Starting, func(m *prewarm.Member) { m.Claim.Key = "k" })
	f.add(1, prewarm.Ready, func(m *prewarm.Member) { m.For = prewarm.ForOwner("ann") })
	f.add(1, prewarm.Gone, nil)
	want := prewarm.Counts{
		Ready: 3, Starting: 2, Held: 1, Cleaning: 1, Old: 3, OldReady: 2, Affine: 1, Claimed: 4, Cold: 1, Quarantined: 1, Deleting: 2,
	}
	if got := prewarm.Plan(pool(7), f.members, prewarm.Failures{}, t0).Counts; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
