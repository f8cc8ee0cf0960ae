package executor_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
)

// competing is one due workspace of each class and age: deletions, starts and stops, old and new, and two suspended owners.
func competing() []lifecycle.Snapshot {
	suspended := set(func(s *lifecycle.Snapshot) { s.Owner.ID, s.Owner.Status = id(0xe1), lifecycle.OwnerSuspended })
	owned := workspace(func(w *lifecycle.Workspace) { w.OwnerID = id(0xe1) })
	del := policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = day })
	start := with(autostart("0 9 * * *"), del)
	return []lifecycle.Snapshot{
		numbered(1, stopped(start, build(func(b *lifecycle.Build) { b.CreatedAt = monday.Add(-10 * day) }))),
		numbered(2, stopped(start, build(func(b *lifecycle.Build) { b.CreatedAt = monday.Add(-2 * day) }))),
		numbered(3, stopped(del, asleep(monday.Add(-day)))),
		numbered(4, stopped(del, asleep(monday.Add(-9*day)))),
		numbered(5, running(del, deadline(monday.Add(-time.Hour)))),
		numbered(6, running(del, deadline(monday.Add(-2*time.Hour)))),
		numbered(7, running(del, suspended, owned, workspace(func(w *lifecycle.Workspace) { w.WakeAt = monday.Add(-time.Minute) }))),
		numbered(8, running(del, suspended, owned, workspace(func(w *lifecycle.Workspace) { w.WakeAt = monday.Add(-2 * time.Minute) }))),
	}
}

// What a cap holds back keeps its order and goes first in the next tick: suspended owners, stops, deletions, starts, and
// in each class who has waited longest.
func TestCapsKeepTheOrder(t *testing.T) {
	want := []int{8, 7, 6, 5, 4, 3, 1, 2}
	for _, limit := range []int{1, 2, 3, 5, 8, 100} {
		f := newFleet(t)
		f.add(competing()...)
		e := f.executor(executor.Config{MaxTransitions: limit, PageSize: 3}, nil)
		left := want
		for len(left) > 0 {
			n := min(limit, len(left))
			s := e.Tick(f.ctx, monday)
			wantStats(t, s, n, 0, 0)
			if held := len(left) - n; s.Held != held || s.Left != held {
				t.Errorf("limit %d: held %d, left %d, want %d", limit, s.Held, s.Left, held)
			}
			for _, w := range left[:n] {
				if _, ok := s.Transitions[id(w)]; !ok {
					t.Errorf("limit %d: workspace %d did not have its turn, but %v", limit, w, s.Transitions)
				}
			}
			left = left[n:]
		}
	}
}

// What was held back is not overtaken by what becomes due later.
func TestHeldBackGoesFirst(t *testing.T) {
	f := newFleet(t)
	f.add(numbered(1, running(deadline(monday.Add(-2*time.Minute)))), numbered(2, running(deadline(monday.Add(-time.Minute)))))
	e := f.executor(executor.Config{MaxTransitions: 1}, nil)
	e.Tick(f.ctx, monday)
	f.add(numbered(0, running(deadline(monday))))
	if s := e.Tick(f.ctx, monday.Add(time.Minute)); s.Transitions[id(2)] != lifecycle.TransitionStop {
		t.Errorf("transitions %v, want the one that was held back", s.Transitions)
	}
}

func TestCapPerTemplate(t *testing.T) {
	f := newFleet(t)
	other := set(func(s *lifecycle.Snapshot) { s.Template.ID, s.Workspace.TemplateID = id(0xf2), id(0xf2) })
	for n := range 10 {
		f.add(numbered(n, running(deadline(monday.Add(-time.Duration(n)*time.Minute)), pickEdit(n < 7, with(), other))))
	}
	e := f.executor(executor.Config{MaxPerTemplate: 2, PageSize: 4}, nil)
	s := e.Tick(f.ctx, monday)
	for _, n := range []int{6, 5, 9, 8} {
		if _, ok := s.Transitions[id(n)]; !ok {
			t.Errorf("workspace %d did not have its turn, but %v", n, s.Transitions)
		}
	}
	wantStats(t, s, 4, 0, 0)
	if s.Held != 6 {
		t.Errorf("held %d, want 6", s.Held)
	}
	both := f.executor(executor.Config{MaxPerTemplate: 2, MaxTransitions: 3}, nil)
	wantStats(t, both.Tick(f.ctx, monday), 3, 0, 0)
}

