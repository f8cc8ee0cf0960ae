package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// referred reports whether the server refuses to delete a row because others refer to it: foreign_key_violation, and
// restrict_violation, which PostgreSQL 18 says where a key was made with ON DELETE RESTRICT.
func referred(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "23503" || pg.Code == "23001")
}

var removeTemplateSQL, removeOwnerSQL = removeSQL("templates", "id = $1"), removeSQL("owners", "id = $1")

// DeleteTemplate implements [lifecycle.Remover].
func (s *Store) DeleteTemplate(ctx context.Context, id uuid.UUID) error {
	return wrap(s.remove(ctx, removeTemplateSQL, id), "delete template %s", id)
}

// DeleteOwner implements [lifecycle.Remover].
func (s *Store) DeleteOwner(ctx context.Context, id uuid.UUID) error {
	return wrap(s.remove(ctx, removeOwnerSQL, id), "delete owner %s", id)
}

func (s *Store) remove(ctx context.Context, text string, id uuid.UUID) error {
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
			if err := s.boundWaits(ctx, tx); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, s.sql(text), key(id))
			return err
		})
	})
	if referred(err) {
		return lifecycle.ErrInUse
	}
	return heldByOthers(err)
}
