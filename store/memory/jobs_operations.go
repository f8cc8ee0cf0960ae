package memory

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// ListJobs implements [queue.Operations]. It has no index: a page costs one step for each job in the store.
func (s *Jobs) ListJobs(_ context.Context, q queue.JobQuery) (queue.JobPage, error) {
	q, err := q.Normalize()
	if err != nil {
		return queue.JobPage{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*job
	for _, j := range s.jobs {
		if q.Selects(j.Job) && queue.PlaceOf(j.Job).Compare(q.Before()) < 0 {
			found = append(found, j)
		}
	}
	slices.SortFunc(found, latestFirst)
	var all queue.StateJobs
	for _, j := range found[:min(len(found), q.Limit+1)] {
		row := j.Job
		row.Payload, row.Result = nil, nil
		all.Jobs = append(all.Jobs, row)
	}
	return q.PageOf([]queue.StateJobs{all}), nil
}

func latestFirst(a, b *job) int { return queue.PlaceOf(b.Job).Compare(queue.PlaceOf(a.Job)) }

// CountJobs implements [queue.Operations]. It has no index: a count costs one step for each job in the store.
func (s *Jobs) CountJobs(_ context.Context, q queue.JobQuery, countTo int) (queue.JobCounts, error) {
	q, err := q.Normalize()
	if err != nil {
		return queue.JobCounts{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	inReach := queue.JobQuery{Organization: q.Organization, States: q.States, From: q.From, Until: q.Until}
	ofState := map[queue.State][]*job{}
	for _, j := range s.jobs {
		if inReach.Selects(j.Job) {
			ofState[j.State] = append(ofState[j.State], j)
		}
	}
	counts := queue.JobCounts{States: make(map[queue.State]int)}
	for state, all := range ofState {
		slices.SortFunc(all, latestFirst)
		looked := all[:min(len(all), max(countTo, 1))]
		counts.Partial = counts.Partial || len(looked) < len(all)
		for _, j := range looked {
			if q.Selects(j.Job) {
				counts.States[state]++
			}
		}
	}
	return counts, nil
}

// RetryJobs implements [queue.Operations].
func (s *Jobs) RetryJobs(_ context.Context, r queue.Retry) ([]queue.Job, error) {
	r = r.Clean()
	s.mu.Lock()
	defer s.mu.Unlock()
	var changed []queue.Job
	for _, id := range r.IDs {
		if j, ok := s.jobs[id]; ok && (r.Organization == nil || j.Organization == *r.Organization) && s.retry(j, r) {
			changed = append(changed, j.Clone())
		}
	}
	return changed, nil
}

func (s *Jobs) retry(j *job, r queue.Retry) bool {
	if _, taken := s.unique[uniqueOf(j.Job)]; !j.State.Final() || j.Unique != "" && taken {
		return false
	}
	heap.Remove(s.ended, j.index)
	s.reserve(j)
	j.Round++
	j.Attempt, j.EndedAt, j.CancelAt, j.Result, j.Progress = 0, time.Time{}, time.Time{}, nil, queue.Progress{}
	j.history = queue.AddAttempt(j.history, queue.RetryOf(j.Job, r))
	s.requeue(j, r.Now, time.Time{})
	return true
}

// PauseJobs implements [queue.Operations].
func (s *Jobs) PauseJobs(_ context.Context, p queue.Pause) error {
	p, err := p.Normalize()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pauses[p.Scope] = p
	return nil
}

// ResumeJobs implements [queue.Operations].
func (s *Jobs) ResumeJobs(_ context.Context, scope queue.Scope) (bool, error) {
	if err := scope.Validate(); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, was := s.pauses[scope]
	delete(s.pauses, scope)
	return was, nil
}

// Pauses implements [queue.Operations].
func (s *Jobs) Pauses(_ context.Context, now time.Time) ([]queue.Pause, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pauses []queue.Pause
	for _, p := range s.pauses {
		if p.Holds(now) {
			pauses = append(pauses, p)
		}
	}
	slices.SortFunc(pauses, func(a, b queue.Pause) int {
		return cmp.Or(bytes.Compare(a.Organization[:], b.Organization[:]), strings.Compare(a.Type, b.Type))
	})
	return pauses, nil
}

// Attempts implements [queue.Operations].
func (s *Jobs) Attempts(_ context.Context, id uuid.UUID) ([]queue.Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.jobs[id]
	if !ok {
		return nil, nil
	}
	return slices.Clone(j.history), nil
}

// paused reports whether a lane is paused. Up to four pauses concern it.
func (s *Jobs) paused(l queue.Lane, now time.Time) bool {
	for _, scope := range []queue.Scope{{}, {Organization: l.Organization}, {Type: l.Type}, {Organization: l.Organization, Type: l.Type}} {
		if p, ok := s.pauses[scope]; ok && p.Holds(now) {
			return true
		}
	}
	return false
}

// nextResumed is the earlier of an instant and the next end of a pause that concerns one of the organizations; none are all.
func (s *Jobs) nextResumed(ids []uuid.UUID, now, next time.Time) time.Time {
	for _, p := range s.pauses {
		if p.Until.After(now) && (len(ids) == 0 || p.Organization == uuid.Nil || slices.Contains(ids, p.Organization)) {
			next = earlier(next, p.Until)
		}
	}
	return next
}

// earlier is the earlier of two instants, of which the zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
