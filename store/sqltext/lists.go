package sqltext

import (
	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// Lists are the statements of a store's List of [lifecycle.Registry], each of which reads one index. Those by name and by status
// read a part for each organization.
type Lists struct {
	All, OfTemplate, ByWake, ByName, ByStatus string
	OfOwner                                   map[lifecycle.ListOrder]string
}

// For returns the statement whose index suits a query best; divided says that it reads a part for each organization.
func (l *Lists) For(q *lifecycle.ListQuery) (statement string, divided bool) {
	byStatus := len(q.Statuses) > 0 || q.Building || len(q.Organizations) > 0
	switch {
	case q.OwnerID != uuid.Nil:
		return l.OfOwner[q.Order], false
	case q.Order == lifecycle.ListByWake:
		return l.ByWake, false
	case q.Order == lifecycle.ListByName:
		return l.ByName, true
	case q.TemplateID != uuid.Nil:
		return l.OfTemplate, false
	case byStatus:
		return l.ByStatus, true
	}
	return l.All, false
}
