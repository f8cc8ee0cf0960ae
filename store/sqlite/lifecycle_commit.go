package sqlite

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// current is the condition under which a change is applied: the workspace has the revision that it names, and the build
// that it was made from.
const current = `id = ? AND build_number = ? AND ` + unchanged

const unchanged = `
	revision + (SELECT revision FROM {owners} o WHERE o.id = owner_id) + (SELECT revision FROM {templates} t WHERE t.id = template_id) = ?`

var (
	// updateWorkspace writes a workspace and its latest build.
	updateWorkspace = writeWorkspace + writeBuild + `
WHERE ` + current
	// updateArchived is for a workspace whose build was just moved aside: that it is current need not be found out again.
	updateArchived = writeWorkspace + writeBuild + `
WHERE id = ?`
	// updateAlone leaves the build as it is.
	updateAlone = writeWorkspace + `
WHERE id = ? AND ` + unchanged

	writeWorkspace = `
UPDATE {workspaces} SET revision = revision + 1, wake_at = ?,` + writtenColumns.set()
	writeBuild = `,` + latestColumns.set()
)

// Commit implements [lifecycle.Store].
func (s *Store) Commit(ctx context.Context, now time.Time, changes []lifecycle.Change) ([]lifecycle.Outcome, error) {
	return s.commitBatch(ctx, now, changes, nil)
}

