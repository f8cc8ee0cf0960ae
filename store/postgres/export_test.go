package postgres

import (
	"context"

	"github.com/google/uuid"
)

// Statements are those that are put together from columns, by the name of their golden file.
func Statements() map[string]string {
	return map[string]string{
		"commit": commitSQL, "touch": touchSQL, "create": createSQL, "enqueue": enqueueSQL,
		"claim": claimSQL, "due": dueSQL, "builds": buildsSQL, "cancel": cancelSQL, "contenders": contendersSQL, "renew": renewSQL, "end": endSQL,
	}
}

// Unregister deletes a process's record behind everybody's back.
func (s *Store) Unregister(ctx context.Context, process uuid.UUID) error {
	_, err := s.pool.Exec(ctx, s.sql(`DELETE FROM dormouse.processes WHERE id = $1`), key(process))
	return err
}
