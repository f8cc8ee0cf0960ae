package prewarm_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/prewarm"
)

func TestObserve(t *testing.T) {
	tests := []struct {
		name   string
		member *fleet
		event  prewarm.Event
		want   prewarm.State
		why    prewarm.Reason
	}{
		{"ready", with(1, prewarm.Starting), prewarm.Event{Status: prewarm.StatusReady}, prewarm.Ready, prewarm.ReasonReady},
		{"held", with(1, prewarm.Starting), prewarm.Event{Status: prewarm.StatusHeld}, prewarm.Held, prewarm.ReasonHeld},
		{"admitted", with(1, prewarm.Held), prewarm.Event{Status: prewarm.StatusStarting}, prewarm.Starting, prewarm.ReasonRestarted},
		{"held, then ready", with(1, prewarm.Held), prewarm.Event{Status: prewarm.StatusReady}, prewarm.Ready, prewarm.ReasonReady},
		{"ended while it starts", with(1, prewarm.Starting), prewarm.Event{Status: prewarm.StatusStopped}, prewarm.Deleting, prewarm.ReasonStopped},
		{"ended while ready", with(1, prewarm.Ready), prewarm.Event{Status: prewarm.StatusStopped}, prewarm.Deleting, prewarm.ReasonStopped},
		{"ended while claimed", with(1, prewarm.Claimed), prewarm.Event{Status: prewarm.StatusStopped}, prewarm.Deleting, prewarm.ReasonStopped},
		{"restarted", with(1, prewarm.Ready), prewarm.Event{Status: prewarm.StatusStarting, Generation: 1}, prewarm.Starting, prewarm.ReasonRestarted},
		{"a late start", with(1, prewarm.Ready), prewarm.Event{Status: prewarm.StatusStarting}, prewarm.Ready, ""},
		{"restarted while claimed", with(1, prewarm.Claimed), prewarm.Event{Status: prewarm.StatusStarting, Generation: 1}, prewarm.Claimed, ""},
		{"doubled", with(1, prewarm.Ready), prewarm.Event{Status: prewarm.StatusReady}, prewarm.Ready, ""},
		{"unknown", with(1, prewarm.Ready), prewarm.Event{Generation: 9}, prewarm.Ready, ""},
		{"late, when it is being destroyed", with(1, prewarm.Deleting), prewarm.Event{Status: prewarm.StatusReady, Generation: 9}, prewarm.Deleting, ""},
		{"late, when it is gone", with(1, prewarm.Gone), prewarm.Event{Status: prewarm.StatusReady, Generation: 9}, prewarm.Gone, ""},
		{"nonsense, without a quarantine", with(1, prewarm.Ready), prewarm.Event{Status: 99}, prewarm.Deleting, prewarm.ReasonDoubt},
		{
			"cold", new(fleet).add(1, prewarm.Starting, func(m *prewarm.Member) { m.Claim.Key = "k" }),
			prewarm.Event{Status: prewarm.StatusReady},
			prewarm.Claimed, prewarm.ReasonCold,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := test.member.members[0]
			got, changed := prewarm.Observe(pool(1), before, test.event, t0)
			if got.State != test.want || got.Reason != test.why {
				t.Errorf("%s because %q, want %s because %q", got.State, got.Reason, test.want, test.why)
			}
			if changed != (got != before) {
				t.Errorf("changed is %v, but %+v became %+v", changed, before, got)
			}
		})
	}
}

// Events may come doubled, late and out of order, but within a generation they lead to the same end.
func TestObserveForgivesDisorder(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 3))
		events := []prewarm.Event{
			{Status: prewarm.StatusStarting, Generation: 1},
			{Status: prewarm.StatusReady, Generation: 1},
			{Status: prewarm.StatusStopped, Generation: 1},
			{Status: prewarm.StatusStarting, Generation: 2},
			{Status: prewarm.StatusReady, Generation: 3},
			{Status: prewarm.StatusReady, Generation: 3},
		}
		// The first generation's end comes at any time after the second one has begun.
		random.Shuffle(2, func(i, j int) { events[i], events[j] = events[j], events[i] })
		late := events[2]
		events = append(events[:2], events[3:]...)
		at := 3 + random.IntN(len(events)-2)
		events = append(events[:at], append([]prewarm.Event{late}, events[at:]...)...)
		m := prewarm.NewMember(pool(1), id(1), prewarm.ReasonBelowTarget, t0)
		for _, e := range events {
			e.Resource = m.Resource
			m, _ = prewarm.Observe(pool(1), m, e, t0)
		}
		if m.State != prewarm.Ready || m.Generation != 3 {
			t.Fatalf("seed %d: %s at generation %d after %+v", seed, m.State, m.Generation, events)
		}
	}
}

