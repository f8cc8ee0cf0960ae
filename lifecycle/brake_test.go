package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func TestBrake(t *testing.T) {
	one, other := id(0xf1), id(0xf2)
	due := func() []lifecycle.DueDeletion {
		var all []lifecycle.DueDeletion
		for n := range 30 { // ten of each instant, half of each template
			all = append(all, lifecycle.DueDeletion{
				WorkspaceID: id(30 - n), TemplateID: []uuid.UUID{one, other}[n%2], DueAt: monday.Add(time.Duration(n%3) * time.Hour),
			})
		}
		return all
	}
	counts := func(workspaces, made int, ofOne, ofOther lifecycle.Deletions) lifecycle.Deletions {
		return lifecycle.Deletions{
			Workspaces: workspaces, Made: made,
			Templates: map[uuid.UUID]lifecycle.Deletions{one: ofOne, other: ofOther},
		}
	}
	none := lifecycle.Deletions{}
	for name, c := range map[string]struct {
		brake lifecycle.Brake
		is    lifecycle.Deletions
		goes  int
	}{
		"at least ten, less what was made":  {is: counts(50, 2, none, none), goes: 8},
		"a tenth":                           {is: counts(200, 0, none, none), goes: 20},
		"a tenth is more than is due":       {is: counts(1000, 0, lifecycle.Deletions{Workspaces: 500}, lifecycle.Deletions{Workspaces: 500}), goes: 30},
		"a tenth of each template":          {is: counts(1000, 0, none, none), goes: 20},
		"one template is used up":           {is: counts(1000, 10, lifecycle.Deletions{Made: 10}, none), goes: 10},
		"a limit":                           {brake: lifecycle.Brake{Max: 3}, is: counts(1000, 0, none, none), goes: 3},
		"a limit of one":                    {brake: lifecycle.Brake{Max: 1}, is: counts(1000, 0, none, none), goes: 1},
		"a limit that was passed":           {brake: lifecycle.Brake{Max: 3}, is: counts(1000, 5, none, none), goes: 0},
		"a limit of each template":          {brake: lifecycle.Brake{MaxPerTemplate: 2}, is: counts(1000, 0, none, none), goes: 4},
		"a limit of a template was reached": {brake: lifecycle.Brake{MaxPerTemplate: 2}, is: counts(1000, 3, lifecycle.Deletions{Made: 3}, none), goes: 2},
	} {
		goes, waits := c.brake.Admit(c.is, due())
		if len(goes) != c.goes || len(goes)+len(waits) != 30 {
			t.Errorf("%s: %d go and %d wait, want %d to go", name, len(goes), len(waits), c.goes)
		}
	}
	goes, _ := lifecycle.Brake{}.Admit(counts(50, 2, none, none), due())
	for i, d := range goes {
		if want := id(3 * (i + 1)); d.WorkspaceID != want || !d.DueAt.Equal(monday) {
			t.Errorf("%d. goes %v, due at %v; want %v, which has been due for longest", i, d.WorkspaceID, d.DueAt, want)
		}
	}
}

// Counting further than the brake says changes nothing.
func TestBrakeCountsNoFurtherThanNeeded(t *testing.T) {
	r := seeded(7)
	for range 2000 {
		n, made, workspaces := r.IntN(50), r.IntN(50), r.IntN(1500)
		due := make([]lifecycle.DueDeletion, n)
		for i := range due {
			due[i].WorkspaceID = id(i)
		}
		count := func(limit int) int {
			c := lifecycle.Deletions{Workspaces: min(workspaces, limit), Made: made}
			goes, _ := lifecycle.Brake{}.Admit(lifecycle.Deletions{Workspaces: c.Workspaces, Made: c.Made, Templates: map[uuid.UUID]lifecycle.Deletions{{}: c}}, due)
			return len(goes)
		}
		if all, some := count(workspaces), count(lifecycle.Brake{}.CountTo(made+n)); all != some {
			t.Fatalf("%d due, %d made, %d workspaces: %d go, %d when counting as far as needed", n, made, workspaces, all, some)
		}
	}
}

