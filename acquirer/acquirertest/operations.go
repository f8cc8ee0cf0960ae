package acquirertest

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// The verbs of operators.
const (
	List     Verb = "list"
	Count    Verb = "count"
	Retry    Verb = "retry"
	Pause    Verb = "pause"
	Resume   Verb = "resume"
	Pauses   Verb = "pauses"
	Attempts Verb = "attempts"
)

// ListJobs implements [queue.Operations].
func (s *Store) ListJobs(ctx context.Context, q queue.JobQuery) (queue.JobPage, error) {
	return through(ctx, s, List, func() (queue.JobPage, error) { return s.inner.ListJobs(ctx, q) })
}

// CountJobs implements [queue.Operations].
func (s *Store) CountJobs(ctx context.Context, q queue.JobQuery, countTo int) (queue.JobCounts, error) {
	return through(ctx, s, Count, func() (queue.JobCounts, error) { return s.inner.CountJobs(ctx, q, countTo) })
}

// RetryJobs implements [queue.Operations].
func (s *Store) RetryJobs(ctx context.Context, r queue.Retry) ([]queue.Job, error) {
	return through(ctx, s, Retry, func() ([]queue.Job, error) { return s.inner.RetryJobs(ctx, r) })
}

// PauseJobs implements [queue.Operations].
func (s *Store) PauseJobs(ctx context.Context, p queue.Pause) error {
	_, err := through(ctx, s, Pause, func() (struct{}, error) { return struct{}{}, s.inner.PauseJobs(ctx, p) })
	return err
}

// ResumeJobs implements [queue.Operations].
func (s *Store) ResumeJobs(ctx context.Context, scope queue.Scope) (bool, error) {
	return through(ctx, s, Resume, func() (bool, error) { return s.inner.ResumeJobs(ctx, scope) })
}

// Pauses implements [queue.Operations].
func (s *Store) Pauses(ctx context.Context, now time.Time) ([]queue.Pause, error) {
	return through(ctx, s, Pauses, func() ([]queue.Pause, error) { return s.inner.Pauses(ctx, now) })
}

// Attempts implements [queue.Operations].
func (s *Store) Attempts(ctx context.Context, job uuid.UUID) ([]queue.Attempt, error) {
	return through(ctx, s, Attempts, func() ([]queue.Attempt, error) { return s.inner.Attempts(ctx, job) })
}
