package sqlite

import (
	"context"

	"github.com/google/uuid"
)

// DueStatements are the statements a tick reads with.
func (s *Store) DueStatements() []string { return []string{s.text(dueAll), s.text(dueShared)} }

// Statements are those that are put together from columns, by the name of their golden file; of those over many rows the
// one for a single row.
func Statements() map[string]string {
	last := len(manySizes) - 1
	return map[string]string{
		"update_workspace": updateWorkspace, "update_archived": updateArchived, "update_alone": updateAlone,
		"archive_build": archiveBuild[last], "create_workspace": createWorkspace, "builds": selectBuilds,
		"due_all": dueAll, "due_shared": dueShared, "insert_job": insertJob[last],
	}
}

// Unregister deletes a process's record behind everybody's back.
func (s *Store) Unregister(ctx context.Context, process uuid.UUID) error {
	return s.write(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM {processes} WHERE id = ?`, blob(process))
		return err
	})
}
