package dormouse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
)

// fixture is a plane in a bubble of time, with what it did.
type fixture struct {
	*dormouse.Plane
	t        *testing.T
	store    store.Store
	template dormouse.Template
	end      func() error

	mu      sync.Mutex
	builds  []string
	notices []dormouse.Notice
	audit   []dormouse.Event
}

var policy = dormouse.Policy{
	DefaultTTL: 8 * time.Hour, ActivityBump: time.Hour, ReminderLead: 30 * time.Minute,
	TimeTilDormant: 14 * 24 * time.Hour, TimeTilAutodelete: 30 * 24 * time.Hour,
	AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays,
}

// bubble runs a test on a plane whose builds take a minute. change may change its configuration.
func bubble(t *testing.T, change func(*dormouse.Config), test func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{t: t, store: memory.New()}
		cfg := dormouse.Config{
			Build: f.build, Logger: slog.New(slog.DiscardHandler),
			Notify: func(_ context.Context, n dormouse.Notice) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.notices = append(f.notices, n)
				return nil
			},
			Audit: func(_ context.Context, e dormouse.Event) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.audit = append(f.audit, e)
				return nil
			},
			// Who waits for days looks for what nobody was told of only now and then: each look takes real time.
			TuneExecutor: func(c *executor.Config) { c.Interval = 20 * time.Second },
		}
		if change != nil {
			change(&cfg)
		}
		var err error
		f.Plane, err = dormouse.New(f.store, cfg)
		f.must(err)
		f.must(f.Migrate(t.Context()))
		f.template, err = f.PutTemplate(t.Context(), dormouse.Template{Name: "go-dev", Policy: policy})
		f.must(err)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- f.Run(ctx) }()
		f.end = sync.OnceValue(func() error { cancel(); return <-ran })
		test(f)
		f.must(f.end())
	})
}

func (f *fixture) build(ctx context.Context, b *dormouse.Build) error {
	f.mu.Lock()
	f.builds = append(f.builds, b.Transition.String()+" "+b.Workspace.Name)
	f.mu.Unlock()
	select {
	case <-time.After(time.Minute):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) create(name string) dormouse.Workspace {
	f.t.Helper()
	w, err := f.Create(f.t.Context(), dormouse.NewWorkspace{Template: f.template.ID, Owner: "ann", Name: name})
	f.must(err)
	return w
}

// wait lets time pass and everything that follows from it happen.
func (f *fixture) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (f *fixture) want(id uuid.UUID, status lifecycle.Status, builds int64) dormouse.Workspace {
	f.t.Helper()
	w, err := f.Get(f.t.Context(), id)
	f.must(err)
	if w.Status != status || w.BuildNumber != builds {
		f.t.Errorf("%s is %v after %d builds; want %v after %d", w.Name, w.Status, w.BuildNumber, status, builds)
	}
	return w
}

func TestDayOfAWorkspace(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		f.want(w.ID, lifecycle.StatusNew, 0)
		_, err := f.Start(f.t.Context(), w.ID, dormouse.By("ann"), dormouse.Note("demo"))
		f.must(err)
		synctest.Wait()
		f.want(w.ID, lifecycle.StatusStarting, 1)
		f.wait(time.Minute)
		running := f.want(w.ID, lifecycle.StatusRunning, 1)
		if want := time.Now().Add(8 * time.Hour).UTC(); !running.Deadline.Equal(want) {
			t.Errorf("deadline %v, want %v", running.Deadline, want)
		}
		f.wait(7*time.Hour + 31*time.Minute)
		if len(f.notices) != 1 || f.notices[0].Owner != "ann" || !strings.HasPrefix(f.notices[0].Text, "api stops at ") {
			t.Errorf("half an hour before the stop its owner is told: got %+v", f.notices)
		}
		f.wait(time.Hour)
		f.want(w.ID, lifecycle.StatusStopped, 2)
		if want := []string{"start api", "stop api"}; !slices.Equal(f.builds, want) {
			t.Errorf("builds %q, want %q", f.builds, want)
		}
		signed := slices.IndexFunc(f.audit, func(e dormouse.Event) bool {
			return e.Kind == lifecycle.EventBuildQueued && e.Actor == "ann" && e.Note == "demo"
		})
		if signed < 0 {
			t.Errorf("the audit says who asked for the start: got %+v", f.audit)
		}
		if last := f.audit[len(f.audit)-1]; last.Actor != "" {
			t.Errorf("nobody asked for the stop, but %q", last.Actor)
		}
	})
}

