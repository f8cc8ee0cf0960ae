package sqlite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

// Renew implements [queue.Leases].
func (s *Store) Renew(ctx context.Context, now time.Time, renewals []queue.Renewal) ([]queue.Renewed, error) {
	if len(renewals) == 0 {
		return nil, ctx.Err()
	}
	answers := make([]queue.Renewed, len(renewals))
	refused, err := s.apart(ctx, len(renewals), func(t *tx, i int) (err error) {
		answers[i], err = t.renew(now, &renewals[i])
		return err
	})
	if err != nil {
		return nil, unavailable(err, "renew leases (%d)", len(renewals))
	}
	for i, why := range refused {
		if why != nil {
			answers[i] = queue.Renewed{Err: why}
		}
	}
	return answers, nil
}

func (t *tx) renew(now time.Time, r *queue.Renewal) (queue.Renewed, error) {
	var percent, message any
	if r.Progress != nil {
		percent, message = int64(r.Progress.Percent), form.Text(r.Progress.Message)
	}
	var canceled bool
	var logged int64
	live, err := t.queryRow(`
		UPDATE {jobs} SET process_id = ?1, percent = coalesce(?2, percent), message = coalesce(?3, message)
		WHERE id = ?4 AND state = 2 AND fence = ?5 AND organization_id = ?6 AND worker_id = ?7 AND secret = ?8
			AND EXISTS (SELECT 1 FROM {processes} p WHERE p.id = ?1 AND p.lost_at IS NULL)
		RETURNING cancel_at IS NOT NULL, logged`,
		append([]any{blob(r.Process), percent, message}, handoutArgs(&r.Handout)...), &canceled, &logged)
	switch {
	case err != nil:
		return queue.Renewed{}, err
	case !live:
		return t.notRenewed(r)
	}
	return queue.Renewed{Canceled: canceled}, t.log(r, logged, now)
}

// log appends the lines of a renewal, as far as the log takes them.
func (t *tx) log(r *queue.Renewal, logged int64, now time.Time) error {
	if len(r.Lines) == 0 {
		return nil
	}
	clean := *r
	clean.Lines = make([]queue.Line, len(r.Lines))
	for i, line := range r.Lines {
		clean.Lines[i] = queue.Line{At: line.At, Text: form.Text(line.Text)}
	}
	lines, size := queue.AdmitLines(logged, clean, now)
	if len(lines) == 0 {
		return nil
	}
	if err := t.execOne(`UPDATE {jobs} SET logged = ? WHERE id = ?`, size, blob(r.Lease.Job)); err != nil {
		return err
	}
	return t.appendLines(r.Lease.Job, lines)
}

// notRenewed tells a lease that is over from a process that may not take it, and from a row that was left out.
func (t *tx) notRenewed(r *queue.Renewal) (queue.Renewed, error) {
	var takes bool
	live, err := t.queryRow(`
		SELECT EXISTS (SELECT 1 FROM {processes} p WHERE p.id = ?6 AND p.lost_at IS NULL)
		FROM {jobs} WHERE id = ?1 AND state = 2 AND fence = ?2 AND organization_id = ?3 AND worker_id = ?4 AND secret = ?5`,
		append(handoutArgs(&r.Handout), blob(r.Process)), &takes)
	switch {
	case err != nil:
		return queue.Renewed{}, err
	case !live:
		return queue.Renewed{Err: queue.ErrLeaseLost}, nil
	case takes:
		return queue.Renewed{}, errNotWritten
	}
	return queue.Renewed{Err: queue.ErrProcessLost}, nil
}

// handoutArgs are what a running job is compared with: id, fence, organization, worker and secret.
func handoutArgs(h *queue.Handout) []any {
	return []any{blob(h.Lease.Job), h.Lease.Fence, blob(h.Organization), blob(h.Worker), secretBlob(h.Secret.Hash())}
}

// secretBlob is a secret's hash as it is stored: empty if there is none, which no handout has.
func secretBlob(h queue.SecretHash) []byte {
	if h == (queue.SecretHash{}) {
		return []byte{}
	}
	return h[:]
}

