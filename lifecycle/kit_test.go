package lifecycle_test

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// monday is when most tests happen.
var monday = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// us is the precision of stored instants.
const us = time.Microsecond

const day = 24 * time.Hour

var (
	oldVersion    = uuid.MustParse("00000000-0000-7000-8000-0000000000aa")
	activeVersion = uuid.MustParse("00000000-0000-7000-8000-0000000000bb")
)

// id returns the n-th workspace id of a test.
func id(n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-%012x", n))
}

// edit is a step in the making of a snapshot.
type edit func(*lifecycle.Snapshot)

// with is edits in one.
func with(edits ...edit) edit {
	return func(s *lifecycle.Snapshot) {
		for _, e := range edits {
			e(s)
		}
	}
}

func set(change func(s *lifecycle.Snapshot)) edit { return change }

// newWorkspace is a workspace that was created on monday and never built, under a policy that does nothing by itself.
func newWorkspace(edits ...edit) lifecycle.Snapshot {
	s := lifecycle.Snapshot{
		Workspace: lifecycle.Workspace{
			ID: id(1), OrganizationID: id(0x0f), OwnerID: id(0xee), TemplateID: id(0xff), Name: "dev",
			CreatedAt: monday, LastUsedAt: monday, Revision: 7,
		},
		Owner: lifecycle.Owner{ID: id(0xee), Name: "ann"},
		Template: lifecycle.Template{
			ID: id(0xff), OrganizationID: id(0x0f), Name: "go", ActiveVersionID: activeVersion,
			Policy: lifecycle.Policy{AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays},
		},
	}
	with(edits...)(&s)
	return s
}

// built sets the latest build, made on monday and ended a minute later if its status is an end.
func built(t lifecycle.Transition, status lifecycle.JobStatus, edits ...edit) edit {
	return func(s *lifecycle.Snapshot) {
		s.Build = lifecycle.Build{
			ID: id(0xb1), Number: 3, TemplateVersionID: oldVersion, Transition: t,
			Reason: lifecycle.ReasonManual, Status: status, CreatedAt: monday,
		}
		if !status.Active() {
			s.Build.CompletedAt = monday.Add(time.Minute)
		}
		if t == lifecycle.TransitionStart && status == lifecycle.JobSucceeded {
			s.Build.RunSince = s.Build.CompletedAt
		}
		with(edits...)(s)
	}
}

// running is a workspace started on monday, stopped one that was stopped on monday.
func running(edits ...edit) lifecycle.Snapshot {
	return newWorkspace(built(lifecycle.TransitionStart, lifecycle.JobSucceeded), with(edits...))
}

func stopped(edits ...edit) lifecycle.Snapshot {
	return newWorkspace(built(lifecycle.TransitionStop, lifecycle.JobSucceeded), with(edits...))
}

func policy(change func(p *lifecycle.Policy)) edit {
	return func(s *lifecycle.Snapshot) { change(&s.Template.Policy) }
}

func workspace(change func(w *lifecycle.Workspace)) edit {
	return func(s *lifecycle.Snapshot) { change(&s.Workspace) }
}

func build(change func(b *lifecycle.Build)) edit {
	return func(s *lifecycle.Snapshot) { change(&s.Build) }
}

func deadline(at time.Time) edit { return build(func(b *lifecycle.Build) { b.Deadline = at }) }

func deadlines(at, limit time.Time) edit {
	return build(func(b *lifecycle.Build) { b.Deadline, b.MaxDeadline = at, limit })
}

func owner(status lifecycle.OwnerStatus) edit {
	return func(s *lifecycle.Snapshot) { s.Owner.Status = status }
}

// asleep makes the workspace dormant since monday, to be deleted at an instant (zero: never).
func asleep(deleting time.Time) edit {
	return workspace(func(w *lifecycle.Workspace) { w.DormantAt, w.DeletingAt = monday, deleting })
}

func autostart(spec string) edit {
	return workspace(func(w *lifecycle.Workspace) { w.Autostart = weekly(spec) })
}

func unusable(spec string) edit {
	var i schedule.Interner
	return workspace(func(w *lifecycle.Workspace) { w.Autostart = i.Weekly(spec) })
}

// quietHours demands a stop in quiet hours on some days.
func quietHours(spec string, days schedule.Days, weeks int) edit {
	c, err := schedule.Daily(spec)
	must(err)
	return func(s *lifecycle.Snapshot) {
		s.Owner.QuietHours = c
		s.Template.Policy.Requirement = schedule.Requirement{Days: days, Weeks: weeks}
	}
}

func holidays(text string) edit {
	dates, err := schedule.ParseDates(text)
	must(err)
	return policy(func(p *lifecycle.Policy) { p.Holidays = dates })
}

func heldUntil(at time.Time) edit {
	return workspace(func(w *lifecycle.Workspace) { w.Hold.Until = at })
}

func weekly(spec string) *schedule.Cron {
	c, err := schedule.Weekly(spec)
	must(err)
	return c
}

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
