package sqltext_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/store/sqltext"
)

func TestListsFor(t *testing.T) {
	lists := sqltext.Lists{
		All: "all", OfTemplate: "template", ByWake: "wake", ByName: "name", ByStatus: "status",
		OfOwner: map[lifecycle.ListOrder]string{lifecycle.ListByID: "owner", lifecycle.ListByName: "owner by name", lifecycle.ListByWake: "owner by wake"},
	}
	one := []uuid.UUID{uuid.New()}
	for _, c := range []struct {
		q       lifecycle.ListQuery
		want    string
		divided bool
	}{
		{lifecycle.ListQuery{}, "all", false},
		{lifecycle.ListQuery{OwnerID: one[0], TemplateID: one[0], Organizations: one}, "owner", false},
		{lifecycle.ListQuery{OwnerID: one[0], Order: lifecycle.ListByName}, "owner by name", false},
		{lifecycle.ListQuery{OwnerID: one[0], Order: lifecycle.ListByWake}, "owner by wake", false},
		{lifecycle.ListQuery{TemplateID: one[0], Organizations: one, Building: true}, "template", false},
		{lifecycle.ListQuery{TemplateID: one[0], Order: lifecycle.ListByWake, DueBy: time.Unix(1, 0)}, "wake", false},
		{lifecycle.ListQuery{TemplateID: one[0], Order: lifecycle.ListByName}, "name", true},
		{lifecycle.ListQuery{Organizations: one}, "status", true},
		{lifecycle.ListQuery{Building: true}, "status", true},
		{lifecycle.ListQuery{Statuses: []lifecycle.Status{lifecycle.StatusFailed}}, "status", true},
	} {
		if got, divided := lists.For(&c.q); got != c.want || divided != c.divided {
			t.Errorf("%+v is read by %q (divided %v), want %q (%v)", c.q, got, divided, c.want, c.divided)
		}
	}
}
