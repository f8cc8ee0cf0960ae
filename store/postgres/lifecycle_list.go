package postgres

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/form"
	"github.com/dormouse-go/dormouse/store/sqltext"
)

// The statements of lists read one index each, of the workspaces or of their keys, from a place on, and run behind orderedSQL. Each has its index compare rows and
// sorts by all of its columns: where one of them is said to be equal to a parameter, the server drops it from the order, and
// prefers to read another index, that of all ids for instance, until a page is full. They share their parameters:
//
//	$1 organizations, NULL for all                   $7 latest wake
//	$2 template, $3 owner, NULL for all              $8 id, $9 name, $10 wake: the place after which to begin
//	$4 bits of the statuses, $5 only what is being built  $11 size of the page
//	$6 end of the names
const listed = `
			($1::uuid[] IS NULL OR w.organization_id = ANY ($1)) AND ($2::uuid IS NULL OR w.template_id = $2)
			AND ($3::uuid IS NULL OR w.owner_id = $3)
			AND $4::bigint >> w.status & 1 = 1 AND (NOT $5::boolean OR w.build_status BETWEEN 1 AND 3)
			AND $6::text IS NOT NULL AND $7::timestamptz IS NOT NULL AND $8::uuid IS NOT NULL AND $9::text IS NOT NULL
			AND $10::timestamptz IS NOT NULL`

// listOrders are the keys of the orders, and what lies after a place and within the bounds of the query.
var listOrders = map[lifecycle.ListOrder]struct{ key, after string }{
	lifecycle.ListByID: {`w.id`, `w.id > $8`},
	lifecycle.ListByName: {
		`w.name COLLATE "C", w.id`,
		`(w.name COLLATE "C", w.id) > ($9, $8) AND w.name COLLATE "C" < $6`,
	},
	lifecycle.ListByWake: {`w.wake_at, w.id`, `(w.wake_at, w.id) > ($10, $8) AND w.wake_at <= $7`},
}

// scan reads a page through the index whose columns are the key.
func scan(condition, key string) string { return scanOf(`dormouse.workspaces w`, condition, key) }

// keyed are the workspaces behind their keys k, for what is read through an index of those.
const keyed = `dormouse.workspace_keys k JOIN dormouse.workspaces w ON w.id = k.id`

// keptKey says that the workspace of a key is not deleted. The server looks at one after the other: it would join all of them if it
// knew little of the tables.
const keptKey = `(SELECT NOT w.deleted FROM dormouse.workspaces w WHERE w.id = k.id)`

func scanOf(from, condition, key string) string {
	return `SELECT w.* FROM ` + from + `
		WHERE ` + condition + ` AND` + listed + `
		ORDER BY ` + key + ` LIMIT $11::integer`
}

// each reads a page for each of some parts.
func each(parts, page, key string) string {
	return `SELECT w.* FROM ` + parts + ` CROSS JOIN LATERAL (
		` + page + `
		) w ORDER BY ` + key + ` LIMIT $11`
}

// listing is the snapshots of a page.
func listing(page, key string) string {
	return `
	SELECT` + snapshotColumns + `
	FROM (
		` + page + `
	) w` + snapshotJoins + `
	ORDER BY ` + key
}

var (
	listAll        = listing(scan(`w.id > $8`, `w.id`), `w.id`)
	listOfTemplate = listing(scanOf(keyed, `(k.template_id, k.id) > ($2, $8) AND k.template_id <= $2`, `k.template_id, k.id`), `w.id`)
	listByWake     = listing(scan(listOrders[lifecycle.ListByWake].after, `w.wake_at, w.id`), `w.wake_at, w.id`)
	listByName     = listing(each(`unnest($1::uuid[]) o (id)`, scanOf(keyed, `
			(k.organization_id, k.name COLLATE "C", k.id) > (o.id, $9, $8)
			AND (k.organization_id, k.name COLLATE "C") < (o.id, $6) AND octet_length(k.name) <= 2000`,
		`k.organization_id, k.name COLLATE "C", k.id`), listOrders[lifecycle.ListByName].key), listOrders[lifecycle.ListByName].key)
	listByStatus = listing(each(`unnest($1::uuid[]) o (id)
			JOIN generate_series(0, 12) s (status) ON $4::bigint >> s.status & 1 = 1`, scan(`
			(w.organization_id, w.status, w.id) > (o.id, s.status, $8)
			AND (w.organization_id, w.status) <= (o.id, s.status)`,
		`w.organization_id, w.status, w.id`), `w.id`), `w.id`)
	listOfOwner = map[lifecycle.ListOrder]string{
		lifecycle.ListByID:   listingOfOwner(lifecycle.ListByID),
		lifecycle.ListByName: listingOfOwner(lifecycle.ListByName),
		lifecycle.ListByWake: listingOfOwner(lifecycle.ListByWake),
	}
)

// listingOfOwner reads all workspaces of an owner, who has few, and sorts them. OFFSET 0 keeps the server from looking for
// them in an index that would spare it the sorting.
func listingOfOwner(order lifecycle.ListOrder) string {
	o := listOrders[order]
	return listing(`SELECT w.* FROM (
			SELECT w.* FROM (SELECT id FROM dormouse.workspace_keys WHERE owner_id = $3 OFFSET 0) k JOIN dormouse.workspaces w ON w.id = k.id OFFSET 0
		) w
		WHERE `+o.after+` AND`+listed+`
		ORDER BY `+o.key+` LIMIT $11::integer`, o.key)
}

