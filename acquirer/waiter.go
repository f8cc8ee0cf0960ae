package acquirer

import "github.com/google/uuid"

// waiter is one worker's wish for one job, in its domain's line.
type waiter struct {
	worker uuid.UUID
	domain *domain
	// since is the waiter's number among all that came to wait here.
	since uint64
	// won receives the job or the error, once; it has room for it, so that nobody who holds the lock waits.
	won chan prize
}

// prize is what a waiter gets.
type prize struct {
	job Job
	err error
}
