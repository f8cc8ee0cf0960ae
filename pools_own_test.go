package dormouse_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// beside runs another plane over the same store, until it is stopped.
func (f *fixture) beside(cfg dormouse.Config) (other *dormouse.Plane, stop func()) {
	f.t.Helper()
	other, err := dormouse.New(f.store, cfg)
	f.must(err)
	ctx, cancel := context.WithCancel(f.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := other.Run(ctx); err != nil {
			f.t.Error(err)
		}
	})
	return other, func() { cancel(); running.Wait() }
}

// Planes of two organizations may have a pool of the same name in one store. Each keeps, counts and hands out its own
// workspaces, and a key of one means nothing to the other.
func TestPoolsOfTwoOrganizations(t *testing.T) {
	bubble(t, func(cfg *dormouse.Config) { withPool(2, nil)(cfg); cfg.Organization = uuid.New() }, func(f *fixture) {
		cfg := dormouse.Config{Organization: uuid.New(), Build: f.build, Logger: slog.New(slog.DiscardHandler)}
		withPool(3, nil)(&cfg)
		other, stop := f.beside(cfg)
		defer stop()
		theirs, err := other.PutTemplate(f.t.Context(), dormouse.Template{Name: "go-dev", Policy: policy})
		f.must(err)
		f.wait(20 * time.Minute)
		counts := func() (mine, others prewarm.Counts) {
			pool, _ := other.Pool("go")
			return f.engine().Stats().Counts, pool.Stats().Counts
		}
		if mine, others := counts(); mine.Ready != 2 || others.Ready != 3 || mine.Old+others.Old != 0 {
			t.Fatalf("%+v and %+v", mine, others)
		}
		claim := dormouse.Claim{Pool: "go", Key: "k", Workspace: dormouse.NewWorkspace{Owner: "ann", Name: "api"}}
		got, err := f.Claim(f.t.Context(), claim)
		f.must(err)
		claim.Workspace.Owner = "bob"
		his, err := other.Claim(f.t.Context(), claim)
		f.must(err)
		if got.Workspace.TemplateID != f.template.ID || his.Workspace.TemplateID != theirs.ID || his.Source != prewarm.Warm {
			t.Errorf("got %+v and %+v", got, his)
		}
		f.wait(20 * time.Minute)
		if mine, others := counts(); mine.Ready != 2 || others.Ready != 3 || mine.Old+others.Old != 0 {
			t.Errorf("then %+v and %+v", mine, others)
		}
	})
}

// A pool of another organization's template makes nothing and hands out nothing, as if the template did not exist.
func TestPoolOfAnotherOrganizationsTemplate(t *testing.T) {
	bubble(t, func(cfg *dormouse.Config) { cfg.Organization = uuid.New() }, func(f *fixture) {
		cfg := dormouse.Config{Organization: uuid.New(), Build: f.build, Logger: slog.New(slog.DiscardHandler)}
		cfg.Pools = []dormouse.Pool{{Name: "go", Template: f.template.ID, Size: 2}}
		other, stop := f.beside(cfg)
		defer stop()
		f.wait(20 * time.Minute)
		_, err := other.Claim(f.t.Context(), dormouse.Claim{Pool: "go", IfEmpty: prewarm.Cold, Workspace: dormouse.NewWorkspace{Owner: "eve"}})
		var missing *dormouse.NotFoundError
		if !errors.As(err, &missing) || missing.ID != f.template.ID {
			t.Errorf("claimed: %v", err)
		}
		made, err := f.store.List(f.t.Context(), lifecycle.ListQuery{Limit: 9})
		f.must(err)
		if len(made) != 0 {
			t.Errorf("it has made %d workspaces, the first in the organization %s", len(made), made[0].Workspace.OrganizationID)
		}
	})
}
