package lifecycle_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

const stop = "autostop: stop"

func jitterOf(d time.Duration) edit { return policy(func(p *lifecycle.Policy) { p.Jitter = d }) }

// ended ends the latest build at an instant.
func ended(t testing.TB, s lifecycle.Snapshot, now time.Time, status lifecycle.JobStatus) lifecycle.Snapshot {
	t.Helper()
	return finish(t, s, now, status)
}

// Whatever may be running is stopped in the end, however builds failed or were canceled.
func TestWhatMayBeRunningIsStopped(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	after1h := end.Add(time.Hour)
	suspended := owner(lifecycle.OwnerSuspended)
	byHand := func(tr lifecycle.Transition, status lifecycle.JobStatus, edits ...edit) lifecycle.Snapshot {
		s := running(deadline(end), with(edits...))
		return ended(t, do(t, s, monday, lifecycle.RequestBuild(tr, uuid.Nil)), monday.Add(time.Minute), status)
	}
	now := monday.Add(time.Minute)
	runRules(t, []ruleCase{
		{name: "a stop by hand that was canceled", s: byHand(lifecycle.TransitionStop, lifecycle.JobCanceled), from: now, want: stop, at: end},
		{name: "a stop by hand that failed", s: byHand(lifecycle.TransitionStop, lifecycle.JobFailed), from: now, want: stop, at: end},
		{name: "a delete that was canceled", s: byHand(lifecycle.TransitionDelete, lifecycle.JobCanceled), from: now, want: stop, at: end},
		{name: "a delete that failed", s: byHand(lifecycle.TransitionDelete, lifecycle.JobFailed), from: now, want: stop, at: end},
		{name: "a restart that failed", s: byHand(lifecycle.TransitionStart, lifecycle.JobFailed), from: now, want: stop, at: end},
		{name: "a failed delete of a suspended owner's", s: byHand(lifecycle.TransitionDelete, lifecycle.JobFailed, suspended), from: now, want: stop, at: now},
		{name: "a stop by hand that succeeded", s: byHand(lifecycle.TransitionStop, lifecycle.JobSucceeded), from: now},
		{
			name: "an automatic stop that was canceled goes on for an hour", from: end,
			s: ended(t, after(t, running(deadline(end)), end), end, lifecycle.JobCanceled), want: stop, at: after1h,
		},
		{
			name: "or for the bump", from: end,
			s:    ended(t, after(t, running(deadline(end), policy(func(p *lifecycle.Policy) { p.ActivityBump = 3 * time.Hour })), end), end, lifecycle.JobCanceled),
			want: stop, at: end.Add(3 * time.Hour),
		},
		{
			name: "but not past the cap", from: end,
			s: ended(t, after(t, running(deadlines(end, end.Add(time.Minute))), end), end, lifecycle.JobCanceled), want: stop, at: end.Add(time.Minute),
		},
		{
			name: "a suspended owner's is stopped all the same", from: monday,
			s: ended(t, after(t, running(deadlines(end, end), suspended), monday), monday, lifecycle.JobCanceled), want: stop, at: monday,
		},
	})
}

// An automatic stop that failed is tried again without any failure TTL, with growing pauses, until a person has to look.
func TestFailedAutostopIsTriedAgain(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	for name, s := range map[string]lifecycle.Snapshot{
		"deadline": running(deadline(end)), "suspended": running(owner(lifecycle.OwnerSuspended)), "dormancy": running(tilDormant(8 * time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			retry := policy(func(p *lifecycle.Policy) { p.Retry = lifecycle.Retry{Max: 3, Initial: 10 * time.Minute} })
			retry(&s)
			now := lifecycle.NextWake(s, end)
			s := after(t, s, now)
			for n, pause := range []time.Duration{10 * time.Minute, 20 * time.Minute} {
				s = ended(t, s, now, lifecycle.JobFailed)
				next := lifecycle.NextWake(s, now)
				if waited := next.Sub(now); waited < pause || waited > pause+pause/4 {
					t.Fatalf("after failure %d tried again after %v, want %v and up to a quarter more\n%v", n+1, waited, pause, lifecycle.Explain(s, now))
				}
				expect(t, s, next, stop)
				s, now = after(t, s, next), next
			}
			if s = ended(t, s, now, lifecycle.JobFailed); s.Workspace.AttentionAt.IsZero() {
				t.Error("three failures should call for attention")
			}
			ruleCase{s: s, from: now}.checkNever(t)
		})
	}
}

