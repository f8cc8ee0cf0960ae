package postgres

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// foreignKeyViolation is the server's code for a row that others refer to.
const foreignKeyViolation = "23503"

// DeleteTemplate implements [lifecycle.Remover].
func (s *Store) DeleteTemplate(ctx context.Context, id uuid.UUID) error {
	return wrap(s.remove(ctx, `DELETE FROM dormouse.templates WHERE id = $1`, id), "delete template %s", id)
}

// DeleteOwner implements [lifecycle.Remover].
func (s *Store) DeleteOwner(ctx context.Context, id uuid.UUID) error {
	return wrap(s.remove(ctx, `DELETE FROM dormouse.owners WHERE id = $1`, id), "delete owner %s", id)
}

func (s *Store) remove(ctx context.Context, text string, id uuid.UUID) error {
	err := s.do(ctx, repeatable, func(ctx context.Context) error {
		_, err := s.db.Exec(ctx, s.sql(text), key(id))
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == foreignKeyViolation {
		return lifecycle.ErrInUse
	}
	return err
}
