package postgres_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

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

// A write of no wake, or of one far above what may become the bound, keeps no reading from teaching it.
func TestLowWaterBesideALateWrite(t *testing.T) {
	noon := epoch.Add(4 * time.Hour)
	for _, wake := range []time.Time{{}, noon.Add(time.Hour)} {
		var l postgres.LowWater
		l.Read(noon)(time.Time{})
		end := l.Write(wake)
		if bound := l.Read(noon.Add(time.Minute))(time.Time{}); !bound.Equal(noon.Add(time.Minute - 5*time.Minute)) {
			t.Errorf("a write of %v: the bound is %v", wake, bound)
		}
		end()
	}
}

// Whoever looks at what is due of all shares reads from a bit below the first of it on from then on. Of a share it learns nothing: what
// others have is below it.
func TestLooksTeachTheLowWater(t *testing.T) {
	s, pool := open(t)
	newFleet(t, s, 2) // due at epoch
	noon, fresh := epoch.Add(4*time.Hour), over(t, pool)
	look := func(s *postgres.Store, now time.Time, share lifecycle.Shard, want time.Time) {
		t.Helper()
		_, err := s.Due(t.Context(), lifecycle.DueQuery{Now: now, Limit: 1, Shard: share})
		must(t, err)
		if got := s.LowWater(); !got.Equal(want) {
			t.Errorf("at %v it reads from %v on, want %v", now, got, want)
		}
	}
	look(fresh, noon, lifecycle.Shard{Count: 2}, time.Time{})
	look(fresh, noon, lifecycle.Shard{Count: 1}, epoch.Add(-5*time.Minute))
	look(s, noon, lifecycle.Shard{}, epoch.Add(-5*time.Minute))
	exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = NULL`)
	look(s, noon.Add(time.Second), lifecycle.Shard{}, noon.Add(time.Second-5*time.Minute))
	exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = $1`, epoch) // by others, and late
	last := noon.Add(15*time.Minute - time.Microsecond)
	look(s, last, lifecycle.Shard{}, last.Add(-5*time.Minute))
	look(s, last.Add(time.Microsecond), lifecycle.Shard{}, epoch.Add(-5*time.Minute))
}

// The next wake is looked for from there on.
func TestNextWakeAboveTheLowWater(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 2)
	noon := epoch.Add(4 * time.Hour)
	next := func(want time.Time) {
		t.Helper()
		if got, err := s.NextWake(t.Context(), lifecycle.Shard{}); err != nil || !got.Equal(want) {
			t.Errorf("the next wake is %v, error %v, want %v", got, err, want)
		}
	}
	next(epoch)
	exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = $1`, noon.Add(time.Hour))
	wantDue(t, s, noon)
	exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = $1 WHERE id = (SELECT min(id::text)::uuid FROM dormouse.workspaces)`, epoch) // by others, and late
	next(noon.Add(time.Hour))
	exec(t, pool, `UPDATE dormouse.workspaces SET wake_at = $1`, noon.Add(-5*time.Minute))
	next(noon.Add(-5 * time.Minute))
	wantDue(t, s, noon.Add(time.Second), f.ids...)
}

// What a process with a clock that is behind makes, or wakes by a change of its template, it finds itself.
func TestLowWaterOfNewWorkspacesAndMarks(t *testing.T) {
	s, _ := open(t)
	noon := epoch.Add(4 * time.Hour)
	f := newFleet(t, s, 0)
	wantDue(t, s, noon)
	f.ids = []uuid.UUID{uuid.New()}
	must(t, s.CreateWorkspaces(t.Context(), epoch, lifecycle.Workspace{
		ID: f.ids[0], OrganizationID: f.template.OrganizationID, OwnerID: f.owner.ID, TemplateID: f.template.ID, Name: "w", CreatedAt: epoch,
	}))
	wantDue(t, s, noon.Add(time.Second), f.ids...)
	sleeps := func() {
		t.Helper()
		outcomes, err := s.Commit(t.Context(), noon, []lifecycle.Change{wakeAt(load(t, s, f.ids...)[0], time.Time{})})
		must(t, err)
		if outcomes[0] != lifecycle.Applied {
			t.Fatal(outcomes)
		}
		wantDue(t, s, noon.Add(2*time.Second))
	}
	sleeps()
	f.template.Revision, f.template.Name = 1, "renamed"
	must(t, s.PutTemplate(t.Context(), epoch, f.template))
	wantDue(t, s, noon.Add(3*time.Second), f.ids...)
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

// Whoever finds that zone data has changed wakes everything itself, and leaves no mark for others.
func TestKeepZonesLeavesNoMark(t *testing.T) {
	s, pool := open(t)
	f := newFleet(t, s, 1)
	for data := range int64(2) {
		_, err := s.KeepZones(t.Context(), epoch, []string{"UTC"}, func(string) int64 { return data })
		must(t, err)
	}
	if n := count(t, pool, "marks"); n != 0 {
		t.Errorf("%d marks are left", n)
	}
	wantDue(t, s, epoch, f.ids...)
}
