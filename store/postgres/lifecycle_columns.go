package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// encoded are the changes of a batch as columns.
type encoded struct {
	changes []any // the parameters of matchSQL
	builds  bool  // whether there are new ones
	events  eventColumns
	of      []key // the workspace of each job
	jobs    []queue.Job
}

type eventColumns struct {
	workspace []key
	topic     []int16
	body      []string
}

// column is one value of each row.
func column[R, V any](rows []R, of func(*R) V) []V {
	values := make([]V, len(rows))
	for i := range rows {
		values[i] = of(&rows[i])
	}
	return values
}

// encode turns changes into columns. The error blames the change that no row can be made of.
func encode(now time.Time, changes []lifecycle.Change) (*encoded, error) {
	e := &encoded{changes: changeColumns(changes)}
	for i := range changes {
		if err := e.add(now, &changes[i], len(changes)); err != nil {
			return nil, &lifecycle.ChangeError{WorkspaceID: changes[i].Workspace.ID, Err: err}
		}
	}
	return e, nil
}

// add adds what a change, one of n, has beyond its workspace and build.
func (e *encoded) add(now time.Time, c *lifecycle.Change, n int) error {
	e.builds = e.builds || c.NewBuild
	for _, event := range c.Events {
		body, err := json.Marshal(event)
		if err != nil {
			return fmt.Errorf("event %s: %w", event.Kind, err)
		}
		e.events.workspace = append(e.events.workspace, key(c.Workspace.ID))
		e.events.topic = append(e.events.topic, int16(event.Topic))
		e.events.body = append(e.events.body, string(body))
	}
	if c.Job == nil {
		return nil
	}
	j, err := buildjobs.JobOf(*c.Job, now)
	if err != nil {
		return err
	}
	if e.jobs == nil {
		e.jobs, e.of = make([]queue.Job, 0, n), make([]key, 0, n)
	}
	e.jobs, e.of = append(e.jobs, j), append(e.of, key(c.Workspace.ID))
	return nil
}

// statement is the smallest statement that writes the changes, and its parameters. The numbers are those of the tag sets
// of the jobs.
func (e *encoded) statement(tagSets map[queue.TagSet]int32) (string, []any) {
	if !e.builds && len(e.events.body) == 0 && len(e.jobs) == 0 {
		return touchSQL, e.changes
	}
	args := append(e.changes, e.events.workspace, e.events.topic, e.events.body, e.of)
	return commitSQL, append(args, jobColumnsOf(e.jobs, tagSets)...)
}

// changeColumns are the workspaces and builds of the changes, in the order of matchSQL.
func changeColumns(changes []lifecycle.Change) []any {
	type change = lifecycle.Change
	columns := append([]any{
		column(changes, func(c *change) key { return key(c.Workspace.ID) }),
		column(changes, func(c *change) int64 { return c.Revision }),
		column(changes, func(c *change) bool { return c.NewBuild }),
		column(changes, func(c *change) stamp { return stamp(c.Workspace.WakeAt) }),
	}, stateColumns(changes, func(c *change) *lifecycle.Workspace { return &c.Workspace })...)
	return append(columns,
		column(changes, func(c *change) key { return key(c.Build.ID) }),
		column(changes, func(c *change) int64 { return c.Build.Number }),
		column(changes, func(c *change) key { return key(c.Build.TemplateVersionID) }),
		column(changes, func(c *change) int16 { return int16(c.Build.Transition) }),
		column(changes, func(c *change) string { return store.Text(string(c.Build.Reason)) }),
		column(changes, func(c *change) int16 { return int16(c.Build.Status) }),
		column(changes, func(c *change) stamp { return stamp(c.Build.CreatedAt) }),
		column(changes, func(c *change) stamp { return stamp(c.Build.CompletedAt) }),
		column(changes, func(c *change) stamp { return stamp(c.Build.Deadline) }),
		column(changes, func(c *change) stamp { return stamp(c.Build.MaxDeadline) }),
	)
}

// stateColumns are the columns of workspaces that can change, but for the wake, in the order of all statements.
func stateColumns[R any](rows []R, of func(*R) *lifecycle.Workspace) []any {
	return []any{
		column(rows, func(r *R) string { return store.Text(of(r).Autostart.Text()) }),
		column(rows, func(r *R) stamp { return stamp(of(r).AutostartAfter) }),
		column(rows, func(r *R) int64 { return int64(of(r).TTL) }),
		column(rows, func(r *R) stamp { return stamp(of(r).LastUsedAt) }),
		column(rows, func(r *R) stamp { return stamp(of(r).DormantAt) }),
		column(rows, func(r *R) stamp { return stamp(of(r).DeletingAt) }),
		column(rows, func(r *R) stamp { return stamp(of(r).HoldUntil) }),
		column(rows, func(r *R) stamp { return stamp(of(r).RemindedFor) }),
		column(rows, func(r *R) bool { return of(r).AutomaticUpdates }),
		column(rows, func(r *R) bool { return of(r).Managed }),
		column(rows, func(r *R) bool { return of(r).Deleted }),
		column(rows, func(r *R) int32 { return count32(of(r).Failures) }),
		column(rows, func(r *R) stamp { return stamp(of(r).AttentionAt) }),
		column(rows, func(r *R) stamp { return stamp(of(r).Backoff.Until) }),
		column(rows, func(r *R) int32 { return count32(of(r).Backoff.Attempts) }),
		column(rows, func(r *R) string { return store.Text(string(of(r).Backoff.Cause)) }),
		column(rows, func(r *R) string { return store.Text(of(r).Backoff.Message) }),
	}
}

// jobColumnsOf are jobs to queue, in the order of jobParameters.
func jobColumnsOf(jobs []queue.Job, tagSets map[queue.TagSet]int32) []any {
	type job = queue.Job
	return []any{
		column(jobs, func(j *job) key { return key(j.ID) }),
		column(jobs, func(j *job) key { return key(j.Organization) }),
		column(jobs, func(j *job) key { return key(j.Tenant) }),
		column(jobs, func(j *job) string { return j.Type }),
		column(jobs, func(j *job) int32 { return tagSets[j.Tags] }),
		column(jobs, func(j *job) int16 { return j.Priority }),
		column(jobs, func(j *job) int32 { return count32(j.Weight) }),
		column(jobs, func(j *job) int64 { return queue.FairOrder(0, 0, j.Weight) }),
		column(jobs, func(j *job) []byte { return j.Payload }),
		column(jobs, func(j *job) string { return j.Trace }),
		column(jobs, func(j *job) stamp { return stamp(j.CreatedAt) }),
		column(jobs, func(j *job) stamp { return stamp(j.ReadyAt) }),
	}
}

// index of the changes by workspace.
func indexOf(changes []lifecycle.Change) map[uuid.UUID]int {
	index := make(map[uuid.UUID]int, len(changes))
	for i := range changes {
		index[changes[i].Workspace.ID] = i
	}
	return index
}
