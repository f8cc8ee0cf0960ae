package postgres

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dormouse-go/dormouse/store/form"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/dormouse-go/dormouse/acquirer/buildjobs"
	"github.com/dormouse-go/dormouse/lifecycle"
)

type (
	workspace = lifecycle.Workspace
	build     = lifecycle.Build
	change    = lifecycle.Change
)

// fixedColumns are what a workspace is created with and keeps.
var fixedColumns = columns[workspace]{
	col("id", "uuid", func(w *workspace) key { return key(w.ID) }),
	col("organization_id", "uuid", func(w *workspace) key { return key(w.OrganizationID) }),
	col("owner_id", "uuid", func(w *workspace) key { return key(w.OwnerID) }),
	col("template_id", "uuid", func(w *workspace) key { return key(w.TemplateID) }),
	col("name", "text", func(w *workspace) string { return form.Text(w.Name) }),
	col("created_at", "timestamptz", func(w *workspace) stamp { return stamp(w.CreatedAt) }),
}

// stateColumns are what changes of a workspace write and new ones have.
var stateColumns = columns[workspace]{
	col("autostart", "text", func(w *workspace) string { return form.Text(w.Autostart.Text()) }),
	col("autostart_after", "timestamptz", func(w *workspace) stamp { return stamp(w.AutostartAfter) }),
	col("autostop", "text", func(w *workspace) zeronull.Text { return zeronull.Text(form.Text(w.Autostop.Text())) }),
	col("ttl_ns", "bigint", func(w *workspace) int64 { return int64(w.TTL) }),
	col("last_used_at", "timestamptz", func(w *workspace) stamp { return stamp(w.LastUsedAt) }),
	col("dormant_at", "timestamptz", func(w *workspace) stamp { return stamp(w.DormantAt) }),
	col("deleting_at", "timestamptz", func(w *workspace) stamp { return stamp(w.DeletingAt) }),
	col("hold_until", "timestamptz", func(w *workspace) stamp { return stamp(w.Hold.Until) }),
	col("hold_rules", "smallint", func(w *workspace) zeronull.Int2 { return zeronull.Int2(w.Hold.Rules) }),
	col("hold_note", "text", func(w *workspace) zeronull.Text { return zeronull.Text(form.Text(w.Hold.Note)) }),
	col("hold_by", "text", func(w *workspace) zeronull.Text { return zeronull.Text(form.Text(w.Hold.By)) }),
	col("stop_floor", "timestamptz", func(w *workspace) stamp { return stamp(w.Floors.Stop) }),
	col("dormancy_floor", "timestamptz", func(w *workspace) stamp { return stamp(w.Floors.Dormancy) }),
	col("delete_floor", "timestamptz", func(w *workspace) stamp { return stamp(w.Floors.Delete) }),
	col("reminded_for", "timestamptz", func(w *workspace) stamp { return stamp(w.RemindedFor) }),
	col("automatic_updates", "boolean", func(w *workspace) bool { return w.AutomaticUpdates }),
	col("managed", "boolean", func(w *workspace) bool { return w.Managed }),
	col("deleted", "boolean", func(w *workspace) bool { return w.Deleted }),
	col("failures", "integer", func(w *workspace) int32 { return count32(w.Failures) }),
	col("start_failures", "integer", func(w *workspace) zeronull.Int4 { return zeronull.Int4(count32(w.StartFailures)) }),
	col("attention_at", "timestamptz", func(w *workspace) stamp { return stamp(w.AttentionAt) }),
	col("backoff_until", "timestamptz", func(w *workspace) stamp { return stamp(w.Backoff.Until) }),
	col("backoff_attempts", "integer", func(w *workspace) int32 { return count32(w.Backoff.Attempts) }),
	col("backoff_cause", "text", func(w *workspace) string { return form.Text(string(w.Backoff.Cause)) }),
	col("backoff_message", "text", func(w *workspace) string { return form.Text(w.Backoff.Message) }),
}

// seenColumns are the rules that a workspace follows: those of a new one are what they are.
var seenColumns = columns[workspace]{
	col("template_seen", "bigint", func(w *workspace) zeronull.Int8 { return zeronull.Int8(w.Seen.Template) }),
	col("owner_seen", "bigint", func(w *workspace) zeronull.Int8 { return zeronull.Int8(w.Seen.Owner) }),
}

// writtenColumns are what changes of a workspace write, but for the wake.
var writtenColumns = concat(stateColumns, seenColumns)

