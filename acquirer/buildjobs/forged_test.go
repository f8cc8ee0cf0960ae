package buildjobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/acquirer/worker"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// forge returns the victim's job after a change of its row and of its payload.
func (p *plane) forge(row func(j *queue.Job), payload func(b *lifecycle.Job)) queue.Job {
	p.Helper()
	j := p.job()
	b, err := buildjobs.BuildOf(j)
	p.must(err)
	payload(&b)
	j.Payload, err = json.Marshal(b)
	p.must(err)
	row(&j)
	return j
}

// A job speaks for its own build and for no other: neither its worker nor its end touches the build that its payload names.
func TestForgedJobs(t *testing.T) {
	deletes := func(b *lifecycle.Job) { b.Transition = lifecycle.TransitionDelete }
	for name, c := range map[string]struct {
		row     func(j *queue.Job)
		payload func(b *lifecycle.Job)
	}{
		"a job of another id":                    {func(j *queue.Job) { j.ID = uuid.New() }, deletes},
		"of another id that the payload repeats": {func(j *queue.Job) { j.ID = uuid.UUID{9} }, func(b *lifecycle.Job) { b.ID = uuid.UUID{9} }},
		"of another organization":                {func(j *queue.Job) { j.Organization = uuid.New() }, deletes},
		"of another organization, which the payload hides": {
			func(j *queue.Job) { j.ID, j.Organization = uuid.New(), uuid.New() }, func(*lifecycle.Job) {},
		},
		"of another owner": {func(j *queue.Job) { j.Tenant = uuid.New() }, deletes},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, acquirer.Config{}, func(p *plane) {
				p.start()
				handler := buildjobs.Handler(p.engine, func(_ context.Context, _ *worker.Task, b lifecycle.Job) error {
					t.Errorf("the host was asked to %s workspace %s", b.Transition, b.WorkspaceID)
					return nil
				}, buildjobs.Config{})
				forged := p.forge(c.row, c.payload)
				_, _ = handler(p.ctx, &worker.Task{Job: forged})
				for _, state := range []queue.State{queue.Succeeded, queue.Failed, queue.Canceled} {
					forged.State, forged.EndedAt = state, time.Now()
					_ = buildjobs.Settle(p.ctx, p.engine, forged)
				}
				p.want(lifecycle.JobPending, queue.Pending)
			})
		})
	}
}

// What is to be done says the workspace, not the payload.
func TestPayloadIsNotBelieved(t *testing.T) {
	run(t, nil, acquirer.Config{}, func(p *plane) {
		p.start()
		stored, err := p.engine.Load(p.ctx, p.ws)
		p.must(err)
		var got lifecycle.Job
		handler := buildjobs.Handler(p.engine, func(_ context.Context, _ *worker.Task, b lifecycle.Job) error {
			got = b
			return nil
		}, buildjobs.Config{})
		_, err = handler(p.ctx, &worker.Task{Job: p.forge(func(*queue.Job) {}, func(b *lifecycle.Job) {
			b.Transition, b.TemplateVersionID, b.TemplateID, b.BuildNumber, b.Reason = lifecycle.TransitionDelete, uuid.New(), uuid.New(), 77, "forged"
			b.OwnerID, b.OrganizationID, b.ID = uuid.New(), uuid.New(), uuid.New()
		})})
		p.must(err)
		w, b := stored.Workspace, stored.Build
		want := lifecycle.Job{
			ID: b.ID, OrganizationID: w.OrganizationID, OwnerID: w.OwnerID, WorkspaceID: w.ID, TemplateID: w.TemplateID,
			TemplateVersionID: b.TemplateVersionID, BuildNumber: b.Number, Transition: b.Transition, Reason: b.Reason,
		}
		got.CreatedAt, got.Tags, got.Payload, got.Priority = time.Time{}, nil, nil, 0
		if got.ID != want.ID || got.Transition != want.Transition || got.TemplateVersionID != want.TemplateVersionID ||
			got.TemplateID != want.TemplateID || got.BuildNumber != want.BuildNumber || got.Reason != want.Reason ||
			got.OwnerID != want.OwnerID || got.OrganizationID != want.OrganizationID {
			t.Errorf("built  %+v\nstored %+v", got, want)
		}
		if b := p.build(); b.Status != lifecycle.JobSucceeded {
			t.Errorf("the build is %s", b.Status)
		}
	})
}

// The type of builds is the engine's own: nobody posts one, whatever the id.
func TestBuildsAreNotPosted(t *testing.T) {
	run(t, nil, acquirer.Config{}, func(p *plane) {
		p.start()
		if !queue.Reserved(lifecycle.JobType) {
			t.Errorf("type %q is not reserved", lifecycle.JobType)
		}
		victim := p.job()
		for name, posting := range map[string]queue.Posting{
			"a build":                      {ID: uuid.New(), Type: lifecycle.JobType, Payload: victim.Payload},
			"another type, a build's id":   {ID: victim.ID, Type: "scan", Tenant: victim.Tenant},
			"another tenant, a build's id": {ID: victim.ID, Type: "scan"},
			"another organization's id":    {ID: victim.ID, Type: "scan", Organization: uuid.New(), Tenant: victim.Tenant},
		} {
			jobs, err := p.queue.Enqueue(p.ctx, posting)
			if !errors.Is(err, invalid.Err) || len(jobs) > 0 {
				t.Errorf("%s: %v, %+v", name, err, jobs)
			}
		}
		p.want(lifecycle.JobPending, queue.Pending)
	})
}
