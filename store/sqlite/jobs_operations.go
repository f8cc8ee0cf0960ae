package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/store"
)

// listStates are the stored states of each state.
var listStates = map[queue.State][]int64{
	queue.Pending: {stateReady, stateDelayed}, queue.Running: {stateRunning}, queue.Succeeded: {stateSucceeded},
	queue.Failed: {stateFailed}, queue.Canceled: {stateCanceled},
}

const (
	// scannedJobs are the latest jobs of a state in front of a place (?3, ?4), not before ?5, that a page looks at (?6).
	scannedJobs = `
WITH scanned AS MATERIALIZED (
	SELECT id, created_at, lane, tenant_id FROM {jobs} INDEXED BY {jobs_listed}
	WHERE organization_id = ?1 AND state = ?2 AND (created_at, id) < (?3, ?4) AND created_at >= ?5
	ORDER BY created_at DESC, id DESC LIMIT ?6
), matching AS (
	SELECT id, created_at FROM scanned
	WHERE (?7 IS NULL OR tenant_id = ?7) AND (?8 IS NULL OR lane IN (SELECT value FROM json_each(?8)))
) `
	cutOfScanned = scannedJobs + `
SELECT created_at, id FROM scanned ORDER BY created_at, id LIMIT iif((SELECT count(*) FROM scanned) = ?6, 1, 0)`
	countScanned = scannedJobs + `SELECT (SELECT count(*) FROM matching), (SELECT count(*) FROM scanned)`
)

var listScanned = scannedJobs + `
SELECT` + listedColumns + `FROM {jobs} WHERE id IN (SELECT id FROM matching ORDER BY created_at DESC, id DESC LIMIT ?9)`

// listedColumns are jobColumns without payload and result.
var listedColumns = func() string {
	names := slices.Clone(jobFields)
	for i := range names {
		if names[i].name == "payload" || names[i].name == "result" {
			names[i].name = "NULL"
		}
	}
	return names.names() + "\n"
}()

// ListJobs implements [queue.Operations].
func (s *Store) ListJobs(ctx context.Context, q queue.JobQuery) (page queue.JobPage, err error) {
	if q, err = q.Normalize(); err != nil {
		return queue.JobPage{}, err
	}
	var found []queue.StateJobs
	err = s.view(ctx, func(t *tx) error {
		found = nil
		return t.eachState(&q, queue.MaxExamined, func(_ queue.State, args []any) error {
			var f queue.StateJobs
			if _, err := t.queryRow(cutOfScanned, args, into(&f.Cut.CreatedAt), &f.Cut.ID); err != nil {
				return err
			}
			f.Jobs, err = t.jobs(listScanned, append(args, q.Limit+1)...)
			found = append(found, f)
			return err
		})
	})
	if err != nil {
		return queue.JobPage{}, unavailable(err, "list jobs of organization %s", q.Organization)
	}
	return q.PageOf(found), nil
}

// CountJobs implements [queue.Operations].
func (s *Store) CountJobs(ctx context.Context, q queue.JobQuery, countTo int) (queue.JobCounts, error) {
	q, err := q.Normalize()
	if err != nil {
		return queue.JobCounts{}, err
	}
	q.After = queue.JobPlace{}
	var counts queue.JobCounts
	err = s.view(ctx, func(t *tx) error {
		counts = queue.JobCounts{States: map[queue.State]int{}}
		return t.eachState(&q, max(countTo, 1), func(state queue.State, args []any) error {
			var matching, scanned int
			_, err := t.queryRow(countScanned, args, &matching, &scanned)
			if matching > 0 {
				counts.States[state] += matching
			}
			counts.Partial = counts.Partial || scanned >= max(countTo, 1)
			return err
		})
	})
	if err != nil {
		return queue.JobCounts{}, unavailable(err, "count jobs of organization %s", q.Organization)
	}
	return counts, nil
}

