package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// enqueueSQL has the parameters of enqueueColumns; testdata/enqueue.sql shows it as a whole. enqueuePassingSQL waits for nobody
// who has a tenant's number in hand, and enqueueCarryingSQL sends a message, see carriedSQL. enqueueOneSQL and enqueueOneCarryingSQL are of
// a single job, as most postings are, for which the others take 43 % more instructions of the server's executor.
var (
	enqueueSQL            = enqueueBy(turnSQL) + postedFields.names()
	enqueuePassingSQL     = enqueueBy(turnPassingSQL) + jobColumns
	enqueueCarryingSQL    = enqueueBy(turnSQL) + carriedFields.names()
	enqueueOneSQL         = enqueueOne + postedFields.names()
	enqueueOneCarryingSQL = enqueueOne + carriedFields.names()
)

// postedFields are what a posting reads of its jobs, as the host's triggers may have left them: all but what comes with a run.
var postedFields = jobFields.without("j.process_id", "j.worker_id", "j.token", "j.secret", "j.started_at", "j.ended_at", "j.error", "j.result", "j.percent", "j.message")

func enqueueBy(turn string) string {
	return `
	WITH wanted AS (
		SELECT j.* FROM ` + enqueueColumns.rows(1, "j", "n") + `
		WHERE ` + newJobSQL("j") + `
	)` + turn + insertJobsSQL(postedColumns) + `
	RETURNING`
}

// enqueueOne does what enqueueBy does with turnSQL where there is nothing to add up: a single job stands where its tenant ends.
var enqueueOne = `
	WITH turn AS (` + takeTurnSQL(`greatest(p.step, `+floorSQL+`), p.step
		FROM `+enqueueColumns.row(1, "p")+`
		WHERE `+newJobSQL("p")) + `
	)` + insertJobsFrom(postedColumns, `turn.place`, `
		FROM turn CROSS JOIN `+enqueueColumns.row(1, "p")) + `
	RETURNING`

// newJobSQL is true for a job that is not there yet, nor another one with its unique key.
func newJobSQL(of string) string {
	return strings.ReplaceAll(`NOT EXISTS (SELECT FROM dormouse.jobs x WHERE x.id = j.id)
			AND NOT EXISTS (SELECT FROM dormouse.jobs x
				WHERE x.organization_id = j.organization_id AND x.type = j.type AND x.unique_key = j.unique_key AND x.state < 2)`, "j.", of+".")
}

var jobsByIDSQL = `SELECT` + jobColumns + ` FROM dormouse.jobs j WHERE j.id = ANY ($1)`

// jobsByUniqueSQL finds the jobs that have unique keys now.
var jobsByUniqueSQL = `
	SELECT` + jobColumns + `
	FROM unnest($1::uuid[], $2::text[], $3::text[]) AS u (organization_id, type, unique_key)
	JOIN dormouse.jobs j ON j.organization_id = u.organization_id AND j.type = u.type AND j.unique_key = u.unique_key AND j.state < 2`

// uniqueKey is what keeps a job from being there twice.
type uniqueKey struct {
	organization uuid.UUID
	kind, key    string
}

// uniqueOf is the key of a job; of one without it is its id, of which there is one anyway.
func uniqueOf(j *queue.Job) uniqueKey {
	if j.Unique == "" {
		return uniqueKey{organization: j.ID}
	}
	return uniqueKey{j.Organization, j.Type, j.Unique}
}

// Enqueue implements [queue.Queue].
func (s *Store) Enqueue(ctx context.Context, now time.Time, postings []queue.Posting) ([]queue.Job, error) {
	if len(postings) == 0 {
		return nil, ctx.Err()
	}
	rows := make([]queue.Job, len(postings))
	for i, p := range postings {
		row, err := p.Job(now)
		if err != nil {
			return nil, fmt.Errorf("enqueue: posting %d: %w", i, err)
		}
		rows[i] = row
	}
	if err := s.atomic(ctx, func() error { return s.enqueueAll(ctx, rows) }); err != nil {
		// What the search for the row writes is taken back with its error, also in a transaction of the host.
		return nil, fmt.Errorf("enqueue jobs (%d): %w", len(postings), s.atomic(ctx, func() error { return s.blamePosting(ctx, rows, err) }))
	}
	return rows, nil
}

// blamePosting names the posting that is refused, if one is.
func (s *Store) blamePosting(ctx context.Context, rows []queue.Job, refusal error) error {
	if !refusesRow(refusal) {
		return refusal
	}
	fresh, at := jobsToQueue(rows)
	name := func(i int) string { return namePosting(at[i], &rows[at[i]]) }
	// Tag sets may stay, and are numbered beside any transaction.
	switch err := s.numberTags(ctx, fresh); {
	case refusesRow(err):
		return firstRefused(refusal, len(fresh), func(from, to int) error { return s.numberTags(ctx, fresh[from:to]) }, name)
	case err != nil:
		return refusal
	}
	return s.blameRow(ctx, refusal, len(fresh), func(tx pgx.Tx, from, to int) error {
		_, err := tx.Exec(ctx, s.sql(enqueueSQL), parameters(enqueueColumns.args(fresh[from:to])))
		return err
	}, name)
}

func namePosting(i int, row *queue.Job) string { return fmt.Sprintf("posting %d, job %s", i, row.ID) }

