package executor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/dormouse-go/dormouse/internal/outcall"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// builds prepares builds with the host's builder: one that a person asks for, or the many of a tick.
type builds struct {
	*caller
	builder Builder
	timeout time.Duration
	ids     *ids
	// requests are those that were answered: each is large, and read by a goroutine other than the one that makes it.
	requests sync.Pool
}

// open asks the builder for what a group of builds shares.
func (b *builds) open(ctx context.Context, g Group) (p Preparation, err error) {
	if b.builder == nil {
		return plain{}, nil
	}
	name := outcall.Name{Kind: "prepare a version", One: "prepare version " + g.TemplateVersionID.String()}
	p, err = callOn(ctx, b.caller, outcall.Apart, b.timeout, name,
		func(ctx context.Context) (Preparation, error) { return b.builder.Prepare(ctx, g) },
		func(p Preparation, err error) { // nobody waits for it any more
			if err == nil && p != nil {
				b.release(ctx, g, p)
			}
		})
	if err == nil && p == nil {
		err = errNothingPrepared
	}
	if err != nil {
		return nil, fmt.Errorf("prepare version %s: %w", g.TemplateVersionID, err)
	}
	return p, nil
}

var errNothingPrepared = errors.New("the builder returned neither a preparation nor an error")

// spec asks the host for one build: decided by d, which is zero for one that a person asked for.
func (b *builds) spec(ctx context.Context, on outcall.Starter, p Preparation, s *lifecycle.Snapshot, build *lifecycle.Build, d lifecycle.Decision) (BuildSpec, error) {
	r, ok := b.requests.Get().(*BuildRequest)
	if !ok {
		r = new(BuildRequest)
	}
	*r = BuildRequest{Snapshot: *s, Build: *build, Decision: d}
	name := outcall.Name{
		Kind: "prepare a build", Part: "version " + build.TemplateVersionID.String(),
		One: "build " + strconv.FormatInt(build.Number, 10) + " of workspace " + s.Workspace.ID.String(),
	}
	spec, err := callOn(ctx, b.caller, on, b.timeout, name, func(ctx context.Context) (BuildSpec, error) { return p.Build(ctx, *r) }, nil)
	if !isStuck(err) { // else it may still be read
		*r = BuildRequest{}
		b.requests.Put(r)
	}
	if err != nil {
		return spec, fmt.Errorf("build %d: %w", build.Number, err)
	}
	return spec, nil
}

// release gives back what a group shared. A failure concerns no workspace.
func (b *builds) release(ctx context.Context, g Group, p Preparation) {
	name := outcall.Name{Kind: "close a preparation", One: "close the preparation of version " + g.TemplateVersionID.String()}
	err := callOne(context.WithoutCancel(ctx), b.caller, b.timeout, name, func(context.Context) error { return p.Close() })
	if err != nil {
		b.logger.WarnContext(ctx, "executor: preparation not closed", "template_version_id", g.TemplateVersionID, "error", err)
	}
}

// one prepares a build that is a group of its own, and adds its job to the change.
func (b *builds) one(ctx context.Context, s lifecycle.Snapshot, c *lifecycle.Change, want lifecycle.Topics) error {
	if !c.Build.Status.Active() { // what a verb says is over needs no job
		id, err := b.ids.next(c.Build.CreatedAt)
		c.Build.ID = id
		return err
	}
	var spec BuildSpec
	if b.builder != nil {
		g := Group{TemplateVersionID: c.Build.TemplateVersionID, Template: s.Template, Size: 1}
		p, err := b.open(ctx, g)
		if err != nil {
			return err
		}
		defer b.release(ctx, g, p)
		if spec, err = b.spec(ctx, outcall.Apart, p, &s, &c.Build, lifecycle.Decision{}); err != nil {
			return err
		}
	}
	return b.attachJob(c, spec, want)
}

// attachJob completes the change of a new build: its id, and the job that runs it, for the store's queue or in an event
// for whoever posts jobs.
func (b *builds) attachJob(c *lifecycle.Change, spec BuildSpec, want lifecycle.Topics) error {
	id, err := b.ids.next(c.Build.CreatedAt)
	if err != nil {
		return err
	}
	c.Build.ID = id
	w, build := &c.Workspace, &c.Build
	job := &lifecycle.Job{
		ID: id, OrganizationID: w.OrganizationID, OwnerID: w.OwnerID, WorkspaceID: w.ID, TemplateID: w.TemplateID,
		TemplateVersionID: build.TemplateVersionID, BuildNumber: build.Number, Transition: build.Transition,
		Reason: build.Reason, CreatedAt: build.CreatedAt, Tags: spec.Tags, Priority: spec.Priority, Payload: spec.Payload,
	}
	if !want.Has(lifecycle.TopicPost) {
		c.Job = job
		return nil
	}
	c.Post(job)
	return nil
}

// plain is the preparation of a host without a builder.
type plain struct{}

func (plain) Build(context.Context, BuildRequest) (BuildSpec, error) { return BuildSpec{}, nil }
func (plain) Close() error                                           { return nil }
