package storetest

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
)

// corrupt writes a value behind the store's back, or skips the case.
func (f *fixture) corrupt(what string, id uuid.UUID, value string) {
	f.Helper()
	if f.o.Corrupt == nil {
		f.Skip("Options.Corrupt is not set")
	}
	f.o.Corrupt(f.T, f.s, what, id, value)
}

// besides is a workspace of a template and an owner of its own, whose start is queued.
func (f *fixture) besides(change func(*lifecycle.Template, *lifecycle.Workspace)) lifecycle.Snapshot {
	f.Helper()
	t, o := f.template, f.owner
	t.ID, t.Revision, o.ID = uuid.New(), 0, uuid.New()
	w := f.workspace()
	w.TemplateID, w.OwnerID, w.TTL = t.ID, o.ID, time.Hour
	change(&t, &w)
	f.must(f.s.PutTemplate(f.ctx, epoch, t))
	f.must(f.s.PutOwner(f.ctx, epoch, o))
	f.must(f.s.CreateWorkspaces(f.ctx, epoch, w))
	f.commit(f.build(f.load(w.ID), lifecycle.TransitionStart))
	return f.load(w.ID)
}

// testCorruptRows has values that no verb lets in: each is an error of the workspaces that it concerns, which says so in Stats
// and Explain, and which their jobs can end in spite of.
func testCorruptRows(f *fixture) {
	for _, c := range []struct{ what, value, says string }{
		{"policy", `{"time_til_dormant":"14ns","time_til_autodelete":"30ns"}`, "TimeTilDormant"},
		{"policy", `{"default_ttl":"-1h0m0s"}`, "DefaultTTL"},
		{"policy", `{"max_runtime":"1s"}`, "MaxRuntime"},
		{"policy", `{"delete_stopped":"-720h0m0s"}`, "DeleteStopped"},
		{"policy", `{"requirement_days":"Mon","requirement_weeks":17}`, "Requirement.Weeks"},
		{"policy", `{"retry_max":-1}`, "Retry.Max"},
		{"policy", `{"jitter":"-5m0s"}`, "Jitter"},
		{"policy", `{"holidays":"Mars/Olympus 2026-12-24"}`, "Mars/Olympus"},
		{"policy", `{"default_ttl":"until tea"}`, "until tea"},
		{"policy", `{"autostart_days":"Someday"}`, "Someday"},
		{"autostart", "nonsense", "nonsense"},
		{"autostart", "CRON_TZ=Mars/Olympus 0 9 * * *", "Mars/Olympus"},
		{"autostop", "nonsense", "nonsense"},
		{"ttl", "315360000000000000", "TTL"}, // ten years
		{"quiet hours", "nonsense", "nonsense"},
	} {
		s := f.besides(func(t *lifecycle.Template, _ *lifecycle.Workspace) {
			t.Policy.Requirement = schedule.Requirement{Days: schedule.AllDays}
		})
		good := f.besides(func(t *lifecycle.Template, w *lifecycle.Workspace) {})
		f.corrupt(c.what, map[string]uuid.UUID{"policy": s.Template.ID, "quiet hours": s.Owner.ID}[c.what], c.value)
		if c.what != "policy" && c.what != "quiet hours" {
			f.corrupt(c.what, s.Workspace.ID, c.value)
		}
		id := s.Workspace.ID
		for _, w := range []uuid.UUID{id, good.Workspace.ID} {
			got := f.commit(f.ended(f.load(w), lifecycle.JobSucceeded, epoch.Add(time.Minute)))
			f.rule(got[0] == lifecycle.Applied && f.load(w).Build.Status == lifecycle.JobSucceeded, "%s %s: the end of a job is recorded: %v", c.what, c.value, got)
		}
		wake := f.load(id).Workspace.WakeAt
		f.rule(!wake.IsZero(), "%s %s: it is looked at again", c.what, c.value)
		at := wake.Add(2 * time.Hour).Truncate(time.Minute)
		x := lifecycle.Explain(f.load(id), at)
		f.rule(strings.Contains(x.Error, c.says), "%s %s: Explain says what is wrong: %q", c.what, c.value, x.Error)
		stats := f.executor(executor.Config{}).Tick(f.ctx, at)
		f.must(stats.Err)
		f.rule(stats.Errors[id] != nil && strings.Contains(stats.Errors[id].Error(), c.says), "%s %s: Stats say what is wrong: %v", c.what, c.value, stats.Errors[id])
		f.rule(stats.Transitions[good.Workspace.ID] == lifecycle.TransitionStop, "%s %s: others go on: %v", c.what, c.value, stats.Transitions)
		if _, acts := stats.Transitions[id]; c.what == "policy" {
			f.rule(!acts && f.load(id).Workspace.DormantAt.IsZero(), "%s: nothing happens under a policy that cannot be used", c.value)
		}
	}
}