// buildColumns are a build: as they stand in dormouse.builds, and with the prefix build_ in dormouse.workspaces.
var buildColumns = columns[build]{
	col("id", "uuid", func(b *build) key { return key(b.ID) }),
	col("number", "bigint", func(b *build) int64 { return b.Number }),
	col("version_id", "uuid", func(b *build) key { return key(b.TemplateVersionID) }),
	col("transition", "smallint", func(b *build) int16 { return int16(b.Transition) }),
	col("reason", "text", func(b *build) string { return form.Text(string(b.Reason)) }),
	col("status", "smallint", func(b *build) int16 { return int16(b.Status) }),
	col("initiator", "text", func(b *build) zeronull.Text { return zeronull.Text(form.Text(b.Initiator)) }),
	col("error", "text", func(b *build) zeronull.Text { return zeronull.Text(form.Text(b.Error)) }),
	col("result", "text", func(b *build) zeronull.Text { return zeronull.Text(form.Text(b.Result)) }),
	col("created_at", "timestamptz", func(b *build) stamp { return stamp(b.CreatedAt) }),
	col("completed_at", "timestamptz", func(b *build) stamp { return stamp(b.CompletedAt) }),
	col("due_at", "timestamptz", func(b *build) stamp { return stamp(b.DueAt) }),
	col("ttl_ns", "bigint", func(b *build) zeronull.Int8 { return zeronull.Int8(b.TTL) }),
	col("run_since", "timestamptz", func(b *build) stamp { return stamp(b.RunSince) }),
	col("deadline", "timestamptz", func(b *build) stamp { return stamp(b.Deadline) }),
	col("max_deadline", "timestamptz", func(b *build) stamp { return stamp(b.MaxDeadline) }),
}

// latestColumns are the latest build of a change, as they stand in dormouse.workspaces.
var latestColumns = within("build_", buildColumns, func(c *change) *build { return &c.Build })

// changeColumns are a change without its job and events.
var changeColumns = concat(
	columns[change]{
		col("id", "uuid", func(c *change) key { return key(c.Workspace.ID) }),
		col("revision", "bigint", func(c *change) int64 { return c.Revision }),
		col("new_build", "boolean", func(c *change) bool { return c.NewBuild }),
		col("wake_at", "timestamptz", func(c *change) stamp { return stamp(c.Workspace.WakeAt) }),
	},
	within("", writtenColumns, func(c *change) *workspace { return &c.Workspace }),
	latestColumns,
)

// eventRow is an event on its way to the outbox.
type eventRow struct {
	subject key
	topic   int16
	body    string
}

func eventRowOf(e *lifecycle.Event) (eventRow, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return eventRow{}, fmt.Errorf("event %s: %w", e.Kind, err)
	}
	return eventRow{key(e.Subject()), int16(e.Topic), withoutZero.Replace(string(body))}, nil
}

// withoutZero replaces zero characters in JSON. The server takes them, but fails every statement that looks into such a text:
// one event would keep all others from being pruned. A backslash before "u0000" that is itself escaped is none of theirs.
var withoutZero = strings.NewReplacer(`\\`, `\\`, `\u0000`, `\ufffd`)

var eventColumns = columns[eventRow]{
	col("workspace_id", "uuid", func(e *eventRow) key { return e.subject }),
	col("topic", "smallint", func(e *eventRow) int16 { return e.topic }),
	col("body", "text", func(e *eventRow) string { return e.body }),
}

// encoded are the changes of a batch on their way to the database.
type encoded struct {
	changes []change
	builds  bool // whether there are new ones
	events  []eventRow
	jobs    []jobToQueue
}

// encode makes rows of changes. The error blames the change that no row can be made of.
func encode(now time.Time, changes []change) (*encoded, error) {
	e := &encoded{changes: changes}
	for i := range changes {
		if err := e.add(now, &changes[i]); err != nil {
			return nil, &lifecycle.ChangeError{WorkspaceID: changes[i].Workspace.ID, Err: err}
		}
	}
	return e, nil
}

// add adds what a change has beyond its workspace and build.
func (e *encoded) add(now time.Time, c *change) error {
	e.builds = e.builds || c.NewBuild
	for i := range c.Events {
		row, err := eventRowOf(&c.Events[i])
		if err != nil {
			return err
		}
		row.subject = key(c.Workspace.ID)
		e.events = append(e.events, row)
	}
	if c.Job == nil {
		return nil
	}
	j, err := buildjobs.JobOf(*c.Job, now)
	if err != nil {
		return err
	}
	if e.jobs == nil {
		e.jobs = make([]jobToQueue, 0, len(e.changes))
	}
	e.jobs = append(e.jobs, jobToQueue{Job: j, workspace: key(c.Workspace.ID)})
	return nil
}

// statement is the smallest statement that writes the changes, and its parameters; commit is the largest.
func (e *encoded) statement(commit string) (string, *written) {
	w := newWritten(len(changeColumns)+len(eventColumns)+len(buildJobColumns), len(e.changes))
	changeColumns.add(w, e.changes)
	if !e.builds && len(e.events) == 0 && len(e.jobs) == 0 {
		return touchSQL, w
	}
	eventColumns.add(w, e.events)
	buildJobColumns.add(w, e.jobs)
	return commit, w
}

// indexOf numbers the changes by workspace.
func indexOf(changes []change) map[uuid.UUID]int {
	index := make(map[uuid.UUID]int, len(changes))
	for i := range changes {
		index[changes[i].Workspace.ID] = i
	}
	return index
}
