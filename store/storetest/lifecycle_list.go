package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// lister is a store with all lists.
type lister interface {
	lifecycle.Registry
	lifecycle.Catalog
}

// fleet is what a test of lists has put into a store.
type fleet struct {
	*fixture
	s          lister
	r          *rand.Rand
	templates  []lifecycle.Template
	owners     []lifecycle.Owner
	workspaces []uuid.UUID
}

// testLists compares the lists and counts of a random fleet with what the queries and Snapshot.Status say of each workspace.
func testLists(f *fixture) {
	l := &fleet{fixture: f, s: skipUnless[lister](f), r: rand.New(rand.NewPCG(1, 2))}
	for range 4 {
		l.grow(15)
		for range 150 {
			if q := l.query(); q.Validate() == nil {
				l.compareList(q)
			}
		}
		for range 20 {
			l.compareCount(l.count())
		}
	}
}

// grow adds a template, an owner and workspaces of every kind.
func (l *fleet) grow(n int) {
	t, o := l.template, lifecycle.Owner{ID: uuid.New(), Name: "bea"}
	t.ID, t.Revision = uuid.New(), 0
	if l.r.IntN(2) == 0 {
		t.OrganizationID = uuid.New()
	}
	l.put(epoch, &t)
	l.must(l.fixture.s.PutOwner(l.ctx, epoch, o))
	l.templates, l.owners = append(l.templates, t), append(l.owners, o)
	for range n {
		w := l.workspace()
		t := l.templates[l.r.IntN(len(l.templates))]
		w.OrganizationID, w.TemplateID, w.OwnerID = t.OrganizationID, t.ID, l.owners[l.r.IntN(len(l.owners))].ID
		w.Name = l.name()
		l.must(l.s.CreateWorkspaces(l.ctx, epoch, w))
		l.workspaces = append(l.workspaces, w.ID)
		if l.r.IntN(8) > 0 {
			l.commit(l.anything(l.load(w.ID)))
		}
	}
}

// name is one of few, so that some are equal and some begin with others.
func (l *fleet) name() string {
	parts := []string{"a", "B", "-", "é", "\U0001D538", "%", "_"}
	var b strings.Builder
	for range l.r.IntN(4) {
		b.WriteString(parts[l.r.IntN(len(parts))])
	}
	return b.String()
}

// anything is a change to some state of a workspace, most likely one that no rule would make.
func (l *fleet) anything(s lifecycle.Snapshot) lifecycle.Change {
	c := lifecycle.Change{Revision: s.Workspace.Revision, Workspace: s.Workspace}
	w, sometimes := &c.Workspace, func(n int) bool { return l.r.IntN(n) == 0 }
	w.WakeAt = epoch.Add(time.Duration(l.r.IntN(5)) * time.Hour)
	if sometimes(3) {
		w.WakeAt = time.Time{}
	}
	w.Deleted, w.Managed = sometimes(8), sometimes(8)
	if sometimes(5) {
		w.DormantAt = epoch
	}
	if sometimes(5) {
		w.AttentionAt = epoch
	}
	if !sometimes(6) {
		c.NewBuild = true
		c.Build = lifecycle.Build{
			ID: uuid.New(), Number: s.Build.Number + 1, CreatedAt: epoch,
			Transition: lifecycle.TransitionStart + lifecycle.Transition(l.r.IntN(3)),
			Status:     lifecycle.JobPending + lifecycle.JobStatus(l.r.IntN(6)),
		}
	}
	return c
}

func (l *fleet) query() lifecycle.ListQuery {
	q := lifecycle.ListQuery{Order: lifecycle.ListOrder(l.r.IntN(3)), Limit: 1 + l.r.IntN(9)}
	sometimes := func(n int) bool { return l.r.IntN(n) == 0 }
	q.Organizations, q.TemplateID, q.OwnerID = l.restriction()
	for sometimes(2) {
		q.Statuses = append(q.Statuses, lifecycle.Status(l.r.IntN(int(lifecycle.StatusManaged)+1)))
	}
	q.Building = sometimes(5)
	if sometimes(2) {
		q.NamePrefix = l.name()
	}
	if sometimes(2) {
		q.DueBy = epoch.Add(time.Duration(l.r.IntN(6)) * time.Hour)
	}
	return q
}

func (l *fleet) count() (q lifecycle.CountQuery) {
	q.Organizations, q.TemplateID, q.OwnerID = l.restriction()
	return q
}

