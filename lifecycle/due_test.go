package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

func backedOff(until time.Time, cause lifecycle.SkipReason) edit {
	return workspace(func(w *lifecycle.Workspace) {
		w.Backoff = lifecycle.Backoff{Until: until, Attempts: 1, Cause: cause, Message: "no"}
	})
}

// A decision says since when it is due: the end of what put it off, if that did, and of nothing else.
func TestDueSince(t *testing.T) {
	nine := monday.Add(day)
	deletion := monday.Add(day + us)
	dies := with(tilDeleted(day), asleep(monday.Add(day)))
	longHold := workspace(func(w *lifecycle.Workspace) {
		w.Hold = lifecycle.Hold{Until: monday.Add(30 * day), Rules: lifecycle.HoldDeletion}
	})
	for name, c := range map[string]struct {
		s         lifecycle.Snapshot
		now, want time.Time
	}{
		"as it was met":                    {stopped(autostart("0 9 * * *")), nine.Add(time.Hour), nine},
		"a back-off that ended":            {stopped(dies, backedOff(monday.Add(2*day), lifecycle.SkipStore)), monday.Add(2 * day), monday.Add(2 * day)},
		"a back-off that ended before":     {stopped(dies, backedOff(monday.Add(time.Hour), lifecycle.SkipStore)), monday.Add(2 * day), deletion},
		"a back-off of a clock ahead":      {stopped(dies, backedOff(monday.Add(400*day), lifecycle.SkipStore)), monday.Add(2 * day), deletion},
		"a brake, which keeps the place":   {stopped(dies, backedOff(monday.Add(2*day), lifecycle.SkipBrake)), monday.Add(2 * day), deletion},
		"a brake, which holds no start":    {stopped(autostart("0 9 * * *"), backedOff(nine.Add(5*time.Minute), lifecycle.SkipBrake)), nine.Add(10 * time.Minute), nine},
		"a brake, and a hold of deletions": {stopped(autostart("0 9 * * *"), longHold, backedOff(nine, lifecycle.SkipBrake)), nine, nine},
		"nobody knows since when":          {running(owner(lifecycle.OwnerSuspended)), nine, nine},
		"its wake is known": {
			running(owner(lifecycle.OwnerSuspended), workspace(func(w *lifecycle.Workspace) { w.WakeAt = monday.Add(time.Hour) })), nine, monday.Add(time.Hour),
		},
		"its wake is ahead": {
			running(owner(lifecycle.OwnerSuspended), workspace(func(w *lifecycle.Workspace) { w.WakeAt = nine.Add(time.Hour) })), nine, nine,
		},
	} {
		if d := lifecycle.Decide(c.s, c.now); !d.Acts() || !d.DueAt.Equal(c.want) {
			t.Errorf("%s: %s, due since %v, want %v", name, words(d), d.DueAt, c.want)
		}
	}
}

// The stop of a suspended owner's workspace counts from when it was due, whatever deadline there is.
func TestDueOfAStop(t *testing.T) {
	wake := monday.Add(time.Hour)
	woken := workspace(func(w *lifecycle.Workspace) { w.WakeAt = wake })
	for name, c := range map[string]struct {
		s    lifecycle.Snapshot
		want time.Time
	}{
		"suspended":                {running(woken, owner(lifecycle.OwnerSuspended)), wake},
		"suspended, a deadline":    {running(woken, owner(lifecycle.OwnerSuspended), deadline(monday.Add(9*time.Hour))), wake},
		"suspended, after its end": {running(woken, owner(lifecycle.OwnerSuspended), deadline(monday.Add(time.Minute))), wake},
		"suspended, after a hold":  {running(woken, owner(lifecycle.OwnerSuspended), heldUntil(monday.Add(time.Minute))), wake},
		"dormant, after a hold":    {running(woken, asleep(time.Time{}), heldUntil(monday.Add(-time.Hour))), monday},
		"a deadline":               {running(woken, deadline(monday.Add(30*time.Minute))), monday.Add(30 * time.Minute)},
		"dormant without an end":   {running(woken, asleep(time.Time{})), monday},
		"a deadline, put off":      {running(woken, deadline(monday.Add(time.Hour)), backedOff(monday.Add(2*time.Hour), lifecycle.SkipNoWorker)), monday.Add(time.Hour)},
		"a deadline within a hold": {running(woken, deadline(monday.Add(time.Hour)), heldUntil(monday.Add(90*time.Minute))), monday.Add(90 * time.Minute)},
	} {
		if b := after(t, c.s, monday.Add(3*time.Hour)).Build; b.Transition != lifecycle.TransitionStop || !b.DueAt.Equal(c.want) {
			t.Errorf("%s: a %s that counts as due from %v, want %v", name, b.Transition, b.DueAt, c.want)
		}
	}
}