// A TTL that begins while the workspace runs takes effect; one that ends leaves what else there is.
func TestTTLOfARunningWorkspace(t *testing.T) {
	s := do(t, running(ttl(8*time.Hour), deadline(monday.Add(8*time.Hour))), monday, lifecycle.SetTTL(0))
	ruleCase{name: "none", s: s}.check(t)
	late := monday.Add(20 * time.Hour)
	s = do(t, s, late, lifecycle.SetTTL(8*time.Hour))
	ruleCase{name: "again", s: s, from: late, want: stop, at: late.Add(2 * time.Hour)}.check(t)
}

// Whoever has a TTL and may be running always has a wake, whatever happens to it.
func TestARunWithATTLHasAWake(t *testing.T) {
	t.Parallel()
	checked := map[lifecycle.Transition]int{}
	eachRandom(t, 5_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		now := r.set()
		s.Workspace.AttentionAt = time.Time{}
		if s.Build.Deadline.IsZero() { // as nothing leaves it
			s.Build.Deadline, s.Build.MaxDeadline = r.set(), time.Time{}
		}
		s = apply(s, lifecycle.Rearm(s, now))
		for range 12 {
			v := r.verb(s)
			if r.yes(30) {
				v = lifecycle.RequestBuild(pick(r, lifecycle.TransitionStart, lifecycle.TransitionStart, lifecycle.TransitionDelete), uuid.Nil)
			}
			if d := lifecycle.Decide(s, now); d.Acts() && r.yes(50) {
				s = apply(s, lifecycle.Apply(s, d, now))
			} else if c, err := v(s, now); err == nil {
				s = apply(s, c)
			}
			now = now.Add(pick[time.Duration](r, 0, time.Minute, time.Hour, 5*time.Hour))
			ttl := s.Workspace.TTL
			if p := s.Template.Policy; !p.AllowUserTTL {
				ttl = p.DefaultTTL
			}
			rests := s.Build.Status.Active() || !s.Workspace.AttentionAt.IsZero() || s.Workspace.Deleted
			if !s.Build.RunSince.IsZero() && !rests && ttl > 0 && (s.Build.Deadline.IsZero() || lifecycle.NextWake(s, now).IsZero()) {
				t.Fatalf("a run with a TTL of %v that nothing will ever stop: %+v\n%v", ttl, s.Build, lifecycle.Explain(s, now))
			} else if !s.Build.RunSince.IsZero() && !rests && ttl > 0 {
				checked[s.Build.Transition]++
			}
		}
	})
	for _, tr := range []lifecycle.Transition{lifecycle.TransitionStart, lifecycle.TransitionStop, lifecycle.TransitionDelete} {
		if checked[tr] < 200 {
			t.Errorf("only %d runs had a %s as their latest build", checked[tr], tr)
		}
	}
}

// B1's inputs: a start at or after the instant at which the stop before it was due is not lost, however late the stop.
func TestLateStopLosesNoStart(t *testing.T) {
	const start = "autostart: start"
	nine := with(autostart("0 9 * * *"), build(func(b *lifecycle.Build) { b.RunSince = monday.Add(-day) }))
	tomorrow := monday.Add(day)
	for _, c := range []struct {
		name  string
		end   time.Time
		edits edit
		at    time.Time // of the tick that stops
	}{
		{"a late tick", tomorrow.Add(-time.Minute), with(), tomorrow.Add(time.Minute)},
		{"on the minute", tomorrow, with(), tomorrow},
		{"an outage", tomorrow.Add(-time.Minute), with(), tomorrow.Add(5 * time.Hour)},
		{"a back-off", tomorrow.Add(-10 * time.Minute), workspace(func(w *lifecycle.Workspace) {
			w.Backoff = lifecycle.Backoff{Until: tomorrow.Add(time.Minute), Attempts: 4, Cause: lifecycle.SkipRefused}
		}), tomorrow.Add(time.Minute)},
		{"a hold that ends at that time", tomorrow.Add(-time.Hour), heldUntil(tomorrow), tomorrow},
	} {
		s := running(nine, deadline(c.end), c.edits)
		expect(t, s, c.at, stop)
		s = ended(t, after(t, s, c.at), c.at.Add(time.Minute), lifecycle.JobSucceeded)
		ruleCase{name: c.name, s: s, from: c.at.Add(time.Minute), want: start, at: c.at.Add(time.Minute)}.check(t)
	}
	for n := range 60 {
		spread := with(jitterOf(30*time.Minute), workspace(func(w *lifecycle.Workspace) { w.ID = id(n) }))
		s := running(nine, deadline(tomorrow.Add(-10*time.Minute)), spread)
		at := lifecycle.NextWake(s, monday)
		s = ended(t, after(t, s, at), at, lifecycle.JobSucceeded)
		if next := lifecycle.NextWake(s, at); next.After(tomorrow.Add(30 * time.Minute)) {
			t.Errorf("workspace %d stops at %v and starts at %v: the day is lost", n, at, next)
		}
	}
}

