package lifecycle_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// A hold names its rules: the others go on.
func TestHoldNamesItsRules(t *testing.T) {
	end := monday.Add(20 * day)
	hour := monday.Add(time.Hour)
	month := with(tilDeleted(day), asleep(monday))
	hold := func(rules lifecycle.HoldRules) edit {
		return workspace(func(w *lifecycle.Workspace) { w.Hold = lifecycle.Hold{Until: end, Rules: rules} })
	}
	const start, mark, del = "autostart: start", "dormancy: dormant", "autodelete: delete"
	nine, week := autostart("0 9 * * *"), tilDormant(7*day)
	runRules(t, []ruleCase{
		{name: "starts hold no stop", s: running(deadline(hour), hold(lifecycle.HoldStarts)), want: stop, at: hour},
		{name: "starts hold starts", s: stopped(nine, hold(lifecycle.HoldStarts)), want: start, at: end},
		{name: "stops hold no start", s: stopped(nine, hold(lifecycle.HoldStops)), want: start, at: monday.Add(day)},
		{name: "stops hold stops", s: running(deadline(hour), hold(lifecycle.HoldStops)), want: stop, at: end},
		{name: "stops hold the stop of dormancy", s: running(week, hold(lifecycle.HoldStops)), want: "dormancy: stop, dormant", at: end.Add(2 * time.Hour)},
		{name: "stops hold no dormancy that needs none", s: stopped(week, hold(lifecycle.HoldStops)), want: mark, at: monday.Add(7*day + us)},
		{name: "dormancy holds dormancy", s: stopped(week, hold(lifecycle.HoldDormancy)), want: mark, at: end.Add(2 * time.Hour)},
		{name: "dormancy holds no deletion", s: stopped(month, hold(lifecycle.HoldDormancy)), want: del, at: monday.Add(us), from: monday.Add(us)},
		{name: "deletion holds deletion", s: stopped(month, hold(lifecycle.HoldDeletion), reminded(end.Add(day))), want: del, at: end.Add(day)},
		{name: "deletion holds no dormancy", s: stopped(week, hold(lifecycle.HoldDeletion)), want: mark, at: monday.Add(7*day + us)},
		{name: "holidays hold starts only", s: running(deadline(hour), holidays("2026-03-02")), want: stop, at: hour},
		{name: "the engine's hold", s: running(deadline(hour), set(func(s *lifecycle.Snapshot) { s.Engine.Hold.Until = end })), want: stop, at: end},
	})
}

func TestHoldInExplain(t *testing.T) {
	s := stopped(autostart("CRON_TZ=Europe/Berlin 0 9 * * *"), workspace(func(w *lifecycle.Workspace) {
		w.Hold = lifecycle.Hold{Until: at("2026-03-08 23:00"), Rules: lifecycle.HoldStarts, By: "ann", Note: "vacation"}
	}))
	x := lifecycle.Explain(s, monday)
	if want := "held until Mon 2026-03-09 00:00:00 CET: starts, by ann: vacation"; len(x.Holds) != 1 || x.Holds[0] != want {
		t.Errorf("holds %q, want %q", x.Holds, want)
	}
	if !strings.Contains(x.Summary, "Held until Mon 2026-03-09 00:00:00 CET: starts, by ann: vacation.") {
		t.Errorf("summary %q", x.Summary)
	}
	text, err := json.Marshal(s.Workspace.Hold)
	must(err)
	if want := `{"until":"2026-03-08T23:00:00Z","rules":"starts","note":"vacation","by":"ann"}`; string(text) != want {
		t.Errorf("json %s, want %s", text, want)
	}
	var back lifecycle.Hold
	must(json.Unmarshal(text, &back))
	if back != s.Workspace.Hold {
		t.Errorf("read back as %+v", back)
	}
}