// A stop that comes before the deadline ends the run: if it fails it is tried again soon, and not at the deadline.
func TestAnEarlyStopEndsTheRun(t *testing.T) {
	due := monday.Add(day + us)
	for name, s := range map[string]lifecycle.Snapshot{
		"a deadline far away": running(tilDormant(day), deadline(monday.Add(10*day))),
		"none":                running(tilDormant(day)),
		"a cap":               running(tilDormant(day), deadlines(monday.Add(10*day), monday.Add(11*day))),
	} {
		s = after(t, s, due)
		if !s.Build.Deadline.Equal(due) {
			t.Errorf("%s: after its stop for dormancy the run ends at %v, want %v", name, s.Build.Deadline, due)
		}
		s = finish(t, s, due.Add(time.Minute), lifecycle.JobFailed)
		if wake := lifecycle.NextWake(s, due.Add(time.Minute)); wake.IsZero() || wake.After(due.Add(time.Hour)) {
			t.Errorf("%s: after a stop that failed it is looked at at %v", name, wake)
		}
	}
	end := monday.Add(time.Hour)
	if s := after(t, running(deadline(end)), end.Add(time.Hour)); !s.Build.Deadline.Equal(end) {
		t.Errorf("a late stop moves the deadline to %v", s.Build.Deadline)
	}
	s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), failureTTL(time.Hour))
	if s = after(t, s, monday.Add(day)); !s.Build.Deadline.IsZero() {
		t.Errorf("what never ran has the deadline %v", s.Build.Deadline)
	}
}

// An owner is told of a start with another version, and of nothing else.
func TestUpdatesAreTold(t *testing.T) {
	active := policy(func(p *lifecycle.Policy) { p.RequireActiveVersion = true })
	current := build(func(b *lifecycle.Build) { b.TemplateVersionID = activeVersion })
	for name, c := range map[string]struct {
		s    lifecycle.Snapshot
		t    lifecycle.Transition
		told bool
	}{
		"another version": {stopped(active), lifecycle.TransitionStart, true},
		"the same":        {stopped(active, current), lifecycle.TransitionStart, false},
		"the first build": {newWorkspace(active), lifecycle.TransitionStart, false},
		"the second":      {stopped(active, build(func(b *lifecycle.Build) { b.Number = 1 })), lifecycle.TransitionStart, true},
		"a stop":          {running(active), lifecycle.TransitionStop, false},
	} {
		change, err := lifecycle.RequestBuild(c.t, uuid.Nil)(c.s, monday.Add(time.Hour))
		must(err)
		if got := strings.Contains(told(change.Events), "notice/"+string(lifecycle.EventUpdated)); got != c.told {
			t.Errorf("%s: told %s", name, told(change.Events))
		}
	}
}