// stoppedAtLast makes the automatic stop that is due at now, with whatever delays one: refusals, late ticks, stops that fail.
// It returns the workspace and when that was; the stop has not succeeded if a person has to look.
func stoppedAtLast(t *testing.T, r random, s lifecycle.Snapshot, now time.Time) (lifecycle.Snapshot, time.Time) {
	t.Helper()
	for {
		d := lifecycle.Decide(s, now)
		if d.Transition != lifecycle.TransitionStop {
			return s, now
		}
		if r.yes(20) {
			s = apply(s, lifecycle.Postpone(s, lifecycle.SkipRefused, "no", now))
		} else {
			s = apply(s, lifecycle.Apply(s, d, now))
			now = now.Add(pick[time.Duration](r, 0, time.Minute, 2*time.Hour))
			s = finish(t, s, now, pick(r, lifecycle.JobFailed, lifecycle.JobSucceeded, lifecycle.JobSucceeded))
			if s.Build.Status == lifecycle.JobSucceeded {
				return s, now
			}
		}
		wake := lifecycle.NextWake(s, now)
		if wake.IsZero() {
			return s, now
		}
		now = wake.Add(pick[time.Duration](r, 0, time.Minute, 3*time.Hour))
	}
}

// An allowed occurrence at or after the due instant of the stop before it is never lost, however late the tick, and however
// often the stop is refused or fails.
func TestNoOccurrenceAfterTheDueInstantIsLost(t *testing.T) {
	t.Parallel()
	acted := 0
	eachRandom(t, 20_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		s.Build.Transition, s.Build.Status, s.Build.RunSince = lifecycle.TransitionStart, lifecycle.JobSucceeded, s.Build.CreatedAt
		s.Build.Deadline = r.set()
		s.Build.Number, s.Build.Reason = 3, lifecycle.ReasonManual
		s.Workspace.DormantAt, s.Owner.Status = time.Time{}, lifecycle.OwnerActive
		s.Workspace.AutostartAfter, s.Template.Policy.MaxLateness, s.Workspace.Hold = time.Time{}, 0, lifecycle.Hold{}
		s.Engine, s.Template.AutostartAfter, s.Template.Policy.DormantWhenSuspended = lifecycle.Engine{}, time.Time{}, false
		s.Template.Policy.TimeTilDormant, s.Template.Policy.Holidays, s.Template.Hold = 0, nil, lifecycle.Hold{}
		now := s.Build.Deadline.Add(time.Duration(r.Int64N(int64(4 * day)))).Truncate(us)
		d := lifecycle.Decide(s, now)
		if d.Rule != lifecycle.RuleAutostop || s.Workspace.Autostart.Err() != nil || !s.Template.Policy.AllowUserAutostart {
			return
		}
		due := s.Build.Deadline
		stopped, now := stoppedAtLast(t, r, s, now)
		if stopped.Build.Status != lifecycle.JobSucceeded {
			return
		}
		next, ok := s.Workspace.Autostart.NextAllowed(due.Add(-us), s.Template.Policy.AutostartDays)
		if !ok {
			return
		}
		acted++
		want := next.Add(s.Template.Policy.Jitter)
		if want.Before(now) {
			want = now
		}
		if wake := lifecycle.NextWake(stopped, now); wake.IsZero() || wake.After(want) && wake.After(stopped.Workspace.Backoff.Until) {
			t.Fatalf("stop due %v, made %v: the start at %v is lost, the next is %v\n%v", due, now, next, wake, lifecycle.Explain(stopped, now))
		}
	})
	if acted < 500 {
		t.Errorf("only %d snapshots say something about it", acted)
	}
}

