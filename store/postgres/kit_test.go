package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// epoch is when the tests happen.
var epoch = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// fleet is a template, an owner and workspaces, which are due at epoch.
type fleet struct {
	template lifecycle.Template
	owner    lifecycle.Owner
	ids      []uuid.UUID
}

func newFleet(t testing.TB, s *postgres.Store, n int) *fleet {
	t.Helper()
	f := &fleet{
		template: lifecycle.Template{
			ID: uuid.New(), OrganizationID: uuid.New(), Name: "go", ActiveVersionID: uuid.New(),
			Policy: lifecycle.Policy{AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays, FailureTTL: time.Hour},
		},
		owner: lifecycle.Owner{ID: uuid.New(), Name: "ann"},
	}
	must(t, s.PutTemplate(t.Context(), epoch, f.template))
	must(t, s.PutOwner(t.Context(), epoch, f.owner))
	for len(f.ids) < n {
		var page []lifecycle.Workspace
		for range min(n-len(f.ids), 1000) {
			id := uuid.Must(uuid.NewV7())
			f.ids = append(f.ids, id)
			page = append(page, lifecycle.Workspace{
				ID: id, OrganizationID: f.template.OrganizationID, OwnerID: f.owner.ID, TemplateID: f.template.ID, Name: "w", CreatedAt: epoch,
			})
		}
		must(t, s.CreateWorkspaces(t.Context(), epoch, page...))
	}
	return f
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t testing.TB, pool *pgxpool.Pool, text string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(context.Background(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func load(t testing.TB, s *postgres.Store, ids ...uuid.UUID) []lifecycle.Snapshot {
	t.Helper()
	found, err := s.Load(t.Context(), ids...)
	must(t, err)
	if len(found) != len(ids) {
		t.Fatalf("loaded %d of %d workspaces", len(found), len(ids))
	}
	return found
}

// wakeAt is the change that only sets the wake.
func wakeAt(s lifecycle.Snapshot, at time.Time) lifecycle.Change {
	c := lifecycle.Change{Revision: s.Workspace.Revision, Workspace: s.Workspace, Build: s.Build}
	c.Workspace.WakeAt = at
	return c
}

// started is the change that requests a start.
func started(t testing.TB, s lifecycle.Snapshot) lifecycle.Change {
	t.Helper()
	c, err := lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil)(s, epoch)
	must(t, err)
	c.Build.ID = uuid.Must(uuid.NewV7())
	c.Job = &lifecycle.Job{
		ID: c.Build.ID, OrganizationID: s.Workspace.OrganizationID, OwnerID: s.Workspace.OwnerID,
		WorkspaceID: s.Workspace.ID, BuildNumber: c.Build.Number, Transition: c.Build.Transition,
	}
	return c
}
