package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// reminded says that the owner was told of a deletion.
func reminded(of time.Time) edit {
	return workspace(func(w *lifecycle.Workspace) { w.RemindedFor = of })
}

func holidaysHold(rules lifecycle.HoldRules) edit {
	return policy(func(p *lifecycle.Policy) { p.HolidaysHold = rules })
}

func templateHeld(at time.Time) edit {
	return func(s *lifecycle.Snapshot) { s.Template.Hold.Until = at }
}

// While held nothing happens. What was due happens when the hold ends: a stop on that very instant, dormancy and deletion
// after a grace, and the stop of a suspended owner's workspace at once.
func TestHold(t *testing.T) {
	end := monday.Add(20 * day)
	week, month := tilDormant(7*day), tilDeleted(day)
	var cases []ruleCase
	for name, hold := range map[string]edit{
		"workspace": heldUntil(end), "template": templateHeld(end),
		"both": with(heldUntil(end.Add(-day)), templateHeld(end)), "holidays": with(holidays("2026-03-02..2026-03-21,2026-03-22"), holidaysHold(lifecycle.HoldAll)),
	} {
		until := end
		if name == "holidays" {
			until = at("2026-03-23 00:00")
		}
		cases = append(cases,
			ruleCase{name: name + "/autostop", s: running(deadline(monday.Add(time.Hour)), hold), want: "autostop: stop", at: until},
			ruleCase{name: name + "/suspended", s: running(owner(lifecycle.OwnerSuspended), hold), want: "autostop: stop", at: monday},
			ruleCase{name: name + "/cleanup", s: newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobFailed), failureTTL(time.Hour), hold), want: "failed_cleanup: stop", at: until},
			ruleCase{name: name + "/dormancy", s: stopped(week, hold), want: "dormancy: dormant", at: until.Add(2 * time.Hour)},
			ruleCase{name: name + "/autodelete", s: stopped(month, asleep(monday), hold, reminded(until.Add(day))), want: "autodelete: delete", at: until.Add(day)},
		)
	}
	cases = append(cases,
		ruleCase{name: "a hold that is over", s: running(deadline(monday.Add(time.Hour)), heldUntil(monday.Add(time.Hour))), want: "autostop: stop", at: monday.Add(time.Hour)},
		ruleCase{name: "a hold that ends in a holiday", s: running(deadline(monday.Add(time.Hour)), heldUntil(at("2026-03-10 12:00")), holidays("2026-03-10..2026-03-11"), holidaysHold(lifecycle.HoldStops)), want: "autostop: stop", at: at("2026-03-12 00:00")},
		ruleCase{name: "due in a holiday", s: running(deadline(at("2026-03-10 12:00")), holidays("Europe/Berlin 2026-03-10"), holidaysHold(lifecycle.HoldAll)), want: "autostop: stop", at: at("2026-03-10 23:00")},
		ruleCase{name: "due before a holiday", s: running(deadline(at("2026-03-09 23:00").Add(-us)), holidays("Europe/Berlin 2026-03-10")), want: "autostop: stop", at: at("2026-03-09 23:00").Add(-us)},
	)
	runRules(t, cases)
}

// Starts that fall into a hold are not caught up.
func TestHoldSkipsAutostarts(t *testing.T) {
	const start = "autostart: start"
	nine := autostart("0 9 * * *")
	spread := lifecycle.NextWake(stopped(nine, jitterOf(time.Hour)), monday).Sub(monday.Add(day))
	runRules(t, []ruleCase{
		{name: "the first after the hold", s: stopped(nine, heldUntil(at("2026-03-05 09:00").Add(us))), want: start, at: at("2026-03-06 09:00")},
		{name: "the one at its end", s: stopped(nine, heldUntil(at("2026-03-05 09:00"))), want: start, at: at("2026-03-05 09:00")},
		{name: "spread over the end of the hold", s: stopped(nine, jitterOf(time.Hour), heldUntil(at("2026-03-05 09:01"))), want: start, at: at("2026-03-06 09:00").Add(spread)},
		{name: "the first, spread over the end of the hold", s: stopped(nine, jitterOf(time.Hour), heldUntil(at("2026-03-03 09:01"))), want: start, at: at("2026-03-04 09:00").Add(spread)},
		{name: "template", s: stopped(nine, templateHeld(at("2026-03-05 12:00"))), want: start, at: at("2026-03-06 09:00")},
		// 09:00 of the 3rd is the 2nd in Honolulu, and the 3rd in Auckland.
		{name: "before holidays of another zone", s: stopped(nine, holidays("Pacific/Honolulu 2026-03-03")), want: start, at: at("2026-03-03 09:00")},
		{name: "in holidays of another zone", s: stopped(nine, holidays("Pacific/Auckland 2026-03-03")), want: start, at: at("2026-03-04 09:00")},
		{name: "holidays that hold no starts", s: stopped(nine, holidays("2026-03-03..2026-03-05"), holidaysHold(lifecycle.HoldStops)), want: start, at: at("2026-03-03 09:00")},
		{name: "holidays", s: stopped(nine, holidays("2026-03-03..2026-03-05,2026-03-07")), want: start, at: at("2026-03-06 09:00")},
		{name: "a hold that ends in holidays", s: stopped(nine, heldUntil(at("2026-03-05 08:00")), holidays("2026-03-05..2026-03-06")), want: start, at: at("2026-03-07 09:00")},
	})
}

