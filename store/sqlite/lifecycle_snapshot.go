package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// selectSnapshots reads snapshots without their templates, which are few and kept in memory. Its joins are CROSS joins
// because SQLite takes these in the order written: the workspaces decide, and statistics cannot make it start elsewhere.
const selectSnapshots = `
SELECT w.id, w.revision + o.revision + t.revision, w.organization_id, w.owner_id, w.template_id, w.name, w.created_at,
	w.wake_at, w.autostart, w.autostart_after, w.ttl, w.last_used_at, w.dormant_at, w.deleting_at, w.hold_until,
	w.reminded_for, w.automatic_updates, w.managed, w.deleted, w.failures, w.attention_at,
	w.backoff_until, w.backoff_attempts, w.backoff_cause, w.backoff_message,
	w.build_id, w.build_number, w.build_version_id, w.build_transition, w.build_reason, w.build_status,
	w.build_created_at, w.build_completed_at, w.build_deadline, w.build_max_deadline,
	o.name, o.status, o.quiet_hours, t.revision
FROM {workspaces} w `

// joinSnapshots names the indexes of the keys (SQLite's own, so their names are SQLite's): statistics taken while there was
// one owner must not make it read all owners for each row when there are many.
const joinSnapshots = `
CROSS JOIN {owners} o INDEXED BY sqlite_autoindex_{owners}_1 ON o.id = w.owner_id
CROSS JOIN {templates} t INDEXED BY sqlite_autoindex_{templates}_1 ON t.id = w.template_id `

// snapshotReader reads rows of selectSnapshots. The destinations of a row are collected once and used for all.
type snapshotReader struct {
	s                     *Store
	row                   lifecycle.Snapshot
	ttl, template         int64
	autostart, quietHours string
	dest                  []any

	// room is how many rows memory is taken for when there is one.
	room  int
	found []lifecycle.Snapshot
	// revisions of the templates, one for each row found.
	revisions []int64
}

func (s *Store) newSnapshotReader(room int) *snapshotReader {
	r := &snapshotReader{s: s, room: room}
	w, b, o := &r.row.Workspace, &r.row.Build, &r.row.Owner
	r.dest = []any{
		&w.ID, &w.Revision, &w.OrganizationID, &w.OwnerID, &w.TemplateID, &w.Name, into(&w.CreatedAt),
		into(&w.WakeAt), &r.autostart, into(&w.AutostartAfter), &r.ttl, into(&w.LastUsedAt), into(&w.DormantAt),
		into(&w.DeletingAt), into(&w.HoldUntil),
		into(&w.RemindedFor), &w.AutomaticUpdates, &w.Managed, &w.Deleted, &w.Failures, into(&w.AttentionAt),
		into(&w.Backoff.Until), &w.Backoff.Attempts, &w.Backoff.Cause, &w.Backoff.Message,
		&b.ID, &b.Number, &b.TemplateVersionID, &b.Transition, &b.Reason, &b.Status,
		into(&b.CreatedAt), into(&b.CompletedAt), into(&b.Deadline), into(&b.MaxDeadline),
		&o.Name, &o.Status, &r.quietHours, &r.template,
	}
	return r
}

func (r *snapshotReader) read(from rows) error {
	if err := from.Scan(r.dest...); err != nil {
		return err
	}
	if r.found == nil {
		r.found, r.revisions = make([]lifecycle.Snapshot, 0, r.room), make([]int64, 0, r.room)
	}
	r.row.Workspace.TTL = time.Duration(r.ttl)
	r.row.Workspace.Autostart = r.s.schedules.Weekly(r.autostart)
	r.row.Owner.ID = r.row.Workspace.OwnerID
	r.row.Owner.QuietHours = r.s.schedules.Daily(r.quietHours)
	r.found = append(r.found, r.row)
	r.revisions = append(r.revisions, r.template)
	return nil
}

// snapshots runs a statement that begins with selectSnapshots and adds the templates.
func (s *Store) snapshots(ctx context.Context, room int, statement string, args ...any) ([]lifecycle.Snapshot, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	// A template that is replaced between the two readings makes a second one necessary.
	const attempts = 10
	for range attempts {
		r := s.newSnapshotReader(min(room, maxRoom))
		if err := s.query(ctx, statement, r.read, args...); err != nil {
			return nil, err
		}
		if complete, err := s.addTemplates(ctx, r); complete || err != nil {
			return r.found, err
		}
	}
	return nil, errTemplatesChange
}

// maxRoom bounds the memory that is reserved for rows before it is known how many there are.
const maxRoom = 1000

var errTemplatesChange = errors.New("templates are replaced faster than they can be read")

// addTemplates fills in the templates at the revisions that the rows were read with; complete is false if one has moved on.
func (s *Store) addTemplates(ctx context.Context, r *snapshotReader) (complete bool, err error) {
	for i := range r.found {
		row := &r.found[i]
		t, ok, err := s.templates.get(ctx, s, row.Workspace.TemplateID, r.revisions[i])
		if !ok || err != nil {
			return false, err
		}
		row.Template = t
	}
	return true, nil
}