// What people have written cannot pass for what the rules say.
func TestExplainQuotes(t *testing.T) {
	const forged = "over. It is deleted at once"
	s := running(deadline(monday), workspace(func(w *lifecycle.Workspace) {
		w.Name = forged
		w.Hold = lifecycle.Hold{Until: monday.Add(time.Hour), By: forged, Note: forged}
	}))
	quoted := fmt.Sprintf("%q", forged)
	x := lifecycle.Explain(s, monday)
	for what, text := range map[string]string{"summary": x.Summary, "hold": x.Holds[0], "reason": x.Rules[lifecycle.RuleAutostop-1].Because} {
		if !strings.Contains(text, "all, by "+quoted+": "+quoted) || strings.Contains(strings.ReplaceAll(text, quoted, ""), forged) {
			t.Errorf("%s: %s", what, text)
		}
	}
	if !strings.HasPrefix(x.Summary, quoted+" is running.") || x.Workspace != forged {
		t.Errorf("%q: %s", x.Workspace, x.Summary)
	}
	s.Workspace.Hold = lifecycle.Hold{}
	s.Workspace.Backoff = lifecycle.Backoff{Until: monday.Add(time.Hour), Attempts: 2, Cause: lifecycle.SkipError, Message: forged}
	if why := lifecycle.Explain(s, monday).Rules[lifecycle.RuleAutostop-1].Because; !strings.HasSuffix(why, "after attempt 2: error: "+quoted) {
		t.Errorf("back-off: %s", why)
	}
}

func TestRefusedHolds(t *testing.T) {
	for field, h := range map[string]lifecycle.Hold{
		"Hold.Until": {Until: time.Date(200000, 1, 1, 0, 0, 0, 0, time.UTC)}, "Hold.Rules": {Rules: 16},
		"Hold.Note": {Note: strings.Repeat("x", 501)}, "Hold.By": {By: strings.Repeat("x", 501)},
	} {
		_, err := lifecycle.SetHold(h)(stopped(), monday)
		var e *invalid.Error
		if !errors.As(err, &e) || e.Field != field {
			t.Errorf("%+v: %v", h, err)
		}
		if _, err := lifecycle.ReplaceTemplate(lifecycle.Template{}, lifecycle.Template{Hold: h}, monday); !errors.Is(err, invalid.Err) {
			t.Errorf("template with %+v: %v", h, err)
		}
		if _, err := lifecycle.ReplaceEngine(lifecycle.Engine{}, lifecycle.Engine{Hold: h}, monday); !errors.Is(err, invalid.Err) {
			t.Errorf("engine with %+v: %v", h, err)
		}
	}
	if err := new(lifecycle.HoldRules).UnmarshalText([]byte("starts,naps")); !errors.Is(err, invalid.Err) {
		t.Errorf("naps: %v", err)
	}
}

// A failed automatic start is tried again with pauses and an end; the next occurrence stands all the same.
func TestStartRetry(t *testing.T) {
	nine := with(autostart("0 9 * * *"), policy(func(p *lifecycle.Policy) {
		p.StartRetry = lifecycle.StartRetry{Max: 2, Initial: 10 * time.Minute}
	}))
	now := monday.Add(day)
	s := after(t, stopped(nine), now)
	for n, pause := range []time.Duration{10 * time.Minute, 20 * time.Minute} {
		s = finish(t, s, now, lifecycle.JobFailed)
		next := lifecycle.NextWake(s, now)
		if waited := next.Sub(now); waited < pause || waited > pause+pause/4 {
			t.Fatalf("after failure %d tried again after %v, want %v and up to a quarter more", n+1, waited, pause)
		}
		expect(t, s, next, "start_retry: start")
		checkExplained(t, s, next)
		if s, now = after(t, s, next), next; s.Build.Reason != lifecycle.ReasonStartRetry {
			t.Errorf("build %+v", s.Build)
		}
	}
	s = finish(t, s, now, lifecycle.JobFailed)
	ruleCase{name: "the end", s: s, from: now, want: "autostart: start", at: monday.Add(2 * day)}.check(t)
	tomorrow := finish(t, after(t, s, monday.Add(2*day)), monday.Add(2*day), lifecycle.JobFailed)
	if tomorrow.Workspace.StartFailures != 1 {
		t.Errorf("the next occurrence begins with %d failures", tomorrow.Workspace.StartFailures)
	}
	good := finish(t, after(t, s, monday.Add(2*day)), monday.Add(2*day), lifecycle.JobSucceeded)
	if good.Workspace.StartFailures != 0 {
		t.Errorf("after success %d failures", good.Workspace.StartFailures)
	}
}

