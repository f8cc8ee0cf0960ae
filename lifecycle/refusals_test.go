package lifecycle_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// refusal is bad input and what the error says of it.
type refusal struct {
	field, value string
	err          error
}

// Every refusal of bad input names the field as in Go, the value and the rule.
func TestRefusals(t *testing.T) {
	var all []refusal
	for _, some := range [][]refusal{refusedSchedules(), refusedDeadlines(), refusedPolicies(), refusedVerbs(), refusedNames()} {
		all = append(all, some...)
	}
	for _, r := range all {
		var e *invalid.Error
		switch {
		case !errors.As(r.err, &e) || !errors.Is(r.err, invalid.Err):
			t.Errorf("%s: %v", r.field, r.err)
		case e.Field != r.field || fmt.Sprint(e.Value) != r.value || e.Rule == "":
			t.Errorf("error %v has field %q, value %q, rule %q; want %q, %q", r.err, e.Field, fmt.Sprint(e.Value), e.Rule, r.field, r.value)
		case strings.Contains(e.Rule, "%!"):
			t.Errorf("rule %q", e.Rule)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func refusedSchedules() []refusal {
	const bad, good = "0 9 * *", "0 9 * * *"
	long := strings.Repeat("0,", 600) + "0 9 * * *"
	return []refusal{
		{"spec", bad, second(schedule.Weekly(bad))},
		{"spec", "", second(schedule.Weekly(""))},
		{"spec", long[:80] + "...", second(schedule.Weekly(long))},
		{"spec", "CRON_TZ=Local " + good, second(schedule.Weekly("CRON_TZ=Local " + good))},
		{"spec", "CRON_TZ=Mars/Olympus " + good, second(schedule.Weekly("CRON_TZ=Mars/Olympus " + good))},
		{"spec", "@daily * * * *", second(schedule.Weekly("@daily * * * *"))},
		{"spec", "0 9 1 * *", second(schedule.Weekly("0 9 1 * *"))},
		{"spec", "60 9 * * *", second(schedule.Weekly("60 9 * * *"))},
		{"spec", "0 9 * * ,", second(schedule.Weekly("0 9 * * ,"))},
		{"spec", "0 9 * * 1", second(schedule.Daily("0 9 * * 1"))},
		{"spec", "*/5 9 * * *", second(schedule.Daily("*/5 9 * * *"))},
		{"Options.DST", "9", second(schedule.WeeklyWith(good, schedule.Options{DST: 9}))},
		{"Options.DST", "9", second(schedule.DailyWith(good, schedule.Options{DST: 9}))},
		{"spec", bad, second(schedule.NextAllowedAutostart(monday, bad, schedule.AllDays))},
		{"days", "0x80", second(schedule.NextAllowedAutostart(monday, good, 0x80))},
		{"spec", bad, new(schedule.Interner).Weekly(bad).Err()},
		{"text", "2026-12", second(schedule.ParseDates("2026-12"))},
		{"text", "2026-12-24..2026-12-23", second(schedule.ParseDates("2026-12-24..2026-12-23"))},
		{"text", "Local 2026-12-24", second(schedule.ParseDates("Local 2026-12-24"))},
		{"text", strings.Repeat("9", 80) + "...", second(schedule.ParseDates(strings.Repeat("9", 20_000)))},
		{"text", "2026", schedule.ReadDates("2026").Err()},
		{"Days", "0x80", schedule.Days(0x80).Validate()},
		{"Days", "0x80", second(schedule.Days(0x80).MarshalText())},
		{"text", "Moonday", second(schedule.ParseDays("Moonday"))},
		{"Requirement.Weeks", "17", schedule.Requirement{Weeks: 17}.Validate()},
		{"Requirement.Weeks", "-1", schedule.Requirement{Weeks: -1}.Validate()},
		{"Requirement.Days", "0x80", schedule.Requirement{Days: 0x80}.Validate()},
	}
}

func refusedDeadlines() []refusal {
	autostop := func(change func(*schedule.AutostopInput)) error {
		in := schedule.AutostopInput{CompletedAt: monday, TTL: time.Hour, Requirement: schedule.Requirement{Days: schedule.AllDays}}
		change(&in)
		return second(schedule.Autostop(in))
	}
	extend := func(change func(*schedule.ExtendInput)) error {
		in := schedule.ExtendInput{Now: monday, CompletedAt: monday, Deadline: monday.Add(time.Hour), NewDeadline: monday.Add(2 * time.Hour)}
		change(&in)
		return schedule.ValidateExtend(in)
	}
	const asked = "2026-03-02T11:00:00Z"
	return []refusal{
		{"ttl", "59s", second(schedule.ValidateTTL(59 * time.Second))},
		{"ttl", "721h0m0s", second(schedule.ValidateTTL(721 * time.Hour))},
		{"Policy.FailureTTL", "1s", schedule.ValidateThreshold("Policy.FailureTTL", time.Second)},
		{"AutostopInput.CompletedAt", time.Time{}.String(), autostop(func(in *schedule.AutostopInput) { in.CompletedAt = time.Time{} })},
		{"AutostopInput.CompletedAt", "36534630048-05-13T13:56:16Z", autostop(func(in *schedule.AutostopInput) { in.CompletedAt = time.Unix(1<<60, 0).UTC() })},
		{"AutostopInput.TTL", "-1m0s", autostop(func(in *schedule.AutostopInput) { in.TTL = -time.Minute })},
		{"AutostopInput.AutostartDays", "0x80", autostop(func(in *schedule.AutostopInput) { in.AutostartDays = 0x80 })},
		{"AutostopInput.Requirement.Weeks", "17", autostop(func(in *schedule.AutostopInput) { in.Requirement.Weeks = 17 })},
		{"AutostopInput.Requirement.Days", "0x80", autostop(func(in *schedule.AutostopInput) { in.Requirement.Days = 0x80 })},
		{"AutostopInput.QuietHours", "x", autostop(func(in *schedule.AutostopInput) { in.QuietHours = new(schedule.Interner).Daily("x") })},
		{"AutostopInput.QuietHours", "", autostop(func(in *schedule.AutostopInput) { in.QuietHours = new(schedule.Cron) })},
		{"AutostopInput.CompletedAt", "2022-12-31", autostop(func(in *schedule.AutostopInput) {
			in.CompletedAt, in.Requirement.Weeks, in.QuietHours = at("2022-12-31 00:00"), 2, must1(schedule.Daily("0 0 * * *"))
		})},
		{"ExtendInput.NewDeadline", asked, extend(func(in *schedule.ExtendInput) { in.CompletedAt = time.Time{} })},
		{"ExtendInput.NewDeadline", asked, extend(func(in *schedule.ExtendInput) { in.Deadline = time.Time{} })},
		{"ExtendInput.NewDeadline", asked, extend(func(in *schedule.ExtendInput) { in.Now = monday.Add(2 * time.Hour) })},
		{"ExtendInput.NewDeadline", asked, extend(func(in *schedule.ExtendInput) { in.CompletedAt = monday.Add(3 * time.Hour) })},
		{"ExtendInput.NewDeadline", asked, extend(func(in *schedule.ExtendInput) { in.MaxDeadline = monday.Add(time.Hour) })},
	}
}

func must1[T any](v T, err error) T {
	must(err)
	return v
}

func refusedPolicies() []refusal {
	const longest = 100 * 365 * day
	var all []refusal
	for _, c := range []struct {
		field, value string
		change       func(*lifecycle.Policy)
	}{
		{"FailureTTL", "1s", func(p *lifecycle.Policy) { p.FailureTTL = time.Second }},
		{"TimeTilDormant", "59.999999999s", func(p *lifecycle.Policy) { p.TimeTilDormant = time.Minute - 1 }},
		{"TimeTilAutodelete", "-1h0m0s", func(p *lifecycle.Policy) { p.TimeTilAutodelete = -time.Hour }},
		{"ReminderLead", "1ns", func(p *lifecycle.Policy) { p.ReminderLead = 1 }},
		{"DefaultTTL", "-1ns", func(p *lifecycle.Policy) { p.DefaultTTL = -1 }},
		{"ActivityBump", "-1ns", func(p *lifecycle.Policy) { p.ActivityBump = -1 }},
		{"MaxLateness", "-1ns", func(p *lifecycle.Policy) { p.MaxLateness = -1 }},
		{"Jitter", "-1ns", func(p *lifecycle.Policy) { p.Jitter = -1 }},
		{"Retry.Max", "-1", func(p *lifecycle.Policy) { p.Retry.Max = -1 }},
		{"Retry.Initial", "-1ns", func(p *lifecycle.Policy) { p.Retry.Initial = -1 }},
		{"Retry.Initial", "25h0m0s", func(p *lifecycle.Policy) { p.Retry.Initial = 25 * time.Hour }},
		{"Retry.MaxInterval", "-1ns", func(p *lifecycle.Policy) { p.Retry.MaxInterval = -1 }},
		{"AutostartDays", "0x80", func(p *lifecycle.Policy) { p.AutostartDays = 0x80 }},
		{"Requirement.Weeks", "17", func(p *lifecycle.Policy) { p.Requirement.Weeks = 17 }},
		{"Requirement.Days", "0x80", func(p *lifecycle.Policy) { p.Requirement.Days = 0x80 }},
		{"DefaultTTL", "720h0m0.000000001s", func(p *lifecycle.Policy) { p.DefaultTTL = schedule.MaxTTL + 1 }},
		{"TimeTilDormant", "876000h0m0.000000001s", func(p *lifecycle.Policy) { p.TimeTilDormant = longest + 1 }},
		{"Jitter", "876000h0m0.000000001s", func(p *lifecycle.Policy) { p.Jitter = longest + 1 }},
		{"MinExtend", "59s", func(p *lifecycle.Policy) { p.MinExtend = 59 * time.Second }},
		{"MaxRuntime", "59s", func(p *lifecycle.Policy) { p.MaxRuntime = 59 * time.Second }},
		{"MaxRuntime", "876000h0m0.000000001s", func(p *lifecycle.Policy) { p.MaxRuntime = longest + 1 }},
		{"MaxLateness", "10s", func(p *lifecycle.Policy) { p.MaxLateness = 10 * time.Second }},
		{"DeleteStopped", "-720h0m0s", func(p *lifecycle.Policy) { p.DeleteStopped = -30 * day }},
		{"StartRetry.Max", "-1", func(p *lifecycle.Policy) { p.StartRetry.Max = -1 }},
		{"StartRetry.Initial", "-1ns", func(p *lifecycle.Policy) { p.StartRetry.Initial = -1 }},
		{"StartRetry.Initial", "2h0m0s", func(p *lifecycle.Policy) {
			p.StartRetry = lifecycle.StartRetry{Initial: 2 * time.Hour, MaxInterval: time.Hour}
		}},
		{"StartRetry.MaxInterval", "-1ns", func(p *lifecycle.Policy) { p.StartRetry.MaxInterval = -1 }},
		{"HolidaysHold", "16", func(p *lifecycle.Policy) { p.HolidaysHold = lifecycle.HoldAll + 1 }},
		{"Holidays", "Mars/Olympus 2026-12-24", func(p *lifecycle.Policy) { p.Holidays = schedule.ReadDates("Mars/Olympus 2026-12-24") }},
	} {
		var p lifecycle.Policy
		c.change(&p)
		_, plan := lifecycle.NewPolicyPlan(lifecycle.Template{}, lifecycle.PolicyChange{Policy: p}, monday)
		all = append(all, refusal{"Policy." + c.field, c.value, p.Validate()}, refusal{"Policy." + c.field, c.value, plan})
	}
	return all
}

func refusedVerbs() []refusal {
	do := func(v lifecycle.Verb, s lifecycle.Snapshot) error { return second(v(s, monday)) }
	free := policy(func(p *lifecycle.Policy) { p.AllowUserTTL, p.AllowUserAutostart = true, true })
	weekend := policy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.DaysOf(time.Sunday) })
	end := monday.Add(time.Hour)
	return []refusal{
		{"JobResult.Status", "running", do(lifecycle.JobEnded(lifecycle.JobResult{BuildID: id(0xb1), Status: lifecycle.JobRunning}), running())},
		{"transition", "none", do(lifecycle.RequestBuild(lifecycle.TransitionNone, uuid.Nil), stopped())},
		{"version", id(9).String(), do(lifecycle.RequestBuild(lifecycle.TransitionStop, id(9)), running())},
		{"autostart", "x", do(lifecycle.SetAutostart(new(schedule.Interner).Weekly("x")), stopped(free))},
		{"autostart", "0 9 * * 1", do(lifecycle.SetAutostart(must1(schedule.Weekly("0 9 * * 1"))), stopped(free, weekend))},
		{"ttl", "1s", do(lifecycle.SetTTL(time.Second), stopped(free))},
		{"ttl", "0s", do(lifecycle.StartFor(0, uuid.Nil), stopped(free))},
		{"ttl", "721h0m0s", do(lifecycle.StartFor(721*time.Hour, uuid.Nil), stopped(free))},
		{"autostop", "x", do(lifecycle.SetAutostop(new(schedule.Interner).Weekly("x")), stopped(free))},
		{"Hold.Rules", "16", do(lifecycle.SetHold(lifecycle.Hold{Rules: lifecycle.HoldAll + 1}), stopped())},
		{"deadline", "9999-12-31T00:00:00Z", do(lifecycle.SetDeadline(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)), running(deadline(end)))},
		{"deadline", end.Format(time.RFC3339), do(lifecycle.Extend(end), stopped())},
		{"deadline", monday.Format(time.RFC3339), do(lifecycle.Extend(monday), running(deadline(end)))},
	}
}

func refusedNames() []refusal {
	return []refusal{
		{"Transition", "nap", new(lifecycle.Transition).UnmarshalText([]byte("nap"))},
		{"JobStatus", "nap", new(lifecycle.JobStatus).UnmarshalText([]byte("nap"))},
		{"OwnerStatus", "nap", new(lifecycle.OwnerStatus).UnmarshalText([]byte("nap"))},
		{"Topic", "nap", new(lifecycle.Topic).UnmarshalText([]byte("nap"))},
		{"Rule", "nap", new(lifecycle.Rule).UnmarshalText([]byte("nap"))},
		{"Status", "nap", new(lifecycle.Status).UnmarshalText([]byte("nap"))},
		{"Rule", "99", second(lifecycle.Rule(99).MarshalText())},
		{"HoldRules", "16", second(lifecycle.HoldRules(16).MarshalText())},
		{"HoldRules", "stops,nap", new(lifecycle.HoldRules).UnmarshalText([]byte("stops,nap"))},
	}
}
