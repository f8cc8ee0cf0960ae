package schedule

import (
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

const (
	// MinTTL and MaxTTL are the shortest and the longest TTL of a workspace.
	MinTTL = time.Minute
	MaxTTL = 30 * 24 * time.Hour

	// MinThreshold is the shortest threshold of a policy that is not off.
	MinThreshold = time.Minute

	// MinExtend is how far from now a new deadline has to be. Hosts document 30
	// minutes; the spare minute is for the time that the request takes.
	MinExtend = 29 * time.Minute
)

// ValidateTTL returns the TTL cut to whole minutes. Zero is off; anything else
// must then be between [MinTTL] and [MaxTTL], both included.
func ValidateTTL(ttl time.Duration) (time.Duration, error) {
	if ttl == 0 {
		return 0, nil
	}
	cut := ttl.Truncate(time.Minute)
	if cut < MinTTL || cut > MaxTTL {
		return 0, invalid.New("ttl", ttl, "must be 0 (off) or, in whole minutes, between %v and %v", MinTTL, MaxTTL)
	}
	return cut, nil
}

// ValidateThreshold refuses a policy threshold that is neither zero, which is
// off, nor at least [MinThreshold]. The error names the field as given.
func ValidateThreshold(field string, d time.Duration) error {
	if d != 0 && d < MinThreshold {
		return invalid.New(field, d, "must be 0 (off) or at least %v", MinThreshold)
	}
	return nil
}

// ExtendInput is what decides whether a person may move a deadline.
type ExtendInput struct {
	Now time.Time
	// CompletedAt is when the start's job completed. Zero: it has not.
	CompletedAt time.Time
	// Deadline and MaxDeadline are the current ones. Zero is none.
	Deadline, MaxDeadline time.Time
	// NewDeadline is what is asked for. It may be earlier than Deadline.
	NewDeadline time.Time
}

// ValidateExtend reports why the deadline of a running workspace may not be moved
// to the new one. The workspace needs a completed start and a deadline; the new
// deadline must be at least [MinExtend] from now, not before the start completed,
// and not after the max deadline.
func ValidateExtend(in ExtendInput) error {
	show := in.NewDeadline.Format(time.RFC3339)
	earliest := in.Now.Add(MinExtend)
	switch {
	case in.CompletedAt.IsZero():
		return invalid.New("ExtendInput.NewDeadline", show, "needs a workspace whose start has completed")
	case in.Deadline.IsZero():
		return invalid.New("ExtendInput.NewDeadline", show, "needs a workspace that has a deadline")
	case in.NewDeadline.Before(earliest):
		return invalid.New("ExtendInput.NewDeadline", show, "must be at least %v from now, %s", MinExtend, earliest.Format(time.RFC3339))
	case in.NewDeadline.Before(in.CompletedAt):
		return invalid.New("ExtendInput.NewDeadline", show, "must not be before the start completed, %s", in.CompletedAt.Format(time.RFC3339))
	case !in.MaxDeadline.IsZero() && in.NewDeadline.After(in.MaxDeadline):
		return invalid.New("ExtendInput.NewDeadline", show, "must not be after the max deadline, %s", in.MaxDeadline.Format(time.RFC3339))
	}
	return nil
}