// Without other values the pauses double from a minute to an hour, or stay at the first if that is longer.
func TestStartRetryDefaults(t *testing.T) {
	failed := func(n int, r lifecycle.StartRetry) time.Duration {
		s := newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), autostart("0 8 * * 0"),
			policy(func(p *lifecycle.Policy) { p.StartRetry = r }), workspace(func(w *lifecycle.Workspace) { w.StartFailures = n }))
		return lifecycle.NextWake(s, monday).Sub(s.Build.CompletedAt)
	}
	for n, pause := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 6: 32 * time.Minute, 7: time.Hour, 30: time.Hour} {
		if got := failed(n, lifecycle.StartRetry{Max: n}); got < pause || got > pause+pause/4 {
			t.Errorf("after %d failures tried again after %v, want %v and up to a quarter more", n, got, pause)
		}
	}
	if got := failed(3, lifecycle.StartRetry{Max: 3, Initial: 2 * time.Hour}); got < 2*time.Hour || got > 150*time.Minute {
		t.Errorf("with a long first pause tried again after %v", got)
	}
	// A cleanup that was canceled is a wish to leave it at that.
	canceled := newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobCanceled), autostart("0 9 * * *"),
		policy(func(p *lifecycle.Policy) { p.StartRetry.Max = 3 }), workspace(func(w *lifecycle.Workspace) { w.StartFailures = 1 }))
	ruleCase{s: canceled, want: "autostart: start", at: monday.Add(day)}.check(t)
}

func TestStartRetryEnds(t *testing.T) {
	retry := policy(func(p *lifecycle.Policy) { p.StartRetry = lifecycle.StartRetry{Max: 3, Initial: 10 * time.Minute} })
	now, nextDay := monday.Add(day), monday.Add(2*day)
	failed := finish(t, after(t, stopped(autostart("0 9 * * *"), retry), now), now, lifecycle.JobFailed)
	with := func(e edit) lifecycle.Snapshot { s := failed; e(&s); return s }
	canceled := finish(t, after(t, stopped(autostart("0 9 * * *"), retry), now), now, lifecycle.JobCanceled)
	const start = "autostart: start"
	runRules(t, []ruleCase{
		{name: "off", s: with(policy(func(p *lifecycle.Policy) { p.StartRetry = lifecycle.StartRetry{} })), from: now, want: start, at: nextDay},
		{name: "canceled: a wish not to start", s: canceled, from: now, want: start, at: nextDay},
		{name: "held", s: with(heldUntil(now.Add(time.Hour))), from: now, want: start, at: nextDay},
	})
	cleaned := with(failureTTL(time.Minute))
	cleaned = finish(t, after(t, cleaned, now.Add(2*time.Minute)), now.Add(3*time.Minute), lifecycle.JobSucceeded)
	if d := lifecycle.Decide(cleaned, now.Add(20*time.Minute)); d.Rule != lifecycle.RuleStartRetry {
		t.Errorf("after the cleanup: %s\n%v", words(d), lifecycle.Explain(cleaned, now))
	}
}

// A stopped workspace is deleted after its time, with a promise when it stops and a notice a day before.
func TestDeleteStopped(t *testing.T) {
	week := policy(func(p *lifecycle.Policy) { p.DeleteStopped = 7 * day })
	end := monday.Add(time.Hour)
	s := after(t, running(deadline(end), week), end)
	c, err := lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: lifecycle.JobSucceeded})(s, end)
	must(err)
	promised := end.Add(7 * day)
	if !c.Workspace.DeletingAt.Equal(promised) || told(c.Events) != "audit/build.succeeded audit/workspace.deletion_set notice/workspace.deletion_set " {
		t.Errorf("deleted at %v, told %s", c.Workspace.DeletingAt, told(c.Events))
	}
	s = apply(s, c)
	ruleCase{name: "reminder", s: s, from: end, want: "delete_reminder", at: promised.Add(us - day)}.check(t)
	s = after(t, s, promised.Add(us-day))
	ruleCase{name: "deletion", s: s, from: promised.Add(-day), want: "autodelete: delete", at: promised.Add(us)}.check(t)
	started := do(t, s, promised, lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	if !started.Workspace.DeletingAt.IsZero() {
		t.Errorf("started, deleted at %v", started.Workspace.DeletingAt)
	}
	held := do(t, s, promised, lifecycle.SetHold(lifecycle.Hold{Until: promised.Add(30 * day), Rules: lifecycle.HoldDeletion}))
	ruleCase{name: "held", s: held, from: promised, want: "delete_reminder", at: promised.Add(30 * day)}.check(t)
	// A new policy leaves the grace, also for one that was stopped long ago.
	old := replaced(t, stopped(), monday.Add(30*day), withPolicy(func(p *lifecycle.Policy) { p.DeleteStopped = 7 * day }))
	old = apply(old, lifecycle.Rearm(old, monday.Add(30*day)))
	if want := monday.Add(31 * day); !old.Workspace.DeletingAt.Equal(want) {
		t.Errorf("deleted at %v, want %v", old.Workspace.DeletingAt, want)
	}
}

