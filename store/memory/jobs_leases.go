package memory

import (
	"container/heap"
	"context"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

// Renew implements [queue.Leases].
func (s *Jobs) Renew(_ context.Context, now time.Time, renewals []queue.Renewal) ([]queue.Renewed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := make([]queue.Renewed, len(renewals))
	for i, r := range renewals {
		answers[i] = s.renew(now, r)
	}
	return answers, nil
}

func (s *Jobs) renew(now time.Time, r queue.Renewal) queue.Renewed {
	j, live := s.live(r.Handout)
	p, known := s.processes[r.Process]
	switch {
	case !live:
		return queue.Renewed{Err: queue.ErrLeaseLost}
	case !known || !p.registered() || p.lost:
		return queue.Renewed{Err: queue.ErrProcessLost}
	}
	s.drop(j)
	p.held[j.ID] = j
	j.Process = r.Process
	if r.Progress != nil {
		j.Progress = *r.Progress
		j.Progress.Message = form.Text(j.Progress.Message)
	}
	s.log(j, r, now)
	return queue.Renewed{Canceled: !j.CancelAt.IsZero()}
}

// log appends the lines of a renewal, as far as the log takes them.
func (s *Jobs) log(j *job, r queue.Renewal, now time.Time) {
	r.Lines = slices.Clone(r.Lines)
	for i := range r.Lines {
		r.Lines[i].Text = form.Text(r.Lines[i].Text)
	}
	admitted, size := queue.AdmitLines(j.logged, r, now)
	for _, line := range admitted {
		j.seq++
		line.Seq = j.seq
		j.lines = append(j.lines, line)
	}
	j.logged = size
}

// live finds the running job of a handout.
func (s *Jobs) live(h queue.Handout) (*job, bool) {
	j, ok := s.jobs[h.Lease.Job]
	if !ok || j.State != queue.Running || !h.Of(&j.Job) {
		return nil, false
	}
	return j, true
}

// Reassign implements [queue.Leases].
func (s *Jobs) Reassign(_ context.Context, moves []queue.Reassignment) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	accepted := make([]bool, len(moves))
	for i, m := range moves {
		j, ok := s.jobs[m.Lease.Job]
		if !ok || j.State != queue.Running || j.Lease() != m.Lease || j.Process != m.Process {
			continue
		}
		j.Worker, accepted[i] = m.Worker, true
	}
	return accepted, nil
}

// drop takes a job's lease from its process.
func (s *Jobs) drop(j *job) {
	if p, ok := s.processes[j.Process]; ok {
		delete(p.held, j.ID)
	}
}

// End implements [queue.Leases].
func (s *Jobs) End(_ context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := make([]queue.Ended, len(ends))
	for i, end := range ends {
		j, ok := s.jobs[end.Lease.Job]
		switch {
		case !ok || !end.Accepts(&j.Job):
			answers[i].Err = queue.ErrLeaseLost
		case j.State != queue.Running:
			answers[i] = queue.Ended{Job: j.Outline(), Again: true}
		default:
			s.end(j, now, end)
			answers[i].Job = j.Outline()
		}
	}
	return answers, nil
}

func (s *Jobs) end(j *job, now time.Time, end queue.End) {
	s.drop(j)
	s.orgs[j.Organization].running.Add(j.Lane(), j.Tenant, -1)
	if end.Recorded() {
		end := end
		end.Error = form.Text(end.Error)
		j.history = queue.AddAttempt(j.history, queue.AttemptOf(j.Job, end, now))
	}
	if end.Outcome == queue.OutcomeReleased {
		j.Attempt--
	}
	state := end.Outcome.State()
	if state == queue.Pending && !j.CancelAt.IsZero() {
		state = queue.Canceled
	}
	if end.Error != "" || state != queue.Pending {
		j.Error = form.Text(end.Error)
	}
	if state.Final() {
		j.Result = slices.Clone(end.Result)
		s.finish(j, state, now)
		return
	}
	s.requeue(j, now, end.ReadyAt)
}

func (s *Jobs) finish(j *job, state queue.State, now time.Time) {
	j.State, j.EndedAt = state, now
	if s.unique[uniqueOf(j.Job)] == j {
		delete(s.unique, uniqueOf(j.Job))
	}
	heap.Push(s.ended, j)
}

// requeue puts a job back in front: at the number claimed last, which is not above any number that waits.
func (s *Jobs) requeue(j *job, now, readyAt time.Time) {
	j.State, j.StartedAt = queue.Pending, time.Time{}
	j.Order = s.orgs[j.Organization].turn(j.Priority).claimed
	j.ReadyAt = now
	if readyAt = store.Instant(readyAt); readyAt.After(now) {
		j.ReadyAt = readyAt
	}
	s.line(j, now)
}

// Cancel implements [queue.Leases].
func (s *Jobs) Cancel(_ context.Context, c queue.Cancellation) ([]queue.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var changed []queue.Job
	for _, id := range c.IDs {
		if j, ok := s.jobs[id]; ok && (c.Organization == nil || *c.Organization == j.Organization) && s.cancel(j, c) {
			changed = append(changed, j.Clone())
		}
	}
	return changed, nil
}

func (s *Jobs) cancel(j *job, c queue.Cancellation) bool {
	switch {
	case j.State == queue.Pending:
		s.unline(j)
		j.Error = form.Text(c.Reason)
		if c.Expire {
			s.finish(j, queue.Failed, c.Now)
			return true
		}
		j.CancelAt = c.Now
		s.finish(j, queue.Canceled, c.Now)
		return true
	case j.State == queue.Running && !c.Expire && j.CancelAt.IsZero():
		j.CancelAt = c.Now
		return true
	}
	return false
}
