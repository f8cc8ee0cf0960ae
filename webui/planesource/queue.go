package planesource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/webui"
)

// explained is how many jobs are explained: an explanation is a question to the store.
const explained = 20

// WaitingJobs implements [webui.Queue]. Of more jobs than the limit the latest are listed. Those that nobody can take are
// explained, and of the others the first ones.
func (s *Source) WaitingJobs(ctx context.Context, limit int) (list []webui.Job, total int, err error) {
	jobs, err := s.pending(ctx, limit)
	if err != nil {
		return nil, 0, err
	}
	total = len(jobs)
	if total == limit {
		counts, err := s.plane.Acquirer().Count(ctx, queue.JobQuery{Organization: s.cfg.Organization, States: []queue.State{queue.Pending}})
		if err != nil {
			return nil, 0, err
		}
		total = counts.States[queue.Pending]
	}
	building, err := s.building(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, j := range jobs {
		list = append(list, s.jobOf(j, building))
	}
	return list, total, s.explain(ctx, list)
}

// pending lists jobs that wait, in the order in which they will be taken.
func (s *Source) pending(ctx context.Context, limit int) (jobs []queue.Job, err error) {
	q := queue.JobQuery{Organization: s.cfg.Organization, States: []queue.State{queue.Pending}}
	for len(jobs) < limit {
		q.Limit = min(limit-len(jobs), queue.MaxPage)
		page, err := s.plane.Acquirer().List(ctx, q)
		if err != nil {
			return nil, err
		}
		if jobs = append(jobs, page.Jobs...); page.Next.IsZero() {
			break
		}
		q.After = page.Next
	}
	slices.SortFunc(jobs, func(a, b queue.Job) int {
		switch {
		case a.Before(b):
			return -1
		case b.Before(a):
			return 1
		}
		return 0
	})
	return jobs, nil
}

// building returns the workspaces in a build, by the id of the build, which is that of its job.
func (s *Source) building(ctx context.Context) (map[uuid.UUID]lifecycle.Snapshot, error) {
	building := make(map[uuid.UUID]lifecycle.Snapshot)
	for w, err := range s.list(ctx, lifecycle.ListQuery{Building: true}) {
		if err != nil {
			return nil, err
		}
		building[w.Build.ID] = w
	}
	return building, nil
}

func (s *Source) jobOf(j queue.Job, building map[uuid.UUID]lifecycle.Snapshot) webui.Job {
	job := webui.Job{
		ID: j.ID, Name: j.Type, Work: j.Type, CreatedAt: j.CreatedAt, ReadyAt: j.ReadyAt,
		Unmatched: !s.plane.Acquirer().Able(j.Lane()),
	}
	if w, ok := building[j.ID]; ok {
		job.Workspace, job.Name, job.Work = w.Workspace.ID, cmp.Or(w.Workspace.Name, w.Workspace.ID.String()), w.Build.Transition.String()
	}
	return job
}

// explain asks the acquirer why jobs wait.
func (s *Source) explain(ctx context.Context, list []webui.Job) error {
	unmatched, waiting := 0, 0
	for i := range list {
		j, n := &list[i], &waiting
		if j.Unmatched {
			n = &unmatched
		}
		if *n++; *n > explained {
			continue
		}
		x, err := s.plane.Acquirer().Explain(ctx, j.ID)
		switch {
		case errors.Is(err, queue.ErrNotFound): // it was taken meanwhile, and is over
			continue
		case err != nil:
			return err
		}
		j.Text = x.Text
		for _, t := range x.Mismatch.Missing {
			j.Missing = append(j.Missing, t.Key+"="+t.Value)
		}
		for _, d := range x.Mismatch.Different {
			j.Missing = append(j.Missing, d.Key+"="+d.Job)
		}
	}
	return nil
}

// Workers implements [webui.Workers]: the workers of a process that can run the same jobs are one line.
func (s *Source) Workers(ctx context.Context) (list []webui.Worker, err error) {
	running, err := s.running(ctx)
	if err != nil {
		return nil, err
	}
	after := uuid.Nil
	for {
		page, err := s.plane.Processes(ctx, after, 0)
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			after = p.ID
			for i, w := range p.Workers {
				if w.Organization != s.cfg.Organization {
					continue
				}
				line := webui.Worker{Name: cmp.Or(p.Name, p.ID.String()), Slots: w.Waiting + w.Busy, Tags: tagsOf(w.Tags), Closed: p.Lost}
				if len(p.Workers) > 1 {
					line.Name += fmt.Sprintf(" (%d)", i+1)
				}
				line.Jobs = running.take(p.ID, w.Busy)
				if p.Lost {
					line.Note = "not heard from since " + p.SeenAt.UTC().Format(time.RFC3339)
				}
				list = append(list, line)
			}
		}
		if len(page) == 0 {
			return list, nil
		}
	}
}

// tagsOf leaves out what every worker has that is for the whole organization.
func tagsOf(tags map[string]string) (list []string) {
	for k, v := range tags {
		if k == queue.TagScope && v == queue.ScopeOrganization || k == queue.TagOwner && v == "" {
			continue
		}
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}

// work is what runs, in words, by process.
type work map[uuid.UUID][]string

// running lists the jobs that run.
func (s *Source) running(ctx context.Context) (work, error) {
	building, err := s.building(ctx)
	if err != nil {
		return nil, err
	}
	page, err := s.plane.Acquirer().List(ctx, queue.JobQuery{
		Organization: s.cfg.Organization, States: []queue.State{queue.Running}, Limit: queue.MaxPage,
	})
	if err != nil {
		return nil, err
	}
	running := make(work)
	for _, j := range page.Jobs {
		job := s.jobOf(j, building)
		running[j.Process] = append(running[j.Process], job.Name+" "+job.Work)
	}
	return running, nil
}

// take returns as many jobs of a process as a line of it has busy slots; which of its workers has which is not known. Heartbeats
// and jobs are read one after the other, so there may be fewer jobs than slots.
func (w work) take(process uuid.UUID, n int) []string {
	jobs := w[process]
	n = min(n, len(jobs))
	w[process] = jobs[n:]
	return jobs[:n]
}
