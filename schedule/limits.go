package schedule

import (
	"time"

	"github.com/dormouse-go/dormouse/invalid"
)

const (
	// MinTTL and MaxTTL are the shortest and the longest TTL of a workspace.
	MinTTL = time.Minute
	MaxTTL = 30 * 24 * time.Hour

	// MinThreshold and MaxThreshold are the shortest and the longest threshold of a
	// policy that is not off. The longest is a hundred years: "never" is zero.
	MinThreshold = time.Minute
	MaxThreshold = 100 * 365 * 24 * time.Hour

	// MinExtend is how far from now a new deadline has to be. Hosts document 30
	// minutes; the spare minute is for the time that the request takes.
	MinExtend = 29 * time.Minute
)

// The years 1 to 9999, in UTC, as seconds since 1970: the instants that every store
// and every format of time can write.
const (
	firstSecond = -62135596800
	lastSecond  = 253402300799
)

func withinLimit(sec int64) bool { return firstSecond <= sec && sec <= lastSecond }

// ValidateInstant refuses an instant outside the years 1 to 9999 in UTC. It is for
// every instant that a host gives. The zero time is within; whether
// it may be left out is another rule. The error names the field as given.
func ValidateInstant(field string, t time.Time) error {
	if !withinLimit(t.Unix()) {
		return invalid.New(field, t.Format(time.RFC3339), "must be in the years 1 to 9999")
	}
	return nil
}

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
// off, nor between [MinThreshold] and [MaxThreshold], both included. The error names the field as given.
func ValidateThreshold(field string, d time.Duration) error {
	switch {
	case d != 0 && d < MinThreshold:
		return invalid.New(field, d, "must be 0 (off) or at least %v", MinThreshold)
	case d > MaxThreshold:
		return invalid.New(field, d, "must not be more than %v (100 years)", MaxThreshold)
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
// and not after the max deadline. Without a max deadline it must not be more than
// [MaxTTL] from now: nobody switches a deadline off by moving it away.
func ValidateExtend(in ExtendInput) error {
	if err := ValidateInstant("ExtendInput.NewDeadline", in.NewDeadline); err != nil {
		return err
	}
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
	case in.MaxDeadline.IsZero() && in.NewDeadline.After(in.Now.Add(MaxTTL)):
		return invalid.New("ExtendInput.NewDeadline", show, "must not be more than %v from now, %s", MaxTTL, in.Now.Add(MaxTTL).Format(time.RFC3339))
	}
	return nil
}
