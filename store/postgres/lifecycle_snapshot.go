package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// buildFields are a build without its id and number, as columns of a table with a prefix.
func buildFields[R any](prefix string, of func(*R) (*lifecycle.Build, *buildRow)) fields[R] {
	b := func(target func(*lifecycle.Build) any) func(*R) any {
		return func(r *R) any { b, _ := of(r); return target(b) }
	}
	return fields[R]{
		{prefix + "version_id", b(func(b *build) any { return toID(&b.TemplateVersionID) })},
		{prefix + "transition", func(r *R) any { _, row := of(r); return &row.transition }},
		{prefix + "reason", b(func(b *build) any { return toText((*string)(&b.Reason)) })},
		{prefix + "status", func(r *R) any { _, row := of(r); return &row.status }},
		{prefix + "initiator", b(func(b *build) any { return toText(&b.Initiator) })},
		{prefix + "error", b(func(b *build) any { return toText(&b.Error) })},
		{prefix + "result", b(func(b *build) any { return toText(&b.Result) })},
		{prefix + "created_at", b(func(b *build) any { return toTime(&b.CreatedAt) })},
		{prefix + "completed_at", b(func(b *build) any { return toTime(&b.CompletedAt) })},
		{prefix + "due_at", b(func(b *build) any { return toTime(&b.DueAt) })},
		{prefix + "ttl_ns", b(func(b *build) any { return toInt8((*int64)(&b.TTL)) })},
		{prefix + "run_since", b(func(b *build) any { return toTime(&b.RunSince) })},
		{prefix + "deadline", b(func(b *build) any { return toTime(&b.Deadline) })},
		{prefix + "max_deadline", b(func(b *build) any { return toTime(&b.MaxDeadline) })},
	}
}

// snapshotFields are a snapshot; snapshotJoins bring what is not the workspace's.
var snapshotFields = slices.Concat(
	fields[snapshotRow]{
		{"w.id", func(r *snapshotRow) any { return toID(&r.s.Workspace.ID) }},
		{"w.organization_id", func(r *snapshotRow) any { return toID(&r.s.Workspace.OrganizationID) }},
		{"w.owner_id", func(r *snapshotRow) any { return toID(&r.s.Workspace.OwnerID) }},
		{"w.template_id", func(r *snapshotRow) any { return toID(&r.s.Workspace.TemplateID) }},
		{"w.name", func(r *snapshotRow) any { return &r.s.Workspace.Name }},
		{"w.created_at", func(r *snapshotRow) any { return toTime(&r.s.Workspace.CreatedAt) }},
		{"w.revision", func(r *snapshotRow) any { return &r.s.Workspace.Revision }},
		{"w.wake_at", func(r *snapshotRow) any { return toTime(&r.s.Workspace.WakeAt) }},
		{"w.autostart", func(r *snapshotRow) any { return &r.autostart }},
		{"w.autostart_after", func(r *snapshotRow) any { return toTime(&r.s.Workspace.AutostartAfter) }},
		{"w.autostop", func(r *snapshotRow) any { return toText(&r.autostop) }},
		{"w.ttl_ns", func(r *snapshotRow) any { return toInt8((*int64)(&r.s.Workspace.TTL)) }},
		{"w.last_used_at", func(r *snapshotRow) any { return toTime(&r.s.Workspace.LastUsedAt) }},
		{"w.dormant_at", func(r *snapshotRow) any { return toTime(&r.s.Workspace.DormantAt) }},
		{"w.deleting_at", func(r *snapshotRow) any { return toTime(&r.s.Workspace.DeletingAt) }},
		{"w.hold_until", func(r *snapshotRow) any { return toTime(&r.s.Workspace.Hold.Until) }},
		{"w.hold_rules", func(r *snapshotRow) any { return toInt2(&r.holdRules) }},
		{"w.hold_note", func(r *snapshotRow) any { return toText(&r.s.Workspace.Hold.Note) }},
		{"w.hold_by", func(r *snapshotRow) any { return toText(&r.s.Workspace.Hold.By) }},
		{"w.stop_floor", func(r *snapshotRow) any { return toTime(&r.s.Workspace.Floors.Stop) }},
		{"w.dormancy_floor", func(r *snapshotRow) any { return toTime(&r.s.Workspace.Floors.Dormancy) }},
		{"w.delete_floor", func(r *snapshotRow) any { return toTime(&r.s.Workspace.Floors.Delete) }},
		{"w.template_seen", func(r *snapshotRow) any { return toInt8(&r.s.Workspace.Seen.Template) }},
		{"w.owner_seen", func(r *snapshotRow) any { return toInt8(&r.s.Workspace.Seen.Owner) }},
		{"w.reminded_for", func(r *snapshotRow) any { return toTime(&r.s.Workspace.RemindedFor) }},
		{"w.automatic_updates", func(r *snapshotRow) any { return &r.s.Workspace.AutomaticUpdates }},
		{"w.managed", func(r *snapshotRow) any { return &r.s.Workspace.Managed }},
		{"w.deleted", func(r *snapshotRow) any { return &r.s.Workspace.Deleted }},
		{"w.failures", func(r *snapshotRow) any { return &r.failures }},
		{"w.start_failures", func(r *snapshotRow) any { return toInt4(&r.startFailures) }},
		{"w.attention_at", func(r *snapshotRow) any { return toTime(&r.s.Workspace.AttentionAt) }},
		{"w.backoff_until", func(r *snapshotRow) any { return toTime(&r.s.Workspace.Backoff.Until) }},
		{"w.backoff_attempts", func(r *snapshotRow) any { return &r.backoffAttempts }},
		{"w.backoff_cause", func(r *snapshotRow) any { return toText((*string)(&r.s.Workspace.Backoff.Cause)) }},
		{"w.backoff_message", func(r *snapshotRow) any { return &r.s.Workspace.Backoff.Message }},
		{"w.build_id", func(r *snapshotRow) any { return toID(&r.s.Build.ID) }},
		{"w.build_number", func(r *snapshotRow) any { return &r.s.Build.Number }},
	},
	buildFields("w.build_", func(r *snapshotRow) (*lifecycle.Build, *buildRow) { return &r.s.Build, &r.buildRow }),
	fields[snapshotRow]{
		{"o.name", func(r *snapshotRow) any { return &r.s.Owner.Name }},
		{"o.status", func(r *snapshotRow) any { return &r.ownerStatus }},
		{"o.quiet_hours", func(r *snapshotRow) any { return &r.quiet }},
		{"o.rules", func(r *snapshotRow) any { return &r.s.Owner.Rules }},
		{"o.autostart_after", func(r *snapshotRow) any { return toTime(&r.s.Owner.AutostartAfter) }},
		{"t.organization_id", func(r *snapshotRow) any { return toID(&r.s.Template.OrganizationID) }},
		{"t.name", func(r *snapshotRow) any { return &r.s.Template.Name }},
		{"t.active_version_id", func(r *snapshotRow) any { return toID(&r.s.Template.ActiveVersionID) }},
		{"t.revision", func(r *snapshotRow) any { return &r.s.Template.Revision }},
		{"t.rules", func(r *snapshotRow) any { return &r.s.Template.Rules }},
		{"t.policy", func(r *snapshotRow) any { return (*rawJSON)(&r.policy) }},
		{"t.state", func(r *snapshotRow) any { return (*rawJSON)(&r.state) }},
		{"(SELECT state FROM dormouse.engine)", func(r *snapshotRow) any { return (*rawJSON)(&r.engine) }},
	},
)

