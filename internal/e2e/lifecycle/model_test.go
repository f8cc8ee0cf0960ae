// Package lifecycle_test checks the lifecycle engine as a whole, with libraries that the module itself does not depend
// on: random histories of a small fleet, and leaks of goroutines.
package lifecycle_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is a few hours before the clocks go forward in Berlin.
var start = time.Date(2026, 3, 28, 20, 0, 0, 0, time.UTC)

const (
	us    = time.Microsecond
	fleet = 3
)

func id(n int) uuid.UUID { return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8000-%012x", n)) }

var interner schedule.Interner

// machine is a small fleet in a store, two executors over it, and a history that rapid makes up. Its checks hold after
// every step.
type machine struct {
	clock     *quartz.Mock
	store     *memory.Store
	executors [2]*executor.Executor
	template  lifecycle.Template
	owner     lifecycle.Owner
	now       time.Time
	builds    map[uuid.UUID]int64 // the latest number seen of each workspace
}

func newMachine(t *testing.T, r *rapid.T) *machine {
	m := &machine{clock: quartz.NewMock(t).WithLogger(quartz.NoOpLogger), store: memory.New(), now: start, builds: map[uuid.UUID]int64{}}
	m.clock.Set(start)
	m.template = lifecycle.Template{ID: id(0xff), ActiveVersionID: id(0xa1), Policy: drawPolicy(r)}
	m.owner = lifecycle.Owner{ID: id(0xee), QuietHours: interner.Daily("CRON_TZ=Europe/Berlin 30 2 * * *")}
	ctx := t.Context()
	must(r, m.store.PutTemplate(ctx, start, m.template))
	must(r, m.store.PutOwner(ctx, start, m.owner))
	for n := range fleet {
		must(r, m.store.CreateWorkspaces(ctx, start, lifecycle.Workspace{
			ID: id(n + 1), OwnerID: m.owner.ID, TemplateID: m.template.ID, CreatedAt: start, LastUsedAt: start,
			TTL: drawSpan(r, "ttl"), Autostart: drawSchedule(r),
		}))
	}
	for i := range m.executors {
		e, err := executor.New(m.store, executor.Config{Clock: m.clock, Granularity: us, Logger: slog.New(slog.DiscardHandler)})
		must(r, err)
		m.executors[i] = e
	}
	return m
}

func must(r *rapid.T, err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func drawSpan(r *rapid.T, label string) time.Duration {
	return rapid.SampledFrom([]time.Duration{0, 0, time.Minute, 45 * time.Minute, 3 * time.Hour, 9 * time.Hour, 26 * time.Hour}).Draw(r, label)
}

func drawSchedule(r *rapid.T) *schedule.Cron {
	return interner.Weekly(rapid.SampledFrom([]string{
		"", "0 9 * * *", "CRON_TZ=Europe/Berlin 30 2 * * *", "CRON_TZ=Europe/Berlin 0 2,3 * * *", "*/45 * * * *", "not a schedule",
	}).Draw(r, "schedule"))
}

func drawPolicy(r *rapid.T) lifecycle.Policy {
	p := lifecycle.Policy{
		DefaultTTL: drawSpan(r, "default ttl"), ActivityBump: drawSpan(r, "bump"), FailureTTL: drawSpan(r, "failure ttl"),
		TimeTilDormant: drawSpan(r, "til dormant"), TimeTilAutodelete: drawSpan(r, "til deleted"), ReminderLead: drawSpan(r, "lead"),
		AutostartDays: schedule.Days(rapid.SampledFrom([]int{0x7f, 0x7f, 0x1f, 0}).Draw(r, "days")), AllowUserAutostart: rapid.Bool().Draw(r, "autostart"),
		AllowUserTTL: rapid.Bool().Draw(r, "own ttl"), MaxLateness: drawSpan(r, "max lateness"), ExtendAtAutostart: rapid.Bool().Draw(r, "extend"),
		Jitter: rapid.SampledFrom([]time.Duration{0, 0, 10 * time.Minute}).Draw(r, "jitter"), Retry: lifecycle.Retry{Max: 2},
	}
	if rapid.Bool().Draw(r, "requirement") {
		p.Requirement = schedule.Requirement{Days: schedule.AllDays, Weeks: 1}
	}
	if rapid.IntRange(0, 3).Draw(r, "holidays") == 0 {
		p.Holidays, _ = schedule.ParseDates("Europe/Berlin 2026-03-29")
	}
	return p
}

// verb does something to a workspace by hand; that it is refused is fine.
func (m *machine) verb(t *testing.T) func(*rapid.T) {
	return func(r *rapid.T) {
		n := id(rapid.IntRange(1, fleet).Draw(r, "workspace"))
		s := m.load(t, r, n)
		ahead := m.now.Add(drawSpan(r, "ahead"))
		verbs := []lifecycle.Verb{
			lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil), lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil),
			lifecycle.RequestBuild(lifecycle.TransitionStop, uuid.Nil), lifecycle.SetTTL(drawSpan(r, "ttl")), lifecycle.SetAutostart(drawSchedule(r)),
			lifecycle.SetDeadline(ahead), lifecycle.SetHold(lifecycle.Hold{Until: ahead}), lifecycle.SetHold(lifecycle.Hold{Until: time.Time{}}), lifecycle.MarkDormant(true), lifecycle.EndDormancy(),
			lifecycle.Used(m.now), lifecycle.ClearAttention(), lifecycle.CancelBuild(s.Build.Number),
		}
		_, _ = m.executors[0].Update(t.Context(), n, rapid.SampledFrom(verbs).Draw(r, "verb"))
	}
}

