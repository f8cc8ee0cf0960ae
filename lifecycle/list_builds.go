package lifecycle

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
)

// BuildQuery asks for a page of the builds of all workspaces, those that were made last first. Zero values restrict nothing.
type BuildQuery struct {
	// Organizations are those of the workspaces. A page reads past the builds of others, and past those with other Statuses,
	// until it is full or Since is reached.
	Organizations []uuid.UUID
	Statuses      []JobStatus
	// Since leaves out what was made before it.
	Since time.Time
	// Before and BeforeID are CreatedAt and ID of the last build of the page before, zero for the first page.
	// [BuildQuery.Following] sets them.
	Before   time.Time
	BeforeID uuid.UUID
	// Limit is the size of the page, 1 to [MaxPage].
	Limit int
}

// FleetBuild is a build, and the workspace that it is of.
type FleetBuild struct {
	Build
	WorkspaceID, OrganizationID, OwnerID, TemplateID uuid.UUID
	Name                                             string
}

// Validate says which field of the query cannot be used.
func (q *BuildQuery) Validate() error {
	for _, s := range q.Statuses {
		if _, err := s.MarshalText(); err != nil {
			return invalid.As("BuildQuery.Statuses", err)
		}
	}
	if q.Before.IsZero() != (q.BeforeID == uuid.Nil) {
		return invalid.New("BuildQuery.BeforeID", q.BeforeID, "must be set with Before, and only then")
	}
	if err := validInstant("BuildQuery.Since", q.Since); err != nil {
		return err
	}
	if err := validInstant("BuildQuery.Before", q.Before); err != nil {
		return err
	}
	return validQuery("BuildQuery", q.Organizations, q.Limit)
}

// Matches reports whether the query lets a build in, that of an organization's workspace, and it is on this page or a later one.
func (q *BuildQuery) Matches(organization uuid.UUID, b *Build) bool {
	return b.Number > 0 && !b.CreatedAt.IsZero() && oneOf(q.Organizations, organization) && (len(q.Statuses) == 0 || slices.Contains(q.Statuses, b.Status)) &&
		!b.CreatedAt.Before(q.Since) && (q.BeforeID == uuid.Nil || newer(q.Before, q.BeforeID, b.CreatedAt, b.ID) < 0)
}

// Compare compares two builds in the order of the lists: it is negative if a comes first.
func (q *BuildQuery) Compare(a, b *Build) int { return newer(a.CreatedAt, a.ID, b.CreatedAt, b.ID) }

// newer is negative if the first was made later.
func newer(at time.Time, id uuid.UUID, than time.Time, thanID uuid.UUID) int {
	return cmp.Or(than.Compare(at), bytes.Compare(thanID[:], id[:]))
}

// StatusMask has the bit 1<<s of each status that the query lets in, for stores that filter by a stored number.
func (q *BuildQuery) StatusMask() (mask int64) {
	if len(q.Statuses) == 0 {
		return -1
	}
	for _, s := range q.Statuses {
		mask |= 1 << s
	}
	return mask
}

// Following asks for the page after one that ends with a build.
func (q BuildQuery) Following(last *Build) BuildQuery {
	q.Before, q.BeforeID = last.CreatedAt, last.ID
	return q
}