// With the extension, a deadline that has passed before an occurrence that has passed too is moved instead of stopping.
func TestExtensionInsteadOfALateStop(t *testing.T) {
	tomorrow := monday.Add(day)
	s := running(policy(extends), autostart("0 9 * * *"), ttl(8*time.Hour), deadline(tomorrow.Add(-10*time.Minute)))
	expect(t, s, tomorrow.Add(-time.Minute), stop)
	expect(t, s, tomorrow.Add(time.Minute), "extend")
	s = after(t, s, tomorrow.Add(time.Minute))
	ruleCase{s: s, from: tomorrow.Add(time.Minute), want: stop, at: tomorrow.Add(8 * time.Hour)}.check(t)
	// Days later it is the latest occurrence that counts; if that is over too, it stops, and the next start stands.
	s = running(policy(extends), autostart("0 9 * * *"), ttl(8*time.Hour), deadline(tomorrow.Add(-10*time.Minute)))
	now := tomorrow.Add(2*day + 20*time.Hour)
	s = after(t, s, now)
	expect(t, s, now, stop)
	s = ended(t, after(t, s, now), now, lifecycle.JobSucceeded)
	ruleCase{s: s, from: now, want: "autostart: start", at: tomorrow.Add(3 * day)}.check(t)
}

func TestMaxRuntime(t *testing.T) {
	most := policy(func(p *lifecycle.Policy) { p.MaxRuntime = 10 * time.Hour; p.ActivityBump = time.Hour })
	s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning), most)
	s = finish(t, s, monday, lifecycle.JobSucceeded)
	end := monday.Add(10 * time.Hour)
	ruleCase{name: "without a TTL", s: s, want: stop, at: end}.check(t)
	s = do(t, s, end.Add(-time.Minute), lifecycle.Used(end.Add(-time.Minute)))
	ruleCase{name: "activity moves it by nothing", s: s, want: stop, at: end}.check(t)
	refuse(t, "nor does an extension", s, monday, lifecycle.Extend(end.Add(us)), nil)
	s = newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning), most, ttl(8*time.Hour))
	ruleCase{name: "a TTL comes first", s: finish(t, s, monday, lifecycle.JobSucceeded), want: stop, at: monday.Add(8 * time.Hour)}.check(t)
}

// A schedule of stops is a deadline: with or without a TTL, moved by activity, under the cap.
func TestAutostopSchedule(t *testing.T) {
	six := workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("0 18 * * *") })
	at18 := at("2026-03-02 18:00")
	started := func(edits ...edit) lifecycle.Snapshot {
		return finish(t, newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning), six, with(edits...)), monday, lifecycle.JobSucceeded)
	}
	bump := policy(func(p *lifecycle.Policy) { p.ActivityBump = time.Hour })
	used := do(t, started(bump), at18.Add(-time.Minute), lifecycle.Used(at18.Add(-time.Minute)))
	capped := do(t, started(bump, policy(func(p *lifecycle.Policy) { p.MaxRuntime = 9*time.Hour + 10*time.Minute })), at18.Add(-time.Minute), lifecycle.Used(at18.Add(-time.Minute)))
	runRules(t, []ruleCase{
		{name: "without a TTL", s: started(), want: stop, at: at18},
		{name: "before a longer TTL", s: started(ttl(20 * time.Hour)), want: stop, at: at18},
		{name: "after a shorter TTL", s: started(ttl(4 * time.Hour)), want: stop, at: monday.Add(4 * time.Hour)},
		{name: "moved by activity", s: used, want: stop, at: at18.Add(59 * time.Minute)},
		{name: "up to the cap", s: capped, want: stop, at: at18.Add(10 * time.Minute)},
		{name: "with a reminder", s: started(lead(30 * time.Minute)), want: "reminder", at: at18.Add(-30 * time.Minute)},
		{name: "set while running", s: do(t, running(), monday, lifecycle.SetAutostop(weekly("0 18 * * *"))), want: stop, at: at18},
		{name: "set while running, soon", s: do(t, running(), monday, lifecycle.SetAutostop(weekly("30 9 * * *"))), want: stop, at: monday.Add(2 * time.Hour)},
		{name: "taken back", s: do(t, started(), monday, lifecycle.SetAutostop(nil))},
	})
	refuse(t, "forbidden", running(policy(func(p *lifecycle.Policy) { p.AllowUserTTL = false })), monday, lifecycle.SetAutostop(nil), lifecycle.ErrForbidden)
	refuse(t, "unusable", running(), monday, lifecycle.SetAutostop(new(schedule.Interner).Weekly("x")), nil)
}

