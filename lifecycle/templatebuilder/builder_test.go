package templatebuilder_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/lifecycle/templatebuilder"
	"github.com/dormouse-go/dormouse/rendercache"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/memory"
)

// epoch is a Monday, one hour before everybody's autostart.
var epoch = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

// due is an hour after it.
var due = epoch.Add(time.Hour)

// files is what a version needs.
type files struct {
	version uuid.UUID
	closed  atomic.Bool
}

type (
	config = templatebuilder.Config[*files, string]
	input  = templatebuilder.Input[*files]
	asker  = templatebuilder.Template[string]
)

// host is a control plane with a builder, counting what it does.
type host struct {
	t                *testing.T
	store            *memory.Store
	handles          *templatebuilder.Handles[*files]
	cache            *rendercache.Cache[rendercache.Key, string]
	builder          *templatebuilder.Builder[*files, string]
	fetches, renders atomic.Int64
	opened, closed   atomic.Int64
	workspaces       []uuid.UUID
}

// newHost fills in what a test leaves out.
func newHost(t *testing.T, cfg config) *host {
	t.Helper()
	h := &host{t: t, store: memory.New()}
	var err error
	h.handles, err = rendercache.NewHandles(rendercache.HandlesConfig[uuid.UUID, *files]{OnRelease: func(_ uuid.UUID, f *files) {
		f.closed.Store(true)
		h.closed.Add(1)
	}})
	h.must(err)
	h.cache, err = rendercache.New(rendercache.Config[rendercache.Key, string]{})
	h.must(err)
	h.builder, err = templatebuilder.New(h.handles, h.cache, h.complete(cfg))
	h.must(err)
	t.Cleanup(h.handles.Close)
	t.Cleanup(h.cache.Close)
	return h
}

func (h *host) complete(cfg config) config {
	fetch, render := cfg.Fetch, cfg.Render
	cfg.Fetch = func(ctx context.Context, version uuid.UUID) (*files, error) {
		h.fetches.Add(1)
		f := &files{version: version}
		if fetch != nil {
			var err error
			if f, err = fetch(ctx, version); err != nil {
				return nil, err
			}
		}
		h.opened.Add(1)
		return f, nil
	}
	cfg.Render = func(ctx context.Context, in input) (string, error) {
		h.renders.Add(1)
		if in.Shared.version != in.Version || in.Shared.closed.Load() {
			h.t.Errorf("render of %s with %+v", in.Version, in.Shared)
		}
		if render != nil {
			return render(ctx, in)
		}
		return fmt.Sprint(in.Owner, in.Params["cpu"]), nil
	}
	if cfg.Build == nil {
		cfg.Build = func(ctx context.Context, r executor.BuildRequest, t asker) (executor.BuildSpec, error) {
			out, err := t.Render(ctx, map[string]string{"cpu": "4"})
			return executor.BuildSpec{Payload: []byte(out)}, err
		}
	}
	return cfg
}

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// fill creates n stopped workspaces of each of some versions, taking owners in turn, all to be started when due.
func (h *host) fill(versions, n, owners int) {
	h.t.Helper()
	ctx := h.t.Context()
	at, err := schedule.Daily("0 9 * * *")
	h.must(err)
	template := lifecycle.Template{ID: uuid.New(), OrganizationID: uuid.New(), Policy: lifecycle.Policy{AllowUserAutostart: true, AutostartDays: schedule.AllDays}}
	h.must(h.store.PutTemplate(ctx, epoch, template))
	var ids []uuid.UUID
	for range owners {
		ids = append(ids, uuid.New())
		h.must(h.store.PutOwner(ctx, epoch, lifecycle.Owner{ID: ids[len(ids)-1]}))
	}
	for range versions {
		version := uuid.New()
		for i := range n {
			h.create(template, ids[i%owners], version, at)
		}
	}
}

