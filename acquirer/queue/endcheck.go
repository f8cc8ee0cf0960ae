package queue

import (
	"strconv"

	"github.com/dormouse-go/dormouse/invalid"
)

// MaxErrorText bounds the error of a job. Longer texts are cut.
const MaxErrorText = 8 << 10

// MaxResult bounds the result of a job.
const MaxResult = 1 << 20

// Validate says what is wrong with an end, as an [*invalid.Error].
func (e End) Validate() error {
	switch e.Outcome {
	case OutcomeSucceeded, OutcomeFailed, OutcomeCanceled, OutcomeRequeued, OutcomeReleased:
	default:
		return invalid.New("outcome", e.Outcome, "must be succeeded, failed, canceled, requeued or released")
	}
	switch {
	case len(e.Result) > MaxResult:
		return invalid.New("result", len(e.Result), "at most "+strconv.Itoa(MaxResult)+" bytes")
	case e.Delay < 0:
		return invalid.New("delay", e.Delay, "must not be negative")
	}
	return nil
}
