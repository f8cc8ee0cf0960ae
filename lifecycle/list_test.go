package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
)

func TestListOrdersAsText(t *testing.T) {
	for order, want := range map[lifecycle.ListOrder]string{lifecycle.ListByID: "id", lifecycle.ListByName: "name", lifecycle.ListByWake: "wake"} {
		var read lifecycle.ListOrder
		must(read.UnmarshalText([]byte(want)))
		if order.String() != want || read != order {
			t.Errorf("%d is %q, and %q is %d", order, order, want, read)
		}
	}
	if err := new(lifecycle.ListOrder).UnmarshalText([]byte("age")); err == nil {
		t.Error("there is no order by age")
	}
}

// Each restriction of a query lets in what meets it, and nothing else.
func TestWhatListsLetIn(t *testing.T) {
	s := running(workspace(func(w *lifecycle.Workspace) {
		w.OrganizationID, w.TemplateID, w.OwnerID, w.Name, w.WakeAt = id(0x11), id(0x22), id(0x33), "api-1", monday
	}))
	building, deleted, asleep := s, s, s
	building.Build.Status = lifecycle.JobRunning
	deleted.Workspace.Deleted, asleep.Workspace.WakeAt = true, time.Time{}
	later := monday.Add(us)
	for name, c := range map[string]struct {
		q    lifecycle.ListQuery
		s    lifecycle.Snapshot
		want bool
	}{
		"nothing asked":        {lifecycle.ListQuery{}, s, true},
		"a deleted one":        {lifecycle.ListQuery{}, deleted, false},
		"deleted ones":         {lifecycle.ListQuery{Statuses: []lifecycle.Status{lifecycle.StatusDeleted}}, deleted, true},
		"another status":       {lifecycle.ListQuery{Statuses: []lifecycle.Status{lifecycle.StatusDeleted}}, s, false},
		"its organization":     {lifecycle.ListQuery{Organizations: []uuid.UUID{id(1), id(0x11)}}, s, true},
		"another organization": {lifecycle.ListQuery{Organizations: []uuid.UUID{id(1)}}, s, false},
		"its template":         {lifecycle.ListQuery{TemplateID: id(0x22)}, s, true},
		"another template":     {lifecycle.ListQuery{TemplateID: id(0x33)}, s, false},
		"its owner":            {lifecycle.ListQuery{OwnerID: id(0x33)}, s, true},
		"another owner":        {lifecycle.ListQuery{OwnerID: id(0x22)}, s, false},
		"a build":              {lifecycle.ListQuery{Building: true}, building, true},
		"no build":             {lifecycle.ListQuery{Building: true}, s, false},
		"its name":             {lifecycle.ListQuery{Order: lifecycle.ListByName, NamePrefix: "api"}, s, true},
		"another name":         {lifecycle.ListQuery{Order: lifecycle.ListByName, NamePrefix: "API"}, s, false},
		"looked at":            {lifecycle.ListQuery{Order: lifecycle.ListByWake}, s, true},
		"never looked at":      {lifecycle.ListQuery{Order: lifecycle.ListByWake}, asleep, false},
		"by its name, asleep":  {lifecycle.ListQuery{Order: lifecycle.ListByName}, asleep, true},
		"due then":             {lifecycle.ListQuery{Order: lifecycle.ListByWake, DueBy: monday}, s, true},
		"due before":           {lifecycle.ListQuery{Order: lifecycle.ListByWake, DueBy: later}, s, true},
		"due later":            {lifecycle.ListQuery{Order: lifecycle.ListByWake, DueBy: monday.Add(-us)}, s, false},
	} {
		if got := c.q.Matches(&c.s); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if !c.want {
			continue
		}
		if bit := int64(1) << c.s.Status(); c.q.StatusMask()&bit == 0 {
			t.Errorf("%s: the mask %b has no bit for %s", name, c.q.StatusMask(), c.s.Status())
		}
	}
	for name, c := range map[string]struct {
		q    lifecycle.CountQuery
		want bool
	}{
		"everything":           {lifecycle.CountQuery{}, true},
		"its all":              {lifecycle.CountQuery{[]uuid.UUID{id(0x11)}, id(0x22), id(0x33)}, true},
		"another organization": {lifecycle.CountQuery{Organizations: []uuid.UUID{id(1)}}, false},
		"another template":     {lifecycle.CountQuery{TemplateID: id(1)}, false},
		"another owner":        {lifecycle.CountQuery{OwnerID: id(1)}, false},
	} {
		if got := c.q.Matches(&s); got != c.want {
			t.Errorf("count %s: %v", name, got)
		}
	}
	tm := lifecycle.Template{OrganizationID: id(0x11)}
	for _, org := range []int{0x11, 1} {
		if q := (lifecycle.TemplateQuery{Organizations: []uuid.UUID{id(org)}}); q.Matches(&tm) != (org == 0x11) {
			t.Errorf("a template of another organization, or not its own: %x", org)
		}
	}
}

