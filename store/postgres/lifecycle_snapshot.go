package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// snapshotColumns are a snapshot, in the order of snapshotRow's targets; snapshotJoins bring what is not the workspace's.
const snapshotColumns = `
	w.id, w.organization_id, w.owner_id, w.template_id, w.name, w.created_at, w.revision, w.wake_at,
	w.autostart, w.autostart_after, w.ttl_ns, w.last_used_at, w.dormant_at, w.deleting_at, w.hold_until, w.reminded_for,
	w.automatic_updates, w.managed, w.deleted, w.failures, w.attention_at,
	w.backoff_until, w.backoff_attempts, w.backoff_cause, w.backoff_message,
	w.build_id, w.build_number, w.build_version_id, w.build_transition, w.build_reason, w.build_status,
	w.build_created_at, w.build_completed_at, w.build_deadline, w.build_max_deadline,
	o.name, o.status, o.quiet_hours,
	t.organization_id, t.name, t.active_version_id, t.hold_until, t.stop_floor, t.delete_floor, t.policy`

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

// buildTargets are the columns of a build behind its number.
func buildTargets(b *lifecycle.Build, r *buildRow) []any {
	return []any{
		toID(&b.TemplateVersionID), &r.transition, toText((*string)(&b.Reason)), &r.status,
		toTime(&b.CreatedAt), toTime(&b.CompletedAt), toTime(&b.Deadline), toTime(&b.MaxDeadline),
	}
}

func (r *snapshotRow) targets() []any {
	w, b, o, t := &r.s.Workspace, &r.s.Build, &r.s.Owner, &r.s.Template
	targets := []any{
		toID(&w.ID), toID(&w.OrganizationID), toID(&w.OwnerID), toID(&w.TemplateID),
		&w.Name, toTime(&w.CreatedAt), &w.Revision, toTime(&w.WakeAt),
		&r.autostart, toTime(&w.AutostartAfter), toInt8((*int64)(&w.TTL)), toTime(&w.LastUsedAt),
		toTime(&w.DormantAt), toTime(&w.DeletingAt), toTime(&w.HoldUntil), toTime(&w.RemindedFor),
		&w.AutomaticUpdates, &w.Managed, &w.Deleted, &r.failures, toTime(&w.AttentionAt),
		toTime(&w.Backoff.Until), &r.backoffAttempts, toText((*string)(&w.Backoff.Cause)), &w.Backoff.Message,
		toID(&b.ID), &b.Number,
	}
	targets = append(targets, buildTargets(b, &r.buildRow)...)
	return append(targets,
		&o.Name, &r.ownerStatus, &r.quiet,
		toID(&t.OrganizationID), &t.Name, toID(&t.ActiveVersionID),
		toTime(&t.HoldUntil), toTime(&t.StopFloor), toTime(&t.DeleteFloor), (*rawJSON)(&r.policy),
	)
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
	targets := row.targets()
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
