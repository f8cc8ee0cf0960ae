package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

var createColumns = concat(fixedColumns, stateColumns)

// createSQL inserts workspaces if all of them can be, and returns one of those that cannot. Its parameters are those of
// createColumns, now, and those of eventColumns.
var createSQL = `
	WITH new AS (
		SELECT * FROM ` + createColumns.rows(1, "c", "") + `
	), bad AS (
		SELECT n.id,
			NOT EXISTS (SELECT FROM dormouse.owners o WHERE o.id = n.owner_id) AS no_owner,
			NOT EXISTS (SELECT FROM dormouse.templates t WHERE t.id = n.template_id) AS no_template,
			EXISTS (SELECT FROM dormouse.workspaces w WHERE w.id = n.id) AS exists
		FROM new n
	), created AS (
		INSERT INTO dormouse.workspaces (wake_at, template_seen, owner_seen,` + createColumns.names("") + `)
		SELECT ` + fmt.Sprintf("$%d", 1+len(createColumns)) + `::timestamptz, nullif(t.rules, 0), nullif(o.rules, 0), n.*
		FROM new n
		JOIN dormouse.templates t ON t.id = n.template_id
		JOIN dormouse.owners o ON o.id = n.owner_id
		WHERE NOT EXISTS (SELECT FROM bad WHERE no_owner OR no_template OR exists)
		ORDER BY n.id
		RETURNING 1
	), told AS (
		` + recordSQL(2+len(createColumns), `NOT EXISTS (SELECT FROM bad WHERE no_owner OR no_template OR exists)`) + `
	)
	(SELECT * FROM bad WHERE no_owner OR no_template OR exists LIMIT 1)` +
	unrecordedSQL(2+len(createColumns), 3, `NOT EXISTS (SELECT FROM bad WHERE no_owner OR no_template OR exists)`) +
	leftOutSQL("workspaces", 3, `FROM bad HAVING NOT bool_or(no_owner OR no_template OR exists) AND count(*) > (SELECT count(*) FROM created)`)

// CreateWorkspaces implements [lifecycle.Registry]. After an error that is a [lifecycle.ErrUnavailable] the workspaces may
// exist: the call is not repeated by itself when its answer is lost.
func (s *Store) CreateWorkspaces(ctx context.Context, now time.Time, workspaces ...lifecycle.Workspace) error {
	if len(workspaces) == 0 {
		return ctx.Err()
	}
	seen := make(map[uuid.UUID]bool, len(workspaces))
	for i := range workspaces {
		if err := workspaces[i].Validate(); err != nil {
			return fmt.Errorf("create workspace %s: %w", workspaces[i].ID, err)
		}
		if id := workspaces[i].ID; seen[id] {
			return fmt.Errorf("create workspace %s: %w", id, invalid.New("Workspace.ID", id, "is given twice"))
		}
		seen[workspaces[i].ID] = true
	}
	events, err := s.eventArgs()
	if err != nil {
		return wrap(err, "create workspaces")
	}
	args := func(of []workspace) []any { return append(append(createColumns.args(of), now), events...) }
	defer s.low.write(now)()
	err = s.do(ctx, once, func(ctx context.Context) error {
		return s.tryCreate(ctx, workspaces, args(workspaces))
	})
	if err != nil {
		return fmt.Errorf("create workspaces: %w", s.blameRow(ctx, err, len(workspaces), func(tx pgx.Tx, from, to int) error {
			_, err := tx.Exec(ctx, s.sql(createSQL), parameters(args(workspaces[from:to])))
			return err
		}, func(i int) string { return fmt.Sprintf("workspace %s", workspaces[i].ID) }))
	}
	s.notify()
	return nil
}

func (s *Store) tryCreate(ctx context.Context, workspaces []workspace, args []any) error {
	var id uuid.UUID
	var noOwner, noTemplate, exists bool
	err := s.waiting(ctx, batchWaitSQL, createSQL, args, func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{toID(&id), &noOwner, &noTemplate, &exists}, func() error { return nil })
		return err
	})
	if err != nil || id == uuid.Nil {
		return heldByOthers(err) // who creates one of that name and has not committed
	}
	w := workspaces[slices.IndexFunc(workspaces, func(w workspace) bool { return w.ID == id })]
	switch {
	case exists:
		err = invalid.New("Workspace.ID", id, "exists already")
	case noOwner:
		err = invalid.New("Workspace.OwnerID", w.OwnerID, "is unknown")
	default:
		err = invalid.New("Workspace.TemplateID", w.TemplateID, "is unknown")
	}
	return fmt.Errorf("workspace %s: %w", id, err)
}