func TestTwoClicksMakeOneBuild(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		ask := func(verb func(context.Context, uuid.UUID, ...dormouse.Option) (dormouse.Workspace, error), status lifecycle.Status, builds int64) {
			t.Helper()
			for range 2 {
				_, err := verb(f.t.Context(), w.ID)
				f.must(err)
			}
			f.wait(3 * time.Minute)
			_, err := f.Get(f.t.Context(), w.ID)
			f.must(err)
			f.want(w.ID, status, builds)
		}
		ask(f.Start, lifecycle.StatusRunning, 1)
		ask(f.Start, lifecycle.StatusRunning, 1)
		ask(f.Restart, lifecycle.StatusRunning, 2)
		ask(f.Stop, lifecycle.StatusStopped, 3)
		ask(f.Stop, lifecycle.StatusStopped, 3)
		ask(f.Restart, lifecycle.StatusRunning, 4)
		ask(f.Delete, lifecycle.StatusDeleted, 5)
		ask(f.Delete, lifecycle.StatusDeleted, 5)
		want := []string{"start api", "stop api", "start api", "stop api", "start api", "delete api"}
		if !slices.Equal(f.builds, want) {
			t.Errorf("builds %q, want %q: a restart is one build that stops and starts", f.builds, want)
		}
	})
}

func TestVerbsThatDoNotApply(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		_, err := f.Stop(f.t.Context(), w.ID)
		f.is(err, dormouse.ErrNotRunning)
		_, err = f.Extend(f.t.Context(), w.ID, time.Now().Add(time.Hour))
		f.is(err, dormouse.ErrNotRunning)
		_, err = f.Start(f.t.Context(), uuid.New())
		f.is(err, lifecycle.ErrNotFound)
		_, err = f.Start(f.t.Context(), w.ID)
		f.must(err)
		_, err = f.Stop(f.t.Context(), w.ID)
		f.is(err, lifecycle.ErrBuildActive)
		_, err = f.Create(f.t.Context(), dormouse.NewWorkspace{Template: uuid.New(), Owner: "ann", Name: "x"})
		f.is(err, lifecycle.ErrNotFound)
		_, err = f.Template(f.t.Context(), uuid.New())
		f.is(err, lifecycle.ErrNotFound)
		f.wait(2 * time.Minute)
	})
}

func (f *fixture) is(err, want error) {
	f.t.Helper()
	if !errors.Is(err, want) {
		f.t.Errorf("error %v, want %v", err, want)
	}
}

func TestCreateAgain(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		n := dormouse.NewWorkspace{ID: uuid.New(), Template: f.template.ID, Owner: "ann", Name: "api", TTL: 2 * time.Hour, Autostart: "0 9 * * 1-5"}
		first, err := f.Create(f.t.Context(), n)
		f.must(err)
		if first.TTL != 2*time.Hour || first.Autostart != "0 9 * * 1-5" || first.Owner != "ann" {
			t.Errorf("created %+v", first)
		}
		again, err := f.Create(f.t.Context(), n)
		f.must(err)
		if again.ID != first.ID {
			t.Errorf("the same request made %s and %s", first.ID, again.ID)
		}
		n.Owner = "bob"
		_, err = f.Create(f.t.Context(), n)
		f.is(err, dormouse.ErrExists)
		list, err := f.List(f.t.Context(), dormouse.ListQuery{Owner: "ann"})
		f.must(err)
		if len(list) != 1 {
			t.Errorf("%d workspaces of ann", len(list))
		}
	})
}

func TestCancel(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		_, err := f.Cancel(f.t.Context(), w.ID)
		f.must(err)
		_, err = f.Start(f.t.Context(), w.ID)
		f.must(err)
		synctest.Wait()
		_, err = f.Cancel(f.t.Context(), w.ID, dormouse.By("ann"))
		f.must(err)
		f.wait(30 * time.Second)
		f.want(w.ID, lifecycle.StatusCanceled, 1)
	})
}

