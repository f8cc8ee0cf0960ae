package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/text"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// groups turn the due transitions of a tick into builds, one group for each template version, so that what the builds of a
// version share is fetched once and held only while the group lasts. Transitions are added while others are built: a group
// stays open for what later pages bring, until another version waits for its place.
type groups struct {
	r *run
	// room is how many transitions may wait, limit how many groups may be open.
	room, limit int

	mu      sync.Mutex
	changed *sync.Cond
	open    map[uuid.UUID]*group // those that take transitions
	running int                  // those that are open, or not given back yet
	waiting []*group             // of other versions, in the order of their arrival
	queued  int
	ended   bool
	// failed are the versions that could not be prepared in this tick.
	failed map[uuid.UUID]error
	tasks  sync.WaitGroup
}

// group is a template version and its transitions that are not built yet.
type group struct {
	version uuid.UUID
	works   []work
	// made and late count its builds that came, and those that took too long.
	made, late int
}

func newGroups(r *run) *groups {
	g := &groups{
		r: r, room: queuedPages * r.e.cfg.PageSize, limit: r.e.cfg.Concurrency, open: map[uuid.UUID]*group{}, failed: map[uuid.UUID]error{},
	}
	g.changed = sync.NewCond(&g.mu)
	return g
}

// queuedPages is how many pages may wait for their builds before no more are read.
const queuedPages = 10

// build takes due transitions. It waits while too many are queued.
func (g *groups) build(ctx context.Context, works []work) {
	works = g.r.brake(ctx, works)
	if g.r.e.cfg.Builder == nil && g.r.e.cfg.Available == nil {
		for i := range works {
			w := &works[i]
			g.r.queue(ctx, w, &entry{change: lifecycle.ApplyFor(*w.s, w.d, g.r.now, g.r.e.wanted())}, BuildSpec{})
		}
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range works {
		g.add(w)
	}
	g.start(ctx)
	g.changed.Broadcast()
	for g.queued > g.room && ctx.Err() == nil {
		g.changed.Wait()
	}
}

// add puts a transition into the group of its version. The caller holds the lock, as in all that follow without a word.
func (g *groups) add(w work) {
	g.queued++
	if open := g.open[w.version]; open != nil {
		open.works = append(open.works, w)
		return
	}
	for _, one := range g.waiting {
		if one.version == w.version {
			one.works = append(one.works, w)
			return
		}
	}
	g.waiting = append(g.waiting, &group{version: w.version, works: []work{w}})
}

// start opens groups as long as there is a place.
func (g *groups) start(ctx context.Context) {
	for len(g.waiting) > 0 && g.running < g.limit {
		one := g.waiting[0]
		g.waiting = g.waiting[1:]
		g.open[one.version] = one
		g.running++
		g.tasks.Go(func() { g.run(ctx, one) })
	}
}

// finish waits until everything is built. Nothing may be added afterwards.
func (g *groups) finish(ctx context.Context) {
	g.mu.Lock()
	g.ended = true
	g.changed.Broadcast()
	for g.running > 0 || len(g.waiting) > 0 && ctx.Err() == nil {
		g.changed.Wait()
	}
	g.mu.Unlock()
	g.tasks.Wait()
}

// run builds a group, and gives its place to the next.
func (g *groups) run(ctx context.Context, one *group) {
	defer g.leave(ctx)
	if err := g.prepared(ctx, one); err != nil {
		g.mu.Lock()
		g.failed[one.version] = err
		g.mu.Unlock()
		for {
			w, ok := g.next(one)
			if !ok {
				return
			}
			g.r.postpone(ctx, &w, err)
		}
	}
}

// leave gives a place to the next group.
func (g *groups) leave(ctx context.Context) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	if ctx.Err() == nil {
		g.start(ctx)
	}
	g.changed.Broadcast()
}

