package sqlite

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// The states of a job as they are stored. A pending job has two, because only a ready one stands in the ready index.
const (
	stateReady = iota
	stateDelayed
	stateRunning
	stateSucceeded
	stateFailed
	stateCanceled
)

var states = [...]queue.State{
	stateReady: queue.Pending, stateDelayed: queue.Pending, stateRunning: queue.Running,
	stateSucceeded: queue.Succeeded, stateFailed: queue.Failed, stateCanceled: queue.Canceled,
}

// stored is the state under which a final state is stored.
func stored(final queue.State) int64 {
	switch final {
	case queue.Succeeded:
		return stateSucceeded
	case queue.Failed:
		return stateFailed
	}
	return stateCanceled
}

// jobColumns are what a job is read from, in a SELECT and behind RETURNING.
const jobColumns = ` id, state, organization_id, lane, line, tenant_id, weight, payload, trace, created_at, ready_at,
	attempt, fence, process_id, worker_id, token, started_at, ended_at, cancel_at, error, result, percent, message `

// jobs runs a statement that returns jobColumns.
func (t *tx) jobs(statement string, args ...any) ([]queue.Job, error) {
	var found []queue.Job
	var lanes []int64
	err := t.query(statement, func(r rows) error {
		j, lane, err := scanJob(r)
		found, lanes = append(found, j), append(lanes, lane)
		return err
	}, args...)
	if err != nil {
		return nil, err
	}
	for i := range found {
		lane, err := t.lane(lanes[i])
		if err != nil {
			return nil, fmt.Errorf("job %s: %w", found[i].ID, err)
		}
		found[i].Type, found[i].Tags, found[i].Priority = lane.Type, lane.Tags, lane.Priority
	}
	return found, nil
}

// job reads one job; ok is false if there is none.
func (t *tx) job(id uuid.UUID) (j queue.Job, ok bool, err error) {
	found, err := t.jobs(`SELECT`+jobColumns+`FROM {jobs} WHERE id = ?`, blob(id))
	if err != nil || len(found) == 0 {
		return queue.Job{}, false, err
	}
	return found[0], true, nil
}

func scanJob(r rows) (j queue.Job, lane int64, err error) {
	var state int64
	err = r.Scan(&j.ID, &state, &j.Organization, &lane, &j.Order, &j.Tenant, &j.Weight, &j.Payload, &j.Trace,
		into(&j.CreatedAt), into(&j.ReadyAt), &j.Attempt, &j.Fence, &j.Process, &j.Worker, &j.Token,
		into(&j.StartedAt), into(&j.EndedAt), into(&j.CancelAt), &j.Error, &j.Result,
		&j.Progress.Percent, &j.Progress.Message)
	if err == nil && (state < 0 || int(state) >= len(states)) {
		err = fmt.Errorf("job %s: state %d: must be between 0 and %d", j.ID, state, len(states)-1)
	}
	if err == nil {
		j.State = states[state]
	}
	return j, lane, err
}

// nullable keeps nil bytes nil: an empty payload and none are told apart.
func nullable(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
