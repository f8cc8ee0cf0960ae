package sqlite

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// selectSnapshots reads snapshots without their templates, which are few and kept in memory. Its joins are CROSS joins
// because SQLite takes these in the order written: the workspaces decide, and statistics cannot make it start elsewhere.
var selectSnapshots = `
SELECT` + snapshotFields.names() + `
FROM {workspaces} w `

// joinSnapshots names the indexes of the keys (SQLite's own, so their names are SQLite's): statistics taken while there was
// one owner must not make it read all owners for each row when there are many.
const joinSnapshots = `
CROSS JOIN {owners} o INDEXED BY sqlite_autoindex_{owners}_1 ON o.id = w.owner_id
CROSS JOIN {templates} t INDEXED BY sqlite_autoindex_{templates}_1 ON t.id = w.template_id `

// snapshotReader reads rows of selectSnapshots. The destinations of a row are collected once and used for all.
type snapshotReader struct {
	s                   *Store
	row                 lifecycle.Snapshot
	ttl, template       int64
	autostart, autostop string
	quietHours          string
	engine, decoded     []byte // what concerns all workspaces, and the last text that was decoded
	dest                []any

	// room is how many rows memory is taken for when there is one.
	room  int
	found []lifecycle.Snapshot
	// revisions of the templates, one for each row found.
	revisions []int64
}

var snapshotFields = slices.Concat(
	fields[snapshotReader]{
		{"w.id", func(r *snapshotReader) any { return &r.row.Workspace.ID }},
		{"w.revision + o.revision + t.revision", func(r *snapshotReader) any { return &r.row.Workspace.Revision }},
		{"w.organization_id", func(r *snapshotReader) any { return &r.row.Workspace.OrganizationID }},
		{"w.owner_id", func(r *snapshotReader) any { return &r.row.Workspace.OwnerID }},
		{"w.template_id", func(r *snapshotReader) any { return &r.row.Workspace.TemplateID }},
		{"w.name", func(r *snapshotReader) any { return &r.row.Workspace.Name }},
		{"w.created_at", func(r *snapshotReader) any { return into(&r.row.Workspace.CreatedAt) }},
		{"w.wake_at", func(r *snapshotReader) any { return into(&r.row.Workspace.WakeAt) }},
		{"w.autostart", func(r *snapshotReader) any { return &r.autostart }},
		{"w.autostart_after", func(r *snapshotReader) any { return into(&r.row.Workspace.AutostartAfter) }},
		{"w.autostop", func(r *snapshotReader) any { return &r.autostop }},
		{"w.ttl", func(r *snapshotReader) any { return &r.ttl }},
		{"w.last_used_at", func(r *snapshotReader) any { return into(&r.row.Workspace.LastUsedAt) }},
		{"w.dormant_at", func(r *snapshotReader) any { return into(&r.row.Workspace.DormantAt) }},
		{"w.deleting_at", func(r *snapshotReader) any { return into(&r.row.Workspace.DeletingAt) }},
		{"w.hold_until", func(r *snapshotReader) any { return into(&r.row.Workspace.Hold.Until) }},
		{"w.hold_rules", func(r *snapshotReader) any { return &r.row.Workspace.Hold.Rules }},
		{"w.hold_note", func(r *snapshotReader) any { return &r.row.Workspace.Hold.Note }},
		{"w.hold_by", func(r *snapshotReader) any { return &r.row.Workspace.Hold.By }},
		{"w.stop_floor", func(r *snapshotReader) any { return into(&r.row.Workspace.Floors.Stop) }},
		{"w.dormancy_floor", func(r *snapshotReader) any { return into(&r.row.Workspace.Floors.Dormancy) }},
		{"w.delete_floor", func(r *snapshotReader) any { return into(&r.row.Workspace.Floors.Delete) }},
		{"w.template_seen", func(r *snapshotReader) any { return &r.row.Workspace.Seen.Template }},
		{"w.owner_seen", func(r *snapshotReader) any { return &r.row.Workspace.Seen.Owner }},
		{"w.reminded_for", func(r *snapshotReader) any { return into(&r.row.Workspace.RemindedFor) }},
		{"w.automatic_updates", func(r *snapshotReader) any { return &r.row.Workspace.AutomaticUpdates }},
		{"w.managed", func(r *snapshotReader) any { return &r.row.Workspace.Managed }},
		{"w.deleted", func(r *snapshotReader) any { return &r.row.Workspace.Deleted }},
		{"w.failures", func(r *snapshotReader) any { return &r.row.Workspace.Failures }},
		{"w.start_failures", func(r *snapshotReader) any { return &r.row.Workspace.StartFailures }},
		{"w.attention_at", func(r *snapshotReader) any { return into(&r.row.Workspace.AttentionAt) }},
		{"w.backoff_until", func(r *snapshotReader) any { return into(&r.row.Workspace.Backoff.Until) }},
		{"w.backoff_attempts", func(r *snapshotReader) any { return &r.row.Workspace.Backoff.Attempts }},
		{"w.backoff_cause", func(r *snapshotReader) any { return &r.row.Workspace.Backoff.Cause }},
		{"w.backoff_message", func(r *snapshotReader) any { return &r.row.Workspace.Backoff.Message }},
	},
	buildFields("w.build_", func(r *snapshotReader) *build { return &r.row.Build }),
	fields[snapshotReader]{
		{"o.name", func(r *snapshotReader) any { return &r.row.Owner.Name }},
		{"o.status", func(r *snapshotReader) any { return &r.row.Owner.Status }},
		{"o.quiet_hours", func(r *snapshotReader) any { return &r.quietHours }},
		{"o.rules", func(r *snapshotReader) any { return &r.row.Owner.Rules }},
		{"o.autostart_after", func(r *snapshotReader) any { return into(&r.row.Owner.AutostartAfter) }},
		{"(SELECT state FROM {engine} WHERE one = 1)", func(r *snapshotReader) any { return &r.engine }},
		{"t.revision", func(r *snapshotReader) any { return &r.template }},
	},
)

func (s *Store) newSnapshotReader(room int) *snapshotReader {
	r := &snapshotReader{s: s, room: room}
	r.dest = snapshotFields.targets(r)
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
	r.row.Workspace.Autostart, r.row.Workspace.Autostop = r.s.schedules.Weekly(r.autostart), r.s.schedules.Weekly(r.autostop)
	if !bytes.Equal(r.engine, r.decoded) {
		r.row.Engine, r.decoded = lifecycle.ReadEngine(r.engine), r.engine
	}
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
