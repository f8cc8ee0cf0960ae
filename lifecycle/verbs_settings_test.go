package lifecycle_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// settings are the verbs that a deleted or managed workspace refuses.
var settings = map[string]lifecycle.Verb{
	"autostart": lifecycle.SetAutostart(nil), "ttl": lifecycle.SetTTL(time.Hour), "extend": lifecycle.Extend(monday.Add(time.Hour)),
	"dormant": lifecycle.MarkDormant(true), "wake": lifecycle.EndDormancy(), "hold": lifecycle.SetHold(lifecycle.Hold{Until: monday.Add(day)}),
}

func TestSettingsOfDeletedAndManaged(t *testing.T) {
	for name, v := range settings {
		s := running(deadline(monday.Add(time.Hour)), asleep(monday))
		s.Workspace.Managed = true
		refuse(t, name, s, monday, v, lifecycle.ErrManaged)
		s.Workspace.Deleted = true
		refuse(t, name, s, monday, v, lifecycle.ErrDeleted)
	}
	gone := running(workspace(func(w *lifecycle.Workspace) { w.Deleted = true }))
	refuse(t, "updates", gone, monday, lifecycle.SetAutomaticUpdates(true), lifecycle.ErrDeleted)
	refuse(t, "use", gone, monday.Add(day), lifecycle.Used(monday.Add(time.Hour)), lifecycle.ErrUnchanged)
	gone.Workspace.Deleted, gone.Workspace.Managed = false, true
	refuse(t, "use", gone, monday.Add(day), lifecycle.Used(monday.Add(time.Hour)), lifecycle.ErrUnchanged)
}

func TestSetAutostart(t *testing.T) {
	now := monday.Add(time.Hour)
	c, err := lifecycle.SetAutostart(weekly("0 9 * * *"))(stopped(), now)
	must(err)
	if told(c.Events) != "audit/workspace.changed " || c.Events[0].Message != "autostart: CRON_TZ=UTC 0 9 * * *" {
		t.Errorf("told %s %q", told(c.Events), c.Events[0].Message)
	}
	// Whatever was missed before the schedule was set does not count.
	long := stopped(build(func(b *lifecycle.Build) { b.CreatedAt = monday.Add(-10 * day) }))
	s := do(t, long, now, lifecycle.SetAutostart(weekly("0 9 * * *")))
	ruleCase{s: s, from: now, want: "autostart: start", at: monday.Add(day)}.check(t)
	if s = do(t, s, now, lifecycle.SetAutostart(nil)); s.Workspace.Autostart != nil || !s.Workspace.WakeAt.IsZero() {
		t.Errorf("removed: %v, wakes %v", s.Workspace.Autostart, s.Workspace.WakeAt)
	}
}

func TestSetAutostartRefuses(t *testing.T) {
	nine := weekly("0 9 * * *")
	forbidden := stopped(policy(func(p *lifecycle.Policy) { p.AllowUserAutostart = false }))
	refuse(t, "forbidden", forbidden, monday, lifecycle.SetAutostart(nine), lifecycle.ErrForbidden)
	do(t, forbidden, monday, lifecycle.SetAutostart(nil)) // taking it away is always possible
	var i schedule.Interner
	refuse(t, "unusable", stopped(), monday, lifecycle.SetAutostart(i.Weekly("nine")), nil)
	weekdays := stopped(policy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.DaysOf(time.Monday) }))
	refuse(t, "no allowed day", weekdays, monday, lifecycle.SetAutostart(weekly("0 9 * * 6,0")), nil)
}