// snapshotColumns are snapshotFields in a statement.
var snapshotColumns = snapshotFields.names()

const snapshotJoins = `
	JOIN dormouse.owners o ON o.id = w.owner_id
	JOIN dormouse.templates t ON t.id = w.template_id`

// snapshotRow is where one row is read into, again and again.
type snapshotRow struct {
	s lifecycle.Snapshot
	buildRow

	autostart, autostop, quiet               string
	failures, startFailures, backoffAttempts int32
	ownerStatus, holdRules                   int16
	policy, state, engine                    []byte
}

// buildRow holds the columns of a build whose type is another in Go.
type buildRow struct {
	transition, status int16
}

func (r buildRow) into(b *lifecycle.Build) {
	b.Transition, b.Status = lifecycle.Transition(r.transition), lifecycle.JobStatus(r.status)
	normalize(&b.CreatedAt, &b.CompletedAt, &b.DueAt, &b.RunSince, &b.Deadline, &b.MaxDeadline)
}

// snapshot returns what was read into the row.
func (s *Store) snapshot(r *snapshotRow) lifecycle.Snapshot {
	w := &r.s.Workspace
	w.Autostart, w.Autostop = s.schedules.Weekly(r.autostart), s.schedules.Weekly(r.autostop)
	w.Failures, w.StartFailures, w.Backoff.Attempts = int(r.failures), int(r.startFailures), int(r.backoffAttempts)
	w.Hold.Rules = lifecycle.HoldRules(r.holdRules)
	normalize(&w.CreatedAt, &w.WakeAt, &w.AutostartAfter, &w.LastUsedAt, &w.DormantAt, &w.DeletingAt, &w.Hold.Until,
		&w.Floors.Stop, &w.Floors.Dormancy, &w.Floors.Delete, &w.RemindedFor, &w.AttentionAt, &w.Backoff.Until)
	r.buildRow.into(&r.s.Build)
	o, t := &r.s.Owner, &r.s.Template
	o.ID, o.Status, o.QuietHours = w.OwnerID, lifecycle.OwnerStatus(r.ownerStatus), s.schedules.Daily(r.quiet)
	normalize(&o.AutostartAfter)
	t.ID, t.Policy = w.TemplateID, s.policies.get(r.policy)
	s.states.into(t, r.state)
	r.s.Engine = s.engines.get(r.engine)
	return r.s
}

// rawJSON reads the bytes of a json column as they are, into memory that is used again for the next row.
type rawJSON []byte

// ScanBytes implements pgtype.BytesScanner.
func (j *rawJSON) ScanBytes(v []byte) error {
	*j = append((*j)[:0], v...)
	return nil
}

// snapshots reads the rows of a query, which are likely so many. A snapshot is large: a guess that holds copies none.
func (s *Store) snapshots(rows pgx.Rows, likely int) ([]lifecycle.Snapshot, error) {
	var all []lifecycle.Snapshot
	var row snapshotRow
	targets := snapshotFields.targets(&row)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		if len(all) == cap(all) { // fourfold growth copies less than double, and few rows cost little
			all = slices.Grow(all, max(16, likely-len(all), 3*len(all)))
		}
		all = append(all, s.snapshot(&row))
	}
	return all, rows.Err()
}