// restriction is one that some workspaces meet, all, or none.
func (l *fleet) restriction() (organizations []uuid.UUID, template, owner uuid.UUID) {
	for l.r.IntN(3) == 0 {
		organizations = append(organizations, l.templates[l.r.IntN(len(l.templates))].OrganizationID)
	}
	if l.r.IntN(4) == 0 {
		template = l.templates[l.r.IntN(len(l.templates))].ID
	}
	if l.r.IntN(4) == 0 {
		owner = l.owners[l.r.IntN(len(l.owners))].ID
	}
	if l.r.IntN(20) == 0 {
		organizations = append(organizations, uuid.New())
	}
	return organizations, template, owner
}

func (l *fleet) all() []lifecycle.Snapshot {
	l.Helper()
	all, err := l.fixture.s.Load(l.ctx, l.workspaces...)
	l.must(err)
	return all
}

func (l *fleet) compareList(q lifecycle.ListQuery) {
	l.Helper()
	var want []lifecycle.Snapshot
	for _, s := range l.all() {
		if q.Matches(&s) {
			want = append(want, s)
		}
	}
	slices.SortFunc(want, func(a, b lifecycle.Snapshot) int { return q.Compare(&a, &b) })
	got := l.pages(q)
	l.rule(slices.Equal(ids(got), ids(want)), "a list has what matches, in its order\nquery %+v\ngot  %s\nwant %s", q, describe(got), describe(want))
}

func (l *fleet) compareCount(q lifecycle.CountQuery) {
	l.Helper()
	want := map[lifecycle.Status]int{}
	for _, s := range l.all() {
		if q.Matches(&s) {
			want[s.Status()]++
		}
	}
	got, err := l.s.CountStatuses(l.ctx, q)
	l.must(err)
	l.rule(fmt.Sprint(got) == fmt.Sprint(want), "CountStatuses counts by Snapshot.Status: got %v, want %v for %+v", got, want, q)
}

// pages reads a list page by page.
func (l *fleet) pages(q lifecycle.ListQuery) (found []lifecycle.Snapshot) {
	l.Helper()
	for {
		page, err := l.s.List(l.ctx, q)
		l.must(err)
		l.rule(len(page) <= q.Limit, "List returns at most Limit rows: got %d of %d", len(page), q.Limit)
		found = append(found, page...)
		if len(page) < q.Limit {
			return found
		}
		q = q.Following(&page[len(page)-1])
	}
}

func describe(all []lifecycle.Snapshot) string {
	var b strings.Builder
	for i := range all {
		w := &all[i].Workspace
		fmt.Fprintf(&b, "%s %q %v wakes %v; ", w.ID.String()[24:], w.Name, all[i].Status(), w.WakeAt)
	}
	return b.String()
}

// testListMeanwhile changes what is listed between two pages: whatever stays where it is comes exactly once.
func testListMeanwhile(f *fixture) {
	for _, order := range []lifecycle.ListOrder{lifecycle.ListByID, lifecycle.ListByName} {
		l := &fleet{fixture: f, s: skipUnless[lister](f)}
		all := f.create(6)
		q := lifecycle.ListQuery{Order: order, Limit: 2, OwnerID: f.owner.ID}
		slices.SortFunc(all, func(a, b lifecycle.Snapshot) int { return q.Compare(&a, &b) })
		first, err := l.s.List(f.ctx, q)
		f.must(err)
		gone := func(s lifecycle.Snapshot) lifecycle.Change {
			c := wakeAt(s, time.Time{})
			c.Workspace.Deleted = true
			return c
		}
		f.commit(gone(first[1]), gone(all[4]))
		f.create(1)
		seen := map[uuid.UUID]int{}
		for _, id := range append(ids(first), ids(l.pages(q.Following(&first[1])))...) {
			seen[id]++
		}
		for _, i := range []int{2, 3, 5} {
			f.rule(seen[all[i].Workspace.ID] == 1, "a list %s shows what stays exactly once, whatever happens between its pages: got %d times", order, seen[all[i].Workspace.ID])
		}
		f.rule(seen[all[4].Workspace.ID] == 0, "what is deleted is not listed any more")
	}
}

