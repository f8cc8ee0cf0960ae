package dormouse_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
)

// page after page, the names of what is listed.
func (f *fixture) listed(q dormouse.ListQuery) (names []string) {
	f.t.Helper()
	for {
		page, err := f.List(f.t.Context(), q)
		f.must(err)
		for _, w := range page {
			names = append(names, w.Name)
		}
		if len(page) < q.Limit {
			return names
		}
		q = q.Following(page[len(page)-1])
	}
}

func TestLists(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		ctx := f.t.Context()
		var all []dormouse.Workspace
		for i := range 7 {
			all = append(all, f.create(fmt.Sprint("ws-", 9-i)))
		}
		_, err := f.Start(ctx, all[0].ID)
		f.must(err)
		_, err = f.Start(ctx, all[1].ID)
		f.must(err)
		synctest.Wait()
		want := func(what string, q dormouse.ListQuery, names ...string) {
			t.Helper()
			q.Limit = 2
			if got := f.listed(q); !slices.Equal(got, names) {
				t.Errorf("%s: got %q, want %q", what, got, names)
			}
		}
		want("what is being built", dormouse.ListQuery{Building: true}, "ws-9", "ws-8")
		f.wait(2 * time.Minute)
		want("what runs", dormouse.ListQuery{Statuses: []lifecycle.Status{lifecycle.StatusRunning}}, "ws-9", "ws-8")
		want("by name", dormouse.ListQuery{Order: lifecycle.ListByName}, "ws-3", "ws-4", "ws-5", "ws-6", "ws-7", "ws-8", "ws-9")
		want("with a prefix", dormouse.ListQuery{Order: lifecycle.ListByName, NamePrefix: "ws-5"}, "ws-5")
		want("what the engine looks at before the evening", dormouse.ListQuery{Order: lifecycle.ListByWake, DueBy: time.Now().Add(9 * time.Hour)}, "ws-9", "ws-8")
		want("of somebody else", dormouse.ListQuery{Owner: "bob"})
		_, err = f.Delete(ctx, all[1].ID)
		f.must(err)
		f.wait(2 * time.Minute)
		want("deleted ones", dormouse.ListQuery{Statuses: []lifecycle.Status{lifecycle.StatusDeleted}}, "ws-8")
		counts, err := f.Count(ctx, dormouse.CountQuery{Owner: "ann"})
		f.must(err)
		if fmt.Sprint(counts) != "map[new:5 running:1 deleted:1]" {
			t.Errorf("counts %v", counts)
		}
	})
}

func TestListsOfTheRest(t *testing.T) {
	bubble(t, func(c *dormouse.Config) { c.Instance = "plane-1" }, func(f *fixture) {
		ctx := f.t.Context()
		f.create("api")
		synctest.Wait()
		templates, err := f.Templates(ctx, uuid.Nil, 0)
		f.must(err)
		if len(templates) != 1 || templates[0].Name != "go-dev" || templates[0].Policy != policy {
			t.Errorf("templates %+v", templates)
		}
		_, err = f.PutOwner(ctx, dormouse.Owner{Name: "bob", QuietHours: "0 3 * * *"})
		f.must(err)
		owners, err := f.Owners(ctx, uuid.Nil, 1)
		f.must(err)
		more, err := f.Owners(ctx, owners[0].ID, 5)
		f.must(err)
		names := []string{owners[0].Name, more[0].Name}
		if slices.Sort(names); !slices.Equal(names, []string{"ann", "bob"}) || len(more) != 1 {
			t.Errorf("owners %q", names)
		}
		f.wait(time.Minute)
		processes, err := f.Processes(ctx, uuid.Nil, 0)
		f.must(err)
		if len(processes) != 1 || len(processes[0].Workers) != 1 || processes[0].Workers[0].Waiting != 10 {
			t.Errorf("processes %+v, want one with ten workers that wait", processes)
		}
	})
}

// What another organization has is not listed.
func TestListsOfOneOrganization(t *testing.T) {
	bubble(t, nil, func(f *fixture) {
		f.create("api")
		other, err := dormouse.New(f.store, dormouse.Config{Organization: uuid.New()})
		f.must(err)
		workspaces, err := other.List(f.t.Context(), dormouse.ListQuery{})
		f.must(err)
		templates, err := other.Templates(f.t.Context(), uuid.Nil, 0)
		f.must(err)
		counts, err := other.Count(f.t.Context(), dormouse.CountQuery{Template: f.template.ID})
		f.must(err)
		if len(workspaces)+len(templates)+len(counts) != 0 {
			t.Errorf("another organization lists %v, %v and counts %v", workspaces, templates, counts)
		}
	})
}

// The builds of all workspaces are listed with their workspaces, what their jobs say, and nothing of other organizations.
func TestFleetBuilds(t *testing.T) {
	failing := func(_ context.Context, b *dormouse.Build) error {
		if b.Workspace.Name == "ws-1" {
			return errors.New("no room")
		}
		return nil
	}
	bubble(t, func(c *dormouse.Config) { c.Build = failing }, func(f *fixture) {
		ctx := f.t.Context()
		elsewhere, err := dormouse.New(f.store, dormouse.Config{Organization: named(7), Logger: slog.New(slog.DiscardHandler)})
		f.must(err)
		template, err := elsewhere.PutTemplate(ctx, dormouse.Template{Name: "other"})
		f.must(err)
		w, err := elsewhere.Create(ctx, dormouse.NewWorkspace{Template: template.ID, Owner: "eve", Name: "secret"})
		f.must(err)
		_, err = elsewhere.Start(ctx, w.ID)
		f.must(err)
		for i := range 3 {
			w := f.create(fmt.Sprint("ws-", i))
			_, err := f.Start(ctx, w.ID, dormouse.By("ann"))
			f.must(err)
			f.wait(time.Minute)
		}
		all := func(q dormouse.BuildQuery) (shown []string) {
			for {
				page, err := f.FleetBuilds(ctx, q)
				f.must(err)
				for _, b := range page {
					shown = append(shown, fmt.Sprintf("%s %s %s %s %q", b.Workspace, b.Transition, b.Status, b.Initiator, b.Error))
				}
				if len(page) < q.Limit {
					return shown
				}
				q = q.Following(page[len(page)-1])
			}
		}
		want := []string{`ws-2 start succeeded ann ""`, `ws-1 start failed ann "no room"`, `ws-0 start succeeded ann ""`}
		if got := all(dormouse.BuildQuery{Limit: 2}); !slices.Equal(got, want) {
			t.Errorf("builds %q, want %q", got, want)
		}
		if got := all(dormouse.BuildQuery{Limit: 2, Statuses: []lifecycle.JobStatus{lifecycle.JobFailed}}); !slices.Equal(got, want[1:2]) {
			t.Errorf("builds that failed %q, want %q", got, want[1:2])
		}
		if got := all(dormouse.BuildQuery{Limit: 2, Since: time.Now().Add(-90 * time.Second)}); !slices.Equal(got, want[:1]) {
			t.Errorf("builds of the last minute and a half %q, want %q", got, want[:1])
		}
	})
}