// What the brake holds keeps its place, is tried again with the others, and goes when deletions are released; nothing else
// waits for it.
func TestBrakeHoldsDeletionsAlone(t *testing.T) {
	dormant := stopped(asleep(monday.Add(-time.Hour)), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = day }), autostart("0 9 * * *"))
	now := monday.Add(7*time.Minute + time.Second)
	d := lifecycle.Decide(dormant, now)
	c := lifecycle.Postpone(dormant, lifecycle.SkipBrake, "too many", now)
	held := apply(dormant, c)
	again := monday.Add(10 * time.Minute)
	if len(c.Events) != 2 || c.Events[0].Kind != lifecycle.EventDeletionHeld {
		t.Errorf("events %+v, want one notice and one audit entry", c.Events)
	}
	expect(t, held, now, "nothing")
	if !held.Workspace.WakeAt.Equal(again) {
		t.Errorf("wakes at %v, want %v", held.Workspace.WakeAt, again)
	}
	if x := lifecycle.Explain(held, now); !strings.Contains(x.String(), "too many") {
		t.Errorf("not explained: %v", x)
	}
	if at := lifecycle.Decide(held, again); !at.DueAt.Equal(d.DueAt) {
		t.Errorf("due since %v, want %v as at first", at.DueAt, d.DueAt)
	}
	if c = lifecycle.Postpone(held, lifecycle.SkipBrake, "too many", again); len(c.Events) != 0 {
		t.Errorf("told again: %+v", c.Events)
	}
	released := held
	released.Engine.DeletionsReleasedUntil = now.Add(time.Minute)
	expect(t, released, now, "autodelete: delete")
	released.Engine.DeletionsReleasedUntil = now
	expect(t, released, now, "nothing")
	expect(t, do(t, held, now, lifecycle.EndDormancy()), monday.Add(day), "autostart: start")
}

// A new version of the template ends what was postponed before it, and begins the pauses anew; nothing else does.
func TestNewVersionEndsBackoff(t *testing.T) {
	s := running(deadline(monday))
	for n := range 8 {
		s = apply(s, lifecycle.Postpone(s, lifecycle.SkipError, "broken", monday.Add(time.Duration(n)*2*time.Hour)))
	}
	last := monday.Add(14 * time.Hour)
	version := func(at time.Time) lifecycle.Snapshot {
		next := s
		next.Template.VersionSince = at
		return next
	}
	later := last.Add(time.Minute)
	expect(t, s, later, "nothing")
	expect(t, version(last), later, "nothing") // the attempt was made with this version
	expect(t, version(last.Add(us)), later, stop)
	first := running(deadline(monday))
	first = apply(first, lifecycle.Postpone(first, lifecycle.SkipError, "broken", monday))
	first.Template.VersionSince = monday.Add(us)
	expect(t, first, monday.Add(us), stop)
	again := lifecycle.Postpone(version(last.Add(us)), lifecycle.SkipError, "broken too", later)
	if b := again.Workspace.Backoff; b.Attempts != 1 || b.Until.Sub(later) > 2*time.Minute {
		t.Errorf("after a new version: attempt %d, until %v after it", b.Attempts, b.Until.Sub(later))
	}
}

// The pauses of what lacks a worker stay within minutes, because a worker may return at any time.
func TestNoWorkerIsAskedForWithinMinutes(t *testing.T) {
	s := running(deadline(monday))
	now := monday
	for range 20 {
		s = apply(s, lifecycle.Postpone(s, lifecycle.SkipNoWorker, "none", now))
		if pause := s.Workspace.Backoff.Until.Sub(now); pause > 5*time.Minute {
			t.Fatalf("attempt %d: a pause of %v", s.Workspace.Backoff.Attempts, pause)
		}
		now = s.Workspace.Backoff.Until
	}
}

// What was admitted an hour ago counts no more.
func TestBrakeCountsAnHour(t *testing.T) {
	if since := (lifecycle.Brake{}).Since(monday); !since.Equal(monday.Add(-time.Hour)) {
		t.Errorf("deletions count from %v at %v", since, monday)
	}
}

// Only a gap of more than three intervals settles, and only where somebody asked for a time to settle.
func TestSettleAfterAGap(t *testing.T) {
	const interval, settle = time.Minute, 5 * time.Minute
	for name, c := range map[string]struct {
		last             time.Time
		interval, settle time.Duration
		want             time.Time
	}{
		"a gap":                       {monday.Add(-3*interval - us), interval, settle, monday.Add(settle)},
		"none: three intervals":       {monday.Add(-3 * interval), interval, settle, time.Time{}},
		"the first tick":              {time.Time{}, interval, settle, time.Time{}},
		"nobody asked":                {monday.Add(-day), interval, 0, time.Time{}},
		"no interval":                 {monday.Add(-day), 0, settle, time.Time{}},
		"the shortest time":           {monday.Add(-day), interval, us, monday.Add(us)},
		"the shortest interval":       {monday.Add(-3*us - us), us, settle, monday.Add(settle)},
		"the shortest interval, none": {monday.Add(-3 * us), us, settle, time.Time{}},
	} {
		before := monday.Add(-time.Hour)
		e := lifecycle.Engine{SettleUntil: before}
		got := e.Settle(c.last, monday, c.interval, c.settle)
		if !got.Equal(c.want) {
			t.Errorf("%s: settles until %v, want %v", name, got, c.want)
		}
		if want := c.want; want.IsZero() && !e.SettleUntil.Equal(before) || !want.IsZero() && !e.SettleUntil.Equal(want) {
			t.Errorf("%s: SettleUntil %v", name, e.SettleUntil)
		}
	}
}