// What a build says reaches whoever looks at it.
func TestBuildsAndTheirLog(t *testing.T) {
	attempts := 0
	report := func(_ context.Context, b *dormouse.Build) error {
		b.Logf("attempt %d", b.Attempt)
		if attempts++; attempts == 1 {
			return dormouse.Retry(time.Minute, errors.New("no capacity"))
		}
		b.Progress(50, "half")
		b.SetResult("10.0.0.7")
		return nil
	}
	bubble(t, func(c *dormouse.Config) { c.Build = report }, func(f *fixture) {
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(5 * time.Minute)
		f.want(w.ID, lifecycle.StatusRunning, 1)
		builds, err := f.Builds(f.t.Context(), w.ID, 0, 0)
		f.must(err)
		if len(builds) != 1 || builds[0].Result != "10.0.0.7" || builds[0].Attempt != 2 || builds[0].Percent != 50 {
			t.Fatalf("builds %+v", builds)
		}
		lines, err := f.Log(f.t.Context(), builds[0].ID, 0, 0)
		f.must(err)
		if len(lines) != 2 || lines[0].Text != "attempt 1" || lines[1].Text != "attempt 2" {
			t.Errorf("log %+v", lines)
		}
	})
}

func TestBuildThatFails(t *testing.T) {
	bubble(t, func(c *dormouse.Config) {
		c.Build = func(context.Context, *dormouse.Build) error { return errors.New("disk is full") }
	}, func(f *fixture) {
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Minute)
		f.want(w.ID, lifecycle.StatusFailed, 1)
		builds, err := f.Builds(f.t.Context(), w.ID, 0, 0)
		f.must(err)
		if builds[0].Error != "disk is full" {
			t.Errorf("error of the build: %q", builds[0].Error)
		}
	})
}

// A template may be put at each start of a program: nothing moves while nothing changes, and a policy that changes moves
// nobody's stop by surprise.
func TestPutTemplateAgain(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Hour)
		before := f.want(w.ID, lifecycle.StatusRunning, 1)
		again, err := f.PutTemplate(f.t.Context(), dormouse.Template{Name: "go-dev", Policy: policy})
		f.must(err)
		if !reflect.DeepEqual(again, f.template) {
			t.Errorf("put again: %+v, want %+v", again, f.template)
		}
		if after := f.want(w.ID, lifecycle.StatusRunning, 1); after.Revision != before.Revision {
			t.Errorf("putting the same template touched its workspaces: revision %d, then %d", before.Revision, after.Revision)
		}
		stricter := policy
		stricter.TimeTilDormant = time.Minute
		_, err = f.PutTemplate(f.t.Context(), dormouse.Template{Name: "go-dev", Policy: stricter})
		f.must(err)
		f.wait(time.Hour)
		f.want(w.ID, lifecycle.StatusRunning, 1)
		f.wait(2 * time.Hour)
		f.want(w.ID, lifecycle.StatusDormant, 2)
	})
}

func TestSuspendedOwner(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Hour)
		_, err = f.PutOwner(f.t.Context(), dormouse.Owner{Name: "ann", Status: lifecycle.OwnerSuspended}, dormouse.By("root"))
		f.must(err)
		f.wait(2 * time.Minute)
		f.want(w.ID, lifecycle.StatusStopped, 2)
	})
}

// A plane of an organization works for it alone, its own workers included.
func TestOrganization(t *testing.T) {
	bubble(t, func(c *dormouse.Config) { c.Organization = uuid.New() }, func(f *fixture) {
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(2 * time.Minute)
		f.want(w.ID, lifecycle.StatusRunning, 1)
		_, err = f.PutTemplate(f.t.Context(), dormouse.Template{Name: "x", Organization: uuid.New()})
		f.is(err, invalid.Err)
	})
}