func TestLifeCountsFromTheFirstTimeReady(t *testing.T) {
	spec := pool(1)
	spec.IdleLife, spec.MaxAge = time.Hour, 2*time.Hour
	m := prewarm.NewMember(spec, id(1), prewarm.ReasonBelowTarget, t0)
	ready := prewarm.Event{Resource: id(1), Status: prewarm.StatusReady}
	m, _ = prewarm.Observe(spec, m, ready, t0.Add(time.Minute))
	want := t0.Add(time.Hour + time.Minute)
	if !m.Deadline.Equal(want) {
		t.Errorf("lives until %v, want %v", m.Deadline, want)
	}
	m, ok := prewarm.Missed(spec, m, t0.Add(2*time.Minute), t0.Add(2*time.Minute))
	if !ok || m.State != prewarm.Starting {
		t.Fatalf("missed: %+v", m)
	}
	if m, _ = prewarm.Observe(spec, m, ready, t0.Add(30*time.Minute)); !m.Deadline.Equal(want) || m.State != prewarm.Ready {
		t.Errorf("seen again it lives until %v, want %v", m.Deadline, want)
	}
}

func TestBuildTimeIsTheMeanOfFirstBuilds(t *testing.T) {
	if _, ok := prewarm.BuildTime(with(2, prewarm.Starting).members, "v1"); ok {
		t.Error("measured what has not ended")
	}
	var f fleet
	for _, d := range []time.Duration{10 * time.Second, 20 * time.Second} {
		f.add(1, prewarm.Ready, func(m *prewarm.Member) { m.ReadyAt = m.CreatedAt.Add(d) })
	}
	f.add(1, prewarm.Ready, func(m *prewarm.Member) { m.ReadyAt, m.Uses = m.CreatedAt.Add(time.Hour), 1 })
	f.add(1, prewarm.Ready, func(m *prewarm.Member) { m.ReadyAt, m.Version = m.CreatedAt.Add(time.Hour), "v0" })
	if d, ok := prewarm.BuildTime(f.members, "v1"); !ok || d != 15*time.Second {
		t.Errorf("%v, %v", d, ok)
	}
}

func TestReconcileReportsOrphans(t *testing.T) {
	listing := []prewarm.Event{
		{Resource: id(1), Status: prewarm.StatusReady},
		{Resource: id(2), Status: prewarm.StatusReady},
		{Resource: id(3)},
		{Resource: id(2), Status: prewarm.StatusReady, Generation: 1},
	}
	_, orphans := prewarm.Reconcile(pool(1), with(1, prewarm.Ready).members, listing, t0, t0)
	if len(orphans) != 1 || orphans[0].Resource != id(2) {
		t.Errorf("orphans %+v, want the second resource, once", orphans)
	}
}

func TestClaimDeadline(t *testing.T) {
	for _, test := range []struct {
		claim prewarm.Claim
		want  time.Time
	}{
		{prewarm.Claim{}, time.Time{}},
		{prewarm.Claim{IdleTimeout: time.Hour}, t0.Add(time.Hour)},
		{prewarm.Claim{Until: t0.Add(time.Minute)}, t0.Add(time.Minute)},
		{prewarm.Claim{IdleTimeout: time.Hour, Until: t0.Add(time.Minute)}, t0.Add(time.Minute)},
		{prewarm.Claim{IdleTimeout: time.Hour, Until: t0.Add(2 * time.Hour)}, t0.Add(time.Hour)},
	} {
		if got := test.claim.Deadline(t0); !got.Equal(test.want) {
			t.Errorf("%+v ends at %v, want %v", test.claim, got, test.want)
		}
	}
}
