// Package monitoring_test tries the alert rules and the dashboard of docs/monitoring on a plane to which everything happens
// that they are about.
package monitoring_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/dormouse-go/dormouse"
	"github.com/dormouse-go/dormouse/acquirer"
	"github.com/dormouse-go/dormouse/acquirer/queue"
	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/lifecycle/executor"
	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/memory"
)

const folder = "../../../docs/monitoring/"

// promtool returns the path of Prometheus' own tool, and skips the test without it.
func promtool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("DORMOUSE_TEST_REQUIRE_PROMTOOL") != "" {
			t.Fatal("DORMOUSE_TEST_REQUIRE_PROMTOOL is set and there is no promtool")
		}
		t.Skip("no promtool: install it (Debian: apt-get install prometheus)")
	}
	return path
}

// outage is a store that can be out of reach.
type outage struct {
	store.Store
	down atomic.Bool
}

func (o *outage) Due(ctx context.Context, q lifecycle.DueQuery) ([]lifecycle.Snapshot, error) {
	if o.down.Load() {
		return nil, fmt.Errorf("the test says so: %w", lifecycle.ErrUnavailable)
	}
	return o.Store.Due(ctx, q)
}

func (o *outage) Ready(ctx context.Context, now time.Time, q queue.ReadyQuery) (queue.Listing, error) {
	if o.down.Load() {
		return queue.Listing{}, fmt.Errorf("the test says so: %w", lifecycle.ErrUnavailable)
	}
	return o.Store.Ready(ctx, now, q)
}

// history is what a Prometheus server would have scraped, a value each minute.
type history struct {
	series map[string][]string
	n      int
}

func (h *history) scrape(t *testing.T, r prometheus.Gatherer, began time.Time) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for name, value := range samples(f, m) {
				if strings.HasSuffix(f.GetName(), "_timestamp_seconds") {
					value -= float64(began.Unix()) // the clock of promtool begins at 0
				}
				s := h.series[name]
				for len(s) < h.n {
					s = append(s, "_")
				}
				h.series[name] = append(s, strconv.FormatFloat(value, 'g', -1, 64))
			}
		}
	}
	h.n++
}

// samples are the series of a metric; of a histogram its count and sum.
func samples(f *dto.MetricFamily, m *dto.Metric) map[string]float64 {
	labels := make([]string, 0, len(m.GetLabel()))
	for _, l := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	of := func(suffix string) string { return f.GetName() + suffix + "{" + strings.Join(labels, ",") + "}" }
	switch {
	case m.GetGauge() != nil:
		return map[string]float64{of(""): m.GetGauge().GetValue()}
	case m.GetCounter() != nil:
		return map[string]float64{of(""): m.GetCounter().GetValue()}
	case m.GetHistogram() != nil:
		return map[string]float64{of("_count"): float64(m.GetHistogram().GetSampleCount()), of("_sum"): m.GetHistogram().GetSampleSum()}
	}
	return nil
}

// episode is something that happens to the plane, from a minute until another, and the alert that fires then.
type episode struct {
	alert, severity string
	from, until     int
	// fires is a minute at which the alert fires.
	fires int
}

var episodes = []episode{
	{"DormouseDoesNotTick", "page", 60, 75, 70},
	{"DormouseJobsNobodyCanRun", "ticket", 100, 120, 110},
	{"DormouseEventsPileUp", "ticket", 140, 180, 178},
	{"DormouseBuildsFail", "ticket", 200, 230, 222},
	{"DormouseIsLate", "page", 260, 290, 280},
}

