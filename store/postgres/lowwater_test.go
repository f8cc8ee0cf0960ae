package postgres_test

import (
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// What is read beside a write teaches nothing: it may or may not have seen it. The bound is never above a wake that this
// process has written.
func TestLowWaterBesideAWrite(t *testing.T) {
	noon := epoch.Add(4 * time.Hour)
	past := epoch
	for name, run := range map[string]func(l *postgres.LowWater) time.Time{
		"a write that begins and ends within a reading": func(l *postgres.LowWater) time.Time {
			learn := l.Read(noon)
			l.Write(past)()
			return learn(time.Time{})
		},
		"a write that begins within a reading": func(l *postgres.LowWater) time.Time {
			learn := l.Read(noon)
			l.Write(past)
			return learn(time.Time{})
		},
		"a reading within a write": func(l *postgres.LowWater) time.Time {
			defer l.Write(past)()
			return l.Read(noon)(time.Time{})
		},
		"a write that ends within a reading": func(l *postgres.LowWater) time.Time {
			end := l.Write(past)
			learn := l.Read(noon)
			end()
			return learn(time.Time{})
		},
		"a write behind a reading": func(l *postgres.LowWater) time.Time {
			l.Read(noon)(time.Time{})
			l.Write(past)()
			return l.Read(noon)(past)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var l postgres.LowWater
			l.Read(noon)(time.Time{})
			if bound := run(&l); bound.After(past) {
				t.Errorf("the bound is %v, above a wake at %v", bound, past)
			}
			if bound := l.Read(noon.Add(time.Minute))(time.Time{}); name == "a reading within a write" && !bound.After(past) {
				t.Errorf("the bound stays at %v when the write is over", bound)
			}
		})
	}
}

// Whoever works off a mark does not delete a newer one that has taken its place.
func TestANewerMarkStays(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 2)
	exec(t, pool, `INSERT INTO dormouse.marks (subject, owner, due_at, generation) VALUES ($1, false, $2, 7)`, f.template.ID, epoch)
	must(t, s.WorkOff(t.Context(), f.template.ID, epoch, 6))
	var generation int64
	must(t, pool.QueryRow(t.Context(), `SELECT generation FROM dormouse.marks`).Scan(&generation))
	if generation != 7 {
		t.Errorf("generation %d is left", generation)
	}
	must(t, s.WorkOff(t.Context(), f.template.ID, epoch, 7))
	if _, err := s.Due(t.Context(), lifecycle.DueQuery{Now: epoch, Limit: 1}); err != nil {
		t.Error(err)
	}
	var left int
	must(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM dormouse.marks`).Scan(&left))
	if left != 0 {
		t.Errorf("%d marks are left", left)
	}
}