// A workspace to throw away is stopped at its deadline and deleted then; one that somebody stops is not.
func TestDeleteAtDeadline(t *testing.T) {
	away := policy(func(p *lifecycle.Policy) { p.DeleteAtDeadline = true })
	end := monday.Add(time.Hour)
	s := finish(t, after(t, running(deadline(end), away), end), end.Add(time.Minute), lifecycle.JobSucceeded)
	expect(t, s, end.Add(time.Minute+us), "autodelete: delete")
	byHand := finish(t, do(t, running(deadline(end), away), monday, lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil)), monday, lifecycle.JobSucceeded)
	ruleCase{name: "by hand", s: byHand}.check(t)
	// Its owner's suspension stops it before its deadline: nothing is thrown away.
	for name, becomes := range map[string]lifecycle.OwnerStatus{
		"suspended": lifecycle.OwnerSuspended, "back before the stop ends": lifecycle.OwnerActive, "idle before the stop ends": lifecycle.OwnerDormant,
	} {
		s := running(deadline(end), away)
		suspended, back := s.Owner, s.Owner
		suspended.Status, back.Status = lifecycle.OwnerSuspended, becomes
		s.Owner = must1(lifecycle.ReplaceOwner(s.Owner, suspended, monday))
		s = after(t, s, monday)
		s.Owner = must1(lifecycle.ReplaceOwner(s.Owner, back, monday.Add(us)))
		s = finish(t, s, monday.Add(time.Minute), lifecycle.JobSucceeded)
		ruleCase{name: name, s: s, from: monday.Add(time.Minute)}.check(t)
		// Nor does anything throw it away later: dormancy, its end, or a policy that changes something else.
		asleep := do(t, s, monday.Add(time.Hour), lifecycle.MarkDormant(false))
		ruleCase{name: name + ", dormant", s: asleep, from: monday.Add(time.Hour)}.check(t)
		ruleCase{name: name + ", awake", s: do(t, asleep, monday.Add(2*time.Hour), lifecycle.EndDormancy()), from: monday.Add(2 * time.Hour)}.check(t)
		month := replaced(t, s, monday.Add(time.Hour), withPolicy(func(p *lifecycle.Policy) { p.DeleteStopped = 30 * day }))
		month = apply(month, lifecycle.Rearm(month, monday.Add(time.Hour)))
		if want := monday.Add(30*day + time.Minute); !month.Workspace.DeletingAt.Equal(want) {
			t.Errorf("%s, another policy: deleted at %v, want %v", name, month.Workspace.DeletingAt, want)
		}
	}
	// The end of a hold leaves a day to what it kept running, whether it ends at its time or early.
	held := do(t, running(deadline(end), away), monday, lifecycle.SetHold(lifecycle.Hold{Until: end.Add(2 * day)}))
	for name, c := range map[string]struct {
		s     lifecycle.Snapshot
		ended time.Time
	}{
		"natural": {held, end.Add(2 * day)}, "early": {do(t, held, end.Add(day), lifecycle.SetHold(lifecycle.Hold{})), end.Add(day)},
	} {
		s := finish(t, after(t, c.s, c.ended), c.ended, lifecycle.JobSucceeded)
		if s.Workspace.RemindedFor.IsZero() {
			s = after(t, s, lifecycle.NextWake(s, c.ended))
		}
		ruleCase{name: name, s: s, from: c.ended, want: "autodelete: delete", at: c.ended.Add(day)}.check(t)
	}
	// A policy that begins to throw away leaves a day to those that run.
	s = replaced(t, running(deadline(end)), monday, withPolicy(func(p *lifecycle.Policy) { p.DeleteAtDeadline = true }))
	s = apply(s, lifecycle.Rearm(s, monday))
	s = finish(t, after(t, s, end), end, lifecycle.JobSucceeded)
	if d := lifecycle.Decide(s, monday.Add(day-us)); d.Rule == lifecycle.RuleAutodelete {
		t.Error("deleted within the grace")
	}
	expect(t, after(t, s, monday.Add(day-us)), monday.Add(day), "autodelete: delete")
}

