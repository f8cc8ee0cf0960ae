package lifecycle

import (
	"time"

	"github.com/dormouse-go/dormouse/internal/backoff"
	"github.com/dormouse-go/dormouse/internal/micros"
)

func armFailedCleanup(s *Snapshot) armed {
	ttl := s.Template.Policy.FailureTTL
	switch b := &s.Build; {
	case ttl <= 0:
		return not(thresholdOff)
	case !unclean(b):
		return not(lastBuildClean)
	default:
		return exceeded(at(b.CompletedAt), max(ttl, retryPause(s, s.Workspace.Failures)), unset)
	}
}

// unclean reports whether the build may have left something running: a start or stop that failed, a start that was
// canceled. (A canceled stop was somebody's wish to go on.)
func unclean(b *Build) bool {
	switch b.Transition {
	case TransitionStart:
		return b.Status == JobFailed || b.Status == JobCanceled
	case TransitionStop:
		return b.Status == JobFailed
	}
	return false
}

// retryPause returns how long to wait after the n-th failure in a row: doubling from the policy's Initial to its
// MaxInterval, plus up to a quarter, fixed for the workspace and the attempt so that a herd spreads. Zero failures need
// no pause.
func retryPause(s *Snapshot, n int) time.Duration {
	if n <= 0 {
		return 0
	}
	r := s.Template.Policy.Retry.withDefaults()
	pause := backoff.Doubled(r.Initial, n-1, r.MaxInterval)
	return (pause + backoff.Spread(pause, s.Workspace.ID, uint64(n))).Truncate(micros.Tick)
}

func (r Retry) withDefaults() Retry {
	if r.Max == 0 {
		r.Max = 5
	}
	if r.Initial == 0 {
		r.Initial = time.Minute
	}
	if r.MaxInterval == 0 {
		r.MaxInterval = 24 * time.Hour
	}
	return r
}
