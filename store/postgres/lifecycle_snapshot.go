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
		{prefix + "created_at", b(func(b *build) any { return toTime(&b.CreatedAt) })},
		{prefix + "completed_at", b(func(b *build) any { return toTime(&b.CompletedAt) })},
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
		{"w.ttl_ns", func(r *snapshotRow) any { return toInt8((*int64)(&r.s.Workspace.TTL)) }},
		{"w.last_used_at", func(r *snapshotRow) any { return toTime(&r.s.Workspace.LastUsedAt) }},
		{"w.dormant_at", func(r *snapshotRow) any { return toTime(&r.s.Workspace.DormantAt) }},
		{"w.deleting_at", func(r *snapshotRow) any { return toTime(&r.s.Workspace.DeletingAt) }},
		{"w.hold_until", func(r *snapshotRow) any { return toTime(&r.s.Workspace.HoldUntil) }},
		{"w.reminded_for", func(r *snapshotRow) any { return toTime(&r.s.Workspace.RemindedFor) }},
		{"w.automatic_updates", func(r *snapshotRow) any { return &r.s.Workspace.AutomaticUpdates }},
		{"w.managed", func(r *snapshotRow) any { return &r.s.Workspace.Managed }},
		{"w.deleted", func(r *snapshotRow) any { return &r.s.Workspace.Deleted }},
		{"w.failures", func(r *snapshotRow) any { return &r.failures }},
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
		{"t.organization_id", func(r *snapshotRow) any { return toID(&r.s.Template.OrganizationID) }},
		{"t.name", func(r *snapshotRow) any { return &r.s.Template.Name }},
		{"t.active_version_id", func(r *snapshotRow) any { return toID(&r.s.Template.ActiveVersionID) }},
		{"t.hold_until", func(r *snapshotRow) any { return toTime(&r.s.Template.HoldUntil) }},
		{"t.stop_floor", func(r *snapshotRow) any { return toTime(&r.s.Template.StopFloor) }},
		{"t.delete_floor", func(r *snapshotRow) any { return toTime(&r.s.Template.DeleteFloor) }},
		{"t.policy", func(r *snapshotRow) any { return (*rawJSON)(&r.policy) }},
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

	autostart, quiet          string
	failures, backoffAttempts int32
	ownerStatus               int16
	policy                    []byte
}

// buildRow holds the columns of a build whose type is another in Go.
type buildRow struct {
	transition, status int16
}

func (r buildRow) into(b *lifecycle.Build) {
	b.Transition, b.Status = lifecycle.Transition(r.transition), lifecycle.JobStatus(r.status)
	normalize(&b.CreatedAt, &b.CompletedAt, &b.Deadline, &b.MaxDeadline)
}

// snapshot returns what was read into the row.
func (s *Store) snapshot(r *snapshotRow) lifecycle.Snapshot {
	w := &r.s.Workspace
	w.Autostart = s.schedules.Weekly(r.autostart)
	w.Failures, w.Backoff.Attempts = int(r.failures), int(r.backoffAttempts)
	normalize(&w.CreatedAt, &w.WakeAt, &w.AutostartAfter, &w.LastUsedAt, &w.DormantAt, &w.DeletingAt, &w.HoldUntil,
		&w.RemindedFor, &w.AttentionAt, &w.Backoff.Until)
	r.buildRow.into(&r.s.Build)
	o, t := &r.s.Owner, &r.s.Template
	o.ID, o.Status, o.QuietHours = w.OwnerID, lifecycle.OwnerStatus(r.ownerStatus), s.schedules.Daily(r.quiet)
	t.ID = w.TemplateID
	normalize(&t.HoldUntil, &t.StopFloor, &t.DeleteFloor)
	t.Policy = s.policies.get(r.policy)
	return r.s
}

// rawJSON reads the bytes of a json column as they are, into memory that is used again for the next row.
type rawJSON []byte

// ScanBytes implements pgtype.BytesScanner.
func (j *rawJSON) ScanBytes(v []byte) error {
	*j = append((*j)[:0], v...)
	return nil
}

func (s *Store) snapshots(rows pgx.Rows, err error) ([]lifecycle.Snapshot, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []lifecycle.Snapshot
	var row snapshotRow
	targets := snapshotFields.targets(&row)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		if len(all) == cap(all) { // a snapshot is large: fourfold growth copies less, and few rows cost little
			all = slices.Grow(all, max(16, 3*len(all)))
		}
		all = append(all, s.snapshot(&row))
	}
	return all, rows.Err()
}