func TestSetTTL(t *testing.T) {
	end, limit := monday.Add(5*time.Hour), monday.Add(9*time.Hour)
	stops := workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("0 18 * * *") })
	long := func(edits ...edit) lifecycle.Snapshot {
		return running(build(func(b *lifecycle.Build) { b.RunSince = monday.Add(-day) }), with(edits...))
	}
	for _, c := range []struct {
		name string
		s    lifecycle.Snapshot
		ttl  time.Duration
		want time.Duration
		end  time.Time
	}{
		{"set", stopped(), time.Hour, time.Hour, time.Time{}},
		{"cut to whole minutes", stopped(), time.Hour + 59*time.Second, time.Hour, time.Time{}},
		{"shortest", stopped(), time.Minute, time.Minute, time.Time{}},
		{"longest, cut", stopped(), 30*day + 59*time.Second, 30 * day, time.Time{}},
		{"changed while running", running(deadline(end)), time.Hour, time.Hour, end},
		{"added while running leaves the grace", running(), time.Hour, time.Hour, monday.Add(2 * time.Hour)},
		{"added while running, long", running(), 8 * time.Hour, 8 * time.Hour, monday.Add(8*time.Hour + time.Minute)},
		{"removed while running", running(ttl(time.Hour), deadline(end)), 0, 0, time.Time{}},
		{"removed while running under a cap", running(ttl(time.Hour), deadlines(end, limit)), 0, 0, limit},
		{"removed where nothing would stop it", running(), 0, 0, time.Time{}},
		{"removed, with a stop to come", running(ttl(time.Hour), deadline(monday.Add(11*time.Hour)), stops), 0, 0, at("2026-03-02 18:00")},
		{"removed, with a stop that has passed", long(ttl(time.Hour), deadline(end), stops), 0, 0, end},
		{"removed, with a stop now", long(ttl(time.Hour), deadline(end), workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("0 9 * * *") })), 0, 0, end},
		{"removed, late for its stop", long(ttl(time.Hour), deadline(monday.Add(-time.Hour)), workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly("30 8 * * *") })), 0, 0, monday.Add(-30 * time.Minute)},
		{"removed while starting", newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning), ttl(time.Hour)), 0, 0, time.Time{}},
	} {
		s := do(t, c.s, monday, lifecycle.SetTTL(c.ttl))
		if s.Workspace.TTL != c.want || !s.Build.Deadline.Equal(c.end) {
			t.Errorf("%s: ttl %v, deadline %v; want %v, %v", c.name, s.Workspace.TTL, s.Build.Deadline, c.want, c.end)
		}
	}
	for _, d := range []time.Duration{-time.Minute, 1, 59 * time.Second, 30*day + time.Minute} {
		refuse(t, d.String(), stopped(), monday, lifecycle.SetTTL(d), nil)
	}
	refuse(t, "forbidden", stopped(policy(func(p *lifecycle.Policy) { p.AllowUserTTL = false })), monday, lifecycle.SetTTL(time.Hour), lifecycle.ErrForbidden)
	// That of the run gives way.
	s := do(t, running(build(func(b *lifecycle.Build) { b.TTL = 3 * time.Hour })), monday, lifecycle.SetTTL(8*time.Hour))
	if want := s.Build.CompletedAt.Add(8 * time.Hour); s.Build.TTL != 0 || !s.Build.Deadline.Equal(want) {
		t.Errorf("a run with a TTL of its own: %v is left of it, deadline %v, want %v", s.Build.TTL, s.Build.Deadline, want)
	}
}

// A schedule of stops that is set while the workspace runs moves its deadline to the next stop that is sooner, however long it
// has run, and takes back only what such a schedule has set.
func TestSetAutostopOfARun(t *testing.T) {
	at18, at20, old := at("2026-03-02 18:00"), at("2026-03-02 20:00"), monday.Add(-23*time.Hour)
	stops := func(spec string) edit { return workspace(func(w *lifecycle.Workspace) { w.Autostop = weekly(spec) }) }
	long := func(edits ...edit) lifecycle.Snapshot {
		return running(build(func(b *lifecycle.Build) { b.RunSince, b.CompletedAt = old, old }), with(edits...))
	}
	for name, c := range map[string]struct {
		s    lifecycle.Snapshot
		set  string
		want time.Time
	}{
		"none before":                    {long(), "0 18 * * *", at18},
		"sooner than its TTL":            {long(ttl(34*time.Hour), deadline(at20)), "0 18 * * *", at18},
		"with its TTL":                   {long(ttl(34*time.Hour), deadline(at20)), "0 20 * * *", at20},
		"later than its TTL":             {long(ttl(34*time.Hour), deadline(at20)), "0 21 * * *", at20},
		"later than a TTL that ends now": {long(ttl(24*time.Hour), deadline(monday.Add(time.Hour))), "0 21 * * *", monday.Add(time.Hour)},
		"sooner than what a person set":  {long(deadline(at20)), "0 18 * * *", at18},
		"later than what a person set":   {long(deadline(at18.Add(us))), "0 20 * * *", at18.Add(us)},
		"soon":                           {long(deadline(at20)), "30 9 * * *", monday.Add(2 * time.Hour)},
		"soon, and it stopped as soon":   {long(deadline(monday.Add(time.Hour))), "30 9 * * *", monday.Add(time.Hour)},
		"another":                        {long(stops("0 18 * * *"), deadline(at18)), "0 20 * * *", at20},
		"taken back":                     {long(stops("0 18 * * *"), deadline(at18)), "", time.Time{}},
		"taken back, moved by a person":  {long(stops("0 18 * * *"), deadline(at18.Add(us))), "", at18.Add(us)},
		"taken back under a cap":         {long(stops("0 18 * * *"), deadlines(at18, at20)), "", at20},
		"taken back, a TTL to come":      {long(stops("0 18 * * *"), ttl(34*time.Hour), deadline(at18)), "", at20},
		"taken back, a TTL that is over": {long(stops("0 18 * * *"), ttl(time.Hour), deadline(at18)), "", monday.Add(2 * time.Hour)},
		"taken back, a TTL ends then":    {long(stops("30 9 * * *"), ttl(23*time.Hour+30*time.Minute), deadline(monday.Add(30*time.Minute))), "", monday.Add(30 * time.Minute)},
		"taken back at its first stop":   {running(stops("0 18 * * *"), deadline(at18)), "", time.Time{}},
	} {
		var next *schedule.Cron
		if c.set != "" {
			next = weekly(c.set)
		}
		s := do(t, c.s, monday, lifecycle.SetAutostop(next))
		if !s.Build.Deadline.Equal(c.want) || s.Workspace.Autostop != next {
			t.Errorf("%s: deadline %v, want %v; schedule %v", name, s.Build.Deadline, c.want, s.Workspace.Autostop)
		}
	}
}

