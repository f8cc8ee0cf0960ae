package executor

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// build turns due transitions into builds, one group for each template version, so that what the builds of a version
// share is fetched once and held only while the group lasts.
func (r *run) build(ctx context.Context, works []work) {
	works = r.brake(ctx, works)
	if r.e.cfg.Builder == nil && r.e.cfg.Available == nil {
		for i := range works {
			w := &works[i]
			r.queue(ctx, w, lifecycle.ApplyFor(*w.s, w.d, r.now, r.e.topics), BuildSpec{}, false)
		}
		return
	}
	slices.SortStableFunc(works, func(a, b work) int { return bytes.Compare(a.version[:], b.version[:]) })
	var g errgroup.Group
	g.SetLimit(r.e.cfg.Concurrency)
	for len(works) > 0 {
		n := 1
		for n < len(works) && works[n].version == works[0].version {
			n++
		}
		group := works[:n]
		works = works[n:]
		g.Go(func() error {
			r.group(ctx, group)
			return nil
		})
	}
	_ = g.Wait() // the tasks report to the tally
}

// group prepares the builds of one template version. When the tick ends it asks the host for nothing more: what is left
// stays due.
func (r *run) group(ctx context.Context, works []work) {
	if ctx.Err() != nil {
		return
	}
	g := Group{TemplateVersionID: works[0].version, Template: works[0].s.Template, Size: len(works)}
	p, err := r.e.prepare(ctx, g)
	if err != nil {
		for i := range works {
			r.postpone(ctx, &works[i], err)
		}
		return
	}
	defer r.e.builds.release(ctx, g, p)
	var builds errgroup.Group
	for i := range works {
		r.building <- struct{}{}
		if ctx.Err() != nil {
			<-r.building
			break
		}
		builds.Go(func() error {
			defer func() { <-r.building }()
			r.one(ctx, p, &works[i])
			return nil
		})
	}
	_ = builds.Wait()
}

// one prepares one build and queues it.
func (r *run) one(ctx context.Context, p Preparation, w *work) {
	c := lifecycle.ApplyFor(*w.s, w.d, r.now, r.e.topics)
	spec, err := r.e.builds.spec(ctx, p, BuildRequest{Snapshot: *w.s, Build: c.Build, Decision: w.d})
	if err != nil {
		r.postpone(ctx, w, err)
		return
	}
	// A finished build does not wait for slower ones of its batch.
	r.queue(ctx, w, c, spec, true)
}

// queue hands the change of a due transition to the committer.
func (r *run) queue(ctx context.Context, w *work, c lifecycle.Change, spec BuildSpec, urgent bool) {
	if err := r.e.builds.attachJob(&c, spec); err != nil {
		r.postpone(ctx, w, err)
		return
	}
	r.out.add(entry{change: c, origin: origin{s: w.s, d: w.d}, urgent: urgent})
}

// postpone records why a due transition does not become a build, and tries again later. If the tick itself ended, the
// workspace is not at fault: it stays due.
func (r *run) postpone(ctx context.Context, w *work, err error) {
	if ctx.Err() != nil {
		return
	}
	id, cause := w.s.Workspace.ID, skipCause(err)
	r.tally.update(func(s *Stats) {
		s.Skipped[id] = cause
		if cause == lifecycle.SkipError {
			s.Errors[id] = err
		}
	})
	r.e.logSkip(ctx, w.s, w.d, cause, err)
	r.out.add(r.postponement(w.s, cause, err, r.now))
}

// prepare asks whether a worker exists for a group and, if so, what its builds share.
func (e *Executor) prepare(ctx context.Context, g Group) (Preparation, error) {
	if e.cfg.Available == nil {
		return e.builds.open(ctx, g)
	}
	available := false
	err := e.builds.call(ctx, func(ctx context.Context) (err error) {
		available, err = e.cfg.Available(ctx, g)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask for workers of version %s: %w", g.TemplateVersionID, err)
	case !available:
		return nil, errNoWorker
	}
	return e.builds.open(ctx, g)
}