// A start that is given up because the stop of its hours has come is over up to that stop, and no further: the next one stands.
func TestAMissedStartIsOverUpToItsStop(t *testing.T) {
	hours := with(autostart("0 9 * * *"), workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("0 17 * * *") }))
	now, stop := at("2026-03-03 17:05"), at("2026-03-03 17:00")
	d := lifecycle.Decide(stopped(hours), now)
	if !d.Missed {
		t.Fatalf("at %v: %s", now, words(d))
	}
	if w := after(t, stopped(hours), now).Workspace; !w.AutostartAfter.Equal(stop) {
		t.Errorf("starts count after %v, want %v", w.AutostartAfter, stop)
	}
}

// Attempts count for one cause: what the brake holds does not lengthen the pauses of what cannot be built, nor the other way round.
func TestPostponeCountsByCause(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), workspace(func(w *lifecycle.Workspace) {
		w.Backoff = lifecycle.Backoff{Until: monday, Attempts: 5, Cause: lifecycle.SkipStore}
	}))
	for i, c := range []struct {
		cause lifecycle.SkipReason
		want  int
	}{{lifecycle.SkipStore, 6}, {lifecycle.SkipNoWorker, 7}, {lifecycle.SkipBrake, 1}, {lifecycle.SkipBrake, 2}, {lifecycle.SkipStore, 1}} {
		s = apply(s, lifecycle.Postpone(s, c.cause, "no", monday.Add(time.Duration(i)*time.Hour)))
		if b := s.Workspace.Backoff; b.Attempts != c.want || b.Cause != c.cause {
			t.Errorf("%d: %d attempts, %v", i, b.Attempts, b.Cause)
		}
	}
}

// Floors that were passed long ago are dropped with the next change; those that count still are kept.
func TestFloorsAreForgotten(t *testing.T) {
	for ago, kept := range map[time.Duration]bool{0: true, day: true, day + us: false, 30 * day: false, -day: true} {
		floor := monday.Add(-ago)
		s := running(workspace(func(w *lifecycle.Workspace) { w.Floors = lifecycle.Floors{Stop: floor, Dormancy: floor, Delete: floor} }))
		want := lifecycle.Floors{}
		if kept {
			want = s.Workspace.Floors
		}
		if got := lifecycle.Rearm(s, monday).Workspace.Floors; got != want {
			t.Errorf("floors of %v ago: %+v", ago, got)
		}
	}
}

// Activity leaves a wake that is early enough as it is, which makes the write a cheap one.
func TestActivityLeavesTheWake(t *testing.T) {
	wake := monday.Add(time.Hour)
	woken := workspace(func(w *lifecycle.Workspace) { w.WakeAt = wake })
	for name, c := range map[string]struct {
		s    lifecycle.Snapshot
		want time.Time
	}{
		"nothing will be due": {running(woken), wake},
		"later":               {running(woken, deadline(monday.Add(8*time.Hour))), wake},
		"sooner":              {running(woken, deadline(monday.Add(50*time.Minute))), monday.Add(50 * time.Minute)},
	} {
		if s := do(t, c.s, monday.Add(30*time.Minute), lifecycle.Used(monday.Add(30*time.Minute))); !s.Workspace.WakeAt.Equal(c.want) {
			t.Errorf("%s: wakes at %v, want %v", name, s.Workspace.WakeAt, c.want)
		}
	}
}

// A workspace that is woken from dormancy counts as stopped from then on, where stopped ones are deleted.
func TestEndOfDormancyLeavesTheTimeOfStopped(t *testing.T) {
	dies := policy(func(p *lifecycle.Policy) { p.DeleteStopped = 3 * day })
	now := monday.Add(2 * day)
	if w := do(t, stopped(dies, asleep(monday.Add(4*day))), now, lifecycle.EndDormancy()).Workspace; !w.DeletingAt.Equal(now.Add(3 * day)) {
		t.Errorf("deleted at %v, want %v", w.DeletingAt, now.Add(3*day))
	}
	if w := do(t, running(dies, asleep(monday.Add(4*day))), now, lifecycle.EndDormancy()).Workspace; !w.DeletingAt.IsZero() {
		t.Errorf("one that runs is deleted at %v", w.DeletingAt)
	}
}

