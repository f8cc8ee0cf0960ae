package queue

import (
	"errors"
	"strings"

	"github.com/dormouse-go/dormouse/invalid"
)

var (
	// ErrNotFound says that no such job is stored.
	ErrNotFound = errors.New("queue: no such job")

	// ErrLeaseLost says that the lease presented is not the live one of its job: the job ended, was given to
	// another worker, or its process was declared lost. The bearer must stop working on the job.
	ErrLeaseLost = errors.New("queue: lease lost")

	// ErrProcessLost says that the process was declared lost. It holds no lease any more and must go on under a
	// new id; an id is never used again.
	ErrProcessLost = errors.New("queue: process declared lost")

	// ErrTooMany says that somebody asks for more at once than its share. It is passing.
	ErrTooMany = errors.New("queue: too many at once")

	// ErrStopped says that the acquirer's Run has returned, or is about to: it hands out no more jobs.
	ErrStopped = errors.New("queue: acquirer stopped")

	// ErrTimeout is the cause of a job's context when the attempt has taken longer than the limit of its run. As the error of
	// a report it says that the report arrived and the worker is to stop for that reason.
	ErrTimeout = errors.New("queue: job ran longer than its limit")

	// ErrJobCanceled is the cause of a job's context when somebody asked for the job to be canceled.
	ErrJobCanceled = errors.New("queue: job canceled")
)

// IsAnswer reports whether an error is an answer of the store, not a failure of it: repeating the call gets it again.
func IsAnswer(err error) bool {
	return errors.Is(err, ErrProcessLost) || errors.Is(err, ErrLeaseLost) || errors.Is(err, invalid.Err) || errors.Is(err, ErrNotFound)
}

// in turns a refusal of an argument ("tags") into one of a field ("Posting.Tags").
func in(parent string, err error) error {
	var refused *invalid.Error
	if !errors.As(err, &refused) {
		return err
	}
	field := *refused
	field.Field = parent + "." + strings.ToUpper(field.Field[:1]) + field.Field[1:]
	return &field
}