// What was due before a hold began, and was not done in time, is due when the hold ends.
func TestStartDueBeforeAHold(t *testing.T) {
	s := stopped(autostart("0 9 * * *"), holidays("2026-03-04"))
	expect(t, s, at("2026-03-04 00:00").Add(-us), "autostart: start")
	expect(t, s, at("2026-03-04 00:00"), "nothing")
	expect(t, s, at("2026-03-05 00:00").Add(-us), "nothing")
	expect(t, s, at("2026-03-05 00:00"), "autostart: start")
}

func TestSpreadDoesNotCarryAStartOverAHoliday(t *testing.T) {
	// The spread of this workspace is more than a minute, so that 23:59 becomes the holiday.
	spread := policy(func(p *lifecycle.Policy) { p.Jitter = time.Hour })
	s := stopped(autostart("59 23 * * *"), spread)
	free := lifecycle.NextWake(s, monday)
	if free.Before(at("2026-03-03 00:00")) {
		t.Fatalf("the spread of this id is too small for this test: %v", free)
	}
	holidays("2026-03-03")(&s)
	// 23:59 of the 2nd lands in the holiday; that of the 3rd is in it, though it lands behind.
	ruleCase{s: s, want: "autostart: start", at: free.Add(2 * day)}.check(t)
}

func TestHoldVerb(t *testing.T) {
	nine := autostart("0 9 * * *")
	wednesday, friday := at("2026-03-04 12:00"), at("2026-03-06 08:00")
	s := do(t, stopped(nine), monday, lifecycle.SetHold(lifecycle.Hold{Until: at("2026-03-20 00:00")}))
	if want := at("2026-03-20 09:00"); !s.Workspace.WakeAt.Equal(want) {
		t.Errorf("held: wakes %v, want %v", s.Workspace.WakeAt, want)
	}
	// However a hold ends early, what fell into it so far stays skipped.
	for name, until := range map[string]time.Time{"zero": {}, "now": wednesday, "the past": at("2026-03-03 08:00")} {
		freed := do(t, s, wednesday, lifecycle.SetHold(lifecycle.Hold{Until: until}))
		ruleCase{name: name, s: freed, from: wednesday, want: "autostart: start", at: at("2026-03-05 09:00")}.check(t)
	}
	ruleCase{s: do(t, s, wednesday, lifecycle.SetHold(lifecycle.Hold{Until: friday})), from: wednesday, want: "autostart: start", at: at("2026-03-06 09:00")}.check(t)
	// A hold that was over had skipped nothing since.
	over := do(t, stopped(nine), monday, lifecycle.SetHold(lifecycle.Hold{Until: monday.Add(time.Hour)}))
	ruleCase{s: do(t, over, wednesday, lifecycle.SetHold(lifecycle.Hold{Until: time.Time{}})), from: at("2026-03-03 08:00"), want: "autostart: start", at: at("2026-03-03 09:00")}.check(t)
}

func TestHoldShowsInExplain(t *testing.T) {
	end := monday.Add(time.Hour)
	for name, c := range map[string]struct {
		hold edit
		want string
	}{
		"workspace": {heldUntil(end), "the workspace is held until Mon 2026-03-02 10:00"},
		"template":  {templateHeld(end), "the template is held until Mon 2026-03-02 10:00"},
		"holidays":  {with(holidays("Africa/Abidjan 2026-03-02"), holidaysHold(lifecycle.HoldAll)), "holidays of the template: Africa/Abidjan 2026-03-02"},
	} {
		x := lifecycle.Explain(running(deadline(monday), c.hold), monday)
		if r := x.Rules[lifecycle.RuleAutostop-1]; r.Verdict != lifecycle.VerdictHeld || !strings.Contains(r.Because, c.want) {
			t.Errorf("%s: %s because %q", name, r.Verdict, r.Because)
		}
		if x.HeldUntil.IsZero() || !strings.Contains(strings.ToLower(x.Summary), " until ") {
			t.Errorf("%s: held until %v; %s", name, x.HeldUntil, x.Summary)
		}
	}
	if x := lifecycle.Explain(running(deadline(monday), heldUntil(monday)), monday); !x.HeldUntil.IsZero() {
		t.Errorf("held until %v though that is over", x.HeldUntil)
	}
}
