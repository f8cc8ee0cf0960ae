package rendercache_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dormouse-go/dormouse/rendercache"
)

// families returns the names of all metrics, and how many problems the linter finds.
func families(t *testing.T, r *prometheus.Registry) (names []string) {
	t.Helper()
	gathered, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range gathered {
		names = append(names, f.GetName())
	}
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	return names
}

// Names are what dashboards and alerts are made of: a change here is a change for users.
func TestMetricNames(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	newCache(t, Config{Registerer: r, Weigh: func(Key, string) int64 { return 1 }})
	want := []string{
		"dormouse_render_cache_entries",
		"dormouse_render_cache_evictions_total",
		"dormouse_render_cache_failure_hits_total",
		"dormouse_render_cache_miss_causes_total",
		"dormouse_render_cache_refreshes_total",
		"dormouse_render_cache_rejected_total",
		"dormouse_render_cache_renders_running",
		"dormouse_render_cache_requests_total",
		"dormouse_render_cache_size_bytes",
		"dormouse_render_duration_seconds",
	}
	if got := families(t, r); !slices.Equal(got, want) {
		t.Errorf("metrics\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// Every series of a closed set is there from the start.
	if err := testutil.GatherAndCompare(r, strings.NewReader(`
# HELP dormouse_render_cache_evictions_total Entries that have left the cache.
# TYPE dormouse_render_cache_evictions_total counter
dormouse_render_cache_evictions_total{cause="clear"} 0
dormouse_render_cache_evictions_total{cause="closed"} 0
dormouse_render_cache_evictions_total{cause="key"} 0
dormouse_render_cache_evictions_total{cause="owner"} 0
dormouse_render_cache_evictions_total{cause="replaced"} 0
dormouse_render_cache_evictions_total{cause="size"} 0
dormouse_render_cache_evictions_total{cause="ttl"} 0
dormouse_render_cache_evictions_total{cause="version"} 0
# HELP dormouse_render_cache_miss_causes_total Renders by the reason why the key was not found.
# TYPE dormouse_render_cache_miss_causes_total counter
dormouse_render_cache_miss_causes_total{cause="evicted"} 0
dormouse_render_cache_miss_causes_total{cause="expired"} 0
dormouse_render_cache_miss_causes_total{cause="first"} 0
dormouse_render_cache_miss_causes_total{cause="invalidated"} 0
dormouse_render_cache_miss_causes_total{cause="not_kept"} 0
dormouse_render_cache_miss_causes_total{cause="parameters"} 0
`), "dormouse_render_cache_evictions_total", "dormouse_render_cache_miss_causes_total"); err != nil {
		t.Error(err)
	}
}

func TestMetricValues(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	clock := mockClock(t)
	c := newCache(t, Config{
		Registerer: r, Namespace: "coderd_prebuilds", ClassicMetrics: true, Clock: clock,
		Weigh:    func(_ Key, v string) int64 { return int64(len(v)) },
		ErrorTTL: func(error) time.Duration { return time.Hour },
	})
	calls := 0
	for range 5 { // five instances of a preset
		mustRender(t, c, keyN(1), returns("four", &calls))
	}
	for range 2 {
		_, _ = c.Render(t.Context(), keyN(2), func(context.Context) (string, error) { return "", errBroken })
	}
	c.Get(keyN(3))
	if err := testutil.GatherAndCompare(r, strings.NewReader(`
# HELP coderd_prebuilds_render_cache_entries Entries in the cache.
# TYPE coderd_prebuilds_render_cache_entries gauge
coderd_prebuilds_render_cache_entries 2
# HELP coderd_prebuilds_render_cache_failure_hits_total Requests answered with a remembered failure.
# TYPE coderd_prebuilds_render_cache_failure_hits_total counter
coderd_prebuilds_render_cache_failure_hits_total 1
# HELP coderd_prebuilds_render_cache_hits_total Requests whose value was there.
# TYPE coderd_prebuilds_render_cache_hits_total counter
coderd_prebuilds_render_cache_hits_total 4
# HELP coderd_prebuilds_render_cache_misses_total Requests whose value was not there.
# TYPE coderd_prebuilds_render_cache_misses_total counter
coderd_prebuilds_render_cache_misses_total 4
# HELP coderd_prebuilds_render_cache_requests_total Requests by how they were answered.
# TYPE coderd_prebuilds_render_cache_requests_total counter
coderd_prebuilds_render_cache_requests_total{result="error"} 2
coderd_prebuilds_render_cache_requests_total{result="hit"} 4
coderd_prebuilds_render_cache_requests_total{result="miss"} 2
coderd_prebuilds_render_cache_requests_total{result="shared"} 0
# HELP coderd_prebuilds_render_cache_size_bytes Sum of the entries' weights.
# TYPE coderd_prebuilds_render_cache_size_bytes gauge
coderd_prebuilds_render_cache_size_bytes 5
# HELP coderd_prebuilds_render_cache_size_entries Entries in the cache.
# TYPE coderd_prebuilds_render_cache_size_entries gauge
coderd_prebuilds_render_cache_size_entries 2
`), "coderd_prebuilds_render_cache_requests_total", "coderd_prebuilds_render_cache_entries",
		"coderd_prebuilds_render_cache_size_bytes", "coderd_prebuilds_render_cache_failure_hits_total",
		"coderd_prebuilds_render_cache_hits_total", "coderd_prebuilds_render_cache_misses_total",
		"coderd_prebuilds_render_cache_size_entries"); err != nil {
		t.Error(err)
	}
	count, err := testutil.GatherAndCount(r, "coderd_prebuilds_render_duration_seconds")
	if err != nil || count != 2 {
		t.Errorf("%d duration series, %v: want ok and error", count, err)
	}
	families(t, r) // lint

	// Expired entries count until the clean-up.
	advance(t, clock, 61*time.Minute)
	wantEqual(t, "before the clean-up", c.Stats().Entries, 2)
	advance(t, clock, 14*time.Minute)
	wantEqual(t, "after it", c.Stats().Entries, 0)
}

func TestTwoCachesOnOneRegisterer(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	newCache(t, Config{Registerer: r, Instance: "forms"})
	second := newCache(t, Config{Registerer: r, Instance: "builds"})
	if n, err := testutil.GatherAndCount(r, "dormouse_render_cache_entries"); err != nil || n != 2 {
		t.Errorf("%d series, %v: want 2", n, err)
	}
	if c, err := rendercache.New(Config{Registerer: r, Instance: "forms"}); err == nil || !strings.Contains(err.Error(), `"forms"`) {
		c.Close()
		t.Errorf("a second cache %q: %v", "forms", err)
	}
	second.Close()
	if n, err := testutil.GatherAndCount(r, "dormouse_render_cache_entries"); err != nil || n != 1 {
		t.Errorf("%d series after Close, %v: want 1", n, err)
	}
	newCache(t, Config{Registerer: r, Instance: "builds"}) // the label is free again
}

func TestHandleMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	l := newHandles(t, HandlesConfig{Registerer: r, Weigh: func(string, *file) int64 { return 100 }})
	one := mustAcquire(t, l, "a")
	two := mustAcquire(t, l, "a")
	defer one.Release()
	defer two.Release()
	_, _ = l.Acquire(t.Context(), "b", func(context.Context) (*file, error) { return nil, errBroken })
	if err := testutil.GatherAndCompare(r, strings.NewReader(`
# HELP dormouse_render_handles_acquired_total Acquisitions by how they were answered.
# TYPE dormouse_render_handles_acquired_total counter
dormouse_render_handles_acquired_total{result="error"} 1
dormouse_render_handles_acquired_total{result="hit"} 1
dormouse_render_handles_acquired_total{result="miss"} 1
dormouse_render_handles_acquired_total{result="shared"} 0
# HELP dormouse_render_handles_references References to values, those waiting for a fetch included.
# TYPE dormouse_render_handles_references gauge
dormouse_render_handles_references 2
# HELP dormouse_render_handles_size_bytes Sum of the values' sizes.
# TYPE dormouse_render_handles_size_bytes gauge
dormouse_render_handles_size_bytes 100
# HELP dormouse_render_handles_values Values that somebody holds.
# TYPE dormouse_render_handles_values gauge
dormouse_render_handles_values 1
`), "dormouse_render_handles_acquired_total", "dormouse_render_handles_references", "dormouse_render_handles_size_bytes",
		"dormouse_render_handles_values"); err != nil {
		t.Error(err)
	}
	want := []string{
		"dormouse_render_handles_acquired_total", "dormouse_render_handles_fetch_duration_seconds",
		"dormouse_render_handles_references", "dormouse_render_handles_size_bytes", "dormouse_render_handles_values",
	}
	if got := families(t, r); !slices.Equal(got, want) {
		t.Errorf("metrics %q, want %q", got, want)
	}
	l.Close()
	if got := families(t, r); len(got) != 0 {
		t.Errorf("after Close: %q", got)
	}
}