func TestDormantWhenSuspended(t *testing.T) {
	asks := policy(func(p *lifecycle.Policy) { p.DormantWhenSuspended = true })
	runRules(t, []ruleCase{
		{name: "stopped", s: stopped(asks, owner(lifecycle.OwnerSuspended)), want: "dormancy: dormant", at: monday},
		{name: "running is stopped first", s: running(asks, owner(lifecycle.OwnerSuspended)), want: stop, at: monday},
		{name: "active", s: stopped(asks)},
		{name: "off", s: stopped(owner(lifecycle.OwnerSuspended))},
	})
}

func TestMinExtend(t *testing.T) {
	five := policy(func(p *lifecycle.Policy) { p.MinExtend = 5 * time.Minute })
	s := running(deadline(monday.Add(time.Minute)), five)
	do(t, s, monday, lifecycle.Extend(monday.Add(5*time.Minute)))
	do(t, s, monday, lifecycle.Extend(monday.Add(schedule.MaxTTL)))
	refuse(t, "less", s, monday, lifecycle.Extend(monday.Add(5*time.Minute-us)), nil)
	refuse(t, "beyond the longest TTL", s, monday, lifecycle.Extend(monday.Add(schedule.MaxTTL+us)), nil)
	refuse(t, "beyond the calendar", s, monday, lifecycle.Extend(time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)), nil)
}

func TestLatenessIsAtLeastATick(t *testing.T) {
	if err := (lifecycle.Policy{MaxLateness: 10 * time.Second}).Validate(); !errors.Is(err, invalid.Err) {
		t.Errorf("ten seconds: %v", err)
	}
	minute := policy(func(p *lifecycle.Policy) { p.MaxLateness = time.Minute })
	s := stopped(autostart("0 9 * * *"), minute)
	due := monday.Add(day)
	expect(t, s, due.Add(2*time.Minute), "autostart: missed")
	s.Engine.Interval = 5 * time.Minute
	expect(t, s, due.Add(5*time.Minute), "autostart: start")
	expect(t, s, due.Add(5*time.Minute+us), "autostart: missed")
}

