package memory

import (
	"container/heap"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer"
)

// Renew implements [acquirer.Leases].
func (s *Jobs) Renew(_ context.Context, _ time.Time, renewals []acquirer.Renewal) ([]acquirer.Renewed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := make([]acquirer.Renewed, len(renewals))
	for i, r := range renewals {
		answers[i] = s.renew(r)
	}
	return answers, nil
}

func (s *Jobs) renew(r acquirer.Renewal) acquirer.Renewed {
	j, live := s.live(r.Lease)
	p, known := s.processes[r.Process]
	if !live || !known || p.lost {
		return acquirer.Renewed{Err: acquirer.ErrLeaseLost}
	}
	s.drop(j)
	p.held[j.ID] = j
	j.Process, j.Worker = r.Process, r.Worker
	if r.Progress != nil {
		j.Progress = *r.Progress
	}
	for _, line := range r.Lines {
		j.seq++
		line.Seq = j.seq
		j.lines = append(j.lines, line)
	}
	return acquirer.Renewed{Canceled: !j.CancelAt.IsZero()}
}

// live finds the running job of a lease.
func (s *Jobs) live(lease acquirer.Lease) (*job, bool) {
	j, ok := s.jobs[lease.Job]
	if !ok || j.State != acquirer.Running || j.Fence != lease.Fence {
		return nil, false
	}
	return j, true
}

// drop takes a job's lease from its process.
func (s *Jobs) drop(j *job) {
	if p, ok := s.processes[j.Process]; ok {
		delete(p.held, j.ID)
	}
}

// End implements [acquirer.Leases].
func (s *Jobs) End(_ context.Context, now time.Time, ends []acquirer.End) ([]acquirer.Ended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := make([]acquirer.Ended, len(ends))
	for i, end := range ends {
		j, ok := s.accept(end)
		if !ok {
			answers[i].Err = acquirer.ErrLeaseLost
			continue
		}
		if answers[i].Again = j.State != acquirer.Running; !answers[i].Again {
			s.end(j, now, end)
		}
		answers[i].Job = j.Clone()
	}
	return answers, nil
}

// accept finds the job of an end that takes effect, or that took effect before.
func (s *Jobs) accept(end acquirer.End) (*job, bool) {
	j, ok := s.jobs[end.Lease.Job]
	switch {
	case !ok || j.Fence != end.Lease.Fence:
		return nil, false
	case end.Process != uuid.Nil && end.Process != j.Process:
		return nil, false
	case j.State == acquirer.Running:
		return j, true
	}
	target := end.Outcome.State()
	return j, j.State == target || target == acquirer.Pending && j.State == acquirer.Canceled
}

func (s *Jobs) end(j *job, now time.Time, end acquirer.End) {
	s.drop(j)
	s.orgs[j.Organization].running.add(j, -1)
	if end.Outcome == acquirer.OutcomeReleased {
		j.Attempt--
	}
	state := end.Outcome.State()
	if state == acquirer.Pending && !j.CancelAt.IsZero() {
		state = acquirer.Canceled
	}
	if end.Error != "" || state != acquirer.Pending {
		j.Error = end.Error
	}
	if state.Final() {
		j.Result = slices.Clone(end.Result)
		s.finish(j, state, now)
		return
	}
	s.requeue(j, now, end.ReadyAt)
}

func (s *Jobs) finish(j *job, state acquirer.State, now time.Time) {
	j.State, j.EndedAt = state, now
	heap.Push(s.ended, j)
}

// requeue puts a job back in front: at the number claimed last, which is not above any number that waits.
func (s *Jobs) requeue(j *job, now, readyAt time.Time) {
	j.State, j.StartedAt = acquirer.Pending, time.Time{}
	j.Order = s.orgs[j.Organization].turn(j.Priority).claimed
	j.ReadyAt = now
	if readyAt.After(now) {
		j.ReadyAt = readyAt
	}
	s.line(j, now)
}

// Cancel implements [acquirer.Leases].
func (s *Jobs) Cancel(_ context.Context, c acquirer.Cancellation) ([]acquirer.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var changed []acquirer.Job
	for _, id := range c.IDs {
		if j, ok := s.jobs[id]; ok && s.cancel(j, c) {
			changed = append(changed, j.Clone())
		}
	}
	return changed, nil
}

func (s *Jobs) cancel(j *job, c acquirer.Cancellation) bool {
	switch {
	case j.State == acquirer.Pending:
		s.unline(j)
		j.Error = c.Reason
		if c.Expire {
			s.finish(j, acquirer.Failed, c.Now)
			return true
		}
		j.CancelAt = c.Now
		s.finish(j, acquirer.Canceled, c.Now)
		return true
	case j.State == acquirer.Running && !c.Expire && j.CancelAt.IsZero():
		j.CancelAt = c.Now
		return true
	}
	return false
}
