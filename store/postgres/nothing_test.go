package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/postgres"
	"github.com/dormouse-go/dormouse/store/postgres/pgtest"
)

// A call about nothing asks the database for nothing.
func TestNothingIsAskedForNothing(t *testing.T) {
	s, err := postgres.Faulty(pgtest.Empty(t), quiet, func() error { return errors.New("the database is asked") })
	must(t, err)
	workers := []uuid.UUID{uuid.New()}
	for name, call := range map[string]func(context.Context) error{
		"Load":             func(ctx context.Context) error { _, err := s.Load(ctx); return err },
		"Due":              func(ctx context.Context) error { _, err := s.Due(ctx, lifecycle.DueQuery{Now: epoch}); return err },
		"Commit":           func(ctx context.Context) error { _, err := s.Commit(ctx, epoch, nil); return err },
		"CreateWorkspaces": func(ctx context.Context) error { return s.CreateWorkspaces(ctx, epoch) },
		"AdmitDeletions": func(ctx context.Context) error {
			_, err := s.AdmitDeletions(ctx, epoch, lifecycle.Brake{Max: 1}, nil)
			return err
		},
		"SettleEvents": func(ctx context.Context) error { return s.SettleEvents(ctx, epoch, nil) },
		"Enqueue":      func(ctx context.Context) error { _, err := s.Enqueue(ctx, epoch, nil); return err },
		"Claim for nobody": func(ctx context.Context) error {
			_, err := s.Claim(ctx, queue.Claim{Probes: []queue.Probe{{}}})
			return err
		},
		"Claim from nowhere": func(ctx context.Context) error { _, err := s.Claim(ctx, queue.Claim{Workers: workers}); return err },
		"Renew":              func(ctx context.Context) error { _, err := s.Renew(ctx, epoch, nil); return err },
		"End":                func(ctx context.Context) error { _, err := s.End(ctx, epoch, nil); return err },
		"Reassign":           func(ctx context.Context) error { _, err := s.Reassign(ctx, nil); return err },
		"Cancel":             func(ctx context.Context) error { _, err := s.Cancel(ctx, queue.Cancellation{Now: epoch}); return err },
		"RetryJobs":          func(ctx context.Context) error { _, err := s.RetryJobs(ctx, queue.Retry{Now: epoch}); return err },
		"Jobs":               func(ctx context.Context) error { _, err := s.Jobs(ctx, queue.Filter{}); return err },
		"ClaimMembers": func(ctx context.Context) error {
			_, err := s.ClaimMembers(ctx, epoch, prewarm.Pick{Pool: "p"}, nil)
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := call(ctx); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
