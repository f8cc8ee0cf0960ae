package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// DueStatements are the statements a tick reads with.
func (s *Store) DueStatements() []string { return []string{s.text(dueAll), s.text(dueShared)} }

// ListStatements are the statements of lists and counts, and the index that each reads the workspaces by.
func (s *Store) ListStatements() map[string]string {
	of := map[string]string{
		listAll: "sqlite_autoindex_dormouse_workspaces_1", listOfTemplate: "dormouse_workspaces_template", listByWake: "dormouse_workspaces_due",
		listByName: "dormouse_workspaces_name", listByStatus: "dormouse_workspaces_status", nextOrganization: "dormouse_workspaces_status",
		countOfOrganization: "dormouse_workspaces_status", countOfOwner: "dormouse_workspaces_owner", countOfTemplate: "dormouse_workspaces_template",
	}
	for _, text := range listOfOwner {
		of[text] = "dormouse_workspaces_owner"
	}
	indexes := map[string]string{}
	for text, index := range of {
		indexes[s.text(text)] = index
	}
	return indexes
}

// Statements are those that are put together from columns, by the name of their golden file; of those over many rows the
// one for a single row.
func Statements() map[string]string {
	last := len(manySizes) - 1
	return map[string]string{
		"update_workspace": updateWorkspace, "update_archived": updateArchived, "update_alone": updateAlone,
		"archive_build": archiveBuild[last], "create_workspace": createWorkspace, "builds": selectBuilds,
		"members_insert": insertMember, "members_update": updateMember, "hand_over": handOver,
		"due_all": dueAll, "due_shared": dueShared, "insert_job": insertJob[last],
		"list_all": listAll, "list_by_status": listByStatus, "list_by_name": listByName,
	}
}

// Unregister deletes a process's record behind everybody's back.
func (s *Store) Unregister(ctx context.Context, process uuid.UUID) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM {processes} WHERE id = ?`, blob(process))
		return err
	})
}

// Garble makes a process's workers and a tag set unreadable.
func (s *Store) Garble(ctx context.Context, process uuid.UUID, tags queue.TagSet) error {
	s.lanes.forget()
	return s.write(ctx, func(t *tx) error {
		if _, err := t.exec(`UPDATE {processes} SET workers = CAST('{"crews":[]}' AS BLOB) WHERE id = ?`, blob(process)); err != nil {
			return err
		}
		_, err := t.exec(`UPDATE {lanes} SET tags = 'v2' || tags WHERE tags = ?`, tags.String())
		return err
	})
}

func (c *laneCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.numbers, c.lanes = nil, nil
}