// create stores one workspace whose last build stopped it.
func (h *host) create(t lifecycle.Template, owner, version uuid.UUID, at *schedule.Cron) {
	h.t.Helper()
	ctx := h.t.Context()
	w := lifecycle.Workspace{
		ID: uuid.New(), OrganizationID: t.OrganizationID, OwnerID: owner, TemplateID: t.ID, CreatedAt: epoch, Autostart: at,
	}
	w.Name = "w-" + w.ID.String()
	h.must(h.store.CreateWorkspaces(ctx, epoch, w))
	found, err := h.store.Load(ctx, w.ID)
	h.must(err)
	w = found[0].Workspace
	w.WakeAt = due
	_, err = h.store.Commit(ctx, epoch, []lifecycle.Change{{Revision: w.Revision, Workspace: w, NewBuild: true, Build: lifecycle.Build{
		ID: uuid.New(), Number: 1, TemplateVersionID: version, Transition: lifecycle.TransitionStop, Status: lifecycle.JobSucceeded,
		CreatedAt: epoch, CompletedAt: epoch,
	}}})
	h.must(err)
	h.workspaces = append(h.workspaces, w.ID)
}

func (h *host) tick(ctx context.Context, cfg executor.Config) executor.Stats {
	h.t.Helper()
	cfg.Builder, cfg.Logger = h.builder, slog.New(slog.DiscardHandler)
	e, err := executor.New(h.store, cfg)
	h.must(err)
	return e.Tick(ctx, due)
}

func (h *host) want(fetches, renders int) {
	h.t.Helper()
	if f, r := h.fetches.Load(), h.renders.Load(); f != int64(fetches) || r != int64(renders) {
		h.t.Errorf("%d fetches and %d renders, want %d and %d", f, r, fetches, renders)
	}
}

// wantReleased checks that nothing is held, however the tick has ended.
func (h *host) wantReleased() {
	h.t.Helper()
	h.cache.Close()   // waits for renders that nobody waits for
	h.handles.Close() // and for fetches
	if s := h.handles.Stats(); s.Values != 0 || s.References != 0 || h.closed.Load() != h.opened.Load() {
		h.t.Errorf("held after the tick: %+v with %d of %d values closed", s, h.closed.Load(), h.opened.Load())
	}
}

func TestBurstOfIdenticalBuildsRendersOnce(t *testing.T) {
	system := uuid.New()
	h := newHost(t, config{Owner: func(executor.BuildRequest) uuid.UUID { return system }})
	h.fill(1, 50, 5)
	s := h.tick(t.Context(), executor.Config{})
	if len(s.Transitions) != 50 || len(s.Errors) != 0 {
		t.Errorf("stats %+v, want 50 transitions", s)
	}
	h.want(1, 1)
	h.wantReleased()
}

func TestGroupsFetchOnceAndRenderOncePerOwner(t *testing.T) {
	h := newHost(t, config{})
	h.fill(10, 20, 4)
	if s := h.tick(t.Context(), executor.Config{}); len(s.Transitions) != 200 {
		t.Errorf("%d transitions, want 200: %v", len(s.Transitions), s.Errors)
	}
	h.want(10, 40)
	h.wantReleased()
}

func TestGroupWithoutMissesFetchesNothing(t *testing.T) {
	h := newHost(t, config{})
	h.fill(1, 4, 2)
	for _, id := range h.workspaces {
		found, err := h.store.Load(t.Context(), id)
		h.must(err)
		h.cache.Put(rendercache.KeyOf(found[0].Build.TemplateVersionID, found[0].Owner.ID, map[string]string{"cpu": "4"}), "known")
	}
	if s := h.tick(t.Context(), executor.Config{}); len(s.Transitions) != 4 {
		t.Errorf("%d transitions: %v", len(s.Transitions), s.Errors)
	}
	h.want(0, 0)
}