// Caps admit the same transitions however the stream is cut into pages.
func TestCapsDoNotDependOnPages(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	del := policy(func(p *lifecycle.Policy) { p.TimeTilAutodelete = day })
	for range 40 {
		var all []lifecycle.Snapshot
		for n := 1; n <= 30; n++ {
			template := id(0xf0 + random.IntN(3))
			other := set(func(s *lifecycle.Snapshot) { s.Template.ID, s.Workspace.TemplateID = template, template })
			due := monday.Add(-time.Duration(1+random.IntN(90)) * time.Minute)
			if random.IntN(2) == 0 {
				all = append(all, numbered(n, running(del, deadline(due), other)))
			} else {
				all = append(all, numbered(n, stopped(del, asleep(due), other)))
			}
		}
		cfg := executor.Config{MaxTransitions: random.IntN(20), MaxPerTemplate: 1 + random.IntN(8)}
		var want executor.Stats
		for i, page := range []int{1000, 1, 2, 7, 30} {
			f := newFleet(t)
			f.add(all...)
			cfg.PageSize = page
			s := f.executor(cfg, nil).Tick(f.ctx, monday)
			if i == 0 {
				want = s
			}
			if !maps.Equal(s.Transitions, want.Transitions) || s.Held != want.Held || s.Evaluated != 30 {
				t.Errorf("%+v: %d transitions, %d held, %d evaluated; in one page %d and %d", cfg, len(s.Transitions), s.Held, s.Evaluated, len(want.Transitions), want.Held)
			}
		}
		if len(want.Transitions)+want.Held != 30 || len(want.Transitions) == 0 {
			t.Errorf("%d transitions and %d held", len(want.Transitions), want.Held)
		}
	}
}

func pickEdit(first bool, a, b edit) edit {
	if first {
		return a
	}
	return b
}

// A tick with caps still does all that needs no build.
func TestCapsDoNotHoldBackMarks(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(3)...)
	f.add(numbered(9, stopped(tilDormant(time.Minute), set(func(s *lifecycle.Snapshot) { s.Template.ID, s.Workspace.TemplateID = id(0xf3), id(0xf3) }))))
	s := f.executor(executor.Config{MaxTransitions: 1}, nil).Tick(f.ctx, monday.Add(time.Hour))
	if wantStats(t, s, 1, 0, 0); s.Marked != 1 || s.Held != 2 {
		t.Errorf("marked %d, held %d", s.Marked, s.Held)
	}
}

// group is what a builder saw of one group.
type group struct {
	version       uuid.UUID
	size, built   int
	closed        int
	closedTooSoon bool
}

// groups is a builder that writes down its calls.
type groups struct {
	counter
	all      []*group
	refuse   func(executor.Group) error
	closing  func() error
	building func(r executor.BuildRequest) (executor.BuildSpec, error)
}

type preparation struct {
	*groups
	g *group
}

func (b *groups) Prepare(_ context.Context, g executor.Group) (executor.Preparation, error) {
	b.add("prepare")
	if b.refuse != nil {
		if err := b.refuse(g); err != nil {
			return nil, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := &group{version: g.TemplateVersionID, size: g.Size}
	b.all = append(b.all, seen)
	return preparation{b, seen}, nil
}

func (p preparation) Build(_ context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
	p.mu.Lock()
	p.g.built++
	p.g.closedTooSoon = p.g.closedTooSoon || p.g.closed > 0 || r.Build.TemplateVersionID != p.g.version
	p.mu.Unlock()
	if p.building != nil {
		return p.building(r)
	}
	return executor.BuildSpec{}, nil
}

func (p preparation) Close() error {
	p.mu.Lock()
	p.g.closed++
	p.mu.Unlock()
	if p.closing != nil {
		return p.closing()
	}
	return nil
}

// versions is a fleet of due stops and starts over three template versions.
func versions(n int) []lifecycle.Snapshot {
	var all []lifecycle.Snapshot
	for i := range n {
		s := numbered(i+1, running(deadline(monday), build(func(b *lifecycle.Build) { b.TemplateVersionID = id(0xa0 + i%3) })))
		all = append(all, s)
	}
	return all
}

// A group is prepared once, each of its builds is asked for once, and it is closed once, after the last.
func TestGroups(t *testing.T) {
	f := newFleet(t)
	f.add(versions(12)...)
	b := &groups{}
	wantStats(t, f.executor(executor.Config{Builder: b}, nil).Tick(f.ctx, monday), 12, 0, 0)
	if len(b.all) != 3 {
		t.Fatalf("%d groups, want one for each version", len(b.all))
	}
	for _, g := range b.all {
		if *g != (group{version: g.version, size: 4, built: 4, closed: 1}) {
			t.Errorf("group %+v", *g)
		}
	}
}

// The group of a start is that of the version it will use.
func TestGroupOfTheVersionThatWillBeUsed(t *testing.T) {
	f := newFleet(t)
	f.add(
		numbered(1, stopped(autostart("0 8 * * *"), workspace(func(w *lifecycle.Workspace) { w.AutomaticUpdates = true }), build(func(b *lifecycle.Build) { b.CreatedAt = monday.Add(-day) }))),
		numbered(2, stopped(autostart("0 8 * * *"), build(func(b *lifecycle.Build) { b.CreatedAt = monday.Add(-day) }))),
	)
	b := &groups{}
	wantStats(t, f.executor(executor.Config{Builder: b}, nil).Tick(f.ctx, monday), 2, 0, 0)
	got := []uuid.UUID{b.all[0].version, b.all[1].version}
	if !slices.Contains(got, oldVersion) || !slices.Contains(got, activeVersion) {
		t.Errorf("groups of versions %v", got)
	}
	if n := f.load(1).Build.TemplateVersionID; n != activeVersion {
		t.Errorf("built with version %v", n)
	}
}

// Close is called on every path, and its error or panic is no error of a workspace.
func TestGroupsAreClosedOnEveryPath(t *testing.T) {
	for name, b := range map[string]*groups{
		"build fails":  {building: func(executor.BuildRequest) (executor.BuildSpec, error) { return executor.BuildSpec{}, errBroken }},
		"build panics": {building: func(executor.BuildRequest) (executor.BuildSpec, error) { panic("boom") }},
		"close fails":  {closing: func() error { return errBroken }},
		"close panics": {closing: func() error { panic("boom") }},
	} {
		f := newFleet(t)
		f.add(versions(6)...)
		s := f.executor(executor.Config{Builder: b}, nil).Tick(f.ctx, monday)
		if bad := b.building != nil; (len(s.Errors) == 6) != bad || (len(s.Transitions) == 6) == bad {
			t.Errorf("%s: stats %+v", name, s)
		}
		for _, g := range b.all {
			if g.built != 2 || g.closed != 1 || g.closedTooSoon {
				t.Errorf("%s: group %+v", name, *g)
			}
		}
	}
}

// A group that cannot be prepared concerns its own workspaces only, and is not closed.
func TestGroupThatCannotBePrepared(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errBroken }, "panic": func() error { panic("boom") }, "refusal": func() error { return executor.Refuse("later") },
	} {
		f := newFleet(t)
		f.add(versions(9)...)
		b := &groups{refuse: func(g executor.Group) error {
			if g.TemplateVersionID == id(0xa1) {
				return fail()
			}
			return nil
		}}
		errs := 3
		if name == "refusal" {
			errs = 0
		}
		wantStats(t, f.executor(executor.Config{Builder: b}, nil).Tick(f.ctx, monday), 6, 3, errs)
		if len(b.all) != 2 || b.get("prepare") != 3 {
			t.Errorf("%s: %d groups of %d calls", name, len(b.all), b.get("prepare"))
		}
	}
}