// testCorruptHolds has holds that somebody wrote by hand and nobody can read: they hold everything, and Explain says why.
func testCorruptHolds(f *fixture) {
	later := epoch.Add(48 * time.Hour)
	for _, c := range []struct{ what, value, says string }{
		{"state", `{"hold":{"rules":"naps"}}`, "naps"},
		{"state", `{"hold":{"until":"tomorrow"}}`, "stored state cannot be used"},
		{"hold rules", "16", "Hold.Rules"},
	} {
		bad, good := f.besides(func(*lifecycle.Template, *lifecycle.Workspace) {}), f.besides(func(*lifecycle.Template, *lifecycle.Workspace) {})
		for _, s := range []lifecycle.Snapshot{bad, good} {
			f.commit(f.ended(s, lifecycle.JobSucceeded, epoch)) // an hour later it stops
		}
		on := wakeAt(f.load(bad.Workspace.ID), epoch)
		on.Workspace.Hold = lifecycle.Hold{Until: later.Add(time.Hour), Rules: lifecycle.HoldStarts}
		f.commit(on)
		id := bad.Workspace.ID
		if c.what == "state" {
			id = bad.Template.ID
		}
		f.corrupt(c.what, id, c.value)
		stats := f.executor(executor.Config{}).Tick(f.ctx, later)
		f.must(stats.Err)
		_, acts := stats.Transitions[bad.Workspace.ID]
		f.rule(!acts, "%s %s: what cannot be read holds everything: %v", c.what, c.value, stats.Transitions)
		f.rule(stats.Transitions[good.Workspace.ID] == lifecycle.TransitionStop, "%s %s: others go on: %v", c.what, c.value, stats.Transitions)
		x := lifecycle.Explain(f.load(bad.Workspace.ID), later).String()
		f.rule(strings.Contains(x, c.says), "%s %s: Explain says what is wrong: %s", c.what, c.value, x)
	}
}

// testUnusableHolidays has dates that somebody could read once, and this machine cannot.
func testUnusableHolidays(f *fixture) {
	const text = "Mars/Olympus 2026-12-24"
	id := f.create(2)[0].Workspace.ID
	f.corrupt("policy", f.template.ID, `{"holidays":"`+text+`"}`)
	f.rule(len(f.due(epoch, 10, lifecycle.Shard{})) == 2, "unusable holidays hide no workspace from Due")
	for range 2 { // the second time it may come from a cache
		got := f.load(id).Template
		f.rule(got.Policy.Holidays.Err() != nil && strings.Contains(got.Policy.Holidays.String(), text),
			"unusable holidays come back with their text and an error: got %q, error %v", got.Policy.Holidays, got.Policy.Holidays.Err())
		f.rule(got.Hold.Until.IsZero(), "unusable holidays invent no hold: got %v", got.Hold.Until)
	}
}

// testLaterPolicy reads and writes a policy with members that this version does not know.
func testLaterPolicy(f *fixture) {
	f.passesThrough(`{"default_ttl":"8h0m0s","later":{"a":[1,2.50]},"soon":"x"}`)
}

// testUnreadablePolicy has policies that this version cannot use. Whoever passes one through, with a new version of the
// template, say, loses nothing of it; whoever writes another one that is no better is refused.
func testUnreadablePolicy(f *fixture) {
	for _, text := range []string{`{"default_ttl":"until tea","soon":true}`, `{"time_til_dormant":"14ns","soon":true}`} {
		p := f.passesThrough(text)
		f.rule(p.Holidays.Err() != nil, "a policy that cannot be used says so: got %+v", p)
		fresh := f.template
		fresh.ID, fresh.Revision, fresh.Policy = uuid.New(), 0, p
		f.refusedField("Policy.Holidays", f.s.PutTemplate(f.ctx, epoch, fresh))
	}
	f.rule(f.create(1)[0].Template.Policy.Holidays.Err() == nil, "a policy that cannot be used spoils no other")
}

// passesThrough has a policy that somebody has written, and sees that nothing is lost when the template is written again.
func (f *fixture) passesThrough(text string) (p lifecycle.Policy) {
	f.Helper()
	s := f.besides(func(*lifecycle.Template, *lifecycle.Workspace) {})
	f.corrupt("policy", s.Template.ID, text)
	for range 2 {
		p = f.load(s.Workspace.ID).Template.Policy
		back, err := json.Marshal(p)
		f.must(err)
		f.rule(string(back) == text, "a policy is kept with all its members: got %s, want %s", back, text)
		t := f.load(s.Workspace.ID).Template
		t.ActiveVersionID = uuid.New()
		f.must(f.s.PutTemplate(f.ctx, epoch, t))
		f.rule(f.load(s.Workspace.ID).Template.Rules == s.Template.Rules, "a policy that is passed through begins no new rules")
	}
	return p
}
