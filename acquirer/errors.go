package acquirer

import (
	"errors"
	"fmt"
)

var (
	// ErrInvalid is what every refusal of bad input wraps; the error is a [*FieldError].
	ErrInvalid = errors.New("invalid input")

	// ErrNotFound says that no such job is stored.
	ErrNotFound = errors.New("no such job")

	// ErrLeaseLost says that the lease presented is not the live one of its job: the job ended, was given to
	// another worker, or its process was declared lost. The bearer must stop working on the job.
	ErrLeaseLost = errors.New("lease lost")

	// ErrProcessLost says that the process was declared lost. It holds no lease any more and must go on under a
	// new id; an id is never used again.
	ErrProcessLost = errors.New("process declared lost")

	// ErrStopped says that Run has returned, or is about to: nobody hands out jobs here any more.
	ErrStopped = errors.New("acquirer stopped")

	// ErrDraining is the cause of a job's context when its [Worker] stops and has waited long enough.
	ErrDraining = errors.New("worker is stopping")

	// ErrJobCanceled is the cause of a job's context when somebody asked for the job to be canceled.
	ErrJobCanceled = errors.New("job canceled")
)

// FieldError is the refusal of one value: which field, what it held, and the rule it broke.
type FieldError struct {
	Field, Value, Rule string
}

// Error implements error.
func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: %q: %s", e.Field, e.Value, e.Rule)
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *FieldError) Unwrap() error { return ErrInvalid }

// invalid builds a FieldError; long values are cut, since they end in logs.
func invalid(field string, value any, rule string) error {
	text := fmt.Sprint(value)
	if len(text) > 80 {
		text = text[:80] + "..."
	}
	return &FieldError{Field: field, Value: text, Rule: rule}
}
