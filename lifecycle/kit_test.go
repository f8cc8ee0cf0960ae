package lifecycle_test

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/internal/snapshots"
)

// The workspaces that tests are made of; see package snapshots.
type edit = snapshots.Edit

const (
	us  = snapshots.Tick
	day = snapshots.Day
)

var (
	monday, oldVersion, activeVersion = snapshots.Monday, snapshots.OldVersion, snapshots.ActiveVersion

	id           = snapshots.ID
	with         = snapshots.With
	set          = snapshots.Set
	newWorkspace = snapshots.New
	built        = snapshots.Built
	running      = snapshots.Running
	stopped      = snapshots.Stopped
	policy       = snapshots.Policy
	workspace    = snapshots.Workspace
	build        = snapshots.Build
	deadline     = snapshots.Deadline
	deadlines    = snapshots.Deadlines
	owner        = snapshots.Owner
	asleep       = snapshots.Asleep
	autostart    = snapshots.Autostart
	unusable     = snapshots.Unusable
	quietHours   = snapshots.QuietHours
	holidays     = snapshots.Holidays
	heldUntil    = snapshots.HeldUntil
	weekly       = snapshots.Weekly
)

// must is for what a test writes itself: it cannot fail.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// at is an instant as "2006-01-02 15:04:05.999999" in UTC; shorter forms leave out what is zero.
func at(text string) time.Time {
	const layout = "2006-01-02 15:04:05"
	if len(text) == len("2006-01-02 15:04") {
		text += ":00"
	}
	t, err := time.Parse(layout, text)
	must(err)
	return t
}

// words names what a decision does: "nothing", "autostop: stop", "dormancy: stop, dormant", "autostart: missed".
func words(d lifecycle.Decision) string {
	if !d.Acts() {
		return "nothing"
	}
	text := d.Rule.String()
	sep := ": "
	for _, part := range []struct {
		on   bool
		name string
	}{{d.Transition != lifecycle.TransitionNone, d.Transition.String()}, {d.Dormant, "dormant"}, {d.Missed, "missed"}} {
		if part.on {
			text += sep + part.name
			sep = ", "
		}
	}
	return text
}

// ruleCase is a snapshot and the first thing that happens to it by itself.
type ruleCase struct {
	name string
	s    lifecycle.Snapshot
	// want is in words, "" for nothing at all.
	want string
	// at is the first instant at which it happens. Nothing happens one microsecond before.
	at time.Time
	// from is when the case begins. Defaults to monday.
	from time.Time
}

func runRules(t *testing.T, cases []ruleCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.check(t) })
	}
}

func (c ruleCase) check(t *testing.T) {
	if c.from.IsZero() {
		c.from = monday
	}
	if c.want == "" {
		c.checkNever(t)
		return
	}
	expect(t, c.s, c.at, c.want)
	if c.at.After(c.from) {
		expect(t, c.s, c.at.Add(-us), "nothing")
		expect(t, c.s, c.from, "nothing")
	}
	if got := lifecycle.NextWake(c.s, c.from); !got.Equal(c.at) {
		t.Errorf("NextWake at %v = %v, want %v", c.from, got, c.at)
	}
	since := c.at.After(c.from) && c.s.Owner.Status != lifecycle.OwnerSuspended // nobody knows since when that is
	if d := lifecycle.Decide(c.s, c.at.Add(us)); since && words(d) == c.want && !d.DueAt.Equal(c.at) {
		t.Errorf("one microsecond later it is due since %v, want %v", d.DueAt, c.at)
	}
	checkExplained(t, c.s, c.at)
}

func (c ruleCase) checkNever(t *testing.T) {
	for _, after := range []time.Duration{0, us, time.Hour, day, 7 * day, 400 * day, 4000 * day} {
		expect(t, c.s, c.from.Add(after), "nothing")
	}
	if got := lifecycle.NextWake(c.s, c.from); !got.IsZero() && c.s.Workspace.Autostart.Err() == nil {
		t.Errorf("NextWake = %v, want never", got)
	}
	checkExplained(t, c.s, c.from)
}

func expect(t *testing.T, s lifecycle.Snapshot, now time.Time, want string) {
	t.Helper()
	if got := words(lifecycle.Decide(s, now)); got != want {
		t.Errorf("at %v: %s, want %s\n%v", now, got, want, lifecycle.Explain(s, now))
	}
}

// checkExplained checks that Explain says what Decide and NextWake say.
func checkExplained(t testing.TB, s lifecycle.Snapshot, now time.Time) {
	t.Helper()
	x, d, wake := lifecycle.Explain(s, now), lifecycle.Decide(s, now), lifecycle.NextWake(s, now)
	acting := lifecycle.RuleNone
	var next time.Time
	for _, r := range x.Rules {
		if r.Verdict == lifecycle.VerdictActs {
			acting = r.Rule
		}
		if !r.ChangesAt.IsZero() && (next.IsZero() || r.ChangesAt.Before(next)) {
			next = r.ChangesAt
		}
		if (r.Verdict == lifecycle.VerdictOff) != r.ChangesAt.IsZero() {
			t.Errorf("%v: verdict %s changes at %v", r.Rule, r.Verdict, r.ChangesAt)
		}
	}
	switch {
	case acting != d.Rule:
		t.Errorf("at %v Explain says that %v acts, Decide %v", now, acting, d.Rule)
	case d.Err == nil && !next.Equal(wake):
		t.Errorf("at %v Explain says %v, NextWake %v", now, next, wake)
	case d.Err != nil && x.Error != d.Err.Error():
		t.Errorf("at %v Explain says error %q, Decide %v", now, x.Error, d.Err)
	case !x.NextAt.Equal(next) || x.Summary == "":
		t.Errorf("at %v Explain says next at %v, its rules %v; summary %q", now, x.NextAt, next, x.Summary)
	}
}

// after applies what is decided at now.
func after(t testing.TB, s lifecycle.Snapshot, now time.Time) lifecycle.Snapshot {
	t.Helper()
	d := lifecycle.Decide(s, now)
	if !d.Acts() {
		t.Fatalf("nothing is due at %v", now)
	}
	return apply(s, lifecycle.Apply(s, d, now))
}

// do applies a verb that must succeed.
func do(t testing.TB, s lifecycle.Snapshot, now time.Time, v lifecycle.Verb) lifecycle.Snapshot {
	t.Helper()
	c, err := v(s, now)
	if err != nil {
		t.Fatalf("verb at %v: %v", now, err)
	}
	return apply(s, c)
}

// apply is what a store does.
func apply(s lifecycle.Snapshot, c lifecycle.Change) lifecycle.Snapshot {
	return c.Result(s)
}

// finish ends the job of the latest build at an instant.
func finish(t testing.TB, s lifecycle.Snapshot, now time.Time, status lifecycle.JobStatus) lifecycle.Snapshot {
	t.Helper()
	return do(t, s, now, lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: status, CompletedAt: now}))
}

// told lists events as "topic/kind", in order.
func told(events []lifecycle.Event) string {
	text := ""
	for _, e := range events {
		text += fmt.Sprintf("%s/%s ", e.Topic, e.Kind)
	}
	return cmp.Or(text, "nobody ")
}