// Reassign implements [queue.Leases].
func (s *Store) Reassign(ctx context.Context, moves []queue.Reassignment) (accepted []bool, err error) {
	if len(moves) == 0 {
		return nil, ctx.Err()
	}
	accepted = make([]bool, len(moves))
	refused, err := s.apart(ctx, len(moves), func(t *tx, i int) error {
		m := &moves[i]
		n, err := t.exec(`UPDATE {jobs} SET worker_id = ? WHERE id = ? AND state = 2 AND fence = ? AND process_id = ?`,
			blob(m.Worker), blob(m.Lease.Job), m.Lease.Fence, blob(m.Process))
		accepted[i] = n > 0
		return err
	})
	if err != nil {
		return nil, unavailable(err, "reassign jobs (%d)", len(moves))
	}
	for i, why := range refused {
		accepted[i] = accepted[i] && why == nil
	}
	return accepted, nil
}

func (t *tx) appendLines(job uuid.UUID, lines []queue.Line) error {
	var seq int64
	if _, err := t.queryRow(`SELECT coalesce(max(seq), 0) FROM {lines} WHERE job_id = ?`, []any{blob(job)}, &seq); err != nil {
		return err
	}
	for _, line := range lines {
		seq++
		if _, err := t.exec(`INSERT INTO {lines} (job_id, seq, at, text) VALUES (?, ?, ?, ?)`,
			blob(job), seq, micros(line.At), line.Text); err != nil {
			return err
		}
	}
	return nil
}

// End implements [queue.Leases].
func (s *Store) End(ctx context.Context, now time.Time, ends []queue.End) ([]queue.Ended, error) {
	if len(ends) == 0 {
		return nil, ctx.Err()
	}
	answers := make([]queue.Ended, len(ends))
	refused, err := s.apart(ctx, len(ends), func(t *tx, i int) (err error) {
		answers[i], err = t.end(now, &ends[i])
		return err
	})
	if err != nil {
		return nil, unavailable(err, "end attempts (%d)", len(ends))
	}
	for i, why := range refused {
		if why != nil {
			answers[i] = queue.Ended{Err: why}
		}
	}
	return answers, nil
}

func (t *tx) end(now time.Time, e *queue.End) (queue.Ended, error) {
	j, ok, err := t.job(e.Lease.Job)
	switch {
	case err != nil:
		return queue.Ended{}, err
	case !ok || !e.Accepts(&j):
		return queue.Ended{Err: queue.ErrLeaseLost}, nil
	case j.State != queue.Running:
		return queue.Ended{Job: j.Outline(), Again: true}, nil
	}
	if e.Recorded() {
		clean := *e
		clean.Error = form.Text(e.Error)
		if err := t.record(j.ID, queue.AttemptOf(j, clean, store.Instant(now))); err != nil {
			return queue.Ended{}, err
		}
	}
	state := e.Outcome.State()
	if state == queue.Pending && !j.CancelAt.IsZero() {
		state = queue.Canceled
	}
	if e.Outcome == queue.OutcomeReleased {
		j.Attempt--
	}
	if e.Error != "" || state != queue.Pending {
		j.Error = form.Text(e.Error)
	}
	if state.Final() {
		j, err = t.finish(&j, stored(state), now, e.Result)
	} else {
		j, err = t.requeue(&j, now, e.ReadyAt)
	}
	return queue.Ended{Job: j.Outline()}, err
}

var (
	finishJob = `
UPDATE {jobs} SET state = ?, attempt = ?, error = ?, result = ?, ended_at = ? WHERE id = ? RETURNING` + jobColumns
	requeueJob = `
UPDATE {jobs} SET state = ?, attempt = ?, error = ?, line = ?, ready_at = ?, started_at = NULL WHERE id = ? RETURNING` + jobColumns
)

func (t *tx) finish(j *queue.Job, state int64, now time.Time, result []byte) (queue.Job, error) {
	return t.changed(finishJob, state, int64(j.Attempt), j.Error, nullable(result), micros(now), blob(j.ID))
}

// requeue puts a job back in front: at the number claimed last, which is not above any number that waits.
func (t *tx) requeue(j *queue.Job, now, readyAt time.Time) (queue.Job, error) {
	front, err := t.floor(floorKey{j.Organization, j.Priority})
	if err != nil {
		return queue.Job{}, err
	}
	now, readyAt = store.Instant(now), store.Instant(readyAt)
	if readyAt.Before(now) {
		readyAt = now
	}
	return t.changed(requeueJob,
		pendingState(readyAt, now), int64(j.Attempt), j.Error, front, micros(readyAt), blob(j.ID))
}

