package memory

import (
	"context"
	"slices"
	"sort"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Jobs implements [queue.Inspector].
func (s *Jobs) Jobs(_ context.Context, f queue.Filter) ([]queue.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*job
	for _, j := range s.candidates(f) {
		if selects(f, j) {
			found = append(found, j)
		}
	}
	slices.SortFunc(found, func(a, b *job) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return slices.Compare(a.ID[:], b.ID[:])
	})
	found = slices.Compact(found)
	if f.Limit > 0 && len(found) > f.Limit {
		found = found[:f.Limit]
	}
	var jobs []queue.Job
	for _, j := range found {
		jobs = append(jobs, j.Clone())
	}
	return jobs, nil
}

// candidates narrows the jobs to look at by the most selective field that is set.
func (s *Jobs) candidates(f queue.Filter) []*job {
	var jobs []*job
	switch {
	case f.IDs != nil:
		for _, id := range f.IDs {
			if j, ok := s.jobs[id]; ok {
				jobs = append(jobs, j)
			}
		}
	case f.Process != uuid.Nil:
		if p, ok := s.processes[f.Process]; ok {
			for _, j := range p.held {
				jobs = append(jobs, j)
			}
		}
	case f.Lane != nil:
		if org, ok := s.orgs[f.Lane.Organization]; ok {
			if lane, ok := org.lanes[*f.Lane]; ok {
				for _, line := range lane.tenants {
					jobs = append(jobs, line.jobs...)
				}
			}
			for _, d := range org.delayed.items {
				jobs = append(jobs, d.job)
			}
		}
	}
	return jobs
}

func selects(f queue.Filter, j *job) bool {
	switch {
	case f.IDs != nil && !slices.Contains(f.IDs, j.ID):
	case f.Process != uuid.Nil && (j.State != queue.Running || j.Process != f.Process):
	case f.Token != uuid.Nil && j.Token != f.Token:
	case f.Organization != nil && j.Organization != *f.Organization:
	case f.Lane != nil && (j.State != queue.Pending || j.Lane() != *f.Lane):
	case !f.CreatedBefore.IsZero() && !j.CreatedAt.Before(f.CreatedBefore):
	default:
		return true
	}
	return false
}

// Lines implements [queue.Inspector].
func (s *Jobs) Lines(_ context.Context, id uuid.UUID, after int64, limit int) ([]queue.Line, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[id]
	if !ok {
		return nil, nil
	}
	from := sort.Search(len(j.lines), func(i int) bool { return j.lines[i].Seq > after })
	return slices.Clone(j.lines[from:min(len(j.lines), from+max(limit, 0))]), nil
}

// Ahead implements [queue.Inspector].
func (s *Jobs) Ahead(_ context.Context, id uuid.UUID, countTo int) ([]queue.ReadyLane, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[id]
	if !ok || j.State != queue.Pending {
		return nil, nil
	}
	var ahead []queue.ReadyLane
	for key, lane := range s.orgs[j.Organization].lanes {
		if n := lane.ahead(j); n > 0 {
			first := lane.first()
			ahead = append(ahead, queue.ReadyLane{
				Lane: key, Count: min(n, countTo), From: first.Order, Oldest: first.CreatedAt,
			})
		}
	}
	return ahead, nil
}

// ahead counts the jobs of the lane that go before j.
func (l *jobLane) ahead(j *job) int {
	n := 0
	for _, line := range l.tenants {
		n += line.search(j)
	}
	return n
}