func TestSettle(t *testing.T) {
	for name, c := range map[string]struct {
		gap  time.Duration
		want time.Time
	}{"usual": {3 * time.Minute, time.Time{}}, "outage": {3*time.Minute + 1, monday.Add(10 * time.Minute)}} {
		var e lifecycle.Engine
		if got := e.Settle(monday.Add(-c.gap), monday, time.Minute, 10*time.Minute); !got.Equal(c.want) || e.SettleUntil != got {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if got := new(lifecycle.Engine).Settle(time.Time{}, monday, time.Minute, time.Hour); !got.IsZero() {
		t.Errorf("the first tick settles until %v", got)
	}
	until := monday.Add(10 * time.Minute)
	settling := set(func(s *lifecycle.Snapshot) { s.Engine.SettleUntil = until })
	runRules(t, []ruleCase{
		{name: "autostop", s: running(deadline(monday), settling), want: stop, at: until},
		{name: "dormancy", s: stopped(tilDormant(time.Minute), settling, workspace(func(w *lifecycle.Workspace) { w.CreatedAt, w.LastUsedAt = monday.Add(-day), monday.Add(-day) })), want: "dormancy: dormant", at: until},
		{name: "suspended", s: running(owner(lifecycle.OwnerSuspended), settling), want: stop, at: monday},
		{name: "autostart", s: stopped(autostart("5 9 * * *"), settling), want: "autostart: start", at: monday.Add(5 * time.Minute)},
	})
}

func TestForbiddenDaysAreNamed(t *testing.T) {
	weekdays := policy(func(p *lifecycle.Policy) { p.AutostartDays = 0x1f })
	c, err := lifecycle.SetAutostart(weekly("0 9 * * *"))(stopped(weekdays), monday)
	must(err)
	if want := "the template forbids Sat,Sun"; !strings.HasSuffix(c.Events[0].Message, want) {
		t.Errorf("event %q", c.Events[0].Message)
	}
	s := apply(stopped(weekdays), c)
	if r := lifecycle.Explain(s, monday).Rules[lifecycle.RuleAutostart-1]; !strings.Contains(r.Compared, "the template forbids Sat,Sun") {
		t.Errorf("explained %q", r.Compared)
	}
}

func TestEveryForbiddenDayIsNamed(t *testing.T) {
	sunday := schedule.DaysOf(time.Sunday)
	for spec, want := range map[string]schedule.Days{"30 0 * * *": schedule.AllDays &^ sunday, "0 0 * * *": schedule.AllDays &^ sunday, "0 9 * * 1": schedule.DaysOf(time.Monday)} {
		if got := lifecycle.ForbiddenDays(weekly(spec), sunday, monday); got != want {
			t.Errorf("%q: %v, want %v", spec, got, want)
		}
	}
}

func TestDeleteOfAVersion(t *testing.T) {
	do(t, stopped(policy(func(p *lifecycle.Policy) { p.RequireActiveVersion = true })), monday, lifecycle.RequestBuild(lifecycle.TransitionDelete, id(9)))
	s := do(t, stopped(), monday, lifecycle.RequestBuild(lifecycle.TransitionDelete, id(9)))
	if s.Build.TemplateVersionID != id(9) {
		t.Errorf("build %+v", s.Build)
	}
}

// What waits for a worker is tried again within minutes; a back-off that a clock ahead has set holds nothing.
func TestBackOffsAreBounded(t *testing.T) {
	end := monday.Add(time.Hour)
	s := running(deadline(end))
	now := end
	for range 12 {
		s = apply(s, lifecycle.Postpone(s, lifecycle.SkipNoWorker, "none", now))
		if pause := s.Workspace.Backoff.Until.Sub(now); pause > 5*time.Minute {
			t.Fatalf("a pause of %v", pause)
		}
		now = s.Workspace.Backoff.Until
	}
	s = running(deadline(end), workspace(func(w *lifecycle.Workspace) {
		w.Backoff = lifecycle.Backoff{Until: end.AddDate(1, 0, 0), Attempts: 1, Cause: lifecycle.SkipRefused}
	}))
	expect(t, s, end, stop)
	s.Workspace.Backoff.Until = end.Add(75 * time.Minute) // as long as a pause may be
	expect(t, s, end, "nothing")
}

// What a holiday, a hold or a floor lets go is spread like a herd.
func TestWhatIsLetGoIsSpread(t *testing.T) {
	end := at("2026-03-03 00:00")
	for name, hold := range map[string]edit{
		"holidays": with(holidays("2026-03-02"), holidaysHold(lifecycle.HoldAll)), "hold": heldUntil(end),
		"hold of a template":  templateHeld(end),
		"floor of a template": set(func(s *lifecycle.Snapshot) { s.Template.Floors.Stop = end }),
		"floor of the engine": set(func(s *lifecycle.Snapshot) { s.Engine.Floors.Stop = end }),
		"holidays that a policy takes back": set(func(s *lifecycle.Snapshot) {
			with(holidays("2026-03-01..2026-03-08"), holidaysHold(lifecycle.HoldAll))(s)
			*s = replaced(t, *s, end.Add(-2*time.Hour), withPolicy(func(p *lifecycle.Policy) { p.Holidays = nil }))
			*s = apply(*s, lifecycle.Rearm(*s, end.Add(-2*time.Hour)))
		}),
	} {
		seen := map[time.Time]bool{}
		for n := range 100 {
			s := running(deadline(monday.Add(time.Hour)), jitterOf(2*time.Hour), workspace(func(w *lifecycle.Workspace) { w.ID = id(n) }), hold)
			acts := lifecycle.NextWake(s, monday)
			if acts.Before(end) || acts.After(end.Add(4*time.Hour)) {
				t.Fatalf("%s: workspace %d stops at %v", name, n, acts)
			}
			seen[acts] = true
		}
		if len(seen) < 90 {
			t.Errorf("%s: 100 workspaces stop at %d instants", name, len(seen))
		}
	}
}

// What is kept of a message is bounded, and says so.
func TestLongMessagesAreCut(t *testing.T) {
	long := strings.Repeat("ü", 1<<20)
	s := running(deadline(monday))
	if m := lifecycle.Postpone(s, lifecycle.SkipError, long, monday).Workspace.Backoff.Message; len(m) > 2000 || !strings.HasSuffix(m, "ü...") {
		t.Errorf("back-off with %d bytes: %q", len(m), m[len(m)-40:])
	}
	s = newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobRunning))
	c, err := lifecycle.JobEnded(lifecycle.JobResult{BuildID: id(0xb1), Status: lifecycle.JobFailed, Message: long})(s, monday)
	must(err)
	if m := c.Events[0].Message; len(m) > 2000 {
		t.Errorf("event with %d bytes", len(m))
	}
	if m := c.Build.Error; len(m) > 1000 || !strings.HasSuffix(m, "ü...") {
		t.Errorf("build with an error of %d bytes", len(m))
	}
	c, err = lifecycle.JobEnded(lifecycle.JobResult{BuildID: id(0xb1), Status: lifecycle.JobSucceeded, Result: long})(s, monday)
	must(err)
	if m := c.Build.Result; len(m) > 1000 || !strings.HasSuffix(m, "ü...") {
		t.Errorf("build with a result of %d bytes", len(m))
	}
}