func (s *Store) commitBatch(ctx context.Context, now time.Time, changes []lifecycle.Change, members []prewarm.Member) ([]lifecycle.Outcome, error) {
	if len(changes) == 0 {
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	batch := batch{now: now, changes: changes, members: members, outcomes: make([]lifecycle.Outcome, len(changes)), watched: s.watchers.Watched()}
	err := lifecycle.ValidateBatch(changes)
	if err == nil {
		err = batch.prepare()
	}
	if err == nil {
		err = s.write(ctx, batch.apply)
	}
	if len(changes) == 1 && rejects(err) { // by a constraint that waits for the commit, say, which names no row
		err = batch.blame(0, err)
	}
	if err != nil {
		return nil, unavailable(err, "commit changes (%d)", len(changes))
	}
	if batch.sooner {
		s.notify()
	}
	return batch.outcomes, nil
}

// batch is one commit.
type batch struct {
	now      time.Time
	changes  []lifecycle.Change
	members  []prewarm.Member // one for each change, or nil
	outcomes []lifecycle.Outcome
	// jobs and events of each change, made before the write lock is taken; nil if no change has any.
	jobs   []queue.Job
	events [][][]byte
	// archived says of each change whether its build was moved aside already.
	archived []bool
	// args of the statement at hand, kept for the next.
	args []any
	// watched: somebody wants to know whether the earliest wake comes sooner now.
	watched, sooner bool
}

// prepare encodes what needs no database.
func (b *batch) prepare() error {
	for i := range b.changes {
		if err := b.prepareOne(i); err != nil {
			return b.blame(i, err)
		}
	}
	return nil
}

func (b *batch) prepareOne(i int) error {
	c := &b.changes[i]
	if c.Job != nil {
		if b.jobs == nil {
			b.jobs = make([]queue.Job, len(b.changes))
		}
		var err error
		if b.jobs[i], err = buildjobs.JobOf(*c.Job, b.now); err != nil {
			return err
		}
	}
	for _, e := range c.Events {
		body, err := encodeEvent(e)
		if err != nil {
			return err
		}
		if b.events == nil {
			b.events = make([][][]byte, len(b.changes))
		}
		b.events[i] = append(b.events[i], body)
	}
	return nil
}

// blame names the change that an error is about, unless it is named already.
func (b *batch) blame(i int, err error) error {
	if named := (*lifecycle.ChangeError)(nil); errors.As(err, &named) {
		return err
	}
	return &lifecycle.ChangeError{WorkspaceID: b.changes[i].Workspace.ID, Err: err}
}

// apply writes the changes that are current.
func (b *batch) apply(t *tx) error {
	earliest, err := b.earliest(t)
	if err != nil {
		return err
	}
	if err := b.archive(t); err != nil {
		return err
	}
	jobs := make([]queue.Job, 0, len(b.jobs))
	for i := range b.changes {
		if err := b.applyOne(t, i); err != nil {
			if known(err) {
				return b.blame(i, err)
			}
			return err
		}
		if b.outcomes[i] != lifecycle.Applied {
			continue
		}
		if wake := b.changes[i].Workspace.WakeAt; b.watched && !wake.IsZero() && (earliest.IsZero() || wake.Before(earliest)) {
			b.sooner = true
		}
		if b.changes[i].Job != nil {
			jobs = append(jobs, b.jobs[i])
		}
	}
	_, err = t.insertJobs(b.now, jobs)
	return err
}

// earliest is the earliest wake before the commit, if anybody wants to know.
func (b *batch) earliest(t *tx) (wake time.Time, err error) {
	if b.watched {
		_, err = t.queryRow(`
			SELECT wake_at FROM {workspaces} INDEXED BY {workspaces_due}
			WHERE wake_at IS NOT NULL ORDER BY wake_at, id LIMIT 1`, nil, into(&wake))
	}
	return wake, err
}

func (b *batch) applyOne(t *tx, i int) error {
	c := &b.changes[i]
	if err := b.claim(t, i); err != nil || b.outcomes[i] != lifecycle.Applied {
		return err
	}
	from := c.Build.Number
	if c.NewBuild {
		from--
	}
	update, guard := updateWorkspace, []any{blob(c.Workspace.ID), from, c.Revision}
	if c.NewBuild && from > 0 {
		if !b.archived[i] {
			if n, err := t.exec(archiveBuild[len(archiveBuild)-1], guard...); n == 0 {
				return b.missed(t, i, err)
			}
		}
		update, guard = updateArchived, guard[:1]
	}
	args := writtenColumns.args(append(b.args[:0], micros(c.Workspace.WakeAt)), &c.Workspace)
	if c.Build.Number == 0 && !c.NewBuild {
		update, guard = updateAlone, []any{guard[0], c.Revision}
	} else {
		args = latestColumns.args(args, &c.Build)
	}
	b.args = append(args, guard...)
	if n, err := t.exec(update, b.args...); n == 0 {
		return b.missed(t, i, err)
	}
	if c.Claims {
		if err := t.handOver(&c.Workspace); err != nil {
			return err
		}
	}
	for k := range c.Events {
		if err := t.insertEvent(&c.Events[k], b.events[i][k]); err != nil {
			return err
		}
	}
	return nil
}

// missed finds out why a change was not written, or was refused by the table: the workspace moved on or is not there,
// which is a conflict, or the change itself is wrong.
func (b *batch) missed(t *tx, i int, refusal error) error {
	if refusal != nil && !rejects(refusal) {
		return refusal
	}
	c := &b.changes[i]
	var revision int64
	var latest lifecycle.Build
	found, err := t.queryRow(`
		SELECT w.revision + o.revision + t.revision, w.build_number, w.build_status
		FROM {workspaces} w CROSS JOIN {owners} o ON o.id = w.owner_id CROSS JOIN {templates} t ON t.id = w.template_id
		WHERE w.id = ?`, []any{blob(c.Workspace.ID)}, &revision, &latest.Number, &latest.Status)
	if err != nil {
		return err
	}
	if !found || revision != c.Revision {
		b.outcomes[i] = lifecycle.Conflict
		return nil
	}
	return cmp.Or(c.Validate(latest), refusal, errNotWritten)
}

// batchSize is where larger batches of changes stop being worth the wait of others: see the documentation of the package,
// and docs/performance/tick-sqlite.md for what was measured.
const batchSize = 500

// BatchSize implements [lifecycle.Batcher].
func (s *Store) BatchSize() int { return batchSize }