func TestFailingFetchIsTriedOnceInAGroup(t *testing.T) {
	broken := errors.New("archive is gone")
	h := newHost(t, config{Fetch: func(context.Context, uuid.UUID) (*files, error) { return nil, broken }})
	h.fill(1, 20, 20)
	s := h.tick(t.Context(), executor.Config{Concurrency: 1})
	for _, id := range h.workspaces {
		if !errors.Is(s.Errors[id], broken) {
			t.Fatalf("error %v, want the fetch's", s.Errors[id])
		}
	}
	h.want(1, 0)
	h.wantReleased()
}

func TestEverythingIsReleasedOnEveryPath(t *testing.T) {
	for what, test := range map[string]struct {
		cfg  config
		want func(s executor.Stats, id uuid.UUID) bool
	}{
		"refusal of a render": {
			config{Render: func(context.Context, input) (string, error) { return "", executor.Refuse("quota is used up") }},
			func(s executor.Stats, id uuid.UUID) bool {
				return s.Skipped[id] == lifecycle.SkipRefused && s.Errors[id] == nil
			},
		},
		"error of a render": {
			config{Render: func(context.Context, input) (string, error) { return "", errors.New("cpu: 100 is more than 8") }},
			func(s executor.Stats, id uuid.UUID) bool {
				return strings.Contains(fmt.Sprint(s.Errors[id]), "cpu: 100 is more than 8")
			},
		},
		"panic of a render": {
			config{Render: func(context.Context, input) (string, error) { panic("render") }},
			func(s executor.Stats, id uuid.UUID) bool {
				var p *rendercache.PanicError
				return errors.As(s.Errors[id], &p)
			},
		},
		"end of a render's goroutine": {
			config{Render: func(context.Context, input) (string, error) { runtime.Goexit(); return "", nil }},
			func(s executor.Stats, id uuid.UUID) bool { return errors.Is(s.Errors[id], rendercache.ErrGoexit) },
		},
		"panic of a fetch": {
			config{Fetch: func(context.Context, uuid.UUID) (*files, error) { panic("fetch") }},
			func(s executor.Stats, id uuid.UUID) bool {
				var p *rendercache.PanicError
				return errors.As(s.Errors[id], &p)
			},
		},
		"panic of a build": {
			config{Build: func(ctx context.Context, _ executor.BuildRequest, t asker) (executor.BuildSpec, error) {
				_, _ = t.Render(ctx, nil)
				panic("build")
			}},
			func(s executor.Stats, id uuid.UUID) bool {
				var p *executor.PanicError
				return errors.As(s.Errors[id], &p)
			},
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := newHost(t, test.cfg)
			h.fill(3, 5, 2)
			s := h.tick(t.Context(), executor.Config{})
			for _, id := range h.workspaces {
				if !test.want(s, id) {
					t.Fatalf("skipped %q, error %v", s.Skipped[id], s.Errors[id])
				}
			}
			h.wantReleased()
		})
	}
}

func TestCanceledTickReleasesEverything(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := newHost(t, config{Render: func(ctx context.Context, _ input) (string, error) {
		cancel() // the host is shutting down
		<-ctx.Done()
		return "", ctx.Err()
	}})
	h.fill(3, 5, 2)
	if s := h.tick(ctx, executor.Config{}); len(s.Transitions) != 0 || s.Err == nil {
		t.Errorf("stats %+v, want no transition and the reason", s)
	}
	h.wantReleased()
}

