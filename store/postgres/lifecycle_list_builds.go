package postgres

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// fleetRow is where a build of a fleet's list is read into.
type fleetRow struct {
	lifecycle.FleetBuild
	buildRow
}

var fleetFields = slices.Concat(
	fields[fleetRow]{
		{"id", func(r *fleetRow) any { return toID(&r.ID) }},
		{"number", func(r *fleetRow) any { return &r.Number }},
		{"workspace_id", func(r *fleetRow) any { return toID(&r.WorkspaceID) }},
		{"organization_id", func(r *fleetRow) any { return toID(&r.OrganizationID) }},
		{"owner_id", func(r *fleetRow) any { return toID(&r.OwnerID) }},
		{"template_id", func(r *fleetRow) any { return toID(&r.TemplateID) }},
		{"name", func(r *fleetRow) any { return &r.Name }},
	},
	buildFields("", func(r *fleetRow) (*build, *buildRow) { return &r.Build, &r.buildRow }),
)

// fleetBuildsSQL merges a page of the latest builds, which live in the workspaces' rows, and one of those that others have
// replaced.
var fleetBuildsSQL = `
	SELECT` + fleetFields.names() + `
	FROM (` +
	fleetPageSQL(buildColumns.names("w.build_"), `dormouse.workspaces w`, `w.build_number > 0 AND `, `w.build_`) + `
		UNION ALL` +
	fleetPageSQL(buildColumns.names("b."), `dormouse.builds b JOIN dormouse.workspaces w ON w.id = b.workspace_id`, ``, `b.`) + `
	) f (` + buildColumns.names("") + `, workspace_id, organization_id, owner_id, template_id, name)
	ORDER BY created_at DESC, id DESC LIMIT $6`

// fleetPageSQL reads one index of builds backwards from a place. Its parameters: $1 instant and $2 id of the place, $3 where
// to end, $4 bits of the statuses, $5 organizations, NULL for all, $6 size of the page.
func fleetPageSQL(columns, from, condition, of string) string {
	return `
		(SELECT` + columns + `, w.id, w.organization_id, w.owner_id, w.template_id, w.name
		FROM ` + from + `
		WHERE ` + condition + `(` + of + `created_at, ` + of + `id) < ($1::timestamptz, $2::uuid) AND ` + of + `created_at >= $3::timestamptz
			AND $4::bigint >> ` + of + `status & 1 = 1 AND ($5::uuid[] IS NULL OR w.organization_id = ANY ($5))
		ORDER BY ` + of + `created_at DESC, ` + of + `id DESC LIMIT $6::integer)`
}

// ending is after every instant in the database.
var ending = pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}

// FleetBuilds implements [lifecycle.Catalog].
func (s *Store) FleetBuilds(ctx context.Context, q lifecycle.BuildQuery) (found []lifecycle.FleetBuild, err error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	before, since := instant(q.Before), instant(q.Since)
	if q.BeforeID == uuid.Nil {
		before = ending
	}
	if q.Since.IsZero() {
		since = beginning
	}
	args := []any{before, key(q.BeforeID), since, q.StatusMask(), distinct(q.Organizations), q.Limit}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.behind(ctx, orderedSQL, fleetBuildsSQL, args, func(rows pgx.Rows) (err error) {
			found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (lifecycle.FleetBuild, error) {
				var r fleetRow
				err := row.Scan(fleetFields.targets(&r)...)
				r.into(&r.Build)
				return r.FleetBuild, err
			})
			return err
		})
	})
	return found, wrap(err, "list builds")
}
