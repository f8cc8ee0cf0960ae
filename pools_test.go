package dormouse_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/prewarm"
	"github.com/dormouse-go/dormouse/store/memory"
)

// withPool is a configuration with a pool of a size.
func withPool(size int, change func(*dormouse.Pool)) func(*dormouse.Config) {
	return func(cfg *dormouse.Config) {
		pool := dormouse.Pool{Name: "go", TemplateName: "go-dev", Size: size, Ceiling: 10, Tune: func(c *prewarm.Config) { c.Spec.HitRate = -1 }}
		if change != nil {
			change(&pool)
		}
		cfg.Pools = []dormouse.Pool{pool}
	}
}

func (f *fixture) claim(c dormouse.Claim, options ...dormouse.Option) dormouse.Claimed {
	f.t.Helper()
	c.Pool = "go"
	got, err := f.Claim(f.t.Context(), c, options...)
	f.must(err)
	return got
}

func (f *fixture) engine() *prewarm.Pool {
	f.t.Helper()
	pool, ok := f.Pool("go")
	if !ok {
		f.t.Fatal("no pool")
	}
	return pool
}

func TestPoolOfWorkspaces(t *testing.T) {
	var told []dormouse.Workspace
	bubble(t, withPool(2, func(p *dormouse.Pool) {
		p.Claimed = func(_ context.Context, w dormouse.Workspace) error { told = append(told, w); return nil }
	}), func(f *fixture) {
		f.wait(5 * time.Minute)
		if c := f.engine().Stats().Counts; c.Ready != 2 {
			t.Fatalf("ready after 5 minutes: %+v", c)
		}
		got := f.claim(dormouse.Claim{
			Key: "k", Workspace: dormouse.NewWorkspace{Owner: "ann", Name: "api", Hours: "Europe/Berlin Mon-Fri 09:00-18:00", TTL: time.Hour},
		}, dormouse.By("ann"), dormouse.Note("demo"))
		w := got.Workspace
		if got.Source != prewarm.Warm || got.Waited != 0 || w.Owner != "ann" || w.Name != "api" || w.Status != lifecycle.StatusRunning ||
			w.Schedule.Hours != "Europe/Berlin Mon-Fri 09:00-18:00" {
			t.Errorf("claimed %s after %v: %+v", got.Source, got.Waited, w)
		}
		if len(told) != 1 || told[0].Owner != "ann" {
			t.Error("the workspace was not told whom it belongs to")
		}
		again := f.claim(dormouse.Claim{Key: "k", Workspace: dormouse.NewWorkspace{Owner: "ann", Name: "api"}})
		if again.Workspace.ID != w.ID || again.Source != prewarm.Repeated {
			t.Errorf("the same key got %+v", again)
		}
		f.wait(time.Minute)
		var claimed []dormouse.Event
		f.mu.Lock()
		for _, e := range f.audit {
			if e.Kind == lifecycle.EventClaimed {
				claimed = append(claimed, e)
			}
		}
		f.mu.Unlock()
		if len(claimed) != 1 || claimed[0].Actor != "ann" || claimed[0].Note != "demo" || claimed[0].WorkspaceID != w.ID {
			t.Errorf("audit of the claim: %+v", claimed)
		}
		f.wait(2 * time.Hour)
		f.want(w.ID, lifecycle.StatusStopped, 2) // its own lifecycle ends it
		if c := f.engine().Stats().Counts; c.Ready != 2 {
			t.Errorf("refilled: %+v", c)
		}
		_, err := f.Delete(f.t.Context(), w.ID)
		f.must(err)
		f.wait(20 * time.Minute)
		if _, err := f.Claim(f.t.Context(), dormouse.Claim{Pool: "go", Key: "k", Workspace: dormouse.NewWorkspace{Owner: "ann"}}); !errors.Is(err, prewarm.ErrEnded) {
			t.Errorf("the key of what is deleted: %v", err)
		}
	})
}

