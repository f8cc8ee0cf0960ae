package executor_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// workers are there or not, and asked for groups.
type workers struct {
	mu    sync.Mutex
	there bool
	err   error
	asked []executor.Group
}

func (w *workers) available(_ context.Context, g executor.Group) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, g)
	return w.there, w.err
}

// So many workspaces are remembered to wait for a worker; those beyond wait for the end of their pause.
func TestManyWaitForAWorker(t *testing.T) {
	const remembered = 10_000
	f := newFleet(t)
	f.add(dueStops(remembered + 20)...)
	w := &workers{}
	e := f.executor(executor.Config{Available: w.available}, nil)
	wantStats(t, e.Tick(f.ctx, monday), 0, executor.MaxNamed, 0)
	e.Tick(f.ctx, monday.Add(time.Second))
	w.there, w.asked = true, nil
	if s := e.Tick(f.ctx, monday.Add(2*time.Second)); s.Count.Transitions != remembered {
		t.Errorf("%d are made when a worker is back", s.Count.Transitions)
	}
	if g := w.asked[0]; g.Size != remembered || g.Template.ID != f.load(1).Template.ID || g.TemplateVersionID == uuid.Nil {
		t.Errorf("asked for %d of version %s, template %s", g.Size, g.TemplateVersionID, g.Template.ID)
	}
	if s := e.Tick(f.ctx, monday.Add(5*time.Minute)); s.Count.Transitions != 20 {
		t.Errorf("%d are made after their pause", s.Count.Transitions)
	}
}

// Whoever cannot say whether a worker is back is asked again; a back-off that cannot be ended lasts its time, and the log says so.
func TestAReturnThatCannotBeWritten(t *testing.T) {
	for name, c := range map[string]struct {
		load, commit error
	}{"load": {load: errBroken}, "commit": {commit: lifecycle.ErrUnavailable}} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.add(dueStops(3)...)
			log := &logs{}
			w := &workers{}
			fails := false
			failing := func(err error) error {
				if fails {
					return err
				}
				return nil
			}
			e := f.executor(executor.Config{Available: w.available, Logger: log.logger(), PageSize: 2}, &hooked{
				Store: f.store, load: func() error { return failing(c.load) }, commit: func([]lifecycle.Change) error { return failing(c.commit) },
			})
			wantStats(t, e.Tick(f.ctx, monday), 0, 3, 0)
			w.err = errBroken
			wantStats(t, e.Tick(f.ctx, monday.Add(time.Second)), 0, 0, 0)
			w.err, w.there, fails = nil, true, true
			e.Tick(f.ctx, monday.Add(2*time.Second))
			if n := log.count("level=WARN", "end the back-off of what waited for a worker"); n != 1 {
				t.Errorf("%d lines of the log", n)
			}
			fails = false
			wantStats(t, e.Tick(f.ctx, monday.Add(3*time.Second)), 0, 0, 0)
			wantStats(t, e.Tick(f.ctx, monday.Add(5*time.Minute)), 3, 0, 0)
		})
	}
}

// An error of who knows of workers says what it was about.
func TestWhatCannotBeAskedIsNamed(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	w := &workers{err: errBroken}
	s := f.executor(executor.Config{Available: w.available}, nil).Tick(f.ctx, monday)
	if err := s.Errors[id(1)]; !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "ask for workers of version") {
		t.Errorf("error %v", err)
	}
}

// A late preparation is closed if there is one.
func TestALatePreparationThatIsNone(t *testing.T) {
	for name, returned := range map[string]struct {
		nothing bool
		err     error
	}{"nothing": {nothing: true}, "an error beside it": {err: errBroken}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(f *fleet, start time.Time) {
				f.addDue(1, start)
				log := &logs{}
				closed := 0
				b := lateBuilder(func() (executor.Preparation, error) {
					if returned.nothing {
						return nil, nil
					}
					return closing{&closed}, returned.err
				})
				e := f.executor(executor.Config{Builder: b, BuildTimeout: time.Second, Logger: log.logger()}, nil)
				wantStats(t, e.Tick(f.ctx, start.Add(time.Minute)), 0, 1, 1)
				time.Sleep(time.Minute)
				if n := log.count("preparation not closed"); n != 0 || closed != 0 {
					t.Errorf("closed %d times, %d lines of the log", closed, n)
				}
			})
		})
	}
}

// lateBuilder returns something long after it was given up.
type lateBuilder func() (executor.Preparation, error)

func (b lateBuilder) Prepare(context.Context, executor.Group) (executor.Preparation, error) {
	time.Sleep(30 * time.Second)
	return b()
}

// closing counts how often it is closed.
type closing struct{ n *int }