// Workers are asked for once a group, only where a build is needed; without any the group waits, and that is no error.
func TestAvailability(t *testing.T) {
	f := newFleet(t)
	f.add(versions(6)...)
	f.add(numbered(20, stopped(asleep(monday))), numbered(21, stopped(set(func(s *lifecycle.Snapshot) {
		s.Template.ID, s.Workspace.TemplateID, s.Template.Policy.TimeTilDormant = id(0xf4), id(0xf4), time.Minute
	}), workspace(func(w *lifecycle.Workspace) { w.CreatedAt, w.LastUsedAt = monday.Add(-day), monday.Add(-day) }))))
	asked := &counter{}
	b := &groups{}
	answer := func(_ context.Context, g executor.Group) (bool, error) {
		asked.add(g.TemplateVersionID.String())
		switch g.TemplateVersionID {
		case id(0xa1):
			return false, nil
		case id(0xa2):
			return true, errBroken
		}
		return true, nil
	}
	e := f.executor(executor.Config{Builder: b, Available: answer}, nil)
	s := e.Tick(f.ctx, monday)
	wantStats(t, s, 2, 4, 2)
	if s.Marked != 1 || s.Skipped[id(2)] != lifecycle.SkipNoWorker || s.Skipped[id(3)] != lifecycle.SkipError || len(b.all) != 1 {
		t.Errorf("stats %+v, %d groups prepared", s, len(b.all))
	}
	if len(asked.n) != 3 || asked.get(id(0xa1).String()) != 1 {
		t.Errorf("asked for %v", asked.n)
	}
	x, err := e.Explain(f.ctx, id(2))
	f.must(err)
	if x.Rules[lifecycle.RuleAutostop-1].Verdict != lifecycle.VerdictHeld || x.Next != lifecycle.RuleAutostop {
		t.Errorf("explained %v", x)
	}
	// Without a builder the question is asked too.
	g := newFleet(t)
	g.add(dueStops(2)...)
	none := func(context.Context, executor.Group) (bool, error) { return false, nil }
	wantStats(t, g.executor(executor.Config{Available: none}, nil).Tick(g.ctx, monday), 0, 2, 0)
}

// What the builder returns goes into the job.
func TestBuildSpecReachesTheJob(t *testing.T) {
	f := newFleet(t)
	f.add(dueStops(1)...)
	var request executor.BuildRequest
	e := f.executor(executor.Config{Builder: executor.BuilderFunc(func(_ context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
		request = r
		return executor.BuildSpec{Tags: map[string]string{"zone": "eu"}, Priority: 7, Payload: []byte("hello")}, nil
	})}, nil)
	wantStats(t, e.Tick(f.ctx, monday), 1, 0, 0)
	job := f.jobs()[0]
	if job.Priority != 7 || job.ID != f.load(1).Build.ID || !job.CreatedAt.Equal(monday) {
		t.Errorf("job %+v", job)
	}
	if request.Build.Number != 2 || request.Decision.Rule != lifecycle.RuleAutostop || request.Snapshot.Workspace.ID != id(1) {
		t.Errorf("request %+v", request)
	}
}