// Two groups want one render. The one that started it is canceled and ends; the render goes on for the other, with the
// files still open.
func TestRenderOutlivesTheGroupThatStartedIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan struct{})
		h := newHost(t, config{Render: func(_ context.Context, in input) (string, error) {
			<-finish
			if in.Shared.closed.Load() {
				return "", errors.New("files were closed under a render")
			}
			return "v", nil
		}})
		g := executor.Group{TemplateVersionID: uuid.New(), Size: 1}
		first, err := h.builder.Prepare(t.Context(), g)
		h.must(err)
		second, err := h.builder.Prepare(t.Context(), g)
		h.must(err)

		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := first.Build(ctx, executor.BuildRequest{}); !errors.Is(err, context.Canceled) {
				t.Errorf("first: %v", err)
			}
			h.must(first.Close())
		})
		synctest.Wait()
		wg.Go(func() {
			spec, err := second.Build(t.Context(), executor.BuildRequest{})
			if err != nil || string(spec.Payload) != "v" {
				t.Errorf("second: %q, %v", spec.Payload, err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		if h.closed.Load() != 0 {
			t.Error("the files were closed with the first group")
		}
		close(finish)
		wg.Wait()
		h.must(second.Close())
		h.want(1, 1)
		h.wantReleased()
	})
}

// A group keeps the files between its builds, so that a build that comes after the others have rendered fetches nothing.
func TestGroupKeepsWhatItFetched(t *testing.T) {
	h := newHost(t, config{})
	p, err := h.builder.Prepare(t.Context(), executor.Group{TemplateVersionID: uuid.New(), Size: 3})
	h.must(err)
	for range 3 { // one after the other, each for an owner of its own
		r := executor.BuildRequest{}
		r.Snapshot.Workspace.OwnerID = uuid.New()
		_, err := p.Build(t.Context(), r)
		h.must(err)
	}
	h.want(1, 3)
	if h.closed.Load() != 0 {
		t.Error("closed before the group ended")
	}
	h.must(p.Close())
	h.wantReleased()
}

// The first pass only looks for something; it must neither fill the cache nor count.
func TestLookGoesAroundTheCache(t *testing.T) {
	h := newHost(t, config{Build: func(ctx context.Context, _ executor.BuildRequest, t asker) (executor.BuildSpec, error) {
		if _, err := t.RenderUncached(ctx, map[string]string{"cpu": "previous"}); err != nil {
			return executor.BuildSpec{}, err
		}
		_, err := t.Render(ctx, map[string]string{"cpu": "4"})
		return executor.BuildSpec{}, err
	}})
	h.fill(1, 3, 1)
	if s := h.tick(t.Context(), executor.Config{Concurrency: 1}); len(s.Transitions) != 3 {
		t.Errorf("%d transitions: %v", len(s.Transitions), s.Errors)
	}
	h.want(1, 4) // three looks and one render
	s := h.cache.Stats()
	if s.Entries != 1 || s.Misses != 1 || s.Hits != 2 {
		t.Errorf("%d entries, %d misses, %d hits: want 1, 1 and 2", s.Entries, s.Misses, s.Hits)
	}
	h.wantReleased()
}

func TestWithoutACacheEveryBuildRenders(t *testing.T) {
	h := newHost(t, config{})
	var err error
	h.builder, err = templatebuilder.New(h.handles, nil, h.complete(config{}))
	h.must(err)
	h.fill(2, 5, 1)
	if s := h.tick(t.Context(), executor.Config{}); len(s.Transitions) != 10 {
		t.Errorf("%d transitions: %v", len(s.Transitions), s.Errors)
	}
	h.want(2, 10)
	h.wantReleased()
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	handles, err := rendercache.NewHandles(rendercache.HandlesConfig[uuid.UUID, *files]{})
	if err != nil {
		t.Fatal(err)
	}
	defer handles.Close()
	whole := (&host{t: t}).complete(config{})
	noFetch, noRender, noBuild := whole, whole, whole
	noFetch.Fetch, noRender.Render, noBuild.Build = nil, nil, nil
	for want, try := range map[string]func() error{
		"handles":       func() error { _, err := templatebuilder.New(nil, nil, whole); return err },
		"Config.Fetch":  func() error { _, err := templatebuilder.New(handles, nil, noFetch); return err },
		"Config.Render": func() error { _, err := templatebuilder.New(handles, nil, noRender); return err },
		"Config.Build":  func() error { _, err := templatebuilder.New(handles, nil, noBuild); return err },
	} {
		var bad *invalid.Error
		if err := try(); !errors.As(err, &bad) || bad.Field != want {
			t.Errorf("New: %v, want field %s", err, want)
		}
	}
}