var lists = sqltext.Lists{
	All: listAll, OfTemplate: listOfTemplate, ByWake: listByWake, ByName: listByName, ByStatus: listByStatus, OfOwner: listOfOwner,
}

// List implements [lifecycle.Registry].
func (s *Store) List(ctx context.Context, q lifecycle.ListQuery) (found []lifecycle.Snapshot, err error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	statement, divided := lists.For(&q)
	organizations := distinct(q.Organizations)
	if divided && len(organizations) == 0 {
		if organizations, err = s.organizations(ctx); err != nil {
			return nil, wrap(err, "list workspaces")
		}
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		return s.behind(ctx, orderedSQL, statement, listArgs(&q, organizations), func(rows pgx.Rows) (err error) {
			found, err = s.snapshots(rows, 0)
			return err
		})
	})
	return found, wrap(err, "list workspaces")
}

// lastName is after all names that can be in the index.
var lastName = strings.Repeat("\U0010FFFF", 501)

func listArgs(q *lifecycle.ListQuery, organizations []key) []any {
	end, until, after := form.PrefixEnd(q.NamePrefix), instant(q.DueBy), instant(q.AfterWake)
	if end == "" {
		end = lastName
	}
	if q.DueBy.IsZero() {
		until = ending
	}
	if q.AfterWake.IsZero() {
		after = beginning
	}
	return []any{
		organizations, optional(q.TemplateID), optional(q.OwnerID), q.StatusMask(), q.Building,
		end, until, key(q.After), max(q.NamePrefix, q.AfterName), after, q.Limit,
	}
}

// optional is an id as a parameter, nil for none.
func optional(id uuid.UUID) *key {
	if id == uuid.Nil {
		return nil
	}
	k := key(id)
	return &k
}

// distinct are ids as a parameter, each once, nil for none.
func distinct(ids []uuid.UUID) []key {
	if len(ids) == 0 {
		return nil
	}
	all := keys(ids)
	slices.SortFunc(all, func(a, b key) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(all)
}

// organizationsSQL goes from one organization that has workspaces to the next.
const organizationsSQL = `
	WITH RECURSIVE found AS (
		(SELECT organization_id AS id FROM dormouse.workspaces ORDER BY organization_id, status, id LIMIT 1)
		UNION ALL
		SELECT n.organization_id FROM found f CROSS JOIN LATERAL (
			SELECT organization_id FROM dormouse.workspaces WHERE organization_id > f.id
			ORDER BY organization_id, status, id LIMIT 1
		) n
	)
	SELECT id FROM found`

// organizations are all that have workspaces.
func (s *Store) organizations(ctx context.Context) (all []key, err error) {
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		all = []key{}
		return s.behind(ctx, orderedSQL, organizationsSQL, nil, func(rows pgx.Rows) error {
			var id uuid.UUID
			_, err := pgx.ForEachRow(rows, []any{toID(&id)}, func() error { all = append(all, key(id)); return nil })
			return err
		})
	})
	return all, err
}

// CountStatuses implements [lifecycle.Catalog].
func (s *Store) CountStatuses(ctx context.Context, q lifecycle.CountQuery) (counts map[lifecycle.Status]int, err error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	var w where
	from := `dormouse.workspaces w`
	if len(q.Organizations) > 0 {
		w.and("w.organization_id = ANY (%s)", keys(q.Organizations))
	}
	if q.TemplateID != uuid.Nil {
		from = keyed
		w.and("k.template_id = %s", key(q.TemplateID))
	}
	if q.OwnerID != uuid.Nil {
		from = keyed
		w.and("k.owner_id = %s", key(q.OwnerID))
	}
	text := `SELECT w.status, count(*) FROM ` + from + ` WHERE true` + w.text + ` GROUP BY w.status`
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		counts = map[lifecycle.Status]int{}
		rows, _ := s.db.Query(ctx, s.sql(text), w.args...)
		var status int16
		var n int
		_, err = pgx.ForEachRow(rows, []any{&status, &n}, func() error { counts[lifecycle.Status(status)] = n; return nil })
		return err
	})
	return counts, wrap(err, "count workspaces")
}

var (
	templatesSQL = `
	SELECT` + templateFields.names() + `
	FROM dormouse.templates WHERE id > $1 AND ($2::uuid[] IS NULL OR organization_id = ANY ($2)) ORDER BY id LIMIT $3`
	ownersSQL = `
	SELECT` + ownerFields.names() + `
	FROM dormouse.owners WHERE id > $1 ORDER BY id LIMIT $2`
)

// Templates implements [lifecycle.Catalog].
func (s *Store) Templates(ctx context.Context, q lifecycle.TemplateQuery) (found []lifecycle.Template, err error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		rows, _ := s.db.Query(ctx, s.sql(templatesSQL), key(q.After), distinct(q.Organizations), q.Limit)
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (lifecycle.Template, error) {
			var r templateRow
			err := row.Scan(templateFields.targets(&r)...)
			return s.template(&r), err
		})
		return err
	})
	return found, wrap(err, "list templates")
}

// Owners implements [lifecycle.Catalog].
func (s *Store) Owners(ctx context.Context, q lifecycle.OwnerQuery) (found []lifecycle.Owner, err error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	err = s.do(ctx, repeatable, func(ctx context.Context) error {
		rows, _ := s.db.Query(ctx, s.sql(ownersSQL), key(q.After), q.Limit)
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (lifecycle.Owner, error) {
			var r ownerRow
			err := row.Scan(ownerFields.targets(&r)...)
			return s.owner(&r), err
		})
		return err
	})
	return found, wrap(err, "list owners")
}
