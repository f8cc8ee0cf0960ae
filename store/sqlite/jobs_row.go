package sqlite

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

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

// jobRow is where a job is read into.
type jobRow struct {
	queue.Job
	state, lane, runLimit int64
	unique                *string
	secret                []byte
}

var jobFields = fields[jobRow]{
	{"id", func(r *jobRow) any { return &r.ID }},
	{"state", func(r *jobRow) any { return &r.state }},
	{"organization_id", func(r *jobRow) any { return &r.Organization }},
	{"lane", func(r *jobRow) any { return &r.lane }},
	{"line", func(r *jobRow) any { return &r.Order }},
	{"tenant_id", func(r *jobRow) any { return &r.Tenant }},
	{"weight", func(r *jobRow) any { return &r.Weight }},
	{"payload", func(r *jobRow) any { return &r.Payload }},
	{"trace", func(r *jobRow) any { return &r.Trace }},
	{"unique_key", func(r *jobRow) any { return &r.unique }},
	{"run_limit", func(r *jobRow) any { return &r.runLimit }},
	{"round", func(r *jobRow) any { return &r.Round }},
	{"created_at", func(r *jobRow) any { return into(&r.CreatedAt) }},
	{"ready_at", func(r *jobRow) any { return into(&r.ReadyAt) }},
	{"attempt", func(r *jobRow) any { return &r.Attempt }},
	{"fence", func(r *jobRow) any { return &r.Fence }},
	{"process_id", func(r *jobRow) any { return &r.Process }},
	{"worker_id", func(r *jobRow) any { return &r.Worker }},
	{"token", func(r *jobRow) any { return &r.Token }},
	{"secret", func(r *jobRow) any { return &r.secret }},
	{"started_at", func(r *jobRow) any { return into(&r.StartedAt) }},
	{"ended_at", func(r *jobRow) any { return into(&r.EndedAt) }},
	{"cancel_at", func(r *jobRow) any { return into(&r.CancelAt) }},
	{"error", func(r *jobRow) any { return &r.Error }},
	{"result", func(r *jobRow) any { return &r.Result }},
	{"percent", func(r *jobRow) any { return &r.Progress.Percent }},
	{"message", func(r *jobRow) any { return &r.Progress.Message }},
}

// jobColumns are jobFields in a SELECT and behind RETURNING.
var jobColumns = jobFields.names() + "\n"

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
		if err != nil && !errors.Is(err, errUnreadable) {
			return nil, fmt.Errorf("job %s: %w", found[i].ID, err)
		}
		found[i].Type, found[i].Tags, found[i].Priority = lane.Type, lane.Tags, lane.Priority
		found[i].Unique = strings.TrimPrefix(found[i].Unique, uniquePrefix(lane.Type))
	}
	return found, nil
}

var jobByID = `SELECT` + jobColumns + `FROM {jobs} WHERE id = ?`

// job reads one job; ok is false if there is none.
func (t *tx) job(id uuid.UUID) (j queue.Job, ok bool, err error) {
	found, err := t.jobs(jobByID, blob(id))
	if len(found) == 0 {
		return queue.Job{}, false, err
	}
	return found[0], true, nil
}

func scanJob(from rows) (j queue.Job, lane int64, err error) {
	var r jobRow
	if err := from.Scan(jobFields.targets(&r)...); err != nil {
		return queue.Job{}, 0, err
	}
	if r.state < 0 || int(r.state) >= len(states) {
		return queue.Job{}, 0, fmt.Errorf("job %s: state %d: must be between 0 and %d", r.ID, r.state, len(states)-1)
	}
	r.State, r.RunLimit = states[r.state], time.Duration(r.runLimit)
	if r.unique != nil {
		r.Unique = *r.unique // with the type in front, which is known when the lane is
	}
	copy(r.SecretHash[:], r.secret)
	return r.Job, r.lane, nil
}

// uniqueKey is a job's unique key as it is stored: the type stands in front, because jobs of several lanes share it.
func uniqueKey(j *queue.Job) any {
	if j.Unique == "" {
		return nil
	}
	return uniquePrefix(j.Type) + j.Unique
}

func uniquePrefix(kind string) string { return strconv.Itoa(len(kind)) + ":" + kind }

// nullable keeps nil bytes nil: an empty payload and none are distinguished.
func nullable(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
