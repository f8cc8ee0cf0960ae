package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/form"
	"github.com/dormouse-go/dormouse/store/sqltext"
)

// The statements of lists name the index that they read, so that statistics cannot have them read the whole table. They
// share their parameters:
//
//	?1 organizations, as a list of hexadecimal texts, NULL for all    ?7 latest wake, NULL for any
//	?2 template, ?3 owner, NULL for all                               ?8 id, ?9 name, ?10 wake: the place after which to begin
//	?4 bits of the statuses, ?5 only what is being built              ?11 size of the page
//	?6 end of the names, NULL for none                                ?12 the organization, where there is one at a time
const listed = `
	(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
	AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
	AND (?4 >> w.status & 1) AND (NOT ?5 OR w.build_status BETWEEN 1 AND 3)`

// listOrders are the keys of the orders, and what lies after a place and within the bounds of the query. A BLOB is greater
// than every text.
var listOrders = map[lifecycle.ListOrder]struct{ key, after string }{
	lifecycle.ListByID:   {`w.id`, `w.id > ?8`},
	lifecycle.ListByName: {`w.name, w.id`, `(w.name, w.id) > (?9, ?8) AND w.name < coalesce(?6, x'')`},
	lifecycle.ListByWake: {`w.wake_at, w.id`, `(w.wake_at, w.id) > (?10, ?8) AND w.wake_at <= coalesce(?7, 9223372036854775807)`},
}

// listing is a list that reads one index from a place on.
func listing(order lifecycle.ListOrder, from, condition string) string {
	o := listOrders[order]
	return selectSnapshots + from + joinSnapshots + `
WHERE ` + condition + o.after + ` AND` + listed + `
ORDER BY ` + o.key + ` LIMIT ?11`
}

var (
	listAll        = listing(lifecycle.ListByID, `INDEXED BY sqlite_autoindex_{workspaces}_1`, ``)
	listOfTemplate = listing(lifecycle.ListByID, `INDEXED BY {workspaces_template}`, `w.template_id = ?2 AND `)
	listByWake     = listing(lifecycle.ListByWake, `INDEXED BY {workspaces_due}`, ``)
	listByName     = listing(lifecycle.ListByName, `INDEXED BY {workspaces_name}`, `w.organization_id = ?12 AND `)
	listByStatus   = listingByStatus()
	// listOfOwner sorts the workspaces of an owner, who has few.
	listOfOwner = map[lifecycle.ListOrder]string{
		lifecycle.ListByID:   listing(lifecycle.ListByID, `INDEXED BY {workspaces_owner}`, `w.owner_id = ?3 AND `),
		lifecycle.ListByName: listing(lifecycle.ListByName, `INDEXED BY {workspaces_owner}`, `w.owner_id = ?3 AND `),
		lifecycle.ListByWake: listing(lifecycle.ListByWake, `INDEXED BY {workspaces_owner}`, `w.owner_id = ?3 AND `),
	}
)

// listingByStatus joins a page of each status into one. A status that is not asked for costs nothing.
func listingByStatus() string {
	var pages []string
	for s := lifecycle.StatusNew; s <= lifecycle.StatusManaged; s++ {
		pages = append(pages, fmt.Sprintf(`
	SELECT id FROM (
		SELECT w.id FROM {workspaces} w INDEXED BY {workspaces_status}
		WHERE (?4 >> %[1]d & 1) AND w.organization_id = ?12 AND w.status = %[1]d AND w.id > ?8 AND`+listed+`
		ORDER BY w.id LIMIT ?11)`, s))
	}
	return selectSnapshots + joinSnapshots + `
WHERE w.id IN (` + strings.Join(pages, `
	UNION ALL`) + `)
ORDER BY w.id LIMIT ?11`
}

var lists = sqltext.Lists{
	All: listAll, OfTemplate: listOfTemplate, ByWake: listByWake, ByName: listByName, ByStatus: listByStatus, OfOwner: listOfOwner,
}

// List implements [lifecycle.Registry].
func (s *Store) List(ctx context.Context, q lifecycle.ListQuery) ([]lifecycle.Snapshot, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	statement, divided := lists.For(&q)
	args := listArgs(&q)
	if !divided {
		found, err := s.snapshots(ctx, q.Limit, statement, args...)
		return found, unavailable(err, "list workspaces")
	}
	found, err := s.listDivided(ctx, &q, statement, args)
	return found, unavailable(err, "list workspaces")
}

