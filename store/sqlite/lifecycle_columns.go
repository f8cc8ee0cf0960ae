package sqlite

import (
	"slices"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/form"
)

type (
	workspace = lifecycle.Workspace
	build     = lifecycle.Build
)

// fixedColumns are what a workspace is created with and keeps, but for its owner and template.
var fixedColumns = columns[workspace]{
	{"id", func(w *workspace) any { return blob(w.ID) }},
	{"share", func(w *workspace) any { return share(w.ID) }},
	{"organization_id", func(w *workspace) any { return blob(w.OrganizationID) }},
	{"name", func(w *workspace) any { return form.Text(w.Name) }},
	{"created_at", func(w *workspace) any { return micros(w.CreatedAt) }},
}

// stateColumns are what changes of a workspace write and new ones have.
var stateColumns = columns[workspace]{
	{"autostart", func(w *workspace) any { return form.Text(w.Autostart.Text()) }},
	{"autostart_after", func(w *workspace) any { return micros(w.AutostartAfter) }},
	{"autostop", func(w *workspace) any { return form.Text(w.Autostop.Text()) }},
	{"ttl", func(w *workspace) any { return int64(w.TTL) }},
	{"last_used_at", func(w *workspace) any { return micros(w.LastUsedAt) }},
	{"dormant_at", func(w *workspace) any { return micros(w.DormantAt) }},
	{"deleting_at", func(w *workspace) any { return micros(w.DeletingAt) }},
	{"hold_until", func(w *workspace) any { return micros(w.Hold.Until) }},
	{"hold_rules", func(w *workspace) any { return int64(w.Hold.Rules) }},
	{"hold_note", func(w *workspace) any { return form.Text(w.Hold.Note) }},
	{"hold_by", func(w *workspace) any { return form.Text(w.Hold.By) }},
	{"stop_floor", func(w *workspace) any { return micros(w.Floors.Stop) }},
	{"dormancy_floor", func(w *workspace) any { return micros(w.Floors.Dormancy) }},
	{"delete_floor", func(w *workspace) any { return micros(w.Floors.Delete) }},
	{"reminded_for", func(w *workspace) any { return micros(w.RemindedFor) }},
	{"automatic_updates", func(w *workspace) any { return flag(w.AutomaticUpdates) }},
	{"managed", func(w *workspace) any { return flag(w.Managed) }},
	{"deleted", func(w *workspace) any { return flag(w.Deleted) }},
	{"failures", func(w *workspace) any { return int64(w.Failures) }},
	{"start_failures", func(w *workspace) any { return int64(w.StartFailures) }},
	{"attention_at", func(w *workspace) any { return micros(w.AttentionAt) }},
	{"backoff_until", func(w *workspace) any { return micros(w.Backoff.Until) }},
	{"backoff_attempts", func(w *workspace) any { return int64(w.Backoff.Attempts) }},
	{"backoff_cause", func(w *workspace) any { return form.Text(string(w.Backoff.Cause)) }},
	{"backoff_message", func(w *workspace) any { return form.Text(w.Backoff.Message) }},
}

// seenColumns are the rules that a workspace follows: those of a new one are what they are.
var seenColumns = columns[workspace]{
	{"template_seen", func(w *workspace) any { return w.Seen.Template }},
	{"owner_seen", func(w *workspace) any { return w.Seen.Owner }},
}

// writtenColumns are what changes of a workspace write, but for the wake.
var writtenColumns = slices.Concat(stateColumns, seenColumns)

// buildColumns are a build: as they stand in {builds}, and with the prefix build_ in {workspaces}.
var buildColumns = columns[build]{
	{"id", func(b *build) any { return blob(b.ID) }},
	{"number", func(b *build) any { return b.Number }},
	{"version_id", func(b *build) any { return blob(b.TemplateVersionID) }},
	{"transition", func(b *build) any { return int64(b.Transition) }},
	{"reason", func(b *build) any { return form.Text(string(b.Reason)) }},
	{"status", func(b *build) any { return int64(b.Status) }},
	{"initiator", func(b *build) any { return form.Text(b.Initiator) }},
	{"error", func(b *build) any { return form.Text(b.Error) }},
	{"result", func(b *build) any { return form.Text(b.Result) }},
	{"created_at", func(b *build) any { return micros(b.CreatedAt) }},
	{"completed_at", func(b *build) any { return micros(b.CompletedAt) }},
	{"due_at", func(b *build) any { return micros(b.DueAt) }},
	{"ttl", func(b *build) any { return int64(b.TTL) }},
	{"run_since", func(b *build) any { return micros(b.RunSince) }},
	{"deadline", func(b *build) any { return micros(b.Deadline) }},
	{"max_deadline", func(b *build) any { return micros(b.MaxDeadline) }},
}

// latestColumns are the latest build, as it stands in {workspaces}.
var latestColumns = within("build_", buildColumns, func(b *build) *build { return b })

// buildFields are a build as columns with a prefix.
func buildFields[R any](prefix string, of func(*R) *build) fields[R] {
	return fields[R]{
		{prefix + "id", func(r *R) any { return &of(r).ID }},
		{prefix + "number", func(r *R) any { return &of(r).Number }},
		{prefix + "version_id", func(r *R) any { return &of(r).TemplateVersionID }},
		{prefix + "transition", func(r *R) any { return &of(r).Transition }},
		{prefix + "reason", func(r *R) any { return &of(r).Reason }},
		{prefix + "status", func(r *R) any { return &of(r).Status }},
		{prefix + "initiator", func(r *R) any { return &of(r).Initiator }},
		{prefix + "error", func(r *R) any { return &of(r).Error }},
		{prefix + "result", func(r *R) any { return &of(r).Result }},
		{prefix + "created_at", func(r *R) any { return into(&of(r).CreatedAt) }},
		{prefix + "completed_at", func(r *R) any { return into(&of(r).CompletedAt) }},
		{prefix + "due_at", func(r *R) any { return into(&of(r).DueAt) }},
		{prefix + "ttl", func(r *R) any { return (*int64)(&of(r).TTL) }},
		{prefix + "run_since", func(r *R) any { return into(&of(r).RunSince) }},
		{prefix + "deadline", func(r *R) any { return into(&of(r).Deadline) }},
		{prefix + "max_deadline", func(r *R) any { return into(&of(r).MaxDeadline) }},
	}
}
