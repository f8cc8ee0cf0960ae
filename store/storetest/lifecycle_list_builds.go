package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
)

// testFleetBuilds has builds of three workspaces in two organizations, of every status, some made at the same instant.
func testFleetBuilds(f *fixture) {
	s := skipUnless[interface {
		lifecycle.Catalog
		lifecycle.Registry
	}](f)
	mine := f.template.OrganizationID
	names := map[uuid.UUID]string{}
	made := func(w lifecycle.Snapshot, statuses ...lifecycle.JobStatus) {
		names[w.Workspace.ID] = w.Workspace.Name
		for i, status := range statuses {
			c := f.build(f.load(w.Workspace.ID), lifecycle.TransitionStart)
			c.Build.CreatedAt, c.Build.Initiator = epoch.Add(time.Duration(i)*time.Minute), "ann"
			f.commit(c)
			if !status.Active() {
				f.commit(f.ended(f.load(w.Workspace.ID), status, epoch.Add(time.Hour)))
			}
		}
	}
	all := f.create(2)
	made(all[0], lifecycle.JobSucceeded, lifecycle.JobFailed, lifecycle.JobPending)
	made(all[1], lifecycle.JobFailed, lifecycle.JobCanceled)
	f.template.ID, f.template.OrganizationID, f.template.Revision = uuid.New(), uuid.New(), 0
	f.put(epoch, &f.template)
	other := f.create(2) // the second was never built
	made(other[0], lifecycle.JobSucceeded, lifecycle.JobSucceeded)

	// list reads page after page.
	list := func(q lifecycle.BuildQuery, limit int) (got []lifecycle.FleetBuild) {
		f.Helper()
		for q.Limit = limit; ; {
			page, err := s.FleetBuilds(f.ctx, q)
			f.must(err)
			f.rule(len(page) <= limit, "a page has at most Limit builds: got %d of %d", len(page), limit)
			if got = append(got, page...); len(page) < limit || len(got) > 20 {
				return got
			}
			q = q.Following(&page[len(page)-1].Build)
		}
	}
	whole := list(lifecycle.BuildQuery{}, 100)
	f.rule(len(whole) == 7, "all builds of all workspaces are listed: got %d of 7", len(whole))
	f.rule(slices.IsSortedFunc(whole, func(a, b lifecycle.FleetBuild) int { return (&lifecycle.BuildQuery{}).Compare(&a.Build, &b.Build) }),
		"builds are listed newest first, and among those of one instant by id: got %v", shown(whole))
	for _, b := range whole {
		w := f.load(b.WorkspaceID)
		f.rule(b.Name == w.Workspace.Name && b.OrganizationID == w.Workspace.OrganizationID && b.OwnerID == w.Workspace.OwnerID &&
			b.TemplateID == w.Workspace.TemplateID && b.Name == names[b.WorkspaceID], "a build says what it is of: got %+v of %+v", b, w.Workspace)
		if b.Number == w.Build.Number {
			f.rule(b.Build == w.Build, "the latest build is that of the workspace: got %+v, want %+v", b.Build, w.Build)
		}
		f.rule(b.Initiator == "ann", "a build is listed as it was written: got %+v", b.Build)
	}
	for limit := 1; limit < 5; limit++ {
		got := list(lifecycle.BuildQuery{}, limit)
		f.rule(slices.Equal(got, whole), "pages of %d make the list of all: got %v, want %v", limit, shown(got), shown(whole))
	}
	for _, c := range []struct {
		what string
		q    lifecycle.BuildQuery
		want func(b *lifecycle.FleetBuild) bool
	}{
		{"organization", lifecycle.BuildQuery{Organizations: []uuid.UUID{mine}}, func(b *lifecycle.FleetBuild) bool { return b.OrganizationID == mine }},
		{"no such organization", lifecycle.BuildQuery{Organizations: []uuid.UUID{uuid.New()}}, func(*lifecycle.FleetBuild) bool { return false }},
		{
			"status",
			lifecycle.BuildQuery{Statuses: []lifecycle.JobStatus{lifecycle.JobFailed, lifecycle.JobPending}},
			func(b *lifecycle.FleetBuild) bool {
				return b.Status == lifecycle.JobFailed || b.Status == lifecycle.JobPending
			},
		},
		{"since", lifecycle.BuildQuery{Since: epoch.Add(time.Minute)}, func(b *lifecycle.FleetBuild) bool { return !b.CreatedAt.Before(epoch.Add(time.Minute)) }},
	} {
		want := slices.DeleteFunc(slices.Clone(whole), func(b lifecycle.FleetBuild) bool { return !c.want(&b) })
		got := list(c.q, 2)
		f.rule(slices.Equal(got, want), "builds are listed by %s: got %v, want %v", c.what, shown(got), shown(want))
	}
	for name, q := range map[string]lifecycle.BuildQuery{
		"BuildQuery.Limit": {}, "BuildQuery.Statuses": {Limit: 1, Statuses: []lifecycle.JobStatus{200}},
		"BuildQuery.BeforeID": {Limit: 1, Before: epoch}, "BuildQuery.Since": {Limit: 1, Since: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		_, err := s.FleetBuilds(f.ctx, q)
		f.rule(field(err) == name, "what cannot be asked for is refused by name: got %v, want a refusal of %s", err, name)
	}
}

func shown(builds []lifecycle.FleetBuild) (list []string) {
	for _, b := range builds {
		list = append(list, fmt.Sprintf("%s/%d %s", b.Name, b.Number, b.Status))
	}
	return list
}