// enqueueAll stores jobs, in more than one turn if need be: one that had a unique key may end before it is read; then the key is free, and
// the posting is made after all.
func (s *Store) enqueueAll(ctx context.Context, rows []queue.Job) error {
	for done, vain := 0, 0; done < len(rows); vain++ {
		n, err := s.enqueueSome(ctx, rows)
		if err == nil && n == 0 && vain == maxAttempts {
			// It is neither stored nor in the way of what shall be, again and again.
			i := slices.IndexFunc(rows, func(j queue.Job) bool { return j.Order == 0 })
			err = fmt.Errorf("%s: %w", namePosting(i, &rows[i]), leftOut("it"))
		}
		if err != nil {
			return err
		}
		if done += n; n > 0 {
			vain = 0
		}
	}
	return nil
}

// enqueueSome stores the jobs that have no place in line yet, and says how many have one now: their own, or that of the job
// that was there instead.
func (s *Store) enqueueSome(ctx context.Context, rows []queue.Job) (n int, err error) {
	fresh, _ := jobsToQueue(rows)
	var jobs []queue.Job
	err = s.numbered(func() error {
		if err := s.numberTags(ctx, fresh); err != nil {
			return err
		}
		jobs, err = s.insertPosted(ctx, len(fresh), enqueueColumns.args(fresh))
		return err
	})
	if err != nil {
		return 0, err
	}
	return s.enqueued(ctx, rows, byID(jobs))
}

// jobsToQueue are those that have no place in line yet, each once, and where they are among the rows.
func jobsToQueue(rows []queue.Job) (fresh []jobToQueue, at []int) {
	seen := make(map[uniqueKey]bool, len(rows))
	ids := make(map[uuid.UUID]bool, len(rows))
	for i := range rows {
		row := &rows[i]
		if key := uniqueOf(row); row.Order == 0 && !seen[key] && !ids[row.ID] {
			seen[key], ids[row.ID] = true, true
			fresh, at = append(fresh, jobToQueue{Job: *row}), append(at, i)
		}
	}
	return fresh, at
}

// insertPosted stores n jobs in the turns of their tenants. Where a session that was left open holds a tenant's number, as a long
// transaction of the host does, they are numbered behind what is committed: that is worth a turn, and no waiting without end.
func (s *Store) insertPosted(ctx context.Context, n int, args []any) ([]queue.Job, error) {
	var l jobList
	m, carries := s.carriedBy(ctx)
	text, fields := enqueueSQL, postedFields
	switch {
	case carries && n == 1:
		text = enqueueOneCarryingSQL
	case carries:
		text = enqueueCarryingSQL
	case n == 1:
		text = enqueueOneSQL
	}
	if carries {
		fields, args = carriedFields, append(args, m.args()...)
	}
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.patient(ctx, batchSteadySQL, text, args, func(rows pgx.Rows) error { return l.read(rows, fields) })
	})
	switch {
	case carries && isQueueFull(err):
		return s.insertPosted(withoutMessage(ctx), n, args[:len(enqueueColumns)])
	case errors.Is(err, errHeld):
		args = args[:len(enqueueColumns)]
		return s.lockJobs(ctx, enqueuePassingSQL, args...) // a job with the same key may be held, too
	case err != nil:
		return nil, err
	}
	return l.jobs, s.fillTags(ctx, l.jobs, l.tagSets)
}

// enqueued replaces the jobs that were inserted by what is stored, and the others by what was there.
func (s *Store) enqueued(ctx context.Context, rows []queue.Job, inserted map[uuid.UUID]queue.Job) (n int, err error) {
	unique := make(map[uniqueKey]queue.Job, len(inserted))
	for _, j := range inserted {
		unique[uniqueOf(&j)] = j
	}
	taken := make(map[uuid.UUID]bool, len(inserted))
	var left []*queue.Job
	for i := range rows {
		row := &rows[i]
		if row.Order != 0 {
			continue
		}
		if j, ok := inserted[row.ID]; ok && !taken[row.ID] {
			*row, taken[row.ID] = j.Clone(), true
			n++
			continue
		}
		left = append(left, row)
	}
	known, err := s.known(ctx, left, inserted, unique)
	if err != nil {
		return n, fmt.Errorf("read jobs that were enqueued before: %w", err)
	}
	for _, row := range left {
		if j, ok := known(row); ok {
			*row = j.Clone()
			row.Duplicate = true
			n++
		}
	}
	return n, nil
}

// known returns a function that finds the job which is there instead of another: by its id, or by its unique key.
func (s *Store) known(ctx context.Context, left []*queue.Job, ids map[uuid.UUID]queue.Job, unique map[uniqueKey]queue.Job) (func(*queue.Job) (queue.Job, bool), error) {
	var wanted, organizations []key
	var kinds, uniques []string
	for _, row := range left {
		if _, ok := ids[row.ID]; !ok {
			wanted = append(wanted, key(row.ID))
		}
		if _, ok := unique[uniqueOf(row)]; !ok && row.Unique != "" {
			organizations, kinds, uniques = append(organizations, key(row.Organization)), append(kinds, row.Type), append(uniques, row.Unique)
		}
	}
	if len(wanted) > 0 {
		found, err := s.queryJobs(ctx, repeatable, jobsByIDSQL, wanted)
		if err != nil {
			return nil, err
		}
		maps.Copy(ids, byID(found))
	}
	if len(uniques) > 0 {
		found, err := s.queryJobs(ctx, repeatable, jobsByUniqueSQL, organizations, kinds, uniques)
		if err != nil {
			return nil, err
		}
		for _, j := range found {
			unique[uniqueOf(&j)] = j
		}
	}
	return func(row *queue.Job) (queue.Job, bool) {
		if j, ok := ids[row.ID]; ok {
			return j, true
		}
		j, ok := unique[uniqueOf(row)]
		return j, ok && row.Unique != ""
	}, nil
}
