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
	if r.e.cfg.Builder == nil && r.e.cfg.Available == nil {
		for _, w := range works {
			r.queue(ctx, w, lifecycle.ApplyFor(*w.s, w.d, r.now, r.e.topics), BuildSpec{}, r.out.add)
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

// group prepares the builds of one template version.
func (r *run) group(ctx context.Context, works []work) {
	g := Group{TemplateVersionID: works[0].version, Template: works[0].s.Template, Size: len(works)}
	p, err := r.e.prepare(ctx, g)
	if err != nil {
		for _, w := range works {
			r.postpone(ctx, w, err)
		}
		return
	}
	defer r.e.release(ctx, g, p)
	var builds errgroup.Group
	for _, w := range works {
		r.building <- struct{}{}
		builds.Go(func() error {
			defer func() { <-r.building }()
			r.one(ctx, p, w)
			return nil
		})
	}
	_ = builds.Wait()
}

// one prepares one build and queues it.
func (r *run) one(ctx context.Context, p Preparation, w work) {
	c := lifecycle.ApplyFor(*w.s, w.d, r.now, r.e.topics)
	spec, err := r.e.spec(ctx, p, BuildRequest{Snapshot: *w.s, Build: c.Build, Decision: w.d})
	if err != nil {
		r.postpone(ctx, w, err)
		return
	}
	// A finished build does not wait for slower ones of its batch.
	r.queue(ctx, w, c, spec, r.out.offer)
}

// queue hands the change of a due transition to the committer.
func (r *run) queue(ctx context.Context, w work, c lifecycle.Change, spec BuildSpec, give func(context.Context, lifecycle.Change, origin)) {
	if err := r.e.attachJob(&c, spec); err != nil {
		r.postpone(ctx, w, err)
		return
	}
	give(ctx, c, origin{s: w.s, d: w.d})
}

// obstruct records why a due transition does not become a build, and tries again later. When the tick itself ended, the
// workspace is not to blame: it just stays due.
func (r *run) postpone(ctx context.Context, w work, err error) {
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
	r.out.add(ctx, lifecycle.Postpone(*w.s, cause, err.Error(), r.now), origin{s: w.s, postponed: true})
}

// prepare asks whether a group can run and, if so, what its builds share.
func (e *Executor) prepare(ctx context.Context, g Group) (Preparation, error) {
	if e.cfg.Available != nil {
		available := false
		err := e.call(ctx, func(ctx context.Context) (err error) {
			available, err = e.cfg.Available(ctx, g)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("ask for workers of version %s: %w", g.TemplateVersionID, err)
		}
		if !available {
			return nil, errNoWorker
		}
	}
	if e.cfg.Builder == nil {
		return plain{}, nil
	}
	return e.open(ctx, g)
}

// open asks the builder for what a group of builds shares.
func (e *Executor) open(ctx context.Context, g Group) (p Preparation, err error) {
	err = e.call(ctx, func(ctx context.Context) (err error) {
		p, err = e.cfg.Builder.Prepare(ctx, g)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("prepare version %s: %w", g.TemplateVersionID, err)
	}
	return p, nil
}

// spec asks the host for one build.
func (e *Executor) spec(ctx context.Context, p Preparation, r BuildRequest) (spec BuildSpec, err error) {
	err = e.call(ctx, func(ctx context.Context) (err error) {
		spec, err = p.Build(ctx, r)
		return err
	})
	if err != nil {
		return spec, fmt.Errorf("build %d: %w", r.Build.Number, err)
	}
	return spec, nil
}

func (e *Executor) release(ctx context.Context, g Group, p Preparation) {
	if err := guard(p.Close); err != nil {
		e.cfg.Logger.WarnContext(ctx, "lifecycle: could not release what a group shared",
			"template_version_id", g.TemplateVersionID, "error", err)
	}
}

// call calls a hook of the host under the build timeout.
func (e *Executor) call(ctx context.Context, hook func(context.Context) error) error {
	ctx, cancel := e.timeout(ctx, e.cfg.BuildTimeout)
	defer cancel()
	return guard(func() error { return hook(ctx) })
}

// plain is the preparation of a host without a builder.
type plain struct{}

func (plain) Build(context.Context, BuildRequest) (BuildSpec, error) { return BuildSpec{}, nil }
func (plain) Close() error                                           { return nil }

// attachJob completes the change of a new build: its id, and the job that runs it, for the store's queue or for the poster.
func (e *Executor) attachJob(c *lifecycle.Change, spec BuildSpec) error {
	id, err := e.ids.next(c.Build.CreatedAt)
	if err != nil {
		return err
	}
	c.Build.ID = id
	w, b := &c.Workspace, &c.Build
	job := &lifecycle.Job{
		ID: id, OrganizationID: w.OrganizationID, OwnerID: w.OwnerID, WorkspaceID: w.ID, TemplateID: w.TemplateID,
		TemplateVersionID: b.TemplateVersionID, BuildNumber: b.Number, Transition: b.Transition, Reason: b.Reason,
		CreatedAt: b.CreatedAt, Tags: spec.Tags, Priority: spec.Priority, Payload: spec.Payload,
	}
	if !e.topics.Has(lifecycle.TopicPost) {
		c.Job = job
		return nil
	}
	c.Post(job)
	return nil
}
