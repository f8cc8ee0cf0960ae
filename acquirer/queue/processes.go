package queue

import (
	"context"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
)

// Directory lists the processes of the queue and the workers that each has, for people. No engine needs it.
type Directory interface {
	// Processes returns, ordered by id, up to q.Limit registered processes after q.After, those that were declared lost
	// included until [Registry.PruneJobs] deletes their records. What a process says of its workers is left out if it
	// cannot be read.
	Processes(ctx context.Context, q ProcessQuery) ([]Process, error)
}

// ProcessQuery asks for a page of processes.
type ProcessQuery struct {
	// After is the id of the last process of the page before, uuid.Nil for the first page.
	After uuid.UUID
	// Limit is the size of the page, 1 to 1000.
	Limit int
}

// maxProcesses bounds a page: each process brings its workers along.
const maxProcesses = 1000

// Validate says what is wrong with a query, as a [*invalid.Error]. Stores call it first.
func (q ProcessQuery) Validate() error {
	if q.Limit < 1 || q.Limit > maxProcesses {
		return invalid.New("ProcessQuery.Limit", q.Limit, "must be between 1 and %d", maxProcesses)
	}
	return nil
}
