package prewarm_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/schedule"
)

// t0 is a Monday.
var t0 = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func id(n int) uuid.UUID {
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[8:], uint64(n))
	return u
}

// ids returns a source of ids from n on.
func ids(n int) func() uuid.UUID {
	return func() uuid.UUID { n++; return id(n - 1) }
}

func pool(size int) prewarm.Spec {
	return prewarm.Spec{Name: "go-dev", Version: "v1", Floor: size, Ceiling: max(size, 10)}
}

// fleet builds members; each call adds some.
type fleet struct{ members []prewarm.Member }

func (f *fleet) add(n int, s prewarm.State, change func(m *prewarm.Member)) *fleet {
	for range n {
		at := t0.Add(time.Duration(len(f.members)-1000) * time.Second)
		m := prewarm.Member{
			ID: id(len(f.members) + 1), Pool: "go-dev", Version: "v1", State: s, CreatedAt: at, Revision: 1,
		}
		m.Resource = m.ID
		switch s {
		case prewarm.Ready:
			m.ReadyAt = at
		case prewarm.Claimed:
			m.ReadyAt = at
			m.Claim = prewarm.Claim{Key: m.ID.String(), Owner: "ann", At: at}
		case prewarm.Starting, prewarm.Cleaning, prewarm.Deleting:
			m.Deadline = t0.Add(time.Hour)
		}
		if change != nil {
			change(&m)
		}
		f.members = append(f.members, m)
	}
	return f
}

func with(n int, s prewarm.State) *fleet { return new(fleet).add(n, s, nil) }

func old(m *prewarm.Member) { m.Version = "v0" }

// apply returns the members after a decision.
func apply(d prewarm.Decision, spec prewarm.Spec, members []prewarm.Member, now time.Time, newID func() uuid.UUID) []prewarm.Member {
	changed := make(map[uuid.UUID]prewarm.Member)
	var result []prewarm.Member
	for _, c := range d.Apply(spec, members, now, newID) {
		if c.Member.Revision == 0 {
			c.Member.Revision = 1
			result = append(result, c.Member)
			continue
		}
		changed[c.Member.ID] = c.Member
	}
	for _, m := range members {
		if next, ok := changed[m.ID]; ok {
			if next.State == prewarm.Gone && next.Deadline.IsZero() {
				continue
			}
			m = next
		}
		result = append(result, m)
	}
	return result
}

func count(d prewarm.Decision, k prewarm.ActionKind) int {
	n := 0
	for _, a := range d.Actions {
		if a.Kind == k {
			n++
		}
	}
	return n
}

// unclaimed counts the members that the ceiling is about.
func unclaimed(members []prewarm.Member) int {
	n := 0
	for _, m := range members {
		switch m.State {
		case prewarm.Starting, prewarm.Held, prewarm.Ready, prewarm.Cleaning:
			if m.Claim.Key == "" {
				n++
			}
		}
	}
	return n
}

func weekly(t *testing.T, spec string) *schedule.Cron {
	t.Helper()
	c, err := schedule.Weekly(spec)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func field(err error) string {
	var bad *invalid.Error
	if errors.As(err, &bad) {
		return bad.Field
	}
	return ""
}

// chance is a source of random pools.
type chance struct{ *rand.Rand }

func (c chance) spec() prewarm.Spec {
	s := prewarm.Spec{Name: "go-dev", Version: "v1", Ceiling: c.IntN(12), Remember: time.Minute}
	if s.Ceiling > 0 {
		s.Floor = c.IntN(s.Ceiling + 1)
	}
	s.Rollover = prewarm.Rollover{AtOnce: c.IntN(3) == 0, Surge: c.IntN(4) - 1, MaxUnavailable: c.IntN(3)}
	if c.IntN(3) == 0 && s.Ceiling > 1 {
		s.Reserves = map[string]int{"a": c.IntN(s.Ceiling / 2), "b": c.IntN(s.Ceiling/2 + 1)}
	}
	s.MaxStarting = c.IntN(4)
	s.Demand = prewarm.Demand{PerHour: float64(c.IntN(100)), Waiting: c.IntN(3), Recent: max(0, c.IntN(6)-3), BuildTime: time.Duration(c.IntN(300)) * time.Second}
	if c.IntN(2) == 0 {
		s.IdleLife, s.MaxAge = time.Hour, 90*time.Minute
	}
	if c.IntN(2) == 0 {
		s.Quarantine, s.MaxQuarantined = time.Hour, 1+c.IntN(2)
	}
	return s
}

func (c chance) members() []prewarm.Member {
	var f fleet
	for range c.IntN(30) {
		f.add(1, prewarm.States()[c.IntN(8)], func(m *prewarm.Member) {
			if c.IntN(4) == 0 {
				m.Version = "v0"
			}
			m.Deadline = t0.Add(time.Duration(c.IntN(3600)-600) * time.Second)
			m.For = []string{"", "", "", prewarm.ForTenant("a"), prewarm.ForTenant("z"), prewarm.ForOwner("ann")}[c.IntN(6)]
			if m.State == prewarm.Starting && c.IntN(5) == 0 {
				m.Claim.Key = m.ID.String()
			}
		})
	}
	return f.members
}

func (c chance) failures() prewarm.Failures {
	var f prewarm.Failures
	for range max(0, c.IntN(8)-3) {
		f = fails(f, []string{"v1", "v1", "v0"}[c.IntN(3)], "no", t0.Add(-time.Duration(c.IntN(100))*time.Second))
	}
	return f
}

// fails returns the failures after another attempt, which began after the failure before was known.
func fails(f prewarm.Failures, version, message string, at time.Time) prewarm.Failures {
	return f.Failed(version, message, at.Add(time.Microsecond), at)
}
