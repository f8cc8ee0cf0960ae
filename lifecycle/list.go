package lifecycle

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
)

// Catalog answers the questions of people who run a fleet: what there is, and how much of it. Like [Registry.List] it reads
// in pages by key: what is added, removed or changed between two pages spoils neither.
type Catalog interface {
	// Templates returns, ordered by id, up to q.Limit templates of the organizations after q.After.
	Templates(ctx context.Context, q TemplateQuery) ([]Template, error)
	// Owners returns, ordered by id, up to q.Limit owners after q.After. An owner belongs to no organization.
	Owners(ctx context.Context, q OwnerQuery) ([]Owner, error)
	// CountStatuses counts the workspaces of each status, deleted ones included; a status that none has is absent. Its cost is
	// linear in the number of workspaces counted.
	CountStatuses(ctx context.Context, q CountQuery) (map[Status]int, error)
	// FleetBuilds returns, in the order of the query, up to q.Limit builds of all workspaces that [BuildQuery.Matches], deleted
	// workspaces included as long as they are kept. A build that does not say when it was made is left out.
	FleetBuilds(ctx context.Context, q BuildQuery) ([]FleetBuild, error)
}

// MaxPage is the largest page that a list returns.
const MaxPage = 10_000

// ListOrder is the order of a list of workspaces.
type ListOrder uint8

// The orders of lists. Among equals the id decides.
const (
	// ListByID is the order of creation where ids are of version 7.
	ListByID ListOrder = iota
	// ListByName compares names byte by byte.
	ListByName
	// ListByWake is the order in which ticks will look at them; those that no tick has to look at are left out.
	ListByWake
)

var listOrderNames = names[ListOrder]{"id", "name", "wake"}

// String returns the name: id, name or wake.
func (o ListOrder) String() string { return listOrderNames.name(o) }

// MarshalText implements encoding.TextMarshaler.
func (o ListOrder) MarshalText() ([]byte, error) { return listOrderNames.marshal("ListOrder", o) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *ListOrder) UnmarshalText(b []byte) error {
	return listOrderNames.unmarshal("ListOrder", o, b)
}

// ListQuery asks for a page of workspaces. The zero values of its restrictions restrict nothing, except that deleted ones
// are listed only where Statuses asks for them.
type ListQuery struct {
	// Organizations, TemplateID and OwnerID are those of the workspaces. With several organizations, or none given, a list
	// costs a page for each organization there is.
	Organizations       []uuid.UUID
	TemplateID, OwnerID uuid.UUID
	// Statuses are those that [Snapshot.Status] may return.
	Statuses []Status
	// Building lists only those whose latest build is active.
	Building bool
	// NamePrefix is what names begin with, upper and lower case being different. It needs ListByName.
	NamePrefix string
	// DueBy lists only those whose WakeAt is not after it. It needs ListByWake.
	DueBy time.Time

	Order ListOrder
	// After is the id of the last row of the page before, uuid.Nil for the first page, with AfterName in ListByName and
	// AfterWake in ListByWake. [ListQuery.Following] sets them.
	After     uuid.UUID
	AfterName string
	AfterWake time.Time
	// Limit is the size of the page, 1 to [MaxPage].
	Limit int
}

// TemplateQuery asks for a page of templates.
type TemplateQuery struct {
	// Organizations of the templates; none given means all.
	Organizations []uuid.UUID
	// After is the id of the last row of the page before, uuid.Nil for the first page.
	After uuid.UUID
	// Limit is the size of the page, 1 to [MaxPage].
	Limit int
}

// OwnerQuery asks for a page of owners.
type OwnerQuery struct {
	// After is the id of the last row of the page before, uuid.Nil for the first page.
	After uuid.UUID
	// Limit is the size of the page, 1 to [MaxPage].
	Limit int
}

// CountQuery selects the workspaces to count; zero values restrict nothing.
type CountQuery struct {
	Organizations       []uuid.UUID
	TemplateID, OwnerID uuid.UUID
}

// maxOrganizations bounds what one query asks for.
const maxOrganizations = 1000

// Validate says which field of the query cannot be used, as an [*invalid.Error]. Stores call it first.
func (q *ListQuery) Validate() error {
	for _, s := range q.Statuses {
		if _, err := s.MarshalText(); err != nil {
			return invalid.As("ListQuery.Statuses", err)
		}
	}
	if _, err := q.Order.MarshalText(); err != nil {
		return invalid.As("ListQuery.Order", err)
	}
	switch {
	case q.NamePrefix != "" && q.Order != ListByName:
		return invalid.New("ListQuery.NamePrefix", q.NamePrefix, "must be empty in the order of %s", q.Order)
	case q.AfterName != "" && q.Order != ListByName:
		return invalid.New("ListQuery.AfterName", q.AfterName, "must be empty in the order of %s", q.Order)
	case !q.DueBy.IsZero() && q.Order != ListByWake:
		return invalid.New("ListQuery.DueBy", q.DueBy, "must be zero in the order of %s", q.Order)
	case !q.AfterWake.IsZero() && q.Order != ListByWake:
		return invalid.New("ListQuery.AfterWake", q.AfterWake, "must be zero in the order of %s", q.Order)
	case q.Order == ListByWake && q.AfterWake.IsZero() && q.After != uuid.Nil:
		return invalid.New("ListQuery.AfterWake", q.AfterWake, "must be set with After")
	case !storable(q.NamePrefix):
		return invalid.New("ListQuery.NamePrefix", q.NamePrefix, "must be UTF-8 without zero bytes")
	case !storable(q.AfterName):
		return invalid.New("ListQuery.AfterName", q.AfterName, "must be UTF-8 without zero bytes")
	}
	if err := validInstant("ListQuery.DueBy", q.DueBy); err != nil {
		return err
	}
	if err := validInstant("ListQuery.AfterWake", q.AfterWake); err != nil {
		return err
	}
	return validQuery("ListQuery", q.Organizations, q.Limit)
}