// prepared builds the transitions of a group with what they share. The error is why there is none.
func (g *groups) prepared(ctx context.Context, one *group) error {
	if ctx.Err() != nil { // the host is asked for nothing more
		return nil
	}
	g.mu.Lock()
	err, size, template := g.failed[one.version], len(one.works), one.works[0].s.Template
	g.mu.Unlock()
	if err != nil {
		return err
	}
	named := Group{TemplateVersionID: one.version, Template: template, Size: size}
	p, err := g.r.e.prepare(ctx, named)
	if err != nil {
		return err
	}
	defer g.r.e.builds.release(ctx, named, p)
	hands := hands{most: g.limit, work: func(w *work) {
		defer func() { <-g.r.building }()
		g.count(one, g.r.one(ctx, p, w))
	}}
	defer hands.finish()
	for {
		w, ok := g.next(one)
		if !ok {
			return nil
		}
		if err := g.hanging(one); err != nil {
			g.r.postpone(ctx, &w, err)
			continue
		}
		g.r.building <- struct{}{}
		if ctx.Err() != nil {
			<-g.r.building
			return nil
		}
		hands.give(w)
	}
}

// next takes a transition of a group. It waits for more until nothing more comes, or another version waits; the group is
// then closed.
func (g *groups) next(one *group) (work, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(one.works) == 0 && !g.ended && len(g.waiting) == 0 {
		g.changed.Wait()
	}
	defer g.changed.Broadcast()
	if len(one.works) == 0 {
		delete(g.open, one.version)
		return work{}, false
	}
	w := one.works[0]
	one.works = one.works[1:]
	g.queued--
	return w, true
}

// count notes how a build of a group came out.
func (g *groups) count(one *group, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var late *TimeoutError
	switch {
	case err == nil:
		one.made++
	case errors.As(err, &late):
		one.late++
	}
}

// hanging says why no more of a group is tried: more of its builds took too long than came. What one workspace does wrong
// stops no other; what the version does wrong would keep each of them waiting for a timeout of its own.
func (g *groups) hanging(one *group) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if one.late <= one.made {
		return nil
	}
	return fmt.Errorf("not tried: %s of version %s took longer than %v", text.Count(one.late, "build", "builds"), one.version, g.r.e.builds.timeout)
}

// one prepares one build and queues it. The error is that of the builder.
func (r *run) one(ctx context.Context, p Preparation, w *work) error {
	// A finished build does not wait for slower ones of its batch.
	made := entry{change: lifecycle.ApplyFor(*w.s, w.d, r.now, r.e.wanted()), urgent: true}
	spec, err := r.e.builds.spec(ctx, r.calls.Start, p, w.s, &made.change.Build, w.d)
	if err != nil {
		r.postpone(ctx, w, err)
		return err
	}
	r.queue(ctx, w, &made, spec)
	return nil
}

// queue hands the change of a due transition to the committer, with its job.
func (r *run) queue(ctx context.Context, w *work, made *entry, spec BuildSpec) {
	if err := r.e.builds.attachJob(&made.change, spec, r.e.wanted()); err != nil {
		r.postpone(ctx, w, err)
		return
	}
	made.origin = origin{s: w.s, d: w.d}
	r.out.add(made)
}

// postpone records why a due transition does not become a build, and tries again later. If the tick itself ended, the
// workspace is not at fault: it stays due.
func (r *run) postpone(ctx context.Context, w *work, err error) {
	if ctx.Err() != nil {
		return
	}
	id, cause := w.s.Workspace.ID, skipCause(err)
	r.tally.update(func(s *Stats) {
		s.skip(id, cause)
		if cause == lifecycle.SkipError {
			s.failed(id, err)
		}
	})
	if cause == lifecycle.SkipNoWorker {
		r.e.absent.note(w.version, w.s)
	}
	r.e.logSkip(ctx, w.s, w.d, cause, err)
	postponed := r.postponement(w.s, cause, err)
	r.out.add(&postponed)
}

// prepare asks whether a worker exists for a group and, if so, what its builds share.
func (e *Executor) prepare(ctx context.Context, g Group) (Preparation, error) {
	if e.cfg.Available == nil {
		return e.builds.open(ctx, g)
	}
	available, err := e.available(ctx, g)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask for workers of version %s: %w", g.TemplateVersionID, err)
	case !available:
		return nil, errNoWorker
	}
	return e.builds.open(ctx, g)
}