func (closing) Build(context.Context, executor.BuildRequest) (executor.BuildSpec, error) {
	return executor.BuildSpec{}, errBroken
}

func (c closing) Close() error { *c.n++; return errBroken }

// preparing returns a preparation.
type preparing struct{ p executor.Preparation }

func (p preparing) Prepare(context.Context, executor.Group) (executor.Preparation, error) {
	return p.p, nil
}

// What was prepared for a build by hand is closed, also if it is not built, and that it could not be closed is logged.
func TestAPreparationByHandIsClosed(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	log := &logs{}
	closed := 0
	e := f.executor(executor.Config{Builder: preparing{closing{&closed}}, Logger: log.logger()}, nil)
	_, err := e.Update(f.ctx, id(1), lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
	if !errors.Is(err, errBroken) || closed != 1 || f.load(1).Build.Number != 1 {
		t.Errorf("error %v, closed %d times", err, closed)
	}
	if n := log.count("level=WARN", "preparation not closed", "error=broken"); n != 1 {
		t.Errorf("%d lines of the log", n)
	}
}

// A plan says who applies it, in the event of the template and in those of its workspaces.
func TestAPlanIsSigned(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped(asleep(monday.Add(20*day)), policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = 20 * day }))))
	in := &inbox{}
	e := f.executor(executor.Config{Auditor: in.receive, Notifier: in.receive}, nil)
	plan, err := e.Plan(f.ctx, id(0xff), lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilAutodelete: 3 * day}})
	f.must(err)
	plan.Actor, plan.Note = "ada", "less disk"
	_, err = e.Apply(f.ctx, plan, nil)
	f.must(err)
	f.must(func() error { _, err := e.Relay(f.ctx); return err }())
	kinds := map[bool]int{} // of a workspace
	for _, ev := range in.take() {
		kinds[ev.WorkspaceID != uuid.Nil]++
		if ev.Actor != "ada" || ev.Note != "less disk" {
			t.Errorf("%s is signed %q, %q", ev.Kind, ev.Actor, ev.Note)
		}
		if ev.WorkspaceID == uuid.Nil && ev.Revision != f.load(1).Template.Revision {
			t.Errorf("revision %d of the template, want %d", ev.Revision, f.load(1).Template.Revision)
		}
	}
	if kinds[true] == 0 || kinds[false] == 0 {
		t.Errorf("%d events of workspaces, %d of the template", kinds[true], kinds[false])
	}
}

// Plans need a catalog, and a template whose policy is still the one they were made for, though it has no workspaces.
func TestPlansThatCannotBe(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, stopped()))
	change := lifecycle.PolicyChange{Policy: lifecycle.Policy{TimeTilDormant: 90 * day}}
	plan, err := f.client(executor.ClientConfig{}).Plan(f.ctx, id(0xff), change)
	f.must(err)
	c, err := executor.NewClient(bare{f.store}, executor.ClientConfig{Logger: quiet})
	f.must(err)
	if _, err := c.Plan(f.ctx, id(0xff), change); !errors.Is(err, invalid.Err) {
		t.Errorf("plan: %v", err)
	}
	if _, err := c.Apply(f.ctx, plan, nil); !errors.Is(err, invalid.Err) {
		t.Errorf("apply: %v", err)
	}

	empty := f.load(1).Template
	empty.ID, empty.Revision = uuid.New(), 0
	f.must(f.store.PutTemplate(f.ctx, monday, empty))
	whole := f.client(executor.ClientConfig{})
	plan, err = whole.Plan(f.ctx, empty.ID, change)
	f.must(err)
	current, _, err := f.store.Template(f.ctx, empty.ID)
	f.must(err)
	current.Policy.ActivityBump = 5 * time.Hour
	f.must(f.store.PutTemplate(f.ctx, monday, current))
	if done, err := whole.Apply(f.ctx, plan, nil); !errors.Is(err, lifecycle.ErrPolicyChanged) || done.Done || done.Put {
		t.Errorf("applied over another policy: done %t, put %t, error %v", done.Done, done.Put, err)
	}
	again, err := whole.Plan(f.ctx, empty.ID, change)
	f.must(err)
	again, err = whole.Apply(f.ctx, again, nil)
	f.must(err)
	current, _, err = f.store.Template(f.ctx, empty.ID)
	f.must(err)
	current.Policy.ActivityBump = 6 * time.Hour
	f.must(f.store.PutTemplate(f.ctx, monday, current))
	if _, err := whole.Apply(f.ctx, again, nil); !errors.Is(err, lifecycle.ErrPolicyChanged) {
		t.Errorf("applied again over another policy: %v", err)
	}
}