// The mask has the bit of each status that is wanted and can be, and no other.
func TestStatusMasks(t *testing.T) {
	bits := func(all ...lifecycle.Status) (mask int64) {
		for _, s := range all {
			mask |= 1 << s
		}
		return mask
	}
	building := []lifecycle.Status{
		lifecycle.StatusStarting, lifecycle.StatusStopping, lifecycle.StatusDeleting, lifecycle.StatusCanceling, lifecycle.StatusManaged,
	}
	for name, c := range map[string]struct {
		q    lifecycle.ListQuery
		want int64
	}{
		"two":               {lifecycle.ListQuery{Statuses: []lifecycle.Status{lifecycle.StatusRunning, lifecycle.StatusDeleted}}, bits(lifecycle.StatusRunning, lifecycle.StatusDeleted)},
		"building":          {lifecycle.ListQuery{Building: true}, bits(building...)},
		"building, one":     {lifecycle.ListQuery{Building: true, Statuses: []lifecycle.Status{lifecycle.StatusRunning, lifecycle.StatusDeleting}}, bits(lifecycle.StatusDeleting)},
		"building, deleted": {lifecycle.ListQuery{Building: true, Statuses: []lifecycle.Status{lifecycle.StatusDeleted}}, bits(lifecycle.StatusDeleted)},
	} {
		if got := c.q.StatusMask(); got != c.want {
			t.Errorf("%s: %b, want %b", name, got, c.want)
		}
	}
	if all := new(lifecycle.ListQuery).StatusMask(); all&bits(lifecycle.StatusDeleted) != 0 || all&bits(lifecycle.StatusRunning) == 0 || all&bits(building...) != bits(building...) {
		t.Errorf("of all: %b", all)
	}
	if q := (lifecycle.BuildQuery{Statuses: []lifecycle.JobStatus{lifecycle.JobFailed, lifecycle.JobPending}}); q.StatusMask() != 1<<lifecycle.JobFailed|1<<lifecycle.JobPending {
		t.Errorf("of builds: %b", q.StatusMask())
	}
	if got := new(lifecycle.BuildQuery).StatusMask(); got != -1 {
		t.Errorf("of all builds: %b", got)
	}
}