func TestRunDrains(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(30 * time.Second)
		f.must(f.end())
		f.want(w.ID, lifecycle.StatusRunning, 1)
		if last := f.audit[len(f.audit)-1]; last.Kind != lifecycle.EventBuildSucceeded {
			t.Errorf("the end of the last build is told before Run returns: got %v", last.Kind)
		}
		f.is(f.Run(f.t.Context()), dormouse.ErrAlreadyRun)
	})
}

// A build that does not end in time goes on in the next process.
func TestRunGivesUpDraining(t *testing.T) {
	forever := func(ctx context.Context, _ *dormouse.Build) error {
		<-ctx.Done()
		return ctx.Err()
	}
	bubble(t, func(c *dormouse.Config) { c.Build = forever }, func(f *fixture) {
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Second)
		f.must(f.end())
		f.want(w.ID, lifecycle.StatusStarting, 1)
		next, err := dormouse.New(f.store, dormouse.Config{Build: f.build, Logger: slog.New(slog.DiscardHandler)})
		f.must(err)
		ctx, cancel := context.WithCancel(f.t.Context())
		ran := make(chan error, 1)
		go func() { ran <- next.Run(ctx) }()
		f.wait(2 * time.Minute)
		f.want(w.ID, lifecycle.StatusRunning, 1)
		cancel()
		f.must(<-ran)
	})
}

func TestConfigThatCannotBeUsed(t *testing.T) {
	build := func(context.Context, *dormouse.Build) error { return nil }
	for _, c := range []struct {
		field string
		cfg   dormouse.Config
	}{
		{"Config.Workers", dormouse.Config{Workers: -1}},
		{"Config.Workers", dormouse.Config{Workers: 3}},
		{"Config.Workers", dormouse.Config{Workers: 100_000, Build: build}},
		{"Config.Retention", dormouse.Config{Retention: -1}},
		{"Config.Sweep", dormouse.Config{Sweep: -1}},
	} {
		_, err := dormouse.New(memory.New(), c.cfg)
		var refused *invalid.Error
		if !errors.As(err, &refused) || refused.Field != c.field {
			t.Errorf("%+v: %v, want a refusal of %s", c.cfg, err, c.field)
		}
	}
	if _, err := dormouse.New(nil, dormouse.Config{}); !errors.Is(err, invalid.Err) {
		t.Errorf("no store: %v", err)
	}
	if p, err := dormouse.New(memory.New(), dormouse.Config{}); err != nil || p == nil {
		t.Errorf("the zero value: %v", err)
	}
}

func TestWorkingHours(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		hours := dormouse.Schedule{Hours: "Europe/Berlin Mon-Fri 09:00-18:00"}
		w, err := f.Create(f.t.Context(), dormouse.NewWorkspace{Template: f.template.ID, Owner: "ann", Name: "api", Hours: hours.Hours})
		f.must(err)
		if w.Schedule != hours {
			t.Errorf("schedule %+v, want %+v", w.Schedule, hours)
		}
		set := dormouse.Schedule{Autostart: "0 9 * * 1-5"}
		for range 2 {
			w, err = f.SetSchedule(f.t.Context(), w.ID, set, dormouse.By("ann"))
			f.must(err)
		}
		if w.Schedule != set {
			t.Errorf("schedule %+v, want %+v", w.Schedule, set)
		}
		synctest.Wait()
		changed := slices.DeleteFunc(slices.Clone(f.audit), func(e dormouse.Event) bool { return e.Kind != lifecycle.EventChanged })
		if len(changed) != 1 || changed[0].Actor != "ann" || !strings.Contains(changed[0].Message, "autostop") {
			t.Errorf("both halves of the change are told in one event, and who asked: %+v", f.audit)
		}
		_, err = f.SetSchedule(f.t.Context(), w.ID, dormouse.Schedule{})
		f.must(err)
		w = f.want(w.ID, lifecycle.StatusNew, 0)
		if w.Schedule != (dormouse.Schedule{}) {
			t.Errorf("schedule %+v, want none", w.Schedule)
		}
	})
}

// A name that reads like the sentence around it does not pass for it in a notice.
func TestNoticesQuote(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api stops never. Not so:")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(8 * time.Hour)
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.notices) != 1 || !strings.HasPrefix(f.notices[0].Text, `"api stops never. Not so:" stops at `) || f.notices[0].Workspace != w.Name {
			t.Errorf("got %+v", f.notices)
		}
	})
}

