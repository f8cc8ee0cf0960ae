package dormouse_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
)

// presets makes pools of one name, of two sizes of machine, and notes with which preset each workspace was built.
type presets struct {
	mu     sync.Mutex
	builds map[uuid.UUID][]string
}

func (p *presets) config(small, large int) func(*dormouse.Config) {
	p.builds = make(map[uuid.UUID][]string)
	return func(cfg *dormouse.Config) {
		build := cfg.Build
		cfg.Build = func(ctx context.Context, b *dormouse.Build) error {
			p.mu.Lock()
			p.builds[b.Workspace.ID] = append(p.builds[b.Workspace.ID], b.Transition.String()+" "+b.Preset)
			p.mu.Unlock()
			return build(ctx, b)
		}
		still := func(c *prewarm.Config) { c.Spec.HitRate = -1 }
		cfg.Pools = []dormouse.Pool{
			{Name: "go", Preset: "small", TemplateName: "go-dev", Size: small, Ceiling: 10, Tune: still},
			{Name: "go", Preset: "large", TemplateName: "go-dev", Size: large, Ceiling: 10, Tune: still},
		}
	}
}

func (p *presets) of(id uuid.UUID) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.builds[id])
}

func (f *fixture) ready(engine string) int {
	f.t.Helper()
	pool, ok := f.Pool(engine)
	if !ok {
		f.t.Fatalf("no pool %s", engine)
	}
	return pool.Stats().Counts.Ready
}

// Each preset of a template has its own members, and a workspace is built with its preset as long as it exists.
func TestPoolsOfPresets(t *testing.T) {
	var p presets
	registry := prometheus.NewRegistry()
	bubble(t, func(cfg *dormouse.Config) {
		p.config(2, 1)(cfg)
		cfg.Registerer = registry
	}, func(f *fixture) {
		f.wait(5 * time.Minute)
		if small, large := f.ready("go/small"), f.ready("go/large"); small != 2 || large != 1 {
			t.Fatalf("%d small and %d large ones are ready", small, large)
		}
		got := f.claim(dormouse.Claim{Preset: "large", Workspace: dormouse.NewWorkspace{Owner: "ann", Name: "api", TTL: time.Hour}})
		id := got.Workspace.ID
		if got.Source != prewarm.Warm || got.Workspace.Owner != "ann" {
			t.Errorf("claimed %+v", got)
		}
		if f.ready("go/small") != 2 {
			t.Error("a claim of a large one took a small one")
		}
		f.wait(3 * time.Hour) // it stops by its TTL, and everything but the workspace forgets the claim
		f.want(id, lifecycle.StatusStopped, 2)
		_, err := f.Start(f.t.Context(), id)
		f.must(err)
		f.wait(5 * time.Minute)
		_, err = f.Delete(f.t.Context(), id)
		f.must(err)
		f.wait(5 * time.Minute)
		want := []string{"start large", "stop large", "start large", "delete large"}
		if built := p.of(id); !slices.Equal(built, want) {
			t.Errorf("built as %q, want %q", built, want)
		}
		if f.ready("go/large") != 1 {
			t.Error("the pool of the preset is not refilled")
		}
		if n := claimsOf(t, registry, "go/large"); n != 1 {
			t.Errorf("%v claims of the preset are counted", n)
		}
		large, _ := f.Pool("go/large")
		e, err := large.Explain(f.t.Context())
		f.must(err)
		if e.Pool != "go/large" {
			t.Errorf("explained as %+v", e)
		}
		own := f.create("mine")
		if preset, err := f.PresetOf(f.t.Context(), own.ID); preset != "" || err != nil {
			t.Errorf("a workspace of no pool has the preset %q, %v", preset, err)
		}
	})
}

// Another preset is never handed out instead: the miss is the preset's own. One that is built cold is built as asked for.
func TestEmptyPreset(t *testing.T) {
	var p presets
	bubble(t, p.config(2, 0), func(f *fixture) {
		f.wait(5 * time.Minute)
		_, err := f.Claim(f.t.Context(), dormouse.Claim{Pool: "go", Preset: "large", Workspace: dormouse.NewWorkspace{Owner: "ann"}})
		var empty *prewarm.EmptyError
		if !errors.As(err, &empty) || empty.Pool != "go/large" {
			t.Errorf("an empty preset: %v", err)
		}
		got := f.claim(dormouse.Claim{Preset: "large", IfEmpty: prewarm.Cold, Workspace: dormouse.NewWorkspace{Owner: "ann"}})
		if built := p.of(got.Workspace.ID); got.Source != prewarm.Built || !slices.Equal(built, []string{"start large"}) {
			t.Errorf("%s, built as %q", got.Source, built)
		}
	})
}

func TestUnknownPresetIsRefused(t *testing.T) {
	var p presets
	for preset, configure := range map[string]func(*dormouse.Config){"huge": p.config(1, 1), "": p.config(1, 1), "large": withPool(1, nil)} {
		bubble(t, configure, func(f *fixture) {
			_, err := f.Claim(f.t.Context(), dormouse.Claim{Pool: "go", Preset: preset, Workspace: dormouse.NewWorkspace{Owner: "ann"}})
			var refused *invalid.Error
			if !errors.As(err, &refused) || refused.Field != "Claim.Preset" {
				t.Errorf("preset %q: %v", preset, err)
			}
		})
	}
}

// A new version of the template replaces the members of each preset by members of the same preset.
func TestPresetsFollowTheirTemplate(t *testing.T) {
	var p presets
	bubble(t, p.config(1, 1), func(f *fixture) {
		f.wait(5 * time.Minute)
		next := f.template
		next.ActiveVersion = uuid.New()
		_, err := f.PutTemplate(f.t.Context(), next)
		f.must(err)
		f.wait(10 * time.Minute)
		for _, preset := range []string{"small", "large"} {
			got := f.claim(dormouse.Claim{Preset: preset, Workspace: dormouse.NewWorkspace{Owner: "ann"}})
			builds, err := f.Builds(f.t.Context(), got.Workspace.ID, 0, 1)
			f.must(err)
			if builds[0].Version != next.ActiveVersion || !slices.Equal(p.of(got.Workspace.ID), []string{"start " + preset}) {
				t.Errorf("%s: %+v, built as %q", preset, builds, p.of(got.Workspace.ID))
			}
		}
	})
}

// claimsOf sums the claims that the metrics count for a pool.
func claimsOf(t *testing.T, r *prometheus.Registry, pool string) (n float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if family.GetName() == "dormouse_prewarm_claims_total" && label.GetName() == "pool" && label.GetValue() == pool {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return n
}
