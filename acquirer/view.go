package acquirer

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// View is what one organization may ask of an [Acquirer]: the jobs of all others do not exist in it, whatever their ids. The
// store compares. A host that answers people uses a view; the methods of the acquirer itself are the operator's.
type View struct {
	a            *Acquirer
	organization uuid.UUID
}

// Within returns the view of an organization. It costs nothing and may be made for each request.
func (a *Acquirer) Within(organization uuid.UUID) View { return View{a, organization} }

// Job returns a job, or [queue.ErrNotFound].
func (v View) Job(ctx context.Context, id uuid.UUID) (Job, error) {
	return shared(ctx, v.a, &v.organization, "job", func() (Job, error) { return v.job(ctx, id) })
}

func (v View) job(ctx context.Context, id uuid.UUID) (Job, error) {
	return v.a.jobWithin(ctx, id, &v.organization)
}

// Lines returns up to limit lines of a job's log with a number above after, in order, or [queue.ErrNotFound].
func (v View) Lines(ctx context.Context, id uuid.UUID, after int64, limit int) ([]queue.Line, error) {
	return shared(ctx, v.a, &v.organization, "lines", func() (lines []queue.Line, err error) {
		if _, err := v.job(ctx, id); err != nil {
			return nil, err
		}
		return ask(ctx, v.a, "lines", func(ctx context.Context) ([]queue.Line, error) { return v.a.store.Lines(ctx, id, after, limit) })
	})
}

// List is [Acquirer.List] for the organization, whatever the query says of one.
func (v View) List(ctx context.Context, q queue.JobQuery) (queue.JobPage, error) {
	q.Organization = v.organization
	return shared(ctx, v.a, &v.organization, "list", func() (queue.JobPage, error) { return v.a.List(ctx, q) })
}

// Count is [Acquirer.Count] for the organization; see [View.List].
func (v View) Count(ctx context.Context, q queue.JobQuery) (queue.JobCounts, error) {
	q.Organization = v.organization
	return shared(ctx, v.a, &v.organization, "count", func() (queue.JobCounts, error) { return v.a.Count(ctx, q) })
}

// Attempts is [Acquirer.Attempts], or [queue.ErrNotFound].
func (v View) Attempts(ctx context.Context, id uuid.UUID) ([]queue.Attempt, error) {
	return shared(ctx, v.a, &v.organization, "attempts", func() ([]queue.Attempt, error) {
		if _, err := v.job(ctx, id); err != nil {
			return nil, err
		}
		return v.a.Attempts(ctx, id)
	})
}

// Explain is [Acquirer.Explain] for the job's own tenant: of workers it says how many there are and which of the job's own tags
// they lack, and names none of them, their tags or their processes. Able, Nearest and Mismatch stay empty, and so do why the database
// refuses to write it and what [View.Pauses] leaves out.
func (v View) Explain(ctx context.Context, id uuid.UUID) (Explanation, error) {
	x, err := shared(ctx, v.a, &v.organization, "explain", func() (Explanation, error) { return v.a.explain(ctx, id, &v.organization) })
	if err != nil {
		return Explanation{}, err
	}
	if x.Refused != nil {
		x.Refused = &queue.Refusal{Job: x.Refused.Job, Again: x.Refused.Again}
	}
	if x.Pause != nil {
		p := v.seen(*x.Pause)
		x.Pause = &p
	}
	x.Text = x.text(v.a.clock.Now(), x.shortage.String())
	x.Able, x.Nearest, x.Mismatch = nil, nil, queue.Mismatch{}
	return x, nil
}

// Cancel is [Acquirer.Cancel] for jobs of the organization.
func (v View) Cancel(ctx context.Context, reason string, ids ...uuid.UUID) ([]Job, error) {
	return shared(ctx, v.a, &v.organization, "cancel", func() ([]Job, error) { return v.a.cancel(ctx, reason, &v.organization, ids) })
}

// Retry is [Acquirer.Retry] for jobs of the organization.
func (v View) Retry(ctx context.Context, by, note string, ids ...uuid.UUID) ([]Job, error) {
	return v.a.retry(ctx, queue.Retry{IDs: distinct(ids), By: by, Note: note, Organization: &v.organization})
}

// Pauses are those of [Acquirer.Pauses] that concern jobs of the organization: its own, and those of everybody, whose
// Scope.Organization is zero. Of the latter By and Note are left out: who operates the plane, and why, is not for its tenants.
func (v View) Pauses(ctx context.Context) ([]queue.Pause, error) {
	all, err := shared(ctx, v.a, &v.organization, "pauses", func() ([]queue.Pause, error) { return v.a.Pauses(ctx) })
	all = slices.DeleteFunc(all, func(p queue.Pause) bool {
		return p.Organization != uuid.Nil && p.Organization != v.organization
	})
	for i, p := range all {
		all[i] = v.seen(p)
	}
	return all, err
}

// seen is what the organization may see of a pause that concerns it.
func (v View) seen(p queue.Pause) queue.Pause {
	if p.Organization != v.organization {
		p.By, p.Note = "", ""
	}
	return p
}

// jobWithin reads a job, of any organization if that is nil.
func (a *Acquirer) jobWithin(ctx context.Context, id uuid.UUID, organization *uuid.UUID) (queue.Job, error) {
	jobs, err := a.lookUp(ctx, "job", queue.Filter{IDs: []uuid.UUID{id}, Organization: organization})
	switch {
	case err != nil:
		return queue.Job{}, err
	case len(jobs) == 0:
		return queue.Job{}, fmt.Errorf("acquirer: job: %w", queue.ErrNotFound)
	}
	return jobs[0], nil
}