// changed runs an update of one job that is there and returns it.
func (t *tx) changed(statement string, args ...any) (queue.Job, error) {
	jobs, err := t.jobs(statement, args...)
	if err == nil && len(jobs) == 0 {
		err = errNotWritten
	}
	if err != nil {
		return queue.Job{}, err
	}
	return jobs[0], nil
}

// Cancel implements [queue.Leases].
func (s *Store) Cancel(ctx context.Context, c queue.Cancellation) (changed []queue.Job, err error) {
	if len(c.IDs) == 0 {
		return nil, ctx.Err()
	}
	if c.Expire {
		changed, err = s.expire(ctx, c)
	} else {
		changed, err = s.changeAll(ctx, c.IDs, func(t *tx, id uuid.UUID) ([]queue.Job, error) { return t.cancel(id, &c) })
	}
	if err != nil {
		return nil, unavailable(err, "cancel jobs (%d)", len(c.IDs))
	}
	return changed, nil
}

// changeAll changes all of some jobs or, with an error that names the first that cannot be, none. Which one a constraint refuses that waits for
// the commit is known only of one alone.
func (s *Store) changeAll(ctx context.Context, ids []uuid.UUID, change func(*tx, uuid.UUID) ([]queue.Job, error)) (changed []queue.Job, err error) {
	named := false
	err = s.write(ctx, func(t *tx) error {
		changed = nil
		for _, id := range ids {
			jobs, err := change(t, id)
			if err != nil {
				named = true
				return fmt.Errorf("job %s: %w", id, err)
			}
			changed = append(changed, jobs...)
		}
		return nil
	})
	switch {
	case !rejects(err) || named:
		return changed, err
	case len(ids) == 1:
		return nil, fmt.Errorf("job %s: %w", ids[0], err)
	}
	return nil, fmt.Errorf("one of them, at the commit: %w", err)
}

// expire passes over a job that the host keeps from being written.
func (s *Store) expire(ctx context.Context, c queue.Cancellation) ([]queue.Job, error) {
	expired := make([][]queue.Job, len(c.IDs))
	refused, err := s.apart(ctx, len(c.IDs), func(t *tx, i int) (err error) {
		expired[i], err = t.cancel(c.IDs[i], &c)
		return err
	})
	for i, why := range refused {
		if why != nil {
			expired[i] = nil
		}
	}
	s.warn(ctx, "jobs cannot be given up", "job", refusalsOf(c.IDs, refused))
	return slices.Concat(expired...), err
}

const (
	expirable   = ` WHERE id = ?3 AND state IN (0, 1) AND (?4 IS NULL OR organization_id = ?4)`
	cancellable = ` WHERE id = ?3 AND (state IN (0, 1) OR state = 2 AND cancel_at IS NULL) AND (?4 IS NULL OR organization_id = ?4)`
)

var (
	expireJob = `
UPDATE {jobs} SET state = 4, error = ?1, ended_at = ?2` + expirable + ` RETURNING` + jobColumns
	cancelJob = `
UPDATE {jobs} SET cancel_at = ?2, state = iif(state = 2, 2, 5), error = iif(state = 2, error, ?1), ended_at = iif(state = 2, NULL, ?2)` +
		cancellable + ` RETURNING` + jobColumns
)

// cancel returns the job if it changed.
func (t *tx) cancel(id uuid.UUID, c *queue.Cancellation) ([]queue.Job, error) {
	statement, which := cancelJob, cancellable
	if c.Expire {
		statement, which = expireJob, expirable
	}
	args := []any{form.Text(c.Reason), micros(c.Now), blob(id), nil}
	if c.Organization != nil {
		args[3] = blob(*c.Organization)
	}
	jobs, err := t.jobs(statement, args...)
	if err != nil || len(jobs) > 0 {
		return jobs, err
	}
	found, err := t.queryRow(`SELECT 1 FROM {jobs}`+which, args, new(int))
	if err == nil && found {
		err = errNotWritten // it is as it was
	}
	return nil, err
}
