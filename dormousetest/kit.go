package dormousetest

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
)

// Config configures [Run]. The zero value works.
type Config struct {
	// At is when the test begins, not before 2000. Defaults to Monday, 2 March 2026, 08:00 UTC.
	At time.Time
	// Store defaults to a new memory store. One of the host's own must not reach out of the bubble while it waits.
	Store store.Store
	// Runtime carries out the builds. Defaults to one whose builds take half a minute.
	Runtime *Runtime
	// Plane is what the host configures, such as Notify or Builder. Its Build defaults to the Runtime's, Workers to 100, and
	// Logger to none.
	Plane dormouse.Config
	// Patience is how long [Kit.Until] waits. Defaults to 60 days.
	Patience time.Duration
}

func (c Config) withDefaults() Config {
	if c.At.IsZero() {
		c.At = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	}
	if c.Store == nil {
		c.Store = memory.New()
	}
	if c.Runtime == nil {
		c.Runtime = &Runtime{}
	}
	if c.Plane.Build == nil {
		c.Plane.Build = c.Runtime.Build
	}
	if c.Plane.Workers == 0 {
		c.Plane.Workers = 100
	}
	if c.Plane.Logger == nil {
		c.Plane.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Patience == 0 {
		c.Patience = 60 * 24 * time.Hour
	}
	return c
}

// Kit is a plane that runs in the bubble of a test, with what a test asks of it. Its methods fail the test themselves, and
// are for the goroutine of the test.
type Kit struct {
	*dormouse.Plane
	// Store is the store of the plane, with knobs for its faults.
	Store *Store
	// Runtime is what carries out the builds, unless the host's Config has a Build of its own.
	Runtime *Runtime

	t        *testing.T
	patience time.Duration
	log      *journal
}

// Run runs a test on a plane in a bubble of time. The plane has run when the test ends, and its Run has returned nil.
func Run(t *testing.T, cfg Config, test func(t *testing.T, k *Kit)) {
	t.Helper()
	cfg = cfg.withDefaults()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(cfg.At))
		k := newKit(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- k.Run(ctx) }()
		defer func() { // also when the test fails, which ends its goroutine
			cancel()
			if err := <-ran; err != nil {
				t.Errorf("Run returned %v", err)
			}
		}()
		synctest.Wait()
		test(t, k)
	})
}

func newKit(t *testing.T, cfg Config) *Kit {
	t.Helper()
	k := &Kit{Runtime: cfg.Runtime, t: t, patience: cfg.Patience, log: newJournal()}
	cfg.Runtime.begin(t)
	var s store.Store
	s, k.Store = wrap(cfg.Store)
	var err error
	if k.Plane, err = dormouse.New(s, k.log.listen(Quiet(cfg.Plane))); err != nil {
		t.Fatal(err)
	}
	if err := k.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return k
}

// Quiet returns the configuration with the loops that only look whether something was missed slowed down to hours: with
// one process and one store nothing is missed, and in a bubble each look costs the time of the test. What the host tunes
// itself wins. It is for tests that make their plane themselves, in a bubble of their own.
func Quiet(c dormouse.Config) dormouse.Config {
	c.Sweep = 24 * time.Hour
	c.TuneExecutor = after(func(e *executor.Config) {
		e.Interval, e.RelayInterval, e.ActivityFlush = time.Hour, time.Hour, time.Hour
	}, c.TuneExecutor)
	c.TuneAcquirer = after(func(a *acquirer.Config) {
		a.Heartbeat, a.Lease, a.Backup, a.Poll, a.Timeout = time.Hour, 4*time.Hour, 24*time.Hour, 24*time.Hour, time.Minute
	}, c.TuneAcquirer)
	c.TuneWorker = after(func(w *worker.Config) { w.Flush = time.Hour }, c.TuneWorker)
	return c
}

func after[C any](first, then func(*C)) func(*C) {
	return func(c *C) {
		first(c)
		if then != nil {
			then(c)
		}
	}
}