// An empty pool fails with a reason, builds one, or waits.
func TestEmptyPool(t *testing.T) {
	bubble(t, withPool(0, nil), func(f *fixture) {
		f.wait(time.Minute)
		_, err := f.Claim(f.t.Context(), dormouse.Claim{Pool: "go", Workspace: dormouse.NewWorkspace{Owner: "ann"}})
		var empty *prewarm.EmptyError
		if !errors.As(err, &empty) || empty.Why.Reason != prewarm.MissZero {
			t.Errorf("fail: %v", err)
		}
		got := f.claim(dormouse.Claim{IfEmpty: prewarm.Cold, Workspace: dormouse.NewWorkspace{Owner: "ann", Name: "api"}})
		if got.Source != prewarm.Built || got.Workspace.Owner != "ann" || got.Workspace.Status != lifecycle.StatusRunning || got.Waited < time.Minute {
			t.Errorf("cold: %+v", got)
		}
		got = f.claim(dormouse.Claim{IfEmpty: prewarm.Wait, MaxWait: time.Hour, Workspace: dormouse.NewWorkspace{Owner: "bob", Name: "api"}})
		if got.Source != prewarm.Waited || got.Workspace.Owner != "bob" {
			t.Errorf("waited: %+v", got)
		}
	})
}

// No rule of the template acts on what nobody has claimed, however long that is; from the claim on all of them do.
func TestRulesWaitForTheClaim(t *testing.T) {
	bubble(t, withPool(1, nil), func(f *fixture) {
		strict := f.template
		strict.Policy.DefaultTTL, strict.Policy.TimeTilDormant, strict.Policy.TimeTilAutodelete = time.Hour, 2*time.Hour, 2*time.Hour
		_, err := f.PutTemplate(f.t.Context(), strict)
		f.must(err)
		f.wait(12 * time.Hour)
		got := f.claim(dormouse.Claim{Workspace: dormouse.NewWorkspace{Owner: "ann", Name: "api"}})
		if age := time.Since(got.Workspace.CreatedAt); got.Source != prewarm.Warm || age < 11*time.Hour {
			t.Errorf("%s, %v old: the first one is gone", got.Source, age)
		}
		f.want(got.Workspace.ID, lifecycle.StatusRunning, 1)
		f.wait(2 * time.Hour)
		f.want(got.Workspace.ID, lifecycle.StatusStopped, 2)
		f.wait(12 * time.Hour)
		f.want(got.Workspace.ID, lifecycle.StatusDeleted, 3)
	})
}

func TestPoolFollowsItsTemplate(t *testing.T) {
	bubble(t, withPool(1, nil), func(f *fixture) {
		f.wait(5 * time.Minute)
		next := f.template
		next.ActiveVersion = uuid.New()
		_, err := f.PutTemplate(f.t.Context(), next)
		f.must(err)
		f.wait(10 * time.Minute)
		got := f.claim(dormouse.Claim{Workspace: dormouse.NewWorkspace{Owner: "ann"}})
		builds, err := f.Builds(f.t.Context(), got.Workspace.ID, 0, 1)
		f.must(err)
		if len(builds) != 1 || builds[0].Version != next.ActiveVersion {
			t.Errorf("claimed one of %+v, want version %s", builds, next.ActiveVersion)
		}
	})
}

// A pool whose template is not there says so, and goes on when it is.
func TestPoolOfAnUnknownTemplate(t *testing.T) {
	bubble(t, withPool(1, func(p *dormouse.Pool) { p.TemplateName = "later" }), func(f *fixture) {
		f.wait(time.Minute)
		e, err := f.engine().Explain(f.t.Context())
		f.must(err)
		if !strings.Contains(e.String(), "template") {
			t.Errorf("explained as %s", e)
		}
		_, err = f.Claim(f.t.Context(), dormouse.Claim{Pool: "go", Workspace: dormouse.NewWorkspace{Owner: "ann"}})
		if p := dormouse.ProblemOf(err); p.Status != 404 {
			t.Errorf("claim: %v", err)
		}
		_, err = f.PutTemplate(f.t.Context(), dormouse.Template{Name: "later", Policy: policy})
		f.must(err)
		f.wait(5 * time.Minute)
		f.claim(dormouse.Claim{Workspace: dormouse.NewWorkspace{Owner: "ann"}})
	})
}

