package postgres

import (
	"context"
	"time"

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
	percent, round  int32
	runLimit        int64
	secret          []byte
}

// jobFields are a row j of dormouse.jobs. All of them accept NULL, for outer joins.
var jobFields = fields[jobRow]{
	{"j.id", func(r *jobRow) any { return toID(&r.j.ID) }},
	{"j.organization_id", func(r *jobRow) any { return toID(&r.j.Organization) }},
	{"j.tenant_id", func(r *jobRow) any { return toID(&r.j.Tenant) }},
	{"j.type", func(r *jobRow) any { return toText(&r.j.Type) }},
	{"j.tag_set", func(r *jobRow) any { return toInt4(&r.tagSet) }},
	{"j.priority", func(r *jobRow) any { return toInt2(&r.j.Priority) }},
	{"j.weight", func(r *jobRow) any { return toInt4(&r.weight) }},
	{"j.payload", func(r *jobRow) any { return &r.j.Payload }},
	{"j.trace", func(r *jobRow) any { return toText(&r.j.Trace) }},
	{"j.unique_key", func(r *jobRow) any { return toText(&r.j.Unique) }},
	{"j.run_limit", func(r *jobRow) any { return toInt8(&r.runLimit) }},
	{"j.round", func(r *jobRow) any { return toInt4(&r.round) }},
	{"j.created_at", func(r *jobRow) any { return toTime(&r.j.CreatedAt) }},
	{"j.state", func(r *jobRow) any { return toInt2(&r.state) }},
	{"j.place", func(r *jobRow) any { return toInt8(&r.j.Order) }},
	{"j.ready_at", func(r *jobRow) any { return toTime(&r.j.ReadyAt) }},
	{"j.attempt", func(r *jobRow) any { return toInt4(&r.attempt) }},
	{"j.fence", func(r *jobRow) any { return toInt8(&r.j.Fence) }},
	{"j.process_id", func(r *jobRow) any { return toID(&r.j.Process) }},
	{"j.worker_id", func(r *jobRow) any { return toID(&r.j.Worker) }},
	{"j.token", func(r *jobRow) any { return toID(&r.j.Token) }},
	{"j.secret", func(r *jobRow) any { return &r.secret }},
	{"j.started_at", func(r *jobRow) any { return toTime(&r.j.StartedAt) }},
	{"j.ended_at", func(r *jobRow) any { return toTime(&r.j.EndedAt) }},
	{"j.cancel_at", func(r *jobRow) any { return toTime(&r.j.CancelAt) }},
	{"j.error", func(r *jobRow) any { return toText(&r.j.Error) }},
	{"j.result", func(r *jobRow) any { return &r.j.Result }},
	{"j.percent", func(r *jobRow) any { return toInt4(&r.percent) }},
	{"j.message", func(r *jobRow) any { return toText(&r.j.Progress.Message) }},
}

// outlineFields are those of [queue.Job.Outline].
var outlineFields = jobFields.without("j.payload", "j.trace", "j.secret", "j.error", "j.result", "j.percent", "j.message")

// jobColumns are jobFields in a statement.
var jobColumns, outlineColumns = jobFields.names(), outlineFields.names()

func (r *jobRow) job() queue.Job {
	j := r.j
	j.State, j.Weight, j.Attempt, j.Progress.Percent = states[r.state], int(r.weight), int(r.attempt), int(r.percent)
	j.Round, j.RunLimit = int(r.round), time.Duration(r.runLimit)
	copy(j.SecretHash[:], r.secret)
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
func (l *jobList) collect(rows pgx.Rows, _ error) error { return l.read(rows, jobFields) }

// read reads rows of some fields.
func (l *jobList) read(rows pgx.Rows, f fields[jobRow]) error {
	*l = jobList{}
	var r jobRow
	_, err := pgx.ForEachRow(rows, f.targets(&r), func() error {
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
		return l.collect(s.db.Query(ctx, s.sql(text), args...))
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