func TestStartFor(t *testing.T) {
	s := do(t, stopped(ttl(8*time.Hour)), monday, lifecycle.StartFor(90*time.Minute, uuid.Nil))
	s = finish(t, s, monday, lifecycle.JobSucceeded)
	ruleCase{s: s, want: stop, at: monday.Add(90 * time.Minute)}.check(t)
	again := finish(t, after(t, s, monday.Add(90*time.Minute)), monday.Add(2*time.Hour), lifecycle.JobSucceeded)
	again = finish(t, do(t, again, monday.Add(3*time.Hour), lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)), monday.Add(3*time.Hour), lifecycle.JobSucceeded)
	ruleCase{name: "for this run only", s: again, from: monday.Add(3 * time.Hour), want: stop, at: monday.Add(11 * time.Hour)}.check(t)
	refuse(t, "none", stopped(), monday, lifecycle.StartFor(0, uuid.Nil), nil)
	refuse(t, "build active", newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobRunning)), monday, lifecycle.StartFor(time.Hour, uuid.Nil), lifecycle.ErrBuildActive)
	refuse(t, "too long", stopped(), monday, lifecycle.StartFor(31*day, uuid.Nil), nil)
	refuse(t, "forbidden", stopped(policy(func(p *lifecycle.Policy) { p.AllowUserTTL = false })), monday, lifecycle.StartFor(time.Hour, uuid.Nil), lifecycle.ErrForbidden)
}

// A worker's clock is believed between the making of the build and the report of its end.
func TestCompletionIsClamped(t *testing.T) {
	for name, c := range map[string]struct{ told, want time.Time }{
		"a year ahead": {monday.AddDate(1, 0, 0), monday.Add(time.Hour)},
		"a day back":   {monday.Add(-day), monday},
		"in between":   {monday.Add(time.Minute), monday.Add(time.Minute)},
		"not told":     {time.Time{}, monday.Add(time.Hour)},
	} {
		s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning), ttl(8*time.Hour))
		s = do(t, s, monday.Add(time.Hour), lifecycle.JobEnded(lifecycle.JobResult{BuildID: id(0xb1), Status: lifecycle.JobSucceeded, CompletedAt: c.told}))
		if !s.Build.CompletedAt.Equal(c.want) || !s.Build.Deadline.Equal(c.want.Add(8*time.Hour)) {
			t.Errorf("%s: completed %v, deadline %v; want %v", name, s.Build.CompletedAt, s.Build.Deadline, c.want)
		}
	}
}

// The end of a job is recorded whatever the stored values are; what cannot be used is a fault of that workspace.
func TestTheEndOfAJobIsRecorded(t *testing.T) {
	for name, bad := range map[string]edit{
		"autostart days":     policy(func(p *lifecycle.Policy) { p.AutostartDays = 0xff }),
		"ttl":                ttl(-time.Hour),
		"default ttl":        policy(func(p *lifecycle.Policy) { p.AllowUserTTL, p.DefaultTTL = false, -time.Hour }),
		"requirement's days": quietHours("0 3 * * *", 0x80, 1),
		"requirement, weeks": quietHours("0 3 * * *", schedule.AllDays, 17),
		"quiet hours": set(func(s *lifecycle.Snapshot) {
			s.Owner.QuietHours, s.Template.Policy.Requirement.Days = new(schedule.Interner).Daily("x"), schedule.AllDays
		}),
	} {
		s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning), autostart("0 9 * * *"), bad)
		s = finish(t, s, monday, lifecycle.JobSucceeded)
		if s.Build.Status != lifecycle.JobSucceeded || s.Build.RunSince.IsZero() {
			t.Errorf("%s: build %+v", name, s.Build)
		}
		d, x := lifecycle.Decide(s, monday), lifecycle.Explain(s, monday)
		if d.Err == nil || x.Error != d.Err.Error() || s.Workspace.WakeAt.IsZero() {
			t.Errorf("%s: error %v, explained %q, wake %v", name, d.Err, x.Error, s.Workspace.WakeAt)
		}
	}
}
