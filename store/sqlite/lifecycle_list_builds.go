package sqlite

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/dormouse-go/dormouse/lifecycle"
)

var fleetBuildFields = slices.Concat(
	buildFields("", func(b *lifecycle.FleetBuild) *build { return &b.Build }),
	fields[lifecycle.FleetBuild]{
		{"workspace_id", func(b *lifecycle.FleetBuild) any { return &b.WorkspaceID }},
		{"organization_id", func(b *lifecycle.FleetBuild) any { return &b.OrganizationID }},
		{"owner_id", func(b *lifecycle.FleetBuild) any { return &b.OwnerID }},
		{"template_id", func(b *lifecycle.FleetBuild) any { return &b.TemplateID }},
		{"name", func(b *lifecycle.FleetBuild) any { return &b.Name }},
	},
)

// selectFleetBuilds merges a page of the latest builds, which live in the workspaces' rows, and one of those that others have
// replaced.
var selectFleetBuilds = `
SELECT` + fleetBuildFields.names() + ` FROM (` +
	fleetPage(latestColumns.as(buildColumns), `{workspaces} w INDEXED BY {workspaces_built}`, `w.build_number > 0 AND `, `w.build_`) + `
	UNION ALL` +
	fleetPage(buildColumns.names("b."), `{builds} b INDEXED BY {builds_created} CROSS JOIN {workspaces} w ON w.id = b.workspace_id`, ``, `b.`) + `
)
ORDER BY created_at DESC, id DESC LIMIT ?6`

// fleetPage reads one index of builds backwards from a place. Its parameters: ?1 instant and ?2 id of the place, ?3 where to
// end, ?4 bits of the statuses, ?5 organizations as a list of hexadecimal texts, NULL for all, ?6 size of the page.
func fleetPage(columns, from, condition, of string) string {
	return `
	SELECT * FROM (
		SELECT` + columns + `, w.id AS workspace_id, w.organization_id, w.owner_id, w.template_id, w.name
		FROM ` + from + `
		WHERE ` + condition + `(` + of + `created_at, ` + of + `id) < (?1, ?2) AND ` + of + `created_at >= ?3 AND (?4 >> ` + of + `status & 1)
			AND (?5 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?5)))
		ORDER BY ` + of + `created_at DESC, ` + of + `id DESC LIMIT ?6)`
}

// FleetBuilds implements [lifecycle.Catalog].
func (s *Store) FleetBuilds(ctx context.Context, q lifecycle.BuildQuery) (found []lifecycle.FleetBuild, err error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	if err = s.ready(ctx); err == nil {
		err = s.query(ctx, selectFleetBuilds, func(r rows) error {
			var b lifecycle.FleetBuild
			err := r.Scan(fleetBuildFields.targets(&b)...)
			found = append(found, b)
			return err
		}, cmp.Or(micros(q.Before), any(int64(math.MaxInt64))), blob(q.BeforeID), cmp.Or(micros(q.Since), any(int64(math.MinInt64))),
			q.StatusMask(), anyOf(q.Organizations), q.Limit)
	}
	return found, unavailable(err, "list builds")
}