// The largest page, and as many organizations as may be named, are no errors; one more is.
func TestListBounds(t *testing.T) {
	valid := func(limit, organizations int) []error {
		orgs := make([]uuid.UUID, organizations)
		list, templates := lifecycle.ListQuery{Limit: limit, Organizations: orgs}, lifecycle.TemplateQuery{Limit: limit, Organizations: orgs}
		builds := lifecycle.BuildQuery{Limit: limit, Organizations: orgs}
		return []error{list.Validate(), templates.Validate(), builds.Validate()}
	}
	for _, good := range [][2]int{{1, 0}, {lifecycle.MaxPage, 1000}} {
		if err := errors.Join(valid(good[0], good[1])...); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for _, bad := range [][2]int{{0, 0}, {lifecycle.MaxPage + 1, 0}, {1, 1001}} {
		for i, err := range valid(bad[0], bad[1]) {
			if !errors.Is(err, invalid.Err) {
				t.Errorf("%v, query %d: %v", bad, i, err)
			}
		}
	}
	if err := (&lifecycle.CountQuery{Organizations: make([]uuid.UUID, 1000)}).Validate(); err != nil {
		t.Error(err)
	}
	for field, q := range map[string]lifecycle.ListQuery{
		"ListQuery.NamePrefix": {Limit: 1, NamePrefix: "a"}, "ListQuery.DueBy": {Limit: 1, DueBy: monday},
	} {
		var refused *invalid.Error
		if err := q.Validate(); !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, q := range []lifecycle.ListQuery{
		{Limit: 1, Order: lifecycle.ListByName, NamePrefix: "a"}, {Limit: 1, Order: lifecycle.ListByWake, DueBy: monday},
	} {
		if err := q.Validate(); err != nil {
			t.Error(err)
		}
	}
	var refused *invalid.Error
	if err := (&lifecycle.BuildQuery{Limit: 1, Statuses: []lifecycle.JobStatus{99}}).Validate(); !errors.As(err, &refused) {
		t.Errorf("a status that does not exist: %v", err)
	}
	if err := (&lifecycle.BuildQuery{Limit: 1, Since: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}).Validate(); !errors.As(err, &refused) || refused.Field != "BuildQuery.Since" {
		t.Errorf("a time that is none: %v", err)
	}
}

// A build without a number, or one that does not say when it was made, is on no page.
func TestWhatListsOfBuildsLetIn(t *testing.T) {
	b := lifecycle.Build{ID: id(5), Number: 1, CreatedAt: monday, Status: lifecycle.JobFailed}
	unborn, undated := b, b
	unborn.Number, undated.CreatedAt = 0, time.Time{}
	for name, c := range map[string]struct {
		q    lifecycle.BuildQuery
		b    lifecycle.Build
		want bool
	}{
		"all":                  {lifecycle.BuildQuery{}, b, true},
		"without a number":     {lifecycle.BuildQuery{}, unborn, false},
		"without a time":       {lifecycle.BuildQuery{}, undated, false},
		"its organization":     {lifecycle.BuildQuery{Organizations: []uuid.UUID{id(9)}}, b, true},
		"another organization": {lifecycle.BuildQuery{Organizations: []uuid.UUID{id(8)}}, b, false},
		"its status":           {lifecycle.BuildQuery{Statuses: []lifecycle.JobStatus{lifecycle.JobFailed}}, b, true},
		"another status":       {lifecycle.BuildQuery{Statuses: []lifecycle.JobStatus{lifecycle.JobRunning}}, b, false},
		"since then":           {lifecycle.BuildQuery{Since: monday}, b, true},
		"since later":          {lifecycle.BuildQuery{Since: monday.Add(us)}, b, false},
		"a page later":         {lifecycle.BuildQuery{}.Following(&lifecycle.Build{ID: id(6), CreatedAt: monday}), b, true},
		"the page before":      {lifecycle.BuildQuery{}.Following(&b), b, false},
	} {
		if got := c.q.Matches(id(9), &c.b); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// lister lists workspaces as a store does.
type lister struct {
	all   []lifecycle.Snapshot
	fails int
	calls int
}

var errList = errors.New("away")

func (l *lister) List(_ context.Context, q lifecycle.ListQuery) (page []lifecycle.Snapshot, err error) {
	if l.calls++; l.calls == l.fails {
		return nil, errList
	}
	slices.SortFunc(l.all, func(a, b lifecycle.Snapshot) int { return q.Compare(&a, &b) })
	for i := range l.all {
		if q.Matches(&l.all[i]) && q.Follows(&l.all[i]) && len(page) < q.Limit {
			page = append(page, l.all[i])
		}
	}
	return page, nil
}

// Pages yields each workspace once, in each order, no page that is empty, no more than is asked for, and an error last of all.
func TestPages(t *testing.T) {
	fleet := func(n int) (all []lifecycle.Snapshot) {
		for i := range n {
			all = append(all, running(workspace(func(w *lifecycle.Workspace) {
				w.ID, w.Name, w.WakeAt = id(i+1), fmt.Sprint("w", (i*7)%5), monday.Add(time.Duration(i%3)*us) // equals among them
			})))
		}
		return all
	}
	for _, order := range []lifecycle.ListOrder{lifecycle.ListByID, lifecycle.ListByName, lifecycle.ListByWake} {
		for n, want := range map[int]int{0: 0, 3: 1, 4: 1, 5: 2, 8: 2, 9: 3} {
			seen, pages := map[uuid.UUID]bool{}, 0
			l := &lister{all: fleet(n)}
			for page, err := range lifecycle.Pages(t.Context(), l, lifecycle.ListQuery{Order: order, Limit: 4}) {
				must(err)
				pages++
				for _, s := range page {
					if seen[s.Workspace.ID] {
						t.Fatalf("%s: %s came twice", order, s.Workspace.ID)
					}
					seen[s.Workspace.ID] = true
				}
			}
			if len(seen) != n || pages != want || l.calls != n/4+1 {
				t.Errorf("%d by %s: %d on %d pages, with %d calls", n, order, len(seen), pages, l.calls)
			}
		}
	}
	l := &lister{all: fleet(9), fails: 2}
	var errs []error
	for _, err := range lifecycle.Pages(t.Context(), l, lifecycle.ListQuery{Limit: 4}) {
		errs = append(errs, err)
	}
	if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], errList) || l.calls != 2 {
		t.Errorf("errors %v after %d calls", errs, l.calls)
	}
	l = &lister{all: fleet(9)}
	for range lifecycle.Pages(t.Context(), l, lifecycle.ListQuery{Limit: 4}) {
		break
	}
	if l.calls != 1 {
		t.Errorf("%d calls for one page", l.calls)
	}
}
