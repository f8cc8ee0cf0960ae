package acquirer

import (
	"cmp"
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// List returns jobs of one organization, the latest first, page by page, without their payloads and results. The error is a
// [*invalid.Error] if the query is bad. See [queue.Operations] for what a page costs.
func (a *Acquirer) List(ctx context.Context, q queue.JobQuery) (page queue.JobPage, err error) {
	return ask(ctx, a, "list", func(ctx context.Context) (queue.JobPage, error) { return a.store.ListJobs(ctx, q) })
}

// maxCount bounds the jobs of each state that [Acquirer.Count] looks at.
const maxCount = 10_000

// Count counts the jobs that a query selects, by state. Of each state at most the latest 10,000 are looked at.
func (a *Acquirer) Count(ctx context.Context, q queue.JobQuery) (counts queue.JobCounts, err error) {
	return ask(ctx, a, "count", func(ctx context.Context) (queue.JobCounts, error) { return a.store.CountJobs(ctx, q, maxCount) })
}

// Attempts returns the attempts at a job that did not succeed, the oldest first, and retries by hand among them.
func (a *Acquirer) Attempts(ctx context.Context, id uuid.UUID) (attempts []queue.Attempt, err error) {
	return ask(ctx, a, "attempts", func(ctx context.Context) ([]queue.Attempt, error) { return a.store.Attempts(ctx, id) })
}

// Retry puts jobs that are over back into line, for a new round of attempts; who and why is kept in the job's history. It
// returns the jobs that changed: not those that are not over, or whose unique key another job has meanwhile. Where
// [Config.Retry] refuses one of them, none changes and its error is returned. Any other error leaves the outcome open: repeat the
// call, which makes known what the first one has put back.
func (a *Acquirer) Retry(ctx context.Context, by, note string, ids ...uuid.UUID) ([]Job, error) {
	return a.retry(ctx, queue.Retry{IDs: distinct(ids), By: by, Note: note})
}

func (a *Acquirer) retry(ctx context.Context, r queue.Retry) ([]Job, error) {
	known, err := a.mayRetry(ctx, r)
	if err != nil {
		return nil, err
	}
	r.Now = a.now()
	changed, err := shared(ctx, a, r.Organization, "retry", func() ([]queue.Job, error) {
		return ask(ctx, a, "retry", func(ctx context.Context) ([]queue.Job, error) { return a.store.RetryJobs(ctx, r) })
	})
	if err != nil {
		return nil, err
	}
	a.Announce(changed...)
	a.Announce(known...)
	return changed, nil
}

// mayRetry asks the host about the jobs that are over. It returns those that wait in line, perhaps since a call that got no
// answer. The host is asked between two calls of the share, and in none: it may ask the organization's view.
func (a *Acquirer) mayRetry(ctx context.Context, r queue.Retry) (waiting []queue.Job, err error) {
	if len(r.IDs) == 0 {
		return nil, nil
	}
	jobs, err := shared(ctx, a, r.Organization, "retry", func() ([]queue.Job, error) {
		return a.lookUp(ctx, "find jobs", queue.Filter{IDs: r.IDs, Organization: r.Organization})
	})
	if err != nil {
		return nil, err
	}
	for _, job := range jobs {
		switch {
		case job.State == queue.Pending:
			waiting = append(waiting, job)
		case job.State.Final() && a.cfg.Retry != nil:
			if err := a.askRetry(ctx, job); err != nil {
				return nil, fmt.Errorf("acquirer: retry job %s: %w", job.ID, err)
			}
		}
	}
	return waiting, nil
}

// Pause keeps the jobs of an organization, of a type or of both from being handed out, in all processes, until it is resumed
// or the pause ends by itself. What runs goes on and ends as it would. A claim that is under way when it returns may still
// take some. A pause replaces the one of the same scope. The error is a [*invalid.Error] if the scope is bad.
func (a *Acquirer) Pause(ctx context.Context, p queue.Pause) error {
	p.At = a.now()
	err := a.call(ctx, "pause", func(ctx context.Context) error { return a.store.PauseJobs(ctx, p) })
	if err != nil {
		return err
	}
	if !p.Until.IsZero() {
		a.agenda.After(a.past(p.Until), func() { a.resumed(p.Organization) }, "resume")
	}
	return nil
}

// Resume lifts the pause of a scope, and reports whether there was one.
func (a *Acquirer) Resume(ctx context.Context, s queue.Scope) (was bool, err error) {
	was, err = ask(ctx, a, "resume", func(ctx context.Context) (bool, error) { return a.store.ResumeJobs(ctx, s) })
	if err == nil {
		a.resumed(s.Organization)
	}
	return was, err
}

// Pauses returns the pauses in force, by organization and type.
func (a *Acquirer) Pauses(ctx context.Context) (pauses []queue.Pause, err error) {
	return ask(ctx, a, "pauses", func(ctx context.Context) ([]queue.Pause, error) { return a.store.Pauses(ctx, a.now()) })
}

// resumed looks for the jobs of an organization that may be handed out again, zero for those of all, and announces them here
// and to the other processes.
func (a *Acquirer) resumed(organization uuid.UUID) {
	var organizations []uuid.UUID
	if organization != uuid.Nil {
		organizations = []uuid.UUID{organization}
	}
	a.queueReady(organizations)
}

// pauseOf is the pause that concerns a lane, the one of the longest duration if there are several; nil: none does.
func (a *Acquirer) pauseOf(ctx context.Context, l queue.Lane) (*queue.Pause, error) {
	pauses, err := a.Pauses(ctx)
	if err != nil {
		return nil, err
	}
	var longest *queue.Pause
	for _, p := range pauses {
		if p.Concerns(l) && (longest == nil || endsAfter(p, *longest)) {
			longest = &p
		}
	}
	return longest, nil
}

func endsAfter(a, b queue.Pause) bool {
	if a.Until.IsZero() || b.Until.IsZero() {
		return a.Until.IsZero() && !b.Until.IsZero()
	}
	return cmp.Compare(a.Until.UnixMicro(), b.Until.UnixMicro()) > 0
}
