package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// states are the job states by their number in the database.
var states = [...]queue.State{queue.Pending, queue.Running, queue.Succeeded, queue.Failed, queue.Canceled}

func stateNumber(s queue.State) int16 {
	for n, state := range states {
		if state == s {
			return int16(n)
		}
	}
	return 0
}

// jobRow is where one job is read into.
type jobRow struct {
	j               queue.Job
	tagSet          int32
	weight, attempt int32
	state           int16
	percent         int32
}

// targets are those of jobColumns; all of them accept NULL, for outer joins.
func (r *jobRow) targets() []any {
	j := &r.j
	return []any{
		toID(&j.ID), toID(&j.Organization), toID(&j.Tenant), toText(&j.Type), toInt4(&r.tagSet), toInt2(&j.Priority),
		toInt4(&r.weight), &j.Payload, toText(&j.Trace), toTime(&j.CreatedAt),
		toInt2(&r.state), toInt8(&j.Order), toTime(&j.ReadyAt), toInt4(&r.attempt), toInt8(&j.Fence),
		toID(&j.Process), toID(&j.Worker), toID(&j.Token), toTime(&j.StartedAt), toTime(&j.EndedAt),
		toTime(&j.CancelAt), toText(&j.Error), &j.Result, toInt4(&r.percent), toText(&j.Progress.Message),
	}
}

func (r *jobRow) job() queue.Job {
	j := r.j
	j.State, j.Weight, j.Attempt, j.Progress.Percent = states[r.state], int(r.weight), int(r.attempt), int(r.percent)
	normalize(&j.CreatedAt, &j.ReadyAt, &j.StartedAt, &j.EndedAt, &j.CancelAt)
	return j
}

// jobList collects jobs and the numbers of their tag sets, which are turned into sets when all rows are read.
type jobList struct {
	jobs    []queue.Job
	tagSets []int32
}

func (l *jobList) add(r *jobRow) {
	l.jobs = append(l.jobs, r.job())
	l.tagSets = append(l.tagSets, r.tagSet)
}

// collect reads rows of jobColumns.
func (l *jobList) collect(rows pgx.Rows, err error) error {
	*l = jobList{}
	if err != nil {
		return err
	}
	var r jobRow
	_, err = pgx.ForEachRow(rows, r.targets(), func() error {
		l.add(&r)
		r = jobRow{}
		return nil
	})
	return err
}

// queryJobs runs a statement that returns jobColumns.
func (s *Store) queryJobs(ctx context.Context, again safety, text string, args ...any) ([]queue.Job, error) {
	var l jobList
	err := s.do(ctx, again, func(ctx context.Context) error {
		return l.collect(s.pool.Query(ctx, s.sql(text), args...))
	})
	if err != nil {
		return nil, err
	}
	return l.jobs, s.fillTags(ctx, l.jobs, l.tagSets)
}

// byID indexes jobs.
func byID(jobs []queue.Job) map[uuid.UUID]queue.Job {
	index := make(map[uuid.UUID]queue.Job, len(jobs))
	for _, j := range jobs {
		index[j.ID] = j
	}
	return index
}