func listArgs(q *lifecycle.ListQuery) []any {
	var end any
	if text := form.PrefixEnd(q.NamePrefix); text != "" {
		end = text
	}
	return []any{
		anyOf(q.Organizations), optional(q.TemplateID), optional(q.OwnerID), q.StatusMask(), flag(q.Building),
		end, micros(q.DueBy), blob(q.After), max(q.NamePrefix, q.AfterName), cmp.Or(micros(q.AfterWake), any(int64(math.MinInt64))), q.Limit,
	}
}

// anyOf are ids as a parameter, nil if none is given.
func anyOf(ids []uuid.UUID) any {
	if len(ids) == 0 {
		return nil
	}
	return hexList(ids)
}

// optional is an id as a parameter, nil for none.
func optional(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return blob(id)
}

// listDivided reads a page of each organization and keeps what comes first.
func (s *Store) listDivided(ctx context.Context, q *lifecycle.ListQuery, statement string, args []any) (found []lifecycle.Snapshot, err error) {
	organizations, err := s.organizations(ctx, q.Organizations)
	if err != nil {
		return nil, err
	}
	for _, id := range organizations {
		page, err := s.snapshots(ctx, q.Limit, statement, append(args[:len(args):len(args)], blob(id))...)
		if err != nil {
			return nil, err
		}
		found = append(found, page...)
	}
	if len(organizations) > 1 {
		slices.SortFunc(found, func(a, b lifecycle.Snapshot) int { return q.Compare(&a, &b) })
	}
	return found[:min(len(found), q.Limit)], nil
}

// nextOrganization goes from one organization that has workspaces to the next.
const nextOrganization = `
SELECT organization_id FROM {workspaces} INDEXED BY {workspaces_status} WHERE organization_id > ? ORDER BY organization_id LIMIT 1`

// organizations are those asked for, each once, or all that have workspaces if none was.
func (s *Store) organizations(ctx context.Context, wanted []uuid.UUID) (all []uuid.UUID, err error) {
	if len(wanted) > 0 {
		return distinct(wanted), nil
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	for after := []byte{}; ; {
		var id uuid.UUID
		if more, err := s.queryRow(ctx, nextOrganization, []any{after}, &id); err != nil || !more {
			return all, err
		}
		all, after = append(all, id), blob(id)
	}
}

const (
	countOfOrganization = `
SELECT status, count(*) FROM {workspaces} INDEXED BY {workspaces_status} WHERE organization_id = ?1 GROUP BY status`
	countOfOwner = `
SELECT w.status, count(*) FROM {workspaces} w INDEXED BY {workspaces_owner} WHERE w.owner_id = ?3 AND` + counted
	countOfTemplate = `
SELECT w.status, count(*) FROM {workspaces} w INDEXED BY {workspaces_template} WHERE w.template_id = ?2 AND` + counted
	counted = `
	(?1 IS NULL OR w.organization_id IN (SELECT unhex(value) FROM json_each(?1)))
	AND (?2 IS NULL OR w.template_id = ?2) AND (?3 IS NULL OR w.owner_id = ?3)
GROUP BY w.status`
)

// CountStatuses implements [lifecycle.Catalog].
func (s *Store) CountStatuses(ctx context.Context, q lifecycle.CountQuery) (map[lifecycle.Status]int, error) {
	if err := q.Validate(); err != nil {
		return nil, err
	}
	counts := map[lifecycle.Status]int{}
	err := s.ready(ctx)
	if err == nil {
		err = s.count(ctx, &q, counts)
	}
	if err != nil {
		return nil, unavailable(err, "count workspaces")
	}
	return counts, nil
}

func (s *Store) count(ctx context.Context, q *lifecycle.CountQuery, counts map[lifecycle.Status]int) error {
	add := func(r rows) error {
		var status lifecycle.Status
		var n int
		err := r.Scan(&status, &n)
		counts[status] += n
		return err
	}
	of := []any{anyOf(q.Organizations), optional(q.TemplateID), optional(q.OwnerID)}
	switch {
	case q.OwnerID != uuid.Nil:
		return s.query(ctx, countOfOwner, add, of...)
	case q.TemplateID != uuid.Nil:
		return s.query(ctx, countOfTemplate, add, of...)
	}
	organizations, err := s.organizations(ctx, q.Organizations)
	for _, id := range organizations {
		if err := s.query(ctx, countOfOrganization, add, blob(id)); err != nil {
			return err
		}
	}
	return err
}
