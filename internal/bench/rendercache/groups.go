package rendercache

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/lifecycle/templatebuilder"
	"github.com/dormouse-go/dormouse/rendercache"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

// The fleet: 200 builds of 10 versions, due at once, as the executor gets them after a night.
const versions, buildsEach = 10, 20

// A build uses its template's files for a tenth of its time.
const whole, used = 2 * time.Millisecond, 200 * time.Microsecond

// runGroups counts what the executor fetches and renders for each version, with the group's handle and without.
func runGroups(ctx context.Context, r *figure.Recorder) error {
	type outcome struct{ fetches, renders float64 }
	measure := func(owners int, builder func(h *host) executor.Builder) (outcome, error) {
		h, err := newHost()
		if err != nil {
			return outcome{}, err
		}
		defer h.close()
		if err := h.fill(ctx, owners); err != nil {
			return outcome{}, err
		}
		if err := h.tick(ctx, builder(h)); err != nil {
			return outcome{}, err
		}
		return outcome{float64(h.fetches.Load()) / versions, float64(h.renders.Load()) / versions}, nil
	}
	note := fmt.Sprintf("%d builds of %d versions, 10 at a time, files in use for a tenth of each build", versions*buildsEach, versions)

	differ, err := measure(buildsEach, (*host).grouped)
	if err != nil {
		return err
	}
	r.AtMost(1, "rendercache/groups/fetches", differ.fetches, "per version", note+", no two renders alike, a handle for the group")
	loose, err := measure(buildsEach, (*host).loose)
	if err != nil {
		return err
	}
	r.Plain("rendercache/groups/loose", loose.fetches, "per version", note+", shared only where builds overlap")
	burst, err := measure(1, (*host).grouped)
	if err != nil {
		return err
	}
	r.AtMost(1, "rendercache/groups/renders", burst.renders, "per version", fmt.Sprintf("%d identical builds of each version", buildsEach))
	return nil
}

// host is a control plane in memory.
type host struct {
	store            *memory.Store
	handles          *templatebuilder.Handles[string]
	cache            *rendercache.Cache[rendercache.Key, string]
	fetches, renders atomic.Int64
}

var epoch = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func newHost() (*host, error) {
	h := &host{store: memory.New()}
	var err error
	if h.handles, err = rendercache.NewHandles(rendercache.HandlesConfig[uuid.UUID, string]{}); err != nil {
		return nil, err
	}
	h.cache, err = rendercache.New(rendercache.Config[rendercache.Key, string]{})
	return h, err
}

func (h *host) close() {
	h.cache.Close()
	h.handles.Close()
}

func (h *host) fetch(context.Context, uuid.UUID) (string, error) {
	h.fetches.Add(1)
	time.Sleep(used)
	return "files", nil
}

// grouped is the builder that a host uses.
func (h *host) grouped() executor.Builder {
	b, err := templatebuilder.New(h.handles, templatebuilder.Memo[string](h.cache), templatebuilder.Config[string, string]{
		Fetch: h.fetch,
		Render: func(context.Context, templatebuilder.Input[string]) (string, error) {
			h.renders.Add(1)
			time.Sleep(used)
			return "rendered", nil
		},
		Build: func(ctx context.Context, _ executor.BuildRequest, t templatebuilder.Template[string]) (executor.BuildSpec, error) {
			_, err := t.Render(ctx, nil)
			time.Sleep(whole - used)
			return executor.BuildSpec{}, err
		},
	})
	if err != nil {
		panic(err) // nothing required is missing above
	}
	return b
}

// loose shares files among builds that overlap, as a cache with reference counts does, and nothing else.
func (h *host) loose() executor.Builder {
	return executor.BuilderFunc(func(ctx context.Context, r executor.BuildRequest) (executor.BuildSpec, error) {
		handle, err := h.handles.Acquire(ctx, r.Build.TemplateVersionID, func(ctx context.Context) (string, error) {
			return h.fetch(ctx, r.Build.TemplateVersionID)
		})
		if err != nil {
			return executor.BuildSpec{}, err
		}
		time.Sleep(used)
		handle.Release()
		time.Sleep(whole - used)
		return executor.BuildSpec{}, nil
	})
}

// fill creates the fleet: stopped workspaces, all to be started an hour after epoch.
func (h *host) fill(ctx context.Context, owners int) error {
	at, err := schedule.Daily("0 9 * * *")
	if err != nil {
		return err
	}
	template := lifecycle.Template{
		ID: uuid.New(), OrganizationID: uuid.New(), Policy: lifecycle.Policy{AllowUserAutostart: true, AutostartDays: schedule.AllDays},
	}
	if err := h.store.PutTemplate(ctx, epoch, template); err != nil {
		return err
	}
	ids := make([]uuid.UUID, owners)
	for i := range ids {
		ids[i] = uuid.New()
		if err := h.store.PutOwner(ctx, epoch, lifecycle.Owner{ID: ids[i]}); err != nil {
			return err
		}
	}
	for range versions {
		version := uuid.New()
		for i := range buildsEach {
			if err := h.create(ctx, template, ids[i%owners], version, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *host) create(ctx context.Context, t lifecycle.Template, owner, version uuid.UUID, at *schedule.Cron) error {
	w := lifecycle.Workspace{
		ID: uuid.New(), OrganizationID: t.OrganizationID, OwnerID: owner, TemplateID: t.ID, CreatedAt: epoch, Autostart: at,
	}
	w.Name = w.ID.String()
	if err := h.store.CreateWorkspaces(ctx, epoch, w); err != nil {
		return err
	}
	found, err := h.store.Load(ctx, w.ID)
	if err != nil {
		return err
	}
	w = found[0].Workspace
	w.WakeAt = epoch.Add(time.Hour)
	_, err = h.store.Commit(ctx, epoch, []lifecycle.Change{{Revision: w.Revision, Workspace: w, NewBuild: true, Build: lifecycle.Build{
		ID: uuid.New(), Number: 1, TemplateVersionID: version, Transition: lifecycle.TransitionStop, Status: lifecycle.JobSucceeded,
		CreatedAt: epoch, CompletedAt: epoch,
	}}})
	return err
}

func (h *host) tick(ctx context.Context, b executor.Builder) error {
	e, err := executor.New(h.store, executor.Config{Builder: b, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	s := e.Tick(ctx, epoch.Add(time.Hour))
	if s.Err != nil {
		return s.Err
	}
	if s.Count.Transitions != versions*buildsEach {
		return fmt.Errorf("%d of %d builds were queued: %v", s.Count.Transitions, versions*buildsEach, s.Errors)
	}
	return nil
}
