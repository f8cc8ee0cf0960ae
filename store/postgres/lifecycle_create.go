package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store"
)

// createSQL inserts workspaces if all of them can be, and returns those that cannot.
const createSQL = `
	WITH new AS (
		SELECT * FROM unnest(
			$1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[],
			$7::text[], $8::timestamptz[], $9::bigint[], $10::timestamptz[],
			$11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[],
			$15::boolean[], $16::boolean[], $17::boolean[], $18::integer[], $19::timestamptz[],
			$20::timestamptz[], $21::integer[], $22::text[], $23::text[]
		) AS c (
			id, organization_id, owner_id, template_id, name, created_at,
			autostart, autostart_after, ttl_ns, last_used_at,
			dormant_at, deleting_at, hold_until, reminded_for,
			automatic_updates, managed, deleted, failures, attention_at,
			backoff_until, backoff_attempts, backoff_cause, backoff_message
		)
	), bad AS (
		SELECT n.id,
			NOT EXISTS (SELECT FROM dormouse.owners o WHERE o.id = n.owner_id) AS no_owner,
			NOT EXISTS (SELECT FROM dormouse.templates t WHERE t.id = n.template_id) AS no_template,
			EXISTS (SELECT FROM dormouse.workspaces w WHERE w.id = n.id) AS exists
		FROM new n
	), created AS (
		INSERT INTO dormouse.workspaces (
			id, organization_id, owner_id, template_id, name, created_at,
			autostart, autostart_after, ttl_ns, last_used_at,
			dormant_at, deleting_at, hold_until, reminded_for,
			automatic_updates, managed, deleted, failures, attention_at,
			backoff_until, backoff_attempts, backoff_cause, backoff_message,
			revision, wake_at,
			build_id, build_number, build_version_id, build_transition, build_reason, build_status)
		SELECT n.*, 1, $24::timestamptz,
			'00000000-0000-0000-0000-000000000000', 0, '00000000-0000-0000-0000-000000000000', 0, '', 0
		FROM new n
		WHERE NOT EXISTS (SELECT FROM bad WHERE no_owner OR no_template OR exists)
		ORDER BY n.id
	)
	SELECT * FROM bad WHERE no_owner OR no_template OR exists LIMIT 1`

// CreateWorkspaces implements [lifecycle.Registry]. After an error that is a [lifecycle.ErrUnavailable] the workspaces may
// exist: the call is not repeated by itself when its answer is lost.
func (s *Store) CreateWorkspaces(ctx context.Context, now time.Time, workspaces ...lifecycle.Workspace) error {
	if len(workspaces) == 0 {
		return ctx.Err()
	}
	seen := make(map[uuid.UUID]bool, len(workspaces))
	for i := range workspaces {
		if id := workspaces[i].ID; seen[id] {
			return fmt.Errorf("create workspaces: workspace %s is given twice", id)
		}
		seen[workspaces[i].ID] = true
	}
	args := append(createColumns(workspaces), now)
	defer s.low.write(now)()
	err := s.do(ctx, once, func(ctx context.Context) error {
		return s.tryCreate(ctx, args...)
	})
	if err != nil {
		return fmt.Errorf("create workspaces: %w", err)
	}
	s.wakes.Notify()
	return nil
}

func createColumns(workspaces []lifecycle.Workspace) []any {
	type workspace = lifecycle.Workspace
	return append([]any{
		column(workspaces, func(w *workspace) key { return key(w.ID) }),
		column(workspaces, func(w *workspace) key { return key(w.OrganizationID) }),
		column(workspaces, func(w *workspace) key { return key(w.OwnerID) }),
		column(workspaces, func(w *workspace) key { return key(w.TemplateID) }),
		column(workspaces, func(w *workspace) string { return store.Text(w.Name) }),
		column(workspaces, func(w *workspace) stamp { return stamp(w.CreatedAt) }),
	}, stateColumns(workspaces, func(w *workspace) *workspace { return w })...)
}

func (s *Store) tryCreate(ctx context.Context, args ...any) error {
	var id uuid.UUID
	var noOwner, noTemplate, exists bool
	err := s.pool.QueryRow(ctx, s.sql(createSQL), args...).Scan(toID(&id), &noOwner, &noTemplate, &exists)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case exists:
		return fmt.Errorf("workspace %s exists already", id)
	case noOwner:
		return fmt.Errorf("the owner of workspace %s is unknown", id)
	}
	return fmt.Errorf("the template of workspace %s is unknown", id)
}