func TestExtend(t *testing.T) {
	now := monday.Add(time.Hour)
	end, limit := monday.Add(8*time.Hour), monday.Add(20*time.Hour)
	s := running(deadlines(end, limit), policy(func(p *lifecycle.Policy) { p.AllowUserTTL = false }))
	for _, to := range []time.Time{now.Add(29 * time.Minute), end, end.Add(us), limit} {
		c, err := lifecycle.SetDeadline(to)(s, now)
		must(err)
		if !c.Build.Deadline.Equal(to) || told(c.Events) != "audit/workspace.extended " || !c.Events[0].Until.Equal(to) || !c.Workspace.WakeAt.Equal(to) {
			t.Errorf("to %v: deadline %v, wakes %v, told %s", to, c.Build.Deadline, c.Workspace.WakeAt, told(c.Events))
		}
	}
	for _, to := range []time.Time{now.Add(29*time.Minute - us), now, monday.Add(-day), limit.Add(us), {}} {
		refuse(t, to.String(), s, now, lifecycle.SetDeadline(to), nil)
	}
	for name, s := range map[string]lifecycle.Snapshot{
		"no deadline": running(), "stopped": stopped(deadline(end)), "starting": newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning)),
		"failed":                                newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed, deadline(end))),
		"not completed yet at the new deadline": running(deadline(end), build(func(b *lifecycle.Build) { b.RunSince = end.Add(day) })),
	} {
		refuse(t, name, s, now, lifecycle.SetDeadline(end), nil)
	}
	refuse(t, "shorten", s, now, lifecycle.Extend(end.Add(-us)), nil)
	do(t, s, now, lifecycle.Extend(end))
	do(t, running(deadline(end), build(func(b *lifecycle.Build) { b.RunSince = end })), now, lifecycle.SetDeadline(end))
	refuse(t, "a stop under way", newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobRunning), deadline(end), build(func(b *lifecycle.Build) { b.RunSince = monday })), now, lifecycle.SetDeadline(end), nil)
	if got := do(t, s, now, lifecycle.Extend(end.Add(us))).Build.Deadline; !got.Equal(end.Add(us)) {
		t.Errorf("extended to %v", got)
	}
}

// A schedule of stops is told by its text, and a later one leaves a deadline that somebody has set.
func TestSetAutostopSays(t *testing.T) {
	end := monday.Add(time.Hour)
	for spec, want := range map[string]string{"": "autostop: none", "0 20 * * *": "autostop: CRON_TZ=UTC 0 20 * * *"} {
		var stops *schedule.Cron
		if spec != "" {
			stops = weekly(spec)
		}
		c, err := lifecycle.SetAutostop(stops)(running(deadline(end)), monday)
		must(err)
		if c.Events[0].Message != want || !c.Build.Deadline.Equal(end) {
			t.Errorf("%q: told %q, deadline %v", spec, c.Events[0].Message, c.Build.Deadline)
		}
	}
}