// story runs the plane through the episodes and returns what was scraped.
func story(t *testing.T) *history {
	h := &history{series: make(map[string][]string)}
	synctest.Test(t, func(t *testing.T) {
		p := newPlane(t)
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error, 1)
		go func() { ran <- p.Run(ctx) }()
		began := time.Now()
		for minute := range 310 {
			p.happens(minute)
			time.Sleep(time.Minute)
			synctest.Wait()
			h.scrape(t, p.registry, began)
		}
		p.store.down.Store(false)
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return h
}

// plane is a plane and what can be done to it.
type plane struct {
	*dormouse.Plane
	t        *testing.T
	store    *outage
	registry *prometheus.Registry
	template uuid.UUID
	made     int
	deaf     atomic.Bool // nobody receives events
	broken   atomic.Bool // builds fail
}

func newPlane(t *testing.T) *plane {
	p := &plane{t: t, store: &outage{Store: memory.New()}, registry: prometheus.NewRegistry()}
	var err error
	p.Plane, err = dormouse.New(p.store, dormouse.Config{
		Logger: slog.New(slog.DiscardHandler), Registerer: p.registry,
		Audit: func(context.Context, dormouse.Event) error {
			if p.deaf.Load() {
				return errors.New("nobody listens")
			}
			return nil
		},
		Build: func(context.Context, *dormouse.Build) error {
			if p.broken.Load() {
				return errors.New("the provider is down")
			}
			return nil
		},
		TuneExecutor: func(c *executor.Config) { c.MaxTransitions, c.Precise, c.Interval = 1, false, time.Minute },
	})
	p.must(err)
	p.must(p.Migrate(t.Context()))
	put, err := p.PutTemplate(t.Context(), dormouse.Template{Name: "go-dev", Policy: dormouse.Policy{AllowUserTTL: true}})
	p.must(err)
	p.template = put.ID
	return p
}

func (p *plane) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// start makes workspaces that run for a time.
func (p *plane) start(n int, ttl time.Duration) {
	p.t.Helper()
	for range n {
		p.made++
		w, err := p.Create(p.t.Context(), dormouse.NewWorkspace{Template: p.template, Owner: "ann", Name: fmt.Sprintf("w-%d", p.made), TTL: ttl})
		p.must(err)
		_, err = p.Start(p.t.Context(), w.ID)
		p.must(err)
	}
}

func (p *plane) happens(minute int) {
	during := func(i int) bool { return minute >= episodes[i].from && minute < episodes[i].until }
	p.store.down.Store(during(0))
	if minute == episodes[1].from {
		_, err := p.Acquirer().Enqueue(p.t.Context(), acquirer.Posting{
			ID: uuid.New(), Tenant: uuid.New(), Type: "scan", Tags: map[string]string{"gpu": "a100"},
		})
		p.must(err)
	}
	if minute == episodes[1].until {
		page, err := p.Acquirer().List(p.t.Context(), queue.JobQuery{States: []queue.State{queue.Pending}})
		p.must(err)
		for _, j := range page.Jobs {
			_, err := p.Acquirer().Cancel(p.t.Context(), "nobody can run it", j.ID)
			p.must(err)
		}
	}
	if p.deaf.Store(during(2)); during(2) {
		p.start(5, 0)
	}
	if p.broken.Store(during(3)); during(3) {
		p.start(1, 0)
	}
	if minute == episodes[4].from-25 { // all of them are due at once, and one is stopped a minute
		p.start(30, 25*time.Minute)
	}
}

// TestRulesFire tells promtool what was scraped, and asks it which alerts were firing: each within its episode, and none
// before the first, nor when the last is over.
func TestRulesFire(t *testing.T) {
	tool := promtool(t)
	h := story(t)
	rules, err := filepath.Abs(folder + "rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rule_files: [%q]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:\n", rules)
	for name, values := range h.series {
		fmt.Fprintf(&b, "  - series: %q\n    values: %q\n", name, strings.Join(values, " "))
	}
	b.WriteString("  promql_expr_test:\n")
	ask := func(minute int, firing ...episode) {
		fmt.Fprintf(&b, "  - expr: ALERTS{alertstate=\"firing\"}\n    eval_time: %dm\n    exp_samples:\n", minute)
		for _, e := range firing {
			fmt.Fprintf(&b, "    - labels: '{__name__=\"ALERTS\", alertname=%q, alertstate=\"firing\", severity=%q}'\n      value: 1\n", e.alert, e.severity)
		}
	}
	ask(55)
	for _, e := range episodes {
		ask(e.fires, e)
	}
	ask(305)
	file := filepath.Join(t.TempDir(), "story.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

var metricName = regexp.MustCompile(`\bdormouse_[a-z_]+`)

// Every metric that the rules and the dashboard name is one that a plane has, and Prometheus can read every expression.
func TestNamesAndExpressions(t *testing.T) {
	tool := promtool(t)
	known := make(map[string]bool)
	for name := range story(t).series {
		name, _, _ = strings.Cut(name, "{")
		known[name] = true
		if base, ok := strings.CutSuffix(name, "_count"); ok {
			known[base+"_bucket"] = true
		}
	}
	expressions := dashboard(t)
	if len(expressions) < 12 {
		t.Errorf("the dashboard has %d expressions", len(expressions))
	}
	rules, err := os.ReadFile(folder + "rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range metricName.FindAllString(string(rules)+strings.Join(expressions, " "), -1) {
		if !known[name] {
			t.Errorf("no plane has %s", name)
		}
	}
	var b strings.Builder
	b.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, e := range expressions {
		fmt.Fprintf(&b, "  - record: e%d\n    expr: %q\n", i, strings.ReplaceAll(e, "$__rate_interval", "5m"))
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{file, folder + "rules.yml"} {
		if out, err := exec.Command(tool, "check", "rules", f).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", f, err, out)
		}
	}
}

// dashboard returns the expressions of the dashboard file, whose panels have names of their own and do not overlap.
func dashboard(t *testing.T) (expressions []string) {
	t.Helper()
	text, err := os.ReadFile(folder + "dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, p := range d.Panels {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			places = append(places, fmt.Sprint(x, p.GridPos.Y))
		}
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	slices.Sort(places)
	if n := len(places); n != len(slices.Compact(places)) {
		t.Error("panels overlap")
	}
	return expressions
}