// Builds of pools wait behind those of people, and never hold all workers.
func TestPoolBuildsWaitBehindPeople(t *testing.T) {
	var open atomic.Bool
	var mu sync.Mutex
	members, most := 0, 0
	count := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		members += n
		most = max(most, members)
	}
	bubble(t, func(cfg *dormouse.Config) {
		withPool(10, nil)(cfg)
		cfg.Workers = 4
		build := cfg.Build
		cfg.Build = func(ctx context.Context, b *dormouse.Build) error {
			if !strings.HasPrefix(b.Workspace.Name, "go-") {
				return build(ctx, b)
			}
			count(1)
			defer count(-1)
			for !open.Load() {
				time.Sleep(time.Second)
			}
			return build(ctx, b)
		}
	}, func(f *fixture) {
		f.wait(5 * time.Minute)
		w := f.create("api")
		_, err := f.Start(f.t.Context(), w.ID)
		f.must(err)
		f.wait(time.Minute)
		f.want(w.ID, lifecycle.StatusRunning, 1)
		open.Store(true)
		f.wait(20 * time.Minute)
		if c := f.engine().Stats().Counts; c.Ready != 10 {
			t.Errorf("%+v are ready", c)
		}
		mu.Lock()
		defer mu.Unlock()
		if most != 2 {
			t.Errorf("%d builds of pools at once, want half of the four slots", most)
		}
	})
}

func TestPausedPoolServesWhatItHas(t *testing.T) {
	bubble(t, withPool(1, nil), func(f *fixture) {
		f.wait(5 * time.Minute)
		f.must(f.engine().Pause(f.t.Context(), "ops"))
		f.claim(dormouse.Claim{Workspace: dormouse.NewWorkspace{Owner: "ann"}})
		f.wait(10 * time.Minute)
		if c := f.engine().Stats().Counts; c.Ready != 0 {
			t.Errorf("refilled while paused: %+v", c)
		}
		f.must(f.engine().Resume(f.t.Context()))
		f.wait(10 * time.Minute)
		if c := f.engine().Stats().Counts; c.Ready != 1 {
			t.Errorf("not refilled after the pause: %+v", c)
		}
	})
}