// eachState calls a function for each stored state that a query asks for, with the parameters of scannedJobs.
func (t *tx) eachState(q *queue.JobQuery, examine int, do func(state queue.State, args []any) error) error {
	lanes, err := t.lanesOf(q)
	if err != nil {
		return err
	}
	var tenant any
	if q.Tenant != uuid.Nil {
		tenant = blob(q.Tenant)
	}
	end := q.Before()
	from, bounded := micros(q.From).(int64)
	if !bounded {
		from = math.MinInt64
	}
	for _, state := range q.States {
		for _, stored := range listStates[state] {
			args := []any{blob(q.Organization), stored, micros(end.CreatedAt), blob(end.ID), from, examine, tenant, lanes}
			if err := do(state, args); err != nil {
				return err
			}
		}
	}
	return nil
}

// lanesOf are the numbers of the lanes that a query asks for by type and tag, as JSON; nil if it asks for none in particular.
func (t *tx) lanesOf(q *queue.JobQuery) (any, error) {
	if q.Type == "" && q.Tag == (queue.Tag{}) {
		return nil, nil
	}
	numbers := []int64{}
	err := t.query(`SELECT id, type, tags FROM {lanes} WHERE organization_id = ?`, func(r rows) error {
		var n int64
		var l queue.Lane
		var tags string
		if err := r.Scan(&n, &l.Type, &tags); err != nil {
			return err
		}
		var err error
		if l.Tags, err = queue.ParseTagSet(tags); err == nil && q.SelectsLane(l) { // one that cannot be read is a later version's
			numbers = append(numbers, n)
		}
		return nil
	}, blob(q.Organization))
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(numbers)
	return string(text), err
}

var retryJob = `
UPDATE {jobs} SET state = 0, attempt = 0, round = round + 1, line = ?, ready_at = ?, started_at = NULL, ended_at = NULL,
	cancel_at = NULL, result = NULL, percent = 0, message = ''
WHERE id = ? RETURNING` + jobColumns

// RetryJobs implements [queue.Operations].
func (s *Store) RetryJobs(ctx context.Context, r queue.Retry) (changed []queue.Job, err error) {
	if len(r.IDs) == 0 {
		return nil, ctx.Err()
	}
	r = r.Clean()
	r.Now = store.Instant(r.Now)
	changed, err = s.changeAll(ctx, r.IDs, func(t *tx, id uuid.UUID) ([]queue.Job, error) { return t.retry(id, &r) })
	if err != nil {
		return nil, unavailable(err, "retry jobs (%d)", len(r.IDs))
	}
	return changed, nil
}

// retry returns the job if it changed.
func (t *tx) retry(id uuid.UUID, r *queue.Retry) ([]queue.Job, error) {
	j, ok, err := t.job(id)
	if err != nil || !ok || !j.State.Final() || r.Organization != nil && j.Organization != *r.Organization {
		return nil, err
	}
	if j.Unique != "" {
		taken, err := t.queryRow(`SELECT 1 FROM {jobs} WHERE organization_id = ? AND unique_key = ? AND state < 3`,
			[]any{blob(j.Organization), uniqueKey(&j)}, new(int))
		if err != nil || taken {
			return nil, err
		}
	}
	front, err := t.floor(floorKey{j.Organization, j.Priority})
	if err != nil {
		return nil, err
	}
	if j, err = t.changed(retryJob, front, micros(r.Now), blob(id)); err != nil {
		return nil, err
	}
	return []queue.Job{j}, t.record(id, queue.RetryOf(j, *r))
}

// record adds an entry to a job's history. Those before it stay as they are written, whatever a later version has written in
// them.
func (t *tx) record(id uuid.UUID, a queue.Attempt) error {
	var text []byte
	if _, err := t.queryRow(`SELECT history FROM {jobs} WHERE id = ?`, []any{blob(id)}, &text); err != nil {
		return err
	}
	var history []json.RawMessage
	if text != nil {
		if err := json.Unmarshal(text, &history); err != nil {
			return fmt.Errorf("history of job %s: %w", id, err)
		}
	}
	entry, _ := json.Marshal(a) // texts, numbers and instants within bounds can be written, and so can what was read
	history = append(history, entry)
	text, _ = json.Marshal(history[max(0, len(history)-queue.MaxHistory):])
	return t.execOne(`UPDATE {jobs} SET history = ? WHERE id = ?`, text, blob(id))
}