// Wait lets time pass, and then everything happen that is to happen until now.
func (k *Kit) Wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// NewWorkspace makes a workspace of owner "ann" and of the template "test", which gets the policy.
func (k *Kit) NewWorkspace(name string, p dormouse.Policy) dormouse.Workspace {
	k.t.Helper()
	template, err := k.PutTemplate(k.t.Context(), dormouse.Template{Name: "test", Policy: p})
	k.must(err)
	w, err := k.Create(k.t.Context(), dormouse.NewWorkspace{Template: template.ID, Owner: "ann", Name: name})
	k.must(err)
	return w
}

// NewRunning is [Kit.NewWorkspace] for one that is started already.
func (k *Kit) NewRunning(name string, p dormouse.Policy) dormouse.Workspace {
	k.t.Helper()
	w := k.NewWorkspace(name, p)
	_, err := k.Start(k.t.Context(), w.ID)
	k.must(err)
	return k.Until(w.ID, lifecycle.StatusRunning)
}

// Until waits until a workspace has a status, and returns it then. The test fails after Config.Patience.
func (k *Kit) Until(id uuid.UUID, want lifecycle.Status) dormouse.Workspace {
	k.t.Helper()
	w, ok := k.until(id, time.Now().Add(k.patience), func(w dormouse.Workspace) bool { return w.Status == want })
	if !ok {
		k.t.Fatalf("%s is %v at %s; want %v\n%s", w.Name, w.Status, stamp(time.Now()), want, k.why(id))
	}
	return w
}

// RequireTransition waits for the next build of a workspace, and fails the test if there is none until an instant or it is
// another one. It returns the workspace as it was when the build was made.
func (k *Kit) RequireTransition(id uuid.UUID, want dormouse.Transition, until time.Time) dormouse.Workspace {
	k.t.Helper()
	w, ok := k.nextBuild(id, until)
	if !ok {
		k.t.Fatalf("%s has no new build at %s; want a %v\n%s", w.Name, stamp(until), want, k.why(id))
	}
	if got := k.latest(id).Transition; got != want {
		k.t.Fatalf("the next build of %s, at %s, is a %v; want a %v\n%s", w.Name, stamp(time.Now()), got, want, k.why(id))
	}
	return w
}

// RequireNoTransition waits until an instant, and fails the test if a workspace gets a new build before it.
func (k *Kit) RequireNoTransition(id uuid.UUID, until time.Time) {
	k.t.Helper()
	if w, ok := k.nextBuild(id, until); ok {
		k.t.Fatalf("%s got a %v at %s; want none until %s\n%s", w.Name, k.latest(id).Transition, stamp(time.Now()), stamp(until), k.why(id))
	}
}

func (k *Kit) nextBuild(id uuid.UUID, until time.Time) (dormouse.Workspace, bool) {
	k.t.Helper()
	before := k.get(id).BuildNumber
	return k.until(id, until, func(w dormouse.Workspace) bool { return w.BuildNumber > before })
}

// until looks at a workspace after each commit.
func (k *Kit) until(id uuid.UUID, deadline time.Time, ok func(dormouse.Workspace) bool) (dormouse.Workspace, bool) {
	k.t.Helper()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for {
		changed := k.Store.committed()
		synctest.Wait()
		w := k.get(id)
		if ok(w) {
			return w, true
		}
		select {
		case <-changed:
		case <-timer.C:
			synctest.Wait()
			w = k.get(id)
			return w, ok(w)
		}
	}
}

func (k *Kit) get(id uuid.UUID) dormouse.Workspace {
	k.t.Helper()
	w, err := k.Get(k.t.Context(), id)
	k.must(err)
	return w
}

func (k *Kit) latest(id uuid.UUID) dormouse.BuildRecord {
	k.t.Helper()
	builds, err := k.Builds(k.t.Context(), id, 0, 1)
	k.must(err)
	if len(builds) == 0 {
		return dormouse.BuildRecord{}
	}
	return builds[0]
}

// Used says that a workspace is in use now, and has it written at once.
func (k *Kit) Used(id uuid.UUID) {
	k.t.Helper()
	k.Activity(id, time.Now())
	k.must(k.Executor().FlushActivity(k.t.Context()))
}

// why says what the engine thinks of a workspace, and what happened so far.
func (k *Kit) why(id uuid.UUID) string {
	x, err := k.Explain(k.t.Context(), id)
	if err != nil {
		return err.Error()
	}
	return x.String() + k.Log()
}

func (k *Kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}
