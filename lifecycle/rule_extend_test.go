package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

func extends(p *lifecycle.Policy) { p.ExtendAtAutostart = true }

func ttl(d time.Duration) edit { return workspace(func(w *lifecycle.Workspace) { w.TTL = d }) }

func TestExtendAtAutostart(t *testing.T) {
	tomorrow := monday.Add(day)
	end := monday.Add(25 * time.Hour)
	nine := with(policy(extends), autostart("0 9 * * *"), ttl(8*time.Hour))
	runRules(t, []ruleCase{
		{name: "running at its autostart time", s: running(nine, deadline(end)), want: "extend", at: tomorrow},
		{name: "off", s: running(nine, deadline(end), policy(func(p *lifecycle.Policy) { p.ExtendAtAutostart = false })), want: "autostop: stop", at: end},
		{name: "no schedule", s: running(policy(extends), deadline(end)), want: "autostop: stop", at: end},
		{name: "no deadline", s: running(nine)},
		{name: "stops before", s: running(nine, deadline(tomorrow.Add(-us))), want: "autostop: stop", at: tomorrow.Add(-us)},
		{name: "at its deadline", s: running(nine, deadline(tomorrow)), want: "extend", at: tomorrow},
		{name: "forbidden day", s: running(nine, deadline(end), policy(func(p *lifecycle.Policy) { p.AutostartDays = schedule.DaysOf(time.Wednesday) })), want: "autostop: stop", at: end},
		{name: "dormant", s: running(nine, deadline(end), asleep(time.Time{})), want: "autostop: stop", at: end},
		{name: "no TTL", s: running(nine, ttl(0), deadline(monday.Add(time.Hour)), workspace(func(w *lifecycle.Workspace) {
			w.Hold = lifecycle.Hold{Until: monday.Add(9 * day), Rules: lifecycle.HoldStops}
		})), want: "autostop: stop", at: monday.Add(9 * day)},
		{name: "held", s: running(nine, deadline(end), heldUntil(monday.Add(24*time.Hour+us))), want: "autostop: stop", at: end},
	})
}

// The last occurrence that there is extends too.
func TestExtendAtTheLastOccurrence(t *testing.T) {
	next := monday.Add(7 * day)
	var dates []string // more Mondays than the search for the next start looks at
	for d := next.Add(7 * day); d.Year() < 2036; d = d.Add(7 * day) {
		dates = append(dates, d.Format(time.DateOnly))
	}
	s := running(policy(extends), autostart("0 9 * * 1"), ttl(8*time.Hour), deadline(next.Add(time.Hour)), holidays(strings.Join(dates, ",")))
	if end := after(t, s, next.Add(30*time.Minute)).Build.Deadline; !end.Equal(next.Add(8 * time.Hour)) {
		t.Errorf("runs until %v, want %v", end, next.Add(8*time.Hour))
	}
}

func TestExtendAtAutostartMovesTheDeadline(t *testing.T) {
	tomorrow := monday.Add(day)
	nine := with(policy(extends), autostart("0 9 * * *"), ttl(8*time.Hour))
	end := tomorrow.Add(time.Hour)
	for _, c := range []struct {
		name string
		s    lifecycle.Snapshot
		want time.Time
		told string
	}{
		{"by the TTL", running(nine, deadline(end)), tomorrow.Add(8 * time.Hour), "audit/workspace.extended "},
		{"up to the cap", running(nine, deadlines(end, tomorrow.Add(2*time.Hour))), tomorrow.Add(2 * time.Hour), "audit/workspace.extended "},
		{"at the cap already", running(nine, deadlines(end, end)), end, "nobody "},
		{"never back", running(nine, deadline(tomorrow.Add(9*time.Hour))), tomorrow.Add(9 * time.Hour), "nobody "},
		{"without a TTL", running(nine, ttl(0), deadline(end)), end, "nobody "},
		{"by the template's TTL", running(nine, deadline(end), policy(func(p *lifecycle.Policy) { p.AllowUserTTL, p.DefaultTTL = false, 3*time.Hour })), tomorrow.Add(3 * time.Hour), "audit/workspace.extended "},
	} {
		change := lifecycle.Apply(c.s, lifecycle.Decide(c.s, tomorrow), tomorrow)
		if !change.Build.Deadline.Equal(c.want) || change.NewBuild || told(change.Events) != c.told {
			t.Errorf("%s: deadline %v, want %v; told %s", c.name, change.Build.Deadline, c.want, told(change.Events))
		}
		expect(t, apply(c.s, change), tomorrow, "nothing")
	}
}

// Occurrences that passed while nobody looked count as one: the deadline follows from the latest.
func TestExtendAtAutostartOnceForAll(t *testing.T) {
	s := running(policy(extends), autostart("*/5 * * * *"), ttl(2*time.Hour), deadline(monday.Add(8*time.Hour)))
	now := monday.Add(7*time.Hour + 2*time.Minute)
	s = after(t, s, now)
	if want := monday.Add(9 * time.Hour); !s.Build.Deadline.Equal(want) {
		t.Errorf("deadline %v, want %v", s.Build.Deadline, want)
	}
	ruleCase{s: s, from: now, want: "extend", at: monday.Add(7*time.Hour + 5*time.Minute)}.check(t)
	s = running(policy(extends), autostart("*/5 * * * *"), ttl(2*time.Hour), deadline(monday.Add(8*time.Hour)))
	if s = after(t, s, monday.Add(7*time.Hour)); !s.Build.Deadline.Equal(monday.Add(9 * time.Hour)) {
		t.Errorf("at an occurrence: deadline %v", s.Build.Deadline)
	}
}

// Where no occurrence follows any more, the latest is found from the end as well: the search does not begin anew with the first of all.
func TestTheLatestIsLookedForFromTheEnd(t *testing.T) {
	first := monday
	last := first.Add(1000 * time.Minute)
	asked := 0
	minutely := func(after time.Time) time.Time {
		asked++
		switch next := after.Truncate(time.Minute).Add(time.Minute); {
		case next.Before(first):
			return first
		case next.After(last):
			return time.Time{}
		default:
			return next
		}
	}
	if got := lifecycle.Latest(minutely, first, last.Add(3*time.Minute)); !got.Equal(last) {
		t.Errorf("it is %v, want %v", got, last)
	}
	if asked > 10 {
		t.Errorf("it asked for %d occurrences", asked)
	}
}