func (t *tx) history(id uuid.UUID) (history []queue.Attempt, err error) {
	var text []byte
	if _, err = t.queryRow(`SELECT history FROM {jobs} WHERE id = ?`, []any{blob(id)}, &text); text == nil {
		return nil, err
	}
	if err = json.Unmarshal(text, &history); err != nil {
		return nil, fmt.Errorf("history of job %s: %w", id, err)
	}
	return history, nil
}

// Attempts implements [queue.Operations].
func (s *Store) Attempts(ctx context.Context, job uuid.UUID) (history []queue.Attempt, err error) {
	err = s.view(ctx, func(t *tx) error {
		history, err = t.history(job)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "attempts of job %s", job)
	}
	return history, nil
}

// PauseJobs implements [queue.Operations].
func (s *Store) PauseJobs(ctx context.Context, p queue.Pause) error {
	p, err := p.Normalize()
	if err != nil {
		return err
	}
	err = s.write(ctx, func(t *tx) error {
		return t.execOne(`
			INSERT INTO {pauses} (organization_id, type, paused_at, paused_by, note, ends_at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET paused_at = excluded.paused_at, paused_by = excluded.paused_by, note = excluded.note, ends_at = excluded.ends_at`,
			blob(p.Organization), p.Type, micros(p.At), p.By, p.Note, micros(p.Until))
	})
	return unavailable(err, "pause jobs")
}

// ResumeJobs implements [queue.Operations].
func (s *Store) ResumeJobs(ctx context.Context, scope queue.Scope) (was bool, err error) {
	if err := scope.Validate(); err != nil {
		return false, err
	}
	err = s.write(ctx, func(t *tx) error {
		was, err = t.remove(` FROM {pauses} WHERE organization_id = ? AND type = ?`, blob(scope.Organization), scope.Type)
		return err
	})
	return was, unavailable(err, "resume jobs")
}

// Pauses implements [queue.Operations].
func (s *Store) Pauses(ctx context.Context, now time.Time) (pauses []queue.Pause, err error) {
	err = s.view(ctx, func(t *tx) error {
		pauses, err = t.pauses(now)
		return err
	})
	if err != nil {
		return nil, unavailable(err, "list pauses")
	}
	return pauses, nil
}

// pauses are those in force; there are few at any time.
func (t *tx) pauses(now time.Time) (pauses []queue.Pause, err error) {
	err = t.query(`
		SELECT organization_id, type, paused_at, paused_by, note, ends_at FROM {pauses}
		WHERE ends_at IS NULL OR ends_at > ? ORDER BY organization_id, type`, func(r rows) error {
		var p queue.Pause
		err := r.Scan(&p.Organization, &p.Type, into(&p.At), &p.By, &p.Note, into(&p.Until))
		pauses = append(pauses, p)
		return err
	}, micros(now))
	return pauses, err
}

// paused reports whether one of the pauses concerns a lane.
func paused(pauses []queue.Pause, l queue.Lane) bool {
	return slices.ContainsFunc(pauses, func(p queue.Pause) bool { return p.Concerns(l) })
}

// resumed is the earlier of an instant and the first end of a pause that concerns the organizations; none are all.
func resumed(pauses []queue.Pause, organizations []uuid.UUID, next time.Time) time.Time {
	for _, p := range pauses {
		concerns := len(organizations) == 0 || p.Organization == uuid.Nil || slices.Contains(organizations, p.Organization)
		if concerns && !p.Until.IsZero() && (next.IsZero() || p.Until.Before(next)) {
			next = p.Until
		}
	}
	return next
}
