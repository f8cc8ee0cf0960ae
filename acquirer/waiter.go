package acquirer

import (
	"container/list"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/google/uuid"
)

// waiter is one worker's wish for one job, in its domain's line.
type waiter struct {
	worker uuid.UUID
	domain *domain
	// place in line; nil outside.
	place *list.Element
	// since is the waiter's number among all that came to wait here.
	since uint64
	call  *call
}

// call is one AcquireJob or AcquireJobs: the waiters of one caller.
type call struct {
	request queue.Request
	// won receives the jobs and at most one error. It has room for all, so that nobody who holds the lock waits.
	won chan prize
}

// prize is what a waiter gets.
type prize struct {
	job queue.Job
	err error
}