func TestMarkAndEndDormancy(t *testing.T) {
	now := monday.Add(3 * day)
	c, err := lifecycle.MarkDormant(true)(running(tilDeleted(day)), now)
	must(err)
	if w := c.Workspace; !w.DormantAt.Equal(now) || !w.DeletingAt.Equal(now.Add(day)) || !w.LastUsedAt.Equal(monday) {
		t.Errorf("workspace %+v", w)
	}
	if c.Build.Transition != lifecycle.TransitionStop || c.Build.Reason != lifecycle.ReasonManual || told(c.Events) != "audit/build.queued audit/workspace.dormant notice/workspace.dormant " {
		t.Errorf("build %+v, told %s", c.Build, told(c.Events))
	}
	if !c.Build.Deadline.Equal(now) {
		t.Errorf("its run ends at %v, want %v", c.Build.Deadline, now)
	}
	c, err = lifecycle.MarkDormant(false)(stopped(), now)
	must(err)
	if c.NewBuild || !c.Workspace.DeletingAt.IsZero() || told(c.Events) != "audit/workspace.dormant " {
		t.Errorf("new build %t, deleting %v, told %s", c.NewBuild, c.Workspace.DeletingAt, told(c.Events))
	}
	refuse(t, "build active", newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobPending)), now, lifecycle.MarkDormant(true), lifecycle.ErrBuildActive)
	sleeping := stopped(asleep(monday.Add(day)), autostart("0 9 * * *"))
	refuse(t, "dormant already", sleeping, now, lifecycle.MarkDormant(true), lifecycle.ErrUnchanged)
	refuse(t, "awake already", stopped(), now, lifecycle.EndDormancy(), lifecycle.ErrUnchanged)

	c, err = lifecycle.EndDormancy()(sleeping, now)
	must(err)
	if w := c.Workspace; !w.DormantAt.IsZero() || !w.DeletingAt.IsZero() || !w.LastUsedAt.Equal(now) || told(c.Events) != "audit/workspace.awake " {
		t.Errorf("woken: %+v, told %s", w, told(c.Events))
	}
	// Starts that it slept through are not caught up.
	ruleCase{s: apply(sleeping, c), from: now, want: "autostart: start", at: now.Add(day)}.check(t)
}

func TestOtherSettings(t *testing.T) {
	s := do(t, stopped(), monday, lifecycle.SetAutomaticUpdates(true))
	if !s.Workspace.AutomaticUpdates {
		t.Error("automatic updates are off")
	}
	refuse(t, "updates, again", s, monday, lifecycle.SetAutomaticUpdates(true), lifecycle.ErrUnchanged)
	refuse(t, "no worker is missing", s, monday, lifecycle.WorkerReturned(), lifecycle.ErrUnchanged)
	waits := apply(running(deadline(monday)), lifecycle.Postpone(running(deadline(monday)), lifecycle.SkipNoWorker, "none", monday))
	if waits = do(t, waits, monday, lifecycle.WorkerReturned()); waits.Workspace.Backoff != (lifecycle.Backoff{}) {
		t.Errorf("with a worker it still backs off: %+v", waits.Workspace.Backoff)
	}
	expect(t, waits, monday, stop)
	refuse(t, "attention", s, monday, lifecycle.ClearAttention(), lifecycle.ErrUnchanged)
	refuse(t, "no hold", s, monday, lifecycle.SetHold(lifecycle.Hold{Until: time.Time{}}), lifecycle.ErrUnchanged)
	s = do(t, s, monday, lifecycle.SetHold(lifecycle.Hold{Until: monday.Add(day)}))
	refuse(t, "the same hold", s, monday, lifecycle.SetHold(lifecycle.Hold{Until: monday.Add(day)}), lifecycle.ErrUnchanged)
}

// A verb may be called again after a lost race: it does not touch what it was given.
func TestVerbsArePure(t *testing.T) {
	s := running(deadline(monday.Add(time.Hour)), tilDormant(day), autostart("0 9 * * *"))
	before := s
	for _, v := range append([]lifecycle.Verb{
		lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil), lifecycle.Used(monday.Add(time.Hour)), lifecycle.SetAutomaticUpdates(true),
	}, lifecycle.SetTTL(0), lifecycle.SetHold(lifecycle.Hold{Until: monday.Add(day)}), lifecycle.MarkDormant(true)) {
		first, err1 := v(s, monday.Add(time.Minute))
		again, err2 := v(s, monday.Add(time.Minute))
		if s != before || first.Workspace != again.Workspace || first.Build != again.Build || err1 != nil || err2 != nil {
			t.Errorf("snapshot changed, or %+v is not %+v (%v, %v)", first, again, err1, err2)
		}
	}
}
