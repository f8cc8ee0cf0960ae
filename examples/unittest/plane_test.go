package unittest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/quartz"
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/examples/unittest"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store/memory"
)

// mails collects what was mailed, and fails as often as it is told to.
type mails struct {
	mu    sync.Mutex
	texts []string
	keys  []string
	fail  int
}

func (m *mails) Mail(_ context.Context, _ uuid.UUID, key, text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = append(m.keys, key)
	if m.fail > 0 {
		m.fail--
		return errors.New("the mail server is down")
	}
	m.texts = append(m.texts, text)
	return nil
}

// budget has hours for everybody but those it names.
type budget map[uuid.UUID]bool

func (b budget) Left(_ context.Context, owner uuid.UUID) (int, error) {
	if b[owner] {
		return 0, nil
	}
	return 100, nil
}

// fixture is a plane on a mock clock.
type fixture struct {
	*testing.T
	*unittest.Plane
	clock  *quartz.Mock
	mails  *mails
	usedUp budget
	ticks  chan time.Time
}

// monday is when the tests begin: Monday, 2 March 2026.
var monday = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func newFixture(t *testing.T) *fixture {
	f := &fixture{
		T: t, clock: quartz.NewMock(t).WithLogger(quartz.NoOpLogger), mails: &mails{}, usedUp: budget{}, ticks: make(chan time.Time),
	}
	f.clock.Set(monday)
	var err error
	f.Plane, err = unittest.New(t.Context(), memory.New(), f.mails, f.usedUp, f.clock, f.ticks)
	f.must(err)
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// tick moves the clock, ticks, and delivers what the tick has to tell.
func (f *fixture) tick(at time.Time) executor.Stats {
	f.Helper()
	f.clock.Set(at)
	s := f.Executor.Tick(f.Context(), at)
	f.must(s.Err)
	_, err := f.Executor.Relay(f.Context())
	f.must(err)
	return s
}

// running makes a workspace that has been started.
func (f *fixture) running(name, mornings string) lifecycle.Snapshot {
	f.Helper()
	id, err := f.Create(f.Context(), name, mornings)
	f.must(err)
	s, err := f.Finished(f.Context(), id)
	f.must(err)
	return s
}

// stopped makes one that has been stopped again, at its deadline.
func (f *fixture) stopped(name, mornings string) lifecycle.Snapshot {
	f.Helper()
	s := f.running(name, mornings)
	f.tick(s.Build.Deadline)
	s, err := f.Finished(f.Context(), s.Workspace.ID)
	f.must(err)
	return s
}

func TestStopsAtItsDeadlineAndNotSooner(t *testing.T) {
	f := newFixture(t)
	s := f.running("api", "")
	deadline := monday.Add(8 * time.Hour)
	if !s.Build.Deadline.Equal(deadline) {
		t.Fatalf("the deadline is %v: must be 8 hours after the start", s.Build.Deadline)
	}
	if got := f.tick(deadline.Add(-time.Minute)); len(got.Transitions) != 0 {
		t.Errorf("a minute before the deadline nothing stops: got %v", got.Transitions)
	}
	if got := f.tick(deadline); got.Transitions[s.Workspace.ID] != lifecycle.TransitionStop {
		t.Errorf("at its deadline the workspace stops: got %v", got.Transitions)
	}
	if got := f.tick(deadline.Add(time.Minute)); len(got.Transitions) != 0 {
		t.Errorf("a stop is made once: got %v", got.Transitions)
	}
}

func TestActivityMovesTheDeadline(t *testing.T) {
	f := newFixture(t)
	s := f.running("api", "")
	deadline := s.Build.Deadline
	f.Executor.Activity(s.Workspace.ID, deadline.Add(-10*time.Minute))
	if got := f.tick(deadline); len(got.Transitions) != 0 {
		t.Errorf("who was active ten minutes ago is not stopped: got %v", got.Transitions)
	}
	if got := f.tick(deadline.Add(50 * time.Minute)); got.Transitions[s.Workspace.ID] != lifecycle.TransitionStop {
		t.Errorf("an hour after the last activity the workspace stops: got %v", got.Transitions)
	}
}

func TestOneReminderAlthoughTheMailServerWasDown(t *testing.T) {
	f := newFixture(t)
	s := f.running("api", "")
	deadline := s.Build.Deadline
	f.mails.fail = 1
	f.tick(deadline.Add(-30 * time.Minute))
	for m := -29; m < 0; m++ {
		f.tick(deadline.Add(time.Duration(m) * time.Minute))
	}
	if want := []string{"stops at 2026-03-02T16:00:00Z"}; !slices.Equal(f.mails.texts, want) {
		t.Errorf("there is one reminder of a stop: got %q", f.mails.texts)
	}
	if k := f.mails.keys; len(k) != 2 || k[0] != k[1] {
		t.Errorf("what is delivered again has the same key, so that a mailer can tell: got %q", k)
	}
}

func TestUsedUpBudgetDelaysAndLosesNothing(t *testing.T) {
	f := newFixture(t)
	mornings := "CRON_TZ=UTC 0 9 * * *"
	rich, poor := f.stopped("rich", mornings), f.stopped("poor", mornings)
	f.usedUp[poor.Owner.ID] = true

	got := f.tick(monday.Add(25 * time.Hour)) // Tuesday, 9:00
	if got.Transitions[rich.Workspace.ID] != lifecycle.TransitionStart || len(got.Transitions) != 1 {
		t.Errorf("who has a budget starts: got %v", got.Transitions)
	}
	if got.Skipped[poor.Workspace.ID] != lifecycle.SkipRefused || len(got.Errors) != 0 {
		t.Errorf("who has none is refused, which is no error: got %v, errors %v", got.Skipped, got.Errors)
	}
	x, err := f.Executor.Explain(t.Context(), poor.Workspace.ID)
	f.must(err)
	if !strings.Contains(x.String(), "the budget of owner of poor is used up") {
		t.Errorf("Explain must say why the start has to wait:\n%s", x)
	}

	delete(f.usedUp, poor.Owner.ID)
	again := x.NextAt.Truncate(time.Minute)
	if got := f.tick(again); len(got.Transitions) != 0 {
		t.Errorf("between two attempts there is a pause: got %v", got.Transitions)
	}
	if got := f.tick(again.Add(time.Minute)); got.Transitions[poor.Workspace.ID] != lifecycle.TransitionStart {
		t.Errorf("what was refused is tried again when Explain said so: got %+v", got)
	}
}

func TestNothingIsDeletedBeforeTheDayThatWasMailed(t *testing.T) {
	f := newFixture(t)
	id := f.stopped("forgotten", "").Workspace.ID
	asleep := monday.Add(14*24*time.Hour + time.Minute)
	f.tick(asleep)
	mailed := asleep.Add(30 * 24 * time.Hour)
	if want := "asleep, deleted on " + mailed.Format(time.RFC3339); !slices.Contains(f.mails.texts, want) {
		t.Fatalf("the owner is told when it will be deleted, %q: got %q", want, f.mails.texts)
	}
	if got := f.tick(mailed); len(got.Transitions) != 0 {
		t.Errorf("until the day that was mailed nothing is deleted: got %v", got.Transitions)
	}
	if got := f.tick(mailed.Add(time.Minute)); got.Transitions[id] != lifecycle.TransitionDelete {
		t.Errorf("then it is: got %v", got.Transitions)
	}
	s, err := f.Finished(t.Context(), id)
	f.must(err)
	if !s.Workspace.Deleted {
		t.Error("the end of the delete build is the end of the workspace")
	}
}

// TestSameTimeOfDayAfterTheClocksChange looks at the last weekend of March, when the clocks of Berlin go forward.
func TestSameTimeOfDayAfterTheClocksChange(t *testing.T) {
	f := newFixture(t)
	f.clock.Set(time.Date(2026, 3, 26, 8, 0, 0, 0, time.UTC))
	id := f.stopped("api", "CRON_TZ=Europe/Berlin 30 8 * * *").Workspace.ID
	started := func(at time.Time) bool { return f.tick(at).Transitions[id] == lifecycle.TransitionStart }

	friday := time.Date(2026, 3, 27, 7, 30, 0, 0, time.UTC) // 8:30 in winter
	if started(friday.Add(-time.Minute)) || !started(friday) {
		t.Errorf("on Friday it starts at %v", friday)
	}
	_, err := f.Finished(t.Context(), id)
	f.must(err)
	f.tick(friday.Add(8 * time.Hour))
	_, err = f.Finished(t.Context(), id)
	f.must(err)

	for day := 28; day <= 29; day++ {
		for hour := range 24 {
			if started(time.Date(2026, 3, day, hour, 30, 0, 0, time.UTC)) {
				t.Errorf("the policy allows no start on the weekend: started on day %d at %d:30", day, hour)
			}
		}
	}
	monday := time.Date(2026, 3, 30, 6, 30, 0, 0, time.UTC) // 8:30 in summer
	if started(monday.Add(-time.Minute)) || !started(monday) {
		t.Errorf("on Monday it starts at %v", monday)
	}
}

// TestRunEndsAndForgetsNothing drives the loop that production runs.
func TestRunEndsAndForgetsNothing(t *testing.T) {
	f := newFixture(t)
	s := f.running("api", "")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- f.Executor.Run(ctx) }()

	f.ticks <- f.clock.Now()
	f.clock.Set(monday.Add(2 * time.Second))
	f.Executor.Activity(s.Workspace.ID, monday.Add(time.Second))
	stop()
	f.must(<-ended)
	s, err := f.Executor.Load(t.Context(), s.Workspace.ID)
	f.must(err)
	if want := monday.Add(time.Second); !s.Workspace.LastUsedAt.Equal(want) {
		t.Errorf("activity that was seen before the end is written: last used %v, want %v", s.Workspace.LastUsedAt, want)
	}
}