func TestClaimRefuses(t *testing.T) {
	bubble(t, withPool(1, nil), func(f *fixture) {
		f.wait(5 * time.Minute)
		for field, c := range map[string]dormouse.Claim{
			"Claim.Pool":                {Pool: "other", Workspace: dormouse.NewWorkspace{Owner: "ann"}},
			"Claim.Workspace.Owner":     {Pool: "go"},
			"Claim.Workspace.Name":      {Pool: "go", Workspace: dormouse.NewWorkspace{Owner: "ann", Name: "a\x00"}},
			"Claim.Workspace.ID":        {Pool: "go", Workspace: dormouse.NewWorkspace{Owner: "ann", ID: uuid.New()}},
			"Claim.Workspace.Template":  {Pool: "go", Workspace: dormouse.NewWorkspace{Owner: "ann", Template: uuid.New()}},
			"Claim.Workspace.Hours":     {Pool: "go", Workspace: dormouse.NewWorkspace{Owner: "ann", Hours: "always"}},
			"Claim.Workspace.Autostart": {Pool: "go", Workspace: dormouse.NewWorkspace{Owner: "ann", Autostart: "x"}},
			"Claim.MaxWait":             {Pool: "go", MaxWait: -1, Workspace: dormouse.NewWorkspace{Owner: "ann"}},
			"Claim.Tenant":              {Pool: "go", Tenant: "a\x00", Workspace: dormouse.NewWorkspace{Owner: "ann"}},
			"Claim.IfEmpty":             {Pool: "go", IfEmpty: 9, Workspace: dormouse.NewWorkspace{Owner: "ann"}},
			"Claim.Key":                 {Pool: "go", Key: strings.Repeat("k", 300), Workspace: dormouse.NewWorkspace{Owner: "ann"}},
		} {
			_, err := f.Claim(f.t.Context(), c)
			var refused *invalid.Error
			if !errors.As(err, &refused) || refused.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		f.claim(dormouse.Claim{Workspace: dormouse.NewWorkspace{Owner: "ann", Name: "api"}})
		f.wait(5 * time.Minute)
		_, err := f.Claim(f.t.Context(), dormouse.Claim{Pool: "go", Workspace: dormouse.NewWorkspace{Owner: "ann", Name: "api"}})
		if p := dormouse.ProblemOf(err); p.Status != 409 || p.Type != "urn:dormouse:problem:name_taken" {
			t.Errorf("a taken name: %+v of %v", p, err)
		}
	})
}

func TestPoolsThatCannotBe(t *testing.T) {
	for field, pools := range map[string][]dormouse.Pool{
		"Config.Pools[0].Name":          {{TemplateName: "t"}},
		"Config.Pools[0].Template":      {{Name: "a"}},
		"Config.Pools[0].TemplateName":  {{Name: "a", TemplateName: "t", Template: uuid.New()}},
		"Config.Pools[1].Name":          {{Name: "a", TemplateName: "t"}, {Name: "a", TemplateName: "t"}},
		"Config.Pools[0].Preset":        {{Name: "a", Preset: "b/c", TemplateName: "t"}},
		"Config.Pools[2].Name":          {{Name: "a", Preset: "b", TemplateName: "t"}, {Name: "a", Preset: "c", TemplateName: "t"}, {Name: "a/b", TemplateName: "t"}},
		"Config.Pools[0].Size":          {{Name: "a", TemplateName: "t", Size: -1}},
		"Config.Pools[0].Ceiling":       {{Name: "a", TemplateName: "t", Size: 3, Ceiling: 2}},
		"Config.Pools[1].Ceiling":       {{Name: "a", TemplateName: "t"}, {Name: "b", TemplateName: "t", Ceiling: -1}},
		"Config.Pools[0].Busy[0].Size":  {{Name: "a", TemplateName: "t", Ceiling: 2, Busy: []dormouse.PoolHours{{Hours: "UTC Mon 09:00-10:00", Size: 3}}}},
		"Config.Pools[0].Busy[0].Hours": {{Name: "a", TemplateName: "t", Busy: []dormouse.PoolHours{{Hours: "x", Size: 1}}}},
	} {
		registry := prometheus.NewRegistry()
		s := memory.New()
		_, err := dormouse.New(s, dormouse.Config{Pools: pools, Registerer: registry})
		var refused *invalid.Error
		if !errors.As(err, &refused) || refused.Field != field {
			t.Errorf("%s: %v", field, err)
		}
		if gathered(registry, "dormouse_prewarm") {
			t.Errorf("%s: metrics are left behind", field)
		}
	}
}

// Metrics of pools are there while the plane is, and not longer.
func TestMetricsOfPools(t *testing.T) {
	registry := prometheus.NewRegistry()
	bubble(t, func(cfg *dormouse.Config) {
		withPool(1, nil)(cfg)
		cfg.Registerer = registry
	}, func(f *fixture) {
		f.wait(5 * time.Minute)
		f.claim(dormouse.Claim{Workspace: dormouse.NewWorkspace{Owner: "ann"}})
		if !gathered(registry, "dormouse_prewarm_claims_total") {
			t.Error("claims are not counted")
		}
		f.must(f.end())
		if gathered(registry, "dormouse_prewarm") {
			t.Error("metrics are left after Run")
		}
	})
}

func gathered(r *prometheus.Registry, prefix string) bool {
	families, _ := r.Gather()
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), prefix) {
			return true
		}
	}
	return false
}

// A member whose process has ended by itself is told by the host, and the pool removes it and makes another at once, not when it lists
// everything the next time.
func TestPoolReplacesWhatHasEnded(t *testing.T) {
	bubble(t, withPool(2, nil), func(f *fixture) {
		f.wait(5 * time.Minute)
		list, err := f.List(f.t.Context(), dormouse.ListQuery{Statuses: []lifecycle.Status{lifecycle.StatusManaged}})
		f.must(err)
		if c := f.engine().Stats().Counts; c.Ready != 2 || len(list) != 2 {
			t.Fatalf("ready after 5 minutes: %+v, %d workspaces", c, len(list))
		}
		gone := list[0]
		_, err = f.Observe(f.t.Context(), gone.ID, dormouse.Observation{BuildID: gone.BuildID}, dormouse.By("watcher"))
		f.must(err)
		f.wait(time.Second)
		if c := f.engine().Stats().Counts; c.Ready != 1 {
			t.Errorf("a second later: %+v", c)
		}
		f.wait(2 * time.Minute)
		after, err := f.Get(f.t.Context(), gone.ID)
		if c := f.engine().Stats().Counts; c.Ready != 2 || err == nil && after.Status != lifecycle.StatusDeleted {
			t.Errorf("two minutes later: %+v, the one that ended is %v, %v", c, after.Status, err)
		}
	})
}
