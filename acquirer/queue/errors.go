package queue

import (
	"errors"

	"github.com/dormouse-go/dormouse/invalid"
)

var (
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

	// ErrJobCanceled is the cause of a job's context when somebody asked for the job to be canceled.
	ErrJobCanceled = errors.New("job canceled")
)

// IsAnswer reports whether an error is an answer of the store, not a failure of it.
func IsAnswer(err error) bool {
	return errors.Is(err, ErrProcessLost) || errors.Is(err, ErrLeaseLost) || errors.Is(err, invalid.Err) || errors.Is(err, ErrNotFound)
}
