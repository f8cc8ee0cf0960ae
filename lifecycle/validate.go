package lifecycle

import (
	"fmt"

	"github.com/dormouse-go/dormouse/internal/micros"
	"github.com/dormouse-go/dormouse/invalid"
)

// Validate reports how a change contradicts the latest build of its workspace, of which Number and Status are read. Stores
// call it for changes whose revision is still the right one (others are conflicts, whatever they say), so that all of them
// refuse the same changes with the same errors: an [*invalid.Error] about Change.Build.Number or Change.Build.Deadline, or
// an [ErrBuildActive]. A change without a build contradicts nothing.
func (c *Change) Validate(latest Build) error {
	b := &c.Build
	switch {
	case c.NewBuild && b.Number != latest.Number+1:
		return invalid.New("Change.Build.Number", b.Number, "must be %d, one more than the latest", latest.Number+1)
	case c.NewBuild && latest.Status.Active():
		return fmt.Errorf("build %d is %s: %w", latest.Number, latest.Status, ErrBuildActive)
	case c.NewBuild:
		return b.validateDeadlines()
	case b.Number == 0:
		return nil
	case b.Number != latest.Number:
		return invalid.New("Change.Build.Number", b.Number, "must be %d, the latest", latest.Number)
	}
	return b.validateDeadlines()
}

// validateDeadlines compares in the precision of the stores.
func (b *Build) validateDeadlines() error {
	deadline, most := micros.Of(b.Deadline), micros.Of(b.MaxDeadline)
	switch {
	case most.IsZero():
		return nil
	case deadline.IsZero():
		return invalid.New("Change.Build.Deadline", "", "must be set if MaxDeadline is")
	case deadline.After(most):
		return invalid.New("Change.Build.Deadline", deadline, "must not be after MaxDeadline, %v", most)
	}
	return nil
}