// end ends the job of a workspace.
func (m *machine) end(t *testing.T) func(*rapid.T) {
	return func(r *rapid.T) {
		s := m.load(t, r, id(rapid.IntRange(1, fleet).Draw(r, "workspace")))
		status := rapid.SampledFrom([]lifecycle.JobStatus{lifecycle.JobSucceeded, lifecycle.JobSucceeded, lifecycle.JobFailed, lifecycle.JobCanceled}).Draw(r, "status")
		_, _ = m.executors[1].Update(t.Context(), s.Workspace.ID, lifecycle.JobEnded(lifecycle.JobResult{BuildID: s.Build.ID, Status: status}))
	}
}

// change changes the policy or the owner.
func (m *machine) change(t *testing.T) func(*rapid.T) {
	return func(r *rapid.T) {
		if rapid.Bool().Draw(r, "owner") {
			m.owner.Status = rapid.SampledFrom([]lifecycle.OwnerStatus{lifecycle.OwnerActive, lifecycle.OwnerDormant, lifecycle.OwnerSuspended}).Draw(r, "standing")
			must(r, m.store.PutOwner(t.Context(), m.now, m.owner))
			return
		}
		m.template.Policy = drawPolicy(r)
		m.template.Revision++
		must(r, m.store.PutTemplate(t.Context(), m.now, m.template))
	}
}

// activity reports use, which is written by the tick that follows.
func (m *machine) activity(*testing.T) func(*rapid.T) {
	return func(r *rapid.T) {
		m.executors[0].Activity(id(rapid.IntRange(1, fleet).Draw(r, "workspace")), m.now)
	}
}

// tick lets both executors look; what the first does the second does not do again.
func (m *machine) tick(t *testing.T) func(*rapid.T) {
	return func(r *rapid.T) {
		for _, e := range m.executors {
			if s := e.Tick(t.Context(), m.now); s.Err != nil || s.Conflicts > 0 {
				r.Fatalf("tick: %v, %d conflicts", s.Err, s.Conflicts)
			}
		}
	}
}

// pass lets time pass, never over an instant at which something is due: it first checks that the store would have told of
// it, by looking at every instant that matters in between.
func (m *machine) pass(t *testing.T) func(*rapid.T) {
	return func(r *rapid.T) {
		to := m.now.Add(rapid.SampledFrom([]time.Duration{us, time.Minute, 20 * time.Minute, time.Hour, 5 * time.Hour, 25 * time.Hour}).Draw(r, "time"))
		for n := 1; n <= fleet; n++ {
			s := m.load(t, r, id(n))
			wake := s.Workspace.WakeAt
			for at := m.now; at.Before(to); at = at.Add(7 * time.Minute) {
				if d := lifecycle.Decide(s, at); d.Acts() && (wake.IsZero() || wake.After(at)) {
					r.Fatalf("%v is due at %v, but the store wakes it at %v\n%v", d.Rule, at, wake, lifecycle.Explain(s, at))
				}
			}
		}
		m.now = to
		m.clock.Set(to)
	}
}

func (m *machine) load(t *testing.T, r *rapid.T, n uuid.UUID) lifecycle.Snapshot {
	found, err := m.store.Load(t.Context(), n)
	must(r, err)
	return found[0]
}

// check is what holds after every step.
func (m *machine) check(t *testing.T) func(*rapid.T) {
	return func(r *rapid.T) {
		for n := 1; n <= fleet; n++ {
			s := m.load(t, r, id(n))
			w, b := &s.Workspace, &s.Build
			first := lifecycle.NextWake(s, m.now)
			switch {
			case !first.IsZero() && (w.WakeAt.IsZero() || w.WakeAt.After(first)):
				r.Fatalf("workspace %d: woken at %v, too late for %v\n%v", n, w.WakeAt, first, lifecycle.Explain(s, m.now))
			case b.Number < m.builds[w.ID] || b.Number > m.builds[w.ID]+1:
				r.Fatalf("workspace %d: build %d follows build %d in one step", n, b.Number, m.builds[w.ID])
			case !b.MaxDeadline.IsZero() && (b.Deadline.IsZero() || b.Deadline.After(b.MaxDeadline)):
				r.Fatalf("workspace %d: deadline %v, max %v", n, b.Deadline, b.MaxDeadline)
			case w.DormantAt.IsZero() != w.DeletingAt.IsZero() && w.DormantAt.IsZero():
				r.Fatalf("workspace %d: to be deleted at %v though awake", n, w.DeletingAt)
			}
			m.builds[w.ID] = b.Number
		}
	}
}

// TestHistories runs random histories: whatever people, jobs, policies and time do to a fleet, no due workspace is
// missed, and no step makes more than one build of a workspace.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := newMachine(t, r)
		r.Repeat(map[string]func(*rapid.T){
			"verb": m.verb(t), "end": m.end(t), "change": m.change(t), "activity": m.activity(t), "tick": m.tick(t), "pass": m.pass(t),
			"": m.check(t),
		})
	})
}