// What a verb returns of a hold is what is stored of it, whatever somebody wrote.
func TestHoldIsReturnedAsStored(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		for _, note := range []string{"a\x00b", "\x1b[2J", "\u202egnp.exe", "a\nb", "\xff\xfe", strings.Repeat("\xff", 500)} {
			held, err := f.Hold(f.t.Context(), w.ID, dormouse.Hold{Until: time.Now().Add(24 * time.Hour), Note: note, By: note})
			f.must(err)
			got, err := f.Get(f.t.Context(), w.ID)
			f.must(err)
			if held.Hold != got.Hold || !utf8.ValidString(held.Hold.Note) || strings.ContainsAny(held.Hold.Note, "\x00\x1b\n\u202e") || len(held.Hold.Note) > 500 || len(held.Hold.By) > 500 {
				t.Errorf("%.20q is returned as %+q, then it is %+q", note, fmt.Sprint(held.Hold), fmt.Sprint(got.Hold))
			}
		}
	})
}

func TestHoldNamesWhoAndWhy(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		until := time.Now().Add(24 * time.Hour).UTC()
		held, err := f.Hold(f.t.Context(), w.ID, dormouse.Hold{Until: until, Rules: lifecycle.HoldStops}, dormouse.By("ann"), dormouse.Note("demo"))
		f.must(err)
		if want := (dormouse.Hold{Until: until, Rules: lifecycle.HoldStops, By: "ann", Note: "demo"}); held.Hold != want {
			t.Errorf("hold %+v, want %+v", held.Hold, want)
		}
		_, err = f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(10 * time.Hour)
		f.want(w.ID, lifecycle.StatusRunning, 1)
		free, err := f.Hold(f.t.Context(), w.ID, dormouse.Hold{})
		f.must(err)
		if free.Hold != (dormouse.Hold{}) {
			t.Errorf("hold %+v, want none", free.Hold)
		}
	})
}

// A start after a stop that failed is a restart: what the stop left may still run.
func TestStartAfterAStopThatFailed(t *testing.T) {
	var done []string
	fail := false
	bubble(t, func(c *dormouse.Config) {
		c.Build = func(_ context.Context, b *dormouse.Build) error {
			done = append(done, b.Transition.String())
			if fail {
				return errors.New("no answer")
			}
			return nil
		}
	}, func(f *fixture) {
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Minute)
		fail = true
		_, err = f.Stop(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Minute)
		fail = false
		_, err = f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Minute)
		if want := []string{"start", "stop", "stop", "start"}; !slices.Equal(done, want) {
			t.Errorf("builds %q, want %q", done, want)
		}
	})
}

// A template or everything can be frozen, and PutTemplate at the next start of the program does not end it.
func TestHoldTemplateAndAll(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Hour)
		freeze := dormouse.Hold{Until: time.Now().Add(20 * time.Hour)}
		f.must(f.HoldTemplate(f.t.Context(), f.template.ID, freeze, dormouse.By("root"), dormouse.Note("incident")))
		_, err = f.PutTemplate(f.t.Context(), dormouse.Template{Name: "go-dev", Policy: policy})
		f.must(err)
		f.wait(10 * time.Hour)
		f.want(w.ID, lifecycle.StatusRunning, 1)
		f.must(f.HoldAll(f.t.Context(), freeze))
		f.must(f.HoldTemplate(f.t.Context(), f.template.ID, dormouse.Hold{}))
		f.wait(5 * time.Hour)
		f.want(w.ID, lifecycle.StatusRunning, 1)
		why, err := f.Explain(f.t.Context(), w.ID)
		f.must(err)
		if !why.HeldUntil.Equal(freeze.Until) {
			t.Errorf("held until %v, want %v", why.HeldUntil, freeze.Until)
		}
		f.must(f.HoldAll(f.t.Context(), dormouse.Hold{}))
		f.wait(3 * time.Hour)
		f.want(w.ID, lifecycle.StatusStopped, 2)
		f.is(f.HoldTemplate(f.t.Context(), uuid.New(), freeze), lifecycle.ErrNotFound)
	})
}