func testListRefusals(f *fixture) {
	s := skipUnless[lister](f)
	many := make([]uuid.UUID, 1001)
	for _, c := range []struct {
		field string
		q     lifecycle.ListQuery
	}{
		{"ListQuery.Limit", lifecycle.ListQuery{}},
		{"ListQuery.Limit", lifecycle.ListQuery{Limit: -1}},
		{"ListQuery.Limit", lifecycle.ListQuery{Limit: lifecycle.MaxPage + 1}},
		{"ListQuery.Order", lifecycle.ListQuery{Limit: 1, Order: 3}},
		{"ListQuery.Statuses", lifecycle.ListQuery{Limit: 1, Statuses: []lifecycle.Status{99}}},
		{"ListQuery.NamePrefix", lifecycle.ListQuery{Limit: 1, NamePrefix: "a"}},
		{"ListQuery.NamePrefix", lifecycle.ListQuery{Limit: 1, Order: lifecycle.ListByName, NamePrefix: "a\x00"}},
		{"ListQuery.AfterName", lifecycle.ListQuery{Limit: 1, Order: lifecycle.ListByName, AfterName: "\xff"}},
		{"ListQuery.AfterName", lifecycle.ListQuery{Limit: 1, AfterName: "a"}},
		{"ListQuery.DueBy", lifecycle.ListQuery{Limit: 1, DueBy: epoch}},
		{"ListQuery.DueBy", lifecycle.ListQuery{Limit: 1, Order: lifecycle.ListByWake, DueBy: time.Unix(1<<60, 0)}},
		{"ListQuery.AfterWake", lifecycle.ListQuery{Limit: 1, Order: lifecycle.ListByWake, AfterWake: time.Unix(-1<<60, 0)}},
		{"ListQuery.AfterWake", lifecycle.ListQuery{Limit: 1, AfterWake: epoch}},
		{"ListQuery.AfterWake", lifecycle.ListQuery{Limit: 1, Order: lifecycle.ListByWake, After: uuid.New()}},
		{"ListQuery.Organizations", lifecycle.ListQuery{Limit: 1, Organizations: many}},
	} {
		_, err := s.List(f.ctx, c.q)
		f.rule(field(err) == c.field, "a list of %+v is refused for its %s: got %v", c.q, c.field, err)
	}
	_, err := s.Templates(f.ctx, lifecycle.TemplateQuery{})
	f.rule(field(err) == "TemplateQuery.Limit", "a list of templates needs a limit: got %v", err)
	_, err = s.Owners(f.ctx, lifecycle.OwnerQuery{Limit: -3})
	f.rule(field(err) == "OwnerQuery.Limit", "a list of owners needs a limit: got %v", err)
	_, err = s.CountStatuses(f.ctx, lifecycle.CountQuery{Organizations: many})
	f.rule(field(err) == "CountQuery.Organizations", "the organizations of a query are limited: got %v", err)
}

func testListTemplatesAndOwners(f *fixture) {
	l := &fleet{fixture: f, s: skipUnless[lister](f), r: rand.New(rand.NewPCG(3, 4))}
	for range 5 {
		l.grow(0)
	}
	wantTemplates := append(l.templates, f.template)
	slices.SortFunc(wantTemplates, func(a, b lifecycle.Template) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, organizations := range [][]uuid.UUID{nil, {f.template.OrganizationID}, {f.template.OrganizationID, l.templates[0].OrganizationID}, {uuid.New()}} {
		q := lifecycle.TemplateQuery{Organizations: organizations, Limit: 2}
		var got, want []uuid.UUID
		for i := range wantTemplates {
			if q.Matches(&wantTemplates[i]) {
				want = append(want, wantTemplates[i].ID)
			}
		}
		for {
			page, err := l.s.Templates(f.ctx, q)
			f.must(err)
			for _, t := range page {
				alone, ok, err := l.s.Template(f.ctx, t.ID)
				f.must(err)
				f.rule(ok && alone.Revision == t.Revision && alone.Name == t.Name && alone.Policy == t.Policy && alone.Rules == t.Rules && alone.Hold == t.Hold,
					"a template is listed as Template returns it: got %+v, want %+v", t, alone)
				got = append(got, t.ID)
			}
			if len(page) < q.Limit {
				break
			}
			q.After = page[len(page)-1].ID
		}
		f.rule(slices.Equal(got, want), "Templates lists those of the organizations by id, page by page: got %v, want %v", got, want)
	}
	owners := append(l.owners, f.owner)
	slices.SortFunc(owners, func(a, b lifecycle.Owner) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	var got []lifecycle.Owner
	for q := (lifecycle.OwnerQuery{Limit: 4}); ; q.After = got[len(got)-1].ID {
		page, err := l.s.Owners(f.ctx, q)
		f.must(err)
		f.rule(len(page) <= q.Limit, "Owners returns at most Limit rows")
		got = append(got, page...)
		if len(page) < q.Limit {
			break
		}
	}
	f.rule(slices.Equal(got, owners), "Owners lists all by id, page by page: got %+v, want %+v", got, owners)
}
