package prewarm

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
)

// Trace is what [Replay] replays.
type Trace struct {
	// Claims are the instants of claims, in any order; those outside From and To are ignored.
	Claims   []time.Time
	From, To time.Time
	// Build is how long a member takes to become ready.
	Build time.Duration
	// Step is how often the pool plans besides when something happens. Defaults to 1 minute.
	Step time.Duration
	// Window is over which the rate of claims is measured (see [Config]). Defaults to 10 minutes.
	Window time.Duration
	// Spec returns what the pool shall be at an instant. The replay fills in the measured rate of claims and the build
	// time.
	Spec func(now time.Time) Spec
}

// Outcome is what a replayed policy gives and costs.
type Outcome struct {
	Claims, Hits int
	// Wait is how long the other claims waited, in all, for a member of their own, which is built from then on.
	Wait time.Duration
	// Idle is how long members were ready and unclaimed, in all; Built is how many were built.
	Idle  time.Duration
	Built int
}

// HitRate returns the share of claims that found a ready member; 0 if there were none.
func (o Outcome) HitRate() float64 {
	if o.Claims == 0 {
		return 0
	}
	return float64(o.Hits) / float64(o.Claims)
}

// Replay runs the planner of a pool over recorded claims, as fast as it can, and says how many would have found a ready
// member and how long members would have been idle. Creations do not fail in it, and a claim that finds none has one
// built for itself. It is deterministic.
func Replay(t Trace) (Outcome, error) {
	switch {
	case t.Spec == nil:
		return Outcome{}, invalid.New("Trace.Spec", "nil", "must say what the pool shall be")
	case !t.To.After(t.From):
		return Outcome{}, invalid.New("Trace.To", t.To, "must be after From")
	case t.Build < 0:
		return Outcome{}, invalid.New("Trace.Build", t.Build, "must not be negative")
	case t.Step < 0:
		return Outcome{}, invalid.New("Trace.Step", t.Step, "must not be negative")
	case t.Window < 0:
		return Outcome{}, invalid.New("Trace.Window", t.Window, "must not be negative")
	}
	t.Window = cmp.Or(t.Window, defaultTrafficWindow)
	t.Step = cmp.Or(t.Step, time.Minute)
	r := replay{trace: t, now: t.From, traffic: Traffic{Window: t.Window}}
	for _, at := range t.Claims {
		if !at.Before(t.From) && at.Before(t.To) {
			r.claims = append(r.claims, at)
		}
	}
	slices.SortFunc(r.claims, time.Time.Compare)
	r.run()
	return r.outcome, nil
}

type replay struct {
	trace   Trace
	now     time.Time
	claims  []time.Time
	members []Member // starting and ready ones
	traffic Traffic
	state   PoolState
	made    uint64
	outcome Outcome
}

func (r *replay) run() {
	tick := r.trace.From
	for r.now.Before(r.trace.To) {
		r.mature()
		for len(r.claims) > 0 && !r.claims[0].After(r.now) {
			r.claims = r.claims[1:]
			r.claim()
		}
		if !tick.After(r.now) {
			tick = r.now.Add(r.trace.Step)
		}
		r.plan()
		r.advance(tick)
	}
}

// advance goes to the next instant at which something happens, and counts what was idle until then.
func (r *replay) advance(next time.Time) {
	if len(r.claims) > 0 && r.claims[0].Before(next) {
		next = r.claims[0]
	}
	ready := 0
	for i := range r.members {
		m := &r.members[i]
		if m.State == Ready {
			ready++
		} else if at := m.CreatedAt.Add(r.trace.Build); at.Before(next) {
			next = at
		}
	}
	if next.After(r.trace.To) {
		next = r.trace.To
	}
	r.outcome.Idle += time.Duration(ready) * next.Sub(r.now)
	r.now = next
}

// mature makes members ready whose time has come.
func (r *replay) mature() {
	spec := r.trace.Spec(r.now).withDefaults()
	for i := range r.members {
		if m := &r.members[i]; m.State == Starting && !m.CreatedAt.Add(r.trace.Build).After(r.now) {
			*m = m.ready(spec, r.now)
		}
	}
}

func (r *replay) claim() {
	r.traffic.Count(1, r.now)
	r.outcome.Claims++
	oldest := -1
	for i := range r.members {
		if m := &r.members[i]; m.State == Ready && (oldest < 0 || m.ReadyAt.Before(r.members[oldest].ReadyAt)) {
			oldest = i
		}
	}
	if oldest < 0 {
		r.outcome.Wait += r.trace.Build
		r.outcome.Built++
		return
	}
	r.outcome.Hits++
	r.members = slices.Delete(r.members, oldest, oldest+1)
}

// plan carries out what the planner decides; what is destroyed is gone at once.
func (r *replay) plan() {
	spec := r.trace.Spec(r.now)
	spec.Demand.BuildTime = r.trace.Build
	spec.Demand.PerHour = max(spec.Demand.PerHour, r.traffic.PerHour(r.now))
	spec.Demand.Recent = r.state.Recent(r.now)
	d := Plan(spec, r.members, Failures{}, r.now)
	r.state, _ = r.state.Ask(d.Target.Extra(), spec.withDefaults().CoolDown, r.now)
	for _, c := range d.Apply(spec, r.members, r.now, r.newID) {
		at := slices.IndexFunc(r.members, func(m Member) bool { return m.ID == c.Member.ID })
		switch {
		case at < 0:
			r.outcome.Built++
			r.members = append(r.members, c.Member)
		case c.Member.State == Deleting:
			r.members = slices.Delete(r.members, at, at+1)
		default:
			r.members[at] = c.Member
		}
	}
}

func (r *replay) newID() uuid.UUID {
	r.made++
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[8:], r.made)
	return id
}