// Each reason why nobody is reminded is told as it is.
func TestExplainWhyNobodyIsReminded(t *testing.T) {
	end := monday.Add(8 * time.Hour)
	hour := lead(time.Hour)
	week := policy(func(p *lifecycle.Policy) { p.DeleteStopped = 7 * day })
	deleting := workspace(func(w *lifecycle.Workspace) { w.DeletingAt = end })
	for want, c := range map[string]struct {
		rule lifecycle.Rule
		s    lifecycle.Snapshot
	}{
		"the workspace is not running":            {lifecycle.RuleReminder, stopped(hour)},
		"there is no deadline":                    {lifecycle.RuleReminder, running(hour)},
		"the workspace is dormant":                {lifecycle.RuleReminder, running(hour, deadline(end), asleep(end))},
		"the owner is not active":                 {lifecycle.RuleReminder, running(hour, deadline(end), owner(lifecycle.OwnerSuspended))},
		"the owner was reminded of this deadline": {lifecycle.RuleReminder, running(hour, deadline(end), reminded(end))},
		"what it warns of comes first":            {lifecycle.RuleReminder, running(hour, deadline(monday))},
		"the owner was told when it was set":      {lifecycle.RuleDeleteReminder, stopped(tilDeleted(day), asleep(end))},
	} {
		if got := lifecycle.Explain(c.s, monday).Rules[c.rule-1].Because; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	failed := newWorkspace(built(lifecycle.TransitionDelete, lifecycle.JobFailed), week, deleting)
	if got := lifecycle.Explain(failed, monday).Rules[lifecycle.RuleDeleteReminder-1].Because; got != "the owner was told when it was set" {
		t.Errorf("a deletion that failed: %q", got)
	}
	known := stopped(week, deleting, reminded(end.Add(us)))
	if got := lifecycle.Explain(known, monday).Rules[lifecycle.RuleDeleteReminder-1].Because; got != "the owner was reminded of this deadline" {
		t.Errorf("a deletion that was told: %q", got)
	}
}

// Explanations have the zone of the first schedule that can be read.
func TestExplainHasTheZoneOfASchedule(t *testing.T) {
	berlin := workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("CRON_TZ=Europe/Berlin 0 17 * * *") })
	end := deadline(monday.Add(8 * time.Hour))
	for name, c := range map[string]struct {
		s    lifecycle.Snapshot
		want string
	}{
		"of no schedule":         {running(end), "17:00:00 UTC"},
		"of its stops":           {running(end, berlin), "18:00:00 CET"},
		"of its starts":          {running(end, berlin, autostart("CRON_TZ=America/New_York 0 9 * * *")), "12:00:00 EST"},
		"of the one that counts": {running(end, berlin, unusable("x")), "18:00:00 CET"},
	} {
		if got := lifecycle.Explain(c.s, monday).String(); !strings.Contains(got, c.want) {
			t.Errorf("%s: want an instant at %s in\n%s", name, c.want, got)
		}
	}
}

// A workspace that does not follow its template yet is explained as it will be decided on: by what follows.
func TestExplainFollowsFirst(t *testing.T) {
	s := stopped(asleep(monday.Add(20*day)), tilDeleted(3*day), set(func(s *lifecycle.Snapshot) { s.Template.Rules++ }))
	x, wake := lifecycle.Explain(s, monday.Add(time.Hour)), lifecycle.NextWake(s, monday.Add(time.Hour))
	if !x.NextAt.Equal(wake) || x.NextAt.After(monday.Add(5*day)) || x.Next != lifecycle.RuleAutodelete && x.Next != lifecycle.RuleDeleteReminder {
		t.Errorf("next %v at %v, want what wakes it at %v", x.Next, x.NextAt, wake)
	}
}