// storable reports whether a stored text can be equal to a text.
func storable(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

// Validate says which field of the query cannot be used.
func (q *TemplateQuery) Validate() error {
	return validQuery("TemplateQuery", q.Organizations, q.Limit)
}

// Validate says which field of the query cannot be used.
func (q *OwnerQuery) Validate() error { return validQuery("OwnerQuery", nil, q.Limit) }

// Validate says which field of the query cannot be used.
func (q *CountQuery) Validate() error { return validQuery("CountQuery", q.Organizations, 1) }

func validQuery(name string, organizations []uuid.UUID, limit int) error {
	if len(organizations) > maxOrganizations {
		return invalid.New(name+".Organizations", len(organizations), "must be at most %d", maxOrganizations)
	}
	if limit < 1 || limit > MaxPage {
		return invalid.New(name+".Limit", limit, "must be 1 to %d", MaxPage)
	}
	return nil
}

// Matches reports whether the restrictions of the query let a workspace in; it does not look at After.
func (q *ListQuery) Matches(s *Snapshot) bool {
	w := &s.Workspace
	return oneOf(q.Organizations, w.OrganizationID) &&
		(q.TemplateID == uuid.Nil || q.TemplateID == w.TemplateID) && (q.OwnerID == uuid.Nil || q.OwnerID == w.OwnerID) &&
		q.wantsStatus(s.Status()) && (!q.Building || s.Build.Status.Active()) && strings.HasPrefix(w.Name, q.NamePrefix) &&
		(q.Order != ListByWake || !w.WakeAt.IsZero()) && (q.DueBy.IsZero() || !w.WakeAt.After(q.DueBy))
}

func (q *ListQuery) wantsStatus(s Status) bool {
	if len(q.Statuses) == 0 {
		return s != StatusDeleted
	}
	return slices.Contains(q.Statuses, s)
}

// Matches reports whether the query counts a workspace.
func (q *CountQuery) Matches(s *Snapshot) bool {
	return oneOf(q.Organizations, s.Workspace.OrganizationID) &&
		(q.TemplateID == uuid.Nil || q.TemplateID == s.Workspace.TemplateID) &&
		(q.OwnerID == uuid.Nil || q.OwnerID == s.Workspace.OwnerID)
}

// Matches reports whether the query lets a template in; it does not look at After.
func (q *TemplateQuery) Matches(t *Template) bool { return oneOf(q.Organizations, t.OrganizationID) }

func oneOf(organizations []uuid.UUID, id uuid.UUID) bool {
	return len(organizations) == 0 || slices.Contains(organizations, id)
}

// statuses are those that the query lets in, in the order of their constants.
func (q *ListQuery) statuses() []Status {
	var wanted []Status
	for s := range Status(len(statusNames)) {
		if q.wantsStatus(s) {
			wanted = append(wanted, s)
		}
	}
	return wanted
}

// StatusMask has the bit 1<<s of each status that the query lets in, for stores that filter by a stored number. A workspace whose
// build is active may have one of few statuses, and Building leaves only these.
func (q *ListQuery) StatusMask() (mask int64) {
	for _, s := range q.statuses() {
		if !q.Building || s == StatusStarting || s == StatusStopping || s == StatusDeleting || s == StatusCanceling ||
			s == StatusManaged || s == StatusDeleted {
			mask |= 1 << s
		}
	}
	return mask
}

// Follows reports whether a workspace comes after the place that After, AfterName and AfterWake name.
func (q *ListQuery) Follows(s *Snapshot) bool {
	if q.After == uuid.Nil && q.AfterName == "" && q.AfterWake.IsZero() {
		return true
	}
	place := Snapshot{Workspace: Workspace{ID: q.After, Name: q.AfterName, WakeAt: q.AfterWake}}
	return q.Compare(s, &place) > 0
}

// Compare compares two workspaces in the order of the query.
func (q *ListQuery) Compare(a, b *Snapshot) int {
	byID := bytes.Compare(a.Workspace.ID[:], b.Workspace.ID[:])
	switch q.Order {
	case ListByName:
		return cmp.Or(strings.Compare(a.Workspace.Name, b.Workspace.Name), byID)
	case ListByWake:
		return cmp.Or(a.Workspace.WakeAt.Compare(b.Workspace.WakeAt), byID)
	}
	return byID
}

// Following asks for the page after one that ends with a workspace. In ListByWake a workspace that is looked at meanwhile
// moves, and may be in both pages or in none.
func (q ListQuery) Following(last *Snapshot) ListQuery {
	q.After = last.Workspace.ID
	switch q.Order {
	case ListByName:
		q.AfterName = last.Workspace.Name
	case ListByWake:
		q.AfterWake = last.Workspace.WakeAt
	}
	return q
}

// Pages yields what a query selects, a page of q.Limit at a time, none of them empty. An error of the store is the last thing that
// it yields. Workspaces that are made or renamed meanwhile may be on no page.
func Pages(ctx context.Context, store interface {
	List(ctx context.Context, q ListQuery) ([]Snapshot, error)
}, q ListQuery,
) iter.Seq2[[]Snapshot, error] {
	return func(yield func([]Snapshot, error) bool) {
		for {
			page, err := store.List(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) > 0 && !yield(page, nil) || len(page) < q.Limit {
				return
			}
			q = q.Following(&page[len(page)-1])
		}
	}
}