// One text has one zone, and no text a monotonic clock.
func TestOneSentenceHasOneZone(t *testing.T) {
	t.Parallel()
	zone := regexp.MustCompile(`\d\d:\d\d:\d\d ([A-Z]{3,5}|[+-]\d\d(?:\d\d)?)\b`)
	winter := strings.NewReplacer("CEST", "CET", "EDT", "EST", "+11", "+1030") // names of one zone
	eachRandom(t, 5_000, func(t *testing.T, r random, s lifecycle.Snapshot) {
		x := lifecycle.Explain(s, r.set())
		seen := map[string]bool{}
		for _, m := range zone.FindAllStringSubmatch(x.String(), -1) {
			seen[winter.Replace(m[1])] = true
		}
		if text := x.String(); len(seen) > 1 || strings.Contains(text, "m=+") {
			t.Errorf("zones %v in\n%s", seen, text)
		}
	})
}

// Instants at the ends of the calendar, and silly durations, move nothing over it.
func TestTheCalendarHasEnds(t *testing.T) {
	last := time.Date(9999, 12, 31, 23, 0, 0, 0, time.UTC)
	s := stopped(tilDeleted(100*365*day), asleep(last), tilDormant(100*365*day), jitterOf(100*365*day), heldUntil(last),
		workspace(func(w *lifecycle.Workspace) { w.LastUsedAt = last }))
	for _, now := range []time.Time{time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), monday, last} {
		if _, err := json.Marshal(lifecycle.Explain(s, now)); err != nil {
			t.Error(err)
		}
		if wake := lifecycle.NextWake(s, now); wake.Year() > 9999 {
			t.Errorf("wakes %v", wake)
		}
	}
	for field, w := range map[string]lifecycle.Workspace{
		"Workspace.TTL": {TTL: -time.Hour}, "Workspace.DormantAt": {DormantAt: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"Workspace.Hold.Until": {Hold: lifecycle.Hold{Until: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}},
	} {
		var e *invalid.Error
		if err := w.Validate(); !errors.As(err, &e) || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	if w := (lifecycle.Workspace{TTL: 10 * 365 * day}); w.Validate() == nil {
		t.Error("a TTL of ten years passes")
	}
}
