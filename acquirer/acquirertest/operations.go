package acquirertest

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// Operate is what operators ask for, all of [queue.Operations].
const Operate Verb = "operate"

// ListJobs implements [queue.Operations].
func (s *Store) ListJobs(ctx context.Context, q queue.JobQuery) (queue.JobPage, error) {
	return through(ctx, s, Operate, func() (queue.JobPage, error) { return s.inner.ListJobs(ctx, q) })
}

// CountJobs implements [queue.Operations].
func (s *Store) CountJobs(ctx context.Context, q queue.JobQuery, countTo int) (queue.JobCounts, error) {
	return through(ctx, s, Operate, func() (queue.JobCounts, error) { return s.inner.CountJobs(ctx, q, countTo) })
}

// RetryJobs implements [queue.Operations].
func (s *Store) RetryJobs(ctx context.Context, r queue.Retry) ([]queue.Job, error) {
	return through(ctx, s, Operate, func() ([]queue.Job, error) { return s.inner.RetryJobs(ctx, r) })
}

// PauseJobs implements [queue.Operations].
func (s *Store) PauseJobs(ctx context.Context, p queue.Pause) error {
	_, err := through(ctx, s, Operate, func() (struct{}, error) { return struct{}{}, s.inner.PauseJobs(ctx, p) })
	return err
}

// ResumeJobs implements [queue.Operations].
func (s *Store) ResumeJobs(ctx context.Context, scope queue.Scope) (bool, error) {
	return through(ctx, s, Operate, func() (bool, error) { return s.inner.ResumeJobs(ctx, scope) })
}

// Pauses implements [queue.Operations].
func (s *Store) Pauses(ctx context.Context, now time.Time) ([]queue.Pause, error) {
	return through(ctx, s, Operate, func() ([]queue.Pause, error) { return s.inner.Pauses(ctx, now) })
}

// Attempts implements [queue.Operations].
func (s *Store) Attempts(ctx context.Context, job uuid.UUID) ([]queue.Attempt, error) {
	return through(ctx, s, Operate, func() ([]queue.Attempt, error) { return s.inner.Attempts(ctx, job) })
}
